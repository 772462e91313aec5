#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""reload.py: the benchmark of rules that change under load.

usage: ./dev bench reload [--rate N] [--seconds N] [--rounds N] [--every S] [--quick] [--write]

Webhooks arrive at a steady rate (5,000/s). For one stretch the rules stay as they are, for the next
a new version of a rule and of a script it requires is written every second; and again, --rounds
times, in one engine. Each event's rule writes down which version of either file it ran with.
"""
import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import later  # noqa: E402
import report  # noqa: E402
from later import say, wait_for  # noqa: E402
from measure import pss_kib  # noqa: E402
from peers import ROOT, BenchError  # noqa: E402

RULE = """
local b = require "b"
local own = %d
rule "Version" { on = "tick", run = function(e)
  records.put("seen", e.call_id, { a = own, b = b.version })
end }
"""
SCRIPT = "return { version = %d }\n"


class Writer(threading.Thread):
    """Writes a new version of both files every `every` seconds until stop()."""

    def __init__(self, engine, every, version):
        super().__init__(daemon=True)
        self.engine, self.every, self.version = engine, every, version
        self.over, self.written = threading.Event(), 0

    def run(self):
        while not self.over.wait(self.every):
            self.version += 1
            self.written += 1
            self.engine.write("scripts/b.lua", SCRIPT % self.version)
            self.engine.write("rules/bench.lua", RULE % self.version)

    def stop(self):
        self.over.set()
        self.join()
        return self.version


def stretch(engine, args):
    wrk = later.wrk_result(later.paced_load(engine, args.rate, args.seconds))
    wait_for("the backlog", 120, lambda: not engine.one("SELECT count(*) FROM sh_unfinished"), 0.2)
    return {"requests": wrk["requests"], "rate": wrk["requests"] / (wrk["us"] / 1e6),
            "p50_ms": wrk["p50_us"] / 1e3, "p99_ms": wrk["p99_us"] / 1e3,
            "max_ms": wrk["max_us"] / 1e3,
            "errors": sum(wrk[k] for k in ("connect", "read", "write", "status", "timeout"))}


def measure(args, folder):
    os.makedirs(os.path.join(folder, "scripts"))
    engine = later.Engine(folder, RULE % 0)
    engine.write("scripts/b.lua", SCRIPT % 0)
    still, moving, version, written, peak = [], [], 0, 0, 0
    try:
        engine.start()
        warm_up = argparse.Namespace(rate=args.rate, seconds=max(1, args.seconds // 6))
        warm = stretch(engine, warm_up)
        for n in range(args.rounds):
            still.append(stretch(engine, args))
            writer = Writer(engine, args.every, version)
            writer.start()
            moving.append(stretch(engine, args))
            version = writer.stop()
            written += writer.written
            peak = max(peak, pss_kib(engine.pids()) / 1024)
            say("  round %d: p99 %.2f ms still, %.2f ms with %d new versions" % (
                n + 1, still[-1]["p99_ms"], moving[-1]["p99_ms"], writer.written))
        sent = engine.one("SELECT count(*) FROM sh_events")
        out = {
            "events": sent,
            "seen": engine.one("SELECT count(*) FROM sh_records WHERE collection = 'seen'"),
            "mixed": engine.one("SELECT count(*) FROM sh_records WHERE collection = 'seen' AND"
                                " json_extract(doc, '$.a') <> json_extract(doc, '$.b')"),
            "failed": engine.one("SELECT count(*) FROM sh_runs WHERE outcome <> 'done'"),
            "wrong": engine.one(
                "SELECT count(*) FROM sh_runs r WHERE NOT EXISTS(SELECT 1 FROM sh_generation_lives"
                " g WHERE g.generation = r.generation)"),
            "live": engine.one("SELECT count(*) FROM sh_generation_lives") - 1,
            "written": written, "peak_mib": peak, "acked": sum(
                s["requests"] for s in [warm] + still + moving)}
        engine.stop()
    finally:
        engine.kill()
    for name, stretches in (("still", still), ("moving", moving)):
        out[name] = {k: statistics.median(s[k] for s in stretches)
                     for k in ("rate", "p50_ms", "p99_ms", "max_ms")}
        out["errors"] = out.get("errors", 0) + sum(s["errors"] for s in stretches)
    out["ratio"] = out["moving"]["p99_ms"] / out["still"]["p99_ms"]
    return out


def checks(r):
    yield r["events"] >= r["acked"], "every acknowledged event is stored (%d of %d)" % (
        r["events"], r["acked"])
    yield r["seen"] == r["events"], "each event ran its rule (%d of %d)" % (r["seen"], r["events"])
    yield r["mixed"] == 0, "none ran with files of two generations (%d)" % r["mixed"]
    yield r["failed"] == 0, "no run failed (%d)" % r["failed"]
    yield r["wrong"] == 0, "each run names a generation that went live (%d do not)" % r["wrong"]
    yield r["errors"] == 0, "no webhook failed (%d)" % r["errors"]
    yield r["live"] >= 0.5 * r["written"], "new versions went live (%d of %d written)" % (
        r["live"], r["written"])


def table(r, args):
    rows = ["| | asked for | measured |", "|---|---|---|"]
    s, m = r["still"], r["moving"]
    rows += ["| %s | %s | %s |" % row for row in (
        ("webhooks acknowledged, with a new version every %g s" % args.every, "5,000/s",
         "%.0f/s" % m["rate"]),
        ("... latency p50, p99, max without reloads", "", "%.2f, %.2f, %.1f ms" % (
            s["p50_ms"], s["p99_ms"], s["max_ms"])),
        ("... and with them", "", "%.2f, %.2f, %.1f ms" % (m["p50_ms"], m["p99_ms"], m["max_ms"])),
        ("... p99 with against without", "at most 1.5", "%.2f" % r["ratio"]),
        ("versions written, gone live", "", "%d, %d" % (r["written"], r["live"])),
        ("events lost, webhooks failed, runs failed", "0, 0, 0", "%d, %d, %d" % (
            r["events"] - r["seen"], r["errors"], r["failed"])),
        ("events run with files of two generations", "0", "%d" % r["mixed"]),
        ("memory of all processes at the end", "", "%.0f MiB" % r["peak_mib"]))]
    return "\n".join(rows) + "\n"


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench reload", description="Rules that change.")
    p.add_argument("--rate", type=int, default=5000, help="webhooks a second")
    p.add_argument("--seconds", type=int, default=20, help="of each stretch")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--every", type=float, default=1, help="seconds between new versions")
    p.add_argument("--quick", action="store_true", help="a small slice, as TAP; no time is judged")
    p.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    a = p.parse_args()
    if a.quick:
        a.rate, a.seconds, a.rounds = 500, 4, 1
    return a


def main():
    args = arguments()
    folder = tempfile.mkdtemp(prefix="switchhook-reload-", dir=os.path.join(ROOT, "build"))
    try:
        result = measure(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = list(checks(result))
    for n, (well, text) in enumerate(found, 1):
        print("%s %d - %s" % ("ok" if well else "not ok", n, text), flush=True)
    print("1..%d" % len(found))
    if not args.quick:
        print(table(result, args))
    if args.write:
        args.scratch, args.affinity = os.path.join(ROOT, "build"), sorted(os.sched_getaffinity(0))
        report.write("reload", report.heading(args) + "\n\n" + table(result, args))
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
