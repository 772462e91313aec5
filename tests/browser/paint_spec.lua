-- SPDX-License-Identifier: MIT
-- What happens before the first picture of the page, and what waits for it. How soon it is there is measured by
-- ./dev bench console; this is why it can be: nothing is asked for only because something else was answered.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local socket = require "socket"
local support = require "tests.e2e.support"

-- When what is looked for is in the page, when the frame with it was made, and when a stream was opened.
local WATCH = [[
(function () {
  var seen = window.__paint = { streams: [], frames: 0 };
  var Source = window.EventSource;
  window.EventSource = class extends Source {
    constructor(url, how) { super(url, how); seen.streams.push(performance.now()); }
  };
  var watch = new MutationObserver(function () {
    seen.changes = (seen.changes || 0) + (document.querySelector("#app > :not(noscript)") ? 1 : 0);
    if (!document.querySelector("%s")) return;
    watch.disconnect();
    seen.there = performance.now();
    requestAnimationFrame(function () { setTimeout(function () { seen.made = performance.now(); }); });
  });
  watch.observe(document, { childList: true, subtree: true });
})();]]

-- Open /console in a new profile: { there, made, streams = { ms .. }, asked = { { path, from, to } .. } }.
local function open(engine, what)
  local page = browser.open()
  page:cdp("Page.addScriptToEvaluateOnNewDocument", { source = WATCH:format(what) })
  page:go(console.url(engine, "/console"))
  page:wait_for(function() return page:js "return window.__paint.made || null" end, 10, what)
  local seen = page:js [[
    window.__paint.asked = performance.getEntriesByType("resource").map(function (e) {
      return { path: e.name.replace(location.origin, ""), from: e.startTime, to: e.responseEnd }; });
    return window.__paint;]]
  return seen, page
end

-- What was asked for before it was there, a path each, without the part of a name that changes.
local function before(seen)
  local list = {}
  for _, a in ipairs(seen.asked) do
    if a.from < seen.there then
      list[#list + 1] = a.path:gsub("%-%w+%.", ".")
    end
  end
  table.sort(list)
  return table.concat(list, "\n")
end

-- No answer of the API may be what another question waited for.
local function no_chain(seen)
  for _, a in ipairs(seen.asked) do
    for _, b in ipairs(seen.asked) do
      if a.path:find("/api/", 1, true) and b.path:find("/api/", 1, true) and b.from < seen.there then
        assert.is_true(b.from < a.to, ("%s was asked for when %s had been answered"):format(b.path, a.path))
      end
    end
  end
end

describe("the first picture", function()
  local engine
  setup(function()
    engine = support.engine()
    console.flood(engine, 30, function(i)
      return support.payload("call_stop", { call_id = "call-" .. i, remote_name = "Caller " .. i })
    end)
    engine:wait_events("done", 30, 30)
  end)
  teardown(function() console.close { engine = engine } end)

  it("of the calls takes one script, one style sheet and three answers, all asked for at once", function()
    local seen, page = open(engine, "[data-testid=call-row]")
    finally(function() page:close() end)
    assert.equal([[
/api/v1/attention
/api/v1/calls?senders=true&limit=60
/api/v1/session
/console/console.css
/console/console.js]], before(seen))
    no_chain(seen)
    assert.equal(1, seen.changes, "the rows are in the first thing that is drawn")
    page:no_problems()
  end)

  it("comes before the stream and the other pages' script", function()
    local seen, page = open(engine, "[data-testid=call-row]")
    finally(function() page:close() end)
    page:wait_for(function() return page:js "return window.__paint.streams.length > 0" end, 5, "the stream")
    for _, at in ipairs(page:js "return window.__paint.streams") do
      assert.is_true(at > seen.made, "the stream was opened before the picture was made")
    end
    console.settled(page)
    page:wait_for(function()
      return page:js [[return performance.getEntriesByType("resource").filter(function (e) {
        return /console-\w+\.js$/.test(e.name); }).length === 2]]
    end, 8, "the script of the other pages, which comes by itself")
  end)

  it("is that of the search that stands in the address, too", function()
    local page = browser.open()
    finally(function() page:close() end)
    page:cdp("Page.addScriptToEvaluateOnNewDocument", { source = WATCH:format "[data-testid=call-row]" })
    page:go(console.url(engine, "/console?q=Caller+7"))
    page:wait "call-row"
    assert.equal(1, page:count "call-row")
    socket.sleep(0.3)
    local asked = page:js [[return performance.getEntriesByType("resource").map(function (e) {
      return e.name.replace(location.origin, ""); }).filter(function (p) { return p.startsWith("/api/v1/calls"); })]]
    for _, path in ipairs(asked) do
      assert.truthy(path:find("q=Caller", 1, true), "a list that nobody looks at: " .. path)
    end
    page:no_problems()
  end)

  it("of another page does not ask for the calls", function()
    local page = console.open(engine, "/console/rules")
    finally(function() page:close() end)
    for _, r in ipairs(page:network()) do
      assert.falsy(r.url:find("/api/v1/calls", 1, true), r.url)
    end
    page:no_problems()
  end)

  it("of the door is there at once", function()
    local locked = support.engine()
    finally(function() locked:close() end)
    console.token(locked, "ann", "viewer")
    local seen, page = open(locked, "[data-testid=login-form]")
    no_chain(seen)
    assert.equal(1, select(2, before(seen):gsub("/session", "")), "who is there is asked for once")
    assert.equal(1, seen.changes)
    assert.equal(0, #seen.streams)
    page:close()
  end)
end)
