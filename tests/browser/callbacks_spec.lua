-- SPDX-License-Identifier: MIT
-- The morning's list of people to call back: done, later, and what the command line says then.
local cjson = require "cjson"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULE = [[
rule "Call back" { on = "missed", run = function(call)
  callback { number = call.number, name = call.name, due = now() + call.in_s, assignee = call.who,
    reason = call.reason }
end }]]

describe("the callbacks", function()
  local engine, page
  local function ask_for(number, name, in_s)
    console.send(engine, { event = "missed", call_id = number, number = number, name = name, in_s = in_s,
      who = "laura@example.org", reason = "Missed call" })
  end
  setup(function()
    engine = support.engine { rules = { ["missed.lua"] = RULE } }
    page = console.open(engine, "/console/callbacks",
      { device = "phone", token = console.token(engine, "ann", "operator") })
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  local function row(number) return ('[data-testid="callback-row"][data-number="%s"]'):format(number) end
  local function press(number, what)
    local more = row(number) .. ' [data-testid="callback-more"]'
    if not page:visible(row(number) .. ' [data-testid="' .. what .. '"]') and page:find(more) then page:click(more) end
    page:click(row(number) .. ' [data-testid="' .. what .. '"]')
  end
  local function known(number)
    for _, c in ipairs(engine:cli("callbacks", "--json")) do
      if c.number == number then return c end
    end
  end

  it("come in by themselves; the number is a link that dials", function()
    page:wait "empty"
    ask_for("0612345678", "Praktijk Jansen", 0)
    ask_for("0301234567", "Garage Bakker", 0)
    page:wait(row "0612345678", 10)
    page:wait(row "0301234567", 10)
    page:wait_text(row "0612345678", "Praktijk Jansen")
    page:wait_text(row "0612345678", "Missed call")
    assert.equal("tel:0612345678", page:attr(row "0612345678" .. ' a[href^="tel:"]', "href"))
    page:no_problems()
  end)

  it("are done with one press, under the name of who did it", function()
    press("0612345678", "callback-done")
    if page:find "dialog" then page:click "dialog-yes" end
    support.wait_for(function() return known "0612345678".status == "done" end, 5, "the callback to be done")
    page:wait_for(function()
      return page:count(row "0612345678" .. ' [data-testid="callback-done"]') == 0
    end, 5, "the row to be done with")
    local audit = engine:cli("audit", "--json")
    assert.equal("callback.done", audit[#audit].action)
    assert.equal("ann", audit[#audit].who)
    page:no_problems()
  end)

  it("wait an hour when they are snoozed", function()
    local before = known "0301234567"
    press("0301234567", "callback-snooze")
    page:click "snooze-1h"
    support.wait_for(function() return known "0301234567".due_at ~= before.due_at end, 5, "another due time")
    local after = known "0301234567"
    assert.equal(before.id, after.id)
    assert.equal("snoozed", after.status, cjson.encode(after))
    assert.is_true(after.due_at > before.due_at)
    page:no_problems()
  end)

  it("are only shown to who may only read, with the number blanked", function()
    local reader = console.open(engine, "/console/callbacks", { token = console.token(engine, "vic", "viewer") })
    finally(function() reader:close() end)
    reader:wait("callback-row", 10)
    assert.equal(0, reader:count "callback-done")
    assert.is_nil(reader:js "return document.body.textContent":find("0301234567", 1, true))
    reader:no_problems()
  end)
end)
