#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""specs.py: how long 1,000 small specs of the shipped rules take. Each sends an event and asserts on
an effect, each in a store of its own. Prints a line for each round and the median.

    tests/bench/specs.py [--specs N] [--rounds N] [--coverage] [--tap]

--tap: one TAP line, not ok past a generous guard (60 s for 1,000), for the test run."""
import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SWITCHHOOK_BIN", os.path.join(ROOT, "build/switchhook"))
GUARD_S = 60

SPEC = """  it("calls {number} back", function()
    hook.send(hook.payload("missed", {{ call_id = "call-{i}", remote_number = "{number}" }}))
    assert.scheduled_callback {{ number = "{number}", due = "2026-06-12 15:00" }}
  end)
"""


def write_specs(folder, n):
    with open(os.path.join(folder, "thousand_spec.lua"), "w", encoding="utf-8") as f:
        f.write('describe("a missed call", function()\n')
        for i in range(n):
            f.write(SPEC.format(i=i, number=f"06{i:08d}"))
        f.write("end)\n")


def run(folder, extra):
    start, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [BIN, "test", folder, "--config", "tests/spec/switchhook.lua", "--rules", "rules",
         "--scripts", "scripts", *extra],
        cwd=ROOT, capture_output=True, text=True, check=False)
    took, now = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_took = now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime
    passed = re.search(r"^\d+ specs: (\d+) passed \(", done.stdout, re.M)
    if done.returncode != 0 or not passed:
        sys.exit(f"the specs do not pass:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return took, cpu_took, int(passed.group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--specs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--tap", action="store_true")
    args = parser.parse_args()
    extra = ["--coverage"] if args.coverage else []
    times = []
    with tempfile.TemporaryDirectory() as folder:
        write_specs(folder, args.specs)
        for _ in range(args.rounds):
            took, cpu, passed = run(folder, extra)
            if passed != args.specs:
                sys.exit(f"{passed} specs passed, {args.specs} were written")
            times.append(took)
            if not args.tap:
                print(f"{args.specs} specs: {took:.2f} s, {1000 * took / args.specs:.2f} ms each,"
                      f" {cpu:.2f} s of CPU")
    median = statistics.median(times)
    guard = GUARD_S * args.specs / 1000
    if args.tap:
        print("1..1")
        print(f"{'ok' if median < guard else 'not ok'} 1 - {args.specs} specs in {median:.2f} s"
              f" (guard: {guard:.0f} s)")
    else:
        print(f"median of {args.rounds}: {median:.2f} s")
    return 0 if median < guard else 1


if __name__ == "__main__":
    sys.exit(main())
