-- SPDX-License-Identifier: MIT
-- try_spec.lua: an event tried through the API, and why rules did what they did: nothing is kept,
-- bad rules hurt only the question that met them, and nobody sees more than they may.
local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local config = [[
return {
  sources = {
    webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" }, key = { field = "call_id" } },
    pushes = { path = "/hooks/push/{tenant}", auth = "none", type = { header = "X-Event" },
               key = { path = "tenant" } },
    forms = { path = "/hooks/form", auth = "none", body = "form", type = { field = "kind" } },
  },
  secrets = { CRM_TOKEN = "very-secret-9f2c" },
  http = { allow = { "127.0.0.1" } }, retry = {}, mask = { fields = { "analysis.transcript" } },
}
]]

local rules = { ["negative.lua"] = [[
rule "Negative" {
  on = "call",
  when = function(call, env)
    return get(call, "analysis.sentiment") == "negative"
      and env.source == "webphone"
  end,
  run = function(call)
    callback { number = call.remote_number, due = now() + 2 * hour, assignee = "ann@example.org" }
    email { to = "ann@example.org", subject = "Call", text = "Call {{remote_number}}", with = call }
    records.put("calls", call.call_id, { sentiment = "negative" })
    http.post { url = "http://127.0.0.1:9/x", headers = { Authorization = secret "CRM_TOKEN" }, json = {} }
  end,
}
rule "Looks" {
  on = "call",
  when = function(call)
    return call.analysis and call.analysis.transcript == "x" and call.remote_number == call.local_number
      and call.big > 31600000000
  end,
  run = function() end,
}
rule "Numbers" { on = "call", when = function(call) return call.remote_number == call.big end, run = function() end }
rule "Known" { on = "call", when = function(call) return records.get("people", call.remote_number) ~= nil end,
  run = function() end }
rule "Pushed" { on = "push", run = function(e, env) log.info(env.key .. " " .. e.n) end }
rule "Form" { on = "f", run = function(e) log.info("form " .. e.a) end }
rule "Later" { on = "later", run = function() after("1h", "ring", {}) end }
rule "Rings" { on = "ring", run = function() log.info("rang") end }
rule "Asks" { on = "asks", run = function() log.info(http.get("http://crm.example.org/1").body) end }
]], ["bad.lua"] = [[
rule "Endless" { on = "endless", run = function() while true do end end }
rule "Bomb" { on = "bomb", run = function() local s = ("x"):rep(1000000) while true do s = s .. s end end }
rule "Pattern" { on = "pattern", run = function()
  local s = ("a"):rep(40000) return s:find(".-.-.-.-.-b") end }
rule "Out" { on = "out", run = function(e)
  local function lib(name) return _ENV[name:reverse()] end -- the check of the names would see them
  local tries = { function() return lib "so".exit(1) end, function() return lib "oi".open("/etc/passwd") end,
    function() return lib "daol"("return 1") end, function() return lib "gubed".getregistry() end,
    function() return require("os") end }
  for _, try in ipairs(tries) do if pcall(try) then error "a way out" end end
  log.info "none"
end }
rule "Storm" { on = "storm", run = function() for i = 1, 900 do emit("storm", { i = i }) end end }
rule "Slow" { on = "slow", when = function()
  for _ = 1, 3000 do local _ = ("x"):rep(2000):find("y") end return false end, run = function() end }
]] }

