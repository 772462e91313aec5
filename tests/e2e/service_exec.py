# SPDX-License-Identifier: MIT
"""Become a program as a service manager would start it: with sockets that listen already, and with a
socket to say what it is doing.

    service_exec.py [--tcp 127.0.0.1:0 | --tcp [::1]:0 | --udp HOST:PORT | --connection | --file]...
                    [--pid N] [--fds N] [--names a:b] [--notify PATH|@NAME] [--watchdog MS] -- PROGRAM ...

Descriptors are given from 3 on, in the order of the options.
"""
import os
import socket
import sys


def listening(text, kind=socket.SOCK_STREAM):
    host, port = text.rsplit(":", 1)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    s = socket.socket(family, kind)
    if kind == socket.SOCK_STREAM:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host.strip("[]"), int(port)))
    if kind == socket.SOCK_STREAM:
        s.listen(1024)
    return s


def main(words):
    given, env, keep = [], dict(os.environ), []
    pid = fds = None
    while words and words[0] != "--":
        option = words.pop(0)
        if option == "--connection":
            server = listening("127.0.0.1:0")
            client = socket.create_connection(server.getsockname())
            keep += [server, client]
            given.append(server.accept()[0])
        elif option == "--file":
            given.append(open("/dev/null", "rb"))
        elif option == "--tcp":
            given.append(listening(words.pop(0)))
        elif option == "--udp":
            given.append(listening(words.pop(0), socket.SOCK_DGRAM))
        elif option == "--pid":
            pid = words.pop(0)
        elif option == "--fds":
            fds = words.pop(0)
        elif option == "--names":
            env["LISTEN_FDNAMES"] = words.pop(0)
        elif option == "--notify":
            env["NOTIFY_SOCKET"] = words.pop(0)
        elif option == "--watchdog":
            env["WATCHDOG_USEC"] = str(int(words.pop(0)) * 1000)
            env["WATCHDOG_PID"] = str(os.getpid())
        else:
            sys.exit("service_exec.py: unknown option " + option)
    if given or fds:
        env["LISTEN_FDS"] = fds or str(len(given))
        env["LISTEN_PID"] = pid or str(os.getpid())
    for i, f in enumerate(given):
        os.dup2(f.fileno(), 100 + i)
    for i in range(len(given)):
        os.dup2(100 + i, 3 + i, inheritable=True)
        os.close(100 + i)
    os.execvpe(words[1], words[1:], env)


main(sys.argv[1:])
