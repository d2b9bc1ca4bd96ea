"""Python's email package reads a notice: which fields it has, and what a person is shown.

Standard input: one line a mail, `name<TAB>file`. Standard output: one JSON object a line, with the defects that Python
finds, all field names, the fields that matter, and the text of the first text part.
"""
import email
import email.policy
import json
import sys

for line in sys.stdin:
    name, path = line.rstrip("\n").split("\t")
    with open(path, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=email.policy.default)
    parts = list(message.walk())
    text = next(part for part in parts if part.get_content_type() == "text/plain")
    defects = [repr(defect) for part in parts for defect in part.defects]
    defects += [repr(defect) for part in parts for value in part.values() for defect in getattr(value, "defects", ())]
    print(json.dumps({
        "name": name,
        "defects": defects,
        "fields": [field.lower() for field in message.keys()],
        "subject": str(message["subject"]),
        "to": [address.addr_spec for address in message["to"].addresses],
        "from": [address.addr_spec for address in message["from"].addresses],
        "auto": str(message["auto-submitted"]),
        "kind": message.get_content_type(),
        "text": text.get_content().replace("\r\n", "\n"),
    }))
