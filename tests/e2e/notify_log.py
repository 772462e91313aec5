# SPDX-License-Identifier: MIT
"""A service manager's ear: notify_log.py PATH|@NAME writes each datagram that comes to the socket as
a line of JSON, {"at": monotonic seconds, "NAME": "value", ...}, after the line "ready"."""
import json
import socket
import sys
import time

path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\0" + path[1:] if path.startswith("@") else path)
print("ready", flush=True)
while True:
    text = s.recv(65536).decode()
    doc = dict(line.split("=", 1) for line in text.split("\n") if line)
    doc["at"] = time.monotonic()
    print(json.dumps(doc), flush=True)
