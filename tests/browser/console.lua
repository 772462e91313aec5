-- SPDX-License-Identifier: MIT
-- console.lua: what the specs of the console share: its places, the way in, loads of events, and what is
-- measured of a page.
local browser = require "tests.e2e.browser"
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local console = {}

-- Every place of the console; console.path puts an event's id and a rule's name in.
console.places = {
  { name = "calls", path = "/console" },
  { name = "events", path = "/console/events" },
  { name = "event", path = "/console/events/EVENT" },
  { name = "callbacks", path = "/console/callbacks" },
  { name = "deliveries", path = "/console/deliveries" },
  { name = "dead", path = "/console/dead" },
  { name = "rules", path = "/console/rules" },
  { name = "rule", path = "/console/rules/RULE" },
  { name = "playground", path = "/console/playground" },
  { name = "graphs", path = "/console/graphs" },
}

-- The path of a place: an event's id and a rule's name for EVENT and RULE.
function console.path(place, event, rule)
  return (place.path:gsub("EVENT", event or "none"):gsub("RULE", function() return console.escape(rule or "none") end))
end

function console.url(engine, path)
  return ("http://127.0.0.1:%d%s"):format(engine.port, path or "/console")
end

function console.escape(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- A new token of that role.
function console.token(engine, name, role)
  local _, out = engine:cli("token", "new", name, "--role", role)
  return (assert(out:match "sh_[%w_%-]+", out))
end

-- Fill in the log-in form that is shown.
function console.log_in(page, token)
  page:type("login-token", token):keys "Enter"
  page:wait_gone "login-form"
  page:wait "main h1"
  return page
end

-- Wait until nothing is loading any more and the stream is there.
function console.settled(page, seconds)
  page:wait_for(function()
    return page:js [[
      var live = document.querySelector("[data-testid=connection]");
      return document.querySelector("main h1") && !document.querySelector("[aria-busy=true]") &&
        !document.querySelector("[data-testid=login-form], [data-testid=lost]") &&
        (!live || live.getAttribute("data-state") === "live");]] -- on a phone it is not said that all is well
  end, seconds or 8, "the page to settle")
  return page
end

-- Go to a place and wait until it is all there.
function console.visit(page, engine, path)
  page:go(console.url(engine, path))
  return console.settled(page)
end

-- A page at a place. options as of browser.open, and token: log in with it.
function console.open(engine, path, options)
  options = options or {}
  local page = browser.open(options)
  page:go(console.url(engine, path))
  if options.token then
    console.log_in(page, options.token)
  end
  return console.settled(page)
end

-- Send n events, many at a time; make(i) gives the body. Every one must be accepted.
function console.flood(engine, n, make)
  local width, conns = math.min(32, n), {}
  for i = 1, width do
    conns[i] = engine:connect()
  end
  for i = 1, n, width do
    local last = math.min(n, i + width - 1)
    for k = i, last do
      local body = make(k)
      if type(body) == "table" then
        body = cjson.encode(body)
      end
      conns[k - i + 1]:send(("POST /hooks/webphone HTTP/1.1\r\nHost: 127.0.0.1\r\n" ..
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
    end
    for k = i, last do
      local answer = assert(conns[k - i + 1]:answer())
      assert(answer.status == 200, answer.body)
    end
  end
  for _, conn in ipairs(conns) do
    conn:close()
  end
end

-- One event; its answer is 200.
function console.send(engine, body)
  local answer = engine:post("/hooks/webphone", type(body) == "table" and cjson.encode(body) or body)
  assert(answer.status == 200, answer.body)
  return answer.json
end

-- Call fn(i) n times, every ms.
function console.every(ms, n, fn)
  local start = socket.gettime()
  for i = 1, n do
    local ahead = start + i * ms / 1000 - socket.gettime()
    if ahead > 0 then
      socket.sleep(ahead)
    end
    fn(i)
  end
end

-- The end of a spec: closes those of page, engine and sink that there are, and the browser.
function console.close(what)
  for _, name in ipairs { "page", "engine", "sink" } do
    if what[name] then
      what[name]:close()
    end
  end
  browser.quit()
end

-- A line of figures in the log of the test run.
function console.say(...)
  print("# " .. string.format(...))
end

-- Scroll to y (pixels; nil: to the end) and wait two frames.
function console.scroll(page, y)
  page:js_async([[
    var done = arguments[arguments.length - 1], y = arguments[0];
    window.scrollTo(0, y === null || y === undefined ? document.documentElement.scrollHeight : y);
    requestAnimationFrame(function () { requestAnimationFrame(function () { done(); }); });]], y or cjson.null)
  return page
end

-- axe-core: { violations, contrast } of the page as it is. violations: one text each; contrast: the
-- lowest ratio among texts that were measured, and where.
local axe_text
function console.axe(page)
  axe_text = axe_text or support.read_file "build/axe/package/axe.min.js"
  if not page:js "return !!window.axe" then
    page:cdp("Runtime.evaluate", { expression = axe_text .. "\n;0" })
  end
  local got = page:js_async [[
    var done = arguments[arguments.length - 1];
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      resultTypes: ["violations", "passes", "incomplete"] }).then(function (r) {
      var low = { ratio: 99, where: "" };
      function look(list) {
        list.forEach(function (rule) {
          if (rule.id !== "color-contrast") return;
          rule.nodes.forEach(function (n) {
            n.any.concat(n.all).forEach(function (c) {
              var ratio = c.data && c.data.contrastRatio;
              if (ratio && ratio < low.ratio) low = { ratio: ratio, where: n.html.slice(0, 120) };
            });
          });
        });
      }
      look(r.passes); look(r.violations);
      done({ contrast: low, violations: r.violations.map(function (v) {
        return v.id + " (" + v.impact + "): " + v.help + "; " + v.nodes.length + " times, first: " +
          v.nodes[0].target.join(" ") + " " + v.nodes[0].html.slice(0, 200) +
          (v.id === "color-contrast" ? " " + JSON.stringify((v.nodes[0].any[0] || {}).data) : "");
      }), unsure: r.incomplete.map(function (v) { return v.id + " " + v.nodes.length; }) });
    }, function (e) { done({ contrast: { ratio: 0 }, violations: [String(e)] }); });]]
  return got
end

-- How far the page can be scrolled sideways, in pixels, and what sticks out.
function console.overflow(page)
  local got = page:js [[
    var d = document.documentElement, width = d.clientWidth, over = d.scrollWidth - width, who = "";
    if (over > 0) {
      document.querySelectorAll("body *").forEach(function (e) {
        var r = e.getBoundingClientRect();
        if (!who && r.width && r.right > width + 0.5)
          who = e.tagName + "." + e.className + " [" + (e.getAttribute("data-testid") || "") + "]";
      });
    }
    return { over: over, who: who };]]
  return got.over, got.who
end

return console
