# SPDX-License-Identifier: MIT
"""peers.py: the three servers that the benchmark compares: how each is started, seen and ended."""
import glob
import http.client
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../.."))
START_SECONDS = 20
STOP_SECONDS = 20
KILL_SECONDS = 2


class BenchError(Exception):
    """Something that the benchmark needs is missing or did not work; the text says what."""


def prepare(args):
    """Find the programs; build the evhttp peer if it is not there."""
    tools = ["wrk"] + (["nginx"] if "nginx" in args.only else [])
    for tool in tools:
        if not which(tool):
            raise BenchError("%s is not installed (./dev bench installs it)" % tool)
    if "engine" in args.only and not os.access(Engine.binary(), os.X_OK):
        raise BenchError("%s is missing: run ./dev build" % Engine.binary())
    if "evhttp" in args.only:
        build = subprocess.run(["cmake", "--build", os.path.join(ROOT, "build"),
                                "--target", "bench_evhttp"], capture_output=True, text=True)
        if build.returncode != 0:
            raise BenchError("cannot build bench_evhttp:\n" + build.stdout + build.stderr)


def which(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def post(port, path, body):
    """The status of one request."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("POST", path, body, {"Content-Type": "application/json"})
        answer = c.getresponse()
        answer.read()
        return answer.status
    finally:
        c.close()


class Peer:
    """A server with one main process. path: where it takes events."""
    path = "/hooks/webphone"

    def __init__(self, folder, args):
        self.folder, self.args = folder, args
        self.child, self.port = None, None
        self.log_path = os.path.join(folder, "log")

    def spawn(self, argv, **more):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log,
                                          stdout=subprocess.PIPE, cwd=ROOT, **more)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ready_line(self):
        """Wait for the line that names the URL; sets port. Returns the line."""
        ready, _, _ = select.select([self.child.stdout], [], [], START_SECONDS)
        line = self.child.stdout.readline().decode() if ready else ""
        url = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not url:
            raise BenchError("%s did not start: %s%s" % (self.name, line, self.log()[-2000:]))
        self.port = int(url.group(1))
        return line

    def pids(self):
        """Main process first, then its children."""
        main = self.child.pid
        out = [main]
        for task in os.listdir("/proc/%d/task" % main):
            try:
                with open("/proc/%d/task/%s/children" % (main, task)) as f:
                    out += [int(x) for x in f.read().split()]
            except OSError:
                continue  # a thread that has just ended
        return out[:1] + sorted(out[1:])

    def reads_body(self):
        """Does it take what is good, and look into the body at all? Leaves one event."""
        good = b'{"event":"call_postprocess","call_id":"%s"}' % os.urandom(15).hex().encode()
        return (post(self.port, self.path, good) == 200
                and post(self.port, self.path, good[:-2]) == 400)

    def unfinished(self):
        """Events accepted and not yet settled."""
        return 0

    def sizes(self):
        """(bytes of the write-ahead log, bytes of the database)."""
        return 0, 0

    def stop(self):
        """End it in an orderly way. Returns figures that only it knows, a dict."""
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError("%s did not end within %d s" % (self.name, STOP_SECONDS)) from None
        return {}

    def kill(self):
        """Make sure that nothing is left, whatever has happened."""
        if self.child is None:
            return
        if self.child.poll() is None:
            children = self.pids()[1:]
            self.child.terminate()  # so that it can see to its own children
            try:
                self.child.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in [self.child.pid] + children:
                    os.kill(pid, signal.SIGKILL)
        self.child.wait()
        self.child.stdout.close()


class Engine(Peer):
    """(a) switchhook, durable."""
    name = "engine"

    @staticmethod
    def binary():
        return os.path.realpath(os.environ.get("SWITCHHOOK_BIN",
                                               os.path.join(ROOT, "build/switchhook")))

    def config(self):
        return "return { workers = %d }\n" % len(self.args.affinity)

    def start(self):
        self.data = os.path.join(self.folder, "data")
        config = os.path.join(self.folder, "switchhook.lua")
        with open(config, "w", encoding="utf-8") as f:
            f.write(self.config())
        self.spawn([self.binary(), "serve", "--config", config, "--listen", "127.0.0.1:0",
                    "--data", self.data, "--rules", os.path.realpath(self.args.rules),
                    "--scripts", os.path.join(ROOT, "scripts")])
        line = self.ready_line()
        rules = re.search(r"rules: (\d+)", line)
        self.rules = int(rules.group(1)) if rules else 0
        path = os.path.join(self.data, "switchhook.db")
        self.db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=5)
        self.db.execute("PRAGMA query_only = 1")

    def unfinished(self):
        return self.db.execute("SELECT count(*) FROM sh_unfinished").fetchone()[0]

    def sizes(self):
        path = os.path.join(self.data, "switchhook.db")
        return tuple(os.path.getsize(p) if os.path.exists(p) else 0 for p in (path + "-wal", path))

    def stop(self):
        def count(what):
            return self.db.execute("SELECT count(*) FROM " + what).fetchone()[0]

        out = {"rules": self.rules, "records": count("sh_records WHERE collection = 'calls'"),
               "done": count("sh_events e WHERE EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq)"
                             " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq"
                             " AND r.outcome <> 'done')")}
        wal, db = self.sizes()
        out["disk_bytes"] = wal + db
        self.db.close()
        super().stop()
        said = re.findall(r"msg=stopped (.*)", self.log())
        if not said:
            raise BenchError("the engine's log has no line msg=stopped:\n" + self.log()[-2000:])
        figures = dict(re.findall(r"(\w+)=(\d+)", said[-1]))
        for theirs, ours in (("accepted", "accepted"), ("settled", "settled"), ("runs", "runs"),
                             ("failed", "failed_runs"), ("dead", "dead_runs"),
                             ("duplicates", "duplicates"), ("commits", "commits"),
                             ("conflicts", "conflicts"), ("unfinished", "unfinished"),
                             ("worker_restarts", "worker_restarts")):
            if theirs not in figures:
                raise BenchError("the engine's last line has no %s=: %s" % (theirs, said[-1]))
            out[ours] = int(figures[theirs])
        return out

    def kill(self):
        if getattr(self, "db", None):
            self.db.close()
        super().kill()


NGINX = """\
daemon off;
pid %(folder)s/pid;
error_log %(folder)s/error.log warn;
worker_processes %(workers)d;
%(modules)s
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %(folder)s/body;
  proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/fastcgi;
  uwsgi_temp_path %(folder)s/uwsgi;
  scgi_temp_path %(folder)s/scgi;
  client_body_buffer_size 1m;
  client_max_body_size 1m;
  keepalive_requests 1000000000;
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "%(cpath)s;;";
  init_by_lua_block { cjson = require "cjson.safe" }
  server {
    listen 127.0.0.1:%(port)d backlog=1024;
    location = /hooks/webphone {
      default_type application/json;
      content_by_lua_block {
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        local call = body and cjson.decode(body)
        if type(call) ~= "table" or type(call.event) ~= "string"
          or type(call.call_id) ~= "string" then
          ngx.status = 400
          ngx.print('{"error":{"code":"invalid_json"}}')
          return
        end
        local answer = '{"id":"' .. call.call_id .. '"}'
        ngx.header["Content-Length"] = #answer
        ngx.print(answer)
      }
    }
  }
}
"""


class Nginx(Peer):
    """(b) nginx with its Lua module: decodes, stores nothing."""
    name = "nginx"

    def start(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        modules = next((d for d in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")
                        if os.path.exists(d + "/ngx_http_lua_module.so")), None)
        if not modules:
            raise BenchError("nginx has no Lua module (Debian: libnginx-mod-http-lua)")
        load = ["load_module %s/%s;" % (modules, m)
                for m in ("ndk_http_module.so", "ngx_http_lua_module.so")]
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX % {
                "folder": self.folder, "port": self.port, "modules": "\n".join(load),
                "workers": len(self.args.affinity),
                "cpath": ";".join(d + "/?.so" for d in glob.glob("/usr/lib/*/lua/5.1"))})
        self.spawn([which("nginx"), "-p", self.folder, "-c", conf,
                    "-e", os.path.join(self.folder, "error.log")])
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise BenchError("nginx did not start: " + self.log() + self.error_log())

    def error_log(self):
        try:
            with open(os.path.join(self.folder, "error.log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""


class Evhttp(Peer):
    """(c) bare evhttp with cJSON: decodes, stores nothing."""
    name = "evhttp"

    def start(self):
        self.spawn([os.path.join(ROOT, "build/bench/bench_evhttp")])
        self.ready_line()


PEERS = {"engine": Engine, "nginx": Nginx, "evhttp": Evhttp}
