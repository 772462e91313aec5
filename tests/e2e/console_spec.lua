-- SPDX-License-Identifier: MIT
-- console_spec.lua: the console's files over HTTP; what the page does is in tests/browser.
local support = require "tests.e2e.support"

describe("the console's files", function()
  local engine

  setup(function() engine = support.engine() end)
  teardown(function() engine:close() end)

  local function ask(method, path, ...)
    local conn = engine:connect()
    conn:send(table.concat({ method .. " " .. path .. " HTTP/1.1", "Host: 127.0.0.1", ... }, "\r\n") .. "\r\n\r\n")
    local answer = conn:answer(method == "HEAD")
    conn:close()
    return answer
  end

  local function assets()
    local page = ask("GET", "/console").body
    return page:match 'src="(/console/console%-%w+%.js)"', page:match 'href="(/console/console%-%w+%.css)"'
  end

  it("gives the page for every place, and nothing in it is anybody's", function()
    local one = ask("GET", "/console")
    assert.equal(200, one.status)
    assert.equal("text/html; charset=utf-8", one.headers["content-type"])
    assert.equal(one.body, ask("GET", "/console/").body)
    -- the first place also has its calls asked for while the script is on its way; nothing else differs
    local rest, calls = one.body:gsub('<link rel="preload" href="/api/v1/calls[^\n]*\n', "")
    assert.equal(1, calls)
    for _, path in ipairs { "/console/events/019eac2f", "/console/rules/Call%20back%2Fday" } do
      assert.equal(rest, ask("GET", path).body)
    end
    assert.equal(404, ask("GET", "/consolex").status)
  end)

  it("lets the page use nothing but its own files", function()
    local headers = ask("GET", "/console").headers
    local policy = headers["content-security-policy"]
    for _, part in ipairs { "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
                            "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'" } do
      assert.truthy(policy:find(part, 1, true), part)
    end
    assert.is_nil(policy:find "unsafe")
    assert.equal("nosniff", headers["x-content-type-options"])
    assert.equal("no-referrer", headers["referrer-policy"])
    assert.equal("no-cache", headers["cache-control"])
    local page = ask("GET", "/console").body
    assert.is_nil(page:find "<style")
    assert.is_nil(page:find " style=")
    assert.is_nil(page:find "<script>")
    assert.is_nil(page:find "https?://")
  end)

  it("has names for what may be kept for ever", function()
    local js, css = assets()
    for path, kind in pairs { [js] = "text/javascript; charset=utf-8", [css] = "text/css; charset=utf-8" } do
      local answer = ask("GET", path)
      assert.equal(200, answer.status)
      assert.equal(kind, answer.headers["content-type"])
      assert.truthy(answer.headers["cache-control"]:find "immutable")
      local short = ask("GET", path, "Accept-Encoding: br, gzip")
      assert.equal("gzip", short.headers["content-encoding"])
      assert.is_true(#short.body < #answer.body)
      assert.equal(304, ask("GET", path, "If-None-Match: " .. answer.headers.etag).status)
      local head = ask("HEAD", path)
      assert.equal(200, head.status)
      assert.equal("", head.body or "")
    end
    assert.equal(404, ask("GET", "/console/console-AAAAAAAA.js").status)
  end)

  it("is for reading", function()
    local answer = ask("POST", "/console", "Content-Length: 0")
    assert.equal(405, answer.status)
    assert.equal("GET, HEAD", answer.headers.allow)
  end)
end)
