-- SPDX-License-Identifier: MIT
local rule = "Call back after a missed call"

-- A missed call with these changes, on an empty store.
local function missed(changes)
  hook.reset()
  return hook.send(hook.payload("missed", changes))
end

describe("missed_call", function()
  it("schedules a callback within the hour", function()
    local happened = hook.send(hook.payload "missed")
    assert.ran(rule)
    assert.scheduled_callback { number = "0612345678", due = "2026-06-12 15:00", reason = "Missed call" }
    assert.record("calls", happened.event.key).has { missed = true }
    assert.equal("scheduled", hook.callbacks()[1].status)
  end)

  it("waits for opening hours", function()
    local function due(now, expected)
      hook.reset { now = now }
      hook.send(hook.payload "missed")
      assert.scheduled_callback { due = expected }
    end
    due("2026-06-12 16:29", "2026-06-12 17:29")
    due("2026-06-12 16:30", "2026-06-15 09:00") -- Monday at nine
    due("2026-06-13 12:00", "2026-06-15 09:00")
    due("2026-10-24 12:00", "2026-10-26 09:00") -- clocks go back in between
    due("2026-10-24T10:00:00Z", "2026-10-26T08:00:00Z")
  end)

  it("knows the words for nobody answering", function()
    for _, word in ipairs { "Missed", "No answer", "BUSY", "Rejected", "gemist", "Niet opgenomen", "bezet" } do
      missed { call_result = word }
      assert.ran(rule)
    end
    missed { call_result = hook.null, duration_sec = 0 }
    assert.ran(rule)
    missed { call_result = hook.none, duration_sec = hook.none }
    assert.ran(rule)
    missed { direction = "inbound" }
    assert.ran(rule)
  end)

  it("leaves answered and outgoing calls alone", function()
    for _, changes in ipairs { { call_result = "Answered" }, { call_result = "beantwoord" },
      { call_result = hook.null, duration_sec = 12 }, { direction = "outgoing" } } do
      missed(changes)
      assert.skipped(rule, "when")
    end
  end)

  it("does not call withheld numbers, and says so on the record", function()
    for _, number in ipairs { "anonymous", "Anoniem", "", "unknown", "withheld", hook.null } do
      local happened = missed { remote_number = number }
      assert.ran(rule)
      assert.no.scheduled_callback()
      assert.record("calls", happened.event.key).has { follow_up = "number withheld" }
    end
  end)

  it("bears an event with hardly anything in it", function()
    for _, kind in ipairs { "call_start", "call_stop", "call_postprocess" } do
      hook.send { event = kind, call_id = "bare" } -- a run that fails fails the spec
    end
  end)

  it("does not call colleagues back", function()
    missed { remote_number = "3002" }
    assert.no.scheduled_callback()
  end)

  it("calls back once when the same call is reported again", function()
    hook.send(hook.payload "missed")
    hook.send(hook.payload("missed", { date = "2026-06-12T11:47:40.000Z" }))
    assert.equal(1, #hook.callbacks())
  end)
end)
