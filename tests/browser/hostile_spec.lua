-- SPDX-License-Identifier: MIT
-- What a sender, or a rule, names things: on no page does any of it run, break out of its place, or turn
-- the text after it round.
local cjson = require "cjson"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local SCRIPT = "<script>window.ran=1</script>"
local names = {
  SCRIPT,
  [["><img src=x onerror=window.ran=2>]],
  [['><svg/onload=window.ran=3>]],
  [[javascript:window.ran=4]],
  [[</textarea></pre></title><iframe srcdoc="<script>parent.ran=5</script>">]],
  [[{{constructor.constructor('window.ran=6')()}}${window.ran=7}]],
  [[&lt;b&gt;<b style="position:fixed;inset:0" onmouseover=window.ran=8>]],
  "\226\128\174gnirts desrever\226\128\172 \226\128\174never ended", -- RIGHT-TO-LEFT OVERRIDE
  "👩‍👩‍👧‍👦🏳️‍🌈 Zoë Ăn̴̛͎ ﷽",
  [[\u0000\x00%00&#0; NUL-like]],
  ("long"):rep(2560),
  "-", "0", "__proto__", "constructor", "null", "../../../etc/passwd", "?x=1#y",
}

local RULE = [[
rule("%s") { on = "*", when = function(call) return call.remote_name end, run = function(call, event)
  log.info(call.remote_name)
  records.put("calls", call.remote_name:sub(1, 200), { name = call.remote_name, analysis = call.analysis })
  callback { number = "0612345678", name = call.remote_name, due = now(), assignee = "a@example.org",
    reason = call.remote_name }
  email { to = "a@example.org", subject = call.remote_name:sub(1, 900), text = call.remote_name }
  http.post { url = "SINK/hook?q=1", json = { name = call.remote_name } }
end }
rule "Dials" { on = "dial", run = function(call)
  callback { number = call.number, due = now(), assignee = "dial", reason = "r" }
end }
rule "Fails" { on = "*", when = function(call) return call.remote_name end,
  run = function(call) error(call.remote_name) end }
rule "Looks" { on = "*", when = function(call) return get(call, "analysis.sentiment") == "x" end,
  run = function() end }
]]

describe("hostile names", function()
  local engine, sink, page, ids
  local rule_name = SCRIPT .. "&'\"/%"
  setup(function()
    sink = support.sink()
    sink:answers { ["*"] = { { forever = true, status = 410, body = SCRIPT .. names[2] } } }
    local rules = RULE:gsub("SINK", sink.url)
      :gsub('"%%s"', function() return "[==[" .. rule_name .. "]==]" end)
    engine = support.engine {
      config = [[return { retry = {}, quarantine = false, http = { allow = { "127.0.0.1" } },
        sources = { webphone = { path = "/hooks/webphone", auth = "none",
        type = { field = "event" }, key = { field = "call_id" } } } }]],
      rules = { ["hostile.lua"] = rules },
    }
    ids = {}
    for n = #names, 1, -1 do -- so that the first of them is the newest
      local name = names[n]
      local text = cjson.encode {
        event = n % 2 == 0 and "call_stop" or name:sub(1, 100), call_id = n == 11 and "long" or name,
        remote_name = name, remote_number = name, user_email = name, direction = name, call_result = name,
        analysis = { sentiment = name, samenvatting = name, [name] = name, list = { name, { [name] = { name } } } },
      }
      local answer = console.send(engine, text)
      ids[n] = answer.id
    end
    engine:wait_events("dead", #names, 15)
    support.wait_for(function() return #sink:requests() >= #names end, 15, "the calls")
    page = console.open(engine, "/console")
  end)
  teardown(function() console.close { page = page, engine = engine, sink = sink } end)

  -- Nothing ran, nothing was made of it, and each override of direction ends in its own element.
  local function harmless(where)
    local got = page:js [[
      var d = document, odd = [];
      if (window.ran !== undefined) odd.push("it ran: " + window.ran);
      if (d.querySelectorAll("script").length !== 1) odd.push("scripts: " + d.querySelectorAll("script").length);
      var shown = /\[native code\]|\[object \w+\]|\bundefined\b|\bNaN\b/.exec(d.body.innerText);
      if (shown) odd.push("shown: " + shown[0]);
      d.querySelectorAll("iframe, object, embed, [onerror], [onload], [onmouseover], img[src='x'], b[style]")
        .forEach(function (e) { odd.push("made: " + e.outerHTML.slice(0, 80)); });
      d.querySelectorAll("a[href]").forEach(function (e) {
        if (!/^(https?:|tel:|mailto:)/.test(e.protocol)) odd.push("link: " + e.href.slice(0, 80));
        else if (/^https?:/.test(e.protocol) && e.origin !== location.origin) odd.push("leads away: " + e.href);
      });
      var walk = d.createTreeWalker(d.body, NodeFilter.SHOW_TEXT), n;
      while ((n = walk.nextNode())) {
        if (!/[\u202a-\u202e\u2066-\u2069]/.test(n.data)) continue;
        var s = getComputedStyle(n.parentElement);
        if (n.parentElement.tagName === "TEXTAREA") continue;
        if (s.display === "inline" && !/isolate|plaintext/.test(s.unicodeBidi))
          odd.push("not isolated: " + n.parentElement.outerHTML.slice(0, 120));
      }
      return odd;]]
    if #got > 0 then page:fail(where .. ": " .. table.concat(got, "\n")) end
    page:no_problems()
    local over, who = console.overflow(page)
    if over > 0 then page:fail(("%s sticks out by %d px: %s"):format(where, over, who)) end
  end

  local function all_text()
    return page:js [[
      var more = "";
      document.querySelectorAll("textarea, input").forEach(function (e) { more += e.value; });
      return document.body.textContent + more;]]
  end

  for _, place in ipairs(console.places) do
    if place.name ~= "event" then
      it("do no harm on the page of " .. place.name, function()
        local path = console.path(place, nil, rule_name)
        for _, device in ipairs { "desk", "phone" } do
          page:device(device)
          console.visit(page, engine, path)
          harmless(place.name .. " on a " .. device)
        end
        if place.name ~= "playground" and place.name ~= "graphs" then
          assert.truthy(all_text():find(SCRIPT, 1, true), "shown as it was sent")
        end
      end)
    end
  end

  it("do no harm on the page of an event, and are shown as they were sent", function()
    page:device "desk"
    for n, id in ipairs(ids) do
      console.visit(page, engine, "/console/events/" .. id)
      page:wait("event-body", 5)
      harmless("event " .. n)
      local text = all_text():gsub("\\(.)", "%1")
      local sent = names[n]:gsub("\\", "")
      assert.truthy(text:find(sent:sub(1, 200), 1, true), ("%d: %s"):format(n, sent:sub(1, 60)))
    end
  end)

  it("hide nothing, and make the page wait for nothing, whatever shape they have", function()
    local answer = console.send(engine, cjson.encode {
      event = "call_stop", call_id = "shapes", rawJSON = "1",
      analysis = { rawJSON = { type = "b" }, beside = "is seen" },
      spoken = { { speaker = { toString = 1, valueOf = 1 }, text = "by nobody" }, { speaker = "A", text = "hello" } },
      blank = (" "):rep(300000) .. "x",
      lines = (("a "):rep(30000) .. "\n"):rep(4),
    })
    local before = os.time()
    console.visit(page, engine, "/console/events/" .. answer.id)
    page:wait("event-body", 5)
    harmless "shapes"
    local text = all_text()
    for _, part in ipairs { "is seen", "by nobody", "hello" } do assert.truthy(text:find(part, 1, true), part) end
    assert.truthy(os.time() - before < 20, "the page is there soon")
  end)

  it("do not drown the page", function()
    local leaves, rows, all = {}, {}, {}
    for i = 1, 40 do leaves[i] = i end
    for i = 1, 40 do rows[i] = leaves end
    for i = 1, 60 do all["k" .. i] = rows end
    local answer = console.send(engine, cjson.encode {
      event = "call_stop", call_id = "many", many = all, blank = ("\226\128\139"):rep(100000), last = "the last" })
    console.visit(page, engine, "/console/events/" .. answer.id)
    page:wait("event-body", 5)
    page:wait_text("event-body", "the last", 5)
    local n = page:js [[return document.querySelectorAll("*").length]]
    assert.is_true(n < 20000, n .. " elements")
    page:js [[
      var all = document.querySelectorAll(".more-of");
      for (var i = 0; i < all.length; i++) all[i].click();]]
    page:wait_text("event-body", "k1", 5)
    n = page:js [[return document.querySelectorAll("*").length]]
    assert.is_true(n < 20000, n .. " elements, unfolded")
    harmless "many"
  end)

  it("become no code that a telephone acts on", function()
    for n, number in ipairs { "*21*0612345678#", "#31#0612345678", "0612345678,,1*1", "+31612345678" } do
      console.send(engine, cjson.encode { event = "dial", call_id = "dial" .. n, number = number })
    end
    console.visit(page, engine, "/console/callbacks?assignee=dial")
    page:wait_text("#main", "#31#0612345678", 10)
    page:wait_text("#main", "+31612345678", 10)
    assert.same({ "tel:+31612345678" }, page:js [[
      var links = document.querySelectorAll("#main a[href^='tel:']");
      return Array.from(links, function (e) { return e.getAttribute("href"); });]])
  end)

  it("do no harm when tried in the playground", function()
    console.visit(page, engine, "/console/playground")
    page:js([[
      var e = document.querySelector("[data-testid=playground-input]");
      Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(e, arguments[0]);
      e.dispatchEvent(new Event("input", { bubbles: true }));]],
      cjson.encode { event = "call_stop", call_id = SCRIPT, remote_name = names[2],
        analysis = { sentiment = names[8] } })
    page:click "playground-run"
    page:wait("playground-result", 10)
    page:wait_text("playground-result", names[2])
    harmless "the playground's answer"
  end)

  it("in an address do no harm either", function()
    for _, path in ipairs { "/console/" .. SCRIPT, "/console/events/" .. console.escape(names[2]),
        "/console/rules/%E0%A4", "/console/rules/" .. console.escape(names[8]),
        "/console?q=" .. console.escape(SCRIPT) } do
      page:go(console.url(engine, path))
      page:wait "main h1, main h2, [role=alert]"
      harmless(path)
    end
  end)
end)
