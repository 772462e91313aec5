# SPDX-License-Identifier: MIT
"""measure.py: one load of one peer, and everything that is seen meanwhile."""
import os
import re
import subprocess
import threading
import time

from peers import ROOT, BenchError, which

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.5
LONG_SAMPLE_SECONDS = 10
DRAIN_SECONDS = 300
POLL_SECONDS = 0.005


def cpu_of(pids):
    """{name: seconds of CPU}. The first process is told by thread, the others as a whole."""
    out = {}
    for i, pid in enumerate(pids):
        tasks = "/proc/%d/task" % pid
        for task in os.listdir(tasks) if os.path.isdir(tasks) else []:
            try:
                with open("%s/%s/stat" % (tasks, task)) as f:
                    text = f.read()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:]
            fields = rest.split()
            if i > 0:
                name = "worker %d" % i
            elif int(task) == pid:
                name = "main"
            out[name] = out.get(name, 0) + (int(fields[11]) + int(fields[12])) / TICKS
    return out


def pss_kib(pids):
    """Resident memory of the processes together; shared pages count once."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except (OSError, ProcessLookupError):
            continue
    return total


def cores_busy(cores):
    """Seconds of CPU that these cores have worked, and that a host has taken from them."""
    busy, stolen = 0, 0
    with open("/proc/stat") as f:
        for line in f:
            name, *v = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
                v = [int(x) for x in v]
                busy += v[0] + v[1] + v[2] + v[5] + v[6]
                stolen += v[7]
    return busy / TICKS, stolen / TICKS


def own_cpu():
    t = os.times()
    return t.user + t.system


class Sampler(threading.Thread):
    """Watches memory until stop(); every 10 s also tells on_sample, if there is one."""

    def __init__(self, peer, on_sample):
        super().__init__(daemon=True)
        self.peer, self.on_sample = peer, on_sample
        self.peak_kib, self.peak_wal, self.over = 0, 0, threading.Event()

    def run(self):
        begin, told = time.monotonic(), 0
        while not self.over.wait(SAMPLE_SECONDS):
            kib, (wal, db) = pss_kib(self.peer.pids()), self.peer.sizes()
            self.peak_kib, self.peak_wal = max(self.peak_kib, kib), max(self.peak_wal, wal)
            at = time.monotonic() - begin
            if self.on_sample and at - told >= LONG_SAMPLE_SECONDS:
                told = at
                self.on_sample(at, kib, wal, db)

    def stop(self):
        self.over.set()
        self.join()


def run_wrk(peer, args, seconds):
    """Load the peer. Returns wrk's figures; cpu_wrk in seconds."""
    argv = [which("wrk"), "-t", str(args.threads), "-c", str(args.connections),
            "-d", "%ds" % seconds, "--latency", "--timeout", "10s",
            "-s", os.path.join(ROOT, getattr(args, "script", "tests/bench/post.lua")),
            "http://127.0.0.1:%d%s" % (peer.port, peer.path)]
    before = os.times()
    got = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60,
                         env=dict(os.environ, BENCH_BODY=os.path.realpath(args.body),
                                  **getattr(args, "env", {})))
    ended, after = time.monotonic(), os.times()
    said = re.search(r"^RESULT (.*)$", got.stdout, re.M)
    if not said:
        raise BenchError("wrk failed: " + got.stdout + got.stderr)
    out = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", said.group(1))}
    out["cpu_wrk"] = (after.children_user + after.children_system
                      - before.children_user - before.children_system)
    return out, ended


def wait_drained(peer, ended):
    """Seconds from the end of the load until nothing is unfinished; and how much was at the end."""
    left = first = peer.unfinished()
    while left and time.monotonic() - ended < DRAIN_SECONDS:
        time.sleep(POLL_SECONDS)
        left = peer.unfinished()
    if left:
        raise BenchError("%d events still unfinished %d s after the load" % (left, DRAIN_SECONDS))
    return (time.monotonic() - ended if first else 0.0), first


def load(peer, args, seconds, on_sample=None):
    """One load. The peer is running; afterwards it is stopped."""
    reads_body = peer.reads_body()
    pids = peer.pids()
    sampler = Sampler(peer, on_sample)
    cpu, busy, own, begin = cpu_of(pids), cores_busy(args.affinity), own_cpu(), time.monotonic()
    sampler.start()
    wrk, ended = run_wrk(peer, args, seconds)
    drain, backlog = wait_drained(peer, ended)
    spent = time.monotonic() - begin
    used = {k: v - cpu.get(k, 0) for k, v in cpu_of(pids).items()}
    busy = [b - a for a, b in zip(busy, cores_busy(args.affinity))]
    watching = own_cpu() - own
    sampler.stop()
    own = peer.stop()
    took, n = wrk["us"] / 1e6, own.get("accepted", wrk["requests"])
    used["load generator"] = wrk["cpu_wrk"]
    others = max(0.0, busy[0] - sum(used.values()) - watching)
    out = {
        "name": peer.name, "requests": wrk["requests"], "accepted": n, "seconds": took,
        "acked_s": wrk["requests"] / took, "processed_s": n / (took + drain),
        "drain_s": drain, "backlog": backlog,
        "p50_ms": wrk["p50_us"] / 1e3, "p99_ms": wrk["p99_us"] / 1e3, "max_ms": wrk["max_us"] / 1e3,
        "http_errors": wrk["status"], "timeouts": wrk["timeout"],
        "socket_errors": wrk["connect"] + wrk["read"] + wrk["write"],
        "cpu_us": {k: v * 1e6 / max(1, n) for k, v in used.items()},
        "peak_mib": sampler.peak_kib / 1024, "peak_wal_mib": sampler.peak_wal / 2**20,
        "others": others / (spent * len(args.affinity)),
        "stolen": busy[1] / (spent * len(args.affinity)),
        "idle": max(0.0, 1 - sum(busy) / (spent * len(args.affinity))), "reads_body": reads_body}
    out["errors"] = out["http_errors"] + out["socket_errors"] + out["timeouts"]
    out.update(own)
    if "commits" in own:
        out["commits_s"] = own["commits"] / (took + drain)
        out["disk_per_event"] = own["disk_bytes"] / max(1, n)
    return out
