#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sizing.py: what an event costs: bytes on disk, memory, processor time, commits. For docs/operations.md.

A real engine with the shipped rules gets a webphone's days: for each call its start and stop, and for an
answered one its analysis, with transcripts of different lengths; some are missed, some unhappy. Counted is
what the store holds of it, table by table, before and after everything that ages out has been removed.
No figure is judged by time; per event and per process they hold for other machines, too."""
import argparse
import http.client
import json
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import measure  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
from peers import ROOT, BenchError  # noqa: E402

PAGE = os.path.join(ROOT, "docs/operations.md")
SENDERS = 8
MISSED, UNHAPPY = 0.15, 0.08  # of the calls, of the analyses
TALK_MEDIAN, TALK_SIGMA, TALK_MOST = 2500, 1.0, 60000  # bytes of a transcript: lognormal
WORDS = ("de het een factuur levering morgen graag contact bestelling nummer vraag antwoord klant dank "
         "offerte adres betaling termijn probleem oplossing collega afspraak week maand bedrag").split()

# What of the store belongs to what. The rest (rule sets, series, schema) does not grow with events.
KINDS = (
    ("events: raw body and envelope", ("sh_events",), "events"),
    ("runs: a rule on an event", ("sh_runs",), "events"),
    ("dedupe ids", ("sh_dedupe",), "events"),
    ("deliveries, sent", ("sh_outbox",), "outbox"),
    ("callbacks and their history", ("sh_callback",), "callbacks"),
    ("timers", ("sh_timers",), "unfinished"),
    ("records", ("sh_records",), "records"),
)
DAYS = (1000, 10000, 100000, 1000000)
RETAIN = (30, 90, 365)


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- a webphone's calls ------------------------------------------------------------------------

def sample(name):
    with open(os.path.join(ROOT, "examples/webphone", name + ".json"), encoding="utf-8") as f:
        return json.load(f)


SAMPLES = {name: sample(name) for name in ("call_start", "call_stop", "call_postprocess", "missed", "negative")}


def transcript(rng):
    want = min(TALK_MOST, int(rng.lognormvariate(math.log(TALK_MEDIAN), TALK_SIGMA)))
    lines, size = [], 0
    while size < want:
        line = "[12:%02d:%02d PM] %s: %s." % (len(lines) // 20 % 60, len(lines) * 3 % 60,
                                             "Caller" if len(lines) % 2 else "Callee",
                                             " ".join(rng.choices(WORDS, k=rng.randint(4, 14))))
        lines.append(line)
        size += len(line) + 2
    return "\n".join(lines)


def call(rng):
    """The events of one call, as bodies in their order."""
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=30))
    number = "06%08d" % rng.randrange(10**8)
    who = {"call_id": name, "remote_number": number, "user_email": "user%d@example.org" % rng.randrange(50)}
    if rng.random() < MISSED:
        kinds = [("call_start", {}), ("missed", {})]
    else:
        unhappy = rng.random() < UNHAPPY
        kinds = [("call_start", {}), ("call_stop", {}),
                 ("negative" if unhappy else "call_postprocess", {"transcription": transcript(rng)})]
    return [json.dumps(dict(SAMPLES[kind], **who, **more), ensure_ascii=False).encode() for kind, more in kinds]


# --- the engine --------------------------------------------------------------------------------

def counting_library():
    out = os.path.join(ROOT, "build/count_sync.so")
    got = subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O2", "-o", out,
                          os.path.join(ROOT, "tests/bench/count_sync.c"), "-ldl"], capture_output=True, text=True)
    if got.returncode:
        raise BenchError("cannot build count_sync: " + got.stderr)
    return out


class Engine(peers.Engine):
    """The engine of the benchmarks, with the shipped rules and a configuration of its own."""
    more = ""

    def config(self):
        return "return { workers = %d, %s }\n" % (self.args.workers, self.more)

    def spawn(self, argv, **more):
        self.syncs_path = os.path.join(self.folder, "syncs")
        with open(self.syncs_path, "wb") as f:
            f.write(bytes(8))
        super().spawn(argv, env=dict(os.environ, LD_PRELOAD=self.args.library, COUNT_SYNC=self.syncs_path), **more)

    def syncs(self):
        with open(self.syncs_path, "rb") as f:
            return struct.unpack("Q", f.read(8))[0]

    def commits(self):
        return int(self.metric("switchhook_store_commit_seconds_count"))

    def metric(self, name):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise BenchError("no metric " + name)

    def count(self, what):
        return self.db.execute("SELECT count(*) FROM " + what).fetchone()[0]

    def tables(self):
        """Bytes of the pages of each table, its indexes with it; ("free", bytes) too."""
        owner = {name: of for name, of in self.db.execute("SELECT name, tbl_name FROM sqlite_schema")}
        out = {}
        for name, size in self.db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
            of = owner.get(name, name)
            out[of] = out.get(of, 0) + size
        page = self.db.execute("PRAGMA page_size").fetchone()[0]
        out["free"] = self.db.execute("PRAGMA freelist_count").fetchone()[0] * page
        return out


def kinds_of(tables):
    out, rest = {}, dict(tables)
    for title, starts, _ in KINDS:
        mine = [t for t in rest if t.startswith(starts)]
        out[title] = sum(rest.pop(t) for t in mine)
    rest.pop("free", None)
    out["rest"] = sum(rest.values())
    return out


class Load:
    """Sends the calls, SENDERS at a time, each call's events in order."""

    def __init__(self, engine, calls):
        self.engine, self.calls, self.sent, self.bad, self.bytes = engine, list(calls), 0, 0, 0
        self.lock = threading.Lock()

    def one(self):
        c = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=30)
        while True:
            with self.lock:
                if not self.calls:
                    break
                bodies = self.calls.pop()
            for body in bodies:
                c.request("POST", self.engine.path, body, {"Content-Type": "application/json"})
                answer = c.getresponse()
                answer.read()
                with self.lock:
                    self.sent += 1
                    self.bytes += len(body)
                    self.bad += answer.status != 200
        c.close()

    def run(self):
        threads = [threading.Thread(target=self.one) for _ in range(SENDERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return self


def settle(engine):
    end = time.monotonic() + 120
    while engine.unfinished() or engine.metric("switchhook_backlog_deliveries"):
        if time.monotonic() > end:
            raise BenchError("not settled within 120 s")
        time.sleep(0.05)


def each(engine, args, rng, n_calls):
    """One load; what it has cost per event."""
    pids = engine.pids()
    calls = [call(rng) for _ in range(n_calls)]
    cpu, commits, syncs = measure.cpu_of(pids), engine.commits(), engine.syncs()
    sampler = measure.Sampler(engine, None)
    sampler.start()
    load = Load(engine, calls).run()
    settle(engine)
    sampler.stop()
    used = {k: v - cpu.get(k, 0) for k, v in measure.cpu_of(pids).items()}
    workers = sum(v for k, v in used.items() if k.startswith("worker"))
    return {"events": load.sent, "bad": load.bad, "bytes": load.bytes / load.sent,
            "cpu_main": used.get("main", 0), "cpu_workers": workers,
            "cpu_other": sum(used.values()) - workers - used.get("main", 0),
            "commits": engine.commits() - commits, "syncs": engine.syncs() - syncs,
            "wal": max(sampler.peak_wal, engine.sizes()[0]), "peak_mib": sampler.peak_kib / 1024}


def quiet(engine, args, rng):
    """Events that come one by one: nothing shares a commit."""
    bodies = [b for _ in range(args.singles) for b in call(rng)]
    commits, syncs = engine.commits(), engine.syncs()
    for body in bodies:
        if peers.post(engine.port, engine.path, body) != 200:
            raise BenchError("an event was refused")
        settle(engine)
    return {"events": len(bodies), "commits": engine.commits() - commits, "syncs": engine.syncs() - syncs}


def started(folder, args, kind=Engine):
    """An engine, once all of its workers take jobs."""
    engine, end = kind(folder, args), time.monotonic() + 60
    try:
        engine.start()
        while engine.metric("switchhook_workers") < args.workers:
            if time.monotonic() > end:
                raise BenchError("the workers did not start")
            time.sleep(0.02)
    except BaseException:
        engine.kill()
        raise
    return engine


def signal_all(pids, what):
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


# --- the measurements --------------------------------------------------------------------------

def disk(args, folder):
    rng, out = random.Random(7), {}
    engine = started(folder, args)
    try:
        out["one_by_one"] = quiet(engine, args, rng)
        before = kinds_of(engine.tables())
        counts = {t: engine.count(t) for t in ("sh_events", "sh_runs", "sh_records", "sh_outbox", "sh_callbacks")}
        out["load"] = each(engine, args, rng, args.calls)
        out["kinds"] = {k: v - before.get(k, 0) for k, v in kinds_of(engine.tables()).items()}
        out["counts"] = {t: engine.count(t) - n for t, n in counts.items()}
        out["idle_engine_mib"], out["idle_worker_mib"] = idle(engine)
        out["failed"] = engine.count("sh_runs WHERE outcome <> 'done'")
    finally:
        engine.kill()
    return out


def idle(engine):
    pids = engine.pids()
    workers = measure.pss_kib(pids[1:]) / max(1, len(pids) - 1)
    return measure.pss_kib(pids[:1]) / 1024, workers / 1024


def pruned(args, folder, out):
    """Start once more with everything too old, and wait until it is gone; then load again: is the room used?"""

    class Aged(Engine):
        more = 'retain = "1s"'

    engine = started(folder, args, Aged)
    try:
        say("waiting for removal by age (it begins after a minute)")
        end, left = time.monotonic() + 300, None
        while time.monotonic() < end and left != 0:
            time.sleep(1)
            left = engine.count("sh_events")
        if left:
            raise BenchError("%d events were not removed" % left)
        time.sleep(2)
        tables = engine.tables()
        out["left"], out["free"] = kinds_of(tables), tables["free"]
    finally:
        engine.kill()
    engine = started(folder, args)
    try:
        size = engine.sizes()[1]
        again = each(engine, args, random.Random(8), args.calls)
        engine.db.execute("SELECT 1 FROM sh_events LIMIT 1").fetchone()
        out["again_events"] = again["events"]
        out["again_used"] = sum(engine.tables().values())
        out["size"], out["size_again"] = size, engine.db.execute("PRAGMA page_count").fetchone()[0] * 4096
    finally:
        engine.kill()


def memory(args):
    """By workers, after a load; and with a backlog that nobody works on."""
    rows = []
    for workers in args.worker_counts:
        args.workers = workers
        with tempfile.TemporaryDirectory(prefix="sizing-", dir=args.scratch) as folder:
            engine = started(folder, args)
            try:
                got = each(engine, args, random.Random(9), args.calls // 4)
                engine_mib, worker_mib = idle(engine)
                rows.append({"workers": workers, "engine": engine_mib, "worker": worker_mib, "peak": got["peak_mib"]})
            finally:
                engine.kill()
    args.workers = args.default_workers
    return rows


def backlog(args):
    """Workers that stand still: events are taken, and wait."""

    class Slow(Engine):
        more = 'budgets = { wall = "1h" }'

    rows = []
    with tempfile.TemporaryDirectory(prefix="sizing-", dir=args.scratch) as folder:
        engine = started(folder, args, Slow)
        stopped = engine.pids()[1:]
        try:
            signal_all(stopped, signal.SIGSTOP)
            rng = random.Random(10)
            for share in (0, 1, 2, 4):
                if share:
                    Load(engine, [call(rng) for _ in range(args.calls * share // 4)]).run()
                rows.append({"waiting": engine.unfinished(), "engine": measure.pss_kib(engine.pids()[:1]) / 1024})
            signal_all(stopped, signal.SIGCONT)
            settle(engine)
        finally:
            signal_all(stopped, signal.SIGCONT)
            engine.kill()
    return rows


# --- what is printed ---------------------------------------------------------------------------

def per_event(out, kind_of_age):
    return sum(out["kinds"][t] for t, _, age in KINDS if age in kind_of_age) / out["load"]["events"]


def size_text(n):
    for unit in ("kB", "MB", "GB", "TB"):
        n /= 1000
        if n < 1000:
            return ("%.0f %s" if n >= 10 else "%.1f %s") % (n, unit)
    return "%.0f PB" % (n / 1000)


def table_bytes(out):
    n = out["load"]["events"]
    rows = [["bytes an event", "while it is kept", "afterwards"]]
    for title, _, age in KINDS:
        left = out["left"][title] if "left" in out else 0
        rows.append([title, "%.0f" % (out["kinds"][title] / n), "%.0f" % (left / n) if left > 65536 or age in (
            "records", "unfinished") else "0"])
    rows.append(["**all**", "%.0f" % (sum(out["kinds"][t] for t, _, _ in KINDS) / n),
                 "%.0f" % (sum(out["left"][t] for t, _, _ in KINDS) / n)])
    return report.aligned(rows)


def table_costs(out):
    load, single, n = out["load"], out["one_by_one"], out["load"]["events"]
    ms = lambda s: "%.2f s" % (s * 1000 / n)  # noqa: E731
    rows = [["", ""],
            ["processor time for 1,000 events, engine: main thread", ms(load["cpu_main"])],
            ["... store, checkpoints and all its other threads", ms(load["cpu_other"])],
            ["... rule workers", ms(load["cpu_workers"])],
            ["commits an event, events one by one", "%.1f" % (single["commits"] / single["events"])],
            ["... under full load", "%.3f" % (load["commits"] / n)],
            ["fsyncs an event, events one by one", "%.1f" % (single["syncs"] / single["events"])],
            ["... under full load", "%.3f" % (load["syncs"] / n)],
            ["write-ahead log, peak under full load", "%.0f MB" % (load["wal"] / 1e6)]]
    return report.aligned(rows)


def table_memory(rows, waiting):
    lines = [["MiB (shared pages count once)", "engine", "each worker", "all, peak under load"]]
    for r in rows:
        lines.append(["%d worker%s" % (r["workers"], "" if r["workers"] == 1 else "s"), "%.0f" % r["engine"],
                      "%.1f" % r["worker"], "%.0f" % r["peak"]])
    for r in waiting[1:]:
        lines.append(["{:,} events wait".format(r["waiting"]), "%.0f" % r["engine"], "", ""])
    return report.aligned(lines)


def table_days(out):
    aged, kept = per_event(out, ("events", "outbox", "callbacks")), per_event(out, ("records",))
    cpu = (out["load"]["cpu_main"] + out["load"]["cpu_other"] + out["load"]["cpu_workers"]) / out["load"]["events"]
    rows = [["events a day"] + ["`retain` %d days" % d for d in RETAIN] +
            ["records, each year", "processor time a day", "cores", "memory"]]
    for n in DAYS:
        busy = n * 0.2 / 3600 * 3 * cpu  # a fifth of the day within an hour, three times that in its worst minute
        cores = max(1 if n < 100000 else 2, math.ceil(2 * busy))  # the second is for backups and readers
        rows.append(["{:,}".format(n)] + [size_text(n * d * aged * 1.2 + 1e8) for d in RETAIN] +
                    [size_text(n * 365 * kept * 1.2), "%.0f s" % (n * cpu) if n * cpu >= 1 else "under 1 s",
                     str(cores), "256 MiB" if n <= 10000 else "512 MiB" if n < 10**6 else "1 GiB"])
    return report.aligned(rows)


def text_of(out, rows, waiting):
    load, c = out["load"], out["counts"]
    n = load["events"]
    return """%s

%s events of a webphone, eight at a time, with the shipped rules: for each call its start and stop, and for the %d %% that were
answered its analysis with a transcript (median %s bytes). Body on average %.0f bytes, %.2f runs, %.2f records, %.3f deliveries
and %.3f callbacks an event.

%s

`afterwards` is what stays once `retain` has passed: records, which are kept for good unless they have an age, and what is
still unfinished (open callbacks, timers). What was removed leaves room within the file, and it is used again: after all
was removed, the same number of other events made a file of %.1f MB %.0f %% larger, and those records were in it.

%s

%s

The formula, with 20 %% on top for pages that are not full:

    disk   = events a day x retain in days x %.0f bytes x 1.2  +  events a day x days x %.0f bytes x 1.2 (records)  +  100 MB (log)
    memory = %.0f MiB + workers x %.0f MiB, with as much waiting as the limits keep in memory
             (a rule that collects much may take up to budgets.memory, 64 MiB, in each worker)
    cores  = events in the worst second x %.2f ms, for engine and rules together

%s

Disk without records; memory with room for the system's cache. Cores: a fifth of the day's events within one hour, three times
that in its worst minute, no core more than half busy, and a second one for backups and readers. A backup needs the store's size once more, elsewhere. Your own rules and bodies differ:
`tests/bench/sizing.py --rules DIR` measures yours, and `du -h /var/lib/switchhook` after a week knows best.""" % (
        out["heading"], "{:,}".format(n), round((1 - MISSED) * 100), "{:,}".format(TALK_MEDIAN), load["bytes"],
        c["sh_runs"] / n, c["sh_records"] / n, c["sh_outbox"] / n, c["sh_callbacks"] / n, table_bytes(out),
        out["size"] / 1e6, 100 * (out["size_again"] / out["size"] - 1), table_costs(out), table_memory(rows, waiting),
        per_event(out, ("events", "outbox", "callbacks")), per_event(out, ("records",)),
        max(r["engine"] for r in rows + waiting), max(r["worker"] for r in rows),
        1000 * (load["cpu_main"] + load["cpu_other"] + load["cpu_workers"]) / n, table_days(out))


def checks(out, rows, waiting):
    """What must be so whatever the machine: (well?, what)."""
    load, n = out["load"], out["load"]["events"]
    yield load["bad"] == 0 and n > 100, "all %d events are taken" % n
    yield out["counts"]["sh_events"] >= n, "all of them are stored (%d)" % out["counts"]["sh_events"]
    yield out["failed"] == 0, "no run has failed (%d)" % out["failed"]
    yield out["counts"]["sh_outbox"] > 0 and out["counts"]["sh_callbacks"] > 0, "some unhappy, some missed"
    body, stored = load["bytes"], out["kinds"][KINDS[0][0]] / n
    yield body <= stored <= 2.5 * body + 400, "an event of %.0f bytes takes %.0f of the journal" % (body, stored)
    yield out["kinds"]["records"] > 0 and out["kinds"][KINDS[1][0]] > 0, "records and runs have their share"
    yield load["cpu_main"] + load["cpu_other"] + load["cpu_workers"] > 0, "processor time was seen"
    one = out["one_by_one"]
    yield 1 <= one["syncs"] / one["events"] <= 20, "one by one, an event syncs %.1f times" % (
        one["syncs"] / one["events"])
    yield 0 < load["commits"] <= load["syncs"] + 2, "no commit without a sync (%d, %d)" % (
        load["commits"], load["syncs"])
    yield all(r["worker"] > 0 and r["engine"] > 0 for r in rows), "memory was seen"
    yield waiting[-1]["waiting"] > waiting[0]["waiting"], "%d events waited, and went on" % waiting[-1]["waiting"]


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench sizing", description=__doc__.split("\n\n")[0])
    p.add_argument("--calls", type=int, default=12000, help="calls of the load (default 12000)")
    p.add_argument("--rules", metavar="DIR", default=os.path.join(ROOT, "rules"), help="default: the shipped ones")
    p.add_argument("--scratch", metavar="DIR", default=os.path.join(ROOT, "build/bench"))
    p.add_argument("--quick", action="store_true", help="a small slice, as TAP; nothing is aged")
    p.add_argument("--write", action="store_true", help="put the figures into docs/operations.md")
    a = p.parse_args()
    a.singles, a.worker_counts = 20, (1, 2, 4, 8)
    if a.quick:
        a.calls, a.singles, a.worker_counts = 200, 3, (1, 2)
    a.default_workers = a.workers = 2
    a.affinity = sorted(os.sched_getaffinity(0))
    return a


def main():
    args = arguments()
    os.makedirs(args.scratch, exist_ok=True)
    args.library = counting_library()
    folder = tempfile.mkdtemp(prefix="sizing-", dir=args.scratch)
    try:
        say("an event's bytes, processor time and commits")
        out = disk(args, folder)
        if not args.quick:
            pruned(args, folder, out)
        say("memory by workers")
        rows = memory(args)
        say("memory with a backlog")
        waiting = backlog(args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = list(checks(out, rows, waiting))
    for n, (well, text) in enumerate(found, 1):
        print("%s %d - %s" % ("ok" if well else "not ok", n, text), flush=True)
    print("1..%d" % len(found))
    if not args.quick:
        out["heading"] = report.heading(args)
        text = text_of(out, rows, waiting)
        print(text)
        if args.write:
            report.write("sizing", text, PAGE)
    return 0 if all(well for well, _ in found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        sys.exit(main())
    except BenchError as e:
        say("bench: %s" % e)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
