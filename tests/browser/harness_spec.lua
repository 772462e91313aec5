-- SPDX-License-Identifier: MIT
-- What the other specs measure with: it sees what is wrong on a page where something is.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
local GOOD = [[<!doctype html><html lang="en"><head><title>Good</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"></head>
<body><main><h1>Good</h1><button data-testid="go">Go</button>
<label>Name <input data-testid="name"></label></main></body></html>]]
local BAD = [[<!doctype html><html lang="en"><head><title>Bad</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/bad.css"></head>
<body><main><h1>Bad</h1><p>grey on white</p><div>wide</div><input data-testid="name">
<script>window.ran = 1</script><script src="/bad.js"></script><img src="http://127.0.0.1:1/x.png" alt="x"></main>
</body></html>]]

describe("the client of the browser", function()
  local sink, page
  local function forever(kind, body)
    return { { forever = true, body = body, headers = { ["Content-Type"] = kind, ["Content-Security-Policy"] = POLICY,
      ["Cache-Control"] = "no-store" } } }
  end
  -- It fails, as it should: what it says. What it kept is there, and removed.
  local function vain(fn, ...)
    local ok, why = pcall(fn, ...)
    assert.is_false(ok)
    local png = why:match "(build/browser%-failures/[^,]+%.png)"
    assert.equal("\137PNG", support.read_file(png):sub(1, 4))
    for _, kind in ipairs { "png", "txt", "log" } do assert(os.remove((png:gsub("png$", kind)))) end
    return why
  end
  setup(function()
    sink = support.sink()
    sink:answers {
      ["/good"] = forever("text/html", GOOD), ["/bad"] = forever("text/html", BAD),
      ["/bad.css"] = forever("text/css", "p { color: #999; background: #fff } div { width: 800px }"),
      ["/bad.js"] = forever("text/javascript", [[
        setTimeout(function () {
          var p = document.createElement("p");
          p.textContent = "pushed in";
          document.querySelector("main").prepend(p);
          var end = performance.now() + 120;
          while (performance.now() < end) {}
          window.pushed = true;
          null.broken();
        }, 700);]]),
    }
    page = browser.open { device = "phone", scheme = "dark" }
  end)
  teardown(function()
    page:close()
    sink:close()
    browser.quit()
  end)

  it("finds nothing wrong where nothing is, and types, clicks and reads", function()
    page:go(sink.url .. "/good")
    page:type("name", "Zoë"):click "go":keys("Tab", "End", "!")
    assert.equal("Zoë!", page:js "return document.querySelector('input').value")
    assert.equal("name", page:focused().testid)
    assert.same({}, page:problems())
    assert.same({}, console.axe(page).violations)
    assert.equal(0, console.overflow(page))
    assert.is_true(page:js "return matchMedia('(prefers-color-scheme: dark)').matches && innerWidth === 390")
    assert.is_true(page:first_paint() > 0 and page:memory().heap > 0)
    assert.equal(1, #page:network())
  end)

  it("sees a policy that was broken, an error, a foreign request, bad contrast, a shift, a long task", function()
    page:go(sink.url .. "/bad")
    page:wait_for(function() return page:js "return window.pushed" end, 5, "the script")
    local text = table.concat(page:problems(), "\n")
    assert.truthy(text:find("Content-Security-Policy: script-src", 1, true), text)
    assert.truthy(text:find("null", 1, true), text)
    assert.is_nil(page:js "return window.ran")
    vain(page.no_problems, page)
    local violations = console.axe(page)
    text = table.concat(violations.violations, "\n")
    assert.truthy(text:find("color-contrast", 1, true), text)
    assert.truthy(text:find("label", 1, true), text)
    assert.is_true(violations.contrast.ratio < 4.5)
    assert.is_true(console.overflow(page) > 300)
    local seen = page:wait_for(function()
      local s = page:seen()
      return #s.shifts > 0 and #s.tasks > 0 and s
    end, 5, "the observers")
    assert.is_true(seen.shifts[1].value > 0 and seen.tasks[1] >= 50, seen.shifts[1].value .. " " .. seen.tasks[1])
    local found
    for _, r in ipairs(page:network()) do found = found or r.url:find("127.0.0.1:1/", 1, true) end
    assert.truthy(found)
  end)

  it("says what it waited for in vain, and keeps what the page looked like", function()
    assert.truthy(vain(page.wait, page, "not-there", 0.1):find('[data-testid="not-there"]', 1, true))
  end)
end)
