-- SPDX-License-Identifier: MIT
local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 9, within = 24 * hour } }]]

local function begin(now, text)
  hook.reset { now = now, scripts = { settings = text or settings } }
end

local function call(id, at, changes)
  changes = changes or {}
  changes.call_id = id
  changes.date = at
  hook.send(hook.payload("missed", changes))
end

local function digests()
  local found = {}
  for _, mail in ipairs(hook.emails()) do
    if mail.subject:find "^Calls of" then found[#found + 1] = mail end
  end
  return found
end

describe("daily_digest", function()
  it("comes at 18:00 with today's calls", function()
    begin "2026-06-12 16:30"
    call("old", "2026-06-11T14:00:00.000Z")
    call("a", "2026-06-12T08:00:00.000Z")
    call("b", "2026-06-12T09:00:00.000Z", { call_result = "Answered" })
    hook.advance "89m"
    assert.equal(0, #digests())
    hook.advance "1m"
    assert.equal(1, #digests())
    for _, line in ipairs { "Calls: 2\n", "Missed: 1\n", "laura.devries@bedrijf.nl: 2" } do
      assert.sent_email { to = "lead@example.org", subject = "Calls of Fri 12 Jun", text = hook.containing(line) }
    end
  end)

  it("comes on working days alone, also across a change of the clocks", function()
    begin "2026-06-12 12:00"
    hook.advance "7d" -- to the next Friday noon: Friday, Monday to Thursday
    assert.equal(5, #digests())
    -- summer time ends on Sunday 25 October 2026: 18:00 is 16:00Z before it and 17:00Z after
    begin "2026-10-23T16:30:00Z"
    hook.advance "72h29m"
    assert.equal(0, #digests())
    hook.advance "1m"
    assert.equal(1, #digests())
  end)

  it("has what came after the last one, the weekend too, once", function()
    begin "2026-06-12 16:30" -- Friday, to Tuesday 18:00
    call("a", "2026-06-12T14:20:00.000Z")
    hook.advance "2h"
    call("b", "2026-06-12T16:29:00.000Z")
    hook.advance "20h"
    call("c", "2026-06-13T12:00:00.000Z")
    hook.advance "76h"
    assert.equal(3, #digests())
    assert.sent_email { subject = "Calls of Fri 12 Jun", text = hook.containing "Calls: 1\n" }
    assert.sent_email { subject = "Calls of Mon 15 Jun", text = hook.containing "Calls: 2\n" }
    assert.sent_email { subject = "Calls of Tue 16 Jun", text = hook.containing "Calls: 0\n" }
  end)

  it("is not sent without a team lead", function()
    begin(nil, (settings:gsub("team_lead = [^,]+,", "")))
    hook.advance "3d"
    assert.equal(0, #digests())
  end)
end)
