-- SPDX-License-Identifier: MIT
-- A rule that fails again and again is paused alone; its events are kept, and run in order when it is
-- resumed: with the real engine, across kills, reloads and restarts.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local KEYS = 5

local broken = [[
rule "Log calls" { on = "call", run = function(e) error("no such field: " .. e.call_id) end }]]
-- One record a key, with the numbers of its events in the order in which they ran.
local mended = [[

rule "Log calls" { on = "call", run = function(e)
  local seen = records.get("seen", e.call_id) or { list = json.array() }
  table.insert(seen.list, e.n)
  records.put("seen", e.call_id, seen)
end }]]
local others = [[
rule "Count" { on = "call", run = function(e) records.incr("count", "all", "n") end }
rule "Tell" { on = "rule_paused", run = function(p, event)
  email { to = "ops@example.org", subject = "Paused: " .. p.rule,
    text = p.failures .. " failures, last at " .. p.error }
  records.put("alerts", event.id, p)
end }]]

describe("a rule that fails", function()
  local engine, sent
  before_each(function()
    sent = 0
    engine = support.engine { rules = { ["log.lua"] = broken, ["others.lua"] = others } }
  end)
  after_each(function()
    engine:close()
  end)
  local function send(n)
    local conn = engine:connect()
    for _ = 1, n do
      sent = sent + 1
      local answer = assert(conn:request("POST", "/hooks/webphone", cjson.encode {
        event = "call", call_id = "k" .. sent % KEYS, n = sent }))
      assert.equal(200, answer.status)
    end
    conn:close()
  end
  local function rules()
    local found = {}
    for _, row in ipairs((engine:cli("rules", "--json"))) do
      found[row.rule] = row
    end
    return found
  end
  local function wait_state(state, kept, seconds)
    return support.wait_for(function()
      local row = rules()["Log calls"]
      return row.state == state and (not kept or row.kept == kept) and row
    end, seconds or 10, ("state %s, %s kept"):format(state, kept or "any number"))
  end
  local function alerts()
    return (engine:cli("records", "alerts", "--json"))
  end
  local function wait_counted()
    support.wait_for(function()
      local row = engine:cli("records", "count", "--json")[1]
      return row and row.doc.n == sent
    end, 20, "the other rule to run on all " .. sent)
  end
  -- Every event ran once, those of a key in the order in which they came.
  local function all_in_order()
    local total = 0
    for _, row in ipairs((engine:cli("records", "seen", "--json"))) do
      local last = 0
      for _, n in ipairs(row.doc.list) do
        assert.is_true(n > last, ("%s: %d after %d"):format(row.id, n, last))
        last, total = n, total + 1
      end
    end
    assert.equal(sent, total)
  end
  -- Break it, and have so many more events kept for it.
  local function break_it(more)
    send(20)
    wait_state "paused"
    send(more)
    wait_counted()
    return wait_state("paused", sent)
  end

  it("is paused alone, and its events are kept and run in order when it is resumed", function()
    local row = break_it(100)
    assert.is_true(row.failures >= 20)
    assert.equal("engine", row.by)
    assert.matches('^rules/log.lua:1: rule "Log calls": no such field: k%d', row.error)
    assert.equal("rules/log.lua", row.file)
    assert.same({ "call" }, row.on)
    assert.equal("on", rules()["Count"].state)

    -- one alert, which another rule mailed
    assert.equal(1, #alerts())
    local alert = alerts()[1].doc
    assert.equal("Log calls", alert.rule)
    assert.equal(20, alert.failures)
    assert.equal("call", alert.event_type)
    assert.matches('^rules/log.lua:1: rule "Log calls": no such field', alert.error)
    assert.matches("^%x+$", alert.generation)
    assert.matches("^%d%d%d%d%-.*Z$", alert.paused_at)
    assert.equal(1, #engine:cli("events", "--id", alert.event_id, "--json"))
    support.wait_for(function()
      return #engine:cli("outbox", "--state", "sent", "--json") == 1
    end, 10, "the alert's mail")

    -- status says so
    local rows, _, code = engine:cli("status", "--json")
    assert.equal(1, code)
    assert.same({ rules = 1, kept = sent, list = { { rule = "Log calls", state = "paused" } } },
      rows[1].paused)
    local _, out = engine:cli "status"
    assert.matches('paused rules "Log calls", ' .. sent .. " runs kept", out, 1, true)
    assert.matches("switchhook_runs_kept " .. sent, engine:request("GET", "/metrics").body, 1, true)

    -- what is kept is neither done nor a dead letter, and no retry runs it
    assert.equal(sent, #engine:cli("events", "--type", "call", "--state", "stored", "--json"))
    assert.equal(sent, #engine:cli("runs", "--state", "paused", "--json"))
    _, _, code = engine:cli("redrive", "--all")
    assert.equal(1, code)

    engine:kill9()
    engine:start()
    wait_state("paused", sent)
    assert.equal(1, #alerts())
    send(10)
    wait_counted()
    wait_state("paused", sent)

    engine:stop()
    support.write_file(engine.dir .. "/rules/log.lua", mended)
    engine:start()
    wait_state("paused", sent)
    _, out, code = engine:cli("rules", "resume", "Log calls")
    assert.equal(0, code)
    assert.matches("Log calls: resumed; " .. sent .. " kept runs go again", out)
    send(200) -- while it is resumed
    wait_state("on", 0, 20)
    wait_counted()
    engine:wait_events("done", nil, 20)
    all_in_order()
    assert.equal(0, rules()["Log calls"].failures)
  end)

  it("is paused again when it still fails; mended in place, it catches up", function()
    break_it(60)
    engine:cli("rules", "resume", "Log calls")
    support.wait_for(function() return #alerts() == 2 end, 10, "a second alert")
    wait_state("paused", sent)
    support.write_file(engine.dir .. "/rules/log.lua", mended)
    support.wait_for(function()
      return rules()["Log calls"].line == 2
    end, 10, "the mended rule to go live")
    engine:cli("rules", "resume", "Log calls")
    send(20)
    wait_state("on", 0, 20)
    wait_counted()
    engine:wait_events("done", nil, 20)
    all_in_order()
  end)

  it("goes on being resumed after a kill in the middle", function()
    break_it(400)
    engine:stop()
    local slowly = mended:gsub("function%(e%)", "function(e) for _ = 1, 2e5 do end")
    support.write_file(engine.dir .. "/rules/log.lua", slowly)
    engine:cli("rules", "resume", "Log calls") -- without an engine: when it starts
    assert.equal("resuming", rules()["Log calls"].state)
    local in_the_middle = 0
    for _ = 1, 3 do
      engine:start()
      send(10)
      engine:kill9()
      local row = rules()["Log calls"]
      local under_way = row.state == "resuming" and #engine:cli("records", "seen", "--json") > 0
      in_the_middle = in_the_middle + (under_way and 1 or 0)
    end
    assert.is_true(in_the_middle > 0)
    engine:start()
    wait_state("on", 0, 20)
    wait_counted()
    engine:wait_events("done", nil, 20)
    all_in_order()
  end)

  it("can be paused and resumed by a person", function()
    engine:stop()
    support.write_file(engine.dir .. "/rules/log.lua", mended)
    engine:start()
    local rows, _, code = engine:cli("rules", "pause", "Log calls", "--by", "ann", "--json")
    assert.equal(0, code)
    assert.same({ rule = "Log calls", was = "on", state = "paused", kept = 0 }, rows[1])
    send(30)
    wait_counted()
    local row = wait_state "paused"
    assert.equal("ann", row.by)
    assert.matches("Z$", row.since)
    assert.equal(cjson.null, row.error)
    local _, out, again = engine:cli("rules", "pause", "Log calls")
    assert.equal(0, again)
    assert.matches("is paused already", out)
    _, out = engine:cli "rules"
    assert.matches("RULE%s+STATE%s+FAILURES%s+KEPT", out)
    assert.matches("Log calls%s+paused%s+0%s+%d+%s+%S+%s+ann", out)
    assert.equal(0, #alerts()) -- who did it knows
    engine:cli("rules", "resume", "Log calls")
    wait_state("on", 0)
    engine:wait_events("done", nil, 20)
    all_in_order()
    _, out, code = engine:cli("rules", "resume", "Log calls")
    assert.equal(1, code)
    assert.matches('"Log calls" is not paused', out)
  end)

  it("is named by name, and a near one is offered", function()
    local _, out, code = engine:cli("rules", "pause", "Log cals")
    assert.equal(1, code)
    assert.matches('there is no rule "Log cals"; did you mean "Log calls"?', out, 1, true)
    _, out, code = engine:cli("rules", "resume", "zzz")
    assert.equal(1, code)
    assert.matches('there is no rule "zzz"', out, 1, true)
    assert.is_nil(out:find("did you mean", 1, true))
    _, _, code = engine:cli("rules", "pause")
    assert.equal(2, code)
    _, out, code = engine:cli("rules", "frobnicate")
    assert.equal(2, code)
    assert.matches("frobnicate", out)
  end)

  it("is never paused when that is switched off", function()
    engine:stop()
    support.write_file(engine.dir .. "/switchhook.lua", [[
return { quarantine = false, sources = { webphone = { path = "/hooks/webphone", auth = "none",
  type = { field = "event" }, key = { field = "call_id" } } } }]])
    engine:start()
    send(50)
    wait_counted()
    support.wait_for(function()
      return #engine:cli("runs", "--state", "retry", "--json") == 50
    end, 10, "50 retries")
    assert.equal("on", rules()["Log calls"].state)
    assert.equal(0, #alerts())
  end)
end)
