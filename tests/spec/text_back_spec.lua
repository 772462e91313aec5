-- SPDX-License-Identifier: MIT
local kit = require "tests.spec.kit"

local settings = [[return {
  text_back = { url = "https://sms.example.org/messages", token = secret "SMS_TOKEN", text = "We call you back.",
    again_after = 4 * hour, quiet = { from = "21:00", to = "08:00" }, opt_out = { "+31 6 0000 0000" } },
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 3, within = 24 * hour },
}]]

local n = 0
local function missed(changes)
  n = n + 1
  changes = changes or {}
  changes.call_id = changes.call_id or "call-" .. n
  return kit.payload("missed", changes)
end

local function texts(events, now)
  local _, world = kit.try(events, { now = now, settings = settings })
  return kit.sent(world, "http"), world
end

describe("text_back", function()
  it("is off as shipped", function()
    local answer, world = kit.one(missed())
    assert.equal("skipped_when", answer.runs["Text back after a missed call"].outcome)
    assert.equal(0, #kit.sent(world, "http"))
  end)

  it("sends one message, with the token as a secret", function()
    local sent = texts { missed() }
    assert.equal(1, #sent)
    assert.equal("https://sms.example.org/messages", sent[1].url)
    assert.equal('{"text":"We call you back.","to":"0612345678"}', sent[1].body)
    local authorization
    for _, header in ipairs(sent[1].headers) do
      if header[1] == "Authorization" then authorization = header[2] end
    end
    assert.same({ "Bearer ", { secret = "SMS_TOKEN", as = "plain" } }, authorization)
  end)

  it("sends one in four hours to a caller, whatever the call", function()
    assert.equal(1, #texts { missed(), missed(), kit.advance "3h", missed() })
    assert.equal(2, #texts { missed(), kit.advance "4h", missed() })
    assert.equal(2, #texts { missed(), missed { remote_number = "0687654321" } })
  end)

  it("leaves answered, outgoing, withheld and internal calls alone", function()
    assert.equal(0, #texts { missed { call_result = "Answered" }, missed { direction = "outgoing" },
      missed { remote_number = "anonymous" }, missed { remote_number = "3002" } })
  end)

  it("waits at night, and sends when quiet hours end", function()
    -- 23:30 in Amsterdam
    local sent, world = texts({ missed() }, "2026-06-12T21:30:00Z")
    assert.equal(0, #sent)
    assert.equal("2026-06-13T06:00:00.000Z", (function()
      for _, timer in ipairs(world.timers) do
        if timer.name == "text back 0612345678" then return timer.due_at end
      end
    end)())
    assert.equal(1, #texts({ missed(), kit.advance "1h", missed(), kit.advance "9h" }, "2026-06-12T21:30:00Z"))
    -- 07:59, and 08:00
    assert.equal(0, #texts({ missed() }, "2026-06-12T05:59:00Z"))
    assert.equal(1, #texts({ missed() }, "2026-06-12T06:00:00Z"))
  end)

  it("does not send in the morning when somebody has spoken to them meanwhile", function()
    assert.equal(0, #texts({ missed(), missed { call_result = "Answered", direction = "outgoing" },
      kit.advance "10h" }, "2026-06-12T21:30:00Z"))
  end)

  it("never sends to who does not want it", function()
    assert.equal(0, #texts { missed { remote_number = "0031600000000" } })
    assert.equal(0, #texts { { event = "message_received", call_id = "m1", from = "0612345678", text = "Stop!" },
      missed() })
    assert.equal(1, #texts { { event = "message_received", call_id = "m1", from = "0612345678",
      text = "Please don't stop" }, missed() })
  end)
end)
