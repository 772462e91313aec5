-- SPDX-License-Identifier: MIT
-- A desk with a keyboard: callbacks by keys, rules stopped and read, dead letters dropped, graphs looked at.
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULES = [[
rule "Call back" { on = "missed", run = function(call)
  callback { number = call.number, name = call.name, due = now(), reason = "Missed call" }
end }
rule "Work out the tariff" { on = "bill", run = function(call)
  records.put("tariffs", call.call_id, { cost = call.tariff.per_minute })
end }
rule "Write to the lead" { on = "mail", run = function(call)
  email { to = "lead@example.org", subject = call.subject, text = call.text }
end }
]]

describe("at a desk", function()
  local engine, page
  setup(function()
    engine = support.engine {
      config = [[return { retry = {}, sources = { webphone = { path = "/hooks/webphone", auth = "none",
        type = { field = "event" }, key = { field = "call_id" } } } }]],
      rules = { ["desk.lua"] = RULES },
    }
    page = console.open(engine, "/console/callbacks", { token = console.token(engine, "ann", "operator") })
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  local function row(number) return ('[data-testid="callback-row"][data-number="%s"]'):format(number) end
  local function at_row(number)
    return page:js("var e = document.querySelector(arguments[0]); return e && e.contains(document.activeElement)",
      row(number))
  end
  local function rule(name, rest) return ('[data-testid="rule-row"][data-name="%s"] %s'):format(name, rest or "") end

  it("a list of callbacks is worked through with j and d, and the next one has the focus", function()
    for i, number in ipairs { "0611111111", "0622222222", "0633333333" } do
      console.send(engine, { event = "missed", call_id = "k" .. i, number = number, name = "Caller " .. i })
      page:wait(row(number), 10)
    end
    page:keys "j"
    page:wait_for(function() return at_row "0611111111" end, 3, "the first row to have the focus")
    page:keys "d"
    page:wait_gone(row "0611111111", 5)
    page:wait_for(function() return at_row "0622222222" end, 3, "the next row to have the focus")
    page:keys "s"
    page:wait "snooze-1h"
    page:keys "Escape"
    page:wait_gone "snooze-1h"
    assert.is_true(at_row "0622222222", "the focus is back where it was")
    page:no_problems()
  end)

  it("somebody who is quicker with a callback makes it go, and is no error", function()
    local id = page:attr(row "0622222222", "data-id")
    engine:cli("callbacks", "done", id)
    page:wait_gone(row "0622222222", 5)
    page:wait_for(function() return at_row "0633333333" end, 3, "the focus to go on to the next row")
    page:no_problems()
  end)

  it("a rule is stopped and goes on from the list, under the name of who did it", function()
    console.visit(page, engine, "/console/rules")
    page:click(rule("Write to the lead", '[data-testid="pause"]'))
    page:wait(rule("Write to the lead", '[data-testid="resume"]'), 5)
    console.send(engine, { event = "mail", call_id = "m1", subject = "Three calls <b>today</b>", text = "Hello" })
    page:wait_text(rule "Write to the lead", "1 event kept", 10)
    page:wait_text(rule "Write to the lead", "by ann", 5)
    page:click(rule("Write to the lead", '[data-testid="resume"]'))
    page:wait(rule("Write to the lead", '[data-testid="pause"]'), 10)
    console.visit(page, engine, "/console/deliveries?kind=email")
    page:wait_text("rows", "Three calls <b>today</b>", 10)
    page:no_problems()
  end)

  it("an error leads to its line in the rule's source", function()
    for i = 1, 3 do
      console.send(engine, { event = "bill", call_id = "b" .. i })
    end
    console.visit(page, engine, "/console/dead")
    page:wait_for(function() return page:count "dead-row" == 3 end, 10, "three dead letters")
    page:click '#main a[href*="?line="]'
    page:wait "rule-source"
    assert.equal("  records.put(\"tariffs\", call.call_id, { cost = call.tariff.per_minute })",
      page:js("return document.querySelector('[data-testid=rule-source] .lit').textContent.trimEnd()"))
    page:no_problems()
  end)

  it("dead letters that are chosen are dropped, after a question", function()
    console.visit(page, engine, "/console/dead")
    page:wait "dead-row"
    page:click '.choose-all input'
    page:click "drop-chosen"
    page:click "dialog-no"
    assert.equal(3, page:count "dead-row")
    page:click "drop-chosen"
    page:click "dialog-yes"
    page:wait("empty", 10)
    page:no_problems()
  end)

  it("graphs say in words what they show, for each range", function()
    console.visit(page, engine, "/console/graphs?range=15m")
    page:wait_for(function()
      return page:js [[function says(series, words) {
          var p = document.querySelector("[data-series=" + series + "] figcaption p");
          return p && words.test(p.textContent);
        }
        return says("events", /[1-9][0-9]* stored/) && says("errors", /3 given up/)]] -- a step is shown when it is over
    end, 25, "the events, and the runs that died, to be in the graphs")
    local said = { events = "stored", runs = "[1-9]%d* runs", errors = "3 given up", backlog = "wait", ack = "ms",
      settle = "ms" }
    for name, words in pairs(said) do
      local graph = ('[data-testid="graph"][data-series="%s"]'):format(name)
      local text = page:text(graph .. " figcaption p")
      assert.truthy(text:find(words), name .. ": " .. text)
      assert.truthy(page:attr(graph .. " .plot-box", "aria-label"):find(text, 1, true), "said to who does not see it")
      assert.is_true(page:js([[
        var c = document.querySelector(arguments[0] + " canvas"), n = 0;
        var dots = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        for (var i = 3; i < dots.length; i += 4) if (dots[i]) n++;
        return n > 1000]], graph), name .. " is drawn")
    end
    page:click "range-7d"
    page:wait_for(function()
      return page:url():find("range=7d", 1, true) and not page:find '[aria-busy="true"]'
    end, 10, "the other range")
    page:click '[data-series="errors"] summary'
    page:wait '[data-series="errors"] table'
    page:no_problems()
  end)
end)
