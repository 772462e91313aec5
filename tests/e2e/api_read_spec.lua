-- SPDX-License-Identifier: MIT
-- api_read_spec.lua: what the API shows: every answer against docs/openapi.json, pages that miss and
-- repeat nothing, filters, cursors, events as they came.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local quote = support.quote

local function url(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The items of a list's pages: each(page) sees every answer.
local function all(engine, path, each)
  local items, cursor, pages = {}, nil, 0
  repeat
    local answer = engine:request("GET",
      path .. (cursor and (path:find "?" and "&" or "?") .. "cursor=" .. cursor or ""))
    assert(answer.status == 200, answer.body)
    for _, item in ipairs(answer.json.items) do
      items[#items + 1] = item
    end
    cursor = answer.json.next_cursor ~= cjson.null and answer.json.next_cursor or nil
    pages = pages + 1
    if each then each(answer.json) end
  until not cursor
  return items, pages
end

local config = [[return { retry = {}, workers = 1, http = { allow = { "127.0.0.1" }, retry = {} },
  limits = { body = "8MiB" },
  sources = { hook = { path = "/hook", auth = "none", type = { field = "type" }, key = { field = "key" } },
    form = { path = "/form", auth = "none", body = "form", type = { field = "type" } } } }]]

-- hostile: what a name or a text may hold
local hostile = [[a/b "c" <d> ../é😀 %2F ' ; --]]
local rules = { ["tour.lua"] = [[
rule "Everything" {
  on = "all",
  run = function(e)
    log.info("a line", { n = 1 })
    callback { number = "0612345678", due = now() + hour, assignee = "jan@example.org", reason = "Tour" }
    email { to = "jan@example.org", subject = "s", text = "t" }
    http.post { url = "http://127.0.0.1:9/x", json = { a = 1 } }
    records.put("things", "one", { big = e.big, list = { 1, 2.5 } })
    records.put("things", e.name, { name = e.name })
    after("2h", "later", {}, { name = e.name })
    after("3h", "later", {})
    emit("emitted", { x = 1 })
  end,
}
rule "Fails" { on = "all", run = function() error("as it should") end }
rule "]] .. hostile:gsub('"', '\\"') .. [[" { on = "never", run = function() end }
rule "Daily" { every = "18:00", run = function() end }
]] }

describe("the API", function()
  local engine, event, answers

  local function body(type, key, more)
    return ('{"type":"%s","key":"%s"%s}'):format(type, key, more or "")
  end

  -- GET path with segments in place of {..}; the answer is kept for the check against the document.
  local function get(path, segments, query, headers)
    local target = path
    for _, text in ipairs(segments or {}) do
      target = target:gsub("{%w+}", (url(text):gsub("%%", "%%%%")), 1)
    end
    local answer = engine:request("GET", target .. (query or ""), nil, headers)
    answers[#answers + 1] = { method = "GET", path = path, status = answer.status,
                              type = answer.headers["content-type"], body = answer.body }
    return answer
  end

  setup(function()
    answers = {}
    engine = support.engine { config = config, rules = rules }
    local answer = engine:post("/hook", ('{"type":"all","key":"k","big":9007199254740993,"name":%s}')
      :format(cjson.encode(hostile)))
    event = assert(answer.json.id, answer.body)
    support.wait_for(function()
      return #engine:cli("outbox", "--state", "dead", "--json") == 1 and
        #engine:cli("outbox", "--state", "sent", "--json") == 1
    end, 10, "the deliveries to end")
  end)
  teardown(function() engine:close() end)

  it("answers as docs/openapi.json says, everywhere", function()
    local v1 = "/api/v1/"
    local function one(path, member, segments, query)
      local items = get(path, segments, query).json.items
      assert.is_true(#items > 0, path)
      return items[1][member]
    end
    for _, query in ipairs { "", "?state=dead", "?state=stored", "?state=done", "?limit=1&order=asc",
                             "?cause=" .. event } do
      get(v1 .. "events", nil, query)
    end
    get(v1 .. "events/{id}", { event })
    get(v1 .. "events/{id}/raw", { event })
    assert.equal(200, get(v1 .. "events/{id}/why", { event }).status)
    for _, query in ipairs { "?outcome=dead", "?outcome=done&limit=1", "?event=" .. event, "?outcome=dropped" } do
      get(v1 .. "runs", nil, query)
    end
    get(v1 .. "records")
    get(v1 .. "records/{collection}", { "things" })
    get(v1 .. "records/{collection}/{id}", { "things", hostile })
    get(v1 .. "callbacks/{id}", { one(v1 .. "callbacks", "id", nil, "?status=open") })
    get(v1 .. "outbox/{id}", { one(v1 .. "outbox", "id", nil, "?kind=email") })
    get(v1 .. "outbox/{id}", { one(v1 .. "outbox", "id", nil, "?kind=http&state=dead") })
    assert.equal(2, #get(v1 .. "dead").json.items)
    assert.equal(3, #get(v1 .. "timers").json.items)
    get(v1 .. "timers", nil, "?kind=clock")
    get(v1 .. "rules")
    get(v1 .. "rules/{name}", { hostile })
    get(v1 .. "generations/{id}", { one(v1 .. "generations", "generation") })
    get(v1 .. "generations/{id}", { "live" }, "?file=rules%2Ftour.lua")
    get(v1 .. "audit")
    get(v1 .. "status")
    get(v1 .. "openapi.json")
    -- what goes wrong
    for _, path in ipairs { "events", "runs", "callbacks", "outbox", "timers", "generations", "dead", "audit" } do
      assert.equal(400, get(v1 .. path, nil, "?cursor=AAAA").status)
      assert.equal(400, get(v1 .. path, nil, "?limit=501").status)
      assert.equal(403, get(v1 .. path, nil, nil, { Origin = "http://example.org" }).status)
    end
    for path, segments in pairs { ["events/{id}"] = { "x" }, ["events/{id}/why"] = { "x" },
                                  ["events/{id}/raw"] = { hostile },
                                  ["records/{collection}"] = { "x" }, ["records/{collection}/{id}"] = { "x", "y" },
                                  ["callbacks/{id}"] = { "x" }, ["outbox/{id}"] = { "x" }, ["rules/{name}"] = { "x" },
                                  ["generations/{id}"] = { "0123456789abcdef" } } do
      assert.equal(404, get(v1 .. path, segments).status, path)
    end
    assert.equal(400, get(v1 .. "generations/{id}", { "x" }).status)

    local served = engine:request("GET", v1 .. "openapi.json")
    assert.equal(support.read_file "docs/openapi.json", served.body)
    local seen = {}
    for _, answer in ipairs(answers) do
      seen[answer.path] = seen[answer.path] or answer.status == 200
    end
    for path, operations in pairs(served.json.paths) do
      -- an answer without an end: live_spec.lua reads it
      if operations.get and not seen[path] and path ~= v1 .. "live" then
        assert.is_nil(path:find "{", path .. " was not asked")
        assert.equal(200, get(path).status, path)
      end
    end
    local lines = {}
    for _, answer in ipairs(answers) do
      if answer.type:find "octet" then answer.body = "" end
      lines[#lines + 1] = cjson.encode(answer)
    end
    support.write_file(engine.dir .. "/answers", table.concat(lines, "\n") .. "\n")
    local said, code = support.capture("/usr/bin/python3 -B tests/e2e/openapi_check.py docs/openapi.json <" ..
      quote(engine.dir .. "/answers") .. " 2>&1")
    assert.equal(0, code, said)
    assert.truthy(said:find("checked " .. #lines .. " answers", 1, true), said)
  end)

  it("has every code of its errors on docs/http-api.md", function()
    local page, n = support.read_file "docs/http-api.md", 0
    for name in support.capture "ls engine/app/api*.c":gmatch "%S+" do
      for code in support.read_file(name):gmatch '[^%w_]%d%d%d,%s*"([%w_]+)"' do
        n = n + 1
        assert.truthy(page:find("`" .. code .. "`", 1, true), name .. ": " .. code)
      end
    end
    assert.is_true(n > 20)
  end)

  it("shows an event with all that came of it, and its numbers as they came", function()
    local answer = get("/api/v1/events/{id}", { event })
    assert.truthy(answer.body:find('"big":9007199254740993', 1, true))
    local e = answer.json
    assert.equal(2, #e.runs)
    assert.equal("a line", e.runs[1].logs[1].text:sub(1, 6))
    assert.truthy(e.runs[2].error:find "as it should")
    assert.equal(1, #e.callbacks)
    assert.equal(2, #e.outbox)
    assert.equal("emitted", e.emitted[1].type)
    assert.same({}, e.incomplete)
    assert.truthy(get("/api/v1/records/{collection}/{id}", { "things", "one" }).body
      :find('"big":9007199254740993', 1, true))
    assert.equal(hostile, get("/api/v1/records/{collection}/{id}", { "things", hostile }).json.doc.name)
    assert.equal(hostile, get("/api/v1/rules/{name}", { hostile }).json.rule)
  end)

  it("gives the bytes as they came, and numbers with every digit", function()
    local texts = { '{ "type" : "raw","key":"1.0","n":[1.0,1e5,-0,123456789012345678,0.1000]}',
                    '{"type":"raw","key":"\\u00e9\\/","deep":' .. ("["):rep(60) .. ("]"):rep(60) .. "}" }
    for _, text in ipairs(texts) do
      local id = engine:post("/hook", text).json.id
      local raw = get("/api/v1/events/{id}/raw", { id })
      assert.equal(text, raw.body)
      assert.equal("application/octet-stream", raw.headers["content-type"])
      assert.truthy(raw.headers["content-disposition"]:find "^attachment")
      assert.equal("nosniff", raw.headers["x-content-type-options"])
      assert.truthy(get("/api/v1/events/{id}", { id }).body:find('"body":' .. text, 1, true))
    end
  end)

  it("shows a form as the table that rules see, and gives it as it came", function()
    local text = "type=form&a=1&a=%C3%A9+x"
    local id = engine:post("/form", text, { ["Content-Type"] = "application/x-www-form-urlencoded" }).json.id
    local e = get("/api/v1/events/{id}", { id }).json
    assert.equal("form", e.format)
    assert.same({ type = "form", a = { "1", "é x" } }, e.body)
    assert.equal(text, get("/api/v1/events/{id}/raw", { id }).body)
  end)

  it("shows a huge event without its body, and gives that alone", function()
    local text = body("huge", "h", ',"x":"' .. ("x"):rep(3 * 1024 * 1024) .. '"')
    local id = engine:post("/hook", text).json.id
    local answer = get("/api/v1/events/{id}", { id })
    assert.equal(cjson.null, answer.json.body)
    assert.is_true(answer.json.cut)
    assert.equal(#text, answer.json.bytes)
    assert.equal(text, get("/api/v1/events/{id}/raw", { id }).body)
  end)

  it("filters", function()
    for i = 1, 6 do
      engine:post("/hook", body("f" .. i % 2, "key " .. i % 3))
    end
    local function n(query) return #all(engine, "/api/v1/events?" .. query) end
    assert.equal(3, n "type=f1")
    assert.equal(2, n "key=key+1")
    assert.equal(1, n "type=f1&key=key%201")
    assert.equal(1, n "source=rules&type=emitted")
    assert.equal(0, n "type=f1&since=2099-01-01T00:00:00Z")
    assert.equal(3, n "type=f1&since=1h&until=0s")
    assert.equal(0, n "type=f1&until=1h")
    assert.equal(1, n "state=dead")
    assert.equal(1, n("cause=" .. event))
    assert.equal(0, n "type=%27%20OR%201%3D1%20--")
    local function items(path) return #all(engine, "/api/v1/" .. path) end
    assert.equal(1, items "runs?outcome=dead&rule=Fails")
    assert.equal(2, items("runs?event=" .. event))
    assert.equal(0, items "runs?event=x")
    assert.equal(1, items "callbacks?status=open&assignee=JAN@example.org")
    assert.equal(0, items "callbacks?due_before=2h")
    assert.equal(1, items "callbacks?due_after=2h")
    assert.equal(2, items "timers?type=later")
    assert.equal(1, items("outbox?kind=http&state=dead&event=" .. event))
  end)

  it("tells cursors that it did not give from its own", function()
    local page = engine:request("GET", "/api/v1/events?limit=1&type=f1").json
    local cursor = page.next_cursor
    local function status(query) return engine:request("GET", "/api/v1/events?" .. query).status end
    assert.equal(200, status("type=f1&cursor=" .. cursor))
    assert.equal(200, status("limit=7&cursor=" .. cursor .. "&type=f1"))
    for _, query in ipairs { "cursor=" .. cursor, "type=f0&cursor=" .. cursor, "type=f1&order=asc&cursor=" .. cursor,
                             "type=f1&cursor=" .. cursor .. "A", "type=f1&cursor=", "type=f1&cursor=" .. cursor:sub(2),
                             "type=f1&cursor=" .. ("A"):rep(8000) } do
      assert.equal(400, status(query), query)
    end
    -- whatever stands in one: refused, or a page
    local conn, letters = engine:connect(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    math.randomseed(7)
    for path in ("events runs dead outbox audit records/things"):gmatch "%S+" do
      for _ = 1, 60 do
        local text = {}
        for i = 1, math.random(1, 40) do
          local at = math.random(#letters)
          text[i] = letters:sub(at, at)
        end
        local mutant = math.random(2) == 1 and table.concat(text) or
          cursor:sub(1, 7) .. table.concat(text)
        local answer = assert(conn:request("GET", "/api/v1/" .. path .. "?cursor=" .. mutant))
        assert.is_true(answer.status == 400 or answer.status == 200, path .. " " .. mutant .. answer.body)
      end
    end
    conn:close()
    assert.is_true(engine:running())
  end)
end)

describe("pages", function()
  local engine

  setup(function()
    engine = support.engine { config = config, rules = { ["a.lua"] = [[
      rule "keep" { on = "*", run = function(e) records.put("kept", e.key, { n = 1 }) end }]] } }
  end)
  teardown(function() engine:close() end)

  local function send(n, from)
    local conn, ids = engine:connect(), {}
    for first = from, from + n - 1, 100 do
      local count = math.min(100, from + n - first)
      local text = {}
      for i = first, first + count - 1 do
        local body = ('{"type":"t%d","key":"%d"}'):format(i % 10, i)
        text[#text + 1] = ("POST /hook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
      end
      conn:send(table.concat(text))
      for _ = 1, count do
        ids[#ids + 1] = assert(conn:answer()).json.id
      end
    end
    conn:close()
    return ids
  end

  local function check_once(items, ids, what)
    local seen = {}
    for _, item in ipairs(items) do
      assert.is_nil(seen[item.id], what .. ": twice " .. item.id)
      seen[item.id] = true
    end
    for _, id in ipairs(ids) do
      assert.is_true(seen[id], what .. ": missed " .. id)
    end
  end

  it("show each event once while others come", function()
    local ids = send(1500, 1)
    local from = 1501
    for _, query in ipairs { "order=desc&limit=97", "order=asc&limit=97", "limit=9&type=t3" } do
      local of_type = {}
      for i, id in ipairs(ids) do
        if not query:find "type" or i % 10 == 3 then of_type[#of_type + 1] = id end
      end
      local items, pages = all(engine, "/api/v1/events?" .. query, function()
        for _, id in ipairs(send(4, from)) do ids[#ids + 1] = id end
        from = from + 4
        if from > 2400 then send = function() return {} end end -- or the ascending pages never end
      end)
      assert.is_true(pages > 10)
      check_once(items, of_type, query)
    end
  end)

  it("show each record once, in the order of their ids", function()
    engine:wait_events("done", nil, 30)
    local items = all(engine, "/api/v1/records/kept?limit=500")
    for i = 2, #items do
      assert.is_true(items[i - 1].id < items[i].id)
    end
    assert.equal(#items, engine:request("GET", "/api/v1/records").json.items[1].records)
    local down = all(engine, "/api/v1/records/kept?limit=499&order=desc")
    assert.equal(#items, #down)
    assert.equal(items[1].id, down[#down].id)
  end)

  -- 30,000 events more, older than the others; of each 6,000th of them a run waits or is dead.
  local function fill()
    engine:stop()
    local sql = [[
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
      INSERT INTO sh_events(seq, id, source, type, key, dedupe_id, received_ms, depth, body)
        SELECT (1700000000000 + i) << 12, printf('018bcfe5-%04x-7000-8000-%012x', 26624 + i, i), 'hook',
          CASE WHEN i % 7500 = 0 THEN 'rare' ELSE 'old' END, 'k', 'd' || i, 1700000000000 + i, 0, x'7b7d' FROM n;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
      INSERT INTO sh_runs(seq, rule, generation, outcome, attempts, effects, duration_us, started_ms, next_ms)
        SELECT (1700000000000 + i) << 12, 'r', '', CASE i / 6000 WHEN 1 THEN 'retry' WHEN 2 THEN 'paused'
          WHEN 3 THEN 'dead' WHEN 4 THEN 'dead' ELSE 'done' END, 1, '[]', 1, 1700000000000 + i,
          CASE i / 6000 WHEN 1 THEN 9999999999999 END FROM n WHERE i % 6000 = 0;]]
    local said, code = support.capture(("sqlite3 %s/switchhook.db %s 2>&1"):format(engine.data, quote(sql)))
    assert.equal(0, code, said)
    engine:start()
  end

  it("are short where a filter lets little through, and go on", function()
    fill()
    for _, order in ipairs { "asc", "desc" } do
      local short, pages = 0, 0
      local items = all(engine, "/api/v1/events?limit=2&type=rare&order=" .. order, function(page)
        assert.is_true(#page.items <= 2)
        short = short + (#page.items < 2 and page.next_cursor ~= cjson.null and 1 or 0)
        pages = pages + 1
      end)
      assert.equal(4, #items)
      check_once(items, {}, "rare")
      assert.is_true(short >= 1 and pages >= 4, order .. ": " .. pages .. " pages")
    end
    assert.same({}, (all(engine, "/api/v1/events?type=none")))
  end)

  it("find what waits and what is dead at once, however much there is", function()
    for _, order in ipairs { "asc", "desc" } do
      for what, want in pairs { ["events?state=stored"] = 2, ["events?state=dead"] = 2, ["runs?outcome=retry"] = 1,
                                ["runs?outcome=paused"] = 1, ["runs?outcome=paused&rule=r"] = 1,
                                ["runs?outcome=paused&rule=s"] = 0, ["runs?outcome=dead"] = 2 } do
        local path = "/api/v1/" .. what .. "&order=" .. order
        local items, pages = all(engine, path .. "&limit=50")
        assert.equal(want, #items, path)
        assert.equal(1, pages, path)
        assert.equal(want, #all(engine, path .. "&limit=1"), path)
      end
    end
    assert.equal(2, #all(engine, "/api/v1/dead?limit=1"))
    assert.equal(2, #engine:cli("events", "--state", "dead", "--json"))
  end)

  it("do not keep senders and /healthz waiting, whoever asks", function()
    local conns = {}
    for i = 1, 100 do
      conns[i] = engine:connect()
    end
    for round = 1, 3 do
      for i, conn in ipairs(conns) do
        conn:send(("GET /api/v1/runs?limit=500&rule=none%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(i))
      end
      assert.equal(200, engine:request("GET", "/healthz").status)
      assert.equal(200, engine:post("/hook", ('{"type":"x","key":"late %d"}'):format(round)).status)
      for _, conn in ipairs(conns) do
        assert.equal(200, conn:answer().status)
      end
    end
    -- more than may wait: some are told to come again, nobody is left without an answer
    local text = ("GET /api/v1/events?type=none&limit=500 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    for i = 101, 400 do
      conns[i] = engine:connect()
    end
    for _, conn in ipairs(conns) do
      conn:send(text)
    end
    for _, conn in ipairs(conns) do
      local answer = conn:answer()
      assert.is_true(answer.status == 200 or answer.status == 503 and answer.headers["retry-after"] ~= nil)
      conn:close()
    end
  end)

  it("end with the engine", function()
    local conns = {}
    for i = 1, 50 do
      conns[i] = engine:connect()
      conns[i]:send("GET /api/v1/events?limit=500&type=none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    end
    socket.sleep(0.01)
    engine:stop()
    for _, conn in ipairs(conns) do
      conn:close()
    end
    assert.is_nil(engine:log():find("Sanitizer", 1, true))
  end)
end)
