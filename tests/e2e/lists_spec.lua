-- SPDX-License-Identifier: MIT
-- lists_spec.lua: what the command line lists comes from the engine that runs, through its API, and
-- is the same, to the byte, as what the store itself has.

local support = require "tests.e2e.support"

local rules = {
  ["all.lua"] = [[
rule "Note" { on = "*", run = function(e, envelope)
  log.info("seen")
  records.put("notes", envelope.key, { n = 9007199254740993, long = e.long })
  if e.number then
    callback { number = e.number, assignee = "desk@example.org", due = now() + 2 * hour }
    after("1h", "later", {}, { name = "later " .. e.number })
    email { to = "desk@example.org", subject = "x", text = "y" }
  end
end }
]] }
local config = [[return { sources = {
  plain = { path = "/hooks/plain", type = { field = "type" }, key = { field = "key" } },
  form = { path = "/hooks/form", body = "form", type = { field = "type" }, key = { field = "key" } },
} }]]

describe("a list", function()
  local engine, event, form, callback
  setup(function()
    engine = support.engine { rules = rules, config = config }
    for i = 1, 5 do
      local body = ('{"type":"t","key":"k%d","n":[9007199254740993,1.0,-0]}'):format(6 - i)
      assert.equal(200, engine:post("/hooks/plain", body).status)
    end
    event = engine:post("/hooks/plain", '{"type":"t","key":"c","number":"0612345678"}',
      { traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }).json.id
    engine:post("/hooks/plain", ('{"type":"big","key":"big","long":"%s"}'):format(("x"):rep(900000)))
    form = engine:post("/hooks/form", "type=f&key=f&a=%2B31", { ["Content-Type"] =
      "application/x-www-form-urlencoded" }).json.id
    engine:wait_events("done", 8)
    support.wait_for(function() return engine:cli("outbox", "--state", "sent", "--json")[1] end, 5, "the email")
    callback = engine:cli("callbacks", "--json")[1].id
  end)
  teardown(function() engine:close() end)

  local function lists()
    return {
      { "events" }, { "events", "--json" }, { "events", "--json", "--limit", "2" }, { "events", "--type", "big" },
      { "events", "--state", "dead" }, { "events", "--id", event, "--json" }, { "events", "--id", event },
      { "events", "--id", form, "--json" }, { "events", "--id", "none" }, { "events", "--json", "--mask" },
      { "runs", "--json" }, { "runs", "--event", event, "--json" }, { "runs", "--event", "none" },
      { "records" }, { "records", "--json" }, { "records", "notes", "--json" }, { "records", "notes", "--limit", "2" },
      { "records", "notes", "--id", "k1", "--json" }, { "records", "none", "--json" },
      { "callbacks" }, { "callbacks", "--json" }, { "callbacks", "--id", callback, "--json" },
      { "callbacks", "--assignee", "desk@example.org", "--json" }, { "callbacks", "--assignee", "x@example.org" },
      { "outbox", "--json" }, { "outbox", "--id", engine:cli("outbox", "--json")[1].id, "--json" },
      { "timers" }, { "timers", "--json" }, { "timers", "--event", event, "--json" }, { "audit", "--json" },
    }
  end

  local function asked()
    local n = 0
    for count in engine:request("GET", "/metrics").body:gmatch
      'switchhook_api_requests_total{route="/api/v1/[^"]*",status="%d+"} (%d+)' do
      n = n + tonumber(count)
    end
    return n
  end

  local function all()
    local texts = {}
    for i, words in ipairs(lists()) do
      local _, out, code = engine:cli(table.unpack(words))
      texts[i] = table.concat(words, " ") .. "\n" .. out .. code
    end
    return texts
  end

  it("comes from the engine that runs, and from the store where none does, and is the same", function()
    local before = asked()
    local near = all()
    -- each asks whether the engine answers, and then for its rows
    support.wait_for(function() return asked() - before >= 2 * #near end, 3, "the API's count")
    engine:stop()
    local far = all()
    engine:start()
    for i, text in ipairs(near) do assert.equal(far[i], text) end
  end)

  it("is seen while the engine is stuck", function()
    os.execute("kill -STOP " .. engine.pid)
    local rows = engine:cli("events", "--json")
    os.execute("kill -CONT " .. engine.pid)
    assert.equal(8, #rows)
  end)
end)
