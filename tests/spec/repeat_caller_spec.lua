-- SPDX-License-Identifier: MIT
local kit = require "tests.spec.kit"

local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 3, within = 24 * hour } }]]

local function call(id, changes)
  changes = changes or {}
  changes.call_id = id
  changes.call_result = changes.call_result or "Answered"
  return kit.payload("missed", changes)
end

local function told(events, text)
  local _, world = kit.try(events, { settings = text or settings })
  local found = {}
  for _, mail in ipairs(kit.sent(world, "email")) do
    if mail.subject:find("times within a day", 1, true) then found[#found + 1] = mail end
  end
  return found
end

describe("repeat_caller", function()
  it("tells of the third call within a day, once", function()
    assert.equal(0, #told { call "a", kit.advance "5h", call "b" })
    local mails = told { call "a", kit.advance "5h", call "b", kit.advance "5h", call "c", call "d", call "e" }
    assert.equal(1, #mails)
    assert.equal("Praktijk Jansen called 3 times within a day", mails[1].subject)
    assert.same({ "lead@example.org" }, mails[1].to)
  end)

  it("does not count calls older than a day, nor the same call twice", function()
    assert.equal(0, #told { call "a", call "b", kit.advance "24h", call "c" })
    assert.equal(0, #told { call "a", call "b", call("b", { ended_at = "2026-06-12T11:48:00.000Z" }) })
  end)

  it("keeps numbers apart, and knows one in its different spellings", function()
    assert.equal(0, #told { call "a", call("b", { remote_number = "0687654321" }), call "c" })
    assert.equal(1, #told { call("a", { remote_number = "+31612345678" }),
      call("b", { remote_number = "0031 6 12345678" }), call("c", { remote_number = "+31 6-1234 5678" }) })
  end)

  it("tells again the next day", function()
    assert.equal(2, #told { call "a", call "b", call "c", kit.advance "25h", call "d", call "e", call "f" })
  end)

  it("leaves outgoing, internal and withheld calls alone", function()
    for _, changes in ipairs { { direction = "outgoing" }, { remote_number = "3002" },
      { remote_number = "anonymous" } } do
      local events = {}
      for i = 1, 4 do
        local copy = {}
        for k, v in pairs(changes) do copy[k] = v end
        events[i] = call("c" .. i, copy)
      end
      assert.equal(0, #told(events))
    end
  end)

  it("sends nothing without a team lead", function()
    assert.equal(0, #told({ call "a", call "b", call "c" }, (settings:gsub("team_lead = [^,]+,", ""))))
  end)
end)
