-- SPDX-License-Identifier: MIT
-- What failed for good is seen, and sent on its way again from the page.
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

describe("a dead letter", function()
  local engine, sink, page
  setup(function()
    sink = support.sink()
    engine = support.engine {
      config = [[return { retry = {}, sources = { webphone = { path = "/hooks/webphone", auth = "none",
        type = { field = "event" }, key = { field = "call_id" } } }, http = { allow = { "127.0.0.1" } } }]],
      rules = { ["crm.lua"] = ([[
rule "Tell the CRM" { on = "call_stop", run = function(call)
  http.post { url = "@/calls", json = { id = call.call_id } }
end }
rule "Needs a setting" { on = "call_start", run = function(call)
  if not records.get("settings", "crm") then error("no customer number yet") end
  records.put("done", call.call_id, { ok = true })
end }
rule "Set" { on = "set", run = function() records.put("settings", "crm", { n = 7 }) end }
]]):gsub("@", sink.url) },
    }
    page = console.open(engine, "/console/dead", { token = console.token(engine, "ann", "operator") })
  end)
  teardown(function() console.close { page = page, engine = engine, sink = sink } end)

  local function row(kind) return ('[data-testid="dead-row"][data-kind="%s"]'):format(kind) end
  local function button(kind) return row(kind) .. ' [data-testid="redrive"]' end

  it("comes into the list by itself, says why, and a delivery is redriven with the same key", function()
    assert.truthy(page:wait "empty")
    sink:answers { ["/calls"] = { { status = 410, body = "no such hook" } } }
    console.send(engine, support.payload("call_stop", { call_id = "c1" }))
    page:wait(row "http", 10)
    page:wait_text("#main", "410")
    page:click(button "http")
    if page:find "dialog" then page:click "dialog-yes" end
    local got = sink:wait(2, "/calls")
    assert.equal(got[1].headers["idempotency-key"], got[2].headers["idempotency-key"])
    page:wait_gone(row "http", 10)
    page:wait_for(function() return page:text "toasts" ~= "" end, 5, "a word about it")
    console.visit(page, engine, "/console/deliveries")
    page:wait('[data-testid="delivery-row"][data-state="sent"]', 10)
    page:no_problems()
  end)

  it("that is a run is redriven with the keyboard alone", function()
    console.visit(page, engine, "/console/dead")
    console.send(engine, support.payload("call_start", { call_id = "c2" }))
    page:wait(row "run", 10)
    page:wait_text("#main", "no customer number yet")
    page:wait_text("#main", "Needs a setting")
    console.send(engine, { event = "set", call_id = "s" })
    engine:wait_events("done", 2)
    for _ = 1, 80 do
      if page:focused().testid == "redrive" then break end
      page:keys "Tab"
    end
    assert.equal("redrive", page:focused().testid, "reached by Tab")
    page:keys "Enter"
    if page:find "dialog" then
      assert.is_true(page:js "return document.querySelector('[data-testid=dialog]').contains(document.activeElement)")
      page:click "dialog-yes"
    end
    page:wait_gone(row "run", 10)
    support.wait_for(function() return #engine:cli("records", "done", "--json") == 1 end, 5, "the run to be done")
    assert.is_true(page:js "return document.activeElement !== null")
    page:wait "empty"
    local rows = engine:cli("audit", "--json")
    assert.equal("ann", rows[#rows].who)
    assert.equal("dead.redrive", rows[#rows].action)
    page:no_problems()
  end)

  it("cannot be redriven by who may only read", function()
    sink:answers { ["/calls"] = { { status = 410 } } }
    console.send(engine, support.payload("call_stop", { call_id = "c3" }))
    local reader = console.open(engine, "/console/dead", { token = console.token(engine, "vic", "viewer") })
    finally(function() reader:close() end)
    reader:wait(row "http", 10)
    assert.is_true(reader:count(button "http") == 0 or reader:attr(button "http", "disabled") ~= nil)
    reader:no_problems()
  end)
end)
