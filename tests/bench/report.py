# SPDX-License-Identifier: MIT
"""report.py: the figures as text, for a terminal and for docs/performance.md."""
import datetime
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time

from peers import ROOT, BenchError, Engine

PAGE = os.path.join(ROOT, "docs/performance.md")
TITLES = {"engine": "(a) switchhook", "nginx": "(b) nginx+Lua", "evhttp": "(c) evhttp"}
NOISE = 0.05  # others used more of the cores than this: the figures are not to be trusted

# key, what it is, format, whether a ratio says anything
ROWS = (
    ("acked_s", "events/s acknowledged", "%.0f", True),
    ("processed_s", "events/s fully processed", "%.0f", True),
    ("drain_s", "time to drain after the load, s", "%.3f", False),
    ("backlog", "unprocessed when the load ended", "%.0f", False),
    ("p50_ms", "latency p50, ms", "%.2f", True),
    ("p99_ms", "latency p99, ms", "%.2f", True),
    ("max_ms", "latency max, ms", "%.1f", False),
    ("http_errors", "answers that are errors", "%.0f", False),
    ("socket_errors", "socket errors", "%.0f", False),
    ("timeouts", "time-outs", "%.0f", False),
    ("cpu_server", "CPU of the server, us/event", "%.1f", True),
    ("cpu_load", "CPU of the load generator, us/event", "%.1f", True),
    ("peak_mib", "memory of all its processes, peak MiB", "%.1f", True),
    ("commits_s", "commits/s", "%.0f", False),
    ("per_commit", "events per commit", "%.0f", False),
    ("disk_per_event", "bytes on disk per event", "%.0f", False),
    ("peak_wal_mib", "write-ahead log, peak MiB", "%.1f", False),
    ("failed_runs", "failed runs", "%.0f", False),
    ("idle", "of the cores idle, %", "%.0f", False),
    ("others", "of the cores used by others, %", "%.0f", False),
    ("stolen", "of the cores taken by the host, %", "%.0f", False),
)


def add_sums(r):
    """Figures that follow from others."""
    out = dict(r)
    out["cpu_load"] = r["cpu_us"]["load generator"]
    out["cpu_server"] = sum(r["cpu_us"].values()) - out["cpu_load"]
    for key in ("idle", "others", "stolen"):
        out[key] = r[key] * 100
    if r.get("commits"):
        out["per_commit"] = r["accepted"] / r["commits"]
    if r["name"] != "engine":  # nothing is stored, so nothing is processed later
        for key in ("processed_s", "drain_s", "backlog", "peak_wal_mib"):
            out.pop(key)
    return out


def one_line(r):
    return ("%.0f acknowledged/s, %.0f processed/s, drained in %.3f s, p50 %.2f ms, p99 %.2f ms, "
            "%d errors, %.1f MiB; of the cores %.0f %% idle, %.0f %% used by others"
            % (r["acked_s"], r["processed_s"], r["drain_s"], r["p50_ms"], r["p99_ms"],
               r["errors"], r["peak_mib"], r["idle"] * 100, r["others"] * 100))


def median(list_, key):
    values = [r[key] for r in list_ if key in r]
    return statistics.median(values) if values else None


def spread(list_, key):
    """Smallest and largest of the rounds, in per cent of the median."""
    values = [r[key] for r in list_ if key in r]
    mid = statistics.median(values)
    return "%+.0f/%+.0f %%" % ((min(values) / mid - 1) * 100, (max(values) / mid - 1) * 100)


def aligned(rows):
    """Markdown that also reads well as it is."""
    width = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                               for i, (c, w) in enumerate(zip(r, width))) + " |" for r in rows]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":")
                          for i, w in enumerate(width)) + "|"
    return "\n".join([lines[0], rule] + lines[1:])


def ratio(a, b, says_something):
    return "%.2f" % (a / b) if says_something and a is not None and b else ""


def main_table(results):
    names = [n for n in TITLES if n in results]
    ratios = [(x, "a/" + TITLES[x][1]) for x in names[1:]] if names[0] == "engine" else []
    rows = [[""] + [TITLES[n] for n in names] + [t for _, t in ratios]]
    for key, title, form, compares in ROWS:
        mid = {n: median(results[n], key) for n in names}
        if all(v is None for v in mid.values()):
            continue
        rows.append([title] + ["" if mid[n] is None else form % mid[n] for n in names] +
                    [ratio(mid["engine"], mid[x] if mid[x] is not None or key != "processed_s"
                           else median(results[x], "acked_s"), compares) for x, _ in ratios])
    return aligned(rows)


def cpu_table(results):
    rows = [["process, thread", "us/event"]]
    for name in (n for n in TITLES if n in results):
        keys = []
        for r in results[name]:
            keys += [k for k in r["cpu_us"] if k not in keys]
        for key in keys:
            mid = statistics.median(r["cpu_us"].get(key, 0) for r in results[name])
            if mid >= 0.05:
                rows.append(["%s: %s" % (TITLES[name], key), "%.1f" % mid])
    return aligned(rows)


