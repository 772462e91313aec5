-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local kit = require "tests.spec.kit"
local rule = "Call back after a missed call"

local function outcome(changes)
  local answer, world = kit.one(kit.payload("missed", changes))
  return answer.runs[rule].outcome, world, answer
end

describe("missed_call", function()
  it("schedules a callback within the hour", function()
    local result, world, answer = outcome()
    assert.equal("done", result)
    assert.equal("2026-06-12T13:00:00.000Z", world.callbacks[1].due_at)
    assert.equal("0612345678", world.callbacks[1].number)
    assert.equal("Missed call", world.callbacks[1].reason)
    assert.is_true(world.records.calls[answer.event.key].missed)
  end)

  it("waits for opening hours", function()
    local function due(now)
      local _, world = kit.one(kit.payload "missed", now)
      return world.callbacks[1].due_at
    end
    assert.equal("2026-06-12T15:29:00.000Z", due "2026-06-12T14:29:00Z") -- 17:29 in Amsterdam
    assert.equal("2026-06-15T07:00:00.000Z", due "2026-06-12T14:30:00Z") -- Monday at nine
    assert.equal("2026-06-15T07:00:00.000Z", due "2026-06-13T10:00:00Z")
    assert.equal("2026-10-26T08:00:00.000Z", due "2026-10-24T10:00:00Z") -- clocks go back in between
  end)

  it("knows the words for nobody answering", function()
    for _, word in ipairs { "Missed", "No answer", "BUSY", "Rejected", "gemist", "Niet opgenomen", "bezet" } do
      assert.equal("done", (outcome { call_result = word }), word)
    end
    assert.equal("done", (outcome { call_result = cjson.null, duration_sec = 0 }))
    assert.equal("done", (outcome { call_result = kit.gone, duration_sec = kit.gone }))
    assert.equal("done", (outcome { direction = "inbound" }))
  end)

  it("leaves answered and outgoing calls alone", function()
    assert.equal("skipped_when", (outcome { call_result = "Answered" }))
    assert.equal("skipped_when", (outcome { call_result = "beantwoord" }))
    assert.equal("skipped_when", (outcome { call_result = cjson.null, duration_sec = 12 }))
    assert.equal("skipped_when", (outcome { direction = "outgoing" }))
  end)

  it("does not call withheld numbers, and says so on the record", function()
    for _, number in ipairs { "anonymous", "Anoniem", "", "unknown", "withheld", cjson.null } do
      local result, world, answer = outcome { remote_number = number }
      assert.equal("done", result)
      assert.equal(0, #world.callbacks)
      assert.equal("number withheld", world.records.calls[answer.event.key].follow_up)
    end
  end)

  it("bears an event with hardly anything in it", function()
    for _, kind in ipairs { "call_start", "call_stop", "call_postprocess" } do
      local answer = kit.one { event = kind, call_id = "bare" }
      for _, run in ipairs(answer.runs) do assert.not_equal("failed", run.outcome, run.error) end
    end
  end)

  it("does not call colleagues back", function()
    local _, world = outcome { remote_number = "3002" }
    assert.equal(0, #world.callbacks)
  end)

  it("calls back once when the same call is reported again", function()
    local _, world = kit.try { kit.payload "missed",
      kit.payload("missed", { date = "2026-06-12T11:47:40.000Z" }) }
    assert.equal(1, #world.callbacks)
  end)
end)
