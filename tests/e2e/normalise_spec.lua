-- SPDX-License-Identifier: MIT
-- normalise_spec.lua: a script turns what a sender sends into the event that rules see; the journal keeps
-- what came.

local support = require "tests.e2e.support"

local config = [[
return {
  workers = 1, retry = { "300ms", "300ms" }, budgets = { cpu = "100ms", wall = "1s" },
  sources = {
    pbx = { path = "/hooks/pbx", auth = "none", type = { field = "what" }, key = { field = "id" }, normalise = "pbx" },
    form = { path = "/hooks/form", auth = "none", type = { field = "what" }, body = "form", normalise = "pbx" },
    plain = { path = "/hooks/plain", auth = "none", type = { field = "what" } },
  },
}
]]

local rules = {
  ["keep.lua"] = [[
rule "keep" { on = "call_*", run = function(call, envelope)
  records.put("seen", envelope.id, { call = call, type = envelope.type })
end }
rule "raw" { on = "plain", run = function(event, envelope)
  records.put("seen", envelope.id, { call = event, type = envelope.type })
end }
]],
}

local pbx = [[
local names = { RINGING = "call_start", HANGUP = "call_stop" }

return function(body, envelope)
  if body.what == "KEEPALIVE" then return nil end
  return {
    event = names[body.what], call_id = body.id, source = envelope.source,
    numbers = body.numbers, big = body.big, none = body.none,
  }, names[body.what]
end
]]

