-- SPDX-License-Identifier: MIT
-- Ten thousand events: to the end of the list and back, with few of them in the document at a time.
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local N = 10000

describe("a list of 10,000 events", function()
  local engine, page
  setup(function()
    engine = support.engine()
    console.flood(engine, N, function(i)
      return support.payload("call_start", { call_id = ("call-%05d"):format(i), remote_name = "Caller " .. i })
    end)
    page = console.open(engine, "/console/events")
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  -- Down, a page's height a frame, until the list does not grow any more; what was the most at once.
  local DOWN = [[
    var done = arguments[arguments.length - 1], most = { nodes: 0, rows: 0, frames: 0, slow: 0, high: 0 };
    var still = 0, last = performance.now(), began = last;
    function step(now) {
      var e = document.documentElement, rows = document.querySelectorAll("[data-testid=rows] > li");
      most.nodes = Math.max(most.nodes, document.getElementsByTagName("*").length);
      most.rows = Math.max(most.rows, rows.length);
      most.slow = Math.max(most.slow, now - last);
      most.frames++;
      last = now;
      most.high = e.scrollHeight;
      var end = scrollY + innerHeight >= e.scrollHeight - 2;
      still = end ? still + 1 : 0;
      most.said = rows.length ? +rows[rows.length - 1].getAttribute("aria-posinset") : 0;
      if (still > 90 || now - began > 60000) return done(Object.assign(most, { ms: now - began }));
      window.scrollBy(0, innerHeight * 2);
      requestAnimationFrame(step);
    }
    requestAnimationFrame(step);]]

  it("is read to the end and back without a hitch", function()
    page:wait "event-row"
    page:forget_seen()
    local down = page:js_async(DOWN)
    assert.equal(N, down.said, "the last row of the list")
    page:wait '[data-testid="rows"] > li:last-child'
    assert.truthy(page:text "#main":find("call-00001", 1, true), "the oldest is seen")
    assert.is_true(down.rows < 200 and down.nodes < 4000, down.rows .. " rows, " .. down.nodes .. " elements")
    local seen = page:seen()
    local longest, delay = 0, 0
    for _, ms in ipairs(seen.tasks) do longest = math.max(longest, ms) end
    for _, e in ipairs(seen.events) do delay = math.max(delay, e.ms) end
    console.say("%d events, to the end in %.1f s; at most %d rows, %d elements; longest task %.0f ms, frame %.0f ms," ..
      " %d tasks over 50 ms", N, down.ms / 1000, down.rows, down.nodes, longest, down.slow, #seen.tasks)
    assert.is_true(longest < 1000, longest .. " ms without a break")

    page:forget_seen()
    page:keys "Home"
    console.scroll(page, 0)
    page:wait_text("#main", ("call-%05d"):format(N))
    longest = 0
    for _, ms in ipairs(page:seen().tasks) do longest = math.max(longest, ms) end
    console.say("back to the start: longest task %.0f ms", longest)
    assert.is_true(longest < 1000)
    page:no_problems()
  end)

  it("stays live at that length", function()
    page:forget_seen()
    for i = 1, 5 do
      local key = "late-" .. i
      console.send(engine, support.payload("call_start", { call_id = key }))
      page:wait_text("#main", key, 10)
    end
    local longest = 0
    for _, ms in ipairs(page:seen().tasks) do longest = math.max(longest, ms) end
    console.say("with 10,000 rows loaded a new one costs a task of %.0f ms at most", longest)
    assert.is_true(longest < 1000)
    page:no_problems()
  end)
end)
