"""Python's email and smtplib, as a program of today uses them."""
import os
import smtplib
import ssl
from email.message import EmailMessage

env = os.environ
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = env["PEER_FROM"], env["PEER_TO"], env["PEER_SUBJECT"]
with open(env["PEER_TEXT"], encoding="utf-8") as text:
    mail.set_content(text.read())
with open(env["PEER_FILE"], "rb") as file:
    mail.add_attachment(file.read(), maintype="application", subtype="octet-stream", filename="report.bin")
with smtplib.SMTP(env["PEER_HOST"], int(env["PEER_PORT"]), timeout=50) as client:
    client.set_debuglevel(1)
    if env["PEER_CA"]:
        client.starttls(context=ssl.create_default_context(cafile=env["PEER_CA"]))
    if env["PEER_USER"]:
        client.login(env["PEER_USER"], env["PEER_PASSWORD"])
    client.send_message(mail)
