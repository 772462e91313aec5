-- SPDX-License-Identifier: MIT
-- api_http_spec.lua: the API over HTTP: who is let in, how strictly requests are read.
local support = require "tests.e2e.support"

describe("the API without tokens", function()
  local engine

  setup(function() engine = support.engine() end)
  teardown(function() engine:close() end)

  -- A request with exactly these header lines.
  local function ask(target, ...)
    local conn = engine:connect()
    local lines = { "GET " .. target .. " HTTP/1.1", ... }
    conn:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
    local answer = conn:answer()
    conn:close()
    return answer
  end

  local function code(answer) return answer.json and answer.json.error and answer.json.error.code end

  it("answers this machine", function()
    for _, host in ipairs { "127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "127.9.8.7" } do
      local answer = ask("/api/v1/status", "Host: " .. host)
      assert.equal(200, answer.status, host)
      assert.equal("no-store", answer.headers["cache-control"])
      assert.equal("nosniff", answer.headers["x-content-type-options"])
      assert.equal("same-origin", answer.headers["cross-origin-resource-policy"])
      assert.truthy(answer.headers["content-security-policy"]:find("frame-ancestors 'none'", 1, true))
      assert.is_string(answer.json.version)
    end
  end)

  it("refuses names that only resolve to this machine", function()
    for _, host in ipairs { "example.org", "127.0.0.1.example.org", "localhost.example.org", "127.0.0.1:80x",
                            "127.0.0.256", "127.1", "[::2]", "[::1", "", "0.0.0.0", "localhost@example.org" } do
      local answer = ask("/api/v1/status", "Host: " .. host)
      assert.is_true(answer.status == 403 or answer.status == 400, host)
    end
    assert.equal("not_direct", code(ask("/api/v1/status", "Host: example.org")))
  end)

  it("refuses what a proxy passes on, and pages of other origins", function()
    for _, line in ipairs { "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 x", "X-Real-IP: ::1",
                            "X-Forwarded-Server: x", "x-client-ip: ::1", "CDN-Loop: x", "X-Original-URL: /api",
                            "Origin: http://example.org", "Origin: null", "Sec-Fetch-Site: cross-site",
                            "Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:1" } do
      local answer = ask("/api/v1/status", "Host: 127.0.0.1", line)
      assert.equal(403, answer.status, line)
      assert.equal("not_direct", code(answer))
    end
    for _, line in ipairs { "Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none" } do
      assert.equal(200, ask("/api/v1/status", "Host: 127.0.0.1", line).status, line)
    end
  end)

  it("refuses HTTP/1.0, which nginx speaks with this very address as Host", function()
    local conn = support.connect(engine.port)
    conn:send(("GET /api/v1/status HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"):format(engine.port))
    assert.equal("not_direct", code(assert(conn:answer())))
    conn:close()
    conn = support.connect(engine.port)
    conn:send(("GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"):format(engine.port))
    assert.equal(404, assert(conn:answer()).status)
    conn:close()
  end)

  it("refuses a token in the address, and does not log it", function()
    local secret = "sh_" .. ("s"):rep(43)
    for _, query in ipairs { "token=hush1234", "access_token=hush1234", "a=1&API_KEY=hush1234",
                             "acc%65ss_token=hush1234", "state=" .. secret,
                             "Authorization=Bearer+hush1234" } do
      local answer = ask("/api/v1/status?" .. query, "Host: 127.0.0.1")
      assert.equal(400, answer.status, query)
      assert.equal("token_in_query", code(answer))
      assert.is_nil(answer.body:find("hush1234", 1, true))
    end
    support.wait_for(function() -- lines about refusals are rationed
      ask("/api/v1/status?token=hush1234", "Host: 127.0.0.1")
      return engine:log():find "reason=token_in_query"
    end)
    assert.is_nil(engine:log():find("hush1234", 1, true))
    assert.is_nil(engine:log():find(secret, 1, true))
  end)

  it("reads queries strictly", function()
    local answer = ask("/api/v1/status?limit=1", "Host: 127.0.0.1")
    assert.equal("unknown_parameter", code(answer))
    assert.equal("limit", answer.json.error.parameter)
    for query, want in pairs { ["a=1&a=2"] = "doubled_parameter", ["a=%zz"] = "bad_request", ["a=%ff"] = "bad_query",
                               ["=1"] = "bad_query", ["a=%00"] = "bad_request", ["&"] = "bad_query" } do
      assert.equal(want, code(ask("/api/v1/status?" .. query, "Host: 127.0.0.1")), query)
    end
  end)

  it("says which methods a path has", function()
    local answer = engine:request("DELETE", "/api/v1/status")
    assert.equal(405, answer.status)
    assert.equal("GET, HEAD, OPTIONS", answer.headers.allow)
    answer = engine:request("OPTIONS", "/api/v1/reload")
    assert.equal(204, answer.status)
    assert.equal("POST, OPTIONS", answer.headers.allow)
    answer = engine:request("HEAD", "/api/v1/status")
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
    for _, path in ipairs { "/api/", "/api/v1", "/api/v1/", "/api/v1/status/", "/api/v1//status", "/api/v2/status",
                            "/api/v1/statu%73x" } do
      assert.equal(404, engine:request("GET", path).status, path)
    end
  end)

  it("reads bodies strictly", function()
    assert.equal("unknown_field", code(engine:post("/api/v1/reload", '{"now":true}')))
    assert.equal("invalid_json", code(engine:post("/api/v1/reload", '{"now":true,}')))
    assert.equal("invalid_body", code(engine:post("/api/v1/reload", '[]')))
    assert.equal(415, engine:post("/api/v1/reload", "{}", { ["Content-Type"] = "text/plain" }).status)
    assert.equal(413, engine:post("/api/v1/reload", "{" .. (" "):rep(65536) .. "}").status)
    local answer = engine:post("/api/v1/reload", "{}")
    assert.equal(200, answer.status)
    assert.is_true(answer.json.ok)
  end)
end)
