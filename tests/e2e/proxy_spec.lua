-- SPDX-License-Identifier: MIT
-- proxy_spec.lua: nginx in front of the engine, with the file of examples/reverse-proxy: what passes,
-- what does not, whose address is believed, and what senders see while the engine is away.

local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"
local quote = support.quote

local config = [[
return {
  trusted_proxies = { "127.0.0.1" },
  min_free = 0,
  sources = {
    webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" },
      key = { field = "call_id" } },
    near = { path = "/hooks/near", auth = "none", from = { "127.0.0.2" },
      type = { value = "ping" } },
    token = { path = "/hooks/token", auth = { bearer = "s3cret-token" },
      type = { value = "ping" } },
  },
}
]]

local function free_port()
  local s = assert(socket.bind("127.0.0.1", 0))
  local _, port = s:getsockname()
  s:close()
  return tonumber(port)
end

-- The shipped file, with this test's ports and files in it, and what Debian's nginx.conf has around.
local function start_nginx(dir, port, engine_port)
  local site, n = support.read_file "examples/reverse-proxy/switchhook.conf"
  local function put(from, to)
    site, n = site:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%")))
    assert(n == 1, from)
  end
  put("server 127.0.0.1:8080;", ("server 127.0.0.1:%d;"):format(engine_port))
  put("listen 443 ssl http2;", ("listen 127.0.0.1:%d ssl http2;"):format(port))
  put("/etc/nginx/tls/cert.pem", dir .. "/cert.pem")
  put("/etc/nginx/tls/key.pem", dir .. "/key.pem")
  put("/var/log/nginx/hooks.log", dir .. "/hooks.log")
  support.write_file(dir .. "/switchhook.conf", site)
  support.write_file(dir .. "/nginx.conf", ([[
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/error.log;
events { worker_connections 256; }
http {
  client_body_temp_path DIR/temp; proxy_temp_path DIR/temp; fastcgi_temp_path DIR/temp;
  uwsgi_temp_path DIR/temp; scgi_temp_path DIR/temp;
  include DIR/switchhook.conf;
}
]]):gsub("DIR", dir))
  local out = support.capture(("PATH=$PATH:/usr/sbin setsid nginx -e %s/error.log -c %s/nginx.conf " ..
    "-g 'daemon off;' >%s/nginx.out 2>&1 & echo $!"):format(dir, dir, dir))
  local pid = assert(tonumber(out:match "%d+"))
  support.wait_for(function()
    local c = socket.connect("127.0.0.1", port)
    return c and c:close()
  end, 10, "nginx; see " .. dir .. "/error.log")
  return pid
end

