-- SPDX-License-Identifier: MIT
local rule = "Tasks from action points"
local id = "x71p99345762k44nm28d55q90lbc6v"

-- Tasks after a call with this analysis.
local function tasks(analysis)
  hook.reset()
  hook.send(hook.payload("call_postprocess", { analysis = analysis }))
  return hook.records "tasks"
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

describe("action_items", function()
  it("makes a task of each action point", function()
    hook.send(hook.payload "call_postprocess")
    assert.equal(4, count(hook.records "tasks"))
    assert.record("tasks", id .. "-1").has { text = "Verify audio connectivity on the caller side.",
      status = "open", call_id = id, owner = "laura.devries@bedrijf.nl" }
  end)

  it("reads the other names it goes by", function()
    for _, name in ipairs { "actiepunten", "Actiepunten", "action_items", "actionItems", "action points",
      "action_points", "next_steps" } do
      tasks { [name] = { "Call the customer" } }
      assert.record("tasks", id .. "-1").has { text = "Call the customer" }
    end
  end)

  it("reads objects, with owner and date", function()
    tasks { action_items = { { text = "Send the invoice", owner = "jan@example.org", due = "2026-06-15" },
      { taak = "Bel terug", wie = "Piet" } } }
    assert.record("tasks", id .. "-1").has { owner = "jan@example.org", due = "2026-06-15" }
    assert.record("tasks", id .. "-2").has { text = "Bel terug", owner = "Piet" }
  end)

  it("reads one text with a line for each", function()
    assert.equal(3, count(tasks { actiepunten = "- Bel terug\n2) Stuur offerte\n\n• Mail Jan" }))
    assert.record("tasks", id .. "-1").has { text = "Bel terug" }
    assert.record("tasks", id .. "-2").has { text = "Stuur offerte" }
    assert.record("tasks", id .. "-3").has { text = "Mail Jan" }
  end)

  it("makes nothing of nothing", function()
    for _, nothing in ipairs { hook.list {}, {}, "", "   ", hook.null, false } do
      assert.equal(0, count(tasks { actiepunten = nothing }))
      assert.skipped(rule)
    end
    tasks(hook.null)
    assert.skipped(rule)
  end)

  it("does not double on a repeat, nor open again what was done", function()
    hook.send(hook.payload "call_postprocess")
    hook.send(hook.payload("call_postprocess", { date = "2026-06-12T20:00:00.000Z" }))
    assert.equal(4, count(hook.records "tasks"))
  end)
end)
