-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local kit = require "tests.spec.kit"

local id = "x71p99345762k44nm28d55q90lbc6v"

local function tasks(analysis)
  local answer, world = kit.one(kit.payload("call_postprocess", { analysis = analysis }))
  return world.records.tasks or {}, answer.runs["Tasks from action points"]
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

describe("action_items", function()
  it("makes a task of each action point", function()
    local _, world = kit.one(kit.payload "call_postprocess")
    assert.equal(4, count(world.records.tasks))
    local first = world.records.tasks[id .. "-1"]
    assert.equal("Verify audio connectivity on the caller side.", first.text)
    assert.equal("open", first.status)
    assert.equal(id, first.call_id)
    assert.equal("laura.devries@bedrijf.nl", first.owner)
  end)

  it("reads the other names it goes by", function()
    for _, name in ipairs { "actiepunten", "Actiepunten", "action_items", "actionItems", "action points",
      "action_points", "next_steps" } do
      local list = tasks { [name] = { "Call the customer" } }
      assert.equal("Call the customer", list[id .. "-1"].text, name)
    end
  end)

  it("reads objects, with owner and date", function()
    local list = tasks { action_items = { { text = "Send the invoice", owner = "jan@example.org",
      due = "2026-06-15" }, { taak = "Bel terug", wie = "Piet" } } }
    assert.equal("jan@example.org", list[id .. "-1"].owner)
    assert.equal("2026-06-15", list[id .. "-1"].due)
    assert.equal("Bel terug", list[id .. "-2"].text)
    assert.equal("Piet", list[id .. "-2"].owner)
  end)

  it("reads one text with a line for each", function()
    local list = tasks { actiepunten = "- Bel terug\n2) Stuur offerte\n\n• Mail Jan" }
    assert.equal(3, count(list))
    assert.equal("Bel terug", list[id .. "-1"].text)
    assert.equal("Stuur offerte", list[id .. "-2"].text)
    assert.equal("Mail Jan", list[id .. "-3"].text)
  end)

  it("makes nothing of nothing", function()
    for _, nothing in ipairs { cjson.empty_array or {}, "", "   ", cjson.null, 0 == 1 } do
      local list, run = tasks { actiepunten = nothing }
      assert.equal(0, count(list))
      assert.equal("skipped_when", run.outcome)
    end
    assert.equal("skipped_when", select(2, tasks(cjson.null)).outcome)
  end)

  it("does not double on a repeat, nor open again what was done", function()
    local again = kit.payload("call_postprocess", { date = "2026-06-12T20:00:00.000Z" })
    local _, world = kit.try { kit.payload "call_postprocess", again }
    assert.equal(4, count(world.records.tasks))
  end)
end)
