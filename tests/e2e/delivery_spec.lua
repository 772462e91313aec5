-- SPDX-License-Identifier: MIT
-- HTTP calls of rules: delivered, in order, with a stable key, retried, given up, told about; where
-- they may go; and secrets that only the receiver sees.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local function config(extra)
  return [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
    http = { allow = { "127.0.0.1" }, ]] .. (extra or "") .. [[ },
    secrets = { CRM_TOKEN = env "TEST_CRM_TOKEN" } }]]
end

local function event(kind, fields)
  local doc = { event = kind, call_id = "c1" }
  for name, value in pairs(fields or {}) do doc[name] = value end
  return cjson.encode(doc)
end

describe("an HTTP call", function()
  local engine, sink
  local function start(rule, extra, env)
    sink = sink or support.sink()
    engine = support.engine {
      config = config(extra),
      rules = { ["call.lua"] = (rule:gsub("@", sink.url)) },
      env = env or { TEST_CRM_TOKEN = "s3cret-Token/42" },
    }
    return engine
  end
  local function send(kind, fields)
    assert.equal(200, engine:post("/hooks/webphone", event(kind, fields)).status)
  end
  local function items(state)
    local found = {}
    for _, row in ipairs(engine:cli("outbox", "--json")) do
      if not state or row.state == state then found[#found + 1] = row end
    end
    return found
  end
  after_each(function()
    if engine then engine:close() end
    if sink then sink:close() end
    engine, sink = nil, nil
  end)

  it("carries what the rule gave, once, with an Idempotency-Key", function()
    start [[
rule "Tell the CRM" { on = "call_stop", run = function(call)
  http.post { url = "@/calls", headers = { ["X-Team"] = "north" },
    json = { id = call.call_id, big = call.big, empty = json.array() } }
  http.put { url = "@/form?a=1", form = { name = "Zoë & co", n = 3 }, query = { q = "x y" } }
  http.delete { url = "@/calls/1" }
end }]]
    assert.equal(200, engine:post("/hooks/webphone",
      '{"event":"call_stop","call_id":"c1","big":9007199254740993}').status)
    local got = sink:wait(3)
    local post = sink:requests("/calls")[1]
    assert.equal("POST", post.method)
    assert.equal("application/json", post.headers["content-type"])
    assert.equal("north", post.headers["x-team"])
    assert.equal('{"big":9007199254740993,"empty":[],"id":"c1"}', post.body)
    assert.truthy(post.headers["idempotency-key"]:match "^%x+$")
    local keys = {}
    for _, r in ipairs(got) do keys[r.headers["idempotency-key"]] = true end
    local n = 0
    for _ in pairs(keys) do n = n + 1 end
    assert.equal(3, n)
    local put = sink:requests("/form?a=1&q=x%20y")[1] or sink:requests("/form?a=1&q=x+y")[1]
    assert.equal("application/x-www-form-urlencoded", put.headers["content-type"])
    assert.equal("n=3&name=Zo%C3%AB+%26+co", put.body)
    support.wait_for(function() return #items "sent" == 3 end, 5, "all three to be marked sent")
    socket.sleep(0.5)
    assert.equal(3, #sink:requests())
  end)

  it("is retried with the same key, and later calls to that target keep their order", function()
    start([[
rule "Tell" { on = "*", run = function(call) http.post { url = "@/in", json = { n = call.n } } end }
]], 'per_host = 1')
    sink:answers { ["/in"] = { { status = 503 }, { drop = "after" }, { status = 429 } } }
    for n = 1, 10 do send("tick", { n = n, call_id = "k" .. n }) end
    local got = sink:wait(13, "/in", 30)
    local order, first = {}, got[1].headers["idempotency-key"]
    for i = 1, 4 do assert.equal(first, got[i].headers["idempotency-key"]) end
    for i = 4, 13 do order[#order + 1] = got[i].json.n end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, order)
  end)

  it("steps aside when the fault is its own, and comes back", function()
    start([[
rule "Tell" { on = "*", run = function(call) http.post { url = "@/in" .. call.n, json = {} } end }
]], 'per_host = 1, retry = { "300ms", "300ms" }')
    sink:answers { ["/in1"] = { { status = 500 } } }
    for n = 1, 3 do send("tick", { n = n, call_id = "k" .. n }) end
    sink:wait(2, "/in1")
    local at = {}
    for _, r in ipairs(sink:requests()) do at[#at + 1] = r.path end
    assert.same({ "/in1", "/in2", "/in3", "/in1" }, at)
  end)

  it("holds the whole target for Retry-After, and no other", function()
    local other = support.sink()
    finally(function() other:close() end)
    start(([[
rule "Tell" { on = "*", run = function(call)
  http.post { url = "@/in", json = { n = call.n } }
  http.post { url = "%s/in", json = { n = call.n } }
end }]]):format(other.url))
    sink:answers { ["/in"] = { { status = 503, headers = { ["Retry-After"] = "2" } } } }
    send("tick", { n = 1, call_id = "a" })
    sink:wait(1)
    local began = socket.gettime()
    for n = 2, 5 do send("tick", { n = n, call_id = "b" .. n }) end
    other:wait(5)
    local waiting = 0
    for _, row in ipairs(items "queued") do
      waiting = waiting + (tostring(row.error):find("waits for its target", 1, true) and 1 or 0)
    end
    assert.equal(4, waiting)
    assert.is_true(socket.gettime() - began < 1.5)
    assert.equal(1, #sink:requests())
    local got = sink:wait(6, nil, 10)
    assert.is_true(got[2].at - got[1].at >= 1.9, got[2].at - got[1].at)
  end)

  it("is a dead letter at once after 410 or another final answer, with its first bytes", function()
    start [[
rule "Tell" { on = "*", run = function(call)
  http.post { url = "@/gone", json = {} }
  http.post { url = "@/elsewhere", json = {} }
end }]]
    sink:answers { ["/gone"] = { { status = 410, body = "the hook was removed" } },
      ["/elsewhere"] = { { status = 302, headers = { Location = sink.url .. "/other" } } } }
    send "tick"
    support.wait_for(function() return #items "dead" == 2 end, 5, "two dead letters")
    local id
    for _, row in ipairs(items "dead") do
      assert.equal(1, row.attempts)
      if row.to:find "gone" then id = row.id end
    end
    local whole = engine:cli("outbox", "--id", id, "--json")[1]
    assert.equal(410, whole.status)
    assert.truthy(whole.answer:find("the hook was removed", 1, true))
    assert.equal(0, #sink:requests "/other")
    sink:answers {}
    local _, _, code = engine:cli("redrive", id)
    assert.equal(0, code)
    sink:wait(2, "/gone")
    local got = sink:requests "/gone"
    assert.equal(got[1].headers["idempotency-key"], got[2].headers["idempotency-key"])
  end)

  it("tells rules that asked how it ended", function()
    start([[
rule "Tell" { on = "tick", run = function(call)
  http.post { url = "@/good", json = {}, notify = "crm" }
  http.post { url = "@/bad", json = {}, notify = "crm" }
  http.post { url = "@/quiet", json = {} }
end }
rule "Hear" { on = "delivery_*", run = function(d, event)
  records.put("heard", event.type, { notify = d.notify, status = d.status, to = d.to, key = event.key,
    answer = d.answer, source = event.source })
end }]])
    sink:answers { ["/bad"] = { { status = 404, body = "no such thing" } } }
    send "tick"
    local heard
    support.wait_for(function()
      heard = {}
      for _, row in ipairs(engine:cli("records", "heard", "--json")) do heard[row.id] = row.doc end
      return heard.delivery_succeeded and heard.delivery_failed
    end, 10, "both to be heard of")
    assert.equal("crm", heard.delivery_failed.notify)
    assert.equal(404, heard.delivery_failed.status)
    assert.equal("no such thing", heard.delivery_failed.answer)
    assert.equal("c1", heard.delivery_failed.key)
    assert.equal("engine", heard.delivery_failed.source)
    assert.equal(200, heard.delivery_succeeded.status)
    socket.sleep(0.3)
    assert.equal(3, #engine:cli("events", "--json")) -- tick and two ends
  end)

  it("shows a secret to its receiver alone", function()
    start [[
local token = secret "CRM_TOKEN"
rule "Tell" { on = "tick", run = function(call)
  http.post { url = "@/in?k=" .. token, headers = { Authorization = "Bearer " .. token },
    json = { token = token, text = call.text } }
  http.post { url = "@/later", json = {} } -- carries no secret; its receiver has learnt one
  log.info("sending with " .. tostring(token))
  local res = http.get { url = "@/echo", headers = { Authorization = "Bearer " .. token } }
  records.put("seen", "1", { body = res.body, status = res.status })
end }]]
    sink:answers { ["/echo"] = { { body = '{"you sent":"s3cret-Token/42"}' } },
      ["/later"] = { { status = 404, body = "known: s3cret-Token/42" } },
      ["/in"] = { { status = 404, body = "bad token s3cret-Token/42" } } }
    send("tick", { text = '(secret CRM_TOKEN) {"secret":"CRM_TOKEN"} {{secret:CRM_TOKEN}}' })
    local got = sink:wait(1, "/in?k=s3cret-Token%2F42")[1]
    assert.equal("Bearer s3cret-Token/42", got.headers.authorization)
    assert.equal("s3cret-Token/42", got.json.token)
    assert.equal('(secret CRM_TOKEN) {"secret":"CRM_TOKEN"} {{secret:CRM_TOKEN}}', got.json.text)
    support.wait_for(function() return #items "dead" == 2 end, 5, "the dead letters")
    engine:stop()
    local out = support.capture(("grep -rlaE 's3cret-Token(/|%%2F|\\\\/)42' %s"):format(engine.dir))
    assert.equal("", out) -- nothing that it wrote holds the text
  end)

  it("goes only where it may", function()
    start([[
rule "Tell" { on = "tick", run = function(call)
  http.post { url = call.url, json = {} }
end }
rule "Look" { on = "look", run = function(call)
  local res = http.get { url = call.url }
  records.put("looked", call.call_id, { status = res.status, error = res.error })
end }]])
    local port = sink.port
    local urls = { "http://localhost:" .. port .. "/", "http://[::1]:" .. port .. "/",
      "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0:" .. port .. "/",
      "http://[::ffff:127.0.0.2]:" .. port .. "/" }
    for n, url in ipairs(urls) do
      send("tick", { url = url, call_id = "t" .. n })
      send("look", { url = url, call_id = "l" .. n })
    end
    support.wait_for(function() return #items "dead" == #urls end, 10, "all to be refused")
    for _, row in ipairs(items "dead") do assert.truthy(row.error:find("http.allow", 1, true), row.error) end
    local looked = support.wait_for(function()
      local rows = engine:cli("records", "looked", "--json")
      return #rows == #urls and rows
    end, 10, "all look-ups to be refused")
    for _, row in ipairs(looked) do
      assert.equal(0, row.doc.status)
      assert.truthy(row.doc.error:find("http.allow", 1, true), row.doc.error)
    end
    for n, url in ipairs { "file:///etc/passwd", "gopher://127.0.0.1/", "http://u:p@127.0.0.1/" } do
      send("tick", { url = url, call_id = "bad" .. n })
    end
    support.wait_for(function()
      local failed = 0
      for _, run in ipairs(engine:cli("runs", "--json")) do
        failed = failed + (run.outcome == "retry" and run.error:find("http.post", 1, true) and 1 or 0)
      end
      return failed == 3
    end, 5, "three runs that fail at their line")
    assert.equal(0, #sink:requests())
  end)

  it("is delivered after kill -9, and again only if it was on the wire", function()
    start([[
rule "Tell" { on = "*", run = function(call) http.post { url = "@/in", json = { n = call.n } } end }
]], 'per_host = 2')
    local sent, n = 0, 0
    for _ = 1, 4 do
      local conn = engine:connect()
      for _ = 1, 100 do
        n = n + 1
        if conn:request("POST", "/hooks/webphone", event("tick", { n = n, call_id = "k" .. n })) then
          sent = sent + 1
        end
      end
      engine:kill9()
      engine:start()
    end
    support.wait_for(function() return #items "sent" == sent end, 20, "all to be delivered")
    local per_key, keys, repeats = {}, 0, 0
    for _, r in ipairs(sink:requests()) do
      local key = r.headers["idempotency-key"]
      if per_key[key] == nil then keys = keys + 1 else repeats = repeats + 1 end
      assert.is_true(per_key[key] == nil or per_key[key] == r.json.n)
      per_key[key] = r.json.n
    end
    assert.equal(sent, keys)
    -- sent, and the verdict not yet on disk: those under way, and those of the last commit
    assert.is_true(repeats <= 4 * 40, "repeats: " .. repeats)
  end)
end)

describe("a look-up", function()
  local engine, sink
  before_each(function() sink = support.sink() end)
  after_each(function()
    if engine then engine:close() end
    sink:close()
    engine = nil
  end)

  local rule = [[
rule "Look" { on = "look", run = function(call)
  local res = http.get { url = "@/customer/" .. call.n, query = { full = "yes" },
    timeout = call.timeout or "2s", cache = call.cache }
  records.put("looked", tostring(call.n), { ok = res.ok, status = res.status, name = get(res, "json.name"),
    error = res.error, cached = res.cached })
end }
rule "Quick" { on = "quick", run = function(call)
  records.put("quick", tostring(call.n), { at = call.n })
end }]]

  local function start(extra)
    engine = support.engine { config = config(extra), env = { TEST_CRM_TOKEN = "s3cret-Token/42" },
      rules = { ["look.lua"] = (rule:gsub("@", sink.url)) } }
  end
  local function send(kind, fields)
    assert.equal(200, engine:post("/hooks/webphone", event(kind, fields)).status)
  end
  local function looked(n, seconds)
    return support.wait_for(function()
      local row = engine:cli("records", "looked", "--id", tostring(n), "--json")[1]
      return row and row.doc
    end, seconds or 8, "look-up " .. n)
  end

  it("comes back with status, JSON, time-out or refusal, and is kept with the run", function()
    start()
    sink:answers { ["/customer/1"] = { { body = '{"name":"Zoë"}' } },
      ["/customer/2"] = { { status = 404, body = "none" } }, ["/customer/3"] = { { delay = 5 } },
      ["/customer/4"] = { { drop = "after", forever = true } } }
    for n = 1, 4 do send("look", { n = n, call_id = "c" .. n, timeout = "700ms" }) end
    assert.same({ ok = true, status = 200, name = "Zoë", cached = false },
      { ok = looked(1).ok, status = looked(1).status, name = looked(1).name,
        cached = looked(1).cached or false })
    assert.equal(404, looked(2).status)
    assert.is_false(looked(2).ok)
    assert.equal(0, looked(3).status)
    assert.truthy(looked(3).error:find "time")
    assert.equal(0, looked(4).status)
    local id
    for _, row in ipairs(engine:cli("events", "--json")) do
      if row.key == "c1" then id = row.id end
    end
    local run = engine:cli("runs", "--event", id, "--json")[1]
    assert.equal(sink.url .. "/customer/1?full=yes", run.lookups[1].request.url)
    assert.equal(200, run.lookups[1].answer.status)
  end)

  it("lets other runs go on meanwhile, more of them than a worker has slots", function()
    start()
    sink:answers { ["*"] = { { delay = 1.5, forever = true } } }
    for n = 1, 120 do send("look", { n = n, call_id = "c" .. n, timeout = "20s" }) end
    local began = socket.gettime()
    send("quick", { n = 1, call_id = "q" })
    support.wait_for(function() return #engine:cli("records", "quick", "--json") == 1 end, 2,
      "the quick rule")
    assert.is_true(socket.gettime() - began < 1.2)
    support.wait_for(function() return #engine:cli("records", "looked", "--json") == 120 end, 30,
      "all look-ups")
  end)

  it("is answered from the cache while that is fresh", function()
    start()
    for n = 1, 5 do send("look", { n = 7, call_id = "c" .. n, cache = "1m" }) end
    support.wait_for(function() return #engine:wait_events("done", 5) == 5 end)
    assert.equal(1, #sink:requests())
    assert.is_true(looked(7).cached)
  end)
end)
