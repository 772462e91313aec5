#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""smtp_server.py: a real SMTP server (aiosmtpd) on 127.0.0.1 for the tests.

It prints "port N" and serves until SIGTERM or the end of the process that started it. Each
accepted message becomes FOLDER/0001.eml (as received, dots unstuffed) and FOLDER/0001.json: its envelope
{"from", "to", "tls", "login", "connection"}, where connection counts the TCP connections;
FOLDER/connections is how many there were so far."""
import argparse
import asyncio
import json
import logging
import os
import pathlib
import signal
import ssl
import subprocess
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def options():
    p = argparse.ArgumentParser()
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--greylist", type=int, default=0, metavar="N",
                   help="answer 450 to the first N recipients")
    p.add_argument("--refuse", default="", metavar="WHERE:ANSWER",
                   help="WHERE is mail, rcpt or data; ANSWER such as '550 no such user'")
    p.add_argument("--refuse-address", default="", help="with rcpt: only this one")
    p.add_argument("--rcpt", default=[], action="append", metavar="ADDRESS=ANSWER[*N]",
                   help="answer to this recipient, the first N times only; may be repeated")
    p.add_argument("--greeting", default="", metavar="ANSWER",
                   help="greet with this, such as '421 busy', and close")
    p.add_argument("--drop", default="", metavar="STAGE[*N]",
                   help="close the connection without an answer, the first N times only, at STAGE: "
                        "connect, ehlo, mail, rcpt, data or body")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--drop-after-data", type=int, default=0, metavar="N",
                   help="take the first N messages, then close the connection without an answer")
    p.add_argument("--hang-up", action="store_true", help="close after each message")
    p.add_argument("--slow", type=float, default=0, metavar="SECONDS",
                   help="wait before each answer to DATA")
    p.add_argument("--slow-greeting", type=float, default=0, metavar="SECONDS")
    p.add_argument("--login", default="", metavar="USER:PASSWORD", help="require it")
    p.add_argument("--tls", choices=("starttls", "smtps"), help="with FOLDER/cert.pem, made here")
    return p.parse_args()


def make_certificate(folder):
    """A self-made certificate for 127.0.0.1 and localhost; the context to serve it with."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


class Limited:
    """A text that is used up after N times: TEXT*N; without *N never."""
    def __init__(self, text):
        self.text, _, times = text.partition("*")
        self.left = int(times) if times else None

    def take(self):
        if self.left is not None:
            if self.left == 0:
                return None
            self.left -= 1
        return self.text


class Connection(SMTP):
    """aiosmtpd's own, but for what a sound server does not do."""
    faults = greeted = None

    async def push(self, status):
        if not self.greeted:
            self.greeted = True
            await asyncio.sleep(self.faults.opt.slow_greeting)
            if self.faults.drops(self, "connect"):
                return
            if self.faults.opt.greeting:
                await super().push(self.faults.opt.greeting)
                self.transport.close()
                return
        await super().push(status)

    async def smtp_DATA(self, arg):  # noqa: N802, the name that aiosmtpd looks for
        if not self.faults.drops(self, "data"):
            await super().smtp_DATA(arg)


class Server:
    def __init__(self, opt):
        self.opt = opt
        self.connections = self.stored = self.recipients = self.dropped = 0
        where, _, answer = opt.refuse.partition(":")
        self.refusals = {where: answer}
        self.rcpt = {address: Limited(answer) for address, _, answer
                     in (text.partition("=") for text in opt.rcpt)}
        self.drop = Limited(opt.drop)

    def drops(self, server, stage):
        """The connection is closed here, if the stage and the number of times say so."""
        if self.drop.text != stage or not self.drop.take():
            return False
        server.transport.abort()
        return True

    async def handle_EHLO(self, server, session, _envelope, hostname, responses):
        self.drops(server, "ehlo")
        session.host_name = hostname
        return responses

    def authenticate(self, _server, session, _envelope, _mechanism, data):
        user, _, password = self.opt.login.partition(":")
        ok = (isinstance(data, LoginPassword) and data.login.decode() == user
              and data.password.decode() == password)
        session.login = user if ok else None
        return AuthResult(success=ok, handled=ok)

    async def handle_MAIL(self, server, _session, envelope, address, mail_options):
        self.drops(server, "mail")
        if "mail" in self.refusals:
            return self.refusals["mail"]
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(self, server, _session, envelope, address, rcpt_options):
        self.drops(server, "rcpt")
        self.recipients += 1
        answer = self.rcpt[address].take() if address in self.rcpt else None
        if answer:
            return answer
        if self.recipients <= self.opt.greylist:
            return "450 4.2.0 greylisted, come back later"
        if "rcpt" in self.refusals and self.opt.refuse_address in ("", address):
            return self.refusals["rcpt"]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.opt.slow)
        if "data" in self.refusals:
            return self.refusals["data"]
        if self.drops(server, "body"):
            return "451 gone"
        self.stored += 1
        name = f"{self.stored:04d}"
        facts = {"from": envelope.mail_from, "to": envelope.rcpt_tos,
                 "tls": session.ssl is not None or self.opt.tls == "smtps",
                 "login": getattr(session, "login", None), "connection": server.number}
        (self.opt.folder / f"{name}.eml").write_bytes(envelope.original_content)
        (self.opt.folder / f"{name}.tmp").write_text(json.dumps(facts))
        (self.opt.folder / f"{name}.tmp").rename(self.opt.folder / f"{name}.json")
        if self.dropped < self.opt.drop_after_data:
            self.dropped += 1
            server.transport.abort()
        elif self.opt.hang_up:
            asyncio.get_running_loop().call_later(0.05, server.transport.abort)
        return f"250 OK: kept as {name}"

    def protocol(self, context):
        self.connections += 1
        number = self.connections
        (self.opt.folder / "connections").write_text(str(number))
        opt = {"hostname": "localhost", "timeout": 60}
        if self.opt.tls == "starttls":
            opt.update(tls_context=context, require_starttls=True)
        if self.opt.login:
            opt.update(auth_required=True, authenticator=self.authenticate,
                       auth_require_tls=self.opt.tls == "starttls")
        smtp = Connection(self, **opt)
        smtp.faults = self
        smtp.number = number
        return smtp


async def serve(opt):
    opt.folder.mkdir(parents=True, exist_ok=True)
    context = make_certificate(opt.folder) if opt.tls else None
    server = Server(opt)
    loop = asyncio.get_running_loop()
    stop = loop.create_future()

    def end():
        if not stop.done():
            stop.set_result(None)
    listener = await loop.create_server(lambda: server.protocol(context), "127.0.0.1",
                                        opt.port,
                                        ssl=context if opt.tls == "smtps" else None)
    loop.add_signal_handler(signal.SIGTERM, end)
    print("port", listener.sockets[0].getsockname()[1], flush=True)
    parent = os.getppid()
    while not stop.done() and os.getppid() == parent:  # never outlive the test
        await asyncio.wait([stop], timeout=0.5)
    listener.close()


if __name__ == "__main__":
    logging.disable()  # clients that go away in the middle are part of the tests
    warnings.simplefilter("ignore")
    asyncio.run(serve(options()))
