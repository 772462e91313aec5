-- SPDX-License-Identifier: MIT
-- session_spec.lua: what a browser makes of the session's cookie: no script reads it, no page of another
-- origin uses it, not even one of this machine, and logging out is out, in every tab.
local browser = require "tests.e2e.browser"
local cjson = require "cjson"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local path = "/api/v1/session"

-- A request of the page's own: its status and what came.
local function ask(page, url, options)
  return page:js_async([[
    var done = arguments[arguments.length - 1];
    fetch(arguments[0], Object.assign({ credentials: "include" }, JSON.parse(arguments[1])))
      .then(function (r) { return r.text().then(function (t) { done({ status: r.status, type: r.type, text: t }); }); })
      .catch(function (e) { done({ status: -1, text: String(e) }); });]],
    url, cjson.encode(options or { method = "GET" }))
end

describe("a session in a browser", function()
  local engine, sink, page, token, other
  local function log_in_elsewhere(text) -- as another tab does
    local answer = ask(page, path, { method = "POST", headers = { ["Content-Type"] = "application/json" },
      body = cjson.encode { token = text } })
    assert.equal(200, answer.status, answer.text)
  end
  setup(function()
    engine = support.engine { rules = { ["a.lua"] = [[rule "Calls back" { on = "call", run = function(e)
      callback { number = e.number, due = now() - 60, assignee = "ann@example.org", reason = "r" }
    end }]] } }
    token, other = console.token(engine, "ann", "operator"), console.token(engine, "bob", "admin")
    sink = support.sink()
    sink:answers { ["/"] = { { forever = true, body = "<!doctype html><title>Other</title><h1>Other</h1>",
      headers = { ["Content-Type"] = "text/html" } } } }
  end)
  before_each(function()
    page = browser.open()
    page:go(console.url(engine))
    console.log_in(page, token)
  end)
  after_each(function() page:close() end)
  teardown(function()
    engine:close()
    sink:close()
    browser.quit()
  end)

  it("is kept where no script reads it", function()
    assert.equal("", page:js "return document.cookie")
    assert.equal("{}", page:js "return JSON.stringify(localStorage) === '{}' ? '{}' : JSON.stringify(localStorage)")
    assert.equal("{}", page:js "return JSON.stringify(sessionStorage)")
    local cookie
    for _, one in ipairs(page:cookies()) do
      if one.name == "switchhook_session" then cookie = one end
    end
    assert.is_true(cookie.httpOnly)
    assert.equal("Strict", cookie.sameSite)
    assert.equal("/", cookie.path)
    assert.is_nil(page:js("return document.documentElement.outerHTML"):find(cookie.value, 1, true))
    page:reload():wait "page-title"
    assert.equal(0, page:count "login-form")
  end)

  it("is of no use to a page of another port of this machine, to which the browser sends it", function()
    local before = engine:request("GET", "/metrics").body:match 'reason="from_a_web_page"} (%d+)' or 0
    page:go(sink.url .. "/")
    local engine_url = console.url(engine, "")
    local json = { ["Content-Type"] = "application/json" }
    for _, try in ipairs { { path, { method = "GET" } }, { "/api/v1/events", { method = "GET" } },
                           { path, { method = "DELETE" } },
                           { "/api/v1/reload", { method = "POST", headers = json } },
                           { path, { method = "POST", headers = json, body = cjson.encode { token = other } } } } do
      assert.equal(-1, ask(page, engine_url .. try[1], try[2]).status, try[1])
    end
    -- without asking first, and without reading: what a form or a picture does
    for _, try in ipairs { { "/api/v1/events", { method = "GET", mode = "no-cors" } },
                           { path, { method = "POST", mode = "no-cors", headers = { ["Content-Type"] = "text/plain" },
                                     body = cjson.encode { token = other } } },
                           { "/api/v1/dead/drop", { method = "POST", mode = "no-cors", body = '{"all":true}' } } } do
      ask(page, engine_url .. try[1], try[2])
    end
    local after = engine:request("GET", "/metrics").body:match 'reason="from_a_web_page"} (%d+)'
    assert.is_true(tonumber(after) >= tonumber(before) + 3, "the engine has refused them")
    page:go(console.url(engine)):wait "page-title"
    assert.equal("ann", cjson.decode(ask(page, path).text).who)
  end)

  it("goes on in the first tab when another one logs in again, in nobody else's name", function()
    local function open_callbacks()
      return #cjson.decode(ask(page, "/api/v1/callbacks?status=open").text).items
    end
    for i = 1, 2 do
      engine:post("/hooks/webphone", ('{"event":"call","call_id":"c%d","number":"+3120123456%d"}'):format(i, i))
    end
    support.wait_for(function() return open_callbacks() == 2 end, 10, "the callbacks")
    page:go(console.url(engine, "/console/callbacks")):wait "callback-row"
    log_in_elsewhere(token)
    page:click "callback-done"
    support.wait_for(function() return open_callbacks() == 1 end, 10, "one to be done")
    page:reload():wait "callback-row"
    log_in_elsewhere(other)
    page:click "callback-done"
    page:wait_text("toasts", "somebody else")
    page:click "callback-done" -- still
    support.wait_for(function() return page:count "toast" >= 2 end, 10, "the second refusal")
    assert.equal(1, open_callbacks())
  end)

  it("ends at log-out, whichever tab opened it", function()
    log_in_elsewhere(token)
    page:click "logout"
    page:wait "login-form"
    assert.equal(401, ask(page, path).status)
    console.log_in(page, token)
    log_in_elsewhere(other)
    page:click "logout"
    page:wait "login-form"
    assert.equal(401, ask(page, path).status)
    page:reload():wait "login-form"
  end)

  it("that cannot be ended is not said to be", function()
    engine:kill9()
    page:click "logout"
    page:wait "retry"
    assert.equal(0, page:count "login-form")
    local port = engine.port
    engine.options.args = "--listen 127.0.0.1:" .. port
    engine:start()
    page:click "retry"
    page:wait "page-title"
    page:click "logout"
    page:wait "login-form"
  end)
end)
