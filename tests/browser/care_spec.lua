-- SPDX-License-Identifier: MIT
-- What goes wrong in people's hands and on the line: two presses for one, answers that come late or half,
-- somebody else at the same screen, and lists with nothing in them.
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULES = [[
rule "Call back" { on = "missed", run = function(call)
  callback { number = call.number, name = call.name, due = now(), reason = "Missed call" }
end }
rule "Sometimes" { on = "bill", run = function(call)
  if call.n % 4 == 0 then error("no tariff") end
  records.put("bills", call.call_id, { n = call.n })
end }
]]
local CONFIG = [[return { retry = {}, quarantine = false, sources = { webphone = { path = "/hooks/webphone",
  auth = "none", type = { field = "event" }, key = { field = "call_id" } } } }]]

-- Answers of the page's own requests whose address has `part` in it: late, by so many ms, or cut in the middle.
local LATE = [[
  var part = arguments[0], ms = arguments[1], real = window.fetch;
  window.fetch = function (to, options) {
    if (String(to).indexOf(part) < 0) return real(to, options);
    return new Promise(function (done) { setTimeout(done, ms); }).then(function () { return real(to, options); });
  };]]
local CUT = [[
  var part = arguments[0], real = window.fetch;
  window.fetch = function (to, options) {
    if (String(to).indexOf(part) < 0) return real(to, options);
    return Promise.resolve(new Response(new ReadableStream({ start: function (c) {
      c.enqueue(new TextEncoder().encode('{"items":['));
      c.error(new TypeError("network error"));
    } })));
  };
  window.whole_again = function () { window.fetch = real; };]]

