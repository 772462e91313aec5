-- SPDX-License-Identifier: MIT
-- browser.lua: headless Chromium for specs and benches, over the WebDriver protocol (W3C) and
-- chromedriver's door to the DevTools protocol.
--
--   local browser = require "tests.e2e.browser"
--   local page = browser.open { device = "phone", scheme = "dark" }
--   page:go(engine_url .. "/console")
--   page:type("login-token", token):keys "Enter"
--   page:wait "call-row"
--   page:close()
--
-- What a function takes as `at` is a data-testid ("login-token"), a CSS selector if it has any of
-- . # [ : > or a space in it ("main h1"), or an element that find gave. Functions that act wait until the thing
-- is there (5 s). Whatever waits in vain saves a picture of the page, its text and its log in
-- build/browser-failures/ and raises an error that says where.

local cjson = require "cjson"
local mime = require "mime"
local socket = require "socket"
local support = require "tests.e2e.support"

local browser = {}

local ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
local FAILURES = "build/browser-failures"
local WAIT = 5 -- seconds

browser.devices = {
  phone = { width = 390, height = 844, mobile = true, deviceScaleFactor = 2 },
  small = { width = 320, height = 640, mobile = true, deviceScaleFactor = 2 },
  desk = { width = 1280, height = 800, mobile = false, deviceScaleFactor = 1 },
}

-- The driver ----------------------------------------------------------------------------------------

local driver -- one a process, started when the first page opens

local function start_driver()
  local dir = support.temp_dir()
  local out = dir .. "/ready"
  support.write_file(out, "")
  -- The keeper ends it, and every browser, when this process ends in whatever way: its input closes.
  local keeper = assert(io.popen(("/usr/bin/python3 -B tests/e2e/browser_keeper.py %s >%s 2>&1"):format(dir, out), "w"))
  local port = support.wait_for(function()
    return tonumber(support.read_file(out):match "ready (%d+)")
  end, 60, "chromedriver; it said: " .. out)
  driver = { keeper = keeper, port = port, dir = dir, sessions = 0 }
end

-- End chromedriver and what it started. (It ends by itself with this process, too.)
function browser.quit()
  if driver then
    driver.keeper:close()
    driver = nil
  end
end

-- cjson has no empty arrays.
local function encode(value)
  return (cjson.encode(value):gsub('"@empty@"', "[]"))
end
local function list(t)
  return #t > 0 and t or "@empty@"
end

-- One WebDriver command: its value, or nil and {error=, message=}.
local function command(method, path, body)
  if not driver.conn then
    driver.conn = support.connect(driver.port)
    driver.conn.sock:settimeout(120)
  end
  local answer, why = driver.conn:request(method, path, body and encode(body) or nil)
  if not answer then
    driver.conn = nil
    error(("chromedriver did not answer %s %s: %s"):format(method, path, why))
  end
  local value = answer.json and answer.json.value
  if answer.status == 200 then
    return value ~= cjson.null and value or nil
  end
  return nil, value or { error = "status " .. answer.status, message = answer.body }
end

-- Pages ---------------------------------------------------------------------------------------------

local page = {}
page.__index = page

-- Runs in every document before its own scripts: what the specs ask about later.
local WATCH_POLICY = [[
window.__seen = { csp: [], shifts: [], tasks: [], events: [], live: [] };
document.addEventListener("securitypolicyviolation", function (e) {
  window.__seen.csp.push(e.violatedDirective + " " + e.blockedURI + " " + (e.sourceFile || ""));
});
]]
local WATCH_WORK = [[
function watch(type, more, take) {
  try { new PerformanceObserver(function (l) { l.getEntries().forEach(take); })
    .observe(Object.assign({ type: type, buffered: true }, more)); } catch (e) {}
}
watch("layout-shift", {}, function (e) {
  window.__seen.shifts.push({ value: e.value, input: e.hadRecentInput, at: e.startTime,
    what: (e.sources || []).map(function (s) {
      var n = s.node && (s.node.nodeType === 1 ? s.node : s.node.parentElement);
      return !n ? "?" : n.tagName + "." + n.className + "[" + (n.getAttribute("data-testid") || "") + "]";
    }) });
});
watch("longtask", {}, function (e) { window.__seen.tasks.push(e.duration); });
watch("event", { durationThreshold: 16 }, function (e) {
  window.__seen.events.push({ name: e.name, ms: e.duration });
});
]]

