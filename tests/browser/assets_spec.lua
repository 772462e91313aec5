-- SPDX-License-Identifier: MIT
-- What the page is made of: all from the engine, little of it, and kept by the browser.
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local support = require "tests.e2e.support"

local LIMIT = 250 * 1024

describe("the console's page", function()
  local engine, page, id
  setup(function()
    engine = support.engine()
    id = console.send(engine, support.payload "call_start").id
    engine:wait_events "done"
  end)
  teardown(function() console.close { page = page, engine = engine } end)

  it("asks nobody but the engine, and all its files together are under 250 KiB", function()
    page = console.open(engine, "/console", { token = console.token(engine, "ann", "operator") })
    for _, place in ipairs(console.places) do
      console.visit(page, engine, console.path(place, id, "quiet"))
    end
    local origin, files, decoded, transferred = console.url(engine, "/"), {}, 0, 0
    for _, r in ipairs(page:network()) do
      assert.is_true(r.url:sub(1, #origin) == origin or r.url:sub(1, 5) == "data:", r.url) -- no request, a picture
      if not r.url:find("/api/", 1, true) and not r.cached and r.status == 200 then
        local name = r.type == "Document" and "(page)" or r.url:sub(#origin)
        if not files[name] then
          files[name] = true
          decoded, transferred = decoded + r.decoded, transferred + (r.transferred or 0)
          console.say("%s: %d bytes, %d on the way", name, r.decoded, r.transferred or 0)
        end
      end
    end
    console.say("together %.1f KiB, %.1f KiB on the way", decoded / 1024, transferred / 1024)
    assert.is_true(decoded > 20000, "they were counted")
    assert.is_true(decoded < LIMIT, decoded)
    assert.is_true(transferred < decoded)
    page:no_problems()
  end)

  it("is there at once the second time", function()
    console.visit(page, engine, "/console")
    page.requests = {}
    console.visit(page, engine, "/console")
    for _, r in ipairs(page:network()) do
      if r.url:find("/console/console-", 1, true) then
        assert.is_true(r.cached or (r.transferred or 0) == 0, r.url .. " came again")
      end
    end
  end)

  it("keeps no answer of the API", function()
    for _, r in ipairs(page:network()) do
      if r.url:find("/api/v1/", 1, true) and r.headers then
        assert.truthy((r.headers["cache-control"] or ""):find("no-store", 1, true), r.url)
        assert.equal("nosniff", r.headers["x-content-type-options"], r.url)
      end
    end
  end)

  it("cannot be put into another page's frame", function()
    local sink = support.sink()
    finally(function() sink:close() end)
    sink:answers { ["/frame"] = { { headers = { ["Content-Type"] = "text/html" },
      body = ('<!doctype html><title>x</title><iframe src="%s"></iframe>'):format(console.url(engine)) } } }
    local other = browser.open()
    other:go(sink.url .. "/frame")
    other:wait "body > iframe"
    local text = table.concat(other:problems(), "\n")
    other:close()
    assert.truthy(text:lower():find("frame", 1, true), text)
  end)
end)
