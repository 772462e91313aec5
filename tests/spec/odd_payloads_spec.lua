-- SPDX-License-Identifier: MIT
-- What a sender may put into a field that no telephone does: no shipped rule fails on it, or writes much.
local settings = [[return { team_lead = "lead@example.org", country = "31",
  text_back = { url = "https://sms.example.org/", text = "..", again_after = 4 * hour },
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 1, within = 24 * hour } }]]

local long = ("é"):rep(60000)
local odd = { "-1.5", hook.null, true, "\1\n\27[31m", "", long, "table: 0x55aa", ("1"):rep(100000), ("a\n"):rep(20000) }
local values = { -1.5, 1e300, -12345678, 612345678.0, hook.list {}, hook.list { 1 }, { a = {} } }
table.move(odd, 1, #odd, #values + 1, values)

local fields = { "direction", "call_result", "started_at", "ended_at", "duration_sec", "local_number", "local_name",
  "remote_number", "remote_name", "user_email", "date", "analysis", "transcription", "analysis.summary",
  "analysis.action_items", "analysis.sentiment", "from", "text" }

-- A failed rule fails the spec by itself.
local function send(payload, field, value)
  hook.reset { scripts = { settings = settings } }
  local changes = { [field] = value }
  hook.send(hook.payload(payload, changes))
  if payload == "missed" then hook.advance "3h" end
  for _, record in pairs(hook.records "tasks") do assert.is_true(#record.text <= 4000) end
  for _, record in pairs(hook.records "calls") do
    assert.is_true(#tostring(record.remote_name) <= 400 and #tostring(record.summary) <= 4000)
  end
end

describe("odd payloads", function()
  for _, payload in ipairs { "missed", "negative" } do
    it("no field of " .. payload .. " makes a rule fail", function()
      for _, field in ipairs(fields) do
        for _, value in ipairs(values) do send(payload, field, value) end
      end
    end)
  end

  it("no number of an answered call does", function()
    for _, value in ipairs(values) do
      hook.reset { scripts = { settings = settings } }
      hook.send(hook.payload("missed", { call_result = "Answered", remote_number = value }))
      hook.send(hook.payload("missed", { event = "message_received", from = value, text = "stop" }))
    end
  end)

  it("cuts a long name between letters", function()
    send("call_postprocess", "remote_name", ("é"):rep(150000))
    for _, task in pairs(hook.records "tasks") do assert.equal(("é"):rep(200), task.customer) end
  end)

  it("leaves events of the rules' own that a sender posts alone", function()
    hook.reset { scripts = { settings = settings } }
    for _, type in ipairs { "escalation", "text_back", "repeat_caller", "callback_done" } do
      hook.send { event = type, call_id = type, number = "+31612345678", reason = "Missed call" }
    end
    assert.no_effects()
  end)
end)