def rounds_table(results):
    names = [n for n in TITLES if n in results]
    rows = [["round"] + [TITLES[n] for n in names] + ["others and host, %"]]
    for i in range(len(results[names[0]])):
        each = [results[n][i] for n in names]
        rows.append([str(i + 1)] + ["%.0f" % r.get("processed_s", r["acked_s"]) for r in each]
                    + [" / ".join("%.0f" % (r["others"] + r["stolen"]) for r in each)])
    return aligned(rows)


def table(results, args):
    """The whole report of the rounds."""
    where = "servers and load on the same %d cores" % len(args.affinity)
    results = {n: [add_sums(r) for r in list_] for n, list_ in results.items()}
    lines = ["Medians of %d round%s of %d s each; %d connections, wrk with %d threads, body of %d "
             "bytes; %s. (b) and (c) store nothing, so for them processed is acknowledged."
             % (args.rounds, "" if args.rounds == 1 else "s", args.seconds, args.connections,
                args.threads, os.path.getsize(args.body), where), "",
             main_table(results), "",
             "CPU of each process, microseconds per event:", "", cpu_table(results), "",
             "Round by round, events/s acknowledged (engine: fully processed):", "",
             rounds_table(results), "",
             "Spread of the rounds around the median of events/s acknowledged: " + ", ".join(
                 "%s %s" % (TITLES[n], spread(results[n], "acked_s"))
                 for n in TITLES if n in results) + "."]
    if max(r["others"] + r["stolen"] for l in results.values() for r in l) > NOISE * 100:
        lines += ["", "**The machine was not quiet**: other programs or the host took more than "
                  "%d %% of the cores in at least one round, so the figures are too low and the "
                  "ratios uncertain." % (NOISE * 100)]
    return "\n".join(lines)


def growth(samples, got, seconds):
    """Does it grow? First minute against last minute."""
    part = min(60, seconds / 3)
    first = [s for s in samples if s[0] <= part] or samples[:1]
    last = [s for s in samples if s[0] > seconds - part] or samples[-1:]
    rows = [["", "first minute", "last minute", "last/first"]]
    if part < 60:
        rows[0][1:3] = ["first %.0f s" % part, "last %.0f s" % part]
    for i, title, unit in ((1, "memory of all processes, MiB", 1024),
                           (2, "write-ahead log, MiB", 2**20), (3, "database, MiB", 2**20)):
        a = statistics.median(s[i] for s in first) / unit
        b = statistics.median(s[i] for s in last) / unit
        rows.append([title, "%.1f" % a, "%.1f" % b, "%.2f" % (b / a) if a else ""])
    return ("The engine alone, loaded for %d s without a pause; medians of samples taken every 10 s."
            " In all %d events, %.0f/s fully processed, p99 %.2f ms, %d errors, %d still unprocessed"
            " when the load ended and %.3f s to process them; memory at its peak %.1f MiB."
            " Others used %.0f %% of the cores.\n\n%s"
            % (seconds, got["accepted"], got["processed_s"], got["p99_ms"], got["errors"],
               got["backlog"], got["drain_s"], got["peak_mib"], got["others"] * 100, aligned(rows)))


def cpu_model():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return found.group(1) if found else platform.machine()


def sync_ms(folder):
    """Median and 99th percentile of writing 64 KiB and fdatasync, 200 times."""
    times, block = [], os.urandom(64 << 10)
    with tempfile.NamedTemporaryFile(dir=folder) as f:
        for _ in range(200):
            begin = time.monotonic()
            os.write(f.fileno(), block)
            os.fdatasync(f.fileno())
            times.append((time.monotonic() - begin) * 1e3)
    times.sort()
    return times[100], times[198]


def file_system(folder):
    best = ("", "?")
    with open("/proc/mounts") as f:
        for line in f:
            _, at, kind = line.split()[:3]
            if os.path.realpath(folder).startswith(at.rstrip("/") + "/") and len(at) > len(best[0]):
                best = (at, kind)
    return best[1]


def version():
    said = subprocess.run([Engine.binary(), "version"], capture_output=True, text=True)
    return (said.stdout.splitlines() or ["switchhook"])[0]


def heading(args):
    mid, p99 = sync_ms(args.scratch)
    kind = file_system(args.scratch)
    text = ("Measured on %s: %s, on %s, %d of its %d cores, Linux %s; %s; 64 KiB written and synced in %.2f ms "
            "(median of 200; 99th percentile %.2f ms)"
            % (datetime.date.today().isoformat(), version(), cpu_model(), len(args.affinity), os.cpu_count(),
               platform.release(), kind, mid, p99))
    return text + (", **which is memory, not a disk**." if kind in ("tmpfs", "ramfs") else ".")


def write(name, text, page_path=PAGE):
    """Put text between the page's marks of that name."""
    begin, end = "<!-- %s:begin -->" % name, "<!-- %s:end -->" % name
    with open(page_path, encoding="utf-8") as f:
        page = f.read()
    if begin not in page or end not in page:
        raise BenchError("%s has no marks %s and %s" % (page_path, begin, end))
    head, tail = page[:page.index(begin)], page[page.index(end):]
    with open(page_path, "w", encoding="utf-8") as f:
        f.write("%s%s\n%s\n%s" % (head, begin, text, tail))
