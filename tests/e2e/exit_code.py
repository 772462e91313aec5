# SPDX-License-Identifier: MIT
"""exit_code.py FILE PROGRAM...: run a program in a session of its own, write its process id to FILE.pid
and, when it has ended, its exit code (negative: the signal) to FILE."""
import os
import sys

name, words = sys.argv[1], sys.argv[2:]
pid = os.fork()
if pid == 0:
    os.setsid()
    os.execvp(words[0], words)


def put(path, text):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


put(name + ".pid", str(pid))
put(name, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
