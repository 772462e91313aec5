-- SPDX-License-Identifier: MIT
-- ingress_spec.lua: what a sender meets: every answer, CORS, tokens, repeats, restarts.

local cjson = require "cjson"
local support = require "tests.e2e.support"

local config = [[
return {
  limits = { body = 65536 },
  sources = {
    webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" },
      key = { field = "call_id" }, cors = { "https://phone.example.org" } },
    token = { path = "/hooks/token", type = { value = "ping" },
      auth = { bearer = env "SPEC_TOKEN" }, cors = { "*" } },
    plain = { path = "/hooks/plain", auth = "none", type = { value = "ping" } },
  },
}
]]

local HOOK = "/hooks/webphone"
local PAGE = "https://phone.example.org"

local function error_of(answer, status, code)
  assert.equal(status, answer.status)
  assert.equal("application/json", answer.headers["content-type"])
  assert.equal(code, answer.json.error.code)
  assert.truthy(#answer.json.error.message > 0)
  return answer.json.error
end

describe("ingress", function()
  local engine
  setup(function()
    engine = support.engine { config = config, env = { SPEC_TOKEN = "tok-en-7" } }
  end)
  teardown(function() engine:close() end)

  local n = 0
  -- A payload that was not sent before.
  local function fresh(changes)
    n = n + 1
    changes = changes or {}
    changes.call_id = changes.call_id or ("spec-%d"):format(n)
    return support.payload("call_start", changes)
  end

  describe("answers", function()
    it("200 with the id once the event is stored", function()
      local answer = engine:post(HOOK, fresh { call_id = "stored-1" })
      assert.equal(200, answer.status)
      assert.truthy(answer.json.id:match "^%x+%-%x+%-7%x+%-%x+%-%x+$")
      assert.is_nil(answer.json.duplicate)
      local found
      for _, row in ipairs(engine:cli("events", "--json")) do
        found = found or row.id == answer.json.id and row
      end
      assert.equal("webphone", found.source)
      assert.equal("call_start", found.type)
      assert.equal("stored-1", found.key)
    end)

    it("a repeat with the first one's id", function()
      local body = fresh()
      local first, second = engine:post(HOOK, body), engine:post(HOOK, body)
      assert.equal(200, second.status)
      assert.same({ id = first.json.id, duplicate = true }, second.json)
    end)

    it("a repeat known by its webhook-id, whatever the body", function()
      local first = engine:post(HOOK, fresh(), { ["webhook-id"] = "msg_1" })
      local second = engine:post(HOOK, fresh(), { ["webhook-id"] = "msg_1" })
      assert.same({ id = first.json.id, duplicate = true }, second.json)
      local other = engine:post("/hooks/plain", "{}", { ["webhook-id"] = "msg_1" })
      assert.is_nil(other.json.duplicate)
    end)

    it("ids that sort by arrival, on one connection", function()
      local conn, last = engine:connect(), ""
      for _ = 1, 20 do
        local id = conn:request("POST", HOOK, fresh()).json.id
        assert.truthy(id > last)
        last = id
      end
      conn:close()
    end)

    it("pipelined posts in their order", function()
      local conn, text = engine:connect(), {}
      for i = 1, 10 do
        local body = fresh { call_id = "pipe-" .. i }
        text[i] = ("POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s"):format(HOOK, #body, body)
      end
      conn:send(table.concat(text))
      local last = ""
      for _ = 1, 10 do
        local answer = conn:answer()
        assert.equal(200, answer.status)
        assert.truthy(answer.json.id > last)
        last = answer.json.id
      end
      conn:close()
    end)

    it("400 with byte, line and column", function()
      local err = error_of(engine:post(HOOK, '{\n  "event": nope\n}'), 400, "invalid_json")
      assert.equal(13, err.byte)
      assert.equal(2, err.line)
      assert.equal(12, err.column)
    end)

    it("400 that names typographic quotes", function()
      local err = error_of(engine:post(HOOK, support.payload "broken"), 400, "invalid_json")
      assert.equal(2, err.line)
      assert.truthy(err.message:lower():find("quot", 1, true), err.message)
    end)

    it("400 for nothing at all", function()
      error_of(engine:post(HOOK, ""), 400, "invalid_json")
    end)

    it("422 for what is no object", function()
      for _, body in ipairs { "[]", "1", '"x"', "null" } do
        assert.equal("", error_of(engine:post(HOOK, body), 422, "invalid_envelope").field)
      end
    end)

    it("422 that names the field", function()
      local body = '{"call_id":"x"}'
      assert.equal("event", error_of(engine:post(HOOK, body), 422, "invalid_envelope").field)
      body = '{"event":"call_start","call_id":[1]}'
      assert.equal("call_id", error_of(engine:post(HOOK, body), 422, "invalid_envelope").field)
    end)

    it("404 for another path, exactly", function()
      for _, path in ipairs { "/", "/hooks", "/hooks/webphone/", "/Hooks/webphone",
                              "//hooks/webphone", "/hooks/../hooks/webphone" } do
        error_of(engine:post(path, "{}"), 404, "not_found")
      end
      assert.equal(200, engine:post("/hooks/%77ebphone?x=y", fresh()).status)
    end)

    it("405 with Allow", function()
      for _, method in ipairs { "GET", "PUT", "DELETE", "PATCH" } do
        local answer = engine:request(method, HOOK)
        error_of(answer, 405, "method_not_allowed")
        assert.equal("POST, OPTIONS", answer.headers.allow)
      end
      local answer = engine:request("HEAD", HOOK)
      assert.equal(405, answer.status)
    end)

    it("413 for a body over the limit", function()
      local err = error_of(engine:post(HOOK, (" "):rep(65537)), 413, "body_too_large")
      assert.equal(65536, err.limit_bytes)
    end)

    it("413 before the body when it is announced", function()
      local conn = engine:connect()
      conn:send("POST " .. HOOK .. " HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n" ..
        "Content-Length: 65537\r\n\r\n")
      error_of(conn:answer(), 413, "body_too_large")
      assert.is_true(conn:closed())
      conn:close()
    end)

    it("415 for other types, charsets and encodings", function()
      for _, value in ipairs { "application/x-www-form-urlencoded", "text/html", "json",
                               "application/json; charset=iso-8859-1", "application/+json" } do
        error_of(engine:post(HOOK, fresh(), { ["Content-Type"] = value }), 415,
          "unsupported_media_type")
      end
      error_of(engine:post(HOOK, fresh(), { ["Content-Encoding"] = "gzip" }), 415,
        "unsupported_media_type")
    end)

    it("200 for the types that senders use", function()
      for _, value in ipairs { "application/json", "Application/JSON; charset=UTF-8",
                               'text/plain;charset="utf-8"', "application/cloudevents+json",
                               "application/json;" } do
        local answer = engine:post(HOOK, fresh(), { ["Content-Type"] = value })
        assert.equal(200, answer.status, value)
      end
      local conn, body = engine:connect(), fresh()
      conn:send(("POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s"):format(HOOK, #body, body))
      assert.equal(200, conn:answer().status)
      conn:close()
    end)

    it("200 for a chunked body", function()
      local conn, body = engine:connect(), fresh()
      conn:send(("POST %s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"):format(HOOK))
      for piece in body:gmatch(("."):rep(100) .. "?.*") do
        conn:send(("%x\r\n%s\r\n"):format(#piece, piece))
      end
      conn:send "0\r\n\r\n"
      assert.equal(200, conn:answer().status)
      conn:close()
    end)

    it("malformed HTTP in the same shape, and closes", function()
      local conn = engine:connect()
      conn:send("POST " .. HOOK .. " HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n" ..
        "Content-Length: 3\r\n\r\n{} ")
      error_of(conn:answer(), 400, "bad_request")
      assert.is_true(conn:closed())
      conn:close()
    end)

    it("that it is alive", function()
      local answer = engine:request("GET", "/healthz")
      assert.equal(200, answer.status)
      assert.same({ status = "ok" }, answer.json)
      error_of(engine:post("/healthz", "{}"), 405, "method_not_allowed")
    end)
  end)

  describe("a token", function()
    local function try(value)
      n = n + 1
      return engine:post("/hooks/token", cjson.encode { n = n }, { Authorization = value })
    end

    it("opens the door", function()
      assert.equal(200, try("Bearer tok-en-7").status)
      assert.equal(200, try("bearer tok-en-7").status)
    end)

    it("keeps it shut otherwise, and says nothing of itself", function()
      for _, value in ipairs { "Bearer wrong", "Bearer", "Bearer tok-en", "Bearer tok-en-77",
                               "Basic tok-en-7", "tok-en-7" } do
        local answer = try(value)
        error_of(answer, 401, "unauthorized")
        assert.equal("Bearer", answer.headers["www-authenticate"])
        assert.is_nil(answer.body:find("tok", 1, true) and answer.body:find("tok-en", 1, true))
      end
      error_of(engine:post("/hooks/token", "not json"), 401, "unauthorized")
      assert.is_nil(engine:log():find("tok-en", 1, true))
    end)
  end)

  describe("a browser page", function()
    it("is let in by its preflight when it is on the list", function()
      local answer = engine:request("OPTIONS", HOOK, nil, { Origin = PAGE,
        ["Access-Control-Request-Method"] = "POST" })
      assert.equal(204, answer.status)
      assert.equal(PAGE, answer.headers["access-control-allow-origin"])
      assert.equal("POST", answer.headers["access-control-allow-methods"])
      assert.truthy(answer.headers["access-control-allow-headers"]:find("Content-Type", 1, true))
      assert.truthy(tonumber(answer.headers["access-control-max-age"]))
      assert.equal("Origin", answer.headers.vary)
    end)

    it("is turned away when it is not", function()
      for _, path in ipairs { HOOK, "/hooks/plain" } do
        local headers = { Origin = "https://evil.example.org" }
        local answer = engine:request("OPTIONS", path, nil, headers)
        error_of(answer, 403, "origin_not_allowed")
        assert.is_nil(answer.headers["access-control-allow-origin"])
        answer = engine:post(path, fresh(), { Origin = "https://evil.example.org",
                                              ["Content-Type"] = "text/plain" })
        error_of(answer, 403, "origin_not_allowed")
      end
    end)

    it("may read every answer, errors too", function()
      local headers = { Origin = PAGE }
      local answers = { engine:post(HOOK, fresh(), headers), engine:post(HOOK, "{", headers),
                        engine:post(HOOK, "{}", headers), engine:request("GET", HOOK, nil, headers) }
      for i, status in ipairs { 200, 400, 422, 405 } do
        assert.equal(status, answers[i].status)
        assert.equal(PAGE, answers[i].headers["access-control-allow-origin"])
      end
      local large = engine:post(HOOK, (" "):rep(65537), headers)
      error_of(large, 413, "body_too_large")
      assert.equal(PAGE, large.headers["access-control-allow-origin"])
      local any = { Origin = "https://any.example.org" }
      local answer = engine:post("/hooks/token", "{}", any)
      error_of(answer, 401, "unauthorized")
      assert.equal(any.Origin, answer.headers["access-control-allow-origin"])
    end)
  end)

  it("knows a repeat after kill -9 and a restart", function()
    local body = fresh()
    local first = engine:post(HOOK, body)
    assert.equal(200, first.status)
    engine:kill9()
    engine:start()
    assert.same({ id = first.json.id, duplicate = true }, engine:post(HOOK, body).json)
    engine:restart()
    assert.same({ id = first.json.id, duplicate = true }, engine:post(HOOK, body).json)
  end)
end)
