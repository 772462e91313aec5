-- SPDX-License-Identifier: MIT
-- The store on bad days: a disk that fails to sync, a disk that is full.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local rules = { ["keep.lua"] = [[
  rule "Keep" { on = "*", run = function(e) records.put("kept", tostring(e.n), { n = e.n }) end }
]] }

local function event(n, size)
  return cjson.encode { event = "tick", call_id = "k" .. n, n = n, pad = ("x"):rep(size or 0) }
end

describe("a disk that fails to sync", function()
  local engine
  setup(function()
    assert(os.execute("mkdir -p build && cc -shared -fPIC -D_GNU_SOURCE -o build/fail_sync.so" ..
      " tests/e2e/fail_sync.c -ldl"))
  end)
  teardown(function() if engine then engine:close() end end)

  it("is answered 503, ends the process, and a restart recovers", function()
    local here = support.capture "pwd":match "^(%S+)"
    engine = support.engine { rules = rules, start = false }
    engine.options.env = { LD_PRELOAD = here .. "/build/fail_sync.so", FAIL_SYNC = engine.dir .. "/broken" }
    engine:start()
    for n = 1, 20 do assert.equal(200, engine:post("/hooks/webphone", event(n)).status) end
    engine:wait_events("done", 20)
    support.write_file(engine.dir .. "/broken", "")
    local answer = engine:post("/hooks/webphone", event(21))
    assert.equal(503, answer.status)
    assert.truthy(answer.headers["retry-after"])
    support.wait_for(function() return not engine:running() end, 5, "the end of the process")
    assert.truthy(engine:log():find("can no longer be trusted", 1, true))
    os.remove(engine.dir .. "/broken")
    engine:start()
    -- What was not acknowledged may be there or not (its pages may have reached the disk all the
    -- same), but what was acknowledged is, and sending it again settles the matter.
    assert.equal(200, engine:post("/hooks/webphone", event(21)).status)
    engine:wait_events("done", 21)
    assert.equal(21, #engine:cli("records", "kept", "--json"))
  end)
end)

describe("a full disk", function()
  local engine, mount
  teardown(function()
    if engine then engine:kill9() end
    if mount then os.execute("umount " .. mount) end
    if engine then engine:close() end
  end)

  it("is answered 503; what was accepted stays, and there is a way on once there is room", function()
    engine = support.engine { rules = rules, start = false, config = [[return { min_free = 0,
      sources = { webphone = { path = "/hooks/webphone", auth = "none",
      type = { field = "event" }, key = { field = "call_id" } } } }]] }
    os.execute("mkdir -p " .. engine.data)
    if not os.execute("mount -t tmpfs -o size=6m none " .. engine.data .. " 2>/dev/null") then
      return pending "needs root for a small file system"
    end
    mount = engine.data
    engine:start()
    local accepted, refused = {}, nil
    for n = 1, 200 do
      local answer = engine:post("/hooks/webphone", event(n, 100000))
      if answer.status == 200 then accepted[#accepted + 1] = n else refused = refused or answer end
    end
    assert.is_true(#accepted > 5)
    assert.equal(503, refused.status)
    assert.truthy(refused.headers["retry-after"])
    assert.equal("no_space", refused.json.error.code)
    assert.equal(200, engine:request("GET", "/healthz").status)
    assert.is_true(#engine:cli("events", "--json") >= #accepted)
    assert(os.execute("mount -o remount,size=64m " .. mount))
    support.wait_for(function()
      return engine:post("/hooks/webphone", event(1000)).status == 200
    end, 10, "the engine to accept again")
    engine:wait_events("done", #accepted + 1, 20)
    assert.is_true(#engine:cli("records", "kept", "--json") >= #accepted + 1)
  end)
end)
