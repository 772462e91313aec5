#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""later.py: the benchmark of what happens later: timers that fall due and HTTP calls that go out.

usage: ./dev bench later [--only LIST] [--timers N] [--pending N] [--calls N] [--down-minutes N]
                         [--quick] [--write]

Parts (all of them unless --only names some):
  timers   N timers due within one second while webhooks arrive at 2,000/s (N = 100,000)
  pending  start with N timers pending (N = 1,000,000)
  outbox   N queued HTTP calls to one receiver, and to eight (N = 60,000)
  through  webhooks whose rule posts to a receiver, from request to delivery
  down     a receiver that is down for a while (--down-minutes 10), beside one that is not
"""
import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import peers  # noqa: E402
import report  # noqa: E402
from measure import pss_kib  # noqa: E402
from peers import ROOT, BenchError  # noqa: E402

CONFIG = """return {
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
  http = { allow = { "127.0.0.0/8" } },
}
"""
TIMER_RULES = """
rule "Arm" { on = "arm", run = function(e)
  for i = e.first, e.first + e.count - 1 do
    after(e.due + (i % 1000) / 1000, "ring", { n = i })
  end
end }
rule "Ring" { on = "ring", run = function(r) records.incr("rings", tostring(r.n), "times") end }
rule "Tick" { on = "tick", run = function() end }
"""
CALL_RULES = """
rule "Tell" { on = "tick", run = function(e)
  http.post { url = "@/in", json = { n = e.n } }
end }
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Engine(peers.Peer):
    name = "engine"

    def __init__(self, folder, rules):
        super().__init__(folder, None)
        self.data = os.path.join(folder, "data")
        os.makedirs(os.path.join(folder, "rules"), exist_ok=True)
        self.write("switchhook.lua", CONFIG)
        self.write("rules/bench.lua", rules)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        began = time.monotonic()
        self.spawn([peers.Engine.binary(), "serve", "--config",
                    os.path.join(self.folder, "switchhook.lua"), "--listen", "127.0.0.1:0",
                    "--data", self.data, "--rules", os.path.join(self.folder, "rules")])
        self.ready_line()
        self.ready_s = time.monotonic() - began
        self.db = sqlite3.connect("file:%s/switchhook.db?mode=ro" % self.data, uri=True, timeout=30)

    def sql(self, query):
        return self.db.execute(query).fetchall()

    def one(self, query):
        return self.sql(query)[0][0]

    def post(self, event):
        body = json.dumps(event).encode()
        if peers.post(self.port, self.path, body) != 200:
            raise BenchError("the engine did not take an event")

    def kill(self):
        if getattr(self, "db", None):
            self.db.close()
        super().kill()


