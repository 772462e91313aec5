-- SPDX-License-Identifier: MIT
-- console_data_spec.lua: what the console shows, asked of the API: calls, what events are recognised
-- by and found by, and that a viewer finds nothing that is masked.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local function url(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local config = [[return { workers = 1, retry = {}, reload = { watch = false },
  zone = "Europe/Amsterdam", limits = { body = "8MiB" }, country = "31",
  mask = { fields = { "analysis.*", "secret_name" } },
  sources = {
    webphone = { path = "/hooks/webphone", auth = "none",
      type = { field = "event" }, key = { field = "call_id" } },
    pbx = { path = "/hooks/pbx", auth = "none", type = { value = "pbx" }, show = { "who.name", "n", "list.1" } },
    form = { path = "/hooks/form", auth = "none", body = "form", type = { value = "form" },
      key = { field = "CallSid" } },
  } }]]

describe("the console's data", function()
  local engine, viewer

  -- Everything of a list, page after page; calls put together as their readers do.
  local function all(path, headers)
    local items, cursor, pages = {}, nil, 0
    repeat
      local answer = engine:request("GET", path .. (cursor and (path:find "?" and "&" or "?") .. "cursor=" .. cursor
        or ""), nil, headers)
      assert(answer.status == 200, answer.body)
      for _, item in ipairs(answer.json.items) do items[#items + 1] = item end
      cursor = answer.json.next_cursor ~= cjson.null and answer.json.next_cursor or nil
      pages = pages + 1
    until not cursor
    return items, pages
  end

  local function send(path, body)
    local answer = engine:post(path, type(body) == "table" and cjson.encode(body) or body,
      path:find "form" and { ["Content-Type"] = "application/x-www-form-urlencoded" } or nil)
    assert(answer.status == 200, answer.body)
    return answer.json.id
  end

  local function call(id, name, number, more)
    local event = { event = "call_stop", call_id = id, remote_name = name, remote_number = number }
    for k, v in pairs(more or {}) do event[k] = v end
    return send("/hooks/webphone", event)
  end

  before_each(function()
    engine = support.engine { config = config,
      rules = { ["r.lua"] = 'rule "Fails" { on = "bad", run = function() error "no" end }' } }
    viewer = nil
  end)
  after_each(function() engine:close() end)

  -- From here on everybody needs a token.
  local function tokens()
    local function new(role)
      return { Authorization = "Bearer " .. engine:cli("token", "new", role, "--role", role, "--json")[1].token }
    end
    local admin = new "admin"
    viewer = new "viewer"
    return viewer, admin
  end

  it("puts the events of one call together", function()
    local ids = {}
    for i, name in ipairs { "call_start", "call_stop", "call_postprocess" } do
      ids[i] = send("/hooks/webphone", support.payload(name))
    end
    send("/hooks/pbx", { n = 1 })
    send("/hooks/pbx", { n = 2 })
    local bad = send("/hooks/webphone", { event = "bad", call_id = "b", remote_name = "B" })
    engine:wait_events("dead", 1)
    engine:wait_events("done", 5)
    local calls = all "/api/v1/calls"
    assert.equal(4, #calls)
    assert.equal("dead", calls[1].state)
    assert.equal(bad, calls[1].events[1].id)
    assert.same({ { n = 2 }, { n = 1 } }, { calls[2].show, calls[3].show })
    assert.same({ "", "" }, { calls[2].key, calls[3].key }) -- events without a key
    assert.not_equal(calls[2].id, calls[3].id)
    assert.same({}, engine:request("GET", "/api/v1/events/" .. calls[2].events[1].id).json.same_key)
    local c = calls[4]
    assert.equal("webphone", c.source)
    assert.equal("x71p99345762k44nm28d55q90lbc6v", c.key)
    assert.equal("done", c.state)
    assert.equal(3, #c.events)
    for i, event in ipairs(c.events) do assert.equal(ids[i], event.id) end
    assert.equal("call_start", c.events[1].type)
    assert.equal(c.events[1].received_at, c.first_at)
    assert.equal(c.events[3].received_at, c.last_at)
    assert.same({ remote_name = "BusinessCompany", remote_number = "0309876543", direction = "outgoing",
      user_email = "laura.devries@bedrijf.nl", local_name = "Laura", call_result = "Answered", duration_sec = 51,
      ["analysis.sentiment"] = "neutral" }, c.show)
    -- and each of them knows the others
    local event = engine:request("GET", "/api/v1/events/" .. ids[2]).json
    assert.equal("Answered", event.show.call_result)
    assert.same({ ids[1], ids[3] }, { event.same_key[1].id, event.same_key[2].id })
    assert.equal(2, #event.same_key)
    assert.same({}, event.incomplete)
  end)

  it("gives every event once over all pages, whatever their length", function()
    local sent = {}
    for i = 1, 60 do
      sent[call("call " .. i % 7, "name " .. i, "030")] = "call " .. i % 7
    end
    for _, limit in ipairs { 1, 3, 200 } do
      local seen, by_id, n = {}, {}, 0
      local calls, pages = all("/api/v1/calls?limit=" .. limit)
      for _, c in ipairs(calls) do
        for _, event in ipairs(c.events) do
          assert.equal(sent[event.id], c.key)
          assert.equal(c.key, by_id[c.id] or c.key)
          by_id[c.id] = c.key
          assert.is_nil(seen[event.id])
          seen[event.id], n = true, n + 1
        end
      end
      assert.equal(60, n)
      assert.is_true(limit == 200 and pages == 1 or limit < 7 and pages > 1)
    end
    assert.equal("name 60", all "/api/v1/calls"[1].show.remote_name)
  end)

  it("shows of a long call its newest events, and leaves long bodies alone", function()
    for i = 1, 55 do call("long", "name " .. i, "1") end
    local huge = send("/hooks/webphone", { event = "huge", call_id = "huge", remote_name = ("x"):rep(300 * 1024) })
    local calls = all "/api/v1/calls"
    assert.is_true(calls[1].cut)
    assert.same({}, calls[1].show)
    assert.is_true(calls[2].cut)
    assert.equal(50, #calls[2].events)
    assert.is_true(calls[2].first_at < calls[2].events[1].received_at or
      calls[2].first_at == calls[2].events[1].received_at)
    assert.same({}, engine:request("GET", "/api/v1/events/" .. huge).json.show)
    local event = engine:request("GET", "/api/v1/events/" .. calls[2].events[25].id).json
    assert.equal(50, #event.same_key)
    assert.same({ "same_key" }, event.incomplete)
  end)

  it("shows what a source says, and of a form its fields", function()
    send("/hooks/pbx", [[{"who":{"name":"Ann","age":3},"n":9007199254740993,"list":[1,"two"]}]])
    send("/hooks/form", "CallSid=CA1&From=%2B31612345678&Direction=inbound&Empty=")
    local answer = engine:request("GET", "/api/v1/events?show=true")
    assert.truthy(answer.body:find('"show":{"who.name":"Ann","n":9007199254740993,"list.1":"two"}', 1, true),
      answer.body)
    assert.same({ From = "+31612345678", Direction = "inbound" }, answer.json.items[1].show)
    assert.is_nil(engine:request("GET", "/api/v1/events").json.items[1].show)
    assert.is_nil(engine:request("GET", "/api/v1/events?show=false").json.items[1].show)
  end)

  it("finds by name, number and id, within pages that go on", function()
    local names, numbers = { [7] = "Zoé & Söhne" }, { [9] = "+31 30-9876543" }
    for i = 1, 250 do call("c" .. i, names[i] or "Nobody " .. i, numbers[i] or "020") end
    local function keys(path, q)
      local out = {}
      for _, item in ipairs((all("/api/v1/" .. path .. url(q)))) do out[#out + 1] = item.key end
      return table.concat(out, " ")
    end
    for _, path in ipairs { "calls?q=", "calls?limit=1&q=", "events?q=", "events?limit=1&q=", "events?show=true&q=",
                            "events?order=asc&q=" } do
      assert.equal("c7", keys(path, "zoé & s"))
      assert.equal("c9", keys(path, "0309876543"))
      assert.equal("c9", keys(path, "+31 30 98"))
      assert.equal("c250", keys(path, "C250"))
      assert.equal("", keys(path, "nobody there"))
      assert.equal(11, select(2, keys(path, "nobody 24"):gsub("c%d+", "")))
    end
    local id = engine:request("GET", "/api/v1/events?limit=1").json.items[1].id
    assert.equal("c250", keys("calls?q=", id))
    assert.equal("", keys("events?type=call_start&q=", "nobody"))
    assert.equal("c9", keys("events?type=call_stop&q=", "9876543"))
    for _, bad in ipairs { "", ("x"):rep(101) } do
      assert.equal(400, engine:request("GET", "/api/v1/calls?q=" .. bad).status)
      assert.equal(400, engine:request("GET", "/api/v1/events?q=" .. bad).status)
    end
    assert.equal(400, engine:request("GET", "/api/v1/events?show=yes").status)
    assert.equal(400, engine:request("GET", "/api/v1/calls?limit=201").status)
    assert.equal(400, engine:request("GET", "/api/v1/calls?cursor=AAAA").status)
  end)

  it("shows a viewer nothing that is masked, and finds nothing by it", function()
    send("/hooks/webphone", { event = "call_postprocess", call_id = "+31611112222", remote_name = "Ann",
      remote_number = "0612345678", analysis = { sentiment = "furious" } })
    local id = send("/hooks/pbx", { who = { name = "call 0687654321" }, n = "n" })
    local as_viewer, admin = tokens()
    local secrets = { "0612345678", "612345678", "34567", "+31612345678", "0687654321", "87654", "furious",
                      "11112222", "+31611112222" }
    for _, path in ipairs { "/api/v1/calls", "/api/v1/events?show=true", "/api/v1/events/" .. id } do
      local body = engine:request("GET", path, nil, as_viewer).body
      for _, secret in ipairs(secrets) do
        assert.is_nil(body:find(secret, 1, true), path .. " shows " .. secret)
      end
    end
    for _, path in ipairs { "/api/v1/calls?q=", "/api/v1/events?q=" } do
      for _, secret in ipairs(secrets) do
        assert.equal(0, #all(path .. url(secret), as_viewer), path .. secret)
        assert.equal(1, #all(path .. url(secret), admin), path .. secret)
      end
      assert.equal(1, #all(path .. "ann", as_viewer))
    end
    local ids = { all("/api/v1/calls", as_viewer)[2].id, all("/api/v1/calls", admin)[2].id }
    assert.not_equal(ids[1], ids[2])
    assert.equal(ids[1], all("/api/v1/calls?limit=1", as_viewer)[2].id)
    assert.equal("***", all("/api/v1/calls", as_viewer)[2].show["analysis.sentiment"])
    assert.equal("furious", all("/api/v1/calls", admin)[2].show["analysis.sentiment"])
  end)

  it("says what needs a person", function()
    local calm = engine:request("GET", "/api/v1/attention").json
    assert.same({ refusing = cjson.null, dead = { runs = 0, outbox = 0 }, paused_rules = {}, kept_runs = 0,
      overdue_callbacks = 0, reload_failed = cjson.null, certificate = cjson.null,
      oldest = { event = cjson.null, retry = cjson.null, outbox = cjson.null } }, calm)
    support.write_file(engine.dir .. "/rules/r.lua", [[
      rule "Fails" { on = "bad", run = function() error "no" end }
      rule "Calls" { on = "call", run = function() callback { number = "0301234567", due = now() - hour } end }
      rule "Late" { on = "call", run = function() callback { number = "0301234568", due = now() + hour } end }]])
    engine:cli("reload")
    send("/hooks/webphone", { event = "bad", call_id = "1" })
    send("/hooks/webphone", { event = "call", call_id = "2" })
    engine:cli("rules", "pause", "Late")
    support.write_file(engine.dir .. "/rules/broken.lua", "rule 'x' {")
    engine:cli("reload")
    local now = support.wait_for(function()
      local a = engine:request("GET", "/api/v1/attention").json
      return a.dead.runs == 1 and a.overdue_callbacks == 1 and #a.paused_rules == 1 and a
    end, 10, "the attention")
    assert.same({ "Late" }, now.paused_rules)
    assert.equal("api", now.reload_failed.cause)
    assert.equal("rules/broken.lua", now.reload_failed.errors[1].file)
    local callbacks = engine:request("GET", "/api/v1/status").json.callbacks
    assert.equal(1, callbacks.due + callbacks.missed)
  end)

  it("says how long rules take, how often they fail, and what they say", function()
    local text = 'rule "Slow" { on = "*", run = function()\n  -- call 0612345678\n' ..
      '  local n = 0; for i = 1, 300000 do n = n + i end\nend }\n\nrule "Half" { on = "half", run = function(e)\n' ..
      '  if e.bad then error "no" end\nend }\nrule "Never" { on = "never", run = function() end }\n'
    support.write_file(engine.dir .. "/rules/r.lua", text)
    engine:cli("reload")
    support.write_file(engine.dir .. "/rules/r.lua", "-- not read yet, or never")
    for i = 1, 4 do send("/hooks/webphone", { event = "half", call_id = "c" .. i, bad = i == 4 or nil }) end
    engine:wait_events("done", 3)
    engine:wait_events("dead", 1)
    local by_name = {}
    for _, row in ipairs(engine:request("GET", "/api/v1/rules").json.items) do by_name[row.rule] = row end
    local slow, half, never = by_name.Slow, by_name.Half, by_name.Never
    assert.same({ 4, 0 }, { slow.time.runs, slow.error_rate })
    assert.is_true(slow.time.mean_us > 100 and slow.time.max_us >= slow.time.p95_us and
      slow.time.p95_us >= slow.time.mean_us)
    assert.is_true(slow.time.mean_us > half.time.mean_us)
    assert.same({ 0.25, 3, 1 }, { half.error_rate, half.recent.done, half.recent.dead })
    assert.same({ runs = 0, mean_us = cjson.null, p95_us = cjson.null, max_us = cjson.null }, never.time)
    assert.equal(cjson.null, never.error_rate)
    assert.is_nil(slow.source)
    support.write_file(engine.dir .. "/rules/r.lua", 'rule "Bad" { on = "half", run = function() error "no" end }\n')
    engine:cli("reload")
    for i = 1, 22 do send("/hooks/webphone", { event = "half", call_id = "b" .. i }) end
    local bad = support.wait_for(function()
      local row = engine:request("GET", "/api/v1/rules/Bad").json
      return row.state == "paused" and row.time.runs + row.recent.paused >= 22 and row
    end, 10, "the rule that only fails to be paused")
    assert.equal(1, bad.error_rate)
    support.write_file(engine.dir .. "/rules/r.lua", text)
    engine:cli("reload")
    for _, headers in ipairs { false, (tokens()) } do
      local one = engine:request("GET", "/api/v1/rules/Half", nil, headers or viewer).json
      assert.same({ file = "rules/r.lua", line = 6, text = text }, one.source)
      assert.equal(0.25, one.error_rate)
    end
  end)

  it("has the callbacks of a day, by the clock of whoever asks", function()
    support.write_file(engine.dir .. "/rules/r.lua", [[
      rule "Calls" { on = "call_stop", run = function(e)
        callback { number = e.remote_number, name = e.remote_name, assignee = e.user_email, due = now() + e.due,
          email = false }
      end }]])
    engine:cli("reload")
    local function due(name, seconds, who)
      call(name, name, "030123456" .. name, { due = seconds, user_email = who })
    end
    due("1", -3600, "ann@example.org")
    due("2", -60, "bob@example.org")
    due("3", 30 * 86400)
    due("4", -7200, "ann@example.org")
    local function day(query, headers)
      return engine:request("GET", "/api/v1/callbacks/day" .. (query or ""), nil, headers)
    end
    local all_of = support.wait_for(function()
      local d = day().json
      return d.counts.overdue == 3 and d.later == 1 and d
    end, 10, "the callbacks")
    assert.equal("Europe/Amsterdam", all_of.zone)
    assert.same({ "4", "1", "2" }, { all_of.overdue[1].name, all_of.overdue[2].name, all_of.overdue[3].name })
    assert.same({ { assignee = "ann@example.org", overdue = 2, today = 0, open = 2 },
                  { assignee = "bob@example.org", overdue = 1, today = 0, open = 1 },
                  { assignee = cjson.null, overdue = 0, today = 0, open = 1 } }, all_of.assignees)
    assert.same({ {}, false }, { all_of.more, all_of.incomplete })
    engine:cli("callbacks", "done", all_of.overdue[1].id)
    local ann = day("?assignee=ANN%40example.org").json
    assert.same({ 1, 1, 0 }, { ann.counts.overdue, ann.counts.done_today, ann.later })
    assert.equal("4", ann.done_today[1].name)
    assert.equal(1, day("?assignee=").json.later)
    -- it is the same moment everywhere, and another day
    local far, near = day("?zone=Pacific%2FKiritimati").json, day("?zone=Pacific%2FPago_Pago").json
    assert.not_equal(far.day_begins, near.day_begins)
    assert.is_true(far.day_begins <= far.now and far.now < far.day_ends)
    assert.is_true(near.day_begins <= near.now and near.now < near.day_ends)
    assert.equal("10:00:00.000Z", far.day_begins:sub(12)) -- midnight at UTC+14
    assert.equal("11:00:00.000Z", near.day_begins:sub(12)) -- at UTC-11
    local wrong = day "?zone=Europe%2FAmsterdan"
    assert.equal(400, wrong.status)
    assert.truthy(wrong.json.error.message:find("did you mean Europe/Amsterdam?", 1, true))
    local as_viewer = tokens()
    assert.is_nil(day("", as_viewer).body:find("0301234", 1, true))
  end)

  it("leaves out what the engine tells itself, unless it is dead", function()
    support.write_file(engine.dir .. "/rules/r.lua", [[
      rule "Emits" { on = "call_stop", run = function(e) emit("told", { n = 1 }) emit("bad", {}) end }
      rule "Fails" { on = "bad", run = function() error "no" end }]])
    engine:cli("reload")
    for i = 1, 3 do call("c" .. i, "name", "030") end
    engine:wait_events("dead", 3)
    engine:wait_events("done", 6)
    local function sources(query)
      local n = {}
      for _, item in ipairs((all("/api/v1/calls?limit=2" .. query))) do
        for _, event in ipairs(item.events) do
          local what = item.source .. " " .. event.type
          n[what] = (n[what] or 0) + 1
        end
      end
      return n
    end
    assert.same({ ["webphone call_stop"] = 3, ["rules told"] = 3, ["rules bad"] = 3 }, sources "")
    assert.same({ ["webphone call_stop"] = 3, ["rules bad"] = 3 }, sources "&senders=true")
    assert.equal(400, engine:request("GET", "/api/v1/calls?senders=1").status)
  end)
end)
