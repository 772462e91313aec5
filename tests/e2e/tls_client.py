#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tls_client.py: a sender that speaks TLS, for tls_spec.lua: tls_client.py PORT CA SCENARIO [ARG...]

Prints what it saw as one JSON object."""
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings

PORT, CA = int(sys.argv[1]), sys.argv[2]
HOOK = "/hooks/webphone"
counter = 0
lock = threading.Lock()


def event(pad=""):
    global counter
    with lock:
        counter += 1
        n = counter
    return json.dumps({"event": "call_start", "call_id": f"tls-{os.getpid()}-{n}", "pad": pad})


def request(body, more=""):
    return (f"POST {HOOK} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def context(low=None, high=None, trust=CA):
    c = ssl.create_default_context(cafile=trust)
    c.check_hostname = False
    if low:
        c.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the engine that refuses
        c.minimum_version = getattr(ssl.TLSVersion, low)
        c.maximum_version = getattr(ssl.TLSVersion, high)
    return c


def dial(c=None, timeout=20):
    raw = socket.create_connection(("127.0.0.1", PORT), timeout=timeout)
    return (c or context()).wrap_socket(raw, suppress_ragged_eofs=False)


class Reader:
    """Answers one after the other; status -1 at the end of the connection."""

    def __init__(self, sock):
        self.sock, self.text = sock, b""

    def answer(self):
        while b"\r\n\r\n" not in self.text:
            more = self.sock.recv(65536)
            if not more:
                return -1, b""
            self.text += more
        head, self.text = self.text.split(b"\r\n\r\n", 1)
        n = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:")), 0)
        while len(self.text) < n:
            self.text += self.sock.recv(65536)
        body, self.text = self.text[:n], self.text[n:]
        return int(head.split()[1]), body


def version(low, high):
    s = dial(context(low, high))
    r = Reader(s)
    s.sendall(request(event()))
    return {"version": s.version(), "cipher": s.cipher()[0], "status": r.answer()[0]}


def keep(n):
    s = dial()
    r = Reader(s)
    seen = []
    for _ in range(int(n)):
        s.sendall(request(event()))
        seen.append(r.answer()[0])
    return {"statuses": seen}


def pipeline(n):
    s = dial()
    r = Reader(s)
    s.sendall(b"".join(request(event()) for _ in range(int(n))))
    return {"statuses": [r.answer()[0] for _ in range(int(n))]}


def trickle():
    """One request in pieces that end where no record and no line does."""
    s = dial()
    text = request(event(), "Transfer-Encoding: chunked\r\n").replace(b"Content-Length", b"X-Length")
    head, body = text.split(b"\r\n\r\n", 1)
    for piece in (head[:7], head[7:], b"\r", b"\n\r\n", b"%x\r\n" % len(body), body[:5], body[5:],
                  b"\r\n0\r\n", b"\r\n"):
        s.sendall(piece)
        time.sleep(0.01)
    return {"status": Reader(s).answer()[0]}


def big(n):
    s = dial()
    body = event()
    body = event("x" * (int(n) - len(body) - 8))
    s.sendall(request(body))
    return {"status": Reader(s).answer()[0], "bytes": len(body)}


def many(n):
    """All at once, each kept open until every one has its answer."""
    seen, gate = [], threading.Barrier(int(n))

    def one():
        s = dial()
        s.sendall(request(event()))
        status = Reader(s).answer()[0]
        with lock:
            seen.append(status)
        gate.wait(30)
        s.close()

    threads = [threading.Thread(target=one) for _ in range(int(n))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return {"ok": seen.count(200), "of": len(seen)}


def raw(kind):
    """Bytes that are no handshake, or an unfinished one: how long until the end, and what came."""
    hello = bytes.fromhex("1603010200010001fc0303") + b"\x11" * 40
    text = {"silent": b"", "half": hello, "garbage": os.urandom(3000),
            "http": b"POST /hooks/webphone HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}",
            "trickle": hello}[kind]
    start = time.monotonic()
    s = socket.create_connection(("127.0.0.1", PORT), timeout=20)
    if kind == "trickle":  # a byte at a time does not buy time
        s.settimeout(0.05)
        for b in text * 10:
            try:
                s.send(bytes([b]))
                if not s.recv(100):
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        return {"seconds": time.monotonic() - start, "got": ""}
    s.sendall(text)
    got = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except ConnectionResetError:
        pass
    return {"seconds": time.monotonic() - start, "got": got.decode("latin-1")}


def limits(kind):
    """The guards of HTTP hold on what comes out of the encryption; the end is a clean one."""
    s = dial()
    text = {"length": b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n",
            "twice": b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "head": b"GET /" + b"a" * 200000,
            "slow": b"GET /healthz HTTP/1.1\r\nHost: t\r\nX"}[kind]
    start = time.monotonic()
    if kind == "slow":
        s.settimeout(0.1)
        status = 0
        while time.monotonic() - start < 15 and not status:
            try:
                s.sendall(text or b"a")
                text = b""
                status = Reader(s).answer()[0]
            except (TimeoutError, ssl.SSLWantReadError):
                pass
        s.settimeout(10)
    else:
        try:
            s.sendall(text)
        except OSError:
            pass
        status = Reader(s).answer()[0]
    try:
        end = "clean" if s.recv(1) == b"" else "more"
    except ssl.SSLEOFError:
        end = "cut"
    except OSError as e:
        end = type(e).__name__
    return {"status": status, "end": end, "seconds": time.monotonic() - start}


def last_answer():
    """Connection: close ends with close_notify, so that nobody can cut an answer unseen."""
    s = dial()
    r = Reader(s)
    s.sendall(request(event(), "Connection: close\r\n"))
    status = r.answer()[0]
    try:
        end = "clean" if s.recv(1) == b"" else "more"
    except ssl.SSLEOFError:
        end = "cut"
    return {"status": status, "end": end}


def presented():
    s = dial(context(trust=TRUST_ALL))
    name = dict(x[0] for x in s.getpeercert()["subject"])["commonName"]
    s.close()
    return name


def put(folder, which, name):
    source, target = f"{folder}/{which}.{name}", f"{folder}/{name}"
    with open(source, "rb") as f, open(target + ".new", "wb") as g:
        g.write(f.read())
    os.rename(target + ".new", target)


def swap(pid, folder):
    """Other certificates while senders are at work: with each, no request may fail."""
    global TRUST_ALL
    TRUST_ALL = CA
    stop, counts, faults, seen = False, {}, [], []

    def sender(fresh):
        c = context(trust=CA)
        s = None
        while not stop:
            try:
                if not s:
                    s = dial(c)
                    r = Reader(s)
                s.sendall(request(event()))
                status = r.answer()[0]
                with lock:
                    counts[status] = counts.get(status, 0) + 1
                if fresh:
                    s.close()
                    s = None
            except Exception as e:  # pylint: disable=broad-except
                faults.append(repr(e))
                s = None
            time.sleep(0.005)

    threads = [threading.Thread(target=sender, args=(i % 2 == 0,)) for i in range(6)]
    for t in threads:
        t.start()
    seen.append(presented())
    for which, how in (("b", "look"), ("a", "hangup"), ("b", "hangup")):
        put(folder, which, "key.pem")  # for a moment the two do not belong together
        time.sleep(0.05)
        put(folder, which, "cert.pem")
        if how == "hangup":
            os.kill(int(pid), signal.SIGHUP)
        want = which + ".example.org"
        deadline = time.monotonic() + 10
        while presented() != want and time.monotonic() < deadline:
            time.sleep(0.1)
        seen.append(presented())
        time.sleep(0.2)
    stop = True
    for t in threads:
        t.join()
    return {"ok": counts.get(200, 0), "others": {str(k): v for k, v in counts.items() if k != 200},
            "faults": faults[:5], "seen": seen}


def renegotiate():
    """A client that asks for another handshake in the middle of the first connection (TLS 1.2)."""
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-tls1_2"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.3)
    p.stdin.write(b"R\n")
    p.stdin.flush()
    time.sleep(0.5)
    p.kill()
    return {"said": p.communicate()[0].decode("latin-1")}


TRUST_ALL = CA
warnings.simplefilter("ignore")
try:
    result = globals()[sys.argv[3]](*sys.argv[4:])
except (OSError, ssl.SSLError) as e:
    result = {"error": f"{type(e).__name__}: {e}"}
print(json.dumps(result))
