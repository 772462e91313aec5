-- SPDX-License-Identifier: MIT
-- The log: one line a record in both formats, nothing of a caller in it; and the trace that an event
-- came with, in the log and on everything that leaves.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local ID = "4bf92f3577b34da6a3ce929d0e0e4736"
local TRACE = "00-" .. ID .. "-00f067aa0ba902b7-01"

local function config(log)
  return [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } }, retry = {},
    http = { allow = { "127.0.0.1" }, retry = { 0.1 } }, ]] .. (log or "") .. [[ }]]
end

local rules = [[
rule "Complains" { on = "complain", run = function(call)
  log.info("from " .. call.number .. ": " .. call.transcript)
  error("number " .. call.number .. " said: " .. call.transcript)
end }
rule "Passes on" { on = "pass", run = function(call, envelope)
  records.put("seen", "one", { trace = envelope.trace_id, asked = http.get("@/ask").status })
  http.post { url = "@/told", json = {} }
  http.post { url = "@/mine", json = {}, headers = { TraceParent = "my own" } }
  emit("later", {})
  after(0.05, "timed", {})
  callback { number = call.number, due = now(), reason = "r" }
end }
rule "Later" { on = { "later", "timed", "callback_due" }, run = function(call, envelope)
  http.post { url = "@/" .. envelope.type, json = {} }
end }
]]

local transcript = ("She said that "):rep(100) .. "0687654321 is hers."

describe("the log", function()
  local engine
  after_each(function()
    if engine then engine:close() end
    engine = nil
  end)

  local function complain()
    assert.equal(200, engine:post("/hooks/webphone", cjson.encode {
      event = "complain", call_id = "c1", number = "+31612345678", transcript = transcript }).status)
    engine:wait_events("dead", 1)
    engine:post("/nothing/0612345678", "{}")
    return support.wait_for(function()
      local log = engine:log()
      return log:find("dead letter", 1, true) and log:find("/nothing/", 1, true) and log
    end, 5, "the lines")
  end

  it("is logfmt, one line a record, without numbers or transcripts", function()
    engine = support.engine { config = config(), rules = { ["r.lua"] = (rules:gsub("@", "http://127.0.0.1:1")) } }
    local log = complain()
    for line in log:gmatch "[^\n]+" do
      assert.matches("^time=20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ level=%a+ msg=", line)
    end
    assert.falsy(log:find("612345678", 1, true))
    assert.falsy(log:find("687654321", 1, true))
    assert.truthy(log:find("+*********78", 1, true), log)
    assert.truthy(log:find("/nothing/********78", 1, true), log)
    assert.matches("bytes more", log)
    local event = engine:cli("events", "--json")[1]
    assert.truthy(log:find("event=" .. event.id, 1, true)) -- ids are whole
    local run = engine:cli("runs", "--event", event.id, "--json")[1] -- and so is what the store has
    assert.truthy(run.error:find(transcript, 1, true))
    assert.equal("from +31612345678: " .. transcript, run.logs[1].text)
  end)

  it("is JSON when it is asked for, from the workers too", function()
    engine = support.engine { config = config 'log = { format = "json", level = "debug" }',
      rules = { ["r.lua"] = (rules:gsub("@", "http://127.0.0.1:1")) } }
    local records = {}
    for line in complain():gmatch "[^\n]+" do
      local record = cjson.decode(line)
      assert.equal("string", type(record.time) and type(record.level) and type(record.msg), line)
      records[record.msg] = record
    end
    local dead = records["run failed for good: dead letter"]
    assert.equal("warn", dead.level)
    assert.equal("Complains", dead.rule)
    assert.equal(1, dead.attempt)
    assert.matches("number %+%*+78", dead.error)
    local command = support.read_file("/proc/" .. support.capture(
      "pgrep -P " .. engine.pid .. " | head -1"):match "%d+" .. "/cmdline")
    assert.equal("switchhook\0worker\0json\0", command)
  end)

  it("says what cannot be, at its line and on the command line", function()
    engine = support.engine { start = false, config = 'return {\nlog = { format = "xml", level = 3, colour = 1 } }' }
    local function run(words)
      return support.capture(("cd %s && %s %s 2>&1"):format(engine.dir, support.quote(support.bin), words))
    end
    local out, code = run "check"
    assert.equal(1, code)
    assert.matches('switchhook.lua:2: log.format: expected "logfmt" or "json"', out, 1, true)
    assert.matches('log.level: expected "debug", "info", "warn" or "error"', out, 1, true)
    assert.matches('unknown key "colour"', out, 1, true)
    support.write_file(engine.dir .. "/ok.lua", "return {}")
    for name, text in pairs { format = "logfmt or json", level = "debug, info, warn or error" } do
      out, code = run("serve --config ok.lua --log-" .. name .. " x")
      assert.equal(2, code)
      assert.matches("--log-" .. name .. ": expected " .. text .. ', got "x"', out, 1, true)
    end
  end)
end)

describe("a trace", function()
  local engine, sink
  setup(function()
    sink = support.sink()
    engine = support.engine { config = config(), rules = { ["r.lua"] = (rules:gsub("@", sink.url)) },
      args = "--log-level debug" }
  end)
  teardown(function()
    engine:close()
    sink:close()
  end)

  local function send(fields, trace)
    fields.event, fields.call_id, fields.number = "pass", "c1", "0201234567"
    local answer = engine:post("/hooks/webphone", cjson.encode(fields), { traceparent = trace })
    assert.equal(200, answer.status)
    return answer.json.id
  end

  it("is on everything that comes of the event", function()
    sink:answers { ["/told"] = { { status = 500 } } }
    local id = send({ n = 1 }, TRACE)
    local parents, n = {}, 0
    for _, path in ipairs { "/ask", "/told", "/later", "/timed", "/callback_due" } do
      local got = sink:wait(path == "/told" and 2 or 1, path)
      local parent = got[1].headers.traceparent:match("^00%-" .. ID .. "%-(%x+)%-01$")
      assert.truthy(parent, path .. ": " .. got[1].headers.traceparent)
      assert.is_nil(parents[parent])
      parents[parent], n = true, n + 1
      if path == "/told" then -- the retry says the same
        assert.equal(got[1].headers.traceparent, got[2].headers.traceparent)
        assert.equal(got[1].headers["idempotency-key"], got[2].headers["idempotency-key"])
      end
    end
    assert.equal(5, n)
    assert.equal("my own", sink:wait(1, "/mine")[1].headers.traceparent)
    assert.is_nil(parents["00f067aa0ba902b7"])
    assert.equal(ID, engine:cli("events", "--id", id, "--json")[1].trace_id)
    assert.equal(ID, engine:cli("records", "seen", "--json")[1].doc.trace)
    support.wait_for(function() return engine:log():find("trace=" .. ID, 1, true) end, 5, "the trace in the log")
  end)

  it("that is malformed, or not there, is none", function()
    for i, trace in ipairs { "00-" .. ID .. "-0000000000000000-01", "ff" .. TRACE:sub(3), "junk", false } do
      local before = #sink:requests("/told")
      local id = send({ n = 1 + i }, trace or nil)
      local got = sink:wait(before + 1, "/told")
      assert.is_nil(got[#got].headers.traceparent)
      assert.is_nil(engine:cli("events", "--id", id, "--json")[1].trace_id)
    end
  end)
end)
