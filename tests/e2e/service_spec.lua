-- SPDX-License-Identifier: MIT
-- What a service manager gives and is told: sockets that listen already, signs of life.
local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local here = lfs.currentdir()

-- The command that starts an engine as a service manager would: see service_exec.py.
local function manager(options)
  return "/usr/bin/python3 -B " .. here .. "/tests/e2e/service_exec.py " .. options .. " --"
end

local function event(n)
  return cjson.encode { event = "tick", call_id = "k" .. n, n = n }
end

-- The process ids of an engine's children.
local function children(pid)
  local list = {}
  for child in support.read_file(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+" do
    list[#list + 1] = tonumber(child)
  end
  return list
end

-- What the open descriptors of a process are.
local function files(pid)
  return (support.capture(("ls -l /proc/%d/fd"):format(pid)))
end

-- A service manager's ear: see notify_log.py. ear:heard() is what came so far, a list of tables.
local ear = {}
ear.__index = ear

local function listen(path)
  local self = setmetatable({ dir = support.temp_dir() }, ear)
  self.path = path or self.dir .. "/notify"
  self.out = self.dir .. "/out"
  local pid = support.capture(("/usr/bin/python3 -B tests/e2e/notify_log.py %s >%s 2>&1 </dev/null & echo $!")
    :format(support.quote(self.path), self.out))
  self.pid = assert(tonumber(pid:match "%d+"))
  support.wait_for(function()
    return support.read_file(self.out):match "ready"
  end, 10, "the notify socket")
  return self
end

function ear:heard()
  local list = {}
  for line in support.read_file(self.out):gmatch "(%b{})\n" do
    list[#list + 1] = cjson.decode(line)
  end
  return list
end

-- The first message with that name (and value), waited for; since (optional): from that one on.
function ear:wait(name, value, since)
  return support.wait_for(function()
    local list = self:heard()
    for i = since or 1, #list do
      if list[i][name] and (not value or list[i][name] == value) then
        return { message = list[i], at = i }
      end
    end
  end, 10, ("%s=%s from the engine"):format(name, value or "...")) end

function ear:close()
  os.execute(("kill %d 2>/dev/null"):format(self.pid))
  support.remove_dir(self.dir)
end

describe("under a service manager the engine", function()
  local engine, manager_ear
  local function start(options)
    engine = support.engine(options)
    return engine
  end
  after_each(function()
    if engine then
      engine:close()
      engine = nil
    end
    if manager_ear then
      manager_ear:close()
      manager_ear = nil
    end
  end)

  it("serves on the socket it was given, whatever listen says", function()
    start { wrap = manager "--tcp 127.0.0.1:0 --names web" }
    assert.equal(200, engine:post("/hooks/webphone", event(1)).status)
    local log = engine:log()
    assert.truthy(log:find("listening on a socket of the service manager", 1, true), log)
    assert.truthy(log:find("listen is not used", 1, true), log)
    assert.truthy(log:find("port=" .. engine.port, 1, true), log)
    engine:wait_events("done", 1)
  end)

  it("says when it is ready, reloads and stops", function()
    manager_ear = listen()
    start { wrap = manager("--notify " .. manager_ear.path) }
    local ready = manager_ear:wait("READY", "1")
    assert.truthy(ready.message.STATUS:find("1 rule live", 1, true), ready.message.STATUS)
    os.execute("kill -HUP " .. engine.pid)
    local reloading = manager_ear:wait("RELOADING", "1", ready.at + 1)
    assert.is_true(tonumber(reloading.message.MONOTONIC_USEC) / 1e6 <= reloading.message.at)
    assert.is_true(tonumber(reloading.message.MONOTONIC_USEC) / 1e6 > ready.message.at)
    manager_ear:wait("READY", "1", reloading.at + 1)
    engine:stop()
    manager_ear:wait("STOPPING", "1", reloading.at + 1)
  end)

  it("serves all the sockets it was given", function()
    start { wrap = manager "--tcp 127.0.0.1:0 --tcp [::1]:0" }
    local other = tonumber(engine:log():match 'address=::1 port=(%d+)')
    assert.equal(200, engine:post("/hooks/webphone", event(1)).status)
    local out = support.capture(("curl -sS -m 5 http://[::1]:%d/readyz 2>&1"):format(other))
    assert.equal('{"status":"ok"}', out)
  end)

  it("speaks TLS on the socket it was given", function()
    engine = support.engine { start = false, wrap = manager "--tcp 127.0.0.1:0", config = [[
      return { tls = { cert = "cert.pem", key = "key.pem" }, sources = { webphone = {
        path = "/hooks/webphone", auth = "none", type = { field = "event" } } } }]] }
    assert(os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " ..
      "-keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost" ..
      " 2>/dev/null"):format(engine.dir)))
    engine:start()
    local out = support.capture(("curl -sS -m 5 --cacert %s/cert.pem https://localhost:%d/readyz 2>&1")
      :format(engine.dir, engine.port))
    assert.equal('{"status":"ok"}', out)
  end)

  it("leaves neither sockets nor variables to its workers", function()
    manager_ear = listen("@switchhook-e2e-" .. math.random(1e9))
    start { wrap = manager("--tcp 127.0.0.1:0 --names web --watchdog 60000 --notify " .. manager_ear.path) }
    manager_ear:wait("READY", "1")
    manager_ear:wait("WATCHDOG", "1")
    local listening = files(engine.pid):match "3 %-> (socket:%[%d+%])"
    assert.truthy(listening)
    local workers = children(engine.pid)
    assert.is_true(#workers > 0)
    for _, pid in ipairs(workers) do
      assert.is_nil(files(pid):find(listening, 1, true))
      local variables = support.read_file(("/proc/%d/environ"):format(pid))
      assert.is_nil(variables:find("LISTEN_", 1, true))
      assert.is_nil(variables:find("NOTIFY_SOCKET", 1, true))
      assert.is_nil(variables:find("WATCHDOG", 1, true))
    end
  end)

  it("leaves alone what is meant for another process", function()
    start { wrap = manager "--tcp 127.0.0.1:0 --pid 1" }
    assert.is_nil(engine:log():find("service manager", 1, true))
    assert.equal(200, engine:post("/hooks/webphone", event(1)).status)
  end)

  it("says what is wrong with a descriptor it was given, and does not start", function()
    engine = support.engine { start = false }
    for options, why in pairs {
      ["--tcp 127.0.0.1:0 --file --names web:log"] = "descriptor 4, log of the service manager",
      ["--udp 127.0.0.1:0"] = "expected ListenStream=",
      ["--connection"] = "expected Accept=no",
      ["--fds 1"] = "is not open",
      ["--fds 900"] = 'LISTEN_FDS is "900"',
      ["--fds x"] = 'LISTEN_FDS is "x"',
    } do
      local out, code = support.capture(("cd %s && %s %s serve --data data --rules rules 2>&1 3>&-"):format(
        engine.dir, manager(options), support.bin))
      assert.equal(1, code, options)
      assert.truthy(out:find(why, 1, true), out)
    end
  end)

  it("asks of the socket's real address what may be reached there", function()
    engine = support.engine { start = false, config = [[
      return { sources = { webphone = { path = "/hooks/webphone", type = { field = "event" } } } }]] }
    local out, code = support.capture(("cd %s && timeout 20 %s %s serve --config switchhook.lua " ..
      "--listen 127.0.0.1:0 --data data --rules rules 2>&1"):format(
      engine.dir, manager "--tcp 127.0.0.1:0 --tcp 0.0.0.0:0", support.bin))
    assert.equal(1, code)
    assert.truthy(out:find('source "webphone" has no auth, and 0.0.0.0 can be reached', 1, true), out)
  end)

  it("gives no sign of life while it is stopped, or its disk takes nothing", function()
    assert(os.execute("mkdir -p build && cc -shared -fPIC -D_GNU_SOURCE -o build/slow_sync.so" ..
      " tests/e2e/slow_sync.c -ldl"))
    manager_ear = listen()
    engine = support.engine { start = false, wrap = manager("--watchdog 600 --notify " .. manager_ear.path) }
    engine.options.env = { LD_PRELOAD = here .. "/build/slow_sync.so", SLOW_SYNC = engine.dir .. "/slow",
      SLOW_SYNC_MS = "3000" }
    engine:start()
    -- The longest time between two signs of life from message number `from` on.
    local function gap(from)
      local last, longest = nil, 0
      for i, message in ipairs(manager_ear:heard()) do
        if i >= from and message.WATCHDOG then
          longest = last and math.max(longest, message.at - last) or longest
          last = message.at
        end
      end
      return longest
    end
    local first = manager_ear:wait("WATCHDOG", "1").at
    assert(os.execute("kill -STOP " .. engine.pid))
    socket.sleep(1.5)
    local silent = #manager_ear:heard()
    assert(os.execute("kill -CONT " .. engine.pid))
    manager_ear:wait("WATCHDOG", "1", silent + 1)
    assert.is_true(gap(first) > 1.2)
    support.write_file(engine.dir .. "/slow", "")
    local stuck = #manager_ear:heard()
    assert.equal(200, engine:post("/hooks/webphone", event(1)).status)
    os.remove(engine.dir .. "/slow")
    manager_ear:wait("WATCHDOG", "1", #manager_ear:heard() + 1)
    assert.is_true(gap(stuck) > 2)
    assert.truthy(engine:log():find("no sign of life to the service manager", 1, true))
  end)

  it("says why it cannot start", function()
    manager_ear = listen()
    engine = support.engine { start = false, wrap = manager("--notify " .. manager_ear.path) }
    support.write_file(engine.dir .. "/switchhook.lua", "return {\n  ruels = 'rules',\n}\n")
    support.capture(("cd %s && %s %s serve --config %s 2>&1"):format(support.quote(engine.dir),
      manager("--notify " .. manager_ear.path), support.quote(support.bin), "switchhook.lua"))
    local said = manager_ear:wait("STATUS").message.STATUS
    assert.matches("^cannot start: switchhook.lua:2: ruels: unknown key", said)
  end)

  it("asks for more time while a start takes long", function()
    manager_ear = listen()
    engine = support.engine { start = false, wrap = manager("--notify " .. manager_ear.path) }
    engine:start()
    local asked = manager_ear:wait("EXTEND_TIMEOUT_USEC")
    assert.is_true(tonumber(asked.message.EXTEND_TIMEOUT_USEC) >= 10e6)
    assert.is_true(asked.at < manager_ear:wait("READY", "1").at)
  end)
end)
