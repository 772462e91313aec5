-- SPDX-License-Identifier: MIT
local id = "x71p99345762k44nm28d55q90lbc6v"

local function sample(name, changes)
  return function() return hook.payload(name, changes) end
end
local start, stop, analysed = sample "call_start", sample "call_stop", sample "call_postprocess"

local function record_after(...)
  hook.reset()
  for _, event in ipairs { ... } do hook.send(event()) end
  return assert.record("calls", id).doc
end

describe("call_log", function()
  it("makes one record out of the three events", function()
    record_after(start, stop, analysed)
    assert.record("calls", id).has { status = "analysed", phases = { "call_start", "call_stop", "call_postprocess" },
      call_result = "Answered", duration_sec = 51, started_at = "2026-06-12T10:03:11.214Z",
      ended_at = "2026-06-12T10:04:02.487Z", first_event_at = "2026-06-12T10:03:11.215Z",
      last_event_at = "2026-06-12T10:04:21.903Z", sentiment = "neutral", transcribed = true,
      remote_number = "0309876543" }
  end)

  it("makes the same record in whatever order they come", function()
    local expected = record_after(start, stop, analysed)
    for _, order in ipairs { { start, analysed, stop }, { stop, start, analysed },
      { stop, analysed, start }, { analysed, start, stop }, { analysed, stop, start } } do
      record_after(table.unpack(order))
      assert.record("calls", id).is(expected)
    end
  end)

  it("takes repeats, the same to the byte or not", function()
    local expected = record_after(start, stop, analysed)
    local again = sample("call_start", { date = "2026-06-12T10:03:11.900Z" })
    record_after(start, start, stop, again, analysed, stop)
    assert.record("calls", id).is(expected)
  end)

  it("does with gaps: a stop alone, an analysis alone", function()
    record_after(stop)
    assert.record("calls", id).has { status = "ended", phases = { "call_stop" }, sentiment = hook.none }
    record_after(analysed)
    assert.record("calls", id).has { status = "analysed" }
  end)

  it("keeps what other rules wrote on the record", function()
    record_after(sample("call_postprocess", { analysis = { sentiment = "negative" } }), stop, start)
    assert.record("calls", id).has { follow_up = "callback", sentiment = "negative" }
  end)
end)
