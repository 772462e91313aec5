#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torture.py: end the engine and its workers under load, again and again; look for what is lost.

usage: torture.py [--rounds N] [--seed N] [--modes LIST] [--tap] [--keep] [--binary FILE]

Modes (all of them unless --modes names some):
  engine   kill -9 of the engine's process group, N rounds on one data folder
  workers  kill -9 of a random worker every 100 to 300 ms
  stopped  a worker that is stopped (SIGSTOP) for 8 s, once busy and once idle
  term     SIGTERM: an end in order

Each mode posts small events from 8 keep-alive connections and remembers every answer. Afterwards
the store is compared with what was promised: nothing acknowledged is lost, nothing unexpected is
there, every effect is there once, and the events of a key were handled in their order of arrival.
"""

import argparse
import collections
import contextlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

CONNECTIONS = 8
KEYS = 20
READY_LIMIT_S = 2.0  # from exec to the ready line
GAP_LIMIT_S = 1.0  # between acknowledgements while workers die
STOP_LIMIT_S = 5.0  # from SIGTERM to the end
REPEATS_A_KILL = 12  # calls under way to one receiver, and answered ones whose verdict is not stored
EXTRAS_EVERY = 25  # every so many events ask for a callback, an email and an emitted event
SLOW_EVERY = 40  # every so many events take milliseconds in the order rule, for a kill to hit them
PAGE = 100  # event ids in one record of the order rule

RULES = {
    "count.lua": """
rule "Count" {
  on  = "tick",
  run = function() records.incr("counts", "total", "n", 1) end,
}

rule "Seen" {
  on  = "tick",
  run = function(tick, event)
    records.patch("seen", event.id, { n = tick.n })
    records.incr("seen", event.id, "times")
  end,
}
""",
    "order.lua": """
