-- SPDX-License-Identifier: MIT
-- senders_spec.lua: the shipped rules on the calls of other senders than the webphone: their normalisers put
-- them into its words. The sources are in tests/spec/switchhook.lua.

local function record(id) return hook.record("calls", id) end

describe("a call of Dialpad", function()
  local call = { call_id = 5780678246121472, state = "ringing", direction = "inbound", event_timestamp = 1781265600120,
    date_started = 1781265600004, external_number = "+31612340001", internal_number = "+31201234567",
    contact = { name = "Bakkerij Smit" }, target = { name = "Laura", email = "laura@example.org" } }

  local function send(changes)
    local event = {}
    for k, v in pairs(call) do event[k] = v end
    for k, v in pairs(changes) do event[k] = v end
    return hook.send(event, { source = "dialpad" })
  end

  it("that nobody took is called back", function()
    send {}
    send { state = "hangup", date_ended = 1781265622487, event_timestamp = 1781265622518 }
    local callback = hook.callbacks()[1]
    assert.equal("+31612340001", callback.number)
    assert.equal("Bakkerij Smit", callback.name)
    assert.equal("laura@example.org", callback.assignee)
    local kept = record "5780678246121472"
    assert.same({ "call_start", "call_stop" }, kept.phases)
    assert.equal("2026-06-12T12:00:22.487Z", kept.ended_at)
    assert.equal("Missed", kept.call_result)
  end)

  it("that was answered is logged with its length", function()
    send { state = "hangup", date_connected = 1781265610000, date_ended = 1781265622487 }
    assert.same({}, hook.callbacks())
    assert.equal(12, record("5780678246121472").duration_sec)
  end)

  it("that goes out begins with calling", function()
    send { state = "calling", direction = "outbound" }
    assert.equal("outgoing", record("5780678246121472").direction)
  end)

  it("in another state is left as it is", function()
    local happened = send { state = "voicemail" }
    assert.is_nil(record "5780678246121472")
    assert.equal("voicemail", happened.events[1].event.type)
  end)
end)

describe("a call of Aircall", function()
  local function ended(data)
    data.id, data.direction, data.started_at = 76259012, data.direction or "inbound", 1781265645
    data.raw_digits = data.raw_digits or "+31 6 1234 0002"
    data.user, data.number = { name = "Laura", email = "laura@example.org" }, { digits = "+31 20 123 4567" }
    return hook.send({ event = "call.ended", token = "secret", timestamp = 1781265732, data = data },
      { source = "aircall" })
  end

  it("that nobody took is called back", function()
    ended { ended_at = 1781265702, missed_call_reason = "agents_did_not_answer",
      contact = { first_name = "Nicolas", last_name = "Bakker" } }
    assert.equal("Nicolas Bakker", hook.callbacks()[1].name)
    assert.equal("Missed", record("76259012").call_result)
  end)

  it("that was answered is logged; of a withheld number there is no callback", function()
    ended { answered_at = 1781265658, ended_at = 1781265702, raw_digits = "anonymous" }
    assert.equal(44, record("76259012").duration_sec)
    assert.same({}, hook.callbacks())
  end)

  it("is seen without the token", function()
    hook.reset { rules = { a = [[rule "a" { on = "*", run = function(e, env)
      records.put("seen", env.type, { token = e.token or "none" }) end }]] } }
    ended { ended_at = 1781265702 }
    hook.send({ event = "call.tagged", token = "secret", timestamp = 1, data = { id = 1 } }, { source = "aircall" })
    assert.same({ call_stop = { token = "none" }, ["call.tagged"] = { token = "none" } }, hook.records "seen")
  end)
end)

describe("a call of Twilio", function()
  local function form(status, more)
    return hook.send("CallSid=CA1&CallStatus=" .. status .. "&From=%2B31612340003&To=%2B31201234567" .. (more or ""),
      { source = "twilio" })
  end

  it("that nobody took is called back", function()
    form("ringing", "&Direction=inbound")
    form("no-answer", "&Direction=inbound&CallDuration=0")
    assert.equal("+31612340003", hook.callbacks()[1].number)
    assert.same({ "call_start", "call_stop" }, record("CA1").phases)
  end)

  it("that went out is logged with its length, a number", function()
    form("completed", "&Direction=outbound-api&CallDuration=61")
    assert.equal(61, record("CA1").duration_sec)
    assert.equal("+31201234567", record("CA1").remote_number)
    assert.same({}, hook.callbacks())
  end)

  it("in progress is left as it is", function()
    form("in-progress", "&Direction=inbound")
    assert.is_nil(record "CA1")
  end)
end)
