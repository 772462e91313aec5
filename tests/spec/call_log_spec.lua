-- SPDX-License-Identifier: MIT
local kit = require "tests.spec.kit"

local id = "x71p99345762k44nm28d55q90lbc6v"
local start, stop, analysed = kit.payload "call_start", kit.payload "call_stop",
  kit.payload "call_postprocess"

local function record_after(...)
  local _, world = kit.try { ... }
  return world.records.calls[id]
end

describe("call_log", function()
  it("makes one record out of the three events", function()
    local doc = record_after(start, stop, analysed)
    assert.equal("analysed", doc.status)
    assert.same({ "call_start", "call_stop", "call_postprocess" }, doc.phases)
    assert.equal("Answered", doc.call_result)
    assert.equal(51, doc.duration_sec)
    assert.equal("2026-06-12T10:03:11.214Z", doc.started_at)
    assert.equal("2026-06-12T10:04:02.487Z", doc.ended_at)
    assert.equal("2026-06-12T10:03:11.215Z", doc.first_event_at)
    assert.equal("2026-06-12T10:04:21.903Z", doc.last_event_at)
    assert.equal("neutral", doc.sentiment)
    assert.is_true(doc.transcribed)
    assert.equal("0309876543", doc.remote_number)
  end)

  it("makes the same record in whatever order they come", function()
    local expected = record_after(start, stop, analysed)
    for _, order in ipairs { { start, analysed, stop }, { stop, start, analysed },
      { stop, analysed, start }, { analysed, start, stop }, { analysed, stop, start } } do
      assert.same(expected, record_after(table.unpack(order)))
    end
  end)

  it("takes repeats, the same to the byte or not", function()
    local expected = record_after(start, stop, analysed)
    local again = kit.payload("call_start", { date = "2026-06-12T10:03:11.900Z" })
    assert.same(expected, record_after(start, start, stop, again, analysed, stop))
  end)

  it("does with gaps: a stop alone, an analysis alone", function()
    local doc = record_after(stop)
    assert.equal("ended", doc.status)
    assert.same({ "call_stop" }, doc.phases)
    assert.is_nil(doc.sentiment)
    assert.equal("analysed", record_after(analysed).status)
  end)

  it("keeps what other rules wrote on the record", function()
    local unhappy = kit.payload("call_postprocess", { analysis = { sentiment = "negative" } })
    local doc = record_after(unhappy, stop, start)
    assert.equal("callback", doc.follow_up)
    assert.equal("negative", doc.sentiment)
  end)
end)