describe("trying an event through the API", function()
  local engine
  local answers = {}

  local function ask(method, path, body, pattern, headers)
    local answer = engine:request(method, path, type(body) == "table" and cjson.encode(body) or body, headers)
    answers[#answers + 1] = { method = method, path = pattern or path, status = answer.status,
                              type = answer.headers["content-type"], body = answer.body }
    return answer
  end
  local function try(body, headers) return ask("POST", "/api/v1/try", body, nil, headers) end
  local function why(id, headers)
    return ask("GET", "/api/v1/events/" .. id .. "/why", nil, "/api/v1/events/{id}/why", headers)
  end
  local function run_of(answer, rule, n)
    for _, run in ipairs(answer.json.entries[n or 1].runs) do
      if run.rule == rule then return run end
    end
    error(rule .. " has no run in " .. answer.body)
  end
  local function item_of(answer, rule)
    for _, item in ipairs(answer.json.items) do
      if item.rule == rule then return item end
    end
    error(rule .. " is not in " .. answer.body)
  end
  local function call(fields)
    local event = { event = "call", call_id = "c" .. math.random(1, 1e9), remote_number = "+31612345678",
                    local_number = "3001", analysis = { sentiment = "neutral" } }
    for k, v in pairs(fields or {}) do event[k] = v end
    return event
  end
  local function send(event)
    local answer = engine:post("/hooks/webphone", cjson.encode(event))
    assert.equal(200, answer.status, answer.body)
    return answer.json.id
  end
  -- How many rows there are, of everything that a run could leave behind.
  local function counts()
    local n = {}
    for _, what in ipairs { "events", "runs", "outbox", "callbacks", "timers", "records" } do
      n[#n + 1] = what .. " " .. #engine:cli(what, "--json")
    end
    local mails = 0
    if lfs.attributes(engine.data .. "/mail") then
      for name in lfs.dir(engine.data .. "/mail") do mails = mails + (name:match "^%." and 0 or 1) end
    end
    return table.concat(n, ", ") .. ", mails " .. mails
  end
  -- Senders are answered, and their events handled, whatever is tried meanwhile.
  local function goes_on()
    local id = send { event = "nothing", call_id = "on" .. math.random(1, 1e9) }
    support.wait_for(function()
      return engine:request("GET", "/api/v1/events/" .. id).json.state == "done"
    end, 10, "an event to be handled")
  end

  setup(function() engine = support.engine { config = config, rules = rules } end)
  teardown(function() engine:close() end)

  it("says what would happen, and keeps nothing", function()
    local before = counts()
    local answer = try { source = "webphone", event = call { analysis = { sentiment = "negative" } } }
    assert.equal(200, answer.status, answer.body)
    local run = run_of(answer, "Negative")
    assert.equal("done", run.outcome)
    local kinds = {}
    for _, fx in ipairs(run.effects) do kinds[#kinds + 1] = fx.kind end
    assert.same({ "callback", "email", "records.put", "http" }, kinds)
    assert.equal("true", run.when.returned)
    assert.equal("ann@example.org", answer.json.world.callbacks[1].assignee)
    assert.equal(2, #answer.json.world.outbox)
    assert.equal("negative", answer.json.world.records.calls[1].doc.sentiment)
    assert.is_nil(answer.body:find("very-secret", 1, true))
    assert.equal(engine:request("GET", "/api/v1/rules").json.generation, answer.json.generation)
    assert.equal(before, counts())
    assert.is_nil(engine:log():find "try did not come")
  end)

  it("says what a condition looked at", function()
    local run = run_of(try { event = call(), source = "webphone" }, "Negative")
    assert.equal("skipped_when", run.outcome)
    assert.equal('when returned false (rules/negative.lua:3): analysis.sentiment = "neutral"', run.why)
    assert.same({ { path = "analysis.sentiment", value = "neutral" } }, run.when.looked_at)
    assert.equal('  when = function(call, env)\n    return get(call, "analysis.sentiment") == "negative"\n' ..
      '      and env.source == "webphone"\n  end,', run.when.source)
  end)

  it("lets time pass, takes several events, one rule, and replies", function()
    local answer = try { source = "webphone", now = "2026-06-12T10:00:00Z", advance = "2h",
                         event = { event = "later", call_id = "l" } }
    assert.equal(2, #answer.json.entries, answer.body)
    assert.equal("2026-06-12T11:00:00.000Z", answer.json.entries[2].event.at)
    assert.equal("rang", run_of(answer, "Rings", 2).logs[1].text)
    answer = try { source = "webphone", rule = "Rings", events = {
      { event = "later", call_id = "l" }, { ["@advance"] = "90m" }, { event = "ring", call_id = "m" },
      { event = 1.5 } } }
    assert.equal(3, #answer.json.entries, answer.body)
    assert.equal(1, #answer.json.entries[1].runs) -- of the one rule, which is not for it
    assert.equal("rang", run_of(answer, "Rings", 2).logs[1].text)
    assert.equal("invalid_envelope", answer.json.entries[3].refused.code)
    answer = try { source = "webphone", event = { event = "asks", call_id = "a" },
                   replies = { { url = "http://crm.example.org/*", body = "Ann" } } }
    assert.equal("Ann", run_of(answer, "Asks").logs[1].text, answer.body)
  end)

  it("reads a request as its source does", function()
    local answer = try { path = "/hooks/push/acme", headers = { ["X-Event"] = "push" }, event = { n = 7 } }
    assert.equal("pushes", answer.json.entries[1].event.source, answer.body)
    assert.equal("acme 7", run_of(answer, "Pushed").logs[1].text)
    answer = try { source = "forms", body = "kind=f&a=b+c" }
    assert.equal("form b c", run_of(answer, "Form").logs[1].text, answer.body)
  end)

  it("refuses what the source would refuse, and what is not to be understood", function()
    local function refused(body, code, member, value)
      local answer = try(body)
      assert.equal(400, answer.status, answer.body)
      assert.equal(code, answer.json.error.code, answer.body)
      if member then assert.equal(value, answer.json.error[member], answer.body) end
      return answer.json.error
    end
    local e = refused({ source = "webphone", body = '{\n  "event": oops }' }, "invalid_json", "line", 2)
    assert.equal(12, e.column)
    refused({ source = "webphone", event = { call_id = "x" } }, "invalid_envelope", "field", "event")
    refused({ source = "webphone", event = 7 }, "invalid_envelope")
    refused({ path = "/hooks/push/a", event = { n = 1 } }, "invalid_envelope")
    refused({ source = "forms", body = "a=%zz" }, "invalid_form")
    refused({ source = "webphome", event = {} }, "invalid_field", "field", "source")
    refused({ source = 1, event = {} }, "invalid_field", "field", "source")
    refused({ source = "pushes", path = "/hooks/form", event = {} }, "not_found")
    refused({ source = "webphone" }, "invalid_field", "field", "event")
    refused({ source = "webphone", event = {}, body = "" }, "invalid_field", "field", "event")
    refused({ source = "webphone", body = {} }, "invalid_field", "field", "body")
    refused({ source = "webphone", events = {} }, "invalid_field", "field", "events")
    refused({ source = "webphone", event = call(), now = "yesterday" }, "invalid_field", "field", "now")
    refused({ source = "webphone", event = call(), advance = "-2h" }, "invalid_field", "field", "advance")
    refused({ source = "webphone", event = call(), headers = { ["X"] = 1 } }, "invalid_field", "field", "headers")
    refused({ source = "webphone", event = call(), path = "x" }, "invalid_field", "field", "path")
    refused({ source = "webphone", event = call(), replies = { {} } }, "invalid_field", "field", "replies")
    assert.truthy(refused({ source = "webphone", event = call(), rule = "Negativ" }, "invalid_field", "field", "rule")
      .message:find('did you mean "Negative"', 1, true))
    refused({ sauce = "webphone", event = {} }, "unknown_field", "field", "sauce")
    refused("{", "invalid_json")
  end)

  it("takes an event of nearly 1 MiB, and none that is larger", function()
    local answer = try { source = "webphone", event = call { text = ("x"):rep(1020000) }, rule = "Negative" }
    assert.equal(200, answer.status, answer.body)
    assert.equal("skipped_when", run_of(answer, "Negative").outcome)
    assert.equal(413, try({ source = "webphone", event = call { text = ("x"):rep(1100000) } }).status)
  end)

  it("is not hurt by rules that do not end, want everything, or want out", function()
    local function of(event)
      return run_of(try { source = "webphone", event = { event = event, call_id = event } },
        event:sub(1, 1):upper() .. event:sub(2))
    end
    local run = of "endless"
    assert.equal("failed", run.outcome)
    assert.truthy(run.error:find("rules/bad.lua:1: rule \"Endless\": CPU budget", 1, true), run.error)
    run = of "bomb"
    assert.equal("failed", run.outcome)
    assert.truthy(run.error:find("memory", 1, true), run.error)
    run = of "out"
    assert.equal("done", run.outcome, run.error)
    assert.equal("none", run.logs[1].text)
    goes_on()
    local answer = try { source = "webphone", event = { event = "storm", call_id = "s" } }
    assert.is_true(answer.status == 422 or answer.status == 200, answer.status)
    goes_on()
  end)

  it("ends a rule that nothing can interrupt, and says which it was", function()
    local conn = engine:connect()
    local body = cjson.encode { source = "webphone", event = { event = "pattern", call_id = "p" } }
    conn:send(("POST /api/v1/try HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" ..
      "Content-Length: %d\r\n\r\n%s"):format(#body, body))
    goes_on()
    local answer = assert(conn:answer())
    conn:close()
    answers[#answers + 1] = { method = "POST", path = "/api/v1/try", status = answer.status,
                              type = answer.headers["content-type"], body = answer.body }
    assert.equal(422, answer.status, answer.body)
    assert.equal("Pattern", answer.json.error.rule)
    assert.truthy(answer.json.error.message:find('rules/bad.lua:3: rule "Pattern"', 1, true), answer.body)
    goes_on()
  end)

  it("tries two at once, lets some wait, and refuses the others", function()
    local conns = {}
    local body = cjson.encode { source = "webphone", event = { event = "slow", call_id = "x" }, rule = "Slow" }
    for i = 1, 20 do
      conns[i] = engine:connect()
      conns[i]:send(("POST /api/v1/try HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" ..
        "Content-Length: %d\r\n\r\n%s"):format(#body, body))
    end
    local n = { [200] = 0, [503] = 0 }
    for i = 1, 20 do
      local answer = assert(conns[i]:answer())
      conns[i]:close()
      n[answer.status] = n[answer.status] + 1
      if answer.status == 503 then
        assert.equal("overloaded", answer.json.error.code)
        assert.truthy(answer.headers["retry-after"])
      else
        assert.equal("skipped_when", run_of(answer, "Slow").outcome)
      end
    end
    assert.is_true(n[200] >= 18, n[200] .. " were answered")
    goes_on()
  end)

  it("goes by the configuration that the engine has, and says that a rule is paused", function()
    support.write_file(engine.dir .. "/switchhook.lua", "this is no configuration")
    assert.equal(200, ask("POST", "/api/v1/rules/Negative/pause", {}, "/api/v1/rules/{name}/pause").status)
    local run = support.wait_for(function() -- the pause is on disk; that it counts is a moment later
      local found = run_of(try { source = "webphone", event = call { analysis = { sentiment = "negative" } } },
        "Negative")
      return found.paused and found
    end, 10, "the pause to be known")
    assert.equal("done", run.outcome)
    local id = send(call { analysis = { sentiment = "negative" } })
    local item = support.wait_for(function()
      local found = item_of(why(id), "Negative")
      return found.run and found
    end, 10, "the event to be kept")
    assert.equal("paused", item.outcome)
    assert.truthy(item.why:find("the rule is paused", 1, true))
    assert.equal(200, ask("POST", "/api/v1/rules/Negative/resume", {}, "/api/v1/rules/{name}/resume").status)
    support.write_file(engine.dir .. "/switchhook.lua", config)
  end)

  it("says why, for an event that is stored", function()
    local id = send(call { big = 5 })
    support.wait_for(function()
      return engine:request("GET", "/api/v1/events/" .. id).json.state == "done"
    end, 10, "the event to be handled")
    local before = counts()
    local answer = why(id)
    assert.equal(before, counts())
    assert.equal(200, answer.status, answer.body)
    local item = item_of(answer, "Negative")
    assert.equal("skipped_when", item.outcome)
    assert.equal("rules/negative.lua", item.when.file)
    assert.equal(3, item.when.line)
    assert.equal("false", item.when.returned)
    assert.same({ { path = "analysis.sentiment", value = "neutral" } }, item.when.looked_at)
    assert.truthy(item.why:find('(rules/negative.lua:3): analysis.sentiment = "neutral"', 1, true))
    assert.equal("skipped_on", item_of(answer, "Pushed").outcome)
    assert.truthy(item_of(answer, "Pushed").why:find('on wants "push"', 1, true))
    item = item_of(answer, "Known") -- it read, and so has a run
    assert.truthy(item.note:find("without the records of that time", 1, true))
    assert.equal("done", item.run.outcome)
    assert.is_true(answer.json.ran)
    -- one that no rule has a run on
    id = send { event = "nothing", call_id = "n1" }
    answer = why(id)
    assert.is_false(answer.json.ran)
    assert.truthy(answer.json.note:find("was live when the event came", 1, true))
    assert.equal("skipped_on", item_of(answer, "Negative").outcome)
    -- the rules are others by now: those of its time are asked
    local quiet = engine.dir .. "/rules/quiet.lua"
    support.write_file(quiet,
      'rule "Quiet" { on = "nothing", when = function(e) return e.a.b end, run = function() end }')
    ask("POST", "/api/v1/reload", {}, "/api/v1/reload")
    support.wait_for(function()
      return engine:request("GET", "/api/v1/rules").json.generation ~= answer.json.generation
    end, 20, "the reload")
    assert.equal(answer.json.generation, why(id).json.generation)
    -- one whose condition fails
    id = send { event = "nothing", call_id = "n2" }
    item = support.wait_for(function()
      local found = item_of(why(id), "Quiet")
      return found.outcome == "dead" and found
    end, 20, "the run to be given up")
    assert.equal("when raised an error (rules/quiet.lua:1): a is absent", item.why)
    assert.truthy(item.error:find('rules/quiet.lua:1: rule "Quiet": attempt to index a nil value', 1, true))
    -- one that failed, and one that did its work
    id = send { event = "endless", call_id = "e1" }
    item = support.wait_for(function()
      local found = item_of(why(id), "Endless")
      return found.outcome == "dead" and found
    end, 20, "the run to be given up")
    assert.truthy(item.run.error:find("CPU budget", 1, true))
    assert.equal(404, why("01a21805-f102-7000-bc2a-efb058d7f586").status)
    assert.equal(404, why("x").status)
  end)

  it("shows a viewer nothing that is masked, and lets none try", function()
    local token = engine:cli("token", "new", "v", "--role", "viewer", "--json")[1].token
    local headers = { Authorization = "Bearer " .. token }
    local admin = { Authorization = "Bearer " .. engine:cli("token", "new", "a", "--role", "admin", "--json")[1].token }
    local id = support.wait_for(function()
      local sent = engine:post("/hooks/webphone", cjson.encode(call {
        remote_number = "+31698765432", big = 31611112222,
        analysis = { transcript = "it was awful", sentiment = "neutral" } }))
      return sent.status == 200 and sent.json.id
    end, 5, "an event")
    local answer
    support.wait_for(function()
      answer = why(id, headers)
      return answer.status == 200
    end, 5, "the token to be known")
    for _, hidden in ipairs { "98765432", "it was awful" } do
      assert.is_nil(answer.body:find(hidden, 1, true), answer.body)
      assert.truthy(why(id, admin).body:find(hidden, 1, true))
    end
    assert.same({ path = "analysis.transcript", value = "***" }, item_of(answer, "Looks").when.looked_at[1])
    assert.truthy(item_of(answer, "Numbers").why:find('remote_number = "+*********32"', 1, true),
      item_of(answer, "Numbers").why)
    assert.truthy(item_of(answer, "Negative").why:find('analysis.sentiment = "neutral"', 1, true))
    answer = ask("POST", "/api/v1/try", { source = "webphone", event = call() }, nil, headers)
    assert.equal(403, answer.status)
    assert.equal("role_too_low", answer.json.error.code)
    engine:cli("token", "revoke", "v")
    engine:cli("token", "revoke", "a")
  end)

  it("keeps a place for who asks little, where one asks too much", function()
    local function token(name)
      local made = engine:cli("token", "new", name, "--role", "operator", "--json")[1]
      return { Authorization = "Bearer " .. made.token, ["Content-Type"] = "application/json" }
    end
    local greedy, modest = token "greedy", token "modest"
    local body = cjson.encode { source = "webphone", event = { event = "pattern", call_id = "x" }, rule = "Pattern" }
    local conns = {}
    for i = 1, 18 do
      conns[i] = engine:connect()
      conns[i]:send(("POST /api/v1/try HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" ..
        "Authorization: %s\r\nContent-Length: %d\r\n\r\n%s"):format(greedy.Authorization, #body, body))
    end
    support.wait_for(function() return engine:request("POST", "/api/v1/try", body, greedy).status == 503 end, 4,
      "no place to be left")
    local began = socket.gettime()
    local answer = engine:request("POST", "/api/v1/try", cjson.encode { source = "webphone", event = call() }, modest)
    assert.equal(200, answer.status, answer.body)
    assert.is_true(socket.gettime() - began < 20, "before those that waited already") -- all of them: 45 s
    for i = 1, 18 do conns[i]:close() end
    engine:cli("token", "revoke", "greedy")
    engine:cli("token", "revoke", "modest")
  end)

  it("answers as docs/openapi.json says", function()
    local lines = {}
    for _, answer in ipairs(answers) do
      if answer.status ~= 413 or answer.path ~= "/api/v1/try" then lines[#lines + 1] = cjson.encode(answer) end
    end
    support.write_file(engine.dir .. "/answers", table.concat(lines, "\n") .. "\n")
    local out, code = support.capture("/usr/bin/python3 -B tests/e2e/openapi_check.py docs/openapi.json <" ..
      engine.dir .. "/answers")
    assert.equal(0, code, out)
  end)

  it("is over when the engine stops", function()
    local conn = engine:connect()
    support.wait_for(function() return engine:request("GET", "/api/v1/status").status == 200 end, 5, "no tokens")
    local body = cjson.encode { source = "webphone", event = { event = "pattern", call_id = "p" } }
    conn:send(("POST /api/v1/try HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" ..
      "Content-Length: %d\r\n\r\n%s"):format(#body, body))
    support.wait_for(function()
      return support.capture("pgrep -P " .. engine.pid .. " -f playground") ~= ""
    end, 5, "the process to be there")
    engine:stop()
    local answer = conn:answer()
    conn:close()
    assert.equal(503, answer.status)
    assert.equal("stopping", answer.json.error.code)
    assert.equal("", (support.capture("pgrep -f 'switchhook playground' -s " .. engine.pid)))
    assert.truthy(engine:log():find "msg=stopped")
  end)
end)
