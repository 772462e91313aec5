#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mime_check.py: read every N.eml in a folder with Python's email package and compare it with
N.json, what it was made from. Prints each difference; the last line is "checked N". Exit 1 if
there was any. Driven by test_mime_build.c: a reader that knows nothing of the writer."""
import base64
import email
import email.header
import email.policy
import email.utils
import json
import pathlib
import re
import sys

import ical_check


def decoded(value):
    return str(email.header.make_header(email.header.decode_header(value)))


def unfolded(value):
    return re.sub(r"\r?\n(?=[ \t])", "", value)


def addresses(value):
    if value is None:
        return []
    return [(decoded(name), addr) for name, addr in email.utils.getaddresses([unfolded(value)])]


def split(text):
    """The name and address of an address as a rule writes it."""
    match = re.fullmatch(r' *(.*?) *<([^<]*)> *', text)
    if not match:
        return ("", text.strip(" "))
    name = match[1]
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return (name, match[2])


def lines(text):
    """A body as it must arrive: CR LF line ends, the last line ended."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    return text.replace("\n", "\r\n")


def check_raw(raw, fault):
    if re.search(rb"\r(?!\n)|(?<!\r)\n", raw):
        fault("a bare CR or LF")
    if re.search(rb"[^\t\r\n\x20-\x7e]", raw):
        fault("a byte that is not printable ASCII")
    if not raw.endswith(b"\r\n"):
        fault("no line end at the end")
    head, _, body = raw.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if len(line) > 76 and b"@" not in line and b"boundary" not in line:
            fault(f"header line of {len(line)} bytes: {line[:40]}")
        if len(line) > 998 or not line.strip():
            fault(f"bad header line: {line[:40]}")
    for line in body.split(b"\r\n"):
        if len(line) > 76 or line.startswith((b".", b"From ")):
            fault(f"bad body line: {line[:80]}")
        if line.endswith((b" ", b"\t")):
            fault("white space at the end of a line")


def check_words(raw, fault):
    for word in re.findall(rb"=\?UTF-8\?[BQ]\?[^?]*\?=", raw):
        if len(word) > 75:
            fault(f"encoded word of {len(word)} columns")
        data, charset = email.header.decode_header(word.decode("ascii"))[0]
        data.decode(charset)  # each word alone is valid UTF-8


