#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make.py BINARY LEVEL: a store of an earlier schema, as SQL text on standard output.

BINARY is switchhook as the commit of that schema builds it, LEVEL what it can do: 0 (the first
release of schema 1), 1, 2, 3, 4. README.md says which commits these are. The engine is started,
given work of every kind, and killed in the midst of it, so that each of its tables has rows."""

import http.server
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BINARY, LEVEL = os.path.abspath(sys.argv[1]), int(sys.argv[2])
DIR = tempfile.mkdtemp(prefix="switchhook-schema-")
DATA = DIR + "/data"
NOBODY = "127.0.0.1:9"  # nothing listens there

RULES = """
rule "Keep the call" {
  on  = "call_*",
  run = function(call)
    records.put("calls", call.call_id, { direction = call.direction, seconds = call.duration_sec })
    records.incr("days", call.date:sub(1, 10), "calls", 1)
  end,
}

rule "Call back" {
  on  = "call_postprocess",
  run = function(call)
    callback { number = call.remote_number, name = call.remote_name, due = "2090-01-02T09:00:00Z",
               assignee = call.user_email, reason = "asked for it" }
    callback { number = "+31 30 555 0101", due = now() + 2, reason = "at once" }
    email { to = call.user_email, subject = "A call of " .. call.remote_name, text = "Please read." }
    emit("summary", { call_id = call.call_id, words = #call.transcription })
  end,
}

rule "Fails" { on = "fail", run = function() error "the ledger does not answer" end }

rule "Dead" {
  on  = "dead",
  run = function(e)
    records.put("notes", e.call_id, { text = "not a number" })
    records.incr("notes", e.call_id, "text", 1)
  end,
}

rule "Slow" { on = "slow", run = function() while true do end end }
"""
RULES_1 = """
rule "Tell others" {
  on  = { "call_start", "call_stop" },
  run = function(call)
    http.post { url = "http://%s/" .. call.event, json = { id = call.call_id },
                headers = { Authorization = secret "KEY" }, notify = "crm" }
    after("3s", "soon", { call_id = call.call_id }, { name = "soon " .. call.event })
    after("3650d", "late", { call_id = call.call_id }, { name = "late " .. call.event })
  end,
}

rule "Asks" {
  on  = "call_start",
  run = function()
    local answer = http.get { url = "http://%s/answer" }
    log.info(answer and answer.body or "no answer")
  end,
}

rule "Every evening" { every = "18:00", run = function() end }
"""
RULES_2 = """
rule "Held" { on = "held", run = function(e) records.put("held", e.call_id, { by = "Held" }) end }
"""


class Sink(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"ok":true}'
        self.send_response(410 if self.path == "/call_stop" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET = answer

    def log_message(self, *_):
        pass


def sink():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "127.0.0.1:%d" % server.server_port


class Engine:
    def __init__(self, config, rules):
        os.makedirs(DIR + "/rules", exist_ok=True)
        with open(DIR + "/rules/a.lua", "w") as f:
            f.write(rules)
        with open(DIR + "/switchhook.lua", "w") as f:
            f.write(config)
        self.log = open(DIR + "/log", "a")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--config", DIR + "/switchhook.lua"],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, "SWITCHHOOK_SECRET_KEY": "a-secret-text"})
        line = ""
        while "ready on" not in line:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the engine does not start: " + open(DIR + "/log").read())
        self.url = "http://127.0.0.1:" + re.search(r"ready on https?://\S+?:(\d+)", line).group(1)

    def post(self, path, body, headers=()):
        request = urllib.request.Request(self.url + path, body, {
            "Content-Type": "application/json", **dict(headers)})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def event(self, type_, call_id, **more):
        self.post("/hooks/webphone", json.dumps(
            {"event": type_, "call_id": call_id, **more}).encode())

    def run(self, *args):
        done = subprocess.run([BINARY, *args, "--data", DATA], capture_output=True, text=True)
        if done.returncode:
            sys.exit("%s: %s%s" % (" ".join(args), done.stdout, done.stderr))
        return done.stdout

    def kill(self, how):
        self.process.send_signal(how)
        self.process.wait()


def rows(sql):
    db = sqlite3.connect(DATA + "/switchhook.db")
    try:
        return db.execute(sql).fetchone()[0]
    finally:
        db.close()


def wait(sql, n, seconds=20):
    end = time.time() + seconds
    while rows(sql) < n:
        if time.time() > end:
            sys.exit("%s: %s, waited for %d\n%s" % (sql, rows(sql), n, open(DIR + "/log").read()))
        time.sleep(0.05)


def config(mail):
    text = """return { listen = "127.0.0.1:0", data = "%s", workers = 2,
  retry = { "3s", "1h" }, budgets = { cpu = "10m", wall = "10m" }, mail = { %s },
  sources = {
    webphone = { path = "/hooks/webphone", type = { field = "event" }, key = { field = "call_id" },
                 auth = "none" },%s
  },%s
}
"""
    form = """
    form = { path = "/hooks/form", type = { value = "form" }, key = { field = "CallSid" },
             time = { field = "Timestamp" }, body = "form", auth = "none" },"""
    http_ = '\n  zone = "Europe/Amsterdam", http = { allow = { "127.0.0.1" } },'
    return text % (DATA, mail, form if LEVEL >= 3 else "", http_ if LEVEL >= 1 else "")


def sample(engine, name):
    with open(os.path.dirname(__file__) + "/../../examples/webphone/%s.json" % name, "rb") as f:
        engine.post("/hooks/webphone", f.read())


def rules(target, answer):
    text = RULES
    if LEVEL >= 1:
        text += RULES_1 % (target, answer)
    if LEVEL >= 2:
        text += RULES_2
    return text


def first_part(target):
    """What ended well, and dead letters."""
    e = Engine(config(""), rules(target, target))
    for name in "call_start", "call_stop", "call_postprocess":
        sample(e, name)
        sample(e, name)  # a repeat
    e.event("dead", "d1")
    wait("SELECT count(*) FROM sh_runs WHERE outcome = 'dead'", 1)
    wait("SELECT count(*) FROM sh_outbox WHERE state = 'sent'", 2 if LEVEL else 1)
    if LEVEL:
        wait("SELECT count(*) FROM sh_outbox WHERE state = 'dead'", 1)
        wait("SELECT count(*) FROM sh_events WHERE type = 'soon'", 2)
        wait("SELECT count(*) FROM sh_callbacks WHERE status = 'due'", 1)
        due = "SELECT id FROM sh_callbacks WHERE status = 'due'"
        e.run("callbacks", "done", rows(due), "--note", "spoke to them")
        e.run("callbacks", "feed", "desk@example.org")
    if LEVEL >= 3:
        e.event("dead", "d2")
        wait("SELECT count(*) FROM sh_runs WHERE outcome = 'dead'", 2)
        second = rows("SELECT id FROM sh_events WHERE key = 'd2'")
        e.run("drop", second)
        e.post("/hooks/form", b"CallSid=CA1&Timestamp=1781258591&From=%2B31305550102", {
            "Content-Type": "application/x-www-form-urlencoded",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    time.sleep(0.5)
    e.kill(signal.SIGTERM)


def second_part(answer):
    """What is under way when the engine is killed."""
    e = Engine(config('smtp = "smtp://%s", from = "hook@example.org"' % NOBODY),
               rules(NOBODY, answer) + "-- changed\n")
    if LEVEL >= 2:
        e.run("rules", "pause", "Held")
        e.event("held", "h1")
        wait("SELECT count(*) FROM sh_runs WHERE outcome = 'paused'", 1)
    e.event("fail", "f1")
    wait("SELECT count(*) FROM sh_runs WHERE outcome = 'retry' AND attempts > 1", 1)
    wait("SELECT count(*) FROM sh_runs", 5)
    more = {"remote_number": "+31305550103", "remote_name": "An example", "direction": "incoming",
            "date": "2026-06-13T09:00:00Z", "user_email": "desk@example.org", "duration_sec": 7,
            "transcription": "Hello?"}
    e.event("call_start", "c2", **more)
    e.event("call_postprocess", "c2", **more)
    wait("SELECT count(*) FROM sh_outbox WHERE state = 'queued'", 2 if LEVEL else 1)
    if LEVEL >= 1:
        wait("SELECT count(*) FROM sh_lanes", 1)
    e.event("slow", "s1")
    if LEVEL >= 3:
        e.event("slow", "s2", remote_number="+31305550109")
        time.sleep(0.5)
        e.run("forget", "+31305550109", "--yes")
        wait("SELECT count(*) FROM sh_forgotten", 1)
        token = json.loads(e.run("token", "new", "desk", "--role", "admin", "--json"))["token"]
    if LEVEL >= 4:
        e.post("/api/v1/session", json.dumps({"token": token}).encode())
    time.sleep(0.5)
    e.kill(signal.SIGKILL)


def dump():
    db = sqlite3.connect(DATA + "/switchhook.db")
    db.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
    out = ["PRAGMA application_id=%d;" % db.execute("PRAGMA application_id").fetchone()[0],
           "PRAGMA user_version=%d;" % db.execute("PRAGMA user_version").fetchone()[0], "BEGIN;"]
    objects = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
                         " AND name <> 'sqlite_sequence' ORDER BY rowid").fetchall()
    out += [sql + ";" for type_, name, sql in objects if type_ == "table"]
    tables = [name for type_, name, sql in objects if type_ == "table"]
    counters = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'")
    if counters.fetchone()[0]:
        tables.append("sqlite_sequence")
    for name in tables:
        columns = [c[1] for c in db.execute("PRAGMA table_info(%s)" % name)]
        found = db.execute("SELECT %s FROM %s" % (
            ", ".join('quote("%s")' % c for c in columns), name)).fetchall()
        if not found:
            print("no rows in", name, file=sys.stderr)
        if name == "sqlite_sequence":  # the rows above have filled it already
            out.append("DELETE FROM sqlite_sequence;")
        out += ["INSERT INTO %s VALUES(%s);" % (name, ",".join(row)) for row in found]
    out += [sql + ";" for type_, name, sql in objects if type_ != "table"]
    db.close()
    return "\n".join(out + ["COMMIT;", ""])


answers = sink()
first_part(answers)
second_part(answers)
sys.stdout.write(dump().replace(DATA, "/var/lib/switchhook").replace(DIR, "/etc/switchhook"))
subprocess.run(["rm", "-rf", DIR], check=True)
