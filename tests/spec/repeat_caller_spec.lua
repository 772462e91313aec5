-- SPDX-License-Identifier: MIT
local settings = [[return { team_lead = "lead@example.org", text_back = {},
  escalation = { first = 15 * minute, second = 60 * minute },
  repeat_caller = { calls = 3, within = 24 * hour } }]]

local function call(id, changes)
  changes = changes or {}
  changes.call_id = id
  changes.call_result = changes.call_result or "Answered"
  hook.send(hook.payload("missed", changes))
end

local function begin(text)
  hook.reset { scripts = { settings = text or settings } }
end

local function told()
  local n = 0
  for _, mail in ipairs(hook.emails()) do
    if mail.subject:find("times within a day", 1, true) then n = n + 1 end
  end
  return n
end

describe("repeat_caller", function()
  before_each(function() begin() end)

  it("tells of the third call within a day, once", function()
    call "a"
    hook.advance "5h"
    call "b"
    assert.equal(0, told())
    hook.advance "5h"
    call "c"
    assert.sent_email { to = "lead@example.org", subject = "Praktijk Jansen called 3 times within a day" }
    call "d"
    call "e"
    assert.equal(1, told())
  end)

  it("does not count calls older than a day", function()
    call "a"
    call "b"
    hook.advance "24h"
    call "c"
    assert.equal(0, told())
  end)

  it("does not count the same call twice", function()
    call "a"
    call "b"
    call("b", { ended_at = "2026-06-12T11:48:00.000Z" })
    assert.equal(0, told())
  end)

  it("keeps numbers apart", function()
    call "a"
    call("b", { remote_number = "0687654321" })
    call "c"
    assert.equal(0, told())
  end)

  it("knows a number in its different spellings", function()
    call("a", { remote_number = "+31612345678" })
    call("b", { remote_number = "0031 6 12345678" })
    call("c", { remote_number = "+31 6-1234 5678" })
    assert.equal(1, told())
  end)

  it("tells again the next day", function()
    for _, id in ipairs { "a", "b", "c" } do call(id) end
    hook.advance "25h"
    for _, id in ipairs { "d", "e", "f" } do call(id) end
    assert.equal(2, told())
  end)

  it("leaves outgoing, internal and withheld calls alone", function()
    for _, changes in ipairs { { direction = "outgoing" }, { remote_number = "3002" },
      { remote_number = "anonymous" } } do
      begin()
      for i = 1, 4 do
        local copy = {}
        for k, v in pairs(changes) do copy[k] = v end
        call("c" .. i, copy)
      end
      assert.equal(0, told())
    end
  end)

  it("sends nothing without a team lead", function()
    begin((settings:gsub("team_lead = [^,]+,", "")))
    for _, id in ipairs { "a", "b", "c" } do call(id) end
    assert.equal(0, told())
  end)
end)