class Sink(peers.Peer):
    """bench_sink on some addresses."""
    name = "sink"

    def start(self, addresses, port=0):
        self.spawn([os.path.join(ROOT, "build/bench/bench_sink"), str(addresses), str(port)])
        self.ready_line()
        return self

    def stats(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/stats" % self.port, timeout=10) as f:
            return json.load(f)


def wait_for(what, seconds, fn, pause=0.05):
    end = time.monotonic() + seconds
    while not (value := fn()):
        if time.monotonic() > end:
            raise BenchError("waited %d s for %s" % (seconds, what))
        time.sleep(pause)
    return value


def empty_store(folder):
    """A data folder with its schema, made by the engine itself."""
    engine = Engine(folder, CALL_RULES.replace("@", "http://127.0.0.1:9"))
    try:
        engine.start()
        engine.stop()
    finally:
        engine.kill()
    return os.path.join(folder, "data", "switchhook.db")


# --- timers --------------------------------------------------------------------------------------


def paced_load(engine, rate, seconds):
    """Start wrk at a steady rate; 192 connections, so that an answer's time changes it little."""
    env = dict(os.environ, BENCH_WAIT_MS="%.3f" % (192000 / rate - 3))
    return subprocess.Popen([peers.which("wrk"), "-t", "1", "-c", "192", "-d", "%ds" % seconds,
                             "--latency", "--timeout", "10s", "-s",
                             os.path.join(ROOT, "tests/bench/paced.lua"),
                             "http://127.0.0.1:%d%s" % (engine.port, engine.path)],
                            stdout=subprocess.PIPE, text=True, env=env)


def wrk_result(process):
    out = process.communicate(timeout=120)[0]
    said = re.search(r"^RESULT (.*)$", out, re.M)
    if not said:
        raise BenchError("wrk failed: " + out)
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", said.group(1))}


def arm(engine, n, due):
    step = 500
    for first in range(0, n, step):
        engine.post({"event": "arm", "call_id": "arm-%d" % first, "first": first,
                     "count": min(step, n - first), "due": due})


def part_timers(args, folder):
    engine = Engine(folder, TIMER_RULES)
    try:
        engine.start()
        lead = max(6, args.timers / 4000)
        due = int(time.time() + lead)
        arm(engine, args.timers, due)
        wait_for("the timers to be set", 120,
                 lambda: engine.one("SELECT count(*) FROM sh_timers") == args.timers)
        if time.time() > due - 3:
            raise BenchError("setting the timers took too long: nothing can be measured")
        time.sleep(due - 3 - time.time())
        load = paced_load(engine, args.rate, 3 + args.load_seconds)
        say("  %d timers due at %d, webhooks at %d/s" % (args.timers, due, args.rate))
        wait_for("all timers to fire", 300, lambda: engine.one(
            "SELECT count(*) FROM sh_timers") == 0, 0.2)
        fired_ms = engine.one("SELECT max(received_ms) FROM sh_events WHERE type = 'ring'")
        wait_for("their rules to have run", 300, lambda: engine.one(
            "SELECT count(*) FROM sh_records WHERE collection = 'rings'") == args.timers, 0.2)
        ran = time.time()
        wrk = wrk_result(load)
        wait_for("the rest", 60, lambda: not engine.one("SELECT count(*) FROM sh_unfinished"), 0.2)
        early = engine.one("SELECT count(*) FROM sh_events WHERE type = 'ring'"
                           " AND received_ms < due_ms")
        events = engine.one("SELECT count(*) FROM sh_events WHERE type = 'ring'")
        twice = engine.one("SELECT count(*) FROM sh_records WHERE collection = 'rings'"
                           " AND json_extract(doc, '$.times') <> 1")
        engine.stop()
        return {"n": args.timers, "fired_s": fired_ms / 1000 - due, "ran_s": ran - due,
                "early": early, "events": events, "twice": twice,
                "rate": wrk["requests"] / (wrk["us"] / 1e6), "p50_ms": wrk["p50_us"] / 1e3,
                "p99_ms": wrk["p99_us"] / 1e3, "max_ms": wrk["max_us"] / 1e3,
                "errors": sum(wrk[k] for k in ("connect", "read", "write", "status", "timeout"))}
    finally:
        engine.kill()


def part_pending(args, folder):
    path = empty_store(folder)
    due = int((time.time() + 86400) * 1000)
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO sh_timers(name, due_ms, source, type, key, body, depth, event_id, rule,"
            " created_ms) VALUES(?, ?, 'rules', 'ring', ?, ?, 0, ?, 'Arm', 0)",
            (("k:" + uuid.uuid4().hex, due + i * 10, "call-%d" % i, b'{"n":%d}' % i, "x")
             for i in range(args.pending)))
    db.close()
    engine = Engine(folder, TIMER_RULES)
    try:
        engine.start()
        time.sleep(2)
        rss = pss_kib(engine.pids()) / 1024
        engine.post({"event": "arm", "call_id": "a", "first": 0, "count": 1,
                     "due": time.time() + 1})
        wait_for("a timer among them", 10, lambda: engine.one(
            "SELECT count(*) FROM sh_records WHERE collection = 'rings'") == 1)
        left = engine.one("SELECT count(*) FROM sh_timers")
        engine.stop()
        return {"n": args.pending, "ready_s": engine.ready_s, "rss_mib": rss, "left": left}
    finally:
        engine.kill()


# --- outbox --------------------------------------------------------------------------------------


def queue_calls(path, n, urls):
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO sh_outbox(id, kind, lane, recipient, key, event_id, event_key, depth, rule,"
            " payload, state, attempts, next_ms, created_ms)"
            " VALUES(?, 'http', ?, ?, ?, 'x', 'k', 0, 'Tell', ?, 'queued', 0, 0, ?)",
            ((("http-%032x" % i), "http:" + urls[i % len(urls)][7:], urls[i % len(urls)],
              "%032x" % i, json.dumps({"method": "POST", "url": urls[i % len(urls)] + "/in",
                                       "headers": [["content-type", "application/json"]],
                                       "body": '{"n":%d,"text":"%s"}' % (i, "x" * 300)}),
              int(time.time() * 1000)) for i in range(n)))
    db.close()


def drain(args, folder, targets):
    sink = Sink(folder, None).start(targets)
    engine = Engine(folder, CALL_RULES.replace("@", "http://127.0.0.1:9"))
    try:
        urls = ["http://127.0.0.%d:%d" % (i + 1, sink.port) for i in range(targets)]
        queue_calls(empty_store(folder), args.calls, urls)
        engine.start()
        wait_for("all calls to be delivered", 300, lambda: engine.one(
            "SELECT count(*) FROM sh_outbox WHERE state = 'sent'") == args.calls, 0.2)
        got = sink.stats()
        engine.stop()
        return {"n": args.calls, "targets": targets, "rate": args.calls / got["seconds"],
                "calls": got["calls"], "keys": got["keys"], "disorder": got["disorder"]}
    finally:
        engine.kill()
        sink.kill()


def part_outbox(args, folder):
    out = []
    for targets in (1, 8):
        where = os.path.join(folder, str(targets))
        os.makedirs(where)
        out.append(drain(args, where, targets))
    return out


def part_through(args, folder):
    sink = Sink(folder, None).start(1)
    engine = Engine(folder, CALL_RULES.replace("@", "http://127.0.0.1:%d" % sink.port))
    try:
        engine.start()
        began = time.monotonic()
        load = paced_load(engine, args.through_rate, args.load_seconds)
        wrk = wrk_result(load)
        n = wait_for("events", 60, lambda: not engine.one("SELECT count(*) FROM sh_unfinished")
                     and engine.one("SELECT count(*) FROM sh_events"))
        wait_for("all calls to be delivered", 300, lambda: engine.one(
            "SELECT count(*) FROM sh_outbox WHERE state = 'sent'") == n, 0.1)
        took = time.monotonic() - began
        got = sink.stats()
        engine.stop()
        return {"n": n, "rate": n / took, "asked": wrk["requests"] / (wrk["us"] / 1e6),
                "calls": got["calls"], "keys": got["keys"], "p99_ms": wrk["p99_us"] / 1e3}
    finally:
        engine.kill()
        sink.kill()


def part_down(args, folder):
    """Two receivers, one of them down for a while; 40 events/s call both, in one line (a key)."""
    other, sick = Sink(folder, None).start(1), Sink(folder, None).start(1)
    rules = """rule "Tell" { on = "tick", run = function(e)
      http.post { url = "http://127.0.0.1:%d/in", json = { n = e.n } }
      http.post { url = "http://127.0.0.1:%d/in", json = { n = e.n } }
    end }""" % (other.port, sick.port)
    engine = Engine(folder, rules)
    engine.write("switchhook.lua", CONFIG.replace('"127.0.0.0/8" }', '"127.0.0.0/8" }, per_host = 1'))
    n, slowest = 0, 0.0
    try:
        engine.start()
        sick.kill()
        end = time.monotonic() + args.down_seconds
        while time.monotonic() < end:
            n += 1
            began = time.monotonic()
            engine.post({"event": "tick", "call_id": "one", "n": n})
            if n % 20 == 0:
                wait_for("the receiver that is up", 20, lambda: other.stats()["calls"] >= n, 0.002)
                slowest = max(slowest, time.monotonic() - began)
            time.sleep(max(0, began + 0.025 - time.monotonic()))
        while_down = engine.one("SELECT count(*) FROM sh_outbox WHERE state = 'queued'")
        sick = Sink(folder, None)
        up, port = time.monotonic(), int(rules.rsplit(":", 1)[1].split("/")[0])
        sick.start(1, port)
        wait_for("its backlog to be delivered", 180, lambda: engine.one(
            "SELECT count(*) FROM sh_outbox WHERE state <> 'sent'") == 0, 0.1)
        took, got = time.monotonic() - up, sick.stats()
        dead = engine.one("SELECT count(*) FROM sh_outbox WHERE state = 'dead'")
        engine.stop()
        return {"n": n, "down_s": args.down_seconds, "other_ms": slowest * 1e3, "waiting": while_down,
                "drain_s": took, "calls": got["calls"], "keys": got["keys"],
                "disorder": got["disorder"], "dead": dead}
    finally:
        for peer in (engine, other, sick):
            peer.kill()


# --- what comes out ------------------------------------------------------------------------------


def checks(name, r):
    """(well?, what): what must hold, whatever time it took."""
    if name == "timers":
        yield r["events"] == r["n"], "timers: %d of %d fired, each once" % (r["events"], r["n"])
        yield r["early"] == 0, "timers: none early (%d)" % r["early"]
        yield r["twice"] == 0, "timers: each ran its rule once (%d not)" % r["twice"]
        yield r["errors"] == 0, "timers: no webhook failed meanwhile (%d)" % r["errors"]
    if name == "pending":
        yield r["left"] == r["n"], "pending: none of %d fired early or was lost" % r["n"]
    if name == "outbox":
        for one in r:
            yield one["calls"] == one["keys"] == one["n"], (
                "outbox: %d of %d calls to %d receivers delivered, each once"
                % (one["keys"], one["n"], one["targets"]))
    if name == "through":
        yield r["calls"] == r["keys"] == r["n"], (
            "through: %d calls delivered for %d events" % (r["keys"], r["n"]))


    if name == "down":
        yield r["calls"] == r["keys"] == r["n"] and r["dead"] == 0, (
            "down: all %d calls that waited delivered, each once" % r["n"])
        yield r["disorder"] == 0, "down: in order (%d not)" % r["disorder"]
        yield r["waiting"] == r["n"], "down: the other receiver had all of its own (%d wait)" % r["waiting"]


def lines(results):
    """The rows of the table: what, asked for, measured."""
    t = results.get("timers")
    if t:
        yield "%s timers due within 1 s: the last event after" % f"{t['n']:,}", "30 s", (
            "%.1f s" % t["fired_s"])
        yield "... the last of their rules had run after", "", "%.1f s" % t["ran_s"]
        yield "... early, lost, twice", "0, 0, 0", "%d, %d, %d" % (
            t["early"], t["n"] - t["events"], t["twice"])
        yield "... webhooks acknowledged meanwhile", "2,000/s", "%.0f/s" % t["rate"]
        yield "... their latency p50, p99, max", "p99 50 ms", "%.1f, %.1f, %.1f ms" % (
            t["p50_ms"], t["p99_ms"], t["max_ms"])
    p = results.get("pending")
    if p:
        yield "start with %s timers pending" % f"{p['n']:,}", "3 s", "%.2f s" % p["ready_s"]
        yield "... memory of all processes", "200 MiB", "%.0f MiB" % p["rss_mib"]
    for o in results.get("outbox", ()):
        yield "deliveries to %d receiver%s from a backlog of %s" % (
            o["targets"], "s" * (o["targets"] > 1), f"{o['n']:,}"), "3,000/s", (
                "%.0f/s" % o["rate"])
    r = results.get("through")
    if r:
        yield "from webhook to delivery, one call an event, at %.0f/s" % r["asked"], "", (
            "%.0f/s, webhooks p99 %.1f ms" % (r["rate"], r["p99_ms"]))


    d = results.get("down")
    if d:
        yield "a receiver down for %d s: the slowest call to another one" % d["down_s"], "no delay", (
            "%.0f ms" % d["other_ms"])
        yield "... its %d calls delivered, in order, after its return" % d["n"], "", (
            "%.0f s, each once" % d["drain_s"])


def table(results):
    rows = ["| | asked for | measured |", "|---|---|---|"]
    rows += ["| %s | %s | %s |" % row for row in lines(results)]
    return "\n".join(rows) + "\n"


PARTS = {"timers": part_timers, "pending": part_pending, "outbox": part_outbox,
         "through": part_through, "down": part_down}


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench later", description="Timers and deliveries.")
    p.add_argument("--only", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    p.add_argument("--timers", type=int, default=100000)
    p.add_argument("--pending", type=int, default=1000000)
    p.add_argument("--calls", type=int, default=60000)
    p.add_argument("--rate", type=int, default=2000, help="webhooks a second beside the timers")
    p.add_argument("--down-minutes", type=float, default=10)
    p.add_argument("--through-rate", type=int, default=2500)
    p.add_argument("--quick", action="store_true", help="a small slice, as TAP; no time is judged")
    p.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    a = p.parse_args()
    a.load_seconds = 20
    a.down_seconds = 60 * a.down_minutes
    if a.quick:
        a.down_seconds = 8
        a.timers, a.pending, a.calls, a.rate, a.through_rate = 3000, 20000, 2000, 300, 300
        a.load_seconds = 3
    a.only = a.only.split(",")
    if any(name not in PARTS for name in a.only):
        p.error("--only: some of " + ", ".join(PARTS))
    return a


def main():
    args, results, found = arguments(), {}, []
    if subprocess.run(["cmake", "--build", os.path.join(ROOT, "build"), "--target", "bench_sink"],
                      stdout=subprocess.DEVNULL).returncode:
        raise BenchError("cannot build bench_sink")
    base = tempfile.mkdtemp(prefix="switchhook-later-", dir=os.path.join(ROOT, "build"))
    try:
        for name in args.only:
            say(name)
            folder = os.path.join(base, name)
            os.makedirs(folder)
            results[name] = PARTS[name](args, folder)
            found += checks(name, results[name])
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    for n, (well, text) in enumerate(found, 1):
        print("%s %d - %s" % ("ok" if well else "not ok", n, text), flush=True)
    print("1..%d" % len(found))
    if not args.quick:
        print(table(results))
    if args.write:
        args.scratch, args.affinity = os.path.join(ROOT, "build"), sorted(os.sched_getaffinity(0))
        report.write("later", report.heading(args) + "\n\n" + table(results))
    return 0 if all(well for well, _ in found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except BenchError as e:
        say("bench: %s" % e)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
