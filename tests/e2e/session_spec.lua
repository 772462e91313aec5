-- SPDX-License-Identifier: MIT
-- session_spec.lua: logging in to the console: the cookie and its marks, what other pages cannot do
-- with it, what ends it, and what it may do.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local session_path = "/api/v1/session"
local secure_cookie = "^__Host%-switchhook_session=[%w_%-]+; Path=/; HttpOnly; SameSite=Strict; Secure$"

local function config(more)
  return ([[
return { %s limits = { auth_failures = 5 }, trusted_proxies = { "127.0.0.3" },
  url = "https://hook.example.org/", sources = { webphone = { path = "/hooks/webphone", auth = "none",
  type = { field = "event" }, key = { field = "call_id" } } } }
]]):format(more or "")
end

local rules = { ["a.lua"] = [[
rule "Quiet" { on = "*", run = function() end }
rule "Calls back" { on = "call", run = function(e)
  callback { number = e.number, due = now() + hour, assignee = "ann@example.org", reason = "r" }
end }
]] }

local function code(answer) return answer.json and answer.json.error and answer.json.error.code end

-- One request, from that address of this machine; headers: a table, or { {name, value}, .. } in order.
local function ask(engine, method, path, options)
  options = options or {}
  local socket = require "socket"
  local sock = socket.tcp()
  assert(sock:bind(options.from or "127.0.0.1", 0))
  sock:settimeout(10)
  assert(sock:connect("127.0.0.1", engine.port))
  local body = options.body and (type(options.body) == "table" and cjson.encode(options.body) or options.body)
  local lines = { ("%s %s HTTP/1.1"):format(method, path), "Host: " .. (options.host or "127.0.0.1"),
                  "Connection: close" }
  for name, value in pairs(options.headers or {}) do
    if type(name) == "number" then name, value = value[1], value[2] end
    lines[#lines + 1] = name .. ": " .. value
  end
  if (method == "POST" or body) and not options.plain then lines[#lines + 1] = "Content-Type: application/json" end
  if options.plain then lines[#lines + 1] = "Content-Type: " .. options.plain end
  if body or method == "POST" then lines[#lines + 1] = "Content-Length: " .. #(body or "") end
  sock:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  local text = sock:receive "*a"
  sock:close()
  local head, rest = text:match "^(.-\r\n)\r\n(.*)$"
  local answer = { status = tonumber(head:match "^HTTP/1%.1 (%d+)"), headers = {}, body = rest, text = text }
  for name, value in head:gmatch "\r\n([^:\r\n]+): ([^\r\n]*)" do answer.headers[name:lower()] = value end
  if rest:match "^[{%[]" then answer.json = cjson.decode(rest) end
  return answer
end

local function sql(engine, text)
  return (support.capture(("/usr/bin/python3 -c %s"):format(support.quote(([[
import sqlite3, json
for r in sqlite3.connect("file:%s/switchhook.db?mode=ro", uri=True).execute(%q): print(json.dumps(r))
]]):format(engine.data, text)))))
end

local function log_in(engine, token, options)
  options = options or {}
  options.body = options.body or { token = token }
  return ask(engine, "POST", session_path, options)
end

-- A browser that is logged in: { cookie = "name=value", csrf = .. }.
local function browser(engine, token, options)
  local answer = log_in(engine, token, options)
  assert.equal(200, answer.status, answer.body)
  return { cookie = answer.headers["set-cookie"]:match "^[^;]+", csrf = answer.json.csrf, answer = answer }
end

-- A request of such a browser; more: headers besides. Changes have the CSRF token unless csrf is false.
local function of(engine, b, method, path, more, options)
  options = options or {}
  local headers = { Cookie = b.cookie }
  if method ~= "GET" and method ~= "HEAD" and options.csrf ~= false then headers["X-CSRF-Token"] = b.csrf end
  for name, value in pairs(more or {}) do headers[name] = value end
  options.headers = headers
  return ask(engine, method, path, options)
end

local function metric(engine, reason)
  local text = engine:request("GET", "/metrics").body
  return tonumber(text:match('requests_refused_total{source="",reason="' .. reason .. '"} (%d+)')) or 0
end

describe("a session", function()
  local engine, tokens
  setup(function()
    engine = support.engine { config = config(), rules = rules }
    tokens = {}
    for _, role in ipairs { "viewer", "operator", "admin" } do
      tokens[role] = engine:cli("token", "new", role, "--role", role, "--json")[1].token
    end
  end)
  teardown(function() engine:close() end)

  it("is opened with a token, and known by a cookie that scripts cannot read", function()
    local answer = log_in(engine, tokens.operator)
    assert.equal(200, answer.status, answer.body)
    local value = answer.headers["set-cookie"]:match(
      "^switchhook_session=([%w_%-]+); Path=/; HttpOnly; SameSite=Strict$")
    assert.equal(43, #assert(value, answer.headers["set-cookie"]))
    assert.equal("no-store", answer.headers["cache-control"])
    local said = answer.json
    assert.equal("operator", said.who)
    assert.equal("operator", said.role)
    assert.is_false(said.open)
    assert.equal(43, #said.csrf)
    assert.is_nil(answer.body:find(value, 1, true), "scripts would see it")
    local b = { cookie = "switchhook_session=" .. value, csrf = said.csrf }
    assert.same(said, of(engine, b, "GET", session_path).json)
    assert.equal(200, of(engine, b, "HEAD", "/api/v1/status").status)
    assert.equal(200, of(engine, b, "GET", "/metrics", { ["X-Forwarded-For"] = "192.0.2.1" }).status)
    assert.equal(404, ask(engine, "GET", "/metrics", { headers = { ["X-Forwarded-For"] = "192.0.2.1" } }).status)
    -- it is kept as a hash, and stands in no log
    assert.equal("[1]\n", sql(engine, "SELECT count(*) FROM sh_sessions WHERE length(hash) = 32"))
    for _, text in ipairs { value, said.csrf, tokens.operator } do
      assert.is_nil(support.capture("grep -rc " .. text .. " " .. engine.data):match ":[1-9]")
      assert.is_nil(engine:log():find(text, 1, true))
    end
    assert.truthy(sql(engine, "SELECT who, role, peer, action FROM sh_audit ORDER BY seq DESC LIMIT 1")
      :find('["operator", "operator", "127.0.0.1", "session.open"]', 1, true))
  end)

  it("is refused to who has no good token, with the limit that all wrong tokens have", function()
    local before = sql(engine, "SELECT count(*) FROM sh_sessions")
    for _, body in ipairs { {}, "", "[]", { token = "" }, { token = 1 }, { token = cjson.null },
                            { token = tokens.viewer, more = 1 } } do
      local answer = log_in(engine, nil, { body = body == "" and "" or body })
      assert.equal(400, answer.status, cjson.encode(body) .. answer.body)
    end
    assert.equal(413, log_in(engine, ("a"):rep(70000)).status)
    for i = 1, 5 do
      local answer = log_in(engine, "sh_" .. ("a"):rep(43), { from = "127.0.0.5" })
      assert.equal(401, answer.status, i)
      assert.equal("unauthorized", code(answer))
      assert.equal("Bearer", answer.headers["www-authenticate"])
      assert.is_nil(answer.headers["set-cookie"])
    end
    local answer = log_in(engine, "sh_" .. ("a"):rep(43), { from = "127.0.0.5" })
    assert.equal(403, answer.status)
    assert.equal("too_many_failures", code(answer))
    -- the same count as a wrong bearer's, and a right token still gets in
    answer = ask(engine, "GET", "/api/v1/status", { from = "127.0.0.5", headers = { Authorization = "Bearer x" } })
    assert.equal("too_many_failures", code(answer))
    assert.equal(before, sql(engine, "SELECT count(*) FROM sh_sessions"))
    assert.equal(200, log_in(engine, tokens.viewer, { from = "127.0.0.5" }).status)
    -- cookies that lead nowhere are no guesses
    for _ = 1, 10 do
      answer = ask(engine, "GET", "/api/v1/status", { from = "127.0.0.6",
        headers = { Cookie = "switchhook_session=" .. ("a"):rep(43) } })
      assert.equal(401, answer.status)
    end
    assert.equal(401, log_in(engine, "x", { from = "127.0.0.6" }).status)
    assert.is_true(metric(engine, "no_session") >= 10)
  end)

  it("takes no cookie but one of the form, once, and a bearer goes before it", function()
    local b = browser(engine, tokens.viewer)
    local value = b.cookie:match "=(.*)"
    local function status(headers) return ask(engine, "GET", "/api/v1/status", { headers = headers }).status end
    assert.equal(200, status { Cookie = "a=b; " .. b.cookie .. "; c=d" })
    assert.equal(200, status { Cookie = b.cookie, Authorization = "Basic eDp5" })
    for _, cookie in ipairs { "", ";", "=", value, "switchhook_session=", b.cookie .. "a", b.cookie:sub(1, -2),
                              "switchhook_session=\"" .. value .. "\"", b.cookie .. "; " .. b.cookie,
                              "switchhook_session=x; " .. b.cookie, "__Host-" .. b.cookie,
                              b.cookie:upper(), ("x=y; "):rep(1000), "\xff\xfe", b.cookie:gsub("=", " = ") .. "" } do
      assert.equal(401, status { Cookie = cookie }, cookie)
    end
    assert.equal(401, status { { "Cookie", b.cookie }, { "Cookie", b.cookie } })
    assert.equal(200, status { { "Cookie", "a=b" }, { "Cookie", b.cookie } })
    assert.equal(431, status { Cookie = b.cookie .. "; a=" .. ("a"):rep(200000) })
    for _, wrong in ipairs { "Bearer sh_" .. ("b"):rep(43), "Bearer", "Bearer ", "bearer x" } do
      assert.equal(401, status { Cookie = b.cookie, Authorization = wrong }, wrong)
    end
    local answer = ask(engine, "GET", session_path,
      { headers = { Cookie = b.cookie, Authorization = "Bearer " .. tokens.admin } })
    assert.equal("admin", answer.json.who)
    assert.equal(cjson.null, answer.json.csrf)
    assert.equal(cjson.null, answer.json.expires_at)
  end)

  it("does what its token's role may, and no more, in its name", function()
    local rank, by = { none = 0, viewer = 1, operator = 2, admin = 3 }, {}
    for role, token in pairs(tokens) do by[role] = browser(engine, token) end
    local doc = of(engine, by.viewer, "GET", "/api/v1/openapi.json").json
    local n = 0
    for path, operations in pairs(doc.paths) do
      for method, operation in pairs(operations) do
        for role, b in pairs(by) do
          if path ~= session_path and rank[role] < rank[operation["x-role"]] then
            n = n + 1
            local answer = of(engine, b, method:upper(), (path:gsub("{.-}", "abcdef0")))
            assert.equal("role_too_low", code(answer), method .. " " .. path .. " " .. answer.body)
          end
        end
      end
    end
    assert.is_true(n > 20)
    engine:post("/hooks/webphone", '{"event":"call","call_id":"c1","number":"+31201234567"}')
    local call = support.wait_for(function()
      return of(engine, by.operator, "GET", "/api/v1/callbacks").json.items[1]
    end, 10, "the callback")
    assert.equal("+31201234567", call.number)
    assert.is_nil(of(engine, by.viewer, "GET", "/api/v1/callbacks").body:find("31201234567", 1, true))
    local answer = of(engine, by.operator, "POST", "/api/v1/callbacks/" .. call.id .. "/done", nil, { body = {} })
    assert.equal(200, answer.status, answer.body)
    assert.truthy(sql(engine, "SELECT who, role, peer, action FROM sh_audit ORDER BY seq DESC LIMIT 1")
      :find('["operator", "operator", "127.0.0.1", "callback.done"]', 1, true))
  end)

  it("changes nothing without its own CSRF token", function()
    local b, other = browser(engine, tokens.operator), browser(engine, tokens.operator)
    local before = sql(engine, "SELECT count(*) FROM sh_audit")
    local paused = "/api/v1/rules/Quiet/pause"
    assert.are_not.equal(b.csrf, other.csrf)
    for name, csrf in pairs { none = false, empty = "", another = other.csrf, cookie = b.cookie:match "=(.*)",
                              short = b.csrf:sub(1, -2), long = b.csrf .. "a" } do
      local answer = of(engine, b, "POST", paused, { ["X-CSRF-Token"] = csrf or nil }, { csrf = false, body = {} })
      assert.equal(403, answer.status, name)
      assert.equal("csrf", code(answer), name)
    end
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
      for _, path in ipairs { "/api/v1/status", "/api/v1/reload", "/api/v1/nothing" } do
        assert.equal("csrf", code(of(engine, b, method, path, nil, { csrf = false })), method)
      end
    end
    assert.equal("csrf", code(of(engine, b, "DELETE", session_path, nil, { csrf = false })))
    assert.equal(before, sql(engine, "SELECT count(*) FROM sh_audit"))
    assert.equal(200, of(engine, b, "GET", session_path).status)
    assert.is_true(metric(engine, "no_csrf_token") > 0)
    assert.is_true(metric(engine, "wrong_csrf_token") > 0)
    -- a bearer needs none: no page can make a browser send that
    local answer = ask(engine, "POST", paused,
      { body = {}, headers = { Authorization = "Bearer " .. tokens.operator } })
    assert.equal(200, answer.status)
    assert.equal(200, of(engine, b, "POST", "/api/v1/rules/Quiet/resume", nil, { body = {} }).status)
  end)

  it("is of no use to pages of others, and nobody is logged in by them", function()
    local b = browser(engine, tokens.operator)
    local own, others = { "http://127.0.0.1", "https://hook.example.org", "https://127.0.0.1" },
      { "http://127.0.0.1:3000", "http://localhost", "https://evil.example.org", "null", "",
        "http://127.0.0.1.evil.example.org", "https://hook.example.org.evil.example.org",
        "https://hook.example.orgx", "http://hook.example.org", "file://" }
    for _, origin in ipairs(own) do
      for _, site in ipairs { "same-origin" } do
        local headers = { Origin = origin, ["Sec-Fetch-Site"] = site }
        assert.equal(200, of(engine, b, "GET", "/api/v1/status", headers).status, origin)
        assert.equal(200, of(engine, b, "POST", "/api/v1/dead/redrive", headers, { body = { all = true } }).status)
        assert.equal(200, log_in(engine, tokens.viewer, { headers = headers }).status, origin)
      end
    end
    local before = sql(engine, "SELECT count(*) FROM sh_sessions")
    local function refused(headers, what)
      local answer = of(engine, b, "GET", "/api/v1/status", headers)
      assert.equal(403, answer.status, what)
      assert.equal("csrf", code(answer), what)
      answer = of(engine, b, "POST", "/api/v1/dead/redrive", headers, { body = { all = true } })
      assert.equal("csrf", code(answer), what)
      assert.equal("csrf", code(of(engine, b, "DELETE", session_path, headers)), what)
      answer = log_in(engine, tokens.viewer, { headers = headers })
      assert.equal("csrf", code(answer), what)
      assert.is_nil(answer.headers["set-cookie"])
      assert.equal(404, of(engine, b, "GET", "/metrics", { ["X-Real-IP"] = "192.0.2.1", Origin = headers.Origin,
        ["Sec-Fetch-Site"] = headers["Sec-Fetch-Site"] }).status)
    end
    for _, origin in ipairs(others) do refused({ Origin = origin }, origin) end
    for _, site in ipairs { "cross-site", "same-site", "", "Same-Origin" } do
      refused({ ["Sec-Fetch-Site"] = site }, site)
    end
    -- a person who types an address has sent it; nobody types a POST
    assert.equal(200, of(engine, b, "GET", "/api/v1/status", { ["Sec-Fetch-Site"] = "none" }).status)
    assert.equal("csrf", code(of(engine, b, "POST", "/api/v1/dead/redrive", { ["Sec-Fetch-Site"] = "none" },
      { body = { all = true } })))
    -- what a form of any page can send
    for _, kind in ipairs { "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "" } do
      local answer = log_in(engine, tokens.viewer, { plain = kind })
      assert.equal(415, answer.status, kind)
    end
    assert.equal(before, sql(engine, "SELECT count(*) FROM sh_sessions"))
    -- nobody is asked about other origins, and none is allowed
    local answer = ask(engine, "OPTIONS", session_path, { headers = { Origin = "https://evil.example.org",
      ["Access-Control-Request-Method"] = "POST", ["Access-Control-Request-Headers"] = "content-type" } })
    assert.is_nil(answer.headers["access-control-allow-origin"])
    assert.is_true(answer.status >= 400)
  end)

  it("is a new one at every log-in, whatever cookie was set before", function()
    local planted = "switchhook_session=" .. ("A"):rep(43)
    local answer = log_in(engine, tokens.viewer, { headers = { Cookie = planted } })
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["set-cookie"]:find(planted, 1, true))
    assert.equal(401, ask(engine, "GET", session_path, { headers = { Cookie = planted } }).status)
    local mine = browser(engine, tokens.viewer)
    answer = log_in(engine, tokens.admin, { headers = { Cookie = mine.cookie } })
    assert.is_nil(answer.headers["set-cookie"]:find(mine.cookie, 1, true))
    assert.equal("viewer", of(engine, mine, "GET", session_path).json.who)
  end)

  it("ends at log-out, for every copy of its cookie", function()
    local b, other = browser(engine, tokens.viewer), browser(engine, tokens.viewer)
    local answer = of(engine, b, "DELETE", session_path)
    assert.same({ closed = true }, answer.json)
    assert.equal("switchhook_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", answer.headers["set-cookie"])
    assert.equal(401, of(engine, b, "GET", session_path).status)
    assert.equal(401, of(engine, b, "DELETE", session_path).status)
    assert.equal(200, of(engine, other, "GET", session_path).status)
    assert.truthy(sql(engine, "SELECT who, role, action FROM sh_audit ORDER BY seq DESC LIMIT 1")
      :find('["viewer", "viewer", "session.close"]', 1, true))
    answer = ask(engine, "DELETE", session_path, { headers = { Authorization = "Bearer " .. tokens.viewer } })
    assert.same({ closed = false }, answer.json)
  end)

  it("outlives the engine, if it was not closed before", function()
    local b, gone = browser(engine, tokens.operator), browser(engine, tokens.operator)
    assert.equal(200, of(engine, gone, "DELETE", session_path).status)
    for _, way in ipairs { "stop", "kill9" } do
      engine[way](engine)
      engine:start()
      local answer = support.wait_for(function()
        local a = of(engine, b, "GET", session_path)
        return a.status ~= 503 and a
      end, 10, "the sessions")
      assert.equal(200, answer.status)
      assert.equal(b.csrf, answer.json.csrf)
      assert.equal(401, of(engine, gone, "GET", session_path).status)
    end
    assert.equal(200, of(engine, b, "POST", "/api/v1/dead/redrive", nil, { body = { all = true } }).status)
  end)

  it("ends with its token: revoked here, or by another process, or expired", function()
    local function new(name, ...)
      return engine:cli("token", "new", name, "--role", "viewer", "--json", ...)[1].token
    end
    local b = browser(engine, new "leaves")
    assert.equal(200, of(engine, b, "GET", session_path).status)
    engine:cli("token", "revoke", "leaves")
    assert.equal(401, of(engine, b, "GET", session_path).status)
    assert.truthy(sql(engine, "SELECT detail FROM sh_audit ORDER BY seq DESC LIMIT 1"):find('sessions\\":1', 1, true))
    new "leaves" -- another token of that name
    assert.equal(401, of(engine, b, "GET", session_path).status)
    -- while the engine is away
    b = browser(engine, new "away")
    engine:stop()
    engine:cli("token", "revoke", "away")
    assert.truthy(sql(engine, "SELECT count(*) FROM sh_sessions s WHERE NOT EXISTS(SELECT 1 FROM sh_tokens t" ..
      " WHERE t.hash = s.token)"):find("[0]", 1, true))
    engine:start()
    assert.equal(401, of(engine, b, "GET", session_path).status)
    -- never longer than the token
    b = browser(engine, new("short", "--expires", "1s"))
    local first = of(engine, b, "GET", session_path)
    assert.is_true(first.status == 200 or first.status == 401)
    support.wait_for(function() return of(engine, b, "GET", session_path).status == 401 end, 10, "its end")
    local long = browser(engine, tokens.viewer).answer.json.expires_at
    local said = support.capture(("/usr/bin/python3 -c \"import datetime as d; print((d.datetime.fromisoformat(" ..
      "'%s') - d.datetime.now(d.timezone.utc)).total_seconds())\""):format((long:gsub("Z$", "+00:00"))))
    local h = tonumber((said:gsub("%s", "")))
    assert.is_true(h > 11.5 * 3600 and h <= 12 * 3600, tostring(h))
  end)

  it("makes room for new ones of its token, the oldest first", function()
    local shared = engine:cli("token", "new", "shared", "--role", "viewer", "--json")[1].token
    local all = {}
    for i = 1, 51 do all[i] = browser(engine, shared) end
    assert.equal(401, of(engine, all[1], "GET", session_path).status)
    assert.equal(200, of(engine, all[2], "GET", session_path).status)
    assert.equal(200, of(engine, all[51], "GET", session_path).status)
    engine:restart()
    support.wait_for(function()
      return of(engine, all[51], "GET", session_path).status == 200
    end, 10, "the sessions")
    assert.equal(401, of(engine, all[1], "GET", session_path).status)
    assert.equal(200, of(engine, all[2], "GET", session_path).status)
  end)

  it("is bound to HTTPS where a trusted proxy says that it is spoken", function()
    local proxy = { from = "127.0.0.3", headers = { ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-For"] = "192.0.2.9", Origin = "https://127.0.0.1" } }
    local answer = log_in(engine, tokens.operator, proxy)
    assert.equal(200, answer.status, answer.body)
    local cookie = answer.headers["set-cookie"]
    assert.truthy(cookie:match(secure_cookie), cookie)
    assert.truthy(sql(engine, "SELECT peer, action FROM sh_audit ORDER BY seq DESC LIMIT 1")
      :find('["192.0.2.9", "session.open"]', 1, true))
    local b = { cookie = cookie:match "^[^;]+", csrf = answer.json.csrf }
    local function status(from, proto, text, origin)
      return ask(engine, "GET", "/api/v1/status", { from = from, headers = { Cookie = text,
        ["X-Forwarded-Proto"] = proto, Origin = origin } }).status
    end
    assert.equal(200, status("127.0.0.3", "https", b.cookie))
    assert.equal(401, status("127.0.0.3", "http", b.cookie))
    assert.equal(401, status("127.0.0.3", nil, b.cookie))
    assert.equal(401, status("127.0.0.1", "https", b.cookie), "anybody can say so")
    -- a cookie that a plain page, or a neighbour's, has set counts for nothing there
    assert.equal(401, status("127.0.0.3", "https", (b.cookie:gsub("^__Host%-", ""))))
    assert.equal(200, status("127.0.0.3", "https", b.cookie .. "; switchhook_session=x"))
    assert.equal(200, status("127.0.0.3", "https", b.cookie, "https://hook.example.org"))
    assert.equal(403, status("127.0.0.3", "https", b.cookie, "http://127.0.0.1"))
    -- no proxy of ours: not Secure
    answer = log_in(engine, tokens.viewer, { headers = { ["X-Forwarded-Proto"] = "https" } })
    assert.truthy(answer.headers["set-cookie"]:match "^switchhook_session=")
    assert.is_nil(answer.headers["set-cookie"]:find("Secure", 1, true))
  end)
end)

describe("without a token", function()
  local engine
  setup(function() engine = support.engine { config = config() } end)
  teardown(function() engine:close() end)

  it("nobody logs in on this machine, others cannot, and the first token ends that", function()
    local function get(headers, host)
      return ask(engine, "GET", session_path, { headers = headers, host = host })
    end
    local user = get {}
    assert.equal(200, user.status)
    assert.same({ who = "local", role = "admin", csrf = cjson.null, expires_at = cjson.null, open = true }, user.json)
    for host in pairs { localhost = 1, ["127.0.0.1:8080"] = 1, ["[::1]"] = 1 } do
      assert.equal(200, get({ Origin = "http://" .. host, ["Sec-Fetch-Site"] = "same-origin" }, host).status, host)
    end
    -- a name that was made to resolve to this machine; other pages of this machine; proxies
    for _, case in ipairs { { {}, "evil.example.org" }, { {}, "127.0.0.1.evil.example.org" },
                            { {}, "hook.example.org" },
                            { { Origin = "http://localhost:3000" } }, { { Origin = "null" } },
                            { { Origin = "https://hook.example.org" } },
                            { { ["Sec-Fetch-Site"] = "same-site" } }, { { ["Sec-Fetch-Site"] = "cross-site" } },
                            { { ["X-Forwarded-For"] = "192.0.2.1" } } } do
      local answer = get(case[1], case[2])
      assert.equal(403, answer.status)
      assert.equal("not_direct", code(answer))
      answer = ask(engine, "POST", "/api/v1/tokens", { headers = case[1], host = case[2],
        body = { name = "x", role = "admin" } })
      assert.equal("not_direct", code(answer))
    end
    assert.equal("conflict", code(log_in(engine, "sh_" .. ("a"):rep(43))))
    assert.equal("not_direct", code(log_in(engine, "x", { headers = { ["X-Forwarded-For"] = "192.0.2.1" } })))
    assert.same({ closed = false }, ask(engine, "DELETE", session_path).json)
    local sock = support.capture(("curl -s --unix-socket %s/control.sock http://engine%s"):format(engine.data,
      session_path))
    assert.is_true(cjson.decode(sock).open)
    -- the console makes the first token, and is asked to log in with it
    local made = ask(engine, "POST", "/api/v1/tokens", { body = { name = "first", role = "admin" } })
    assert.equal(201, made.status)
    assert.equal(401, get {}.status)
    assert.equal(401, ask(engine, "POST", "/api/v1/dead/redrive", { body = { all = true } }).status)
    local b = browser(engine, made.json.token)
    assert.is_false(of(engine, b, "GET", session_path).json.open)
    -- the last one goes by its own session: the rule holds again, and the cookie is worth nothing
    assert.equal(200, of(engine, b, "DELETE", "/api/v1/tokens/first").status)
    assert.is_true(get({ Cookie = b.cookie }).json.open)
    assert.equal("[0]\n", sql(engine, "SELECT count(*) FROM sh_sessions"))
  end)
end)

describe("by HTTPS", function()
  local engine
  setup(function()
    engine = support.engine { config = config 'tls = { cert = "cert.pem", key = "key.pem" },', start = false }
    local out, exit = support.capture(("cd %s && openssl req -x509 -nodes -newkey ec -pkeyopt " ..
      "ec_paramgen_curve:P-256 -days 9 -subj /CN=hook.example.org -addext subjectAltName=IP:127.0.0.1 " ..
      "-keyout key.pem -out cert.pem 2>&1"):format(support.quote(engine.dir)))
    assert(exit == 0, out)
    engine:start()
  end)
  teardown(function() engine:close() end)

  local function curl(...)
    local words = { "curl -s -i --cacert " .. support.quote(engine.dir .. "/cert.pem") }
    for _, word in ipairs { ... } do words[#words + 1] = support.quote(word) end
    local text = support.capture(table.concat(words, " "))
    return { status = tonumber(text:match "^HTTP/1%.1 (%d+)"), cookie = text:match "\r\nSet%-Cookie: ([^\r\n]*)",
             json = text:match "\r\n\r\n({.*)" and cjson.decode(text:match "\r\n\r\n({.*)") }
  end

  it("its cookie is Secure, for this host alone, and the only one that counts", function()
    local token = engine:cli("token", "new", "ann", "--role", "viewer", "--json")[1].token
    local url = ("https://127.0.0.1:%d%s"):format(engine.port, session_path)
    local answer = curl(url, "-H", "Content-Type: application/json", "-H", "Origin: https://127.0.0.1:" .. engine.port,
      "-d", cjson.encode { token = token })
    assert.equal(200, answer.status)
    assert.truthy(answer.cookie:match(secure_cookie), answer.cookie)
    local cookie = answer.cookie:match "^[^;]+"
    assert.equal("ann", curl(url, "-H", "Cookie: " .. cookie).json.who)
    assert.equal(401, curl(url, "-H", "Cookie: " .. cookie:gsub("^__Host%-", "")).status)
    assert.equal(403, curl(url, "-H", "Cookie: " .. cookie, "-H", "Origin: http://127.0.0.1:" .. engine.port).status)
    answer = curl(url, "-X", "DELETE", "-H", "Cookie: " .. cookie, "-H", "X-CSRF-Token: " .. answer.json.csrf)
    assert.equal("__Host-switchhook_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0", answer.cookie)
    assert.equal(401, curl(url, "-H", "Cookie: " .. cookie).status)
  end)
end)