describe("nginx in front", function()
  local engine, port, pid, dir
  setup(function()
    engine = support.engine { config = config }
    dir = engine.dir
    port = free_port()
    local out, code = support.capture(("cd %s && openssl req -x509 -nodes -newkey ec -pkeyopt " ..
      "ec_paramgen_curve:P-256 -days 9 -subj /CN=hook.example.org -addext subjectAltName=" ..
      "IP:127.0.0.1 -keyout key.pem -out cert.pem 2>&1"):format(quote(dir)))
    assert(code == 0, out)
    pid = start_nginx(dir, port, engine.port)
  end)
  teardown(function()
    os.execute(("kill -TERM %d 2>/dev/null"):format(pid))
    support.wait_for(function() return not lfs.attributes(dir .. "/nginx.pid") end, 5, "nginx's end")
    engine:close()
  end)

  -- What curl gets of the proxy: status, headers (text), body.
  local function curl(path, options)
    local out = support.capture(("curl -s -i --cacert %s/cert.pem %s https://127.0.0.1:%d%s"):format(
      quote(dir), options or "", port, path))
    local head, body = out:match "^(HTTP.-)\r\n\r\n(.*)$"
    assert(head, "no answer: " .. out)
    if head:match " 100" then
      head, body = body:match "^(HTTP.-)\r\n\r\n(.*)$"
    end
    return tonumber(head:match "^HTTP/%S+ (%d+)"), head:lower(), body
  end

  local n = 0
  local function event(pad)
    n = n + 1
    support.write_file(dir .. "/body.json", cjson.encode {
      event = "call_start", call_id = "proxy-" .. n, pad = pad })
    return "--data-binary @" .. quote(dir .. "/body.json") .. " -H 'Content-Type: application/json'"
  end

  local function stored()
    return tonumber((support.capture(("sqlite3 %s/switchhook.db 'SELECT count(*) FROM sh_events'")
      :format(quote(engine.data))):match "%d+"))
  end

  it("passes events on, over HTTP/2 and 1.1, byte for byte", function()
    local status, head, body = curl("/hooks/webphone", event())
    assert.equal(200, status)
    assert.truthy(head:match "^http/2")
    assert.truthy(cjson.decode(body).id)
    status, head = curl("/hooks/webphone", "--http1.1 " .. event())
    assert.equal(200, status)
    assert.truthy(head:match "^http/1.1")
    assert.truthy(cjson.decode(select(3, curl("/hooks/webphone",
      "--data-binary @" .. quote(dir .. "/body.json")
        .. " -H 'Content-Type: application/json'"))).duplicate)
    assert.equal(2, stored())
  end)

  it("passes authentication and its refusals", function()
    assert.equal(401, (curl("/hooks/token", event())))
    assert.equal(200, (curl("/hooks/token", "-H 'Authorization: Bearer s3cret-token' " .. event())))
  end)

  it("takes a body up to the engine's own limit, and nothing larger", function()
    local before = stored()
    assert.equal(200, (curl("/hooks/webphone", event(("x"):rep(1024 * 1024 - 100)))))
    local status = curl("/hooks/webphone", event(("x"):rep(1024 * 1024 + 1)))
    assert.equal(413, status)
    assert.equal(before + 1, stored())
  end)

  it("tells the engine whose event it is, and lets nobody else say so", function()
    local before = stored()
    assert.equal(200, (curl("/hooks/near", "--interface 127.0.0.2 " .. event())))
    assert.equal(403, (curl("/hooks/near", event())))
    for _, lie in ipairs { "X-Forwarded-For: 127.0.0.2", "X-Forwarded-For: 127.0.0.2, 127.0.0.2",
                           "Forwarded: for=127.0.0.2", "X-Real-IP: 127.0.0.2" } do
      assert.equal(403, (curl("/hooks/near", "-H " .. quote(lie) .. " " .. event())), lie)
    end
    -- and who goes past the proxy is who it is
    local answer = engine:post("/hooks/near", '{"event":"x"}', { ["X-Forwarded-For"] = "127.0.0.9" })
    assert.equal(403, answer.status)
    assert.equal(before + 1, stored())
  end)

  it("keeps to itself what is not for senders", function()
    for _, path in ipairs { "/metrics", "/api/v1/status", "/api/v1/events", "/healthz", "/readyz",
                            "/console", "/", "/hooks", "/hooks/../metrics", "/hooks/%2e%2e/metrics",
                            "//metrics", "/hooks/..%2fmetrics" } do
      local status, _, body = curl(path, "--path-as-is")
      assert.is_true(status == 404 or status == 400 or status == 301, path .. ": " .. status)
      assert.falsy(body:find("switchhook_", 1, true), path)
    end
  end)

  it("keeps its connections to the engine", function()
    local function sockets()
      return tonumber((support.capture(("ls -l /proc/%d/fd | grep -c socket:"):format(engine.pid))
        :match "%d+"))
    end
    local before = sockets()
    for _ = 1, 10 do
      assert.equal(200, (curl("/hooks/webphone", event())))
    end
    assert.is_true(sockets() <= before + 1, "more connections than one")
  end)

  it("writes no path into its log", function()
    assert.truthy(support.read_file(dir .. "/hooks.log"):match "POST 200 %d+")
    assert.falsy(support.read_file(dir .. "/hooks.log"):find("/hooks/", 1, true))
  end)

  it("passes 503 and Retry-After on, of the engine and for it", function()
    engine:stop()
    support.write_file(dir .. "/switchhook.lua", (config:gsub("min_free = 0", 'min_free = "900GiB"')))
    local was = engine.port
    engine.options.args = "--listen 127.0.0.1:" .. was
    engine:start()
    local status, head, body = curl("/hooks/webphone", event())
    assert.same({ 503, "the disk is nearly full" }, { status, cjson.decode(body).error.message })
    assert.truthy(head:match "\nretry%-after: %d+")
    engine:stop()
    status, head, body = curl("/hooks/webphone", event())
    assert.same({ 503, "the engine is away" }, { status, cjson.decode(body).error.message })
    assert.truthy(head:match "\nretry%-after: 5")
    assert.truthy(head:match "\ncontent%-type: application/json")
  end)
end)
