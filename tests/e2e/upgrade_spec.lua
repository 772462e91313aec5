-- SPDX-License-Identifier: MIT
-- An engine is replaced by another while senders go on: upgrade.py holds the socket, as systemd does.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local counting = [[
rule "Count" { on = "*", run = function(e)
  records.incr("counts", "total", "n", 1)
  records.put("seen", e.call_id, {})
end }
]]

describe("an upgrade", function()
  local engine
  after_each(function()
    if engine then
      engine:close()
      engine = nil
    end
  end)

  it("drops no request, and loses and doubles no event", function()
    engine = support.engine { start = false, rules = { ["count.lua"] = counting } }
    local other = engine.dir .. "/switchhook-new"
    assert(os.execute(("cp %s %s"):format(support.quote(support.bin), other)))
    local out, code = support.capture(("/usr/bin/python3 -B tests/e2e/upgrade.py %s 3 8 %s %s 2>%s/load.err")
      :format(engine.dir, support.quote(support.bin), other, engine.dir))
    assert.equal(0, code, support.read_file(engine.dir .. "/load.err"))
    local result = cjson.decode(out)
    assert.same({}, result.errors)
    assert.same({ ["200"] = result.sent }, result.statuses)
    assert.is_true(result.sent > 100)
    assert.equal(3, #result.engines)
    for _, one in ipairs(result.engines) do
      assert.equal(0, one.exit)
      assert.is_true(one.stop_ms < 5000)
    end
    -- every event once: no number twice, and none that was not answered
    local seen = engine:cli("events", "--json", "--limit", "1000000")
    assert.equal(result.sent, #seen)
    local of = {}
    for _, row in ipairs(seen) do
      local sender, n = row.key:match "^(%a+%d+)%-(%d+)$"
      of[sender] = of[sender] or {}
      assert.is_nil(of[sender][n])
      of[sender][n] = true
    end
    -- and each ran once, the last ones after the next start
    engine:start()
    engine:wait_events("done", result.sent, 30)
    assert.equal(result.sent, engine:cli("records", "counts", "--id", "total", "--json")[1].doc.n)
  end)
end)
