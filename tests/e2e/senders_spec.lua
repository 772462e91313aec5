-- SPDX-License-Identifier: MIT
-- senders_spec.lua: the six senders of examples/senders, over HTTP: each proves itself, its bytes are kept,
-- and one set of rules takes the calls of all.

local cjson = require "cjson"
local support = require "tests.e2e.support"

local FOLDER = "examples/senders"

describe("senders", function()
  local engine
  setup(function()
    engine = support.engine { config = support.read_file(FOLDER .. "/switchhook.lua"), rules = {}, start = false }
    for _, name in ipairs { "rules", "scripts", "secrets", "events" } do
      assert(os.execute(("cp -rL %s/%s/. %s/%s"):format(FOLDER, name, engine.dir, name)))
    end
    engine:start()
  end)
  teardown(function() if engine then engine:close() end end)

  local function send(...)
    return support.capture(("cd %s && %s send %s --to http://127.0.0.1:%d 2>&1"):format(
      engine.dir, support.bin, table.concat({ ... }, " "), engine.port))
  end

  it("prove themselves, and their calls are one kind of call to the rules", function()
    local out, code = send("events/*")
    assert.equal(0, code, out)
    local rows = engine:wait_events("done", 8)
    local by_source = {}
    for _, row in ipairs(rows) do
      by_source[row.source] = by_source[row.source] or {}
      table.insert(by_source[row.source], row.type)
    end
    assert.same({ webphone = { "call_stop" }, voice = { "call.handed_over" }, github = { "push" },
      dialpad = { "ringing", "hangup" }, aircall = { "call.ended", "call.commented" }, twilio = { "no-answer" } },
      by_source)
    local calls = {}
    for _, row in ipairs(engine:cli("records", "calls", "--json")) do
      calls[row.doc.from] = { row.id, row.doc.result, row.doc.number }
    end
    assert.same({
      webphone = { "m08t55190273y61bd94w20r38kgp7x", "Missed", "0612345678" },
      dialpad = { "5780678246121472", "Missed", "+31612340001" },
      aircall = { "76259012", "Answered", "+31 6 1234 0002" },
      twilio = { "CA5ef8732a3c49700934481addd5ce1659", "Missed", "+31612340003" },
    }, calls)
    assert.equal(4, #engine:cli("callbacks", "--json"))
    assert.equal("example/switchboard", engine:cli("records", "pushes", "--json")[1].doc.repository)
  end)

  it("keep what came in the journal, and when it happened", function()
    for _, row in ipairs(engine:cli("events", "--json")) do
      local whole = engine:cli("events", "--id", row.id, "--json")[1]
      if row.source == "dialpad" then
        assert.truthy(whole.raw:find "^[%w_-]+%.[%w_-]+%.[%w_-]+$", whole.raw)
        assert.equal(row.type, whole.body.state)
        assert.truthy(row.occurred_at:find "^2026%-06%-12T12:00:%d%d%.%d%d%dZ$", row.occurred_at)
      elseif row.source == "twilio" then
        assert.truthy(whole.raw:find("CallSid=CA5ef", 1, true))
        assert.equal("no-answer", whole.body.CallStatus)
      elseif row.source == "aircall" then
        assert.truthy(row.occurred_at:find "^2026%-06%-12T12:0%d:%d%d%.000Z$", row.occurred_at)
      elseif row.source == "voice" then
        assert.equal("2026-06-12T11:50:00.125Z", row.occurred_at)
      end
    end
  end)

  it("that prove nothing get nowhere", function()
    local before = #engine:cli("events", "--json")
    local out, code = send("--unsigned", "--json", "events/1-*", "events/2-*", "events/3-*", "events/4-*", "events/8-*")
    assert.equal(1, code, out)
    local n = 0
    for line in out:gmatch "[^\n]+" do
      assert.equal(401, cjson.decode(line).status, line)
      n = n + 1
    end
    assert.equal(5, n)
    assert.equal(before, #engine:cli("events", "--json"))
  end)

  it("of a form or a token are found by the number of a caller that is to be forgotten", function()
    for _, number in ipairs { "+31612340001", "+31612340003" } do
      local out, code = support.capture(("cd %s && %s forget %s --yes --data data 2>&1"):format(
        engine.dir, support.bin, number))
      assert.equal(0, code, out)
    end
    local left = {}
    for _, row in ipairs(engine:cli("events", "--json")) do
      local whole = engine:cli("events", "--id", row.id, "--json")[1]
      if row.source == "dialpad" or row.source == "twilio" then
        assert.is_nil(whole.raw)
        assert.same({ forgotten = true }, whole.body)
      elseif row.source ~= "engine" then
        left[#left + 1] = row.source
      end
    end
    assert.equal(5, #left)
  end)

  it("that send again are answered with the first one's id", function()
    local out, code = send("events/*")
    assert.equal(0, code, out)
    local _, seen = out:gsub("seen before", "")
    assert.equal(8, seen, out)
  end)
end)
