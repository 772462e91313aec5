-- SPDX-License-Identifier: MIT
-- An event's page: what each rule did and why the others did not; lists that one comes back to; and the
-- playground, which tries an event and leaves nothing behind.
local cjson = require "cjson"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULES = [[
rule "Calls back" {
  on = "call_stop",
  when = function(call) return call.call_result == "Missed" end,
  run = function(call)
    log.info("they called " .. call.remote_name)
    callback { number = call.remote_number, name = call.remote_name, due = now() + 3600,
      assignee = "ann@example.org", reason = "Missed call" }
    email { to = "ann@example.org", subject = "Call " .. call.remote_name, text = "Please do." }
  end,
}
rule "Fails" { on = "call_stop", run = function(call)
  local nobody
  log.info(nobody.name)
end }
rule "Unhappy" {
  on = "call_*",
  when = function(call)
    return get(call, "analysis.sentiment") == "negative"
  end,
  run = function() end,
}
rule "Other" { on = "order", run = function() end }
]]

describe("an event's page", function()
  local engine, page, id
  local call = { event = "call_stop", call_id = "c1", direction = "incoming", call_result = "Missed",
    remote_name = "J. Smit", remote_number = "0612345678", big = 1,
    transcription = "[10:00 AM] Caller: Good morning.\n[10:01 AM] Callee: Hello there." }
  setup(function()
    engine = support.engine {
      config = [[return { retry = {}, quarantine = false, sources = { webphone = { path = "/hooks/webphone",
        auth = "none", type = { field = "event" }, key = { field = "call_id" } } } }]],
      rules = { ["a.lua"] = RULES },
    }
    console.send(engine, { event = "call_start", call_id = "c1", remote_name = "J. Smit" })
    local text = cjson.encode(call):gsub('"big":1', '"big":9007199254740993')
    id = console.send(engine, text).id
    engine:wait_events("dead", 1, 10)
    page = console.open(engine, "/console/events/" .. id, { token = console.token(engine, "ann", "operator") })
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  local function run_of(rule) return ('[data-testid="event-run"][data-rule="%s"]'):format(rule) end
  local function why_of(rule) return ('[data-testid="why-item"][data-rule="%s"]'):format(rule) end

  it("says what each rule did", function()
    page:wait_text("page-title", "J. Smit")
    assert.equal("dead", page:attr("event-state", "data-state"))
    assert.equal("done", page:attr(run_of "Calls back", "data-outcome"))
    page:wait_text(run_of "Calls back", "Callback to J. Smit (0612345678)")
    page:wait_text(run_of "Calls back", "for ann@example.org")
    page:wait_text(run_of "Calls back", "they called J. Smit")
    assert.equal("dead", page:attr(run_of "Fails", "data-outcome"))
    page:wait_text(run_of "Fails", "rules/a.lua:13")
    assert.truthy(page:attr(run_of "Fails" .. " .problem a", "href"):find("/console/rules/Fails?line=13", 1, true))
    page:no_problems()
  end)

  it("says which condition said no, and what it looked at", function()
    page:wait(why_of "Unhappy", 10)
    assert.equal("skipped_when", page:attr(why_of "Unhappy", "data-outcome"))
    page:wait_text(why_of "Unhappy", "analysis.sentiment is not there")
    assert.equal("skipped_on", page:attr(why_of "Other", "data-outcome"))
    page:click(why_of "Unhappy" .. " summary")
    page:wait_text(why_of "Unhappy", 'return get(call, "analysis.sentiment") == "negative"')
  end)

  it("answers for one rule when it is asked for it", function()
    console.visit(page, engine, "/console/events/" .. id .. "?rule=Other")
    page:wait(why_of "Other", 10)
    page:wait_text(why_of "Other", "listens for order", 5)
  end)

  it("shows what came, every digit of it, and what else came of the call", function()
    page:wait_text("event-body", "9007199254740993")
    page:wait_text("event-body", "Hello there.")
    assert.equal(2, page:count ".siblings a")
    assert.equal("step", page:attr('.siblings a[href$="' .. id .. '"]', "aria-current"))
  end)

  it("starts a dead run again", function()
    page:click(run_of "Fails" .. ' [data-testid="redrive"]')
    page:wait_text("toasts", "1 run of Fails started again")
    page:wait_for(function() return page:attr(run_of "Fails", "data-outcome") == "dead" end, 10, "it to fail again")
    page:no_problems()
  end)

  it("tries the event, and nothing comes of it", function()
    local before = #engine:cli("events", "--json")
    console.visit(page, engine, "/console/playground?event=" .. id)
    page:wait_for(function() return page:js 'return document.querySelector("textarea").value.length > 50' end, 5, "it")
    page:click "playground-run"
    page:wait("playground-result", 10)
    page:wait_text("playground-result", "Callback to J. Smit")
    page:wait_text("playground-result", "Please do.")
    page:wait_text("playground-result", "Nothing was stored")
    assert.equal(before, #engine:cli("events", "--json"))
    page:no_problems()
  end)

  it("says where the text is no JSON", function()
    page:js [[
      var e = document.querySelector("[data-testid=playground-input]");
      Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(e, '{\n  "event": oops\n}');
      e.dispatchEvent(new Event("input", { bubbles: true }));]]
    page:click "playground-run"
    page:wait_text("playground-result", "Go to line 2", 10)
    page:read_logs() -- the browser tells of the 400
  end)
end)

describe("a list of events", function()
  local engine, page
  setup(function()
    engine = support.engine()
    console.flood(engine, 300, function(i)
      return support.payload("call_start", { call_id = ("call-%03d"):format(i), remote_name = "Caller " .. i })
    end)
    page = console.open(engine, "/console/events")
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  it("is walked through with arrow keys, and found again as it was left", function()
    page:wait "event-row"
    page:js 'document.querySelector("[data-testid=event-row]").focus()'
    for _ = 1, 40 do page:keys "Down" end
    local place = 'var r = document.activeElement.closest("[data-testid=event-row]"); return r && r.dataset.id'
    page:wait_for(function()
      return page:js 'var r = document.activeElement.closest("li"); return r && r.getAttribute("aria-posinset")' == "41"
    end, 5, "the 41st row")
    local row = page:js(place)
    assert.truthy(row)
    local top = page:js "return document.activeElement.getBoundingClientRect().top"
    page:keys "Enter"
    page:wait "event-body"
    assert.equal("/console/events/" .. row, page:path())
    page:back()
    page:wait_for(function() return page:js(place) == row end, 5, "the row to have the focus again")
    assert.near(top, page:js "return document.activeElement.getBoundingClientRect().top", 2)
    page:no_problems()
  end)

  it("keeps its filters in the address, and says what to do when nothing fits", function()
    console.visit(page, engine, "/console/events?key=call-007")
    page:wait_for(function() return page:count "event-row" == 1 end, 5, "the one")
    console.visit(page, engine, "/console/events?key=none&type=call_stop")
    page:wait_text("empty", "Show all events")
    page:click '[data-testid="empty"] button'
    page:wait_for(function() return page:count "event-row" > 10 end, 5, "all of them")
    assert.equal("/console/events", page:path())
    assert.equal("", page:js "return location.search")
  end)
end)