-- The ids of a key's events in the order they were handled; full pages are put aside.
rule "Order" {
  on  = "tick",
  run = function(tick, event)
    local head = records.get("order", tick.call_id) or { page = 0, ids = {} }
    if #head.ids >= %d then
      records.put("order", tick.call_id .. "/" .. head.page, head)
      head = { page = head.page + 1, ids = {} }
    end
    head.ids[#head.ids + 1] = event.id
    local sum = 0
    for i = 1, tick.n %% %d == 0 and 300000 or 0 do sum = sum + i end
    records.put("order", tick.call_id, head)
  end,
}
"""
    % (PAGE, SLOW_EVERY),
    "extras.lua": """
rule "Extras" {
  on   = "tick",
  when = function(tick) return tick.n %% %d == 0 end,
  run  = function(tick)
    callback { number = "0301234567", due = now() + 2 * hour, reason = "tick " .. tick.n }
    email { to = "desk@example.org", subject = "tick {{n}}", text = "{{n}}", with = tick }
    emit("tock", { n = tick.n })
    after("1s", "ring", { n = tick.n })
    http.post { url = "SINK/in", json = { n = tick.n } }
  end,
}

rule "Ring" {
  on  = "ring",
  run = function(ring, event)
    records.incr("rings", tostring(ring.n), "times")
    if event.late < 0 then error("early") end
  end,
}

rule "Tock" {
  on  = "tock",
  run = function() records.incr("counts", "tocks", "n", 1) end,
}
"""
    % EXTRAS_EVERY,
}

CONFIG = """return {
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
  http = { allow = { "127.0.0.1" } },
  %s
}
"""
MANY_RETRIES = "retry = { " + '"200ms", ' * 20 + "},"


class Report:
    """Counts checks and prints them: for people, or as TAP."""

    def __init__(self, tap):
        self.tap, self.passed, self.failed = tap, 0, 0

    def check(self, good, what, detail=""):
        self.passed += bool(good)
        self.failed += not good
        number = self.passed + self.failed
        text = what if good or not detail else f"{what}: {detail}"
        if self.tap:
            print(f"{'ok' if good else 'not ok'} {number} - {text}", flush=True)
        else:
            print(f"{'  ok ' if good else 'FAIL '} {text}", flush=True)
        return good

    def note(self, text):
        print(f"# {text}" if self.tap else f"     {text}", flush=True)

    def end(self):
        if self.tap:
            print(f"1..{self.passed + self.failed}")
        else:
            print(f"{self.passed} passed, {self.failed} failed")


# --- the receiver of HTTP calls ------------------------------------------------------------------


class Sink:
    """The server of the end-to-end specs, in a process of its own; outlives every engine."""

    def __init__(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(root, "tests", "e2e", "http_sink.py")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        Engine.running.append(self.process)
        self.port = int(self.process.stdout.readline().split()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def calls(self):
        """The numbers it was sent, by Idempotency-Key."""
        with urllib.request.urlopen(self.url + "/_requests", timeout=60) as answer:
            requests = json.load(answer)
        found = {}
        for r in requests:
            found.setdefault(r["headers"]["idempotency-key"], []).append(json.loads(r["body"])["n"])
        return found


# --- processes -----------------------------------------------------------------------------------


def is_alive(pid):
    """Whether a process is there and not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_until(fn, seconds, pause_s=0.01):
    """Poll fn until it is true; the last value."""
    deadline = time.monotonic() + seconds
    while not (value := fn()) and time.monotonic() < deadline:
        time.sleep(pause_s)
    return value


class Engine:
    """One folder with rules, configuration and data, and the engine that runs on it."""

    running = []  # everything started and not yet reaped; ended whatever happens

    def __init__(self, binary, folder, extra=""):
        self.binary, self.folder = binary, folder
        self.data = os.path.join(folder, "data")
        self.process, self.port, self.ready_s, self.ready_line = None, None, None, ""
        self.starts = 0
        for name in ("rules", "scripts"):
            os.makedirs(os.path.join(folder, name))
        self.sink = Sink()
        for name, text in RULES.items():
            self._write(os.path.join("rules", name), text.replace("SINK", self.sink.url))
        self._write("switchhook.lua", CONFIG % extra)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        """Start in a session of its own and wait for the ready line."""
        command = [self.binary, "serve", "--config", "switchhook.lua", "--listen", "127.0.0.1:0"]
        command += ["--data", "data", "--rules", "rules", "--scripts", "scripts"]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            began = time.monotonic()
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        Engine.running.append(self.process)
        line = b""
        while not line.endswith(b"\n"):
            left = began + 30 - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise RuntimeError(f"no ready line within 30 s; see {self.folder}/log")
            part = os.read(self.process.stdout.fileno(), 4096)
            if not part:
                raise RuntimeError(f"the engine ended at its start; see {self.folder}/log")
            line += part
        self.ready_s = time.monotonic() - began
        self.ready_line = line.decode().strip()
        self.port = int(self.ready_line.split("ready on http://127.0.0.1:")[1].split()[0])

    def workers(self):
        """The pids of its children."""
        pids = []
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{self.process.pid}/task"):
                with open(f"/proc/{self.process.pid}/task/{task}/children", encoding="ascii") as f:
                    pids += map(int, f.read().split())
        return pids

    def kill_group(self):
        """SIGKILL to the engine and its workers; whether all are gone within a second."""
        workers = self.workers()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reap(10)
        return wait_until(lambda: not any(map(is_alive, workers)), 1)

    def stop(self):
        """SIGTERM; exit code and seconds it took. None as code: it was still there after 15 s."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self._reap(15)
        return code, time.monotonic() - began

    def _reap(self, seconds):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            code = None
        self.process.stdout.close()
        Engine.running.remove(self.process)
        return code

    def cli(self, *words):
        """The rows that a command of the binary prints with --json."""
        command = [self.binary, *words, "--json", "--data", "data"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.decode()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def verify(self):
        """The checks of `switchhook verify` that are bad, with an example."""
        command = [self.binary, "verify", "--json", "--data", "data"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        report = json.loads(done.stdout or "{}")
        if "checks" not in report:
            return [done.stderr.decode().strip()]
        return [f"{c['check']}: {few(c['examples'])}" for c in report["checks"] if not c["ok"]]

    def sql(self, query):
        """Rows of a query on the store, read-only."""
        uri = f"file:{self.data}/switchhook.db?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            return db.execute(query).fetchall()

    def unfinished(self):
        """How many events, retries, emails and calls, and timers wait."""
        return self.sql(
            "SELECT (SELECT count(*) FROM sh_unfinished),"
            " (SELECT count(*) FROM sh_runs WHERE outcome = 'retry'),"
            " (SELECT count(*) FROM sh_outbox WHERE state = 'queued'),"
            " (SELECT count(*) FROM sh_timers)"
        )[0]

    def settle(self, seconds=60):
        """Wait until nothing waits; whether that came to pass."""
        return wait_until(lambda: not any(self.unfinished()), seconds, 0.1)

    @classmethod
    def end_all(cls):
        for process in list(cls.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# --- load ----------------------------------------------------------------------------------------

Ack = collections.namedtuple("Ack", "n id status sent at")


class Connection(threading.Thread):
    """Posts events over one kept connection, one after the other, until told or cut off."""

    def __init__(self, load):
        super().__init__(daemon=True)
        self.load, self.acks, self.unknown, self.broken = load, [], [], None

    def run(self):
        rng = random.Random(self.load.rng.random())
        try:
            with socket.create_connection(("127.0.0.1", self.load.port), timeout=30) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._post_all(sock, rng)
        except OSError as why:
            self.broken = str(why)

    def _post_all(self, sock, rng):
        held = b""
        while not self.load.over.is_set():
            n = next(self.load.numbers)
            event = {"event": "tick", "call_id": f"key-{rng.randrange(KEYS)}", "n": n}
            body = json.dumps(event).encode()
            head = (
                "POST /hooks/webphone HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self.unknown.append(n)
            sent = time.monotonic()
            sock.sendall(head.encode() + body)
            status, answer, held = self._answer(sock, held)
            self.unknown.pop()
            self.acks.append(Ack(n, answer.get("id"), status, sent, time.monotonic()))

    @staticmethod
    def _answer(sock, held):
        """Status, JSON body, and what came after it."""
        while b"\r\n\r\n" not in held:
            held += Connection._more(sock)
        head, held = held.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(held) < length:
            held += Connection._more(sock)
        return int(head.split()[1]), json.loads(held[:length]), held[length:]

    @staticmethod
    def _more(sock):
        part = sock.recv(65536)
        if not part:
            raise ConnectionError("connection closed by the engine")
        return part


class Load:
    """Eight connections to one engine."""

    def __init__(self, engine, rng, numbers):
        self.port, self.rng, self.numbers = engine.port, rng, numbers
        self.over = threading.Event()
        self.connections = [Connection(self) for _ in range(CONNECTIONS)]
        self.began = time.monotonic()
        for c in self.connections:
            c.start()

    def finish(self):
        """End it and gather what the connections know."""
        self.over.set()
        for c in self.connections:
            c.join(40)
        self.acks = [a for c in self.connections for a in c.acks]
        self.unknown = [n for c in self.connections for n in c.unknown]
        self.refused = [a for a in self.acks if a.status != 200]
        self.broken = [c.broken for c in self.connections if c.broken]
        return self

    def longest_gap(self):
        """Seconds between two acknowledgements, and of the slowest one."""
        times = sorted(a.at for a in self.acks if a.status == 200)
        gaps = [b - a for a, b in zip([self.began] + times, times)]
        return max(gaps, default=99.0), max((a.at - a.sent for a in self.acks), default=99.0)


class Disk(threading.Thread):
    """Syncs a small file of its own now and then: no engine on this disk can be faster."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.path, self.over, self.longest_s = os.path.join(folder, "sync"), threading.Event(), 0.0
        self.start()

    def run(self):
        with open(self.path, "wb", buffering=0) as f:
            while not self.over.wait(0.1):
                began = time.monotonic()
                f.write(b"x")
                os.fsync(f.fileno())
                self.longest_s = max(self.longest_s, time.monotonic() - began)

    def finish(self):
        """Seconds of its longest sync."""
        self.over.set()
        self.join(60)
        return self.longest_s


class Promises:
    """What the senders of one data folder were told."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.acknowledged, self.unknown, self.refused = {}, set(), set()
        self.problems = []
        self.last_id = ""

    def add(self, load):
        """Take in a finished load."""
        for a in load.acks:
            if a.status == 200:
                self.acknowledged[a.n] = a.id
            elif a.status == 503:
                self.refused.add(a.n)
            else:
                self.problems.append(f"n {a.n} was answered with {a.status}")
        self.unknown.update(load.unknown)
        for c in load.connections:
            ids = [a.id for a in c.acks if a.status == 200]
            if ids != sorted(ids) or (ids and ids[0] <= self.last_id):
                self.problems.append("ids do not grow with time")
        self.last_id = max([self.last_id] + [a.id for a in load.acks if a.status == 200])


# --- what must be true afterwards ----------------------------------------------------------------


def few(things):
    things = sorted(things)
    return f"{len(things)}, such as {things[:3]}" if things else "none"


def verify(report, mode, engine, promises):
    """Compare a store with the promises; the engine has ended."""

    def check(good, what, detail=""):
        report.check(good, f"{mode}: {what}", detail)

    events, extras, rings = {}, {}, {}  # number -> event id; number -> ids of events from within
    copies = []
    for event_id, source, kind, body in engine.sql("SELECT id, source, type, body FROM sh_events"):
        n = json.loads(body)["n"]
        if source == "rules" and kind == "ring":
            rings.setdefault(n, []).append(event_id)
        elif source == "rules" and kind == "tock":
            extras.setdefault(n, []).append(event_id)
        elif n in events or source != "webphone":
            copies.append(n)
        else:
            events[n] = event_id

    told = promises.acknowledged
    lost = [n for n in told if n not in events]
    check(not lost, f"0 of {len(told)} acknowledged events lost", few(lost))
    other = [n for n, event_id in told.items() if events.get(n, event_id) != event_id]
    check(not other, "each event has the id that was answered", few(other))
    odd = set(events) - set(told) - promises.unknown
    arrived = len(set(events) & promises.unknown)
    check(
        not odd and not copies,
        f"stored are those and {arrived} of {len(promises.unknown)} never answered, nothing else",
        f"unexpected: {few(odd)}; stored again: {few(copies)}",
    )
    check(not promises.problems, "every answer as it should be", "; ".join(promises.problems[:5]))

    rows = engine.cli("events")
    undone = [row["id"] for row in rows if row["state"] != "done"]
    listed = {row["id"] for row in rows}
    within = list(extras.values()) + list(rings.values())
    stored = set(events.values()) | {i for ids in within for i in ids}
    check(
        not undone and listed == stored and len(rows) == len(stored),
        f"all {len(rows)} events are done",
        f"not done: {few(undone)}; listed and stored differ in {few(listed ^ stored)}",
    )
    verify_effects(check, engine, events, extras)
    verify_later(check, engine, events, rings)
    verify_order(check, engine)
    bad = engine.verify()
    check(not bad, "the store is what the engine relies on", "; ".join(bad))


def verify_effects(check, engine, events, extras):
    """Each effect of each event once."""
    counts = {row["id"]: row["doc"].get("n") for row in engine.cli("records", "counts")}
    total = counts.get("total", 0)
    check(total == len(events), "the total counts each event once", f"{total} for {len(events)}")

    seen = {row["id"]: row["doc"] for row in engine.cli("records", "seen")}
    right = {event_id: {"n": n, "times": 1} for n, event_id in events.items()}
    wrong = [i for i in right.keys() | seen.keys() if seen.get(i) != right.get(i)]
    check(not wrong, "each event was noted once", few(wrong))

    asked = sorted(n for n in events if n % EXTRAS_EVERY == 0)
    asked_ids = sorted(events[n] for n in asked)
    called = sorted(row["event_id"] for row in engine.cli("callbacks"))
    outbox = [row for row in engine.cli("outbox") if row["kind"] == "email"]
    mailed = sorted(row["event_id"] for row in outbox if row["state"] == "sent")
    files = [f for f in os.listdir(os.path.join(engine.data, "mail")) if f.endswith(".eml")]
    check(called == asked_ids, f"{len(asked)} callbacks, each once", f"{len(called)} are there")
    check(
        mailed == asked_ids and len(outbox) == len(asked) and len(files) == len(asked),
        f"{len(asked)} emails, each once",
        f"{len(outbox)} queued, {len(mailed)} sent, {len(files)} files",
    )
    emitted = sorted(n for n, ids in extras.items() for _ in ids)
    check(
        emitted == asked and counts.get("tocks", 0) == len(asked),
        f"{len(asked)} emitted events, each once",
        f"{len(emitted)} are there, {counts.get('tocks', 0)} were counted",
    )


def verify_later(check, engine, events, rings):
    """Each timer once and not early; each HTTP call at least once, under one key."""
    asked = sorted(n for n in events if n % EXTRAS_EVERY == 0)
    rang = {int(row["id"]): row["doc"]["times"] for row in engine.cli("records", "rings")}
    check(
        sorted(n for n, ids in rings.items() for _ in ids) == asked
        and rang == dict.fromkeys(asked, 1),
        f"{len(asked)} timers, each once",
        f"{sum(map(len, rings.values()))} events, {len(rang)} noted",
    )
    early = engine.sql("SELECT count(*) FROM sh_events WHERE received_ms < due_ms")[0][0]
    check(early == 0, "no timer early", f"{early}")
    calls = engine.sink.calls()
    numbers = sorted(n for ns in calls.values() for n in set(ns))
    repeats = sum(len(ns) - 1 for ns in calls.values())
    check(
        numbers == asked and len(calls) == len(asked),
        f"{len(asked)} HTTP calls delivered, each under one key ({repeats} repeats)",
        f"{len(calls)} keys, {len(numbers)} different numbers",
    )
    # a repeat is one whose answer had come, or was on its way, and whose verdict was not on disk
    most = engine.starts * REPEATS_A_KILL
    check(repeats <= most, "repeats only of what was on the wire", f"{repeats}, at most {most}")


def verify_order(check, engine):
    """Per key: handled in the order of arrival. A run that failed with its worker was parked and
    came later; the others must not have waited for it, so it is left out."""
    late = {
        row[0]
        for row in engine.sql(
            "SELECT e.id FROM sh_runs r JOIN sh_events e ON e.seq = r.seq"
            " WHERE r.rule = 'Order' AND r.attempts > 1"
        )
    }
    pages = {row["id"]: row["doc"] for row in engine.cli("records", "order")}
    arrived = collections.defaultdict(list)
    for event_id, key in engine.sql(
        "SELECT id, key FROM sh_events WHERE type = 'tick' ORDER BY seq"
    ):
        arrived[key].append(event_id)
    wrong = []
    for key, ids in arrived.items():
        head = pages.get(key, {"page": 0, "ids": []})
        names = [f"{key}/{p}" for p in range(head["page"])] + [key]
        handled = [i for name in names for i in pages.get(name, {"ids": []})["ids"]]
        on_time = [i for i in handled if i not in late]
        if sorted(handled) != sorted(ids) or on_time != [i for i in ids if i not in late]:
            wrong.append(key)
    what = f"the events of each of {len(arrived)} keys in their order"
    check(not wrong, what + (f" ({len(late)} retried ones aside)" if late else ""), few(wrong))


def finish(report, mode, engine, promises):
    """Let a running engine come to rest, stop it in order, and look."""
    if not report.check(engine.settle(), f"{mode}: everything finished"):
        report.note("events unfinished, runs to retry, outbox items queued, timers: %d, %d, %d, %d"
                    % engine.unfinished())
    code, seconds = engine.stop()
    report.check(code == 0, f"{mode}: stopped in order in {seconds:.2f} s", f"exit code {code}")
    verify(report, mode, engine, promises)


# --- modes ---------------------------------------------------------------------------------------


def start(report, mode, engine):
    engine.start()
    good = engine.ready_s < READY_LIMIT_S
    if not good:
        report.check(False, f"{mode}: ready in under {READY_LIMIT_S} s", f"{engine.ready_s:.2f} s")
    return good


def torture_engine(report, engine, rng, rounds):
    """kill -9 of the whole group, again and again, on one data folder."""
    promises = Promises()
    for number in range(1, rounds + 1):
        good = start(report, "engine", engine)
        load = Load(engine, rng, promises.numbers)
        after = rng.uniform(0.3, 1.5)
        time.sleep(after)
        by_itself = engine.process.poll()
        gone = engine.kill_group()
        load.finish()
        promises.add(load)
        waiting = engine.ready_line.split("unfinished: ")[1].split(",")[0]
        if good:
            report.check(
                gone and load.acks and not load.refused and by_itself is None,
                f"round {number}: ready in {engine.ready_s:.2f} s with {waiting} unfinished, "
                f"killed after {after:.2f} s, {len(load.acks)} acknowledged, "
                f"{len(load.unknown)} unknown",
                f"ended by itself: {by_itself}; workers gone: {gone}; "
                f"answered with other than 200: {len(load.refused)}",
            )
    start(report, "engine", engine)
    finish(report, "engine", engine, promises)


def torture_workers(report, engine, rng, rounds):
    """kill -9 of single workers; the senders must not notice."""
    promises = Promises()
    start(report, "workers", engine)
    disk = Disk(engine.folder)
    load = Load(engine, rng, promises.numbers)
    kills, over = 0, time.monotonic() + min(60, max(5, rounds / 4))
    while time.monotonic() < over:
        time.sleep(rng.uniform(0.1, 0.3))
        victims = engine.workers()
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
                kills += 1
    load.finish()
    promises.add(load)
    gap, slowest = load.longest_gap()
    pause = disk.finish()
    limit = GAP_LIMIT_S + pause
    report.check(
        gap < limit and slowest < limit and not load.refused and not load.broken,
        f"workers: {kills} killed, {len(load.acks)} acknowledged without a break, "
        f"longest gap {gap * 1000:.0f} ms (longest sync of the disk: {pause * 1000:.0f} ms)",
        f"slowest answer {slowest:.2f} s, answered with other than 200: {len(load.refused)}, "
        f"connections lost: {load.broken[:2]}",
    )
    finish(report, "workers", engine, promises)


def stop_one(report, what, engine, pid, seconds):
    """SIGSTOP a worker and wait for the engine to end it; what is left is set going again."""
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    replaced = wait_until(lambda: not is_alive(pid), seconds, 0.02)
    took = time.monotonic() - began
    report.check(replaced, f"stopped: {what} was replaced after {took:.1f} s",
                 "it is still there, stopped")
    return replaced


def torture_stopped(report, engine, rng, _rounds):
    """Workers that do not die and do not answer."""
    promises = Promises()
    start(report, "stopped", engine)
    disk = Disk(engine.folder)
    load = Load(engine, rng, promises.numbers)
    time.sleep(0.5)
    first = engine.workers()[0]
    began = time.monotonic()
    replaced = stop_one(report, "a busy worker", engine, first, 8)
    time.sleep(max(0, began + 4 - time.monotonic()))
    load.finish()
    promises.add(load)
    gap, slowest = load.longest_gap()
    pause = disk.finish()
    report.check(
        slowest < GAP_LIMIT_S + pause and not load.refused and not load.broken,
        f"stopped: {len(load.acks)} acknowledged without a break, longest gap {gap * 1000:.0f} ms "
        f"(longest sync of the disk: {pause * 1000:.0f} ms)",
        f"slowest answer {slowest:.2f} s, answered with other than 200: {len(load.refused)}",
    )
    done = wait_until(lambda: not any(engine.unfinished()), 8, 0.1)
    report.check(done, "stopped: its events were handled elsewhere",
                 f"waiting: {engine.unfinished()}")
    if not replaced and is_alive(first):
        os.kill(first, signal.SIGCONT)
        engine.settle()

    # Now one that stands still before it is given anything.
    idle = rng.choice(engine.workers())
    os.kill(idle, signal.SIGSTOP)
    time.sleep(0.3)
    load = Load(engine, rng, promises.numbers)
    time.sleep(1)
    load.finish()
    promises.add(load)
    done = wait_until(lambda: not any(engine.unfinished()), 7, 0.1)
    report.check(done, "stopped: an idle worker that stands still holds nothing up",
                 f"waiting after 8 s: {engine.unfinished()}")
    if is_alive(idle):
        os.kill(idle, signal.SIGCONT)
    finish(report, "stopped", engine, promises)


def torture_term(report, engine, rng, rounds):
    """SIGTERM under load: the end is quick, in order, and loses nothing."""
    promises = Promises()
    for _ in range(max(2, rounds // 10)):
        start(report, "term", engine)
        load = Load(engine, rng, promises.numbers)
        time.sleep(rng.uniform(0.3, 1.0))
        code, seconds = engine.stop()
        load.finish()
        promises.add(load)
        report.check(
            code == 0 and seconds < STOP_LIMIT_S,
            f"term: ended in {seconds:.2f} s, {len(load.acks)} acknowledged, "
            f"{len(load.refused)} answered with 503, {len(load.unknown)} unknown",
            f"exit code {code}",
        )
    start(report, "term", engine)
    finish(report, "term", engine, promises)


MODES = {
    "engine": (torture_engine, ""),
    "workers": (torture_workers, MANY_RETRIES),
    "stopped": (torture_stopped, 'budgets = { wall = "1s" }, ' + MANY_RETRIES),
    "term": (torture_term, ""),
}


def main():
    parser = argparse.ArgumentParser(description="Kill the engine under load and look for losses.")
    parser.add_argument("--rounds", type=int, default=100, help="kills of the engine (100)")
    parser.add_argument("--seed", type=int, help="repeat a run's random choices")
    parser.add_argument("--modes", default=",".join(MODES), help="some of " + ", ".join(MODES))
    parser.add_argument("--tap", action="store_true", help="print TAP")
    parser.add_argument("--keep", action="store_true", help="keep the folders")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    default = os.environ.get("SWITCHHOOK_BIN", os.path.join(root, "build", "switchhook"))
    parser.add_argument("--binary", default=default, help="the engine (build/switchhook)")
    options = parser.parse_args()
    modes = options.modes.split(",")
    if options.rounds < 1 or any(mode not in MODES for mode in modes):
        parser.error("--rounds is at least 1, and --modes some of " + ", ".join(MODES))

    if not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary}: no such program; ./dev build makes it")

    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    report = Report(options.tap)
    report.note(f"seed {seed} (repeat with --seed {seed})")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="switchhook-torture-")
    binary = os.path.join(folder, "switchhook")  # a copy: a build meanwhile must not change it
    try:
        shutil.copy2(options.binary, binary)
        for mode in modes:
            run, extra = MODES[mode]
            engine = Engine(binary, os.path.join(folder, mode), extra)
            try:
                run(report, engine, random.Random(f"{seed} {mode}"), options.rounds)
            except (RuntimeError, OSError, sqlite3.Error, LookupError) as why:
                report.check(False, f"{mode}: came to its end", f"{type(why).__name__}: {why}")
            Engine.end_all()
    finally:
        Engine.end_all()
        if report.failed or options.keep:
            report.note(f"the folders are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    report.end()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
