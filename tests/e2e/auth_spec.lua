-- SPDX-License-Identifier: MIT
-- auth_spec.lua: who may send. Each scheme against the real engine: a right request is stored; every
-- wrong one leaves nothing in the journal, and shows in the log with its reason and without secrets.

local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local config = [[
return {
  limits = { auth_failures = 0 },
  trusted_proxies = { "127.0.0.2", "10.0.0.0/8" },
  sources = {
    standard = { path = "/hooks/standard", type = { value = "ping" },
      auth = { standard_webhooks = { env "STANDARD_NEW", env "STANDARD_OLD" } } },
    github = { path = "/hooks/github", type = { value = "ping" },
      auth = { hmac = env "GITHUB", header = "X-Hub-Signature-256", prefix = "sha256=" } },
    plain = { path = "/hooks/plain", type = { value = "ping" },
      auth = { hmac = env "PLAIN", header = "X-Sig", encoding = "base64", hash = "sha1" } },
    stripe = { path = "/hooks/stripe", type = { value = "ping" },
      auth = { timestamped = env "STRIPE", header = "Stripe-Signature" } },
    jwt = { path = "/hooks/jwt", type = { value = "ping" }, auth = { jwt = env "JWT" } },
    jwt_bearer = { path = "/hooks/jwt-bearer", type = { value = "ping" },
      auth = { jwt = env "JWT", location = "bearer" } },
    bearer = { path = "/hooks/bearer", type = { value = "ping" },
      auth = { bearer = { env "BEARER_NEW", env "BEARER_OLD" } } },
    basic = { path = "/hooks/basic", type = { value = "ping" },
      auth = { basic = { user = "pbx", password = env "BASIC" } } },
    field = { path = "/hooks/field", type = { value = "ping" },
      auth = { token = env "FIELD", field = "auth.token" } },
    header = { path = "/hooks/header", type = { value = "ping" },
      auth = { token = env "HEADER", header = "Verification-Token" },
      echo = { header = "Validation-Token" } },
    path = { path = "/hooks/path/{secret}/in", type = { value = "ping" },
      auth = { path = env "PATH_SECRET", segment = "secret" }, echo = { header = "Validation-Token" } },
    near = { path = "/hooks/near", type = { value = "ping" }, auth = "none",
      from = { "192.0.2.0/24", "2001:db8::/32" } },
    open = { path = "/hooks/open", type = { value = "ping" }, auth = "none", from = { "127.0.0.0/8" } },
  },
}
]]

local secrets = {
  STANDARD_NEW = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LTAwMDE=",
  STANDARD_OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  GITHUB = "github-secret-1", PLAIN = "plain-secret-1", STRIPE = "stripe-secret-1",
  JWT = "jwt-secret-1", BEARER_NEW = "bearer-secret-2", BEARER_OLD = "bearer-secret-1",
  BASIC = "basic-secret-1", FIELD = "field-secret-1", HEADER = "header-secret-1",
  PATH_SECRET = "path-secret-1",
}

-- Another implementation of what is tried.
local function openssl(args, data)
  local name = os.tmpname()
  support.write_file(name, data)
  local out = support.capture(("openssl %s < %s | base64 -w0"):format(args, name))
  os.remove(name)
  return out
end

local function hmac64(hash, key, data)
  local hex = key:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  return openssl(("dgst -%s -mac HMAC -macopt hexkey:%s -binary"):format(hash, hex), data)
end

