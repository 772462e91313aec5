-- SPDX-License-Identifier: MIT
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
  hook.send(hook.payload("missed", changes))
end

local function begin(now)
  hook.reset { now = now, scripts = { settings = settings }, secrets = { "SMS_TOKEN" } }
end

local function texts() return #hook.calls() end

describe("text_back", function()
  before_each(function() begin() end)

  it("is off as shipped", function()
    hook.reset()
    missed()
    assert.skipped "Text back after a missed call"
    assert.no.http_call()
  end)

  it("sends one message, with the token as a secret", function()
    missed()
    assert.http_call { method = "POST", url = "https://sms.example.org/messages",
      json = { to = "0612345678", text = "We call you back." },
      headers = { Authorization = "Bearer (secret SMS_TOKEN)" } }
    assert.equal(1, texts())
  end)

  it("sends one in four hours to a caller, whatever the call", function()
    missed()
    missed()
    hook.advance "3h"
    missed()
    assert.equal(1, texts())
    begin()
    missed()
    hook.advance "4h"
    missed()
    assert.equal(2, texts())
    begin()
    missed()
    missed { remote_number = "0687654321" }
    assert.equal(2, texts())
  end)

  it("leaves answered, outgoing, withheld and internal calls alone", function()
    missed { call_result = "Answered" }
    missed { direction = "outgoing" }
    missed { remote_number = "anonymous" }
    missed { remote_number = "3002" }
    assert.no.http_call()
  end)

  it("waits at night, and sends when quiet hours end", function()
    begin "2026-06-12 23:30"
    missed()
    assert.no.http_call()
    assert.set_timer { name = "text back 0612345678", due = "2026-06-13 08:00" }
    hook.advance "1h"
    missed()
    hook.advance "9h"
    assert.equal(1, texts())
    begin "2026-06-12 07:59"
    missed()
    assert.no.http_call()
    begin "2026-06-12 08:00"
    missed()
    assert.equal(1, texts())
  end)

  it("does not send in the morning when somebody has spoken to them meanwhile", function()
    begin "2026-06-12 23:30"
    missed()
    missed { call_result = "Answered", direction = "outgoing" }
    hook.advance "10h"
    assert.no.http_call()
  end)

  it("never sends to who does not want it", function()
    missed { remote_number = "0031600000000" }
    assert.no.http_call()
    begin()
    hook.send { event = "message_received", call_id = "m1", from = "0612345678", text = "Stop!" }
    missed()
    assert.no.http_call()
    begin()
    hook.send { event = "message_received", call_id = "m1", from = "0612345678", text = "Please don't stop" }
    missed()
    assert.equal(1, texts())
  end)
end)
