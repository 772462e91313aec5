-- SPDX-License-Identifier: MIT
-- SIGTERM at bad moments: the engine is gone in time, with exit code 0, and has lost nothing.
local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local here = lfs.currentdir()
local LIMIT_S = 5 -- what is promised, from the signal to the end

local function config(extra)
  return [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } }, ]] .. (extra or "") .. " }"
end

local function event(key, kind)
  return cjson.encode { event = kind or "tick", call_id = key }
end

local counting = [[
rule "Count" { on = "tick", run = function(e)
  records.incr("counts", "total", "n", 1)
  records.put("seen", e.call_id, {})
end }
]]

local stuck = [[
rule "Stuck" { on = "stuck", run = function() string.find(("a"):rep(1000), (".-"):rep(12) .. "b") end }
]]

local function call_rule(url)
  return ('rule "Call" { on = "call", run = function(e) http.post { url = "%s/slow", body = e.call_id } end }\n')
    :format(url)
end

describe("a stop", function()
  local engine, others
  -- An engine whose exit code is written down; engine.pid is its own, and its session's.
  local function start(options)
    options = options or {}
    engine = engine or support.engine { start = false, config = options.config or config(),
      rules = options.rules or { ["count.lua"] = counting }, env = options.env }
    engine.exit_file = ("%s/exit.%d"):format(engine.dir, engine.starts + 1)
    engine.options.wrap = ("/usr/bin/python3 -B %s/tests/e2e/exit_code.py %s"):format(here, engine.exit_file)
    engine:start()
    engine.pid = tonumber(support.read_file(engine.exit_file .. ".pid"))
    return engine
  end
  local function signal(name)
    assert(os.execute(("kill -%s %d"):format(name or "TERM", engine.pid)))
  end
  -- Wait for the end after a signal sent at `began`, and look at what is promised of it.
  local function ended(began)
    local code = support.wait_for(function()
      local f = io.open(engine.exit_file)
      local text = f and f:read "*a"
      if f then f:close() end
      return text
    end, 15, "the engine to end; its log: " .. engine.stderr)
    local took = socket.gettime() - began
    assert.equal("0", code, engine:log())
    assert.is_true(took < LIMIT_S, ("it took %.1f s"):format(took))
    support.wait_for(function() -- what was killed may still wait for whoever buries it
      return not support.capture("ps -o stat=,pid=,args= --sid " .. engine.pid):find "^[^Z%s]" and
        not support.capture("ps -o stat=,pid=,args= --sid " .. engine.pid):find "\n[^Z%s]"
    end, 5, "the engine's children to be gone")
    return took
  end
  local function stop()
    local began = socket.gettime()
    signal()
    return ended(began)
  end
  -- The last line says so many of that; on a machine with no time it may have had to be left out.
  local function assert_said(number, name)
    local log = engine:log()
    local said = log:match("msg=stopped[^\n]* " .. name .. "=(%d+)")
    assert.truthy(said == tostring(number) or not said and log:find("ended as it stands", 1, true), log)
  end
  local function keep(peer)
    others[#others + 1] = peer
    return peer
  end
  before_each(function()
    others = {}
  end)
  after_each(function()
    for _, peer in ipairs(others) do peer:close() end
    if engine then
      if engine.pid and engine:running() then
        engine:kill9()
      end
      if engine.exit_file then -- the last to write into the folder
        support.wait_for(function() return lfs.attributes(engine.exit_file) end, 5, "the exit code")
      end
      engine:close()
      engine = nil
    end
  end)
  local function post(kind, key)
    local answer = engine:post("/hooks/webphone", event(key, kind))
    assert.equal(200, answer.status)
    return answer
  end

  it("lets open connections ask once more, and stores what they send", function()
    start()
    local asks, idle, fresh = engine:connect(), engine:connect(), engine:connect()
    asks:request("POST", "/hooks/webphone", event "a")
    idle:request("POST", "/hooks/webphone", event "b")
    local began = socket.gettime()
    signal()
    support.wait_for(function() return engine:log():find("msg=stopping", 1, true) end, 5, "the stop to begin")
    local answer = asks:request("POST", "/hooks/webphone", event "c")
    assert.equal(200, answer.status)
    assert.equal("close", answer.headers.connection)
    assert.is_true(asks:closed(), "the end is said in order")
    local first = fresh:request("POST", "/hooks/webphone", event "d")
    assert.equal(200, first.status)
    assert.is_true(idle:closed(2))
    ended(began)
    assert_said(2, "events_stored")
    start()
    engine:wait_events("done", 4)
  end)

  it("tells who asks for anything else that it stops", function()
    start()
    local conn = engine:connect()
    conn:request("GET", "/readyz")
    local began = socket.gettime()
    signal()
    support.wait_for(function() return engine:log():find("msg=stopping", 1, true) end, 5, "the stop to begin")
    local answer = conn:request("GET", "/api/v1/status")
    assert.equal(503, answer.status)
    assert.equal("the engine is stopping", answer.json.error.message)
    ended(began)
  end)

  it("does not wait for who never ends their request, nor for who never reads", function()
    start()
    for n = 1, 20 do post("tick", "x" .. n) end
    local half, silent, deaf = engine:connect(), engine:connect(), engine:connect()
    half:send("POST /hooks/webphone HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" ..
      "Content-Length: 90\r\n\r\n{")
    silent:send("POST /hooks")
    for _ = 1, 400 do deaf.sock:send("GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n") end
    socket.sleep(0.2)
    stop()
    local answer = half:answer()
    assert.equal(503, answer.status)
    assert.equal("stopping", answer.json.error.code)
    start()
    engine:wait_events("done", 20)
  end)

  it("leaves a run that hangs in a C function for the next start", function()
    start { config = config 'budgets = { wall = "60s", cpu = "50s" }, workers = 2',
      rules = { ["count.lua"] = counting, ["stuck.lua"] = stuck } }
    post("stuck", "s")
    support.wait_for(function()
      local status = engine:request("GET", "/api/v1/status").body
      return status:find('"jobs":%s*1')
    end, 5, "the run to hang")
    post("tick", "a")
    stop()
    assert_said(1, "parked_runs")
    support.write_file(engine.dir .. "/rules/stuck.lua", 'rule "Stuck" { on = "stuck", run = function() end }\n')
    start()
    engine:wait_events("done", 2)
  end)

  it("leaves a slow call and a slow mail for the next start, each with its key", function()
    local sink = keep(support.sink())
    sink:answers { ["/slow"] = { { delay = 60 } } }
    local mail_dir = support.temp_dir()
    local pid = support.capture(("/usr/bin/python3 -B tests/e2e/smtp_server.py %s --slow 20 >%s/out 2>&1 " ..
      "</dev/null & echo $!"):format(mail_dir, mail_dir)):match "%d+"
    keep { close = function()
      os.execute(("kill %d 2>/dev/null"):format(pid))
      support.remove_dir(mail_dir)
    end }
    local port = support.wait_for(function()
      return support.read_file(mail_dir .. "/out"):match "port (%d+)"
    end, 10, "the mail server")
    local from = ('http = { allow = { "127.0.0.1" } }, mail = { smtp = "smtp://127.0.0.1:%s", ' ..
      'from = "Hook <hook@example.org>" }'):format(port)
    start { config = config(from), rules = { ["call.lua"] = call_rule(sink.url), ["mail.lua"] = [[
      rule "Mail" { on = "mail", run = function()
        email { to = "zoe@example.org", subject = "s", text = "t" }
      end }]] } }
    post("call", "c1")
    post("mail", "m1")
    local first = sink:wait(1, "/slow")[1]
    support.wait_for(function()
      return support.capture(("ls %s/connections 2>/dev/null"):format(mail_dir)):find "connections"
    end, 10, "the mail to be on its way")
    socket.sleep(0.5)
    stop()
    assert_said(2, "parked_deliveries")
    start()
    local again = sink:wait(2, "/slow")[2]
    assert.equal(first.headers["idempotency-key"] or first.headers["Idempotency-Key"],
      again.headers["idempotency-key"] or again.headers["Idempotency-Key"])
    assert.truthy(again.headers["idempotency-key"] or again.headers["Idempotency-Key"])
  end)

  it("ends what is watched, tried and asked", function()
    start { config = config 'budgets = { wall = "60s", cpu = "50s" }',
      rules = { ["count.lua"] = counting, ["stuck.lua"] = stuck } }
    local id = post("tick", "a").json.id
    engine:wait_events("done", 1)
    local live, try, why = engine:connect(), engine:connect(), engine:connect()
    live:send("GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert.truthy(live.sock:receive "*l":find "200")
    local body = cjson.encode { source = "webphone", event = { event = "stuck", call_id = "p" } }
    try:send(("POST /api/v1/try HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" ..
      "Content-Length: %d\r\n\r\n%s"):format(#body, body))
    why:send(("GET /api/v1/events/%s/why HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(id))
    socket.sleep(0.5)
    stop()
    local answer = try:answer()
    assert.equal(503, answer.status)
    assert.equal("stopping", answer.json.error.code)
  end)

  it("does not wait for a reload under way", function()
    start { config = config 'reload = { watch = false }' }
    support.write_file(engine.dir .. "/rules/slow.lua", 'for i = 1, 1e9 do local _ = i end\n' ..
      'rule "Slow" { on = "x", run = function() end }\n')
    local began = socket.gettime()
    signal "HUP"
    socket.sleep(0.3)
    signal()
    ended(began)
    os.remove(engine.dir .. "/rules/slow.lua")
    start()
    post("tick", "a")
  end)

  it("does not wait for the start to be over", function()
    start()
    post("tick", "a")
    stop()
    support.write_file(engine.dir .. "/rules/slow.lua",
      'string.find(("a"):rep(1000), (".-"):rep(12) .. "b")\nrule "Slow" { on = "x", run = function() end }\n')
    for _, ms in ipairs { 0, 20, 500 } do
      engine.exit_file = ("%s/exit.early.%d"):format(engine.dir, ms)
      engine.stderr = ("%s/err.early.%d"):format(engine.dir, ms)
      os.execute(("cd %s && /usr/bin/python3 -B %s/tests/e2e/exit_code.py %s %s serve --config switchhook.lua " ..
        "--listen 127.0.0.1:0 --data data --rules rules >/dev/null 2>%s </dev/null &"):format(
        engine.dir, here, engine.exit_file, support.bin, engine.stderr))
      engine.pid = support.wait_for(function()
        local f = io.open(engine.exit_file .. ".pid")
        local text = f and f:read "*a"
        if f then f:close() end
        return tonumber(text)
      end, 5, "the process")
      -- the program itself: before, a signal has nobody to take it
      support.wait_for(function()
        return support.read_file(("/proc/%d/cmdline"):format(engine.pid)):find("serve", 1, true)
      end, 5, "the program")
      support.wait_for(function()
        local caught = support.read_file(("/proc/%d/status"):format(engine.pid)):match "SigCgt:%s*(%x+)"
        return tonumber(caught:sub(-4), 16) >= 0x4000 and tonumber(caught:sub(-4), 16) % 0x8000 >= 0x4000
      end, 5, "its signals")
      socket.sleep(ms / 1000)
      local began = socket.gettime()
      signal()
      ended(began)
    end
    os.remove(engine.dir .. "/rules/slow.lua")
    start()
    engine:wait_events("done", 1)
  end)

  it("leaves an erasure under way where it is", function()
    start { config = config 'country = "31"' }
    local conns, n = {}, 0
    for i = 1, 40 do conns[i] = engine:connect() end
    for _ = 1, 50 do
      for _, conn in ipairs(conns) do
        n = n + 1
        local body = ('{"event":"tick","call_id":"%d","remote_number":"+31612345678"}'):format(n)
        conn:send(("POST /hooks/webphone HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" ..
          "Content-Length: %d\r\n\r\n%s"):format(#body, body))
      end
      for _, conn in ipairs(conns) do
        assert.equal(200, conn:answer().status)
      end
    end
    for _, conn in ipairs(conns) do conn:close() end
    os.execute(("%s forget +31612345678 --yes --data %s/data >%s/forget 2>&1 </dev/null &"):format(support.bin,
      engine.dir, engine.dir))
    support.wait_for(function()
      return engine:request("GET", "/api/v1/forget").body:find '"running":%s*true'
    end, 5, "the erasure to begin")
    stop()
    local told = support.wait_for(function() return support.read_file(engine.dir .. "/forget"):match "%S.*" end, 5,
      "what is said of the erasure")
    assert.is_nil(told:find("^Forgot"), told)
    start()
    local _, out, code = engine:cli("forget", "+31612345678", "--yes")
    assert.equal(0, code, out)
    engine:wait_events("done", 1)
  end)

  it("is over at once with a second signal, and on SIGINT as on SIGTERM", function()
    local sink = keep(support.sink())
    sink:answers { ["/slow"] = { { delay = 60 }, { delay = 60 } } }
    start { config = config 'http = { allow = { "127.0.0.1" } }', rules = { ["call.lua"] = call_rule(sink.url) } }
    post("call", "c1")
    sink:wait(1, "/slow")
    signal()
    support.wait_for(function() return engine:log():find("msg=stopping", 1, true) end, 5, "the stop to begin")
    local began = socket.gettime()
    signal()
    assert.is_true(ended(began) < 2)
    start()
    sink:wait(2, "/slow")
    began = socket.gettime()
    signal "INT"
    ended(began)
    start()
    sink:wait(3, "/slow")
  end)

  it("does not wait for who reads the store, such as a backup", function()
    start()
    for n = 1, 5 do post("tick", "k" .. n) end
    engine:wait_events("done", 5)
    local script = ([[import sqlite3, time
db = sqlite3.connect("%s/switchhook.db")
db.execute("BEGIN")
db.execute("SELECT count(*) FROM sh_events").fetchone()
print("reading", flush=True)
time.sleep(30)]]):format(engine.data)
    support.write_file(engine.dir .. "/reader.py", script)
    local pid = support.capture(("/usr/bin/python3 -B %s/reader.py >%s/reading 2>&1 </dev/null & echo $!"):format(
      engine.dir, engine.dir)):match "%d+"
    keep { close = function() os.execute(("kill %d 2>/dev/null"):format(pid)) end }
    support.wait_for(function() return support.read_file(engine.dir .. "/reading"):find "reading" end, 5, "the reader")
    post("tick", "k6")
    engine:wait_events("done", 6)
    stop()
    assert.truthy(engine:log():find "msg=stopped")
    start()
    assert.equal(6, #engine:cli("events", "--json"))
  end)

  describe("beside a disk in trouble", function()
    local library = here .. "/build/slow_sync.so"
    local function slow(ms)
      assert(os.execute("mkdir -p build && cc -shared -fPIC -D_GNU_SOURCE -o build/slow_sync.so" ..
        " tests/e2e/slow_sync.c -ldl"))
      engine = support.engine { start = false, config = config(), rules = { ["count.lua"] = counting } }
      engine.options.env = { LD_PRELOAD = library, SLOW_SYNC = engine.dir .. "/slow", SLOW_SYNC_MS = ms }
      start()
    end

    it("is over in time, and what was answered is there", function()
      slow(20000)
      for n = 1, 20 do post("tick", "k" .. n) end
      engine:wait_events("done", 20)
      support.write_file(engine.dir .. "/slow", "")
      local conn = engine:connect()
      local body = event "late"
      conn:send(("POST /hooks/webphone HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" ..
        "Content-Length: %d\r\n\r\n%s"):format(#body, body))
      socket.sleep(0.3)
      stop()
      assert.truthy(engine:log():find("ended as it stands", 1, true), engine:log())
      os.remove(engine.dir .. "/slow")
      start()
      support.wait_for(function() return #engine:cli("events", "--json") >= 20 end, 10, "the events")
      assert.is_true(#engine:cli("records", "seen", "--json") >= 20)
    end)
  end)
end)
