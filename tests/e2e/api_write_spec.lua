-- SPDX-License-Identifier: MIT
-- api_write_spec.lua: who may come in with what role, what they change, and what is written down of
-- it: over HTTP, and by the command line with an engine and without.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local unpack = table.unpack or unpack -- luacheck: ignore

local rules = [[
rule "Fails" { on = "bad", run = function() error("no") end }
rule "Calls back" { on = "call", run = function(e)
  callback { number = e.number, due = now() + 2 * hour, assignee = "ann@example.org", reason = "r" .. e.n }
end }
rule "Later" { on = "later", run = function(e) after("1h", "never", {}, { name = e.name }) end }
rule "Tells" { on = "tell", run = function() http.post { url = "http://10.255.255.1/x", json = {} } end }
rule "Digest" { every = "1h", run = function() end }
]]
local config = [[
return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
  type = { field = "event" }, key = { field = "call_id" } } },
  retry = {}, http = { allow = { "127.0.0.1" } }, zone = "Europe/Amsterdam" }
]]

describe("the API with tokens", function()
  local engine, tokens
  local answers = {} -- of the API, for a look at them at the end

  -- A token made on the command line; its text.
  local function new_token(name, role, ...)
    local rows = engine:cli("token", "new", name, "--role", role, "--json", ...)
    assert.equal(1, #rows)
    assert.equal(name, rows[1].name)
    return rows[1].token
  end

  local function call(method, path, body, token, headers)
    headers = headers or {}
    headers["Authorization"] = token and "Bearer " .. token or nil
    if method == "POST" then headers["Content-Type"] = headers["Content-Type"] or "application/json" end
    local answer = engine:request(method, "/api/v1" .. path, body and cjson.encode(body), headers)
    answers[#answers + 1] = { method = method, asked = "/api/v1" .. path, status = answer.status,
                              type = answer.headers["content-type"] or "", body = answer.body }
    return answer
  end
  local function code(answer) return answer.json and answer.json.error and answer.json.error.code end

  local n = 0
  local function send(event, fields)
    n = n + 1
    fields = fields or {}
    fields.event, fields.call_id, fields.n = event, "c" .. n, n
    local answer = engine:post("/hooks/webphone", cjson.encode(fields))
    assert.equal(200, answer.status)
    return answer.json.id
  end

  local function rows(...) return (engine:cli(...)) end
  local function wait_rows(count, ...)
    local words = { ... }
    return support.wait_for(function()
      local found = engine:cli(unpack(words))
      return #found == count and found
    end, 10, count .. " rows of " .. table.concat(words, " "))
  end
  local function sql(text)
    return (support.capture(("/usr/bin/python3 -c %s"):format(support.quote(([[
import sqlite3, json
for r in sqlite3.connect("file:%s/switchhook.db?mode=ro", uri=True).execute(%q): print(json.dumps(r))
]]):format(engine.data, text)))))
  end
  -- The audit table, newest last: { who, role, peer, action, target, detail }.
  local function audit()
    local found = {}
    for line in sql("SELECT who, role, peer, action, target, detail FROM sh_audit ORDER BY seq")
      :gmatch "[^\n]+" do
      local r = cjson.decode(line)
      for i = 1, 6 do if r[i] == cjson.null then r[i] = nil end end
      found[#found + 1] = { who = r[1], role = r[2], peer = r[3], action = r[4], target = r[5], detail = r[6] }
    end
    return found
  end
  local function last() local all = audit() return all[#all] end

  setup(function()
    engine = support.engine { rules = { ["a.lua"] = rules }, config = config, start = false }
    engine:start()
    tokens = {}
    for _, role in ipairs { "viewer", "operator", "admin" } do tokens[role] = new_token(role, role) end
  end)
  teardown(function() engine:close() end)

  it("needs one, once there is one, on this machine too", function()
    for role, token in pairs(tokens) do
      assert.truthy(token:match "^sh_[%w_%-]+$", token)
      assert.equal(46, #token)
      assert.equal(200, call("GET", "/status", nil, token).status, role)
    end
    local bad = { false, "x", "sh_" .. ("a"):rep(43), tokens.admin:sub(1, -2), tokens.admin .. "a",
                  tokens.admin:lower() == tokens.admin and "y" or tokens.admin:lower(), "" }
    local texts = {}
    for _, token in ipairs(bad) do
      local answer = call("GET", "/status", nil, token or nil)
      assert.equal(401, answer.status)
      assert.equal("Bearer", answer.headers["www-authenticate"])
      texts[answer.body] = true
    end
    assert.truthy(next(texts))
    assert.is_nil(next(texts, (next(texts))), "one text for all that is wrong")
    -- in no other place
    assert.equal(401, engine:request("GET", "/api/v1/status", nil, { ["X-Api-Key"] = tokens.admin }).status)
    assert.equal(401, engine:request("GET", "/api/v1/status", nil,
      { Authorization = "Basic " .. tokens.admin }).status)
    local answer = engine:request("GET", "/api/v1/status?token=" .. tokens.admin)
    assert.equal("token_in_query", code(answer))
    assert.is_nil(engine:log():find(tokens.admin, 1, true))
    local metrics = engine:request("GET", "/metrics").body
    for _, reason in ipairs { "no_token", "unknown_token", "token_in_query" } do
      assert.truthy(metrics:find('requests_refused_total{source="",reason="' .. reason .. '"}', 1, true), reason)
    end
    assert.truthy(engine:log():find("unknown_token", 1, true))
    assert.truthy(sql("SELECT hex(hash) FROM sh_tokens"):match "%x+")
    assert.is_nil(support.capture("grep -r " .. tokens.admin .. " " .. engine.data):match "%S")
  end)

  it("lets in by role, each on each route", function()
    local rank = { none = 0, viewer = 1, operator = 2, admin = 3 }
    -- all that the document has, which a unit test compares with the engine's tables
    local need = {}
    for path, operations in pairs(call("GET", "/openapi.json", nil, tokens.viewer).json.paths) do
      for method, operation in pairs(operations) do
        need[#need + 1] = { method:upper(), (path:gsub("^/api/v1", ""):gsub("{.-}", "abcdef0")), operation["x-role"] }
      end
    end
    assert.is_true(#need > 30)
    local before = #audit()
    for _, route in ipairs(need) do
      local method, path, least = route[1], route[2], route[3]
      for role, token in pairs(tokens) do
        local answer = call(method, path, nil, token)
        local what = ("%s %s as %s: %d %s"):format(method, path, role, answer.status, answer.body)
        if rank[role] < rank[least] then
          assert.equal(403, answer.status, what)
          assert.equal("role_too_low", code(answer), what)
          assert.truthy(answer.body:find("needs the role " .. least, 1, true), what)
        elseif role == "viewer" and path:find "/raw$" then -- what cannot be masked
          assert.equal(403, answer.status, what)
          assert.equal("masked", code(answer), what)
        else
          assert.is_true(answer.status ~= 403 and answer.status ~= 401 and answer.status < 500, what)
        end
      end
    end
    assert.equal(before + 1, #audit(), "only the admin's reload has done anything")
    assert.equal("reload", last().action)
    assert.equal("127.0.0.1", last().peer)
  end)

  it("takes changes as JSON alone", function()
    local answer = call("POST", "/rules/Fails/pause", nil, tokens.operator, { ["Content-Type"] = "text/plain" })
    assert.equal(415, answer.status)
    assert.equal(400, call("POST", "/rules/Fails/pause", { buy = "x" }, tokens.operator).status)
    assert.equal("on", rows("rules", "--json")[1].state)
  end)

  it("works callbacks, and says who did", function()
    send("call", { number = "+31201234567" })
    local id = wait_rows(1, "callbacks", "--state", "open", "--json")[1].id
    local path = "/callbacks/" .. id
    assert.equal(400, call("POST", path .. "/snooze", {}, tokens.operator).status)
    local answer = call("POST", path .. "/snooze", { due = "soon" }, tokens.operator)
    assert.equal("due", answer.json.error.field)
    answer = call("POST", path .. "/snooze", { due = "2099-06-12T14:00", note = "busy" }, tokens.operator)
    assert.same({ id = id, status = "snoozed" }, answer.json)
    assert.equal("2099-06-12T12:00:00.000Z", rows("callbacks", "--id", id, "--json")[1].due_at)
    answer = call("POST", path .. "/reassign", { to = "desk@example.org" }, tokens.operator)
    assert.equal(200, answer.status)
    assert.same({ who = "operator", role = "operator", peer = "127.0.0.1", action = "callback.reassign",
                  target = id, detail = '{"to":"desk@example.org","by":"operator"}' }, last())
    assert.equal(200, call("POST", "/callbacks/" .. id:sub(1, 8) .. "/done", { note = "ok" }, tokens.operator).status)
    local row = rows("callbacks", "--id", id, "--json")[1]
    assert.equal("done", row.status)
    assert.equal("operator", row.history[#row.history].by)
    local count = #audit()
    answer = call("POST", path .. "/done", {}, tokens.operator)
    assert.equal(409, answer.status)
    assert.equal("done", answer.json.error.state)
    assert.equal(404, call("POST", "/callbacks/abcdef012345/done", {}, tokens.operator).status)
    assert.equal(count, #audit())
  end)

  it("brings dead runs back at once, or drops them", function()
    local id = send "bad"
    wait_rows(1, "runs", "--state", "dead", "--json")
    assert.equal(404, call("POST", "/events/" .. id .. "/redrive", { rule = "Other" }, tokens.operator).status)
    assert.equal(404, call("POST", "/events/http-1/redrive", {}, tokens.operator).status)
    local answer = call("POST", "/events/" .. id .. "/redrive", { rule = "Fails" }, tokens.operator)
    assert.same({ runs = 1, items = 0 }, answer.json)
    assert.equal("dead.redrive", last().action)
    assert.equal(id, last().target)
    wait_rows(1, "runs", "--state", "dead", "--json") -- and dead again
    send "bad"
    wait_rows(2, "runs", "--state", "dead", "--json")
    answer = call("POST", "/dead/drop", {}, tokens.operator)
    assert.equal("all", answer.json.error.field)
    assert.equal(400, call("POST", "/dead/drop", { kind = "runs" }, tokens.operator).status)
    assert.equal(400, call("POST", "/dead/drop", { all = false }, tokens.operator).status)
    assert.equal(400, call("POST", "/dead/drop", { all = "yes" }, tokens.operator).status)
    assert.same({ runs = 0, items = 0 }, call("POST", "/dead/drop", { rule = "None" }, tokens.operator).json)
    assert.same({ runs = 2, items = 0 }, call("POST", "/dead/drop", { rule = "Fails" }, tokens.operator).json)
    assert.equal('{"rule":"Fails","runs":2,"deliveries":0}', last().detail)
    assert.equal(2, #rows("runs", "--state", "dropped", "--json"))
    assert.equal(404, call("POST", "/events/" .. id .. "/redrive", {}, tokens.operator).status)
    assert.equal(0, call("GET", "/status", nil, tokens.viewer).json.dead.runs)
  end)

  it("brings dead deliveries back, or drops them", function()
    send "tell"
    local item = wait_rows(1, "outbox", "--state", "dead", "--json")[1].id
    assert.same({ runs = 0, items = 1 }, call("POST", "/outbox/" .. item .. "/redrive", {}, tokens.operator).json)
    wait_rows(1, "outbox", "--state", "dead", "--json")
    assert.same({ runs = 0, items = 0 }, call("POST", "/dead/drop", { kind = "email" }, tokens.operator).json)
    assert.same({ runs = 0, items = 1 }, call("POST", "/outbox/" .. item .. "/drop", {}, tokens.operator).json)
    assert.equal(404, call("POST", "/outbox/" .. item .. "/drop", {}, tokens.operator).status)
    assert.equal("dropped", rows("outbox", "--id", item, "--json")[1].state)
  end)

  it("pauses and resumes rules, and knows their names", function()
    local answer = call("POST", "/rules/Calls%20back/pause", { by = "Ann" }, tokens.operator)
    assert.same({ rule = "Calls back", was = "on", state = "paused", kept = 0 }, answer.json)
    assert.equal("rule.pause", last().action)
    assert.equal('{"kept":0,"by":"Ann"}', last().detail)
    send("call", { number = "+31201234568" })
    wait_rows(1, "runs", "--state", "paused", "--json")
    answer = call("POST", "/rules/Calls%20back/resume", {}, tokens.operator)
    assert.equal("resuming", answer.json.state)
    wait_rows(1, "callbacks", "--state", "open", "--json")
    support.wait_for(function()
      answer = call("POST", "/rules/Calls%20back/resume", {}, tokens.operator)
      return answer.status == 409
    end, 5, "the rule to be on")
    assert.equal("on", answer.json.error.state)
    answer = call("POST", "/rules/Calls%20bakc/pause", {}, tokens.operator)
    assert.equal(404, answer.status)
    assert.truthy(answer.body:find('did you mean', 1, true))
  end)

  it("cancels timers", function()
    send("later", { name = "a b/c" })
    wait_rows(2, "timers", "--json")
    assert.equal(409, call("DELETE", "/timers/Digest", nil, tokens.operator).status)
    local answer = call("DELETE", "/timers/a%20b%2Fc", nil, tokens.operator)
    assert.equal("a b/c", answer.json.name)
    assert.equal("timer.cancel", last().action)
    assert.equal(404, call("DELETE", "/timers/a%20b%2Fc", nil, tokens.operator).status)
    wait_rows(1, "timers", "--json")
  end)

  it("makes and revokes tokens; those count at once", function()
    local answer = call("POST", "/tokens", { name = "ci", role = "viewer", expires = "90d" }, tokens.admin)
    assert.equal(201, answer.status)
    assert.equal("token.new", last().action)
    assert.equal("admin", last().who)
    assert.is_nil(last().detail:find(answer.json.token, 1, true))
    local ci = answer.json.token
    assert.equal(200, call("GET", "/status", nil, ci).status)
    assert.equal(409, call("POST", "/tokens", { name = "ci", role = "admin" }, tokens.admin).status)
    for field, body in pairs { name = { role = "viewer" }, role = { name = "x" },
                               expires = { name = "x", role = "viewer", expires = "never" } } do
      answer = call("POST", "/tokens", body, tokens.admin)
      assert.equal(400, answer.status)
      assert.equal(field, answer.json.error.field)
    end
    assert.equal(400, call("POST", "/tokens", { name = "x", role = "root" }, tokens.admin).status)
    local names = {}
    for _, item in ipairs(call("GET", "/tokens", nil, tokens.admin).json.items) do
      names[item.name] = item
      assert.is_nil(item.token)
      assert.is_nil(item.hash)
    end
    assert.equal("viewer", names.ci.role)
    assert.equal("admin", names.ci.created_by)
    assert.is_false(names.ci.expired)
    assert.equal(200, call("DELETE", "/tokens/ci", nil, tokens.admin).status)
    assert.equal(401, call("GET", "/status", nil, ci).status)
    assert.equal(404, call("DELETE", "/tokens/ci", nil, tokens.admin).status)
  end)

  it("lets expired ones in no more, and does not forget that there are tokens", function()
    local short = new_token("short", "viewer", "--expires", "300ms")
    assert.equal(200, call("GET", "/status", nil, short).status)
    support.wait_for(function() return call("GET", "/status", nil, short).status == 401 end, 5, "its end")
    assert.truthy(engine:log():find("expired_token", 1, true))
    local shown = select(2, engine:cli("token", "list"))
    assert.truthy(shown:match "short +viewer[^\n]*expired")
    engine:cli("token", "revoke", "short")
  end)

  it("is what the command line uses, here and from elsewhere", function()
    send("call", { number = "+31201234569" })
    local id = wait_rows(2, "callbacks", "--state", "open", "--json")[2].id
    local _, out, exit = engine:cli("callbacks", "done", id, "--note", "spoke", "--by", "Ann")
    assert.equal(0, exit, out)
    assert.truthy(out:match "done: %+31201234569")
    local user = support.capture("id -un"):match "%S+"
    assert.same({ who = user, role = "local", action = "callback.done", target = id, detail = '{"by":"Ann"}' }, last())
    local listed = rows("audit", "--limit", "1", "--json")[1]
    assert.equal(id, listed.target)
    assert.equal("Ann", listed.detail.by)
    assert.truthy(select(2, engine:cli("audit", "--since", "1h")):find("callback.done", 1, true))
    -- over the network: with a token, by its role
    support.write_file(engine.dir .. "/operator", tokens.operator .. "\n")
    local function far(words)
      return support.capture(("cd %s && %s %s --url http://127.0.0.1:%d --token-file operator 2>&1"):format(
        engine.dir, support.bin, words, engine.port))
    end
    out, exit = far "rules pause Later --json"
    assert.equal(0, exit, out)
    assert.equal("paused", cjson.decode(out).state)
    assert.equal("operator", last().who)
    assert.equal(0, select(2, far "rules resume Later"))
    -- what is listed there is what is listed here
    for _, words in ipairs { "events --limit 3", "events --state dead", "runs --limit 2", "timers", "outbox",
                             "callbacks --state done", "callbacks --assignee ann@example.org", "events --since 1h" } do
      local there, here = {}, support.capture(("cd %s && %s %s --json --data data"):format(
        engine.dir, support.bin, words))
      for line in far(words .. " --json"):gmatch "[^\n]+" do there[#there + 1] = cjson.decode(line) end
      local count = 0
      for line in here:gmatch "[^\n]+" do
        count = count + 1
        for key, value in pairs(cjson.decode(line)) do assert.same(value, there[count][key], words .. ": " .. key) end
      end
      assert.equal(count, #there, words)
    end
    local conns = {} -- more than a page: by 60 at once, for the disk's sake
    for i = 1, 60 do conns[i] = engine:connect() end
    for i = 1, 600 do
      local body = ('{"event":"quiet","call_id":"q%d"}'):format(i)
      conns[i % 60 + 1]:send("POST /hooks/webphone HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" ..
        "Content-Length: " .. #body .. "\r\n\r\n" .. body)
      if i % 60 == 0 then for _, conn in ipairs(conns) do assert.equal(200, conn:answer().status) end end
    end
    for _, conn in ipairs(conns) do conn:close() end
    local _, all = engine:cli("events", "--json")
    for _, words in ipairs { "", "--limit 550" } do
      local there, n_there = {}, 0
      for line in far("events --json " .. words):gmatch "[^\n]+" do
        n_there = n_there + 1
        there[n_there] = cjson.decode(line).id
      end
      local ids = {}
      for line in all:gmatch "%b{}" do ids[#ids + 1] = cjson.decode(line).id end
      assert.equal(words == "" and #ids or 550, n_there)
      for i = 1, n_there do assert.equal(ids[#ids - n_there + i], there[i]) end
    end
    assert.truthy(far("callbacks --id " .. id):find("history", 1, true))
    assert.equal("Not found.\n", (far("events --id " .. ("0"):rep(8) .. "-0000-7000-8000-000000000000")))
    assert.truthy(far("audit"):find("needs the role admin", 1, true))
    out, exit = far "reload"
    assert.equal(1, exit)
    assert.truthy(out:find("this needs the role admin; yours is operator", 1, true), out)
    out, exit = support.capture(("SWITCHHOOK_URL=http://127.0.0.1:%d SWITCHHOOK_TOKEN=%s %s status --json"):format(
      engine.port, tokens.viewer, support.bin))
    assert.truthy(out:find('"version"', 1, true), out .. exit)
    out = support.capture(("SWITCHHOOK_URL=http://127.0.0.1:%d SWITCHHOOK_TOKEN=sh_x %s status 2>&1"):format(
      engine.port, support.bin))
    assert.truthy(out:find("does not know the token in SWITCHHOOK_TOKEN", 1, true), out)
    assert.is_nil(engine:log():find(tokens.operator, 1, true))
  end)

  it("is not needed: without an engine the command line writes the same", function()
    local id = send "bad"
    wait_rows(1, "runs", "--state", "dead", "--json")
    engine:stop()
    local count = #audit()
    local _, out, exit = engine:cli("drop", id)
    assert.equal(0, exit, out)
    assert.equal("1 run and 0 outbox items dropped.\n", out)
    assert.equal(1, select(3, engine:cli("drop", id)))
    assert.equal(0, select(3, engine:cli("rules", "pause", "Later")))
    local late = new_token("late", "viewer")
    assert.equal(0, select(3, engine:cli("token", "revoke", "viewer")))
    local all = audit()
    assert.equal(count + 4, #all)
    assert.equal("local", all[count + 1].role)
    assert.equal("dead.drop", all[count + 1].action)
    assert.equal("token.revoke", all[count + 4].action)
    engine:start()
    support.wait_for(function() return call("GET", "/status", nil, late).status == 200 end, 5, "the tokens")
    assert.equal(401, call("GET", "/status", nil, tokens.viewer).status)
  end)

  it("has answered as docs/openapi.json says", function()
    local paths, lines = cjson.decode(support.read_file "docs/openapi.json").paths, {}
    for _, answer in ipairs(answers) do
      for path, operations in pairs(paths) do
        local pattern = "^" .. path:gsub("%-", "%%-"):gsub("%.", "%%."):gsub("{.-}", "[^/]+") .. "$"
        local fits = answer.asked:find(pattern) and operations[answer.method:lower()]
        if fits and answer.path ~= answer.asked then answer.path = path end -- "day" is no {id}
      end
      if answer.path then lines[#lines + 1] = cjson.encode(answer) end
    end
    support.write_file(engine.dir .. "/answers", table.concat(lines, "\n") .. "\n")
    local out, exit = support.capture("/usr/bin/python3 -B tests/e2e/openapi_check.py docs/openapi.json <" ..
      engine.dir .. "/answers")
    assert.equal(0, exit, out)
    assert.is_true(tonumber(out:match "of (%d+) operations") > 30, out)
  end)

  it("answers no more than so many guesses of an address", function()
    local refused
    for i = 1, 60 do
      local answer = call("GET", "/status", nil, "sh_guess" .. i)
      refused = code(answer) == "too_many_failures"
      if refused then assert.equal(403, answer.status) break end
    end
    assert.is_true(refused)
    local metrics = engine:request("GET", "/metrics").body
    for _, reason in ipairs { "unknown_token", "too_many_failures" } do
      assert.truthy(metrics:find('requests_refused_total{source="",reason="' .. reason .. '"}', 1, true), reason)
    end
    assert.equal(200, call("GET", "/status", nil, tokens.operator).status)
  end)

  it("has its words on docs/errors.md", function()
    local page = support.read_file "docs/errors.md"
    local said = {}
    for _, answer in ipairs(answers) do
      local json = answer.status >= 400 and cjson.decode(answer.body)
      if json and answer.asked ~= "/api/v1/forget" then said[json.error.message] = json.error.code end
    end
    local function shown(text) -- as the page has it: up to what differs each time, and ".." for more
      for cell in page:gmatch "\n| (`[^|]-`) |" do
        for words in cell:gmatch "`(.-)`" do
          local pattern = words:gsub("%p", "%%%0"):gsub("%%%.%%%.$", ".*"):gsub('%%".-%%"', '".-"')
            :gsub("ID", "%%x+"):gsub("admin", "%%a+"):gsub("operator$", "%%a+")
          if text == words or text:match("^" .. pattern .. "$") then return true end
        end
      end
    end
    local checked = 0
    for message, kind in pairs(said) do
      if kind ~= "not_found" and kind ~= "unsupported_media_type" or message:find "dead letter" then
        checked = checked + 1
        assert.is_true(shown(message), message)
      end
    end
    assert.is_true(checked > 12, checked .. " messages")
  end)

  it("writes down nothing that docs/http-api.md does not name", function()
    local page, actions, n_actions = support.read_file "docs/http-api.md", {}, 0
    for _, row in ipairs(audit()) do actions[row.action] = true end
    for action in pairs(actions) do
      n_actions = n_actions + 1
      assert.truthy(page:find("`" .. action .. "`", 1, true), action)
    end
    assert.is_true(n_actions > 8)
  end)

  it("opens to this machine when the last one is revoked", function()
    for _, row in ipairs(rows("token", "--json")) do engine:cli("token", "revoke", row.name) end
    assert.equal(200, call("GET", "/status").status)
  end)
end)

describe("switchhook token", function()
  local engine

  setup(function() engine = support.engine { start = false } end)
  teardown(function() engine:close() end)

  it("makes one before the first start, and shows it alone", function()
    local out, exit = support.capture(("cd %s && %s token new first --role admin --data data 2>err"):format(
      engine.dir, support.bin))
    assert.equal(0, exit, support.read_file(engine.dir .. "/err"))
    assert.truthy(out:match "^sh_[%w_-]+\n$", out)
    assert.truthy(support.read_file(engine.dir .. "/err"):find("only this once", 1, true))
    out = support.capture(("cd %s && %s token new quiet --role viewer --quiet --data data 2>err"):format(
      engine.dir, support.bin))
    assert.equal("", support.read_file(engine.dir .. "/err"))
    engine:start()
    local token = out:match "%S+"
    local answer = engine:request("GET", "/api/v1/status", nil, { Authorization = "Bearer " .. token })
    assert.is_true(answer.status == 200 or answer.status == 503)
    assert.is_true(engine:request("GET", "/api/v1/status").status ~= 200)
  end)

  it("says what is wrong", function()
    for words, want in pairs { ["new x"] = "--role viewer, operator or admin",
                               ["new x --role root"] = "expected viewer, operator or admin",
                               ["new a/b --role viewer"] = "letters, digits",
                               ["new x --role viewer --expires never"] = "such as \"90d\"",
                               ["revoke nobody"] = "there is no token named \"nobody\"",
                               ["new first --role viewer"] = "already" } do
      local out, exit = support.capture(("cd %s && %s token %s --data data 2>&1"):format(
        engine.dir, support.bin, words))
      assert.is_true(exit ~= 0, words)
      assert.truthy(out:find(want, 1, true), words .. ": " .. out)
    end
  end)
end)