def check_headers(message, want, fault):
    def expect(name, found, wanted):
        if found != wanted:
            fault(f"{name}: {found!r}, expected {wanted!r}")

    doc = want["doc"]
    for name in ("from", "to", "subject", "message-id", "date", "mime-version"):
        expect("number of " + name, len(message.get_all(name, [])), 1)
    expect("names", sorted({name.lower() for name in message.keys()} - {"cc", "reply-to"}),
           sorted(["date", "from", "to", "subject", "message-id", "auto-submitted",
                   "mime-version", "content-type"]
                  + ([] if message.is_multipart() else ["content-transfer-encoding"])))
    expect("subject", decoded(unfolded(message["subject"])).lstrip()
           if not doc["subject"] else decoded(unfolded(message["subject"])), doc["subject"])
    expect("from", addresses(message["from"]), [split(want["from"])])
    if doc.get("to"):
        expect("to", addresses(message["to"]), [split(a) for a in doc["to"]])
    else:
        expect("to", message["to"], "undisclosed-recipients:;")
    expect("cc", addresses(message["cc"]), [split(a) for a in doc.get("cc") or []])
    reply_to = doc.get("reply_to")
    expect("reply-to", addresses(message["reply-to"]), [split(reply_to)] if reply_to else [])
    if "date_ms" in want:
        expect("date", email.utils.parsedate_to_datetime(message["date"]).timestamp(),
               want["date_ms"] // 1000)
    domain = split(want["from"])[1].split("@")[1]
    expect("message-id", message["message-id"], f"<{want['key']}@{domain}>")
    for address in doc.get("bcc") or []:
        if split(address)[1] in message.as_string():
            fault(f"bcc {address} is in the message")


def check_text(part, kind, text, fault):
    if part.defects or part.get_content_charset() != "utf-8":
        fault(f"{kind}: {part.defects} {part.get_content_charset()}")
    found = part.get_payload(decode=True).decode("utf-8")
    if found.rstrip("\r\n") + lines(text)[len(lines(text).rstrip("\r\n")):] != lines(text):
        fault(f"{kind}: {found[:200]!r}, expected {lines(text)[:200]!r}")
    if len(found) < len(lines(text)):
        fault(f"{kind}: line ends lost")


def full_invitation(want):
    """What the email adds to the invitation."""
    doc = want["doc"]
    full = {key: value for key, value in doc["invitation"].items() if value is not None}
    full.setdefault("organizer", want["from"])
    if "date_ms" in want:
        full.setdefault("stamp", want["date_ms"])
    full.setdefault("attendees", (doc.get("to") or []) + (doc.get("cc") or []))
    full.setdefault("method", "REQUEST" if full["attendees"] else "PUBLISH")
    return full


def check_invitation(raw, want, fault):
    ical_check.check_calendar(raw, {"invitations": [full_invitation(want)]}, fault)


def check_body(message, want, fault):
    doc = want["doc"]
    texts = [(kind, doc[field]) for kind, field in (("text/plain", "text"), ("text/html", "html"))
             if doc.get(field) is not None]
    kinds = [kind for kind, _ in texts] + (["text/calendar"] if doc.get("invitation") else [])
    if len(kinds) > 1 and message.get_content_type() != "multipart/alternative":
        fault("content type " + message.get_content_type())
    parts = message.get_payload() if message.is_multipart() else [message]
    if [part.get_content_type() for part in parts] != kinds:
        fault(f"parts {[part.get_content_type() for part in parts]}")
        return
    for part, (kind, text) in zip(parts, texts):
        check_text(part, kind, text, fault)
    if doc.get("invitation"):
        method = parts[-1].get_param("method"), parts[-1].get_content_charset()
        if method != (full_invitation(want)["method"], "utf-8"):
            fault(f"calendar: {method}")
        check_invitation(parts[-1].get_payload(decode=True), want, fault)


def check_file(part, name, kind, data, fault):
    if part.get_content_type() != kind.lower() or part.get_content_disposition() != "attachment":
        fault(f"{name}: {part.get_content_type()} {part.get_content_disposition()}")
    if part.defects or (part.get_content_charset() == "utf-8") != kind.startswith("text/"):
        fault(f"{name}: {part.defects} {part.get_content_charset()}")
    names = (part.get_filename(), decoded(unfolded(part.get_param("name"))))
    if names != (name, name):
        fault(f"file names {names}, expected {name!r}")
    found = part.get_payload(decode=True)
    if found != data:
        fault(f"{name}: {found[:100]!r}, expected {data[:100]!r}")


def check_content(message, want, fault):
    files = want["doc"].get("attachments") or []
    invitation = want["doc"].get("invitation")
    if not files and not invitation:
        check_body(message, want, fault)
        return
    if message.get_content_type() != "multipart/mixed":
        fault("content type " + message.get_content_type())
        return
    parts = message.get_payload()
    check_body(parts[0], want, fault)
    if len(parts) != 1 + len(files) + (1 if invitation else 0):
        fault(f"{len(parts)} parts")
        return
    for part, file in zip(parts[1:], files):
        data = base64.b64decode(file["base64"]) if "base64" in file else file["text"].encode()
        check_file(part, file["name"], file["type"], data, fault)
    if invitation:
        data = parts[-1].get_payload(decode=True)
        check_file(parts[-1], "invite.ics", "application/ics", data, fault)
        check_invitation(data, want, fault)


def main(folder):
    faults = 0
    paths = sorted(pathlib.Path(folder).glob("*.eml"))
    for path in paths:
        def fault(text, path=path):
            nonlocal faults
            faults += 1
            print(f"{path.name}: {text}")
        raw = path.read_bytes()
        want = json.loads(path.with_suffix(".json").read_text("utf-8"))
        check_raw(raw, fault)
        check_words(raw, fault)
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        check_headers(message, want, fault)
        check_content(message, want, fault)
    print(f"checked {len(paths)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
