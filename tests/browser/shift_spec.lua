-- SPDX-License-Identifier: MIT
-- Lists grow under who reads them, and what is read stays where it is.
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULES = [[
rule "All" { on = "call", run = function(call)
  callback { number = call.number, name = call.name, due = now() - 3600 + call.n, assignee = "a@example.org" }
  http.post { url = "SINK/ok", json = { n = call.n } }
  http.post { url = "SINK/no", json = { n = call.n } }
end }]]

describe("a list that grows", function()
  local engine, sink, page
  local sent = 0
  local function send(n)
    local first = sent
    sent = sent + n
    return function(i)
      local k = first + i
      return { event = "call", call_id = "k" .. k, n = k, name = "Caller " .. k, remote_name = "Caller " .. k,
        number = ("0612%06d"):format(k) }
    end
  end
  setup(function()
    sink = support.sink()
    sink:answers { ["/no"] = { { forever = true, status = 410 } } }
    engine = support.engine {
      config = [[return { retry = {}, http = { allow = { "127.0.0.1" } }, sources = { webphone = {
        path = "/hooks/webphone", auth = "none", type = { field = "event" }, key = { field = "call_id" } } } }]],
      rules = { ["all.lua"] = (RULES:gsub("SINK", sink.url)) },
    }
    console.flood(engine, 120, send(120))
    sink:wait(240, nil, 20)
    page = console.open(engine, "/console")
  end)
  teardown(function() console.close { page = page, engine = engine, sink = sink } end)

  -- 20 events come in within a second; what moved by itself meanwhile (the sum that browsers report as layout shift).
  local function shift_while_live(where)
    page:forget_seen()
    local make = send(20)
    console.every(50, 20, function(i) console.send(engine, make(i)) end)
    page:js_async "setTimeout(arguments[arguments.length - 1], 1000);"
    local sum, what = 0, ""
    for _, s in ipairs(page:seen().shifts) do
      if not s.input then
        sum = sum + s.value
        what = table.concat(s.what, " ")
      end
    end
    console.say("%s: layout shift %.4f", where, sum)
    if sum >= 0.01 then page:fail(("%s: a shift of %.4f, last of %s"):format(where, sum, what)) end
  end

  local lists = {
    { "calls", "/console", "call-row" }, { "events", "/console/events", "event-row" },
    { "callbacks", "/console/callbacks", "callback-row" }, { "deliveries", "/console/deliveries", "delivery-row" },
    { "dead letters", "/console/dead", "dead-row" },
  }
  for _, list in ipairs(lists) do
    local name, path, row = table.unpack(list)

    it("of " .. name .. " keeps what is read in its place when it is scrolled", function()
      for _, device in ipairs(name == "calls" and { "desk", "phone" } or { "desk" }) do
        page:device(device)
        console.visit(page, engine, path)
        page:wait(row)
        if page:find ".more-letters" then page:click ".more-letters" end -- of a rule's dead letters few are shown
        page:js "document.activeElement.blur()"
        console.scroll(page, 1200)
        assert.is_true(page:js "return scrollY" > 200)
        page:js_async "setTimeout(arguments[arguments.length - 1], 600);"
        -- the row in the middle of the window, by its text, and where it is
        local before = page:js([[
          var e = document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest("li");
          window.middle = e.outerHTML.match(/data-(id|key|number)="[^"]*"/)[0];
          return { top: e.getBoundingClientRect().top, what: window.middle };]])
        shift_while_live(("%s, scrolled, %s"):format(name, device))
        local top = page:js [[
          var e = document.querySelector("[" + window.middle + "]");
          return e ? e.closest("li").getBoundingClientRect().top : null;]]
        if not top or math.abs(top - before.top) > 1.5 then
          page:fail(("%s: %s was at %.0f and is at %s"):format(name, before.what, before.top, tostring(top)))
        end
      end
      page:no_problems()
    end)

    it("of " .. name .. " keeps the row that has the focus", function()
      page:device "desk"
      console.visit(page, engine, path)
      page:wait(row)
      page:js([[
        var e = document.querySelectorAll("[data-testid=" + arguments[0] + "]")[2];
        var f = e.matches("a, button, [tabindex]") ? e : e.querySelector("a, button, [tabindex]");
        f.focus();
        window.focused = f;]], row)
      local top = page:js "return window.focused.getBoundingClientRect().top"
      shift_while_live(name .. ", a row focused")
      assert.is_true(page:js "return document.activeElement === window.focused", "the focus stays")
      assert.near(top, page:js "return window.focused.getBoundingClientRect().top", 1.5)
      page:no_problems()
    end)
  end

  it("is not all that is live: pages of figures and of one thing stay as they are, too", function()
    local first = engine:cli("events", "--json")
    for _, one in ipairs { { "rules", "/console/rules", "rule-row" }, { "a rule", "/console/rules/All", "rule-run" },
        { "an event", "/console/events/" .. first[1].id, "event-run" },
        { "graphs", "/console/graphs?range=15m", "graph" }, { "more", "/console/more", "page-title" } } do
      for _, device in ipairs { "desk", "phone" } do
        page:device(device)
        console.visit(page, engine, one[2])
        page:wait(one[3])
        local run = one[3] == "rule-run"
        if run then page:js 'document.querySelector(".run-link").focus()' end
        local text = run and page:js "return document.activeElement.textContent"
        shift_while_live(one[1] .. " on a " .. device)
        if run then assert.equal(text, page:js 'return document.querySelector(".run-link").textContent') end
      end
    end
    page:no_problems()
  end)
end)
