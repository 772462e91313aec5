-- SPDX-License-Identifier: MIT
-- cli_spec.lua: the command line of the real binary: usage, check, try, send, lists, redrive.

local json = require "cjson"
local lfs = require "lfs"
local support = require "tests.e2e.support"

local bin, quote = support.bin, support.quote
local dir -- a folder of this test's own

local function write(name, text)
  support.write_file(dir .. "/" .. name, text)
end

local function read(name)
  return support.read_file(dir .. "/" .. name)
end

-- Run the binary in dir. Returns exit code, standard output, standard error.
local function run(args, input)
  write("stdin", input or "")
  local line = "cd " .. quote(dir) .. " && " .. quote(bin)
  for _, a in ipairs(args) do
    line = line .. " " .. quote(a)
  end
  local out, code = support.capture(line .. " <stdin 2>stderr")
  return code, out, read "stderr"
end

local function lines(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    out[#out + 1] = json.decode(line)
  end
  return out
end

local function has(text, part)
  assert(text:find(part, 1, true), ("no %q in:\n%s"):format(part, text))
end

local function lacks(text, part)
  assert(not text:find(part, 1, true), ("%q in:\n%s"):format(part, text))
end

before_each(function()
  dir = support.temp_dir()
end)

after_each(function()
  support.remove_dir(dir)
end)

local RULES = [[
rule "Keep" {
  on = "call_*",
  run = function(call)
    records.patch("calls", call.call_id, { seen = call.event })
    log.info("kept " .. call.event)
  end,
}
rule "Angry" {
  on = "call_postprocess",
  when = function(call) return get(call, "analysis.sentiment") == "negative" end,
  run = function(call)
    callback { number = call.remote_number, due = now() + 2 * hour, reason = "angry" }
    email { to = "a@example.org", subject = "Call back", text = "Please" }
  end,
}
]]
local FAILS = 'rule "Fails" { on = "*", run = function()\n  error("no good")\nend }\n'
local CALL = '{"event":"call_postprocess","call_id":"c1","remote_number":"0301234567",'
  .. '"analysis":{"sentiment":"negative"}}'

local function with_rules(text)
  lfs.mkdir(dir .. "/rules")
  write("rules/a.lua", text or RULES)
end

describe("usage", function()
  it("lists the commands", function()
    local code, out = run { "help" }
    assert.equal(0, code)
    for _, name in ipairs { "serve", "check", "try", "send", "events", "runs", "records",
      "callbacks", "outbox", "redrive", "version" } do
      has(out, "\n  " .. name .. " ")
    end
    local bare_code, _, err = run {}
    assert.equal(2, bare_code)
    has(err, "Commands:")
  end)

  it("has --help with an example for each", function()
    local _, list = run { "help" }
    local n = 0
    for name in list:gmatch "\n  (%l+) " do
      local code, out = run(name == "help" and { "help" } or { name, "--help" })
      assert.equal(0, code, name)
      has(out, "switchhook " .. (name == "help" and "COMMAND" or name))
      has(out, name == "help" and "Commands:" or "Example")
      has(out, "--help")
      n = n + 1
    end
    assert.is_true(n >= 31, n)
  end)

  it("names the nearest command and option, with exit code 2", function()
    local code, _, err = run { "evnets" }
    assert.equal(2, code)
    has(err, "did you mean events?")
    assert.equal(2, (run { "help", "--nonsense" }))
    assert.equal(0, (run { "help", "--help" }))
    code, _, err = run { "events", "--jsno" }
    assert.equal(2, code)
    has(err, "did you mean --json?")
    code, _, err = run { "events", "--data" }
    assert.equal(2, code)
    has(err, "--data needs a value: --data DIR")
    code, _, err = run { "events", "--json=1" }
    assert.equal(2, code)
    has(err, "takes no value")
    code, _, err = run { "events", "more" }
    assert.equal(2, code)
    has(err, '"more" is one argument too many')
    assert.equal(2, (run { "try", "rules" }))
    assert.equal(2, (run { "events", "--limit", "-1" }))
    assert.equal(2, (run { "events", "--since", "yesterday" }))
    assert.equal(2, (run { "events", "--state", "finished" }))
    assert.equal(2, (run { "redrive" }))
    assert.equal(2, (run { "send" }))
  end)

  it("says its version", function()
    local code, out = run { "version", "--json" }
    assert.equal(0, code)
    local v = json.decode(out)
    assert.truthy(v.version:match "^%d+%.%d+%.%d+$")
    assert.equal("5.4", v.libraries.lua.loaded:match "^%d+%.%d+")
    assert.truthy(v.libraries.sqlite.loaded)
  end)

  it("says so when the output cannot be written", function()
    local out, code = support.capture(quote(bin) .. " help 2>&1 >/dev/full")
    assert.equal(1, code)
    has(out, "cannot write the output")
  end)
end)

describe("check", function()
  it("summarises what is fine", function()
    with_rules()
    local code, out, err = run { "check" }
    assert.equal(0, code, err)
    has(out, "POST /hooks/webphone")
    has(out, "2 rules, no errors")
    has(out, "rules/a.lua")
  end)

  it("prints every fault of configuration and rules at once", function()
    with_rules "rule 'A' {\n on = 5, run = function() end }\n"
    write("rules/b.lua", "foo(\n")
    write("switchhook.lua", "return {\n  lisen = 1,\n  workers = 'four',\n}\n")
    local code, _, err = run { "check" }
    assert.equal(1, code)
    has(err, 'switchhook.lua:2: lisen: unknown key "lisen"; did you mean "listen"?')
    has(err, "switchhook.lua:3: workers: expected a whole number")
    has(err, "rules/a.lua:2:")
    has(err, "rules/b.lua:2:")
    local json_code, out = run { "check", "--json" }
    assert.equal(1, json_code)
    local report = json.decode(out)
    assert.is_false(report.ok)
    assert.equal(4, #report.errors)
    assert.equal("lisen", report.errors[1].key)
    assert.equal(2, report.errors[1].line)
  end)

  it("refuses a source that others can reach and nobody protects", function()
    with_rules()
    write("switchhook.lua", "return { listen = '0.0.0.0:8080' }")
    local code, _, err = run { "check" }
    assert.equal(1, code)
    has(err, 'auth = { bearer = env "WEBPHONE_TOKEN" }')
  end)

  it("knows a byte order mark", function()
    with_rules '\239\187\191rule "A" { on = "*", run = function() end }\n'
    local code, _, err = run { "check" }
    assert.equal(1, code)
    has(err, "rules/a.lua:1: unexpected symbol near '<\\239>'")
    has(err, "byte order mark (BOM): save it as UTF-8 without BOM")
  end)

  it("says when there are no rules", function()
    local code, _, err = run { "check" }
    assert.equal(1, code)
    has(err, "rules")
    code, _, err = run { "check", "--config", "nowhere.lua" }
    assert.equal(1, code)
    has(err, "nowhere.lua: cannot open")
  end)

  it("says which file may not be among the rules, without obeying its name", function()
    write("rules/a.lua", RULES)
    write("switchhook.lua", "return {}")
    local function refused(make, ...)
      assert(os.execute("cd " .. quote(dir) .. " && " .. make))
      local code, out, err = run { "check" }
      assert.equal(1, code)
      for _, part in ipairs { ... } do has(out .. err, part) end
      lacks(out .. err, "\27")
      code, out = run { "check", "--json" }
      assert.equal(1, code)
      assert.is_true(#lines(out) > 0) -- is JSON
    end
    refused("touch \"rules/$(printf 'x\\033[2J\\377\\n').lua\"", [[rules/x\x1b[2J\xff]], "the name must be UTF-8")
    refused("rm rules/x* && mkfifo rules/p.lua", "rules/p.lua: is no plain file")
    refused("rm rules/p.lua && ln -s nowhere rules/x.lua", "rules/x.lua: links to a file that is not there")
    refused("rm rules/x.lua && ln -s ../switchhook.lua rules/x.lua", "rules/x.lua: links to a place outside")
  end)
end)

describe("try", function()
  it("says for each event what would happen", function()
    with_rules()
    write("e.json", CALL)
    local code, out, err = run { "try", "rules", "e.json", "--now", "2026-06-12T10:00:00Z" }
    assert.equal(0, code, err)
    has(out, "e.json: call_postprocess, key c1")
    has(out, "records.patch")
    has(out, "log info: kept call_postprocess")
    has(out, "2026-06-12T12:00:00.000Z")
    has(out, "Records in calls")
    has(out, "Callbacks")
    has(out, "Outbox")
    lacks(out, "\27")
  end)

  it("prints JSON lines", function()
    with_rules()
    write("a.json", CALL)
    write("b.json", '{"event":"call_stop","call_id":"c1"}')
    local code, out = run { "try", "rules", "a.json", "b.json", "--json" }
    assert.equal(0, code)
    local l = lines(out)
    assert.equal(3, #l)
    assert.equal("a.json", l[1].event.file)
    assert.equal("c1", l[1].event.key)
    assert.equal("Keep", l[1].runs[1].rule)
    assert.equal("rules/a.lua", l[1].runs[1].file)
    assert.equal(1, l[1].runs[1].line)
    assert.equal("done", l[1].runs[2].outcome)
    assert.equal("callback", l[1].runs[2].effects[1].kind)
    assert.equal("email", l[1].runs[2].effects[2].kind)
    assert.equal("skipped_on", l[2].runs[2].outcome)
    assert.truthy(l[2].runs[2].why)
    assert.equal("call_stop", l[3].records.calls[1].doc.seen)
    assert.equal("0301234567", l[3].callbacks[1].number)
    assert.equal("a@example.org", l[3].outbox[1].to)
  end)

  it("reads standard input and JSON lines, and knows repeats and refusals", function()
    with_rules()
    local input = '{"event":"call_start","call_id":"1"}\n{"event":"call_start","call_id":"1"}\n'
      .. '\n{"event":"call_start"}\n{"event":“x”}\n'
    local code, out = run({ "try", "rules", "-", "--json" }, input)
    assert.equal(1, code)
    local l = lines(out)
    assert.equal(5, #l)
    assert.is_true(l[2].duplicate)
    assert.equal(l[1].event.id, l[2].event.id)
    assert.equal("invalid_envelope", l[3].refused.code)
    assert.equal("call_id", l[3].refused.field)
    assert.equal("-:4", l[3].file)
    assert.equal("invalid_json", l[4].refused.code)
    has(l[4].refused.message, "typographic")
    write("day.jsonl", input)
    code, out = run { "try", "rules", "day.jsonl", "--json" }
    assert.equal(1, code)
    assert.equal(5, #lines(out))
    -- one value over several lines is one event
    code, out = run({ "try", "rules", "-", "--json" }, '{\n"event":"call_start",\n"call_id":"2"}\n')
    assert.equal(0, code)
    assert.equal(2, #lines(out))
  end)

  it("fails when a run fails, with file and line", function()
    with_rules(FAILS)
    write("e.json", CALL)
    local code, out = run { "try", "rules", "e.json" }
    assert.equal(1, code)
    has(out, 'rules/a.lua:2: rule "Fails": no good')
    local json_code, text = run { "try", "rules", "e.json", "--json" }
    assert.equal(1, json_code)
    assert.equal("failed", lines(text)[1].runs[1].outcome)
    has(lines(text)[1].runs[1].error, 'rules/a.lua:2: rule "Fails": no good')
  end)

  it("fails when a rule does not load", function()
    with_rules "rule = = 1"
    write("e.json", CALL)
    local code, _, err = run { "try", "rules", "e.json" }
    assert.equal(1, code)
    has(err, "rules/a.lua:1:")
    local _, out = run { "try", "rules", "e.json", "--json" }
    assert.is_false(json.decode(out).ok)
  end)

  it("finds scripts beside the rules, or where it is told", function()
    with_rules 'local s = require "s"\nrule "A" { on = "*", run = function() log.info(s.x) end }'
    lfs.mkdir(dir .. "/scripts")
    lfs.mkdir(dir .. "/more")
    write("scripts/s.lua", "return { x = 'beside' }")
    write("more/s.lua", "return { x = 'told' }")
    write("e.json", CALL)
    local _, out = run { "try", "rules", "e.json", "--json" }
    assert.equal("beside", lines(out)[1].runs[1].logs[1].text)
    _, out = run { "try", "rules/", "e.json", "--json", "--scripts", "more" }
    assert.equal("told", lines(out)[1].runs[1].logs[1].text)
    local code, _, err = run { "try", "rules", "e.json", "--scripts", "none" }
    assert.equal(1, code)
    has(err, "none: no such folder")
  end)

  it("asks which source when there are several", function()
    with_rules()
    write("switchhook.lua", "return { sources = {\n"
      .. "a = { path = '/a', type = { value = 'call_x' } },\n"
      .. "b = { path = '/b', type = { field = 'event' } } } }")
    write("e.json", CALL)
    local code, _, err = run { "try", "rules", "e.json" }
    assert.equal(1, code)
    has(err, "--source: a, b")
    local _, out = run { "try", "rules", "e.json", "--source", "a", "--json" }
    assert.equal("call_x", lines(out)[1].event.type)
    code, _, err = run { "try", "rules", "e.json", "--source", "c" }
    assert.equal(1, code)
    has(err, 'no source "c"; configured: a, b')
  end)

  it("ends a rule that is stuck", function()
    with_rules 'rule "Loop" { on = "*", run = function() while true do end end }'
    write("switchhook.lua", "return { budgets = { cpu = '100ms', wall = '500ms' } }")
    write("e.json", CALL)
    local code, out, err = run { "try", "rules", "e.json" }
    assert.equal(1, code)
    has(out .. err, "rules/a.lua:1")
  end)

  it("shows what a sender wrote without obeying it", function()
    with_rules 'rule "A" { on = "*", run = function(e) log.info(e.text) end }'
    write("e.json", [[{"event":"a","call_id":"1","text":"x\u001b[31m\u009b1\ny\u202e"}]])
    local code, out = run { "try", "rules", "e.json" }
    assert.equal(0, code)
    has(out, [[x\x1b[31m\u009b1]])
    has(out, [[y\u202e]])
    lacks(out, "\27")
  end)
end)

-- An engine on a free port, with the rules and configuration of dir; f(url) runs beside it.
local function with_engine(f)
  local command = "cd %s && exec %s serve --listen 127.0.0.1:0 --data var >ready 2>log </dev/null"
  local out = support.capture(("sh -c %s & echo $!"):format(quote(command:format(quote(dir),
    quote(bin)))))
  local pid = assert(out:match "%d+")
  local function gone()
    local _, code = support.capture("kill -0 " .. pid .. " 2>/dev/null")
    return code ~= 0
  end
  local ok, err = pcall(function()
    local url
    support.wait_for(function()
      url = lfs.attributes(dir .. "/ready") and read("ready"):match "(http://127%.0%.0%.1:%d+)"
      return url or gone()
    end, 10, "the engine's ready line")
    assert(url, "the engine ended at its start")
    f(url)
  end)
  os.execute("kill -TERM " .. pid)
  support.wait_for(gone, 10, "the engine's end")
  assert(ok, err)
end

-- Ask until the answer suits, for up to ten seconds.
local function wait_for(what, f)
  return support.wait_for(f, 10, what)
end

describe("beside a running engine", function()
  it("sends a day and lists what came of it", function()
    with_rules()
    with_engine(function(url)
      local code, out, err = run { "send", "--day", "--to", url, "--json" }
      assert.equal(0, code, err)
      local sent = lines(out)
      assert.equal(7, #sent)
      assert.equal(200, sent[1].status)
      assert.is_true(sent[6].duplicate)
      assert.equal(sent[5].id, sent[6].id)
      assert.equal(400, sent[7].status)
      local function rows(...)
        local c, text, e = run { ... }
        assert.equal(0, c, e)
        return lines(text)
      end
      local events = wait_for("five events done", function()
        local done = rows("events", "--data", "var", "--json", "--state", "done")
        return #done == 5 and done
      end)
      assert.equal(sent[1].id, events[1].id)
      assert.equal("call_start", events[1].type)
      assert.equal("webphone", events[1].source)
      assert.truthy(events[1].received_at:match "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
      assert.equal(1, #rows("events", "--data", "var", "--json", "--limit", "1"))
      assert.equal(1, #rows("events", "--data", "var", "--json", "--type", "call_start"))
      assert.equal(0, #rows("events", "--data", "var", "--json", "--since", "2999-01-01T00:00:00Z"))
      assert.equal(5, #rows("events", "--data", "var", "--json", "--since", "1h"))
      local one = rows("events", "--data", "var", "--json", "--id", sent[2].id)
      assert.equal(events[2].key, one[1].body.call_id)
      assert.equal(6, #rows("runs", "--data", "var", "--json"))
      local angry = rows("runs", "--data", "var", "--json", "--event", sent[4].id)
      assert.equal(2, #angry)
      assert.equal("done", angry[1].outcome)
      local collections = rows("records", "--data", "var", "--json")
      assert.equal("calls", collections[1].collection)
      local calls = rows("records", "calls", "--data", "var", "--json")
      assert.equal(3, #calls)
      assert.equal("call_stop", rows("records", "calls", "--data", "var", "--json", "--id",
        events[5].key)[1].doc.seen)
      local callbacks = rows("callbacks", "--data", "var", "--json")
      assert.equal(1, #callbacks)
      assert.equal(sent[4].id, callbacks[1].event_id)
      assert.equal("angry", callbacks[1].reason)
      wait_for("the mail is written", function()
        return #rows("outbox", "--data", "var", "--json", "--state", "sent") == 1
      end)
      -- and for people
      local _, text = run { "events", "--data", "var" }
      has(text, "RECEIVED")
      has(text, "call_postprocess")
      _, text = run { "outbox", "--data", "var" }
      has(text, "a@example.org")
      local _, whole = run { "events", "--data", "var", "--id", sent[2].id }
      assert.is_nil(whole:find("\\t", 1, true), whole) -- JSON over several lines, no escaped tabs
      local missing_code, missing = run { "events", "--data", "var", "--id", "nope" }
      assert.equal(1, missing_code)
      has(missing, "Not found")
    end)
  end)

  it("cuts tables to the terminal, and colours them only there", function()
    with_rules()
    write("e.json", CALL)
    with_engine(function(url)
      assert.equal(0, (run { "send", "e.json", "--to", url }))
    end)
    local command = quote(bin) .. " events --data var"
    local function on_terminal(before)
      os.execute(("cd %s && script -qec %s /dev/null >tty </dev/null"):format(quote(dir),
        quote("stty cols 70; " .. before .. command)))
      return read "tty"
    end
    local text = on_terminal ""
    has(text, "\27[1mRECEIVED")
    has(text, "…")
    text = on_terminal "NO_COLOR=1 "
    lacks(text, "\27")
    for line in text:gmatch "[^\r\n]+" do
      local _, letters = line:gsub("[^\128-\191]", "")
      assert.is_true(letters <= 70, line)
    end
    local _, plain = run { "events", "--data", "var" }
    lacks(plain, "…")
    has(plain, "call_postprocess")
  end)

  it("is asked without a configuration that loads, where --data is given", function()
    with_rules 'rule "A" { on = "call_stop", run = function() after("1h", "later") end }\n'
    write("rules/b.lua", 'rule "B" { on = "later", run = function() end }\n')
    write("e.json", CALL:gsub("call_postprocess", "call_stop"))
    with_engine(function(url)
      assert.equal(0, (run { "send", "e.json", "--to", url }))
      wait_for("the timer", function()
        local _, out = run { "timers", "--data", "var", "--json" }
        return out ~= ""
      end)
      write("rules/b.lua", "-- nothing\n")
      write("switchhook.lua", "return {")
      local code, out, err
      wait_for("the reload, with its warning", function() -- another one would say that nothing is new
        code, out, err = run { "status", "--data", "var" }
        return out:match "\n +[^\n]*warning: [^\n]*later"
      end)
      assert.equal(0, code, out .. err)
      lacks(out, " : ")
      code, out, err = run { "reload", "--data", "var" }
      assert.equal(0, code, out .. err)
      lacks(err, "switchhook.lua")
      code, out = run { "rules", "--data", "var" }
      assert.equal(0, code)
      has(out, "rules/a.lua:1")
      local _, rows = run { "generations", "--data", "var", "--json" }
      code, out = run { "diff", lines(rows)[1].generation, "live", "--data", "var" }
      assert.equal(1, code)
      has(out, "-- nothing")
      assert.equal(1, (run { "diff", "--data", "var" }))
      code, out = run { "generations", "--export", "live", "out", "--data", "var" }
      assert.equal(0, code)
      has(out, "generation " .. lines(rows)[#lines(rows)].generation .. ": 2 files written below out")
      assert.equal(read "rules/a.lua", read "out/rules/a.lua")
      code, _, err = run { "generations", "--export", "live", "out", "--data", "var" }
      assert.equal(1, code)
      has(err, "out is not empty; expected a new or an empty folder")
      code, _, err = run { "generations", "--export", "ffff", "out2", "--data", "var" }
      assert.equal(1, code)
      has(err, 'there is no generation "ffff"')
      code, _, err = run { "generations", "--export", "live", "--data", "var" }
      assert.equal(2, code)
      has(err, "--export ID and a folder DIR go together")
      assert.equal(1, (run { "status" }))
    end)
  end)

  it("says when an answer is not the expected one", function()
    with_rules()
    write("bad.json", '{"event":“x”}')
    write("good.json", CALL)
    with_engine(function(url)
      local code, out = run { "send", "good.json", "bad.json", "--to", url }
      assert.equal(1, code)
      has(out, "200  good.json: stored as ")
      has(out, "400  bad.json: refused, invalid_json at line 1, column 10")
      assert.equal(0, (run { "send", "good.json", "--to", url .. "/hooks/webphone" }))
      assert.equal(1, (run { "send", "good.json", "--to", url .. "/hooks/nowhere" }))
      assert.equal(0, (run { "send", "--day", "--fixed", "--to", url }))
      assert.equal(0, (run { "send", "--day", "--fixed", "--to", url }))
    end)
    local code, _, err = run { "send", "good.json", "--to", "http://127.0.0.1:1" }
    assert.equal(1, code)
    has(err, "is `switchhook serve` running?")
  end)

  it("brings dead letters back", function()
    with_rules(FAILS)
    write("switchhook.lua", "return { retry = {} }")
    write("e.json", CALL)
    with_engine(function(url)
      assert.equal(0, (run { "send", "e.json", "--to", url }))
      local function dead()
        local _, out = run { "runs", "--data", "var", "--json", "--state", "dead" }
        return lines(out)
      end
      local runs = wait_for("a dead letter", function() return #dead() == 1 and dead() end)
      has(runs[1].error, 'rules/a.lua:2: rule "Fails": no good')
      local _, out = run { "events", "--data", "var", "--json", "--state", "dead" }
      assert.equal(runs[1].event_id, lines(out)[1].id)
      assert.equal(1, (run { "redrive", runs[1].event_id, "--rule", "Other", "--data", "var" }))
      local code
      code, out = run { "redrive", runs[1].event_id, "--data", "var" }
      assert.equal(0, code)
      has(out, "1 run and 0 outbox items brought back.")
      wait_for("dead again", function() return #dead() == 1 end)
      code, out = run { "redrive", "--all", "--rule", "Fails", "--data", "var", "--json" }
      assert.equal(0, code)
      assert.equal(1, json.decode(out).runs)
    end)
    assert.equal(1, (run { "redrive", "nothing", "--data", "var" }))
  end)

  it("does not make a data folder by looking", function()
    local code, _, err = run { "events", "--data", "nope" }
    assert.equal(1, code)
    has(err, "no store there")
    assert.equal(1, (run { "redrive", "--all", "--data", "nope" }))
    assert.is_nil(lfs.attributes(dir .. "/nope"))
  end)
end)
