#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""ical_check.py: read every N.ics in a folder with the icalendar package and compare it with N.json,
{"invitations", "method", "name"}. Prints each difference; the last line is "checked N". Exit 1 if
there was any. Driven by test_ical.c, and used by mime_check.py: a reader that knows nothing of the
writer."""
import datetime
import json
import pathlib
import re
import sys
import urllib.parse

import icalendar

QUARTER_HOUR_MS = 15 * 60 * 1000


def text(value):
    """A text as it must arrive: one kind of line break, no other control characters."""
    value = re.sub("\r\n|\r|\n|\u0085|\u2028|\u2029", "\n", value)
    return re.sub("[\x00-\x08\x0b-\x1f\x7f]", " ", value)


def moment(ms):
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)


def person(address):
    """(name, address) as it must arrive of an address as a rule writes it."""
    match = re.fullmatch(r" *(.*?) *<([^<]*)> *", address)
    if not match:
        return (None, address.strip(" "))
    name = match[1]
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return (name.replace('"', "'") or None, match[2])


def found_person(value):
    if not value.startswith("mailto:"):
        return ("?", str(value))
    return (value.params.get("CN"), urllib.parse.unquote(value[7:]))


def check_raw(raw, fault):
    if not raw.endswith(b"END:VCALENDAR\r\n"):
        fault("no end")
    if re.search(rb"\r(?!\n)|(?<!\r)\n", raw):
        fault("a bare CR or LF")
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", raw):
        fault("a control byte")
    for line in raw.split(b"\r\n"):
        if len(line) > 75:
            fault(f"a line of {len(line)} bytes: {line[:40]}")
        line.decode("utf-8")  # no character is split


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def check_event(event, want, method, fault):
    def expect(name, found, wanted):
        if found != wanted:
            fault(f"{name}: {str(found)[:300]!r}, expected {str(wanted)[:300]!r}")

    given = {key: value for key, value in want.items() if value is not None}
    start = given["start_at"]
    expect("uid", event["UID"], text(given["uid"]))
    expect("sequence", event["SEQUENCE"], given.get("sequence", 0))
    expect("start", event["DTSTART"].dt, moment(start))
    expect("end", event["DTEND"].dt, moment(given.get("end_at", start + QUARTER_HOUR_MS)))
    if "stamp" in given:
        expect("stamp", event["DTSTAMP"].dt, moment(given["stamp"]))
    for name in ("summary", "description", "location"):
        expect(name, event.get(name), text(given[name]) if name in given else None)
    expect("url", event.get("URL"), given.get("url"))
    expect("status", event["STATUS"],
           "CANCELLED" if method == "CANCEL" else given.get("status", "CONFIRMED"))
    expect("organizer", [found_person(p) for p in as_list(event.get("ORGANIZER"))],
           [person(given["organizer"])] if "organizer" in given else [])
    attendees = as_list(event.get("ATTENDEE"))
    expect("attendees", [found_person(p) for p in attendees],
           [] if method == "PUBLISH" else [person(a) for a in given.get("attendees", [])])
    for attendee in attendees:
        expect("rsvp", [attendee.params.get(key) for key in ("RSVP", "PARTSTAT")],
               ["TRUE", "NEEDS-ACTION"])
    wanted = {"UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "STATUS"}
    wanted |= {name.upper() for name in ("summary", "description", "location", "url", "organizer")
               if name in given}
    wanted |= {"ATTENDEE"} if attendees else set()
    expect("properties", sorted(event.keys()), sorted(wanted))
    alarms = event.walk("VALARM")
    minutes = given.get("alarm_minutes") if method != "CANCEL" else None
    expect("alarms", [(alarm["ACTION"], alarm["TRIGGER"].dt) for alarm in alarms],
           [] if minutes is None else [("DISPLAY", -datetime.timedelta(minutes=minutes))])
    expect("components", len(event.subcomponents), len(alarms))


def check_calendar(raw, want, fault):
    check_raw(raw, fault)
    calendar = icalendar.Calendar.from_ical(raw.decode("utf-8"))
    invitations, method = want["invitations"], want.get("method")
    if not method:
        method = (invitations[0].get("method") if invitations else None) or "PUBLISH"
    wanted = {"VERSION": "2.0", "METHOD": method, "CALSCALE": "GREGORIAN",
              "PRODID": "-//switchhook//switchhook//EN"}
    if want.get("name"):
        wanted["X-WR-CALNAME"] = text(want["name"])
    found = {key: str(value) for key, value in calendar.items()}
    if found != wanted:
        fault(f"calendar: {found}, expected {wanted}")
    events = calendar.subcomponents
    if [event.name for event in events] != ["VEVENT"] * len(invitations):
        fault(f"components: {[event.name for event in events][:10]}")
        return
    for event, invitation in zip(events, invitations):
        if event.errors:
            fault(f"unreadable: {event.errors}")
        check_event(event, invitation, method, fault)


def main(folder):
    faults = 0
    paths = sorted(pathlib.Path(folder).glob("*.ics"))
    for path in paths:
        def fault(what, path=path):
            nonlocal faults
            faults += 1
            print(f"{path.name}: {what}")
        want = json.loads(path.with_suffix(".json").read_text("utf-8"))
        check_calendar(path.read_bytes(), want, fault)
    print(f"checked {len(paths)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
