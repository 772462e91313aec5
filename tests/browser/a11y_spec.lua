-- SPDX-License-Identifier: MIT
-- The console for those who use a keyboard, a screen reader, a small phone, a dark room, or get sick of
-- things that move.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local day = require "tests.browser.day"

local RULE = "Call back after a negative call"

describe("every page of the console", function()
  local world, page
  setup(function()
    world = day.start()
    page = browser.open { zone = day.zone }
    page:cdp("Page.addScriptToEvaluateOnNewDocument", { source = world:page_clock() })
    page:go(console.url(world.engine))
    console.log_in(page, world.token)
  end)
  teardown(function()
    if world then world:close() end
    console.close { page = page }
  end)

  local function visit(place)
    console.visit(page, world.engine, console.path(place, world.event, RULE))
  end
  local function everywhere(fn)
    for _, place in ipairs(console.places) do
      fn(place)
    end
  end

  for _, scheme in ipairs { "light", "dark" } do
    for _, device in ipairs { "desk", "phone" } do
      it(("breaks no rule of WCAG 2.2 AA or good practice, %s, on a %s"):format(scheme, device), function()
        page:device(device):media { ["prefers-color-scheme"] = scheme }
        local bad, lowest = {}, { ratio = 99 }
        everywhere(function(place)
          visit(place)
          local got = console.axe(page)
          for _, text in ipairs(got.violations) do bad[#bad + 1] = place.name .. ": " .. text end
          if got.contrast.ratio < lowest.ratio then
            lowest = got.contrast
            lowest.place = place.name
          end
        end)
        console.say("%s, %s: lowest contrast %.2f, on %s: %s", scheme, device, lowest.ratio, lowest.place,
          lowest.where)
        assert.equal("", table.concat(bad, "\n"))
        assert.is_true(lowest.ratio >= 4.5 or lowest.ratio >= 3 and #bad == 0)
      end)
    end
  end

  it("fits a narrow phone: nothing is scrolled sideways", function()
    local bad = {}
    for _, device in ipairs { "phone", "small" } do
      page:device(device)
      everywhere(function(place)
        visit(place)
        local over, who = console.overflow(page)
        if over > 0 then bad[#bad + 1] = ("%s, %s: %d px, %s"):format(device, place.name, over, who) end
      end)
    end
    assert.equal("", table.concat(bad, "\n"))
  end)

  it("can be walked through with Tab, and shows where one is", function()
    page:device "desk"
    local bad = {}
    everywhere(function(place)
      visit(place)
      page:js "document.activeElement.blur(); scrollTo(0, 0);"
      local first, seen
      for n = 1, 40 do
        page:keys "Tab"
        local at = page:js [[
          var e = document.activeElement, r = e.getBoundingClientRect();
          if (e === document.body) return { body: true };
          // a field's sign may be around the box that it stands in, or on the label beside it; the parts of
          // a field for times have signs that no style tells
          var field = /^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName);
          var near = field ? [e, e.parentElement, e.parentElement.parentElement, e.nextElementSibling] : [e];
          var shown = e.type === "datetime-local" || near
            .filter(Boolean).some(function (it) {
              var s = getComputedStyle(it);
              return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1) || s.boxShadow !== "none";
            });
          return { what: e.tagName + " " + (e.getAttribute("data-testid") || e.textContent.slice(0, 30)), shown: shown,
            seen: r.width > 0 && r.height > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 &&
              r.left < innerWidth,
            index: e.tabIndex, href: e.getAttribute("href") || "" };]]
        if at.body then break end
        if n == 1 then first = at end
        seen = n
        if not at.shown then bad[#bad + 1] = place.name .. ": no sign of focus on " .. at.what end
        if not at.seen then bad[#bad + 1] = place.name .. ": focus out of sight, " .. at.what end
        if at.index > 0 then bad[#bad + 1] = place.name .. ": an order of its own, " .. at.what end
      end
      if not first or first.href ~= "#main" then
        bad[#bad + 1] = place.name .. ": Tab does not reach the skip link first"
      end
      if not seen or seen < 8 then bad[#bad + 1] = place.name .. ": Tab leads nowhere" end
    end)
    assert.equal("", table.concat(bad, "\n"))
  end)

  it("moves nothing for those who asked for that", function()
    page:media { ["prefers-reduced-motion"] = "reduce" }
    local bad = {}
    everywhere(function(place)
      visit(place)
      local moving = page:js [[
        var odd = document.getAnimations().length ? ["animations: " + document.getAnimations().length] : [];
        document.querySelectorAll("*").forEach(function (e) {
          var s = getComputedStyle(e);
          if (s.transitionDuration.split(", ").some(function (d) { return parseFloat(d) > 0.01; }) ||
              (s.animationName !== "none" && parseFloat(s.animationDuration) > 0.01))
            odd.push(e.tagName + "." + e.getAttribute("class"));
        });
        return odd.slice(0, 3);]]
      for _, what in ipairs(moving) do bad[#bad + 1] = place.name .. ": " .. what end
    end)
    page:media { ["prefers-reduced-motion"] = "no-preference" }
    assert.equal("", table.concat(bad, "\n"))
  end)

  it("does not read every event out loud", function()
    visit(console.places[1])
    page:js [[
      window.said = [];
      new MutationObserver(function (list) {
        list.forEach(function (m) {
          var e = m.target.nodeType === 1 ? m.target : m.target.parentElement;
          var region = e && e.closest("[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log]");
          if (!region || !region.textContent.trim()) return;
          window.said.push((region.getAttribute("data-testid") || region.className) + ": " +
            region.textContent.slice(0, 60));
        });
      }).observe(document.body, { subtree: true, childList: true, characterData: true });]]
    console.every(100, 20, function(i)
      console.send(world.engine, { event = "call_start", call_id = "quiet-" .. i, remote_name = "Piet " .. i })
    end)
    page:wait_text("#main", "Piet 20", 10)
    local said = page:js "return window.said"
    assert.is_true(#said <= 3, #said .. " times: " .. table.concat(said, "; "))
  end)

  it("says in its title where one is", function()
    local titles = {}
    everywhere(function(place)
      visit(place)
      local title = page:js "return document.title"
      if place.name ~= "event" and place.name ~= "rule" then
        assert.is_nil(titles[title], title)
      end
      titles[title] = true
      assert.equal(1, page:count "main h1", place.name)
    end)
    page:no_problems()
  end)
end)
