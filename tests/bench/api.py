#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""api.py: the benchmark of people who read while events come in.

usage: ./dev bench api [--events N] [--clients N] [--rate N] [--seconds N] [--rounds N] [--quick]
                       [--write]

A store with 1,000,000 events. Webhooks arrive at a steady rate (5,000/s). For one stretch that is
all; for the next, 100 clients page through GET /api/v1/events as fast as they get their answers; and
so on, --rounds times, in one engine. In the end one client walks through the whole list, and must
have met every event once.
"""
import argparse
import hashlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import later  # noqa: E402
import measure as meters  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
from later import say, wait_for  # noqa: E402
from peers import ROOT, BenchError  # noqa: E402

RULE = 'rule "Seen" { on = "*", run = function(e) records.put("seen", e.call_id, { n = e.n }) end }\n'
TEMPLATES = 200  # real events, of which the others are made
LIST = "/api/v1/events?limit=%d"


def fill(engine, n):
    """n finished events in the engine's store: real ones that it has run, many times over with
    other ids, keys and times, a minute of life for each thousand. The engine is stopped."""
    with open(os.path.join(ROOT, "examples/webphone/call_start.json"), encoding="utf-8") as f:
        sample = json.load(f)
    engine.start()
    for i in range(TEMPLATES):
        engine.post(dict(sample, call_id="template-%d" % i))
    wait_for("the templates to be run", 60,
             lambda: not engine.one("SELECT count(*) FROM sh_unfinished"))
    engine.stop()
    engine.db.close()
    db = sqlite3.connect(os.path.join(engine.data, "switchhook.db"), isolation_level=None)
    events = db.execute("SELECT * FROM sh_events ORDER BY seq").fetchall()
    runs = dict((r[0], r) for r in db.execute("SELECT * FROM sh_runs"))
    columns = [c[1] for c in db.execute("PRAGMA table_info(sh_events)")]
    place = {name: columns.index(name) for name in
             ("seq", "id", "key", "dedupe_id", "received_ms", "body")}
    width = db.execute("SELECT max(length(hash)) FROM (SELECT hash FROM sh_dedupe UNION ALL"
                       " SELECT hash FROM sh_dedupe_new)").fetchone()[0]
    start = events[0][place["received_ms"]] - 60 * n

    def made():
        for i in range(n):
            row = list(events[i % TEMPLATES])
            ms = start + 60 * i
            hex_ms, key = "%012x" % ms, "call-%d" % i
            old = runs[row[0]]
            body = row[place["body"]].replace(row[place["key"]].encode(), key.encode())
            row[place["seq"]] = ms << 12
            row[place["id"]] = "%s-%s-7000-8000-%012x" % (hex_ms[:8], hex_ms[8:], i)
            row[place["key"]] = key
            row[place["dedupe_id"]] = "h:" + hashlib.sha256(body).hexdigest()
            row[place["received_ms"]] = ms
            row[place["body"]] = body
            yield row, (ms << 12,) + old[1:]

    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    add = ("INSERT INTO sh_events VALUES(%s)" % ",".join("?" * len(columns)),
           "INSERT INTO sh_runs VALUES(%s)" % ",".join("?" * len(next(iter(runs.values())))))
    part = []
    for pair in made():
        part.append(pair)
        if len(part) == 10000:
            put(db, add, part)
    put(db, add, part)
    hashes = sorted(os.urandom(width) for _ in range(n))
    db.executemany("INSERT INTO sh_dedupe VALUES(?, ?)",
                   ((h, (start + 60 * i) << 12) for i, h in enumerate(hashes)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    os.sync()


def put(db, add, part):
    db.executemany(add[0], (e for e, _ in part))
    db.executemany(add[1], (r for _, r in part))
    part.clear()


def readers(engine, args):
    """The paging clients, as a process that ends by itself."""
    return subprocess.Popen(
        [peers.which("wrk"), "-t", "1", "-c", str(args.clients), "-d", "%ds" % (args.seconds + 1),
         "--latency", "--timeout", "30s", "-s", os.path.join(ROOT, "tests/bench/page.lua"),
         "http://127.0.0.1:%d%s" % (engine.port, LIST % args.limit)],
        stdout=subprocess.PIPE, text=True)


def stretch(engine, args, paging):
    process = readers(engine, args) if paging else None
    if paging:
        time.sleep(0.5)
    cpu = meters.cpu_of(engine.pids())
    wrk = later.wrk_result(later.paced_load(engine, args.rate, args.seconds))
    cpu = {k: v - cpu.get(k, 0) for k, v in meters.cpu_of(engine.pids()).items()}
    out = {"requests": wrk["requests"], "rate": wrk["requests"] / (wrk["us"] / 1e6),
           "p50_ms": wrk["p50_us"] / 1e3, "p99_ms": wrk["p99_us"] / 1e3,
           "max_ms": wrk["max_us"] / 1e3, "cpu": {k: v / args.seconds for k, v in cpu.items()},
           "errors": sum(wrk[k] for k in ("connect", "read", "write", "status", "timeout"))}
    if paging:
        got = later.wrk_result(process)
        out.update(pages=got["pages"] / (got["us"] / 1e6), rows=got["rows"] / (got["us"] / 1e6),
                   odd=got["odd"], page_p99_ms=got["p99_us"] / 1e3,
                   page_errors=sum(got[k] for k in
                                   ("connect", "read", "write", "status", "timeout")))
    wait_for("the backlog", 120, lambda: not engine.one("SELECT count(*) FROM sh_unfinished"), 0.2)
    return out


def walk(engine):
    """Through the whole list by one client: (rows, of them different, seconds)."""
    c = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    seen, rows, cursor, began = set(), 0, None, time.monotonic()
    while True:
        c.request("GET", LIST % 500 + ("&cursor=" + cursor if cursor else ""))
        answer = c.getresponse()
        page = json.loads(answer.read())
        if answer.status != 200:
            raise BenchError("a page was answered %d: %r" % (answer.status, page))
        rows += len(page["items"])
        seen.update(item["id"] for item in page["items"])
        cursor = page["next_cursor"]
        if not cursor:
            return rows, len(seen), time.monotonic() - began


def measured(args, folder):
    engine = later.Engine(folder, RULE)
    quiet, paged = [], []
    try:
        say("filling a store with %d events" % args.events)
        fill(engine, args.events)
        engine.start()
        warm = stretch(engine, argparse.Namespace(**dict(vars(args), seconds=max(
            1, args.seconds // 6))), False)
        for n in range(args.rounds):
            for paging in ((False, True) if n % 2 == 0 else (True, False)):
                (paged if paging else quiet).append(stretch(engine, args, paging))
            say("  round %d: p99 %.2f ms alone (%.0f/s), %.2f ms with %d clients (%.0f/s), who got"
                " %.0f pages/s" % (n + 1, quiet[-1]["p99_ms"], quiet[-1]["rate"],
                                   paged[-1]["p99_ms"], args.clients, paged[-1]["rate"],
                                   paged[-1]["pages"]))
            say("    cores used alone: %s" % cores(quiet[-1]["cpu"]))
            say("    cores used with:  %s" % cores(paged[-1]["cpu"]))
        stored = engine.one("SELECT count(*) FROM sh_events")
        rows, different, took = walk(engine)
        out = {"stored": stored, "walked": rows, "different": different, "walk_s": took,
               "acked": sum(s["requests"] for s in [warm] + quiet + paged),
               "failed": engine.one("SELECT count(*) FROM sh_runs WHERE outcome <> 'done'"),
               "errors": sum(s["errors"] for s in [warm] + quiet + paged),
               "page_errors": sum(s["page_errors"] for s in paged),
               "odd": sum(s["odd"] for s in paged),
               "memory": meters.pss_kib(engine.pids()) / 1024}
        engine.stop()
    finally:
        engine.kill()
    for name, stretches in (("quiet", quiet), ("paged", paged)):
        out[name] = {k: statistics.median(s[k] for s in stretches)
                     for k in ("rate", "p50_ms", "p99_ms", "max_ms")}
    out["pages"] = statistics.median(s["pages"] for s in paged)
    out["rows"] = statistics.median(s["rows"] for s in paged)
    out["page_p99_ms"] = statistics.median(s["page_p99_ms"] for s in paged)
    out["ratio"] = out["paged"]["p99_ms"] / out["quiet"]["p99_ms"]
    out["ratios"] = [p["p99_ms"] / q["p99_ms"] for p, q in zip(paged, quiet)]
    return out


def cores(cpu):
    return ", ".join("%s %.2f" % (k, v) for k, v in sorted(cpu.items()) if v >= 0.005)


def checks(r, args):
    yield r["stored"] >= args.events + r["acked"], (
        "every acknowledged event is stored (%d of %d)" % (r["stored"] - args.events, r["acked"]))
    yield r["errors"] == 0, "no webhook failed (%d)" % r["errors"]
    yield r["failed"] == 0, "no run failed (%d)" % r["failed"]
    yield r["pages"] > 0 and r["page_errors"] == 0, "no page failed (%d)" % r["page_errors"]
    yield r["odd"] == 0, "every page but the last has rows, and leads on (%d do not)" % r["odd"]
    yield r["walked"] == r["different"] == r["stored"], (
        "a walk through the list meets each event once (%d, %d different, %d stored)" % (
            r["walked"], r["different"], r["stored"]))


def table(r, args):
    q, p = r["quiet"], r["paged"]
    rows = [["", "asked for", "measured"]] + [list(row) for row in (
        ("events in the store at the start", "1,000,000", "{:,}".format(args.events)),
        ("webhooks acknowledged, with %d clients paging" % args.clients, "5,000/s",
         "%.0f/s" % p["rate"]),
        ("... latency p50, p99, max without them", "", "%.2f, %.2f, %.1f ms" % (
            q["p50_ms"], q["p99_ms"], q["max_ms"])),
        ("... and with them", "", "%.2f, %.2f, %.1f ms" % (p["p50_ms"], p["p99_ms"], p["max_ms"])),
        ("... p99 with against without", "under 2", "%.2f" % r["ratio"]),
        ("... in each round", "", ", ".join("%.2f" % x for x in r["ratios"])),
        ("pages of %d events read meanwhile" % args.limit, "", "%.0f/s, p99 %.0f ms" % (
            r["pages"], r["page_p99_ms"])),
        ("events lost, webhooks failed, pages failed", "0, 0, 0", "%d, %d, %d" % (
            max(0, args.events + r["acked"] - r["stored"]), r["errors"], r["page_errors"])),
        ("one client through all {:,} events, 500 a page".format(r["walked"]), "",
         "%.1f s" % r["walk_s"]),
        ("memory of all processes at the end", "", "%.0f MiB" % r["memory"]))]
    return report.aligned(rows) + "\n"


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench api", description="Reading while events come in.")
    p.add_argument("--events", type=int, default=1000000, help="in the store at the start")
    p.add_argument("--clients", type=int, default=100)
    p.add_argument("--limit", type=int, default=100, help="events a page")
    p.add_argument("--rate", type=int, default=5000, help="webhooks a second")
    p.add_argument("--seconds", type=int, default=20, help="of each stretch")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--quick", action="store_true", help="a small slice, as TAP; no time is judged")
    p.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    a = p.parse_args()
    if a.quick:
        a.events, a.clients, a.rate, a.seconds, a.rounds = 20000, 10, 500, 2, 1
    return a


def main():
    args = arguments()
    if not peers.which("wrk"):
        raise BenchError("wrk is not installed (./dev bench installs it)")
    folder = tempfile.mkdtemp(prefix="switchhook-api-", dir=os.path.join(ROOT, "build"))
    try:
        result = measured(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = list(checks(result, args))
    for n, (well, text) in enumerate(found, 1):
        print("%s %d - %s" % ("ok" if well else "not ok", n, text), flush=True)
    print("1..%d" % len(found))
    if not args.quick:
        print(table(result, args))
    if args.write:
        args.scratch, args.affinity = os.path.join(ROOT, "build"), sorted(os.sched_getaffinity(0))
        report.write("api", report.heading(args) + "\n\n" + table(result, args))
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
