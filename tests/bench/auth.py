#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""auth.py: the benchmark of what it costs to let senders prove who they are.

usage: ./dev bench auth [--rounds N] [--seconds N] [--quick] [--write]

Each round loads the engine four times, in rotating order, with the rules and the payload of
./dev bench: signed as GitHub does it, at a source that checks this and takes type and key from
header, path and body; the very same requests at a source with auth = "none"; and so for Standard
Webhooks. Bodies differ, and are signed before the load begins (signed.lua), so that the load
generator's work is the same with and without.
"""
import argparse
import base64
import hashlib
import hmac
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import measure  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
from peers import ROOT, BenchError  # noqa: E402

KEY = secrets.token_bytes(32)
SECRET = secrets.token_urlsafe(32)
CONFIG = """return {
  workers = %%d,
  sources = {
    plain = { path = "/hooks/webphone", auth = "none",
      type = { field = "event" }, key = { field = "call_id" } },
    github = { path = "/hooks/github/{tenant}/{kind}",
      auth = { hmac = "%s", header = "X-Hub-Signature-256", prefix = "sha256=",
        encoding = "hex", hash = "sha256" },
      type = { header = "X-GitHub-Event" }, key = { field = "call_id" } },
    standard = { path = "/hooks/standard", auth = { standard_webhooks = "whsec_%s" },
      type = { field = "event" }, key = { field = "call_id" } },
%%s  },
}
""" % (SECRET, base64.b64encode(KEY).decode())
# Sources that are in the way of finding the right one.
OTHERS = "".join("""    other%d = { path = "/hooks/other%d/{kind}", auth = "none", type = { path = "kind" } },
""" % (i, i) for i in range(20))

GITHUB = "X-GitHub-Event: call_postprocess\nX-Hub-Signature-256: sha256=@2@"
STANDARD = "webhook-id: @2@\nwebhook-timestamp: @3@\nwebhook-signature: v1,@4@"
# name, what it is, path, headers, what it is compared with
LOADS = (
    ("none", "the same, auth = \"none\"", "/hooks/webphone", GITHUB, None),
    ("hmac", "HMAC as GitHub's", "/hooks/github/acme/calls", GITHUB, "none"),
    ("none_standard", "the same, auth = \"none\"", "/hooks/webphone", STANDARD, None),
    ("standard", "Standard Webhooks", "/hooks/standard", STANDARD, "none_standard"),
)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Engine(peers.Engine):
    def config(self):
        return CONFIG % (len(self.args.affinity), OTHERS)

    def reads_body(self):
        """What is not signed has no business at the sources that ask for it; leaves no event."""
        good = b'{"event":"call_postprocess","call_id":"%s"}' % os.urandom(15).hex().encode()
        return all(peers.post(self.port, path, good) == 401
                   for path in ("/hooks/github/acme/calls", "/hooks/standard"))


def sign(path, body_file, headers, n):
    """Write n signed requests, a line each."""
    with open(body_file, "rb") as f:
        body = f.read()
    at = body.index(b'"call_id"')
    at = body.index(b'"', body.index(b":", at)) + 1
    before, after = body[:at], body[at + 30:]
    now = str(int(time.time())).encode()
    with open(path, "wb") as f:
        for i in range(n):
            call = b"%s%014d" % (os.urandom(8).hex().encode(), i)
            whole = before + call + after
            if headers is GITHUB:
                mac = hmac.digest(SECRET.encode(), whole, "sha256").hex().encode()
                f.write(call + b" " + mac + b"\n")
            else:
                mid = b"msg_" + call
                mac = hmac.digest(KEY, mid + b"." + now + b"." + whole, hashlib.sha256)
                f.write(b" ".join((call, mid, now, base64.b64encode(mac))) + b"\n")


def one_load(load, args):
    name, _, path, headers, _ = load
    with tempfile.TemporaryDirectory(prefix="auth-", dir=args.scratch) as folder:
        pool = os.path.join(folder, "pool")
        sign(pool, args.body, headers, args.pool * args.seconds)
        args.script = "tests/bench/signed.lua"
        args.env = {"BENCH_POOL": pool, "BENCH_HEADERS": headers, "BENCH_THREADS": str(args.threads)}
        engine = Engine(folder, args)
        engine.path = path
        try:
            engine.start()
            os.sync()
            return dict(measure.load(engine, args, args.seconds), load=name)
        finally:
            engine.kill()


def checks(r):
    """What a load must have done, whatever the time it took: (well?, what)."""
    n, name = r["accepted"], r["load"]
    yield r["requests"] > 0 and r["errors"] == 0, "%s: %d requests, %d not answered 200" % (
        name, r["requests"], r["errors"])
    yield n >= r["requests"] and n == r["settled"] == r["records"], (
        "%s: all that was answered was stored and processed (%d, %d)" % (name, n, r["settled"]))
    yield r["duplicates"] == 0, "%s: no request came twice (%d)" % (name, r["duplicates"])
    yield r["failed_runs"] + r["dead_runs"] + r["unfinished"] == 0, (
        "%s: no failed run (%d)" % (name, r["failed_runs"]))
    yield r["reads_body"], "%s: what is not signed is refused" % name


def measured(args):
    results = {load[0]: [] for load in LOADS}
    for r in range(args.rounds):
        turn = r % len(LOADS)
        for load in LOADS[turn:] + LOADS[:turn]:
            got = one_load(load, args)
            say("round %d of %d: %-13s %s" % (r + 1, args.rounds, load[0], report.one_line(got)))
            results[load[0]].append(got)
    return results


def ratios(results, name, other):
    return [a["acked_s"] / b["acked_s"] for a, b in zip(results[name], results[other])]


def table(results, args):
    rows = [["", "acknowledged/s", "with/without", "of each round", "main thread, us/event",
             "p99, ms", "generator, us/event"]]
    for name, title, _, _, other in LOADS:
        r = results[name]
        each = ratios(results, name, other) if other else []
        rows.append([
            title, "%.0f" % report.median(r, "acked_s"),
            "%.3f" % statistics.median(each) if each else "",
            ", ".join("%.2f" % x for x in each),
            "%.1f" % statistics.median(x["cpu_us"]["main"] for x in r),
            "%.1f" % report.median(r, "p99_ms"),
            "%.1f" % statistics.median(x["cpu_us"]["load generator"] for x in r)])
    worst = max(r["others"] + r["stolen"] for l in results.values() for r in l)
    return ("Medians of %d rounds of %d s each; %d connections, wrk with %d threads, body of %d bytes,"
            " 23 sources, the rules of ./dev bench. Asked for: at least 0.9 of the rate without.\n\n"
            "%s\n%s" % (args.rounds, args.seconds, args.connections, args.threads,
                        os.path.getsize(args.body), report.aligned(rows),
                        "" if worst <= report.NOISE else "\n**The machine was not quiet**: others "
                        "took up to %.0f %% of the cores.\n" % (worst * 100)))


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench auth", description="What authentication costs.")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=12, help="of each load")
    p.add_argument("--connections", type=int, default=64)
    p.add_argument("--threads", type=int, default=2, help="of the load generator")
    p.add_argument("--pool", type=int, default=25000, help="requests to sign a second of load")
    p.add_argument("--scratch", default=os.path.join(ROOT, "build/bench"))
    p.add_argument("--quick", action="store_true", help="a small slice, as TAP; no time is judged")
    p.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds = 1, 1
    a.rules = os.path.join(ROOT, "tests/bench/rules")
    a.body = os.path.join(ROOT, "examples/webphone/call_postprocess.json")
    a.only = ["engine"]
    a.affinity = sorted(os.sched_getaffinity(0))[:2]
    return a


def main():
    args = arguments()
    os.makedirs(args.scratch, exist_ok=True)
    os.sched_setaffinity(0, args.affinity)
    peers.prepare(args)
    results = measured(args)
    found = [c for list_ in results.values() for r in list_ for c in checks(r)]
    if args.quick:
        for n, (well, text) in enumerate(found, 1):
            print("%s %d - %s" % ("ok" if well else "not ok", n, text))
        print("1..%d" % len(found))
    else:
        for text in (text for well, text in found if not well):
            say("not so: " + text)
        print(table(results, args))
    if args.write:
        report.write("auth", report.heading(args) + "\n\n" + table(results, args))
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
