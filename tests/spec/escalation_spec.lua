-- SPDX-License-Identifier: MIT
local kit = require "tests.spec.kit"

local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 3, within = 24 * hour } }]]

local n = 0
local function call(changes)
  n = n + 1
  changes = changes or {}
  changes.call_id = "call-" .. n
  return kit.payload("missed", changes)
end

-- Who was reminded, in order.
local function reminded(events, now)
  local _, world = kit.try(events, { now = now, settings = settings })
  local who = {}
  for _, mail in ipairs(kit.sent(world, "email")) do
    if mail.subject:find("Not called back yet", 1, true) then who[#who + 1] = mail.to[1] end
  end
  return table.concat(who, " "), world
end

local colleague = "laura.devries@bedrijf.nl"

describe("escalation", function()
  it("reminds the colleague after 15 minutes and the team lead after 60", function()
    assert.equal("", (reminded { call(), kit.advance "14m" }))
    assert.equal(colleague, (reminded { call(), kit.advance "15m" }))
    assert.equal(colleague, (reminded { call(), kit.advance "59m" }))
    assert.equal(colleague .. " lead@example.org", (reminded { call(), kit.advance "1h" }))
    assert.equal(colleague .. " lead@example.org", (reminded { call(), kit.advance "3d" }))
  end)

  it("is ended by an answered call with the number, either way", function()
    for _, direction in ipairs { "incoming", "outgoing" } do
      assert.equal(colleague, (reminded { call(), kit.advance "20m",
        call { call_result = "Answered", direction = direction, remote_number = "06 12345678" },
        kit.advance "3h" }), direction)
    end
    assert.equal(colleague .. " lead@example.org", (reminded { call(),
      call { call_result = "Answered", remote_number = "0687654321" }, kit.advance "3h" }))
  end)

  it("counts from the opening of the next day", function()
    -- Friday 19:00 in Amsterdam: Monday 09:00 it begins
    local none = reminded({ call(), kit.advance "62h" }, "2026-06-12T17:00:00Z")
    assert.equal("", none)
    assert.equal(colleague, (reminded({ call(), kit.advance "62h", kit.advance "16m" },
      "2026-06-12T17:00:00Z")))
  end)

  it("begins again with each missed call of the number, and reminds once", function()
    assert.equal(colleague, (reminded { call(), kit.advance "10m", call(), kit.advance "16m" }))
  end)

  it("completes a callback that an answered call may complete", function()
    local _, world = kit.try({ call(), kit.advance "5m", call { call_result = "Answered", direction = "outgoing" } },
      { settings = settings })
    assert.equal(1, #world.callbacks)
    assert.equal("done", world.callbacks[1].status)
  end)
end)
