#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torture.py: kill -9 the engine's process group under load, restart, look; again and again. Some
rounds kill random rule workers instead. Checked in every round:

  - ready again in under 2 s;
  - every event that was answered 200 is in the store, and its rules have run;
  - its effects were applied once: counters per call are 1, the total is the number of events;
  - an answered event that is sent again is recognised, with the same id;
  - with workers killed: no request fails, answers never pause for 2 s, nothing is parked for ever;
  - the database passes quick_check.

Every fifth engine round does not wait for the rules, so that a backlog lives through several
deaths. One data folder serves all rounds. Ends with `N passed, N failed`; exit 1 if any failed.
"""
import argparse
import http.client
import json
import os
import random
import re
import selectors
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY_MS = 2000
CONNECTIONS = 8
RULES = '''
rule "Count each call" {
  on = "*",
  run = function(call)
    records.incr("counts", call.call_id, "n", 1)
    records.incr("counts", "total", "n", 1)
  end,
}
rule "Keep the call" {
  on = "call_*",
  run = function(call)
    local known = records.get("calls", call.call_id) or {}
    records.put("calls", call.call_id, { seen = (known.seen or 0) + 1, number = call.remote_number })
  end,
}
'''
CONFIG = '''
return {
  sources = { webphone = { path = "/hooks/webphone", type = { field = "event" },
                           key = { field = "call_id" }, auth = "none" } },
  retry = { "100ms", "200ms", "500ms", "1s", "2s", "2s", "2s", "2s" },
  limits = { backlog = 1000000 },
}
'''


class Failure(Exception):
    pass


class Engine:
    """One life of the engine, leader of a process group of its own."""

    def __init__(self, binary, folder):
        self.log = open(os.path.join(folder, "engine.log"), "ab")
        self.data = os.path.join(folder, "data")
        start = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "serve", "--config", os.path.join(folder, "switchhook.lua"),
             "--listen", "127.0.0.1:0", "--data", self.data, "--rules", os.path.join(folder, "rules"),
             "--scripts", os.path.join(folder, "scripts")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, cwd=folder,
            start_new_session=True)
        line = self.first_line(30)
        self.ready_ms = (time.monotonic() - start) * 1000
        match = re.search(r"ready on http://127\.0\.0\.1:(\d+)", line)
        if not match:
            self.kill()
            raise Failure("the engine did not get ready: %r (see %s)" % (line, self.log.name))
        self.port = int(match.group(1))

    def first_line(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return ""
        return self.process.stdout.readline().decode(errors="replace")

    def workers(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            children = f.read().split()
        found = []
        for pid in children:
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    if b"worker" in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass  # ended meanwhile
        return found

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("the engine did not end within 20 s of SIGTERM")
        self.process.stdout.close()
        self.log.close()
        if code != 0:
            raise Failure("the engine left with %d after SIGTERM" % code)


class Load:
    """Posts from several connections until told to stop; remembers what was answered."""

    def __init__(self, port, prefix, payload):
        self.port, self.prefix, self.payload = port, prefix, payload
        self.acked = {}     # call_id -> event id
        self.open = {}      # connection -> call_id sent and not answered
        self.refused = []   # answers that were not 200
        self.broken = []    # connections that broke
        self.longest_s = 0.0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        count = 0
        while not self.stopping.is_set():
            call_id = "%s-%d-%d" % (self.prefix, n, count)
            count += 1
            self.open[n] = call_id
            start = time.monotonic()
            try:
                status, answer = post(connection, self.payload(call_id))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.broken.append(repr(error))
                return
            self.longest_s = max(self.longest_s, time.monotonic() - start)
            if status == 200 and "id" in answer:
                self.acked[call_id] = answer["id"]
            else:
                self.refused.append((status, answer))
            del self.open[n]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(40)


def post(connection, body):
    connection.request("POST", "/hooks/webphone", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


class Torture:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="switchhook-torture.")
        self.random = random.Random(args.seed)
        for name in ("rules", "scripts"):
            os.mkdir(os.path.join(self.folder, name))
        with open(os.path.join(self.folder, "rules", "count.lua"), "w") as f:
            f.write(RULES)
        with open(os.path.join(self.folder, "switchhook.lua"), "w") as f:
            f.write(CONFIG)
        with open(os.path.join(ROOT, "examples", "webphone", "call_postprocess.json")) as f:
            self.sample = json.load(f)
        self.acked = {}
        self.engine = None
        self.slowest_ms = 0.0

    def payload(self, call_id):
        return json.dumps(dict(self.sample, call_id=call_id))

    def start(self):
        self.engine = Engine(self.args.bin, self.folder)
        self.slowest_ms = max(self.slowest_ms, self.engine.ready_ms)
        if self.engine.ready_ms > READY_MS:
            raise Failure("ready only after %d ms" % self.engine.ready_ms)

    def rows(self, sql, *values):
        path = os.path.join(self.folder, "data", "switchhook.db")
        db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def number(self, sql):
        return self.rows(sql)[0][0]

    def check_stored(self, load):
        """Each answered event is there, under the id of the answer."""
        stored = dict(self.rows("SELECT key, id FROM sh_events WHERE key GLOB ?",
                                load.prefix + "-*"))
        lost = [c for c, event in load.acked.items() if stored.get(c) != event]
        if lost:
            raise Failure("%d of %d acknowledged events are lost, such as %s" %
                          (len(lost), len(load.acked), lost[0]))

    def check_repeats(self, load):
        """Unanswered ones are sent again, as a sender would; answered ones are recognised."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=30)
        again = list(load.open.values())
        known = self.random.sample(sorted(load.acked), min(5, len(load.acked)))
        for call_id in again + known:
            status, answer = post(connection, self.payload(call_id))
            if status != 200:
                raise Failure("sent again: %d %s" % (status, answer))
            if call_id in load.acked and (not answer.get("duplicate") or
                                          answer["id"] != load.acked[call_id]):
                raise Failure("an answered event was not recognised as a repeat: %s" % answer)
            load.acked[call_id] = answer["id"]
        connection.close()

    def wait_for_rules(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            left = self.number("SELECT (SELECT count(*) FROM sh_unfinished) + "
                               "(SELECT count(*) FROM sh_runs WHERE outcome = 'retry')")
            if left == 0:
                return
            if time.monotonic() > deadline:
                raise Failure("%d events are still unfinished after %d s" % (left, seconds))
            time.sleep(0.05)

    def check_effects(self):
        events = self.number("SELECT count(*) FROM sh_events")
        dead = self.number("SELECT count(*) FROM sh_runs WHERE outcome = 'dead'")
        if dead:
            raise Failure("%d dead letters: %s" % (dead, self.rows(
                "SELECT rule, error FROM sh_runs WHERE outcome = 'dead' LIMIT 1")))
        total = self.number("SELECT json_extract(doc, '$.n') FROM sh_records "
                            "WHERE collection = 'counts' AND id = 'total'")
        if total != events:
            raise Failure("%d events are stored, %d were counted" % (events, total))
        for collection, field in (("counts", "n"), ("calls", "seen")):
            off = self.number("SELECT count(*) FROM sh_records WHERE collection = '%s' AND "
                              "id <> 'total' AND json_extract(doc, '$.%s') <> 1" % (collection, field))
            once = self.number("SELECT count(*) FROM sh_records WHERE collection = '%s' AND "
                               "id <> 'total'" % collection)
            if off or once != events:
                raise Failure("%s: %d records for %d events, %d not applied once" %
                              (collection, once, events, off))
        return events

    def check_file(self):
        said = self.number("PRAGMA quick_check")
        if said != "ok":
            raise Failure("quick_check: %s" % said)

    def engine_round(self, n):
        load = Load(self.engine.port, "r%d" % n, self.payload)
        time.sleep(self.random.uniform(0.1, 1.2))
        self.engine.kill()
        load.stop()
        if load.refused:
            raise Failure("answered %d %s" % load.refused[0])
        self.check_stored(load)
        self.start()
        self.check_repeats(load)
        self.check_stored(load)
        text = "engine killed, %d acknowledged, none lost, ready in %d ms" % (
            len(load.acked), self.engine.ready_ms)
        self.acked.update(load.acked)
        if n % 5 == 0 and n < self.args.rounds:
            return text + ", rules still running"
        self.wait_for_rules(60)
        return text + ", %d events applied once" % self.check_effects()

    def worker_round(self, n):
        load = Load(self.engine.port, "w%d" % n, self.payload)
        kills, before = 0, self.engine.process.pid
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.05, 0.3))
            workers = self.engine.workers()
            if workers:
                os.kill(self.random.choice(workers), signal.SIGKILL)
                kills += 1
        load.stop()
        if load.refused or load.broken:
            raise Failure("workers killed, and a request failed: %s" % (load.refused + load.broken)[0])
        if self.engine.process.pid != before or self.engine.process.poll() is not None:
            raise Failure("the engine ended with its workers")
        if load.longest_s > 2 or not load.acked or kills < 3:
            raise Failure("%d acknowledged, longest wait %.1f s, %d workers killed" %
                          (len(load.acked), load.longest_s, kills))
        self.wait_for_rules(60)
        self.check_stored(load)
        self.acked.update(load.acked)
        return "%d workers killed, %d acknowledged, longest wait %d ms, %d events applied once" % (
            kills, len(load.acked), load.longest_s * 1000, self.check_effects())

    def last_round(self):
        """Stop in order; everything that was ever answered is there; the file is sound."""
        self.engine.stop()
        self.engine = None
        stored = set(event for (event,) in self.rows("SELECT id FROM sh_events"))
        lost = [event for event in self.acked.values() if event not in stored]
        if lost:
            raise Failure("%d events lost at the end" % len(lost))
        unfinished = self.number("SELECT count(*) FROM sh_unfinished")
        if unfinished:
            raise Failure("%d unfinished at the end" % unfinished)
        self.check_file()
        events = self.check_effects()
        listed = subprocess.run([self.args.bin, "records", "counts", "--id", "total", "--data",
                                 os.path.join(self.folder, "data"), "--json"],
                                capture_output=True, check=True, text=True)
        if json.loads(listed.stdout.splitlines()[0])["doc"]["n"] != events:
            raise Failure("switchhook records says %s" % listed.stdout)
        return "%d acknowledged in all, 0 lost, %d events applied once, slowest start %d ms" % (
            len(self.acked), events, self.slowest_ms)

    def attempt(self, number, name, work, *values):
        failed = None
        try:
            text = work(*values)
        except (Failure, OSError, sqlite3.Error, subprocess.SubprocessError,
                http.client.HTTPException) as error:
            failed = text = str(error) or repr(error)
        mark = "not ok" if failed else "ok"
        if self.args.tap:
            print("%s %d - %s: %s" % (mark, number, name, text), flush=True)
        else:
            print("%-6s %s: %s" % (mark, name, text), flush=True)
        return not failed

    def run(self):
        plan = [("round %d" % n, self.engine_round, n) for n in range(1, self.args.rounds + 1)]
        for n in range(1, max(1, self.args.rounds // 10) + 1):
            plan.insert(n * 11 - 1, ("workers %d" % n, self.worker_round, n))
        plan.append(("at the end", self.last_round))
        passed = failed = 0
        try:
            if not self.attempt(0, "start", lambda: self.start() or "ready"):
                failed, plan = 1, []
            else:
                passed = 1
            for number, (name, work, *values) in enumerate(plan, 1):
                if self.attempt(number, name, work, *values):
                    passed += 1
                    continue
                failed += 1
                if self.engine is None or self.engine.process.poll() is not None:
                    break  # nothing is left to go on with
        finally:
            if self.engine:
                self.engine.kill()
        if failed:
            print("# left for a look: %s" % self.folder)
        else:
            shutil.rmtree(self.folder)
        print("%d passed, %d failed" % (passed, failed))
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="engine deaths (default 100)")
    parser.add_argument("--tap", action="store_true", help="TAP lines")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    parser.add_argument("--bin", default=os.environ.get("SWITCHHOOK_BIN",
                                                        os.path.join(ROOT, "build", "switchhook")))
    args = parser.parse_args()
    if args.rounds < 1 or not os.access(args.bin, os.X_OK):
        parser.error("--rounds needs 1 or more, and %s must be there" % args.bin)
    args.bin = os.path.abspath(args.bin)
    sys.exit(Torture(args).run())


if __name__ == "__main__":
    main()
