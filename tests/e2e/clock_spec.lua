-- SPDX-License-Identifier: MIT
-- The wall clock steps while the engine runs (libfaketime): nothing early, nothing lost, nothing
-- twice. The monotonic clock goes on as it does.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local rules = [[
rule "Set" { on = "set", run = function(e)
  after(e.when, "ring", { n = e.n }, { name = e.name })
  http.post { url = "@/in", json = { n = e.n } }
end }
rule "Ring" { on = "ring", run = function(r, event)
  records.incr("rings", tostring(r.n), "times")
  records.patch("rings", tostring(r.n), { at = event.received_at, due_at = event.due_at, late = event.late })
end }
rule "Daily" { every = "12:00", run = function(tick, event)
  records.incr("daily", event.due_at, "times")
end }]]

describe("a clock that steps", function()
  local engine, sink, stamp
  local function set(offset)
    support.write_file(stamp .. ".new", offset .. "\n")
    assert(os.rename(stamp .. ".new", stamp))
  end
  before_each(function()
    sink = support.sink()
    local dir = support.temp_dir()
    stamp = dir .. "/stamp"
    set "+0"
    engine = support.engine {
      config = [[return { zone = "UTC", http = { allow = { "127.0.0.1" } },
        sources = { webphone = { path = "/hooks/webphone", auth = "none",
        type = { field = "event" }, key = { field = "call_id" } } } }]],
      rules = { ["clock.lua"] = (rules:gsub("@", sink.url)) },
      env = { LD_PRELOAD = support.faketime(), FAKETIME_TIMESTAMP_FILE = stamp, FAKETIME_NO_CACHE = "1",
        FAKETIME_DONT_FAKE_MONOTONIC = "1", DONT_FAKE_MONOTONIC = "1" },
    }
  end)
  after_each(function()
    engine:close()
    sink:close()
    support.remove_dir((stamp:gsub("/stamp$", "")))
  end)
  local function send(n, when, name)
    assert.equal(200, engine:post("/hooks/webphone", cjson.encode {
      event = "set", call_id = "k" .. n, n = n, when = when, name = name }).status)
  end
  local function rings()
    local found, n = {}, 0
    for _, row in ipairs(engine:cli("records", "rings", "--json")) do
      found[row.id] = row.doc
      n = n + 1
    end
    return found, n
  end
  local function all_once_and_none_early()
    for id, doc in pairs((rings())) do
      assert.equal(1, doc.times, id)
      assert.is_true(doc.at >= doc.due_at, id .. " at " .. doc.at .. ", due " .. doc.due_at)
    end
    for _, row in ipairs(engine:cli("records", "daily", "--json")) do
      assert.equal(1, row.doc.times, row.id)
    end
    local keys = {}
    for _, r in ipairs(sink:requests()) do
      assert.is_nil(keys[r.headers["idempotency-key"]])
      keys[r.headers["idempotency-key"]] = true
    end
  end

  it("two hours ahead and back: what was due in between comes, once", function()
    send(1, "1h")
    send(2, "3h")
    engine:wait_events("done", 2)
    set "+7200"
    support.wait_for(function() return (rings())["1"] end, 10, "the first timer")
    send(3, "1s")
    support.wait_for(function() return (rings())["3"] end, 10, "a timer of the new time")
    set "+0"
    send(4, "1s")
    support.wait_for(function() return (rings())["4"] end, 10, "a timer of the old time")
    sink:wait(4, "/in")
    socket.sleep(1.5)
    local _, n = rings()
    assert.equal(3, n)
    assert.equal(1, #(function()
      local far = {}
      for _, t in ipairs(engine:cli("timers", "--json")) do
        if t.kind == "timer" then far[#far + 1] = t end
      end
      return far
    end)())
    all_once_and_none_early()
  end)

  it("two hours back: nothing early, new ones still come", function()
    send(1, "2s")
    engine:wait_events("done", 1)
    set "-7200"
    send(2, "1s")
    support.wait_for(function() return (rings())["2"] end, 10, "a timer of the new time")
    socket.sleep(2)
    assert.is_nil((rings())["1"])
    set "+0"
    support.wait_for(function() return (rings())["1"] end, 10, "the timer of the old time")
    sink:wait(2, "/in")
    all_once_and_none_early()
  end)

  it("ten years ahead and back: nothing lost, nothing twice, the journal is kept", function()
    for n = 1, 5 do send(n, "1h") end
    engine:wait_events("done", 5)
    set "+315360000"
    support.wait_for(function() return select(2, rings()) == 5 end, 15, "the timers")
    send(6, "1s")
    support.wait_for(function() return (rings())["6"] end, 10, "a timer of that time")
    set "+0"
    send(7, "1s")
    support.wait_for(function() return (rings())["7"] end, 10, "a timer of this time")
    sink:wait(7, "/in")
    engine:restart()
    send(8, "1s")
    support.wait_for(function() return (rings())["8"] end, 10, "a timer after a restart")
    local sent = 0
    for _, row in ipairs(engine:cli("events", "--json")) do
      sent = sent + (row.type == "set" and 1 or 0)
    end
    assert.equal(8, sent)
    all_once_and_none_early()
  end)
end)
