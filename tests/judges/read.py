"""Python's email package reads our mail: the judge that answers "is it legal, and is it still the same mail?".

Standard input: one line a mail, `name<TAB>file sent to us or -<TAB>file we send`. Standard output: a line that begins
with `problem` for everything that is wrong with our mail, `before` for the same of the mail sent to us, `compared` for
every mail whose content could be compared, `skipped` where Python cannot say what the content of the mail sent to us
is, and `part` for every leaf of our MIME tree (see `digest`).
"""
import email
import email.errors
import email.policy
import email.utils
import hashlib
import re
import sys

# The fields that Python has a parser for and that every mail must have once (RFC 5322 section 3.6, and To by choice).
NEEDED = ["from", "date", "message-id", "to", "mime-version"]


def say(kind, name, *words):
    text = " ".join(str(word) for word in words)
    print(kind, name, text.encode("ascii", "backslashreplace").decode().replace("\n", "\\n"), sep="\t")


def leaves(message):
    return [part for part in message.walk() if not part.is_multipart()]


def outer_leaves(message):
    """Leaves without those of a message within the message, which some readers open and others do not."""
    if message.get_content_maintype() == "message":
        return []
    if message.is_multipart():
        return [leaf for part in message.get_payload() for leaf in outer_leaves(part)]
    return [message]


def lines(text):
    """Line ends, and blank lines at the end, are no content."""
    end = "\n" if isinstance(text, str) else b"\n"
    pattern = "\r+\n|\r|\n" if isinstance(text, str) else b"\r+\n|\r|\n"
    return re.sub(pattern, end, text).rstrip(end)


def readings(octets, charset):
    """Every text these octets may mean: as declared, else as UTF-8, else as Chinese devices write."""
    found = []
    for name in [charset, "utf-8", "gb18030"]:
        try:
            found.append(octets.decode(name, "strict"))
        except (LookupError, UnicodeDecodeError, TypeError):
            pass
    return found


def octets_of(value):
    return value.encode("utf-8", "surrogateescape")


def subjects(message):
    """What the first Subject that says anything may mean, without regard to blanks at folds."""
    raw = [value for name, value in message.raw_items() if name.lower() == "subject" and value.strip()]
    if not raw:
        return None
    flat = re.sub(r"[\r\n]", "", raw[0])
    texts = readings(octets_of(flat), None)
    factory = email.policy.default.header_factory
    return [" ".join(str(factory("Subject", text)).split()) for text in texts]


def names(part):
    """What the fields that carry a file name may say; the name itself where they are in ASCII."""
    raw = [value for field, value in part.raw_items() if field.lower() in ("content-type", "content-disposition")]
    if all(value.isascii() for value in raw):
        return [part.get_filename()]
    return [text for value in raw for text in readings(octets_of(value), None)]


def digest(part):
    """Text with its line ends and its last blank lines put aside; anything else octet for octet."""
    octets = part.get_payload(decode=True) or b""
    if part.get_content_maintype() == "text":
        octets = lines(octets)
    return f"{part.get_content_type()} {len(octets)} {hashlib.md5(octets).hexdigest()}"


def judge_form(name, octets, fault):
    """Everything Python can complain about; gives the message."""
    try:
        message = email.message_from_bytes(octets, policy=email.policy.strict)
        for part in message.walk():
            for field, value in part.items():
                for defect in getattr(value, "defects", ()):
                    say(fault, name, field, repr(defect), value)
                # What is written again must be readable too: this is where embedded line ends show.
                message.policy.fold(field, value)
        for part in leaves(message):
            if part.get_content_maintype() == "text" and part.get_content_subtype() != "rfc822-headers":
                part.get_content(errors="strict")
        for part in outer_leaves(message) if fault == "problem" else []:
            if part.keys():
                say("part", name, digest(part))
    except (email.errors.MessageError, ValueError, LookupError, TypeError) as error:
        say(fault, name, repr(error))
        return email.message_from_bytes(octets, policy=email.policy.default)
    head = octets.split(b"\r\n\r\n")[0]
    if not head.isascii():
        say(fault, name, "the header is not ASCII")
    for field in NEEDED:
        if len(message.get_all(field, [])) != 1:
            say(fault, name, f"{field}: {len(message.get_all(field, []))} times")
    if message["date"] is None or message["date"].datetime is None:
        say(fault, name, "Date cannot be read:", message["date"])
    if not re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", str(message["message-id"]).strip()):
        say(fault, name, "Message-ID:", message["message-id"])
    senders = message["from"].addresses if message["from"] is not None else ()
    if len(senders) != 1 or not senders[0].domain:
        say(fault, name, "From:", message["from"])
    return message


def judge_content(name, sent, ours):
    """Whether the text, the attachments, their names and the subject are those of the mail sent to us."""
    before = email.message_from_bytes(sent, policy=email.policy.default)
    broken = [defect for part in before.walk() for defect in part.defects]
    old_subject, new_subject = subjects(before), subjects(ours)
    # Where header and body part, and what a line is, Python sees in its own way in such mail.
    if broken or re.search(rb"\r(?!\n)|^[\r\n]|^From |\0", sent) or not before.keys():
        say("skipped", name, [type(defect).__name__ for defect in broken] or "line ends")
        return
    if old_subject and (not new_subject or new_subject[0] not in old_subject):
        say("problem", name, "Subject:", old_subject, "became", new_subject)
    old, new = leaves(before), leaves(ours)
    if len(old) != len(new):
        say("problem", name, f"{len(old)} parts became {len(new)}")
        return
    for number, (was, now) in enumerate(zip(old, new)):
        before_octets, after_octets = was.get_payload(decode=True) or b"", now.get_payload(decode=True) or b""
        if now.get_content_maintype() == "text":
            wanted = [lines(text) for text in readings(before_octets, was.get_content_charset())]
            after = readings(after_octets, now.get_content_charset("us-ascii"))
            if wanted and (not after or lines(after[0]) not in wanted):
                say("problem", name, f"the text of part {number} became", ascii(after_octets[:200]))
        elif before_octets != after_octets and lines(before_octets) != lines(after_octets):
            say("problem", name, f"part {number}, {now.get_content_type()}, has other octets")
        if was.get_filename() and not any(now.get_filename() in text for text in names(was)):
            say("problem", name, f"the name of part {number}: {names(was)} became {now.get_filename()}")
    say("compared", name, len(new))


for line in sys.stdin:
    name, sent, ours = line.rstrip("\n").split("\t")
    with open(ours, "rb") as file:
        message = judge_form(name, file.read(), "problem")
    if sent != "-":
        with open(sent, "rb") as file:
            octets = file.read()
        judge_form(name, octets, "before")
        judge_content(name, octets, message)
