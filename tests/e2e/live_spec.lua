-- SPDX-License-Identifier: MIT
-- live_spec.lua: /api/v1/live: what is told, to whom, how often, and how it ends.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local path = "/api/v1/live"
local soon = 10 -- seconds; what is meant is one
local json = { ["Content-Type"] = "application/json" }

local rules = { ["a.lua"] = [[
rule "Calls back" { on = "call", run = function(e)
  callback { number = e.number, due = now() + hour, reason = "r" }
end }
rule "Waits" { on = "wait", run = function(e)
  after("3s", "late", { n = 1 })
  records.put("calls", e.key, { n = 1 })
  callback { number = e.number, due = now() + 3, reason = "r" }
  emit("quiet", {})
  email { to = "a@example.org", subject = "s", text = "t" } -- into a file, at once
end }
rule "Fails" { on = "bad", run = function() error "no" end }
rule "Quiet" { on = "quiet", run = function() end }
]] }
local config = [[
return { retry = {}, sources = { s = { path = "/hook", auth = "none",
  type = { field = "type" }, key = { field = "key" } } } }
]]

-- A stream: stream:next(name) waits for the next message of that name and gives its data.
local stream = {}
stream.__index = stream

local function listen(engine, headers, version)
  local self = setmetatable({ conn = support.connect(engine.port), text = "", messages = {}, all = {} }, stream)
  local lines = { "GET " .. path .. " HTTP/" .. (version or "1.1"), "Host: 127.0.0.1" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  self.conn:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
  self.plain = version == "1.0"
  self.answer = self.conn:answer()
  return self
end

-- Take what has come off its framing; false at the end.
function stream:read(seconds)
  self.conn.sock:settimeout(seconds)
  if self.plain then
    local text, why, part = self.conn.sock:receive(1)
    if not text and why == "closed" then self.over = true end
    self.text = self.text .. (text or part or "")
  else
    local size, why, part = self.conn.sock:receive("*l", self.part or "")
    if not size then
      self.cut, self.part = why == "closed", part
      self.over = self.cut
      return
    end
    self.part = nil
    local n = tonumber(size, 16)
    self.conn.sock:settimeout(10)
    if n == 0 then
      self.over = true
      return
    end
    self.text = self.text .. assert(self.conn.sock:receive(n))
    assert(self.conn.sock:receive "*l")
  end
  while true do
    local message, rest = self.text:match "^(.-)\n\n(.*)$"
    if not message then return end
    self.text = rest
    local name, data = message:match "event: (%S+)\ndata: ([^\n]*)$"
    if name then
      local one = { name = name, data = cjson.decode(data), at = socket.gettime(), text = message }
      self.messages[#self.messages + 1] = one
      self.all[#self.all + 1] = one
    end
  end
end

function stream:next(name, seconds)
  local deadline = socket.gettime() + (seconds or soon)
  while true do
    local one = table.remove(self.messages, 1)
    if one and one.name == name then return one.data end
    if not one then
      assert(not self.over, "the stream ended; waited for " .. name)
      local left = deadline - socket.gettime()
      if left <= 0 then error("waited for " .. name, 2) end
      self:read(left)
    end
  end
end

-- Wait until every one of these topics was told, in one change or several; gives all that was.
function stream:topics(...)
  local told, missing = {}, { ... }
  while #missing > 0 do
    for _, topic in ipairs(self:next("change").topics) do told[topic] = true end
    for i = #missing, 1, -1 do
      if told[missing[i]] then table.remove(missing, i) end
    end
  end
  return told
end

-- Let everything go by that is on its way.
function stream:settle()
  local deadline = socket.gettime() + 0.7
  while socket.gettime() < deadline and not self.over do self:read(deadline - socket.gettime()) end
  self.messages = {}
end

-- Wait for the end; fails if it does not come.
function stream:ends(seconds)
  local deadline = socket.gettime() + (seconds or soon)
  while not self.over do
    local left = deadline - socket.gettime()
    assert(left > 0, "the stream does not end")
    self:read(left)
  end
end

function stream:close() self.conn:close() end

local n = 0
local function post(engine, type)
  n = n + 1
  local answer = engine:post("/hook", ('{"type":"%s","key":"k%d","number":"030 1234%03d"}'):format(type, n, n))
  assert.equal(200, answer.status)
  return answer.json.id
end

describe("GET /api/v1/live", function()
  local engine, live

  setup(function() engine = support.engine { config = config, rules = rules } end)
  teardown(function() engine:close() end)
  before_each(function()
    live = listen(engine)
    assert.equal(200, live.answer.status)
    live:next "hello"
    live:settle()
  end)
  after_each(function() live:close() end)

  it("begins with what the engine is and how it is", function()
    local s = listen(engine)
    assert.equal("text/event-stream", s.answer.headers["content-type"])
    assert.equal("no-store", s.answer.headers["cache-control"])
    assert.equal("no", s.answer.headers["x-accel-buffering"])
    local hello = s:next "hello"
    assert.equal(engine:request("GET", "/api/v1/status").json.generation.id, hello.generation)
    assert.truthy(hello.version)
    assert.equal("retry: 2000\nevent: hello", s.all[1].text:match "^(.-)\ndata")
    local status = s:next "status"
    for _, name in ipairs { "backlog", "running", "retries", "outbox", "paused" } do
      assert.equal("number", type(status[name]), name)
    end
    assert.equal("number", type(status.dead.runs))
    assert.equal("number", type(status.callbacks.open))
    assert.equal(cjson.null, status.refusing)
    assert.equal("number", type(status.rates.accepted["1m"]))
    s:next "status" -- and again
    s:close()
  end)

  it("tells of an event, its runs and what they ask for", function()
    local before = socket.gettime()
    post(engine, "call")
    local told = live:topics("events", "runs", "callbacks")
    assert.is_nil(told.generations)
    assert.is_nil(told.timers)
    assert.is_true(socket.gettime() - before < 5)
    for _, one in ipairs(live.all) do
      assert.is_nil(one.text:find("030 1234", 1, true)) -- nothing of the sender's
    end
  end)

  it("tells of what people do", function()
    post(engine, "call")
    local id = support.wait_for(function()
      local items = engine:request("GET", "/api/v1/callbacks?status=open").json.items
      return items[1] and items[1].id
    end)
    live:settle()
    assert.equal(200, engine:post("/api/v1/callbacks/" .. id .. "/done", "{}").status)
    live:topics "callbacks"
    post(engine, "bad")
    support.wait_for(function() return #engine:request("GET", "/api/v1/dead").json.items > 0 end, 10)
    live:settle()
    assert.equal(200, engine:post("/api/v1/dead/redrive", '{"all":true}').status)
    live:topics("runs", "outbox")
    live:settle()
    assert.equal(200, engine:post("/api/v1/rules/Quiet/pause", "{}").status)
    live:topics "rules"
    assert.equal(200, engine:post("/api/v1/rules/Quiet/resume", "{}").status)
    live:topics "rules"
  end)

  it("tells of what comes of itself: timers, callbacks that fall due, deliveries", function()
    post(engine, "wait")
    local told = live:topics("events", "runs", "records", "callbacks", "timers", "outbox")
    assert.is_nil(told.generations)
    local function times(topic)
      local count = 0
      for _, one in ipairs(live.all) do
        for _, name in ipairs(one.data.topics or {}) do count = count + (name == topic and 1 or 0) end
      end
      return count
    end
    local deadline = socket.gettime() + 20
    while times "timers" < 2 or times "callbacks" < 2 do -- set, and fired; asked for, and due
      local left = deadline - socket.gettime()
      assert(left > 0, "nothing came of itself")
      live:read(left)
    end
    assert.equal("due", engine:request("GET", "/api/v1/callbacks?status=due").json.items[1].status)
  end)

  it("tells of other rules, and of rules that do not load", function()
    support.write_file(engine.dir .. "/rules/b.lua", 'rule "New" { on = "new", run = function() end }\n')
    assert.equal(200, engine:post("/api/v1/reload", "", json).status)
    live:topics("rules", "generations")
    local names = {}
    for _, row in ipairs(engine:request("GET", "/api/v1/rules").json.items) do names[row.rule or row.name] = true end
    assert.is_true(names.New)
    live:settle()
    support.write_file(engine.dir .. "/rules/b.lua", "rule 1\n")
    engine:post("/api/v1/reload", "", json)
    live:topics "generations"
    os.remove(engine.dir .. "/rules/b.lua")
    engine:post("/api/v1/reload", "", json)
    live:topics "generations"
  end)

  it("says nothing when nothing happens, and little when much does", function()
    local from = #live.all
    local deadline = socket.gettime() + 1.5
    while socket.gettime() < deadline do live:read(deadline - socket.gettime()) end
    for i = from + 1, #live.all do assert.not_equal("change", live.all[i].name) end
    from = #live.all
    local conn, began = support.connect(engine.port), socket.gettime()
    for i = 1, 150 do
      n = n + 1
      assert(conn:request("POST", "/hook", ('{"type":"quiet","key":"m%d"}'):format(n)))
      socket.sleep(math.max(0, began + i / 50 - socket.gettime()))
    end
    conn:close()
    local took = socket.gettime() - began
    live:settle()
    local changes = 0
    for i = from + 1, #live.all do
      if live.all[i].name == "change" then changes = changes + 1 end
    end
    assert.is_true(changes >= 2, changes .. " changes")
    assert.is_true(changes <= 4 * (took + 1) + 2, changes .. " changes in " .. took .. " s")
  end)

  it("answers HEAD, and HTTP/1.0 without chunks", function()
    local conn = support.connect(engine.port)
    local head = conn:request("HEAD", path)
    assert.equal(200, head.status)
    assert.equal("text/event-stream", head.headers["content-type"])
    assert.equal(200, conn:request("GET", "/healthz").status)
    conn:close()
    assert.equal(405, engine:post(path, "{}").status)
    assert.equal(403, listen(engine, nil, "1.0").answer.status) -- without a token it may be a proxy's
  end)

  it("is counted, has an end to how many, and comes to itself", function()
    local function streams()
      return tonumber(engine:request("GET", "/metrics").body:match "\nswitchhook_live_streams (%d+)")
    end
    local open = {}
    for i = 2, 64 do
      open[i] = listen(engine)
      assert.equal(200, open[i].answer.status)
    end
    assert.equal(64, streams())
    local over = listen(engine).answer
    assert.equal(503, over.status)
    assert.equal("overloaded", over.json.error.code)
    assert.truthy(over.headers["retry-after"])
    post(engine, "call")
    for i = 2, 64 do open[i]:topics "events" end
    for i = 2, 64 do open[i]:close() end
    support.wait_for(function() return streams() == 1 end, 10, "the streams to be gone")
    post(engine, "call")
    live:topics "events"
  end)

  it("is there on the control socket too", function()
    local out = support.capture(("timeout 2 curl -sN --unix-socket %s http://engine%s; true"):format(
      support.quote(engine.data .. "/control.sock"), path))
    assert.truthy(out:find("event: hello", 1, true))
  end)

  it("keeps nobody waiting who does not read", function()
    local deaf = listen(engine)
    for _ = 1, 20 do post(engine, "call") end
    live:topics "events"
    deaf:close()
  end)
end)

describe("a live stream ends", function()
  local engine

  local function token(name, more)
    local out, code = support.capture(("cd %s && %s token new %s --role viewer %s --data data 2>&1"):format(
      support.quote(engine.dir), support.quote(support.bin), name, more or ""))
    assert.equal(0, code, out)
    return assert(out:match "sh_[%w_%-]+", out)
  end

  before_each(function() engine = support.engine { config = config, rules = rules } end)
  after_each(function() engine:close() end)

  it("when the first token is made, and when its own is revoked or expires", function()
    local free = listen(engine)
    assert.equal(200, free.answer.status)
    local text = token "a"
    free:ends()
    assert.is_nil(free.cut) -- whole, not cut off
    assert.equal(401, listen(engine).answer.status)
    local short = token("short", "--expires 4s")
    local one = listen(engine, { Authorization = "Bearer " .. text })
    local two = listen(engine, { Authorization = "Bearer " .. short })
    local old = listen(engine, { Authorization = "Bearer " .. text }, "1.0")
    assert.equal(200, one.answer.status)
    assert.equal(200, two.answer.status)
    assert.equal(200, old.answer.status)
    assert.is_nil(old.answer.headers["transfer-encoding"])
    old:next "hello"
    two:ends()
    post(engine, "call")
    one:topics "events"
    assert.equal(0, select(2, support.capture(("cd %s && %s token revoke a --data data"):format(
      support.quote(engine.dir), support.quote(support.bin)))))
    one:ends()
    old:ends()
  end)

  it("to make room for another token's, where one has them all", function()
    local greedy = { Authorization = "Bearer " .. token "greedy" }
    local modest = { Authorization = "Bearer " .. token "modest" }
    local open = {}
    for i = 1, 64 do
      open[i] = listen(engine, greedy)
      assert.equal(200, open[i].answer.status)
    end
    assert.equal(503, listen(engine, greedy).answer.status)
    local one = listen(engine, modest)
    assert.equal(200, one.answer.status)
    open[1]:ends()
    assert.equal(503, listen(engine, greedy).answer.status)
    one:next "hello"
    for i = 2, 64 do open[i]:close() end
    one:close()
  end)

  it("when its session is over", function()
    local text = token "a"
    local answer = engine:request("POST", "/api/v1/session", cjson.encode { token = text })
    assert.equal(200, answer.status)
    local cookie = answer.headers["set-cookie"]:match "^[^;]+"
    local one = listen(engine, { Cookie = cookie })
    assert.equal(200, one.answer.status)
    one:next "status"
    assert.equal(403, listen(engine, { Cookie = cookie, Origin = "http://example.org" }).answer.status)
    assert.equal(200, engine:request("DELETE", "/api/v1/session", nil,
      { Cookie = cookie, ["X-CSRF-Token"] = answer.json.csrf }).status)
    one:ends()
  end)

  it("when the engine stops, and does not hold it up", function()
    local one, deaf = listen(engine), listen(engine)
    one:next "status"
    local began = socket.gettime()
    engine:stop()
    assert.is_true(socket.gettime() - began < 10)
    one:ends()
    assert.is_nil(one.cut)
    deaf:close()
    assert.is_nil(engine:log():find("level=error", 1, true), engine:log())
  end)
end)
