-- SPDX-License-Identifier: MIT
local kit = require "tests.spec.kit"

local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 9, within = 24 * hour } }]]

local function digests(events, now, text)
  local _, world = kit.try(events, { now = now, settings = text or settings })
  local found = {}
  for _, mail in ipairs(kit.sent(world, "email")) do
    if mail.subject:find "^Calls of" then found[#found + 1] = mail end
  end
  return found
end

local function call(id, at, changes)
  changes = changes or {}
  changes.call_id = id
  changes.date = at
  return kit.payload(changes.sample or "missed", changes)
end

describe("daily_digest", function()
  it("comes at 18:00 with today's calls", function()
    -- Friday 12 June 2026, 16:30 in Amsterdam
    local now = "2026-06-12T14:30:00Z"
    local events = {
      call("old", "2026-06-11T14:00:00.000Z"),
      call("a", "2026-06-12T08:00:00.000Z"),
      call("b", "2026-06-12T09:00:00.000Z", { call_result = "Answered" }),
    }
    events[#events + 1] = kit.advance "89m"
    assert.equal(0, #digests(events, now))
    events[#events] = kit.advance "90m"
    local mails = digests(events, now)
    assert.equal(1, #mails)
    assert.equal("Calls of Fri 12 Jun", mails[1].subject)
    assert.truthy(mails[1].text:find("Calls: 2\n", 1, true), mails[1].text)
    assert.truthy(mails[1].text:find("Missed: 1\n", 1, true), mails[1].text)
    assert.truthy(mails[1].text:find("laura.devries@bedrijf.nl: 2", 1, true), mails[1].text)
  end)

  it("comes on working days alone, also across a change of the clocks", function()
    -- from Friday noon to the next Friday noon: Friday, Monday to Thursday
    assert.equal(5, #digests({ kit.advance "7d" }, "2026-06-12T10:00:00Z"))
    -- summer time ends on Sunday 25 October 2026: 18:00 is 16:00Z before it and 17:00Z after
    assert.equal(1, #digests({ kit.advance "72h", kit.advance "30m" }, "2026-10-23T16:30:00Z"))
    assert.equal(0, #digests({ kit.advance "72h", kit.advance "29m" }, "2026-10-23T16:30:00Z"))
  end)

  it("has what came after the last one, the weekend too, once", function()
    -- Friday 12 June 2026, 16:30 in Amsterdam, to Tuesday 18:00
    local mails = digests({
      call("a", "2026-06-12T14:20:00.000Z"), kit.advance "2h",
      call("b", "2026-06-12T16:29:00.000Z"), kit.advance "20h",
      call("c", "2026-06-13T12:00:00.000Z"), kit.advance "76h",
    }, "2026-06-12T14:30:00Z")
    assert.equal(3, #mails)
    assert.truthy(mails[1].text:find("Calls: 1\n", 1, true), mails[1].text)
    assert.equal("Calls of Mon 15 Jun", mails[2].subject)
    assert.truthy(mails[2].text:find("Calls: 2\n", 1, true), mails[2].text)
    assert.truthy(mails[3].text:find("Calls: 0\n", 1, true), mails[3].text)
  end)

  it("is not sent without a team lead", function()
    assert.equal(0, #digests({ kit.advance "3d" }, nil, (settings:gsub("team_lead = [^,]+,", ""))))
  end)
end)
