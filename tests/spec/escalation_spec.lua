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

  it("is counted in opening hours", function()
    -- Friday 17:00 in Amsterdam: the second one on Monday at 09:30
    local now = "2026-06-12T15:00:00Z"
    assert.equal(colleague, (reminded({ call(), kit.advance "64h", kit.advance "29m" }, now)))
    assert.equal(colleague .. " lead@example.org",
      (reminded({ call(), kit.advance "64h", kit.advance "30m" }, now)))
    -- the same over the night in which the clocks change: Monday 09:30 is an hour later
    now = "2026-10-23T15:00:00Z"
    assert.equal(colleague, (reminded({ call(), kit.advance "65h", kit.advance "29m" }, now)))
    assert.equal(colleague .. " lead@example.org",
      (reminded({ call(), kit.advance "65h", kit.advance "30m" }, now)))
  end)

  it("is not put off by who calls again, nor by a report that comes twice", function()
    assert.equal(colleague, (reminded { call(), kit.advance "10m", call(), kit.advance "16m" }))
    local events = { call() }
    for _ = 1, 6 do
      events[#events + 1] = kit.advance "10m"
      events[#events + 1] = call()
    end
    assert.equal(colleague .. " lead@example.org", (reminded(events)))
    assert.equal(colleague .. " lead@example.org " .. colleague .. " lead@example.org",
      (reminded { call(), kit.advance "2h", call(), kit.advance "2h" }))
  end)

  it("does not mind events that come out of order", function()
    local function missed(at) return call { ended_at = at } end
    local function answered(at) return call { ended_at = at, call_result = "Answered", direction = "outgoing" } end
    local early, late = "2026-06-12T11:40:00.000Z", "2026-06-12T11:50:00.000Z"
    local who, world = reminded { answered(late), missed(early), kit.advance "3h" }
    assert.equal("", who)
    assert.equal(0, #world.callbacks)
    assert.equal(colleague .. " lead@example.org",
      (reminded { missed(late), answered(early), kit.advance "3h" }))
    assert.equal(colleague .. " lead@example.org",
      (reminded { answered(early), missed(late), kit.advance "3h" }))
  end)

  it("knows a number in its two spellings where the country is set", function()
    local here = settings:gsub("team_lead", 'country = "31", team_lead', 1)
    local _, world = kit.try({ call { remote_number = "+31612345678" }, kit.advance "5m",
      call { remote_number = "06-12345678", call_result = "Answered", direction = "outgoing" } }, { settings = here })
    assert.equal("done", world.callbacks[1].status)
    assert.equal(0, #kit.sent(world, "email"))
    for _, timer in ipairs(world.timers) do assert.equal("clock", timer.kind) end
    _, world = kit.try({ call { remote_number = "+31 (0)6 12345678" }, call { remote_number = "0612345678" } },
      { settings = here })
    assert.equal(1, #world.callbacks)
  end)

  it("completes a callback that an answered call may complete", function()
    local _, world = kit.try({ call(), kit.advance "5m", call { call_result = "Answered", direction = "outgoing" } },
      { settings = settings })
    assert.equal(1, #world.callbacks)
    assert.equal("done", world.callbacks[1].status)
  end)
end)