local ARGS = { "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  "--disable-breakpad", "--disable-default-apps", "--no-default-browser-check", "--force-color-profile=srgb",
  "--hide-scrollbars", "--font-render-hinting=none", "--password-store=basic",
  "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider" }

-- Open a browser with a new profile. options (all optional):
--   device   "desk" (default), "phone" or "small"
--   scheme   "light" (default) or "dark"
--   motion   "reduce": the reader has asked for less of it
--   quiet    true: no log of requests, shifts and tasks is kept, which would grow in the page (for hours of load)
--   args     more arguments for Chromium
--   zone     IANA time zone of the page; locale: its language
function browser.open(options)
  options = options or {}
  if not driver then
    start_driver()
  end
  driver.sessions = driver.sessions + 1
  local args = { table.unpack(ARGS) }
  args[#args + 1] = ("--user-data-dir=%s/profile-%d"):format(driver.dir, driver.sessions)
  for _, arg in ipairs(options.args or {}) do
    args[#args + 1] = arg
  end
  local logs = { browser = "ALL" }
  if not options.quiet then
    logs.performance = "ALL"
  end
  local value, why = command("POST", "/session", { capabilities = { alwaysMatch = {
    browserName = "chrome", pageLoadStrategy = "normal", ["goog:loggingPrefs"] = logs,
    ["goog:chromeOptions"] = { args = args } } } })
  assert(value, why and why.message)
  local self = setmetatable({ id = value.sessionId, options = options, console = {}, requests = {} }, page)
  self:go "about:blank" -- not the new tab's page, which asks for things of its own
  self:read_logs()
  self.console, self.requests = {}, {}
  self:cdp("Page.addScriptToEvaluateOnNewDocument", { source = WATCH_POLICY .. (options.quiet and "" or WATCH_WORK) })
  self:device(options.device or "desk")
  self.media_features = {}
  self:media { ["prefers-color-scheme"] = options.scheme or "light",
    ["prefers-reduced-motion"] = options.motion or "no-preference" }
  if options.zone then
    self:cdp("Emulation.setTimezoneOverride", { timezoneId = options.zone })
  end
  return self
end

function page:command(method, path, body)
  return command(method, "/session/" .. self.id .. path, body)
end

-- As command, but what goes wrong is an error.
function page:must(method, path, body)
  local value, why = self:command(method, path, body)
  if why then
    self:fail(("%s %s: %s: %s"):format(method, path, why.error, why.message:match "^[^\n]*"))
  end
  return value
end

function page:close()
  if self.id then
    self:command("DELETE", "")
    self.id = nil
  end
end

-- A DevTools command.
function page:cdp(name, params)
  return self:must("POST", "/goog/cdp/execute", { cmd = name, params = params or {} })
end

-- "phone", "small", "desk", or { width =, height =, mobile =, deviceScaleFactor = }.
function page:device(device)
  local d = type(device) == "table" and device or assert(browser.devices[device], device)
  self:cdp("Emulation.setDeviceMetricsOverride", d)
  self:cdp("Emulation.setTouchEmulationEnabled", { enabled = d.mobile })
  return self
end

-- { ["prefers-color-scheme"] = "dark", .. }; what is not named stays.
function page:media(features)
  local named = {}
  for name, value in pairs(features) do
    self.media_features[name] = value
  end
  for name, value in pairs(self.media_features) do
    named[#named + 1] = { name = name, value = value }
  end
  self:cdp("Emulation.setEmulatedMedia", { features = named })
  return self
end

-- Failures ------------------------------------------------------------------------------------------

local failed = 0

-- Raise an error; what the page looks like is kept.
function page:fail(what)
  failed = failed + 1
  if self.failing then -- while it was being looked at
    error(what, 3)
  end
  self.failing = true
  local info = debug.getinfo(2, "Sl")
  for level = 2, 12 do
    local there = debug.getinfo(level, "Sl")
    if there and there.short_src:find("_spec", 1, true) then
      info = there
      break
    end
  end
  assert(os.execute("mkdir -p " .. FAILURES))
  local name = ("%s/%s-%d-%d"):format(FAILURES, info.short_src:match "([%w_]+)%.lua" or "page", info.currentline,
    failed)
  pcall(function() self:screenshot(name .. ".png") end)
  pcall(function()
    support.write_file(name .. ".txt", what .. "\n\n" .. self:url() .. "\n\n" ..
      (self:js "return document.body ? document.body.innerText : ''" or "") .. "\n\n" ..
      (self:js "return document.documentElement.outerHTML" or ""))
  end)
  pcall(function()
    self:read_logs()
    local lines = {}
    for _, entry in ipairs(self.console) do
      lines[#lines + 1] = ("%s %s %s"):format(entry.level, entry.source, entry.message)
    end
    for _, r in pairs(self.requests) do
      lines[#lines + 1] = ("%s %s %s"):format(r.method, r.url, r.status or r.failed or "")
    end
    support.write_file(name .. ".log", table.concat(lines, "\n") .. "\n")
  end)
  self.failing = nil
  error(("%s\n  at %s:%d; what the page looked like: %s.png, .txt, .log"):format(what, info.short_src,
    info.currentline, name), 3)
end

-- Call fn until it returns something true; a failure naming `what` after seconds.
function page:wait_for(fn, seconds, what)
  local deadline = socket.gettime() + (seconds or WAIT)
  while true do
    local value = fn()
    if value then
      return value
    end
    if socket.gettime() > deadline then
      self:fail(("waited %g s for %s"):format(seconds or WAIT, what or "a condition"))
    end
    socket.sleep(0.02)
  end
end

-- Elements ------------------------------------------------------------------------------------------

-- The CSS selector of `at`.
function browser.css(at)
  if type(at) == "table" then
    return "(an element)"
  end
  return at:find "[.#%[:> ]" and at or ('[data-testid="%s"]'):format(at)
end
local css = browser.css

local function is_element(at)
  return type(at) == "table" and at[ELEMENT]
end

-- The first element, or nil. Does not wait.
function page:find(at)
  if is_element(at) then
    return at
  end
  return (self:command("POST", "/element", { using = "css selector", value = css(at) }))
end

function page:all(at)
  return self:must("POST", "/elements", { using = "css selector", value = css(at) })
end

function page:count(at)
  return self:js("return document.querySelectorAll(arguments[0]).length", css(at))
end

-- Wait until it is there; returns the element.
function page:wait(at, seconds)
  return self:wait_for(function() return self:find(at) end, seconds, css(at))
end

function page:wait_gone(at, seconds)
  self:wait_for(function() return not self:find(at) end, seconds, css(at) .. " to go")
  return self
end

-- Wait until its text contains this (plain).
function page:wait_text(at, text, seconds)
  self:wait_for(function()
    return (self:js("var e = document.querySelector(arguments[0]); return e ? e.textContent : ''", css(at)) or "")
      :find(text, 1, true)
  end, seconds, ("%q in %s"):format(text, css(at)))
  return self
end

-- Do something with an element, again if the page was drawn anew meanwhile.
local function act(self, at, what, fn)
  local why
  local deadline = socket.gettime() + WAIT
  repeat
    local element = self:find(at)
    if element then
      local value
      value, why = fn(element)
      if not why then
        return value
      end
    else
      why = { error = "not there", message = "" }
    end
    socket.sleep(0.03)
  until socket.gettime() > deadline
  self:fail(("cannot %s %s: %s: %s"):format(what, css(at), why.error, (why.message or ""):match "^[^\n]*"))
end

local function path_of(element, rest)
  return "/element/" .. element[ELEMENT] .. rest
end

function page:click(at)
  act(self, at, "click", function(e) return self:command("POST", path_of(e, "/click"), { _ = "" }) end)
  return self
end

-- Two presses at one place, as quick as a hand is.
function page:double_click(at)
  act(self, at, "click", function(e)
    local function press() return { type = "pointerDown", button = 0 } end
    local function release() return { type = "pointerUp", button = 0 } end
    return self:command("POST", "/actions", { actions = { { type = "pointer", id = "mouse",
      parameters = { pointerType = "mouse" }, actions = {
        { type = "pointerMove", duration = 0, origin = e, x = 0, y = 0 }, press(), release(),
        { type = "pause", duration = 150 }, press(), release() } } } })
  end)
  return self
end

-- Type into it, after what is there already; clear(at) empties it first.
function page:type(at, text)
  act(self, at, "type into", function(e) return self:command("POST", path_of(e, "/value"), { text = text }) end)
  return self
end

function page:clear(at)
  act(self, at, "clear", function(e) return self:command("POST", path_of(e, "/clear"), { _ = "" }) end)
  return self
end

-- Its text as it is drawn.
function page:text(at)
  return act(self, at, "read", function(e) return self:command("GET", path_of(e, "/text")) end)
end

-- An attribute's value, or nil.
function page:attr(at, name)
  return act(self, at, "read", function(e) return self:command("GET", path_of(e, "/attribute/" .. name)) end)
end

function page:visible(at)
  local e = self:find(at)
  return e and self:command("GET", path_of(e, "/displayed")) or false
end

local KEYS = { Tab = 0xE004, Enter = 0xE007, Escape = 0xE00C, Space = 0x20, Shift = 0xE008, Control = 0xE009,
  Alt = 0xE00A, PageUp = 0xE00E, PageDown = 0xE00F, End = 0xE010, Home = 0xE011, Left = 0xE012, Up = 0xE013,
  Right = 0xE014, Down = 0xE015, Delete = 0xE017, Backspace = 0xE003 }

-- Keys on the keyboard, one after another: "Tab", "Shift+Tab", or a text of one character.
function page:keys(...)
  local actions = {}
  for _, word in ipairs { ... } do
    local held = {}
    for name in word:gmatch "([^+]+)" do
      held[#held + 1] = KEYS[name] and utf8.char(KEYS[name]) or name
    end
    for _, key in ipairs(held) do
      actions[#actions + 1] = { type = "keyDown", value = key }
    end
    for i = #held, 1, -1 do
      actions[#actions + 1] = { type = "keyUp", value = held[i] }
    end
  end
  self:must("POST", "/actions", { actions = { { type = "key", id = "keyboard", actions = actions } } })
  return self
end

-- Turn the wheel over the middle of the page, by so many pixels.
function page:wheel(dy)
  self:must("POST", "/actions", { actions = { { type = "wheel", id = "wheel", actions = {
    { type = "scroll", x = 200, y = 400, deltaX = 0, deltaY = dy, duration = 0 } } } } })
  return self
end

-- What has the keyboard's focus: { tag, testid, id, text, label }.
function page:focused()
  return self:js [[
    var e = document.activeElement;
    return { tag: e.tagName, testid: e.getAttribute("data-testid") || "", id: e.id,
      text: (e.textContent || "").slice(0, 60), label: e.getAttribute("aria-label") || "" };]]
end

-- The document --------------------------------------------------------------------------------------

function page:go(url)
  self:must("POST", "/url", { url = url })
  return self
end

function page:url()
  return self:must("GET", "/url")
end

-- Only the path of it.
function page:path()
  return self:js "return location.pathname"
end

function page:reload()
  self:must("POST", "/refresh", { _ = "" })
  return self
end

function page:back()
  self:must("POST", "/back", { _ = "" })
  return self
end

-- Run the body of a function in the page; its value. Elements may be arguments.
function page:js(body, ...)
  return self:must("POST", "/execute/sync", { script = body, args = list { ... } })
end

-- The same for a body that calls its last argument with the value.
function page:js_async(body, ...)
  return self:must("POST", "/execute/async", { script = body, args = list { ... } })
end

function page:cookies()
  return self:must("GET", "/cookie")
end

function page:screenshot(path)
  local png = self:must("GET", "/screenshot")
  if path then
    support.write_file(path, (mime.unb64(png)))
    return self
  end
  return (mime.unb64(png))
end

-- Logs ----------------------------------------------------------------------------------------------

local taking = {}
taking["Network.requestWillBeSent"] = function(self, p)
  local old = self.requests[p.requestId]
  if old and p.redirectResponse then
    self.requests[p.requestId .. "-" .. (#old.url)] = old
  end
  self.requests[p.requestId] = { url = p.request.url, method = p.request.method, type = p.type,
    sent_headers = p.request.headers, decoded = 0 }
end
taking["Network.responseReceived"] = function(self, p)
  local r = self.requests[p.requestId]
  if r then
    r.status, r.mime = p.response.status, p.response.mimeType
    r.cached = r.cached or p.response.fromDiskCache
    r.headers = {}
    for name, value in pairs(p.response.headers) do
      r.headers[name:lower()] = value
    end
  end
end
taking["Network.requestServedFromCache"] = function(self, p)
  local r = self.requests[p.requestId]
  if r then
    r.cached = true
  end
end
taking["Network.dataReceived"] = function(self, p)
  local r = self.requests[p.requestId]
  if r then
    r.decoded = r.decoded + p.dataLength
  end
end
taking["Network.loadingFinished"] = function(self, p)
  local r = self.requests[p.requestId]
  if r then
    r.transferred = p.encodedDataLength
  end
end
taking["Network.loadingFailed"] = function(self, p)
  local r = self.requests[p.requestId]
  if r then
    r.failed = p.errorText
  end
end

-- Take what the browser has logged since.
function page:read_logs()
  for _, entry in ipairs(self:must("POST", "/se/log", { type = "browser" })) do
    self.console[#self.console + 1] = entry
  end
  if not self.options.quiet then
    for _, entry in ipairs(self:must("POST", "/se/log", { type = "performance" })) do
      local message = cjson.decode(entry.message).message
      local take = taking[message.method]
      if take then
        take(self, message.params)
      end
    end
  end
  return self
end

-- Every request so far: { { url, method, type, status, headers, mime, decoded, transferred, cached } .. }
-- (bytes of the body after and before it was unpacked, headers counted in transferred; cached: the browser
-- had it).
function page:network()
  self:read_logs()
  local all = {}
  for id, r in pairs(self.requests) do
    r.id = id
    all[#all + 1] = r
  end
  table.sort(all, function(a, b) return a.url < b.url end)
  return all
end

-- What should never be: errors of scripts, what the Content-Security-Policy refused, errors and warnings
-- on the console; one text each. Answers of 4xx and 5xx and lost connections are not among them.
function page:problems()
  self:read_logs()
  local bad = {}
  for _, entry in ipairs(self.console) do
    if entry.source ~= "network" and (entry.level == "SEVERE" or entry.level == "WARNING") then
      bad[#bad + 1] = ("%s (%s): %s"):format(entry.level, entry.source, entry.message)
    end
  end
  for _, text in ipairs(self:js "return window.__seen ? window.__seen.csp : []") do
    bad[#bad + 1] = "Content-Security-Policy: " .. text
  end
  return bad
end

-- Fail if there is any.
function page:no_problems()
  local bad = self:problems()
  if #bad > 0 then
    self:fail(table.concat(bad, "\n"))
  end
  return self
end

-- Figures -------------------------------------------------------------------------------------------

-- After a collection: { heap (bytes), nodes, listeners, documents }.
function page:memory()
  self:cdp "HeapProfiler.collectGarbage"
  self:cdp "HeapProfiler.collectGarbage" -- what the first one has let go of
  local heap, dom = self:cdp "Runtime.getHeapUsage", self:cdp "Memory.getDOMCounters"
  return { heap = heap.usedSize, nodes = dom.nodes, listeners = dom.jsEventListeners, documents = dom.documents }
end

-- Milliseconds from the navigation to what the browser painted first with something in it, or nil.
function page:first_paint()
  return self:js [[
    var e = performance.getEntriesByName("first-contentful-paint")[0];
    return e ? e.startTime : null;]]
end

-- What the observers have seen since the page was loaded, or since the last forget:
-- { shifts = { { value, input, at, what } .. }, tasks = { ms .. }, events = { { name, ms } .. } }
function page:seen()
  return self:js "return window.__seen"
end

function page:forget_seen()
  self:js "var s = window.__seen; s.shifts = []; s.tasks = []; s.events = []; s.live = [];"
  return self
end

return browser
