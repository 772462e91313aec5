# SPDX-License-Identifier: MIT
"""A service manager with one socket, and senders that do not stop while it starts the engine anew.

    upgrade.py [--between COMMAND] [--tls CERT] DIR RESTARTS SENDERS BIN [BIN...]

Holds a listening socket, runs `BIN serve` on it in DIR (switchhook.lua, data, rules, scripts; the
programs take turns), stops it with SIGTERM and starts the next as soon as it is gone, RESTARTS times;
COMMAND (of the shell, in DIR) runs between the two.
Meanwhile SENDERS clients send events on connections that they keep for as long as they may, and two
more on a fresh connection each. Prints one JSON object: counts by status, what went wrong, the longest
wait, and of each engine how long its stop took, when it was ready again, and its exit code.
"""
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

words = sys.argv[1:]
between = tls = None
while words[0].startswith("--"):
    option, value, words = words[0], words[1], words[2:]
    if option == "--between":
        between = value
    elif option == "--tls":
        tls = ssl.create_default_context(cafile=value)
folder, restarts, senders, programs = words[0], int(words[1]), int(words[2]), words[3:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(1024)
port = listener.getsockname()[1]
lock = threading.Lock()
over = threading.Event()
result = {"statuses": {}, "errors": [], "longest_ms": 0.0, "sent": 0, "engines": []}


def spawn(n):
    program = os.path.abspath(programs[n % len(programs)])
    arguments = ["serve", "--config", "switchhook.lua", "--data", "data", "--rules", "rules",
                 "--scripts", "scripts"]
    fd = listener.fileno()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        os.dup2(os.open(f"out.{n}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 1)
        os.dup2(os.open(f"err.{n}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
        os.dup2(fd, 3)
        os.set_inheritable(3, True)
        env = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
        os.execve(program, [program] + arguments, env)
    return pid


def ready(n, pid, patience=60):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            with open(f"{folder}/out.{n}", encoding="utf-8") as f:
                if " ready on " in f.read():
                    return True
        except FileNotFoundError:
            pass
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    return False


def note(status, began):
    took = (time.monotonic() - began) * 1000
    with lock:
        result["sent"] += 1
        result["statuses"][str(status)] = result["statuses"].get(str(status), 0) + 1
        result["longest_ms"] = max(result["longest_ms"], took)


def fail(what):
    with lock:
        result["errors"].append(what)


class Client:
    def __init__(self, name, keep):
        self.name, self.keep, self.sock, self.n = name, keep, None, 0

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")

    def answer(self):
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError(f"closed with {len(data)} bytes of an answer")
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers["content-length"]):
            body += self.sock.recv(65536)
        return int(lines[0].split()[1]), headers.get("connection") == "close"

    def one(self):
        self.n += 1
        body = json.dumps({"event": "tick", "call_id": f"{self.name}-{self.n}"}).encode()
        text = (f"POST /hooks/webphone HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
        began = time.monotonic()
        try:
            if not self.sock:
                self.connect()
            self.sock.sendall(text)
            status, closes = self.answer()
        except OSError as e:
            fail(f"{self.name}-{self.n}: {type(e).__name__} {e}")
            self.sock = None
            time.sleep(0.05)
            return
        note(status, began)
        if closes or not self.keep:
            self.sock.close()
            self.sock = None

    def run(self):
        while not over.is_set():
            self.one()


def main():
    pid = spawn(0)
    if not ready(0, pid):
        sys.exit("the first engine did not start: " + open(f"{folder}/err.0").read())
    clients = [Client(f"kept{i}", True) for i in range(senders)]
    clients += [Client(f"fresh{i}", False) for i in range(2)]
    threads = [threading.Thread(target=c.run) for c in clients]
    for t in threads:
        t.start()
    for n in range(1, restarts + 1):
        time.sleep(1)
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
        gone = time.monotonic()
        if between:
            subprocess.run(between, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        pid = spawn(n)
        if not ready(n, pid):
            fail(f"engine {n} did not start: " + open(f"{folder}/err.{n}").read())
            break
        result["engines"].append({"stop_ms": (gone - began) * 1000, "exit": os.waitstatus_to_exitcode(status),
                                  "ready_ms": (time.monotonic() - gone) * 1000})
    time.sleep(1)
    over.set()
    for t in threads:
        t.join()
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    result["exit"] = os.waitstatus_to_exitcode(status)
    result["sent_by"] = {c.name: c.n for c in clients}
    print(json.dumps(result))


main()
