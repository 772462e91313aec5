#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""http_sink.py: a real HTTP/1.1 server that remembers what it is sent and answers as it is told.

usage: http_sink.py [PORT]    prints "ready PORT" once it listens on 127.0.0.1 (PORT 0: any)

Whatever is sent to it is kept; the answer is 200 with {"ok":true} unless something else was asked
for:
  PUT    /_answers        {"path": [answer, ..]}: the next answers for a path, then 200 again. An
                          answer: {"status", "headers", "body", "delay" (s), "drop": "before"|"after"}
                          (drop: the connection is cut without an answer, before or after reading
                          the body). "*" is every path that has no list of its own. A list whose last
                          member is {"forever": true, ..} repeats that one.
  GET    /_requests       everything received so far: [{"at","method","path","headers","body","conn"}]
  DELETE /_requests       forget it
"""
import asyncio
import json
import sys
import time


class Sink:
    def __init__(self):
        self.requests, self.answers, self.connections = [], {}, 0

    def next_answer(self, path):
        for name in (path, "*"):
            waiting = self.answers.get(name)
            if waiting:
                return waiting[0] if waiting[0].get("forever") else waiting.pop(0)
        return {}

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        try:
            while await self.one(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def one(self, reader, writer, number):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
        control = path.startswith("/_")
        answer = {} if control else self.next_answer(path.split("?")[0])
        if answer.get("drop") == "before":
            return False
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if control:
            self.reply(writer, *self.control(method, path, body))
            await writer.drain()
            return True
        self.requests.append({"at": time.time(), "method": method, "path": path,
                              "headers": headers, "body": body.decode("utf-8", "replace"),
                              "conn": number})
        if answer.get("delay"):
            await asyncio.sleep(answer["delay"])
        if answer.get("drop"):
            return False
        text = answer.get("body", '{"ok":true}')
        self.reply(writer, answer.get("status", 200), text, answer.get("headers", {}))
        await writer.drain()
        return True

    def control(self, method, path, body):
        if path == "/_answers" and method == "PUT":
            self.answers = json.loads(body)
            return 200, "{}"
        if path == "/_requests" and method == "GET":
            return 200, json.dumps(self.requests)
        if path == "/_requests" and method == "DELETE":
            self.requests.clear()
            return 200, "{}"
        return 404, "{}"

    @staticmethod
    def reply(writer, status, text, headers=None):
        data = text.encode()
        lines = ["HTTP/1.1 %d X" % status, "Content-Length: %d" % len(data)]
        headers = dict(headers or {})
        headers.setdefault("Content-Type", "application/json")
        lines += ["%s: %s" % pair for pair in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)


async def main():
    sink = Sink()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = await asyncio.start_server(sink.serve, "127.0.0.1", port, limit=1 << 20, backlog=512)
    print("ready %d" % server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
