#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""browser_keeper.py: a chromedriver that leaves nothing behind, however its user ends.

usage: browser_keeper.py FOLDER     prints "ready PORT"; ends when its standard input closes

chromedriver and its browsers are told to keep everything in FOLDER, and carry its name in their
environment; whatever still carries it in the end is killed.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

MARK = "SWITCHHOOK_BROWSER"


def marked(mark):
    """The processes that carry the mark, apart from this one."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as f:
                env = f.read()
            with open("/proc/%s/cmdline" % name, "rb") as f:
                words = f.read()
        except OSError:
            continue
        if mark in env.split(b"\0") or mark.split(b"=", 1)[1] + b"/" in words:
            found.append(int(name))
    return found


def end(driver, mark):
    if driver.poll() is None:
        driver.terminate()
        try:
            driver.wait(3)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
    for _ in range(20):
        left = marked(mark)
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)


def start(folder, env):
    """A chromedriver and its port. It takes a free one, which another process may take first."""
    for _ in range(5):
        with open(os.path.join(folder, "driver.log"), "a", encoding="utf-8") as log:
            driver = subprocess.Popen(["chromedriver", "--port=0"], env=env, stderr=log, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      start_new_session=True)
        for line in driver.stdout:
            if "started successfully on port" in line:
                return driver, line.rstrip(". \n").rsplit(" ", 1)[1]
            print(line, end="", file=sys.stderr)
        driver.wait()
    return driver, None


def main():
    folder = os.path.realpath(sys.argv[1])
    mark = "%s=%s" % (MARK, folder)
    env = dict(os.environ, HOME=folder, TMPDIR=folder, XDG_CONFIG_HOME=folder,
               XDG_CACHE_HOME=folder)
    env[MARK] = folder
    env.pop("DISPLAY", None)
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), lambda *_: sys.exit(1))
    driver, port = start(folder, env)
    try:
        if port:
            print("ready %s" % port, flush=True)
        sys.stdin.read()
    finally:
        end(driver, mark.encode())
        shutil.rmtree(folder, ignore_errors=True)


main()