describe("in people's hands", function()
  local engine, page, ann
  setup(function()
    engine = support.engine { config = CONFIG, rules = { ["care.lua"] = RULES } }
    for i = 1, 4 do
      console.send(engine, { event = "missed", call_id = "m" .. i, number = "061234567" .. i, name = "Caller " .. i })
    end
    for n = 1, 8 do
      console.send(engine, { event = "bill", call_id = "b" .. n, n = n, remote_name = "Billed " .. n,
        remote_number = "069999999" .. n })
    end
    engine:wait_events("dead", 2, 10)
    engine:wait_events("done", 10, 10)
    ann = console.token(engine, "ann", "operator")
    page = console.open(engine, "/console/callbacks", { token = ann })
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  local function open_callbacks()
    local n = 0
    for _, row in ipairs((engine:cli("callbacks", "--json"))) do n = n + (row.status == "done" and 0 or 1) end
    return n
  end

  it("a double click is done with one callback, not with the next one, too", function()
    page:wait_for(function() return page:count "callback-done" == 4 end, 10, "the rows")
    page:double_click '[data-testid="callback-row"] [data-testid="callback-done"]'
    page:wait_for(function() return page:count "callback-done" == 3 end, 5, "one to go")
    page:js_async "setTimeout(arguments[arguments.length - 1], 700);"
    assert.equal(3, page:count "callback-done")
    assert.equal(3, open_callbacks())
    page:no_problems()
  end)

  it("a key that is pressed twice is no quarrel with somebody else", function()
    page:js(LATE, "/done", 300)
    page:keys "j"
    page:keys("d", "d")
    page:wait_for(function() return page:count "callback-done" == 2 end, 5, "one to go")
    page:js_async "setTimeout(arguments[arguments.length - 1], 700);"
    assert.is_nil(page:text "toasts":find("somebody else", 1, true), page:text "toasts")
    assert.equal(2, open_callbacks())
    page:no_problems()
  end)

  it("what was typed is there to be sent again when the engine did not take it", function()
    page:js [[
      var real = window.fetch;
      window.fetch = function (to, options) {
        if (!/\/done$/.test(to)) return real(to, options);
        window.fetch = real;
        return Promise.reject(new TypeError("Failed to fetch"));
      };]]
    page:click "callback-more"
    page:click "callback-note"
    page:type("#note", "They will call on Monday")
    page:click "dialog-yes"
    page:wait_text("toasts", "does not answer", 5)
    assert.equal("They will call on Monday", page:js 'return document.querySelector("#note").value')
    page:click "dialog-yes"
    page:wait_for(function() return page:count "callback-done" == 1 end, 5, "the row to go")
    page:wait_gone "dialog"
    local noted = 0
    for _, row in ipairs((engine:cli("callbacks", "--json"))) do
      noted = noted + (row.note == "They will call on Monday" and 1 or 0)
    end
    assert.equal(1, noted)
    page:no_problems()
  end)

  it("the newest choice in the playground counts, whichever answer comes last", function()
    console.visit(page, engine, "/console/playground")
    local function option(type)
      return page:js([[
        var type = arguments[0];
        return Array.from(document.querySelectorAll("[data-testid=playground-from] option"))
          .find(function (o) { return o.textContent.startsWith(type + " ("); }).value;]], type)
    end
    page:wait '[data-testid="playground-from"] optgroup + optgroup option'
    local first, second = option "missed", option "bill"
    local function choose(id)
      page:js([[
        var e = document.querySelector("[data-testid=playground-from]");
        e.value = arguments[0];
        e.dispatchEvent(new Event("change", { bubbles: true }));]], id)
    end
    page:js(LATE, first, 600)
    choose(first)
    choose(second)
    page:js_async "setTimeout(arguments[arguments.length - 1], 1200);"
    local text = page:js 'return document.querySelector("[data-testid=playground-input]").value'
    assert.truthy(text:find('"event": "bill"', 1, true), text)
    assert.equal(second, page:js 'return document.querySelector("[data-testid=playground-from]").value')
    page:no_problems()
  end)

  it("an answer that is cut off is the engine that does not answer; what was there stays", function()
    for _, place in ipairs { { "/console/events", "/events?", "event-row" }, { "/console", "/calls?", "call-row" } } do
      console.visit(page, engine, place[1])
      page:js_async "setTimeout(arguments[arguments.length - 1], 500);" -- all that fits is drawn
      local n = page:count(place[3])
      page:js(CUT, place[2])
      console.send(engine, { event = "other", call_id = "cut" .. place[3], remote_number = "0600000000" })
      page:js_async "setTimeout(arguments[arguments.length - 1], 900);"
      assert.equal(n, page:count(place[3]))
      assert.equal(0, page:count "error", "said by nothing that moves the list")
      page:js "window.whole_again()"
      console.send(engine, { event = "other", call_id = "whole" .. place[3], remote_number = "0600000000" })
      page:wait_for(function() return page:text(place[3]):find("0600000000", 1, true) end, 5, "the list to go on")
      -- and where nothing was there yet it is said in words
      page:js(CUT, "/rules")
      page:click "nav-rules"
      page:wait_text("error", "does not answer", 5)
      page:js "window.whole_again()"
      page:click "retry"
      page:wait("rule-row", 5)
    end
    page:no_problems()
  end)

  it("what stands in the way is said, whatever the engine answers", function()
    for _, status in ipairs { 403, 500, 503 } do
      console.visit(page, engine, "/console/graphs")
      page:js([[
        var real = window.fetch, status = arguments[0];
        window.fetch = function (to, options) {
          if (!/\/(dead|events|calls|rules|outbox|callbacks\/day)(\?|$)/.test(to)) return real(to, options);
          return Promise.resolve(new Response('{"error":{"code":"x","message":"No <b>way</b>"}}', { status: status }));
        };
        window.whole_again = function () { window.fetch = real; };]], status)
      for _, name in ipairs { "dead", "events", "rules", "deliveries", "callbacks", "calls" } do
        page:click("nav-" .. name)
        page:wait_text("error", "No <b>way</b>", 5)
        assert.equal(0, page:count "empty", name .. " does not say that there is nothing")
        assert.equal(0, page:count '#main [aria-busy="true"]', name .. " waits for nothing")
      end
      page:js "window.whole_again()"
      page:click "retry"
      page:wait("call-row", 5)
    end
    page:no_problems()
  end)

  it("a rule's row has how often it ran, how many failed and how long they took; its source is not to be changed",
    function()
      console.visit(page, engine, "/console/rules")
      local cells = page:js [[
        var row = document.querySelector('[data-testid="rule-row"][data-name="Sometimes"]');
        return Array.from(row.querySelectorAll("td.n")).map(function (e) { return e.textContent; });]]
      assert.equal("8", cells[1])
      assert.equal("25 %", (cells[2]:gsub("%s", " ")))
      for i = 3, 4 do assert.truthy(cells[i]:match "^[%d.]+ .*s$", cells[i]) end
      page:click '[data-testid="rule-row"][data-name="Sometimes"] a'
      page:wait_text("rule-source", "no tariff")
      assert.equal(0, page:js [[
        var e = document.querySelector("[data-testid=rule-source]");
        return e.isContentEditable || e.matches("textarea, input") || e.querySelector("textarea, input") ? 1 : 0]])
      page:wait_text(".rule-figures", "25 %")
      page:no_problems()
    end)

  it("a press on the place where one is shows all of it again", function()
    for _, place in ipairs { { "/console/events?key=b1", "nav-events", "event-row" },
        { "/console?q=0699999991", "nav-calls", "call-row" } } do
      console.visit(page, engine, place[1])
      page:wait_for(function() return page:count(place[3]) == 1 end, 5, "the one")
      page:click(place[2])
      page:wait_for(function() return page:count(place[3]) > 1 end, 5, "all of them")
      assert.equal("", page:js 'return document.querySelector("[data-testid=search]").value')
      assert.equal("", page:js "return location.search")
    end
    page:no_problems()
  end)

  it("who logs in next sees nothing that only the one before may see", function()
    console.visit(page, engine, "/console/dead")
    page:wait_text("dead-row", "0699999998", 5)
    page:click "nav-calls"
    page:wait_text("#main", "0699999998", 5)
    page:click "nav-dead"
    page:wait "dead-row"
    page:click "logout"
    page:wait "login-form"
    console.log_in(page, console.token(engine, "vic", "viewer"))
    console.settled(page)
    page:js [[
      window.leaked = [];
      new MutationObserver(function () {
        if (/0699999998/.test(document.body.textContent)) window.leaked.push(location.pathname);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });]]
    page:click "nav-dead"
    page:wait "dead-row"
    page:wait_text("dead-row", "Billed", 5)
    page:back()
    page:wait "call-row"
    assert.equal(0, page:js "return window.leaked.length", "what was kept of the one before")
    assert.is_nil(page:js "return document.body.textContent":find("0699999998", 1, true))
    page:no_problems()
  end)
end)

describe("a list with nothing in it", function()
  it("says what to do next, in any light", function()
    local engine = support.engine()
    local page = console.open(engine, "/console")
    finally(function() console.close { page = page, engine = engine } end)
    local next_steps = {
      calls = "switchhook send", events = "switchhook send", callbacks = "callback{}", deliveries = "email{}",
      dead = "would be here", playground = "What each rule would do",
    }
    for _, place in ipairs(console.places) do
      if next_steps[place.name] then
        console.visit(page, engine, place.path)
        page:wait_text("empty", next_steps[place.name], 5)
        for _, scheme in ipairs { "light", "dark" } do
          page:media { ["prefers-color-scheme"] = scheme }
          assert.equal("", table.concat(console.axe(page).violations, "\n"), place.name)
        end
      end
    end
    page:no_problems()
  end)
end)