local mime = require "mime"
local function hex_of(b64)
  return (mime.unb64(b64):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end
local function url64(text)
  return (mime.b64(text):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

local function token_of(head, payload, key)
  local covered = url64(head) .. "." .. url64(payload)
  return covered .. "." .. (hmac64("sha256", key, covered):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

local HS256 = '{"alg":"HS256","typ":"JWT"}'

describe("who may send", function()
  local engine, n = nil, 0
  setup(function() engine = support.engine { config = config, env = secrets } end)
  teardown(function() engine:close() end)

  local function fresh()
    n = n + 1
    return ('{"n":%d}'):format(n)
  end

  local function journal()
    return #engine:cli("events", "--json", "--limit", "1000")
  end

  local function stored(answer)
    assert.equal(200, answer.status)
    assert.truthy(answer.json.id)
    assert.is_nil(answer.json.duplicate)
  end

  -- How often the log has a refusal of this reason. Lines are rationed, ten a second: wait for the next
  -- second when many have come in this one.
  local function logged(source, reason)
    local count = 0
    for line in engine:log():gmatch "[^\n]+" do
      if line:find("reason=" .. reason, 1, true) and line:find("source=" .. source, 1, true) then
        count = count + 1
      end
    end
    return count
  end

  local lines, since = 0, 0
  local function spare_line()
    if socket.gettime() - since > 1.1 then lines, since = 0, socket.gettime() end
    lines = lines + 1
    if lines > 9 then
      socket.sleep(1.1)
      lines, since = 1, socket.gettime()
    end
  end

  -- A request of which nothing is kept but the reason.
  local function refused(source, reason, status, send)
    spare_line()
    local before, seen = journal(), logged(source, reason)
    local answer = send()
    assert.equal(status, answer.status)
    assert.same({ error = { code = "unauthorized", message = "this sender is not let in" } },
      answer.json)
    assert.equal(status == 401, answer.headers["www-authenticate"] ~= nil)
    assert.equal(before, journal())
    assert.equal(seen + 1, logged(source, reason))
  end

  local function headers_refused(source, reason, body, headers, status)
    refused(source, reason, status or 401, function()
      return engine:post("/hooks/" .. source:gsub("_", "-"), body, headers)
    end)
  end

  local function standard(id, at, body, key)
    key = mime.unb64((key or secrets.STANDARD_OLD):sub(7))
    return { ["webhook-id"] = id, ["webhook-timestamp"] = at,
             ["webhook-signature"] = "v1," .. hmac64("sha256", key, id .. "." .. at .. "." .. body) }
  end
  local function now(plus)
    return ("%d"):format(os.time() + (plus or 0))
  end

  it("Standard Webhooks: id, time and body are signed", function()
    local body = fresh()
    stored(engine:post("/hooks/standard", body, standard("msg_1", now(), body)))
    stored(engine:post("/hooks/standard", body, standard("msg_2", now(-290), body)))
    stored(engine:post("/hooks/standard", body, standard("msg_3", now(290), body)))
    headers_refused("standard", "timestamp_too_old", body, standard("msg_4", now(-310), body))
    headers_refused("standard", "timestamp_in_future", body, standard("msg_5", now(310), body))
    headers_refused("standard", "bad_signature", fresh(), standard("msg_6", now(), body))
    headers_refused("standard", "missing_signature", body)
    local headers = standard("msg_7", now(), body)
    headers["webhook-id"] = "msg_8"
    headers_refused("standard", "bad_signature", body, headers)
    headers["webhook-signature"] = "v2," .. headers["webhook-signature"]:sub(4)
    headers_refused("standard", "malformed_signature", body, headers)
  end)

  it("Standard Webhooks: a request sent again is a repeat, and refused once it is old", function()
    local body, before = fresh(), journal()
    local headers = standard("msg_again", now(-299), body)
    local first = engine:post("/hooks/standard", body, headers)
    stored(first)
    local again = engine:post("/hooks/standard", body, headers)
    assert.equal(200, again.status)
    assert.same({ id = first.json.id, duplicate = true }, again.json)
    assert.equal(before + 1, journal())
    socket.sleep(2.1)
    headers_refused("standard", "timestamp_too_old", body, headers)
  end)

  it("two secrets are right at the same time", function()
    local body = fresh()
    stored(engine:post("/hooks/standard", body, standard("msg_new", now(), body, secrets.STANDARD_NEW)))
    stored(engine:post("/hooks/standard", body, standard("msg_old", now(), body, secrets.STANDARD_OLD)))
    headers_refused("standard", "bad_signature", body,
      standard("msg_none", now(), body, "whsec_" .. mime.b64(("x"):rep(24))))
    for _, secret in ipairs { secrets.BEARER_NEW, secrets.BEARER_OLD } do
      stored(engine:post("/hooks/bearer", fresh(), { Authorization = "Bearer " .. secret }))
    end
    headers_refused("bearer", "bad_token", body, { Authorization = "Bearer bearer-secret-3" })
  end)

  it("HMAC: hex with a prefix, base64 without", function()
    local body = fresh()
    local right = "sha256=" .. hex_of(hmac64("sha256", secrets.GITHUB, body))
    stored(engine:post("/hooks/github", body, { ["X-Hub-Signature-256"] = right }))
    headers_refused("github", "bad_signature", fresh(), { ["X-Hub-Signature-256"] = right })
    headers_refused("github", "malformed_signature", body, { ["X-Hub-Signature-256"] = right:sub(8) })
    headers_refused("github", "malformed_signature", body, { ["X-Hub-Signature-256"] = right:sub(1, -2) })
    headers_refused("github", "missing_signature", body, { ["X-Hub-Signature"] = right })
    body = fresh()
    local sig = hmac64("sha1", secrets.PLAIN, body)
    stored(engine:post("/hooks/plain", body, { ["X-Sig"] = sig }))
    headers_refused("plain", "bad_signature", body, { ["X-Sig"] = hmac64("sha1", "x", body) })
  end)

  it("HMAC: another webhook-id, which nobody has signed, does not make another event", function()
    local body, before = fresh(), journal()
    local headers = { ["X-Hub-Signature-256"] = "sha256=" .. hex_of(hmac64("sha256", secrets.GITHUB, body)) }
    stored(engine:post("/hooks/github", body, headers))
    headers["webhook-id"] = "made-up"
    assert.is_true(engine:post("/hooks/github", body, headers).json.duplicate)
    assert.equal(before + 1, journal())
  end)

  it("a signature header that is there twice is refused", function()
    local body = fresh()
    local line = "X-Hub-Signature-256: sha256=" .. hex_of(hmac64("sha256", secrets.GITHUB, body)) .. "\r\n"
    refused("github", "malformed_signature", 401, function()
      local conn = engine:connect()
      conn:send("POST /hooks/github HTTP/1.1\r\nHost: h\r\nContent-Length: " .. #body .. "\r\n" ..
        line .. line .. "\r\n" .. body)
      local answer = conn:answer()
      conn:close()
      return answer
    end)
  end)

  it("t=...,v1=...", function()
    local body = fresh()
    local function sign(at, of)
      return { ["Stripe-Signature"] = "t=" .. at .. ",v1=" ..
        hex_of(hmac64("sha256", secrets.STRIPE, at .. "." .. (of or body))) }
    end
    stored(engine:post("/hooks/stripe", body, sign(now())))
    headers_refused("stripe", "timestamp_too_old", body, sign(now(-310)))
    headers_refused("stripe", "timestamp_in_future", body, sign(now(310)))
    headers_refused("stripe", "bad_signature", body, sign(now(), "{}"))
    headers_refused("stripe", "malformed_signature", body, { ["Stripe-Signature"] = "v1=00" })
  end)

  it("JWT as the body, and as a bearer", function()
    local payload = ('{"n":%d,"exp":%d}'):format(1000, os.time() + 60)
    stored(engine:post("/hooks/jwt", token_of(HS256, payload, secrets.JWT)))
    local function wrong(reason, head, body, key)
      local token = token_of(head, body, key or secrets.JWT)
      headers_refused("jwt", reason, token)
      headers_refused("jwt_bearer", reason, fresh(), { Authorization = "Bearer " .. token })
    end
    stored(engine:post("/hooks/jwt-bearer", fresh(),
      { Authorization = "Bearer " .. token_of(HS256, payload, secrets.JWT) }))
    wrong("bad_signature", HS256, payload, "another")
    wrong("bad_algorithm", '{"alg":"none"}', payload)
    wrong("bad_algorithm", '{"alg":"HS256","crit":["x"],"x":1}', payload)
    wrong("token_expired", HS256, ('{"exp":%d}'):format(os.time() - 70))
    wrong("token_not_yet_valid", HS256, ('{"nbf":%d}'):format(os.time() + 90))
    headers_refused("jwt", "malformed_token", payload)
    headers_refused("jwt_bearer", "missing_token", fresh())
  end)

  it("bearer, basic, a field, a header", function()
    stored(engine:post("/hooks/basic", fresh(), { Authorization = "Basic " .. mime.b64("pbx:" .. secrets.BASIC) }))
    headers_refused("basic", "bad_token", fresh(), { Authorization = "Basic " .. mime.b64("pbx:no") })
    headers_refused("basic", "bad_token", fresh(), { Authorization = "Basic " .. mime.b64("x:" .. secrets.BASIC) })
    headers_refused("basic", "malformed_token", fresh(), { Authorization = "Basic pbx:" .. secrets.BASIC })
    headers_refused("basic", "missing_token", fresh())
    headers_refused("bearer", "missing_token", fresh(), { Authorization = "Basic " .. secrets.BEARER_NEW })
    stored(engine:post("/hooks/field", cjson.encode { auth = { token = secrets.FIELD } }))
    headers_refused("field", "bad_token", cjson.encode { auth = { token = secrets.FIELD .. "x" } })
    headers_refused("field", "missing_token", cjson.encode { token = secrets.FIELD })
    headers_refused("field", "malformed_token", '{"auth":{"token":"' .. secrets.FIELD .. '"}')
    stored(engine:post("/hooks/header", fresh(), { ["Verification-Token"] = secrets.HEADER }))
    headers_refused("header", "bad_token", fresh(), { ["Verification-Token"] = "header-secret" })
  end)

  it("a secret in a query proves nothing, and is in no log line", function()
    for source, name in pairs { bearer = "BEARER_NEW", header = "HEADER", field = "FIELD" } do
      refused(source, "missing_token", 401, function()
        return engine:post("/hooks/" .. source .. "?token=" .. secrets[name] ..
          "&Verification-Token=" .. secrets[name], fresh())
      end)
    end
    refused("github", "missing_signature", 401, function()
      return engine:post("/hooks/github?X-Hub-Signature-256=sha256=00", fresh())
    end)
  end)

  it("a secret in the path is in no log line", function()
    stored(engine:post("/hooks/path/" .. secrets.PATH_SECRET .. "/in", fresh()))
    refused("path", "bad_token", 401, function()
      return engine:post("/hooks/path/" .. secrets.PATH_SECRET .. "x/in", fresh())
    end)
    for _, path in ipairs { "/in/", "", "/", "/in?a=b" } do
      local answer = engine:post("/hooks/path/" .. secrets.PATH_SECRET .. path, "not json")
      assert.truthy(answer.status == 404 or answer.status == 400)
    end
    assert.equal(405, engine:request("GET", "/hooks/path/" .. secrets.PATH_SECRET .. "/in").status)
    assert.truthy(engine:log():find("/hooks/path/{secret}/in", 1, true))
  end)

  it("a set-up request gets its header back, and stores nothing", function()
    local before = journal()
    local answer = engine:post("/hooks/header", nil, { ["Validation-Token"] = "v4l-1 d", ["Content-Length"] = "0" })
    assert.equal(200, answer.status)
    assert.equal("v4l-1 d", answer.headers["validation-token"])
    answer = engine:post("/hooks/path/" .. secrets.PATH_SECRET .. "/in", fresh(), { ["Validation-Token"] = "x" })
    assert.equal("x", answer.headers["validation-token"])
    for _, value in ipairs { ("x"):rep(1025), "caf\xc3\xa9", "" } do
      answer = engine:post("/hooks/header", "{}", { ["Validation-Token"] = value })
      assert.equal(400, answer.status)
      assert.is_nil(answer.headers["validation-token"])
    end
    answer = engine:post("/hooks/header", "{}", { ["Validation-Token"] = "a\r\nX-Evil: 1" })
    assert.is_nil(answer.headers["x-evil"]) -- two headers, of which one is asked for
    assert.equal("a", answer.headers["validation-token"])
    answer = engine:post("/hooks/header", "{}", { ["Validation-Token"] = "a\rX-Evil: 1" })
    assert.equal(400, answer.status)
    socket.sleep(1.1) -- the lines above are of the same ration
    refused("path", "bad_token", 401, function()
      return engine:post("/hooks/path/wrong/in", "{}", { ["Validation-Token"] = "x" })
    end)
    -- a source without echo takes no notice
    stored(engine:post("/hooks/open", fresh(), { ["Validation-Token"] = "x" }))
    assert.equal(before + 1, journal())
  end)

  it("a line or a field cannot be forged in the log", function()
    headers_refused("bearer", "bad_token", fresh(), { Authorization = "Bearer x reason=ok source=open" })
    for line in engine:log():gmatch "[^\n]+" do
      assert.is_nil(line:find("reason=ok", 1, true))
    end
  end)

  describe("behind a proxy", function()
    -- From 127.0.0.2, which is trusted, or from 127.0.0.1, which is not.
    local function via(from, path, headers)
      local sock = socket.tcp()
      sock:bind(from, 0)
      assert(sock:connect("127.0.0.1", engine.port))
      local body = fresh()
      sock:send("POST " .. path .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " .. #body ..
        "\r\n" .. headers .. "\r\n" .. body)
      local text = sock:receive "*a"
      sock:close()
      local answer = { status = tonumber(text:match "^HTTP/1.1 (%d+)"), headers = {} }
      answer.json = cjson.decode(text:match "\r\n\r\n(.*)$")
      return answer
    end

    it("the address is what the proxy says", function()
      stored(via("127.0.0.2", "/hooks/near", "X-Forwarded-For: 192.0.2.7\r\n"))
      stored(via("127.0.0.2", "/hooks/near", "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n"))
      stored(via("127.0.0.2", "/hooks/near", "X-Forwarded-For: 192.0.2.7, 10.1.2.3\r\n"))
      stored(via("127.0.0.2", "/hooks/near", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: [2001:db8::7]:99\r\n"))
      assert.is_nil(engine:log():find("192.0.2.7", 1, true))
    end)

    local function kept_out(from, headers)
      refused("near", "address_not_allowed", 403, function()
        return via(from, "/hooks/near", headers)
      end)
    end

    it("and what a sender has written itself is not", function()
      kept_out("127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\n")
      kept_out("127.0.0.1", "")
      kept_out("127.0.0.2", "")
      kept_out("127.0.0.2", "X-Forwarded-For: 192.0.2.7, 6.6.6.6\r\n")
      kept_out("127.0.0.2", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 6.6.6.6\r\n")
      kept_out("127.0.0.2", "X-Forwarded-For: 192.0.2.7, unknown\r\n")
      kept_out("127.0.0.2", "X-Forwarded-For: 192.0.2.7,\r\n")
      kept_out("127.0.0.2", "X-Forwarded-For: 192.0.2.7 6.6.6.6\r\n")
      kept_out("127.0.0.2", "Forwarded: for=192.0.2.7\r\n")
      kept_out("127.0.0.2", "X-Real-IP: 192.0.2.7\r\n")
      stored(via("127.0.0.1", "/hooks/open", ""))
      refused("open", "address_not_allowed", 403, function()
        return via("127.0.0.2", "/hooks/open", "X-Forwarded-For: 127.0.0.1, 6.6.6.6\r\n")
      end)
    end)

    it("the engine says once that a proxy is not listed", function()
      local _, count = engine:log():gsub("add its address to trusted_proxies", "")
      assert.equal(1, count)
    end)
  end)

  it("`send` makes the proof that is asked for", function()
    local file = engine.dir .. "/event.json"
    local env = ""
    for name, value in pairs(secrets) do env = env .. name .. "=" .. support.quote(value) .. " " end
    local function send(source, more)
      n = n + 1
      support.write_file(file, ('{"n":%d, "call": {"id": "x"}}'):format(n))
      return support.capture(("cd %s && %s %s send event.json --config switchhook.lua --source %s %s " ..
        "--to http://127.0.0.1:%d --json 2>&1"):format(engine.dir, env, support.bin, source, more or "",
        engine.port))
    end
    for _, source in ipairs { "standard", "github", "plain", "stripe", "jwt", "jwt_bearer", "bearer",
                              "basic", "header", "path", "open" } do
      local out, code = send(source)
      assert.equal(0, code, source .. ": " .. out)
      assert.equal(200, cjson.decode(out).status)
    end
    local out, code = send("github", "--unsigned")
    assert.equal(1, code)
    assert.equal(401, cjson.decode(out).status)
  end)

  it("no secret is in any log line", function()
    local log = engine:log()
    for name, secret in pairs(secrets) do
      assert.is_nil(log:find(secret, 1, true), name)
      assert.is_nil(log:find(secret:sub(1, -2), 1, true), name)
    end
  end)
end)

describe("who guesses", function()
  local engine
  local LONG = "a-secret-of-more-than-24-characters"
  setup(function()
    engine = support.engine { env = { SHORT = "hunter2", LONG = LONG }, config = [[
      return {
        limits = { auth_failures = 3 }, trusted_proxies = { "127.0.0.2" }, forwarded_header = "Forwarded",
        sources = {
          short = { path = "/hooks/short", type = { value = "ping" }, auth = { bearer = env "SHORT" } },
          long = { path = "/hooks/long", type = { value = "ping" }, auth = { bearer = env "LONG" } },
          written = { path = "/hooks/written", type = { value = "ping" }, auth = { bearer = "in-the-file" } },
        },
      }]] }
  end)
  teardown(function() engine:close() end)

  local n = 0
  local function try(path, token, forwarded)
    n = n + 1
    local sock = socket.tcp()
    sock:bind(forwarded and "127.0.0.2" or "127.0.0.1", 0)
    assert(sock:connect("127.0.0.1", engine.port))
    local body = ('{"n":%d}'):format(n)
    sock:send("POST " .. path .. " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " .. #body ..
      "\r\nAuthorization: Bearer " .. token .. "\r\n" ..
      (forwarded and "Forwarded: " .. forwarded .. "\r\n" or "") .. "\r\n" .. body)
    local text = sock:receive "*a"
    sock:close()
    return tonumber(text:match "^HTTP/1.1 (%d+)")
  end

  it("is refused unseen for a minute, by address and source", function()
    for _ = 1, 3 do assert.equal(401, try("/hooks/short", "wrong")) end
    assert.equal(403, try("/hooks/short", "wrong"))
    assert.equal(403, try("/hooks/short", "hunter2"))
    assert.truthy(engine:log():find("reason=too_many_failures source=short peer=127.0.0.1", 1, true))
    assert.equal(200, try("/hooks/written", "in-the-file"))
    assert.equal(200, try("/hooks/short", "hunter2", "for=192.0.2.1"))
  end)

  it("does not lock out a sender whose secret cannot be guessed", function()
    for _ = 1, 3 do assert.equal(401, try("/hooks/long", "wrong")) end
    assert.equal(403, try("/hooks/long", "wrong"))
    assert.equal(200, try("/hooks/long", LONG))
  end)

  it("counts by the address that a proxy gives, IPv6 by its /64, and never the proxy", function()
    for i = 1, 3 do
      assert.equal(401, try("/hooks/short", "wrong", ('for="[2001:db8::%d]:80";proto=https'):format(i)))
    end
    assert.equal(403, try("/hooks/short", "hunter2", 'for=1.1.1.1, for="[2001:db8::9]"'))
    assert.equal(200, try("/hooks/short", "hunter2", 'for="[2001:db8:0:1::9]"'))
    for _ = 1, 5 do assert.equal(401, try("/hooks/short", "wrong", "for=unknown")) end
    assert.equal(200, try("/hooks/short", "hunter2", "for=_hidden"))
  end)

  it("is told of a secret that stands in the file", function()
    assert.truthy(engine:log():find("sources.written.auth", 1, true))
    assert.is_nil(engine:log():find("in-the-file", 1, true))
    assert.is_nil(engine:log():find("hunter2", 1, true))
  end)

  it("is told of secrets that can be found by trying", function()
    local line = assert(engine:log():match "[^\n]*short enough to be found by trying[^\n]*")
    assert.equal("short, written", line:match 'sources="([^"]*)"')
  end)
end)
