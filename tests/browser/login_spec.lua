-- SPDX-License-Identifier: MIT
-- The way into the console: a token, once; then a cookie that no script can read.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

describe("the console's door", function()
  local engine, page, token
  setup(function()
    engine = support.engine()
    token = console.token(engine, "ann", "operator")
  end)
  before_each(function() page = browser.open { device = "desk" } end)
  after_each(function()
    page:no_problems()
    page:close()
  end)
  teardown(function() console.close { engine = engine } end)

  local function session_cookie()
    for _, cookie in ipairs(page:cookies()) do
      if cookie.name:find("switchhook_session", 1, true) then return cookie end
    end
  end

  it("refuses a wrong token in words, and lets a right one in", function()
    page:go(console.url(engine))
    page:type("login-token", "sh_" .. ("x"):rep(43)):click "login-submit"
    page:wait_text("login-error", "token")
    assert.equal("alert", page:attr("login-error", "role"))
    assert.equal("true", page:attr("login-token", "aria-invalid"))
    assert.is_nil(session_cookie())
    page:clear "login-token"
    console.log_in(page, token)
    console.settled(page)
    assert.equal("Calls", page:text "main h1")
    page:wait_text("who", "ann")

    local cookie = session_cookie()
    assert.is_true(cookie.httpOnly)
    assert.equal("Strict", cookie.sameSite)
    assert.equal("/", cookie.path)
    assert.is_false(cookie.value:find(token, 1, true) and true or false)
    assert.equal("", page:js "return document.cookie")
    assert.equal(0, page:js "return localStorage.length + sessionStorage.length",
      "nothing is kept where scripts can read it")
    page:reload()
    console.settled(page)
    assert.is_nil(page:find "login-form")
  end)

  it("leads to the place that was asked for", function()
    page:go(console.url(engine, "/console/dead"))
    page:wait "login-form"
    console.log_in(page, token)
    console.settled(page)
    assert.equal("/console/dead", page:path())
    assert.equal("Dead letters", page:text "main h1")
  end)

  it("shows what is there to who is quick", function()
    page:go(console.url(engine))
    page:wait "login-form"
    page:js("document.querySelector('[data-testid=login-token]').focus()")
    page:cdp("Input.insertText", { text = token }) -- at once, as a password manager does
    page:keys "Enter"
    page:wait_gone "login-form"
    page:wait_text("attention", "Nothing needs you")
    assert.is_nil(page:find "error")
  end)

  it("is shut behind who leaves", function()
    page:go(console.url(engine, "/console/events"))
    console.log_in(page, token)
    console.settled(page)
    local cookie = session_cookie()
    local with = { Cookie = cookie.name .. "=" .. cookie.value }
    assert.equal(200, engine:request("GET", "/api/v1/events", nil, with).status)
    page:click "logout"
    page:wait "login-form"
    assert.equal(401, engine:request("GET", "/api/v1/events", nil, with).status)
    page:go(console.url(engine, "/console/events"))
    page:wait "login-form"
    page:back()
    page:wait "login-form"
    assert.is_nil(page:find "rows")
  end)

  it("shows the door when the token is revoked under an open page", function()
    local other = console.token(engine, "bob", "viewer")
    page:go(console.url(engine, "/console/events"))
    console.log_in(page, other)
    console.settled(page)
    local _, out, code = engine:cli("token", "revoke", "bob")
    assert.equal(0, code, out)
    console.send(engine, { event = "call_start", call_id = "after" })
    page:wait("login-form", 15)
  end)

  it("can be used without a mouse", function()
    page:go(console.url(engine))
    page:wait "login-token"
    page:wait_for(function() return page:focused().testid == "login-token" end, 3, "the focus in the token's field")
    for c in token:gmatch "." do page:keys(c) end
    page:keys "Enter"
    page:wait_gone "login-form"
    console.settled(page)
    page:reload()
    console.settled(page)
    page:keys "Tab"
    assert.truthy(page:focused().text:lower():find "skip")
    page:keys "Enter"
    page:wait_for(function()
      return page:js "return document.activeElement.id === 'main' || location.hash === '#main'"
    end, 2, "the focus in the page")
    page:js "document.querySelector('nav a[href=\"/console/rules\"]').focus()"
    page:keys "Enter"
    page:wait_text("main h1", "Rules")
    assert.equal("page", page:attr('nav a[href="/console/rules"]', "aria-current"))
    for _ = 1, 60 do
      if page:focused().testid == "logout" then break end
      page:keys "Tab"
    end
    assert.equal("logout", page:focused().testid, "reached by Tab")
    page:keys "Enter"
    page:wait "login-form"
  end)
end)

describe("the console without tokens", function()
  it("is open on the machine itself", function()
    local engine = support.engine()
    local page = console.open(engine, "/console")
    finally(function()
      page:close()
      engine:close()
      browser.quit()
    end)
    assert.is_nil(page:find "login-form")
    assert.equal(0, page:count "logout")
    page:no_problems()
  end)
end)
