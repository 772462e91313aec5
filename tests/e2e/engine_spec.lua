-- SPDX-License-Identifier: MIT
-- The engine as a whole, on bad days: killed, its workers killed, its rules broken or hostile.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local function config(extra)
  return [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } }, ]] .. (extra or "") .. " }"
end

local function event(key, n, kind)
  return cjson.encode { event = kind or "tick", call_id = key, n = n }
end

local counting = [[
rule "Count" {
  on = "*",
  run = function(e)
    records.incr("counts", "total", "n", 1)
    records.patch("seen", e.call_id .. "-" .. e.n, { key = e.call_id, n = e.n })
  end,
}
]]

local function one(rows)
  return rows[1]
end

describe("the engine", function()
  local engine
  local function start(options)
    engine = support.engine(options)
    return engine
  end
  after_each(function()
    if engine then
      engine:close()
      engine = nil
    end
  end)

  it("has each accepted event and its effects once after kill -9", function()
    start { rules = { ["count.lua"] = counting } }
    local acknowledged, conn = 0, engine:connect()
    for round = 1, 3 do
      for n = 1, 150 do
        local answer = conn:request("POST", "/hooks/webphone", event("k" .. n % 7, round * 1000 + n))
        assert.equal(200, answer.status)
        acknowledged = acknowledged + 1
      end
      engine:kill9()
      local began = socket.gettime()
      engine:start()
      assert.is_true(socket.gettime() - began < 2)
      conn = engine:connect()
    end
    engine:wait_events("done", acknowledged)
    local total = one(engine:cli("records", "counts", "--id", "total", "--json"))
    assert.equal(acknowledged, total.doc.n)
    assert.equal(acknowledged, #engine:cli("records", "seen", "--json"))
  end)

  it("loses nothing when workers are killed, and goes on answering", function()
    start { rules = { ["count.lua"] = counting } }
    local conn = engine:connect()
    for n = 1, 400 do
      assert.equal(200, conn:request("POST", "/hooks/webphone", event("k" .. n % 50, n)).status)
      if n % 40 == 0 then
        os.execute("kill -9 $(pgrep -P " .. engine.pid .. " | head -n 1) 2>/dev/null")
      end
    end
    support.wait_for(function()
      local total = one(engine:cli("records", "counts", "--id", "total", "--json"))
      return total and total.doc.n == 400
    end, 30, "all 400 to be counted, those charged with a kill after their retry")
    assert.equal(400, #engine:wait_events("done", 400, 15))
  end)

  it("runs every rule of what waited behind a run when its worker died, however often", function()
    start { config = config "workers = 1", rules = { ["slow.lua"] = [[
      rule "Slow" { on = "*", run = function(e)
        local n = 0
        for i = 1, 2500000 do n = n + i end
        records.incr("counts", "total", "n", 1)
      end }]] } }
    local conn = engine:connect()
    for n = 1, 30 do
      assert.equal(200, conn:request("POST", "/hooks/webphone", event("k" .. n, n)).status)
    end
    local killed = 0
    support.wait_for(function()
      socket.sleep(0.08)
      killed = killed + (os.execute("kill -9 $(pgrep -P " .. engine.pid .. ") 2>/dev/null") and 1 or 0)
      return killed >= 7
    end, 30, "seven workers to be killed")
    engine:wait_events("done", 30, 40)
    for _, run in ipairs(engine:cli("runs", "--json")) do
      assert.equal("Slow", run.rule)
    end
    support.wait_for(function()
      local total = one(engine:cli("records", "counts", "--id", "total", "--json"))
      return total and total.doc.n == 30
    end, 60, "all 30 to be counted, those charged with a kill after their retry")
  end)

  it("keeps the order of a key", function()
    start { rules = { ["order.lua"] = [[
      rule "Append" {
        on = "*",
        run = function(e)
          local doc = records.get("order", e.call_id) or { list = {} }
          doc.list[#doc.list + 1] = e.n
          records.put("order", e.call_id, doc)
        end,
      }]] } }
    local conn = engine:connect()
    for n = 1, 200 do
      conn:request("POST", "/hooks/webphone", event("k" .. n % 4, n))
    end
    engine:wait_events("done", 200)
    for _, row in ipairs(engine:cli("records", "order", "--json")) do
      assert.equal(50, #row.doc.list)
      for i = 2, #row.doc.list do
        assert.is_true(row.doc.list[i - 1] < row.doc.list[i])
      end
    end
  end)

  it("loses no update when runs of different keys read and write one record", function()
    start { rules = { ["add.lua"] = [[
      rule "Read, add, write" {
        on = "*",
        run = function(e)
          local doc = records.get("sums", "one") or { n = 0 }
          records.put("sums", "one", { n = doc.n + 1 })
        end,
      }]] } }
    local conn = engine:connect()
    for n = 1, 200 do
      conn:request("POST", "/hooks/webphone", event("key-" .. n, n))
    end
    engine:wait_events("done", 200)
    assert.equal(200, one(engine:cli("records", "sums", "--json")).doc.n)
  end)

  it("parks a failing run, goes on with its key, and brings it back on redrive", function()
    start {
      config = config 'retry = { "200ms", "300ms" }',
      rules = { ["a.lua"] = counting, ["b.lua"] = [[
        rule "Needs a switch" {
          on = "*",
          when = function(e) return e.n == 1 end,
          run = function(e)
            if not records.get("switch", "on") then error("the switch is off") end
            records.put("done", "it", { n = e.n })
          end,
        }
        rule "Switch" {
          on = "switch",
          run = function() records.put("switch", "on", { on = true }) end,
        }]] } }
    local first = engine:post("/hooks/webphone", event("a", 1)).json.id
    engine:post("/hooks/webphone", event("a", 2))
    engine:wait_events("done", 1) -- the second of the key is not held up
    support.wait_for(function()
      return one(engine:cli("events", "--id", first, "--json")).state == "dead"
    end, 10, "the attempts to be used up")
    local dead = one(engine:cli("runs", "--event", first, "--state", "dead", "--json"))
    assert.equal("Needs a switch", dead.rule)
    assert.equal(3, dead.attempts)
    assert.truthy(dead.error:find('rules/b.lua:5: rule "Needs a switch": the switch is off', 1, true))
    engine:post("/hooks/webphone", event("b", 3, "switch"))
    local _, out, code = engine:cli("redrive", first)
    assert.equal(0, code, out)
    support.wait_for(function()
      return one(engine:cli("events", "--id", first, "--json")).state == "done"
    end, 10, "the redriven run")
    assert.equal(1, one(engine:cli("records", "done", "--json")).doc.n)
  end)

  it("ends hostile rules at a place with a name, and nobody else notices", function()
    start {
      config = config 'retry = { "1h" }, budgets = { wall = "1s", cpu = "100ms" }',
      rules = { ["a.lua"] = counting, ["bad.lua"] = [[
        rule "Loop" { on = "loop", run = function() while true do pcall(function() while true do end end) end end }
        rule "Bomb" { on = "bomb", run = function()
          local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end }
        rule "Pattern" { on = "pattern", run = function() return ("a"):rep(200):find((".-"):rep(12) .. "b") end }
        rule "Deep" { on = "deep", run = function() local function f() return 1 + f() end return f() end }
      ]] } }
    local ids = {}
    for _, kind in ipairs { "loop", "bomb", "pattern", "deep" } do
      ids[kind] = engine:post("/hooks/webphone", event(kind, 1, kind)).json.id
    end
    local conn = engine:connect()
    for n = 1, 100 do
      assert.equal(200, conn:request("POST", "/hooks/webphone", event("good" .. n % 9, n)).status)
    end
    support.wait_for(function()
      local total = one(engine:cli("records", "counts", "--id", "total", "--json"))
      return total and total.doc.n == 104
    end, 15, "the other rule to run on every event, the hostile ones included")
    local ends = { loop = "CPU budget", bomb = "budget", pattern = "wall budget", deep = "" }
    for kind, words in pairs(ends) do
      local run = support.wait_for(function()
        return one(engine:cli("runs", "--event", ids[kind], "--state", "retry", "--json"))
      end, 10, "the end of " .. kind)
      assert.truthy(run.error:find("rules/bad.lua:", 1, true), run.error)
      assert.truthy(run.error:find(words, 1, true), run.error)
    end
    assert.equal(200, engine:request("GET", "/healthz").status)
  end)

  it("runs what a rule emits, with the same key and a known cause", function()
    start { rules = { ["emit.lua"] = [[
      rule "First" { on = "tick", run = function(e) emit("tock", { n = e.n + 1, big = 9223372036854775807 }) end }
      rule "Second" { on = "tock", run = function(e, envelope)
        records.put("tocks", envelope.key, { n = e.n, exact = e.big == math.maxinteger, source = envelope.source })
      end }]] } }
    engine:post("/hooks/webphone", event("k", 1))
    engine:wait_events("done", 2)
    local row = one(engine:cli("records", "tocks", "--json"))
    assert.equal("k", row.id)
    assert.same({ n = 2, exact = true, source = "rules" }, row.doc)
  end)

  it("ends a storm of emits, and goes on accepting", function()
    -- not paused after the first failures, which would end it sooner
    start { config = config "quarantine = false", rules = { ["storm.lua"] = [[
      rule "Storm" { on = "storm*", run = function(e) for i = 1, 10 do emit("storm", { n = i }) end end }]] } }
    assert.equal(200, engine:post("/hooks/webphone", event("k", 1, "storm")).status)
    support.wait_for(function()
      return #engine:cli("events", "--state", "stored", "--limit", "1", "--json") == 0
    end, 60, "the storm to end")
    assert.equal(1 + 10 + 100 + 1000 + 10000, #engine:cli("events", "--json"))
    local dead = engine:cli("runs", "--state", "dead", "--limit", "1", "--json")
    assert.truthy(dead[1].error:find("do rules emit in a circle?", 1, true))
    assert.equal(200, engine:post("/hooks/webphone", event("k", 2)).status)
  end)

  it("answers 503 and keeps everything else alive while the disk is nearly full", function()
    start { config = config 'min_free = "1024 GiB"' }
    local answer = engine:post("/hooks/webphone", event("k", 1))
    assert.equal(503, answer.status)
    assert.truthy(answer.headers["retry-after"])
    assert.truthy(answer.json.error.message:find("disk", 1, true))
    assert.equal(200, engine:request("GET", "/healthz").status)
    assert.equal(0, #engine:cli("events", "--json"))
  end)

  it("does not start with broken rules, and names every one of them", function()
    engine = support.engine { start = false, rules = {
      ["a.lua"] = "rule 'A' { on = 'x', run = function( end }",
      ["b.lua"] = "\nrule 'B' { on = 'x', runn = function() end }" } }
    local out, code = support.capture("cd " .. engine.dir .. " && timeout 10 " .. support.bin ..
      " serve --listen 127.0.0.1:0 --data data --rules rules 2>&1")
    assert.equal(1, code)
    assert.truthy(out:find("rules/a.lua:1:", 1, true), out)
    assert.truthy(out:find("rules/b.lua:2:", 1, true), out)
    assert.truthy(out:find("'run'", 1, true) or out:find("run", 1, true), out)
  end)

  it("does not start a second engine on the same folder", function()
    start {}
    local out, code = support.capture("cd " .. engine.dir .. " && timeout 10 " .. support.bin ..
      " serve --listen 127.0.0.1:0 --data data --rules rules 2>&1")
    assert.equal(1, code)
    assert.truthy(out:find("data", 1, true), out)
  end)

  it("stops in order on SIGTERM with nothing left behind", function()
    start { rules = { ["count.lua"] = counting } }
    local conn = engine:connect()
    for n = 1, 50 do
      conn:request("POST", "/hooks/webphone", event("k" .. n, n))
    end
    local began = socket.gettime()
    engine:stop()
    assert.is_true(socket.gettime() - began < 5)
    engine:start()
    engine:wait_events("done", 50)
    assert.equal(50, one(engine:cli("records", "counts", "--json")).doc.n)
  end)
end)
