-- SPDX-License-Identifier: MIT
local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 3, within = 24 * hour } }]]

local colleague, lead = "laura.devries@bedrijf.nl", "lead@example.org"
local both = colleague .. " " .. lead

local n = 0
local function call(changes)
  n = n + 1
  changes = changes or {}
  changes.call_id = "call-" .. n
  hook.send(hook.payload("missed", changes))
end

local function begin(now, text)
  hook.reset { now = now, scripts = { settings = text or settings } }
end

-- Who was reminded, in order.
local function reminded()
  local who = {}
  for _, mail in ipairs(hook.emails()) do
    if mail.subject:find("Not called back yet", 1, true) then who[#who + 1] = mail.to[1] end
  end
  return table.concat(who, " ")
end

describe("escalation", function()
  before_each(function() begin() end)

  it("reminds the colleague after 15 minutes and the team lead after 60", function()
    call()
    hook.advance "14m"
    assert.equal("", reminded())
    hook.advance "1m"
    assert.equal(colleague, reminded())
    hook.advance "44m"
    assert.equal(colleague, reminded())
    hook.advance "1m"
    assert.equal(both, reminded())
    hook.advance "3d"
    assert.equal(both, reminded())
  end)

  it("is ended by an answered call with the number, either way", function()
    for _, direction in ipairs { "incoming", "outgoing" } do
      begin()
      call()
      hook.advance "20m"
      call { call_result = "Answered", direction = direction, remote_number = "06 12345678" }
      hook.advance "3h"
      assert.equal(colleague, reminded(), direction)
    end
    begin()
    call()
    call { call_result = "Answered", remote_number = "0687654321" }
    hook.advance "3h"
    assert.equal(both, reminded())
  end)

  it("counts from the opening of the next day", function()
    begin "2026-06-12 19:00" -- a Friday: it begins on Monday at 09:00
    call()
    hook.advance "62h"
    assert.equal("", reminded())
    hook.advance "16m"
    assert.equal(colleague, reminded())
  end)

  it("is counted in opening hours", function()
    begin "2026-06-12 17:00" -- a Friday: the second one on Monday at 09:30
    call()
    hook.advance "64h29m"
    assert.equal(colleague, reminded())
    hook.advance "1m"
    assert.equal(both, reminded())
    -- the same over the night in which the clocks change: Monday 09:30 is an hour later
    begin "2026-10-23 17:00"
    call()
    hook.advance "65h29m"
    assert.equal(colleague, reminded())
    hook.advance "1m"
    assert.equal(both, reminded())
  end)

  it("is not put off by who calls again, nor by a report that comes twice", function()
    call()
    hook.advance "10m"
    call()
    hook.advance "16m"
    assert.equal(colleague, reminded())
    begin()
    call()
    for _ = 1, 6 do
      hook.advance "10m"
      call()
    end
    assert.equal(both, reminded())
    begin()
    call()
    hook.advance "2h"
    call()
    hook.advance "2h"
    assert.equal(both .. " " .. both, reminded())
  end)

  it("does not mind events that come out of order", function()
    local function missed(at) call { ended_at = at } end
    local function answered(at) call { ended_at = at, call_result = "Answered", direction = "outgoing" } end
    local early, late = "2026-06-12T11:40:00.000Z", "2026-06-12T11:50:00.000Z"
    answered(late)
    missed(early)
    hook.advance "3h"
    assert.equal("", reminded())
    assert.equal(0, #hook.callbacks())
    begin()
    missed(late)
    answered(early)
    hook.advance "3h"
    assert.equal(both, reminded())
    begin()
    answered(early)
    missed(late)
    hook.advance "3h"
    assert.equal(both, reminded())
  end)

  it("knows a number in its two spellings where the country is set", function()
    local here = settings:gsub("team_lead", 'country = "31", team_lead', 1)
    begin(nil, here)
    call { remote_number = "+31612345678" }
    hook.advance "5m"
    call { remote_number = "06-12345678", call_result = "Answered", direction = "outgoing" }
    assert.equal("done", hook.callbacks()[1].status)
    assert.no.sent_email()
    assert.same({}, hook.timers())
    begin(nil, here)
    call { remote_number = "+31 (0)6 12345678" }
    call { remote_number = "0612345678" }
    assert.equal(1, #hook.callbacks())
  end)

  it("completes a callback that an answered call may complete", function()
    call()
    hook.advance "5m"
    call { call_result = "Answered", direction = "outgoing" }
    assert.equal(1, #hook.callbacks())
    assert.equal("done", hook.callbacks()[1].status)
  end)
end)
