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

  -- Run upgrade.py with these options and programs, and look at what is promised.
  local function upgrade(options, restarts, programs)
    local out, code = support.capture(("/usr/bin/python3 -B tests/e2e/upgrade.py %s %s %d 8 %s 2>%s/load.err")
      :format(options, engine.dir, restarts, programs, engine.dir))
    assert.equal(0, code, support.read_file(engine.dir .. "/load.err"))
    local result = cjson.decode(out)
    assert.same({}, result.errors)
    assert.same({ ["200"] = result.sent }, result.statuses)
    assert.is_true(result.sent > 100)
    assert.equal(restarts, #result.engines)
    for _, one in ipairs(result.engines) do
      assert.equal(0, one.exit)
      assert.is_true(one.stop_ms < 5000)
    end
    -- every event once: no number twice, and none that was not answered
    local seen, of = engine:cli("events", "--json", "--limit", "1000000"), {}
    assert.equal(result.sent, #seen)
    for _, row in ipairs(seen) do
      assert.is_nil(of[row.key])
      of[row.key] = true
    end
    -- and each ran once, the last ones after the next start
    engine:start()
    engine:wait_events("done", result.sent, 30)
    assert.equal(result.sent, engine:cli("records", "counts", "--id", "total", "--json")[1].doc.n)
  end

  it("drops no request, and loses and doubles no event", function()
    engine = support.engine { start = false, rules = { ["count.lua"] = counting } }
    local other = engine.dir .. "/switchhook-new"
    assert(os.execute(("cp %s %s"):format(support.quote(support.bin), other)))
    upgrade("", 3, support.quote(support.bin) .. " " .. other)
  end)

  it("drops none over TLS, and from a store of an older schema", function()
    engine = support.engine { start = false, rules = { ["count.lua"] = counting }, config = [[
      return { tls = { cert = "cert.pem", key = "key.pem" }, sources = { webphone = { path = "/hooks/webphone",
        auth = "none", type = { field = "event" }, key = { field = "call_id" } } } }]] }
    assert(os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " ..
      "-keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost" ..
      " 2>/dev/null"):format(engine.dir)))
    upgrade(("--tls %s/cert.pem --between '%s schema --to 3 --no-backup --data data'"):format(engine.dir,
      support.bin), 1, support.quote(support.bin))
  end)
end)
