# SPDX-License-Identifier: MIT
"""payloads.py: post published example payloads, signed as GitHub does, over one connection, and read
each back: its bytes from the journal, and what a rule saw of it. Prints one JSON object.

    payloads.py INDEX.json PORT DATA_DIR SWITCHHOOK SECRET
"""
import hashlib
import hmac
import http.client
import json
import sqlite3
import subprocess
import sys
import time

index, port, data, switchhook, secret = sys.argv[1:6]

# What no payload has, and any may: integers that a double does not hold, numbers as they were written.
OWN = [
    ("own", {"id": 2**53 + 1, "all": [2**63 - 1, -2**63, 2**53, -2**53 - 1, 0]}),
    ("own", {"number": 1.0, "small": 1e-7, "third": 0.1 + 0.2, "far": 1.7976931348623157e308}),
    ("own", {"empty": {"list": [], "table": {}, "text": ""}, "none": None, "nones": [None, 1, None]}),
    ("own", {"text": "caf\u00e9 \U0001f600 \u2028 \" \\ / \b\f\n\r\t \u007f", "": "no name", "a.b": "dots"}),
]


def payloads():
    with open(index, encoding="utf-8") as f:
        for event in json.load(f):
            for example in event["examples"]:
                yield event["name"], example
    yield from OWN


def as_seen(value):
    """What a rule has of it: a null in a table is absent, one in a list keeps its place."""
    if isinstance(value, dict):
        return {k: as_seen(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [as_seen(v) for v in value]
    return value


def same(a, b):
    """Equal, and of one kind: 1 is not 1.0, nor true."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def post(connection, number, name, body, signature):
    connection.request("POST", "/hooks/github", body, {
        "Content-Type": "application/json", "X-GitHub-Event": name,
        "X-GitHub-Delivery": "delivery-%d" % number, "X-Hub-Signature-256": "sha256=" + signature})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def send_all(wrong):
    """{id: (name, payload, bytes)} of those that were stored."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    sent = {}
    for number, (name, payload) in enumerate(payloads()):
        body = json.dumps(payload, ensure_ascii=number % 2 == 0, indent=number % 3 or None).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        status, answer = post(connection, number, name, body, signature)
        if status == 200 and "duplicate" not in answer:
            sent[answer["id"]] = (name, payload, body)
        else:
            wrong.append("%d %s: %d %s" % (number, name, status, answer))
    # the same again is a repeat, and the last one with another's signature nothing at all
    repeated = post(connection, number, name, body, signature)
    forged = post(connection, number + 1, name, body + b" ", signature)
    if repeated[0] != 200 or not repeated[1].get("duplicate") or forged[0] != 401:
        wrong.append("a repeat: %s, a forgery: %s" % (repeated, forged))
    return sent


def check_journal(sent, wrong):
    with sqlite3.connect("file:%s/switchhook.db?mode=ro" % data, uri=True) as db:
        rows = {row[0]: row[1:] for row in db.execute("SELECT id, type, body FROM sh_events")}
    for event, (name, _, body) in sent.items():
        if rows.get(event) != (name, body):
            wrong.append("%s %s: the journal has other bytes, or another type" % (event, name))
    if len(rows) != len(sent):
        wrong.append("%d events in the journal, %d were sent" % (len(rows), len(sent)))


def lines_of(*words):
    out = subprocess.run([switchhook, *words, "--data", data, "--json"], check=True, capture_output=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def check_command(sent, wrong):
    for event, (name, payload, _) in list(sent.items())[::len(sent) // 10] + list(sent.items())[-len(OWN):]:
        row = lines_of("events", "--id", event)[0]
        if not same(row["body"], payload):
            wrong.append("%s %s: events --id shows something else" % (event, name))


def check_rules(sent, wrong):
    deadline = time.monotonic() + 30
    while len(seen := lines_of("records", "seen")) < len(sent) and time.monotonic() < deadline:
        time.sleep(0.1)
    seen = {row["id"]: row["doc"] for row in seen}
    for event, (name, payload, _) in sent.items():
        if not same(seen.get(event), as_seen(payload)):
            wrong.append("%s %s: the rule saw something else" % (event, name))


def main():
    wrong = []
    sent = send_all(wrong)
    check_journal(sent, wrong)
    check_command(sent, wrong)
    check_rules(sent, wrong)
    print(json.dumps({"sent": len(sent), "types": len({name for name, _, _ in sent.values()}),
                      "bytes": sum(len(body) for _, _, body in sent.values()), "wrong": wrong}))


main()