describe("a normaliser", function()
  local engine

  local function start(script)
    engine = support.engine { config = config, rules = rules, scripts = { ["pbx.lua"] = script } }
  end
  after_each(function()
    if engine then engine:close() end
    engine = nil
  end)

  local function post(path, body, headers)
    local answer = engine:post(path, body, headers)
    assert.equal(200, answer.status, answer.body)
    return answer.json.id
  end

  local function seen(id)
    return support.wait_for(function()
      return engine:cli("records", "seen", "--id", id, "--json")[1]
    end, 10, "the rule").doc
  end

  local function failed(id, state)
    return support.wait_for(function()
      for _, run in ipairs(engine:cli("runs", "--event", id, "--json")) do
        if run.outcome == state or (not state and run.outcome ~= "done") then return run end
      end
    end, 10, "the failed run")
  end

  it("makes the event and its type; the journal keeps the sender's", function()
    start(pbx)
    local body = '{"what":"HANGUP","id":"c1","numbers":[],"big":9223372036854775807,"none":null,"x":1.0}'
    local id = post("/hooks/pbx", body)
    local doc = seen(id)
    assert.equal("call_stop", doc.type)
    assert.equal("c1", doc.call.call_id)
    assert.equal("pbx", doc.call.source)
    assert.is_nil(doc.call.none)
    local text = support.capture(("cd %s && %s records seen --id %s --json --data data")
      :format(engine.dir, support.bin, id))
    assert.truthy(text:find('"big":9223372036854775807', 1, true), text)
    assert.truthy(text:find('"numbers":[]', 1, true), text)
    local event = engine:cli("events", "--id", id, "--json")[1]
    assert.equal("HANGUP", event.type)
    assert.equal("c1", event.key)
    assert.equal("HANGUP", event.body.what)
    -- only its own source
    assert.equal("plain", seen(post("/hooks/plain", '{"what":"plain"}')).type)
    -- of a form likewise
    doc = seen(post("/hooks/form", "what=RINGING&id=7", { ["Content-Type"] = "application/x-www-form-urlencoded" }))
    assert.equal("call_start", doc.call.event)
    assert.equal("7", doc.call.call_id)
  end)

  it("that returns nil keeps the event from the rules", function()
    start(pbx)
    local id = post("/hooks/pbx", '{"what":"KEEPALIVE","id":"c1"}')
    engine:wait_events("done", 1)
    assert.same({}, engine:cli("runs", "--event", id, "--json"))
    assert.same({}, engine:cli("records", "seen", "--json"))
    support.write_file(engine.dir .. "/e.json", '{"what":"KEEPALIVE","id":"c1"}')
    local text = support.capture(("cd %s && %s try rules e.json --source pbx"):format(engine.dir, support.bin))
    assert.truthy(text:find("skipped keep: the source's normaliser returned nil", 1, true), text)
  end)

  it("that fails is named with its line; the event is tried again and goes through once it is mended", function()
    start [[
return function(body)
  return { call_id = body.call.id }, "call_start"
end
]]
    local id = post("/hooks/pbx", '{"what":"RINGING","id":"c2"}')
    local run = failed(id)
    assert.equal("*", run.rule)
    assert.truthy(run.error:find("scripts/pbx.lua:2: normaliser of \"pbx\": attempt to index a nil value (field",
      1, true),
      run.error)
    assert.truthy(run.error:find("\n  hint: ", 1, true), run.error)
    assert.equal(3, failed(id, "dead").attempts)
    support.write_file(engine.dir .. "/scripts/pbx.lua", pbx)
    local _, out, code = engine:cli("reload")
    assert.equal(0, code, out)
    local _, said, redriven = engine:cli("redrive", id)
    assert.equal(0, redriven, said)
    assert.equal("c2", seen(id).call.call_id)
    support.wait_for(function()
      local by_rule = {}
      for _, r in ipairs(engine:cli("runs", "--event", id, "--json")) do by_rule[r.rule] = r.outcome end
      return by_rule["*"] == "done" and by_rule.keep == "done"
    end, 10, "both runs to be done")
  end)

  it("that loops or hangs costs its own events alone", function()
    start [[
return function(body)
  if body.what == "loop" then while true do end end
  if body.what == "hang" then return { x = (("a"):rep(40) .. "b"):find((".-"):rep(30) .. "c") } end
  return { call_id = body.id }, "call_start"
end
]]
    local loop, hang = post("/hooks/pbx", '{"what":"loop","id":"l"}'), post("/hooks/pbx", '{"what":"hang","id":"h"}')
    local good = post("/hooks/pbx", '{"what":"RINGING","id":"g"}')
    assert.equal("g", seen(good).call.call_id)
    assert.truthy(failed(loop).error:find('scripts/pbx.lua:2: normaliser of "pbx": CPU budget of 100 ms exceeded',
      1, true))
    local run = failed(hang)
    assert.equal("*", run.rule)
    assert.truthy(run.error:find('scripts/pbx.lua:1: normaliser of "pbx": wall budget of 1000 ms exceeded', 1, true),
      run.error)
    assert.truthy(run.error:find("\n  hint: ", 1, true), run.error)
    assert.truthy(run.error:find("cannot be interrupted", 1, true), run.error)
  end)

  it("may keep nothing to itself", function()
    start [[
local count = 0
return function(body)
  count = count + 1
  return { call_id = body.id, n = count }, "call_start"
end
]]
    local run = failed(post("/hooks/pbx", '{"what":"RINGING","id":"c"}'))
    assert.truthy(run.error:find("count", 1, true), run.error)
    assert.truthy(run.error:find("scripts/pbx.lua:", 1, true), run.error)
  end)

  it("that is missing, broken or no function keeps the old rules live", function()
    start(pbx)
    local function refused(script, piece)
      if script then
        support.write_file(engine.dir .. "/scripts/pbx.lua", script)
      else
        os.remove(engine.dir .. "/scripts/pbx.lua")
      end
      local _, out, code = engine:cli("reload")
      assert.equal(1, code, out)
      assert.truthy(out:find(piece, 1, true), out)
      local text, bad = support.capture(("cd %s && %s check 2>&1"):format(engine.dir, support.bin))
      assert.equal(1, bad, text)
      assert.truthy(text:find(piece, 1, true), text)
    end
    refused("return { x = 1 }", 'pbx.lua:1: source "form" normalises with this script: it must return a '
      .. "function(body, envelope), got a table")
    refused("return function( end", "pbx.lua:1: <name> or '...' expected near 'end'")
    refused(nil, 'pbx.lua: source "pbx" normalises with this script, and there is none')
    assert.equal("call_start", seen(post("/hooks/pbx", '{"what":"RINGING","id":"still"}')).type)
    support.write_file(engine.dir .. "/scripts/pbx.lua", (pbx:gsub("call_start", "call_again")))
    local _, out, code = engine:cli("reload")
    assert.equal(0, code, out)
    assert.equal("call_again", seen(post("/hooks/pbx", '{"what":"RINGING","id":"new"}')).type)
  end)

  it("is part of specs", function()
    start(pbx)
    support.write_file(engine.dir .. "/specs/pbx_spec.lua", [[
describe("pbx", function()
  it("is normalised", function()
    hook.send({ what = "RINGING", id = "s1" }, { source = "pbx" })
    hook.send("what=HANGUP&id=s2", { source = "form" })
    local types = {}
    for _, doc in pairs(hook.records "seen") do types[doc.type] = true end
    assert.same({ call_start = true, call_stop = true }, types)
    hook.reset { scripts = { pbx = "return function(b) return { call_id = b.id }, 'call_x' end" } }
    hook.send({ what = "RINGING", id = "s3" }, { source = "pbx" })
    local _, doc = next(hook.records "seen")
    assert.equal("call_x", doc.type)
  end)
end)
]])
    local text, code = support.capture(("cd %s && %s test specs 2>&1"):format(engine.dir, support.bin))
    assert.equal(0, code, text)
  end)
end)
