-- SPDX-License-Identifier: MIT
-- What is said to who looks: a viewer, somebody in another zone, with a screen that is not tall; and the ways
-- from what is wrong to where.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local RULES = [[
rule "Fine" { on = "call_*", run = function(call)
  if call.remote_number ~= "" then callback { number = call.remote_number, due = now() + 60, name = "Ann" } end
end }
rule "Quiet" { on = "nothing", run = function() end }
rule "Bad" { on = "call_stop", run = function(call) error "no way" end }
]]
local CONFIG = [[return { zone = "Asia/Kolkata", retry = {}, quarantine = false, sources = { webphone = {
  path = "/hooks/webphone", auth = "none", type = { field = "event" }, key = { field = "call_id" } } } }]]

describe("the console, to who looks,", function()
  local engine, page, id
  setup(function()
    engine = support.engine { rules = { ["all.lua"] = RULES }, config = CONFIG }
    local call = { event = "call_stop", call_id = "c1", direction = "incoming", call_result = "Missed",
      remote_number = "0612345678", remote_name = "Ann" }
    id = console.send(engine, call).id
    call.call_id, call.remote_number, call.remote_name = "c2", "", ""
    console.send(engine, call)
  end)
  after_each(function()
    page:no_problems()
    page:close()
  end)
  teardown(function() console.close { engine = engine } end)

  it("has a name for a caller without a number", function()
    page = console.open(engine, "/console")
    page:wait_for(function() return page:count "call-row" == 2 end, 5, "the calls")
    assert.matches("^No number", page:text(page:all "call-row"[1]):gsub("^%s+", ""))
  end)

  it("leads from what failed to the rule, and lists first the rules that fail", function()
    page = console.open(engine, "/console/events/" .. id)
    page:click "to-failed"
    page:wait "li.step.chosen"
    assert.equal("Bad", page:attr("li.step.chosen", "data-rule"))
    assert.matches("µs", page:text "li.step.chosen")
    engine:stop() -- what it remembers of failures in a row goes; its runs do not
    engine.options.port = engine.port
    engine:start()
    console.visit(page, engine, "/console/rules")
    page:wait "rule-row"
    assert.equal("Bad", page:attr("rule-row", "data-name"))
  end)

  it("says which clock the callbacks go by, if it is not the browser's", function()
    page = browser.open { zone = "Europe/Amsterdam" }
    page:go(console.url(engine, "/console/callbacks"))
    page:wait_text("zone", "Asia/Kolkata")
    page:close()
    page = browser.open { zone = "Asia/Kolkata" }
    page:go(console.url(engine, "/console/callbacks"))
    page:wait "callback-row"
    assert.is_nil(page:find "zone")
  end)

  it("keeps everything in reach on a screen that is not tall", function()
    page = browser.open()
    page:cdp("Emulation.setDeviceMetricsOverride", { width = 844, height = 390, deviceScaleFactor = 1, mobile = false })
    page:go(console.url(engine, "/console/callbacks"))
    page:wait "callback-row"
    page:js "document.querySelector('[data-testid=who]').scrollIntoView()"
    assert.is_true(page:js [[
      var r = document.querySelector("[data-testid=who]").getBoundingClientRect();
      return r.bottom <= innerHeight && r.top >= 0;]])
    local wide = page:js "return document.querySelector('.callback-what').getBoundingClientRect().width"
    assert.is_true(wide > 300, wide .. " pixels for what is to be read")
  end)

  it("hides nothing that has the focus behind the bar of a phone, or of a page that is enlarged", function()
    page = browser.open()
    local stops = 0
    for height = 420, 560, 28 do
      page:cdp("Emulation.setDeviceMetricsOverride",
        { width = 390, height = height, deviceScaleFactor = 1, mobile = false })
      console.visit(page, engine, "/console/events/" .. id)
      for _ = 1, 24 do
        page:keys "Tab"
        local where = page:js [[
          const e = document.activeElement;
          if (!e || e === document.body || e.closest(".side, .skip")) return null;
          const box = e.getBoundingClientRect();
          const bar = document.querySelector(".side").getBoundingClientRect();
          return { under: box.bottom > bar.top + 1, what: e.textContent };]]
        if type(where) == "table" then
          stops = stops + 1
          assert.is_false(where.under, height .. ": " .. where.what)
        end
      end
    end
    assert.is_true(stops > 30, stops .. " stops")
  end)

  it("tells a viewer why there is nothing to press", function()
    local viewer = console.token(engine, "vic", "viewer")
    page = console.open(engine, "/console/callbacks", { token = viewer })
    page:wait_text("looks-on", "operator")
    for _, place in ipairs { "/console/dead", "/console/rules" } do
      console.visit(page, engine, place)
      page:wait_text("looks-on", "operator")
    end
    assert.is_nil(page:find "pause")
  end)
end)
