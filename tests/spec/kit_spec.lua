-- SPDX-License-Identifier: MIT
-- kit_spec.lua: the kit `hook` itself: what it answers, and what its assertions accept and say.
local all = [[
rule "All" { on = "*", run = function(e, envelope)
  callback { number = "0612345678", due = now() + hour, name = "Zoë", reason = "asked" }
  email { to = { "a@example.org", "b@example.org" }, subject = "S", text = "T" }
  http.post { url = "https://crm.example.org/calls", json = { id = e.call_id, tags = { "x" } }, notify = "crm" }
  after("2h", "later", { n = 1 }, { name = "reminder" })
  emit("made", { of = e.call_id })
  records.put("calls", e.call_id, { n = 1, deep = { a = 1, b = 2 }, list = { 1, 2 }, null = e.nothing })
  log.warn("seen", e.call_id)
end }
rule "Never" { on = "never", run = function() end }
]]

-- Only for the event itself, not for what follows from it.
local once = all:gsub('on = "%*"', 'on = "x"', 1)

local function begin(rules, options)
  options = options or {}
  options.rules = { a = rules or once }
  hook.reset(options)
end

local function send(call_id)
  return hook.send { event = "x", call_id = call_id or "1" }
end

-- What fn's failure says.
local function refusal(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "it did not fail")
  return tostring(type(why) == "table" and why.message or why)
end

local function says(part, fn, ...)
  local text = refusal(fn, ...)
  assert.truthy(text:find(part, 1, true), text)
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

describe("the kit", function()
  it("is in its reference, in the hints for editors and known to luacheck, whole", function()
    local page, hints = read "docs/testing.md", read "engine/app/project/.luals/hook.lua"
    local names = read(".luacheckrc"):match "in %(%[%[(.-)%]%]%)"
    for name in pairs(hook) do
      if not name:find "^_" then
        assert.truthy(page:find("`hook." .. name, 1, true), "docs/testing.md does not explain hook." .. name)
        assert.truthy((" " .. names:gsub("%s+", " ") .. " "):find(" " .. name .. " ", 1, true), name)
        local field = ("---@field %s any"):format(name)
        assert.truthy(hints:find("function hook." .. name .. "(", 1, true) or hints:find(field, 1, true), name)
      end
    end
    for name in hints:gmatch "function hook%.([%w_]+)" do assert.is_function(hook[name], name) end
  end)

  it("is a module and a global", function()
    assert.equal(hook, require "hook")
  end)

  it("tells what happened", function()
    begin()
    local happened = send()
    assert.equal("x", happened.event.type)
    assert.equal("1", happened.event.key)
    assert.equal("done", happened.runs.All.outcome)
    assert.equal("skipped_on", happened.runs.Never.outcome)
    assert.equal(6, #happened.effects)
    assert.equal("seen 1", happened.logs[1].text)
    assert.equal(2, #happened.events) -- and what was emitted
    assert.is_nil(happened.refused)
    assert.is_true(send().duplicate)
  end)

  describe("begins each test anew", function()
    it("first", function()
      send()
      assert.equal("2026-06-12T12:00:00Z", os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(hook.now())))
      hook.advance "1h"
      hook.http_reply("*", { status = 200 })
    end)
    it("second", function()
      assert.equal("2026-06-12T12:00:00Z", os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(hook.now())))
      assert.same({}, hook.effects())
      assert.same({}, hook.records "calls")
      assert.truthy(#hook.rules() > 5) -- the project's
    end)
  end)

  it("moves the clock, and what is due happens at its time", function()
    begin()
    send()
    assert.equal(1, #hook.timers())
    local happened = hook.advance "1h59m"
    assert.equal("callback_due", happened.event.type)
    assert.equal("2026-06-12T13:00:00.000Z", happened.event.at)
    assert.equal("later", hook.advance(60).event.type)
    assert.same({}, hook.timers())
    says("only goes forward", hook.advance, -1)
    says('hook.advance: "soon" is no duration', hook.advance, "soon")
  end)

  it("sets the clock: at first anywhere, later only forwards", function()
    begin()
    hook.set_now "2020-01-01T00:00:00Z"
    assert.equal(1577836800, hook.now())
    send()
    assert.equal("later", hook.set_now("2020-01-01T03:00:00Z").events[2].event.type)
    says("the clock goes forward", hook.set_now, "2019-01-01T00:00:00Z")
    says("is no time", hook.set_now, "tomorrow")
  end)

  it("reads local times in the zone", function()
    begin(nil, { zone = "America/New_York", now = "2026-06-12 08:00" })
    assert.equal(1781265600, hook.now())
    send()
    assert.scheduled_callback { due = "2026-06-12 09:00" }
    begin(nil, { zone = "Asia/Tokyo", now = "2026-06-12 08:00" })
    assert.equal(1781265600 - 13 * 3600, hook.now())
    says("no time zone", begin, nil, { zone = "Mars" })
  end)

  it("answers look-ups, the newest reply first", function()
    begin [[rule "R" { on = "x", run = function()
      local answer = http.get { url = "https://crm.example.org/a" }
      records.put("out", "1", { status = answer.status, name = answer.json and answer.json.name })
    end }]]
    hook.http_reply("https://crm.example.org/*", { status = 404 })
    hook.http_reply("https://crm.*/a", { json = { name = "Zoë" } })
    send()
    assert.record("out", "1").is { status = 200, name = "Zoë" }
    hook.http_reply("*", { status = 500, body = "" })
    send "2"
    assert.record("out", "1").has { status = 500, name = hook.none }
    says('unknown option "sttus"; did you mean status?', hook.http_reply, "*", { sttus = 1 })
    says("100 to 599", hook.http_reply, "*", { status = 9 })
  end)

  it("delivers, and the events of notify follow", function()
    begin(once .. [[rule "Failed" { on = "delivery_failed", run = function(d)
      records.put("failed", d.notify, { status = d.status, answer = d.answer }) end }]])
    send()
    hook.deliver("https://crm.example.org/*", { status = 422, answer = "no" })
    assert.record("failed", "crm").is { status = 422, answer = "no" }
    hook.deliver "*example.org*"
    assert.sent_email { state = "sent" }
    says("nothing waits in the outbox", hook.deliver, "https://*")
  end)

  it("delivers an email to several by any one of them", function()
    begin [[rule "Two" { on = "*", run = function()
      email { to = { "a@example.org", "b@example.org" }, subject = "s", text = "t" } end }]]
    send()
    says("nothing waits in the outbox", hook.deliver, "c@example.org")
    hook.deliver "b@example.org"
    assert.sent_email { state = "sent" }
  end)

  it("has sample events, to be changed", function()
    assert.equal("call_stop", hook.payload("missed").event)
    local doc = hook.payload("call_postprocess", { call_id = "9", user_email = hook.none, direction = hook.null,
      ["analysis.sentiment"] = "negative", ["new.deep"] = 1 })
    assert.equal("9", doc.call_id)
    assert.is_nil(doc.user_email)
    assert.equal(hook.null, doc.direction)
    assert.equal("negative", doc.analysis.sentiment)
    assert.equal(1, doc.new.deep)
    says("missed", hook.payload, "mised")
  end)

  it("evaluates code as a rule would", function()
    assert.equal(7200, hook.eval [[2 * hour]])
    assert.equal("0612345678", hook.eval([[require("phone").id(args.number)]], { number = "06 12345678" }))
    assert.is_nil(hook.eval [[nil]])
    says("rules/eval.lua", hook.eval, [[error "x"]])
    says("rules/eval.lua:1", hook.eval, "1 +")
  end)

  it("says what cannot be sent, at the spec's line", function()
    says("a function cannot be JSON", hook.send, { event = "x", call_id = "1", f = print })
    says("kit_spec.lua:", hook.send, { event = "x", f = print })
    says("event.f", hook.send, { event = "x", f = print })
    local loop = {}
    loop.loop = loop
    says("nested too deeply", hook.send, loop)
    says("no source \"nobody\"", hook.send, {}, { source = "nobody" })
    says("rules do not load: rules/a.lua:1", begin, "rule")
    says("hook.records: which collection?", hook.records)
    says('unknown option "nw"; did you mean now?', hook.reset, { nw = 1 })
  end)

  it("keeps integers, lists and nulls", function()
    begin [[rule "R" { on = "x", run = function(e) records.put("out", "1", e) end }]]
    hook.send { event = "x", call_id = "1", big = 9007199254740993, list = hook.list {}, object = {}, half = 0.5,
      null = hook.null, text = "é" }
    assert.record("out", "1").is { event = "x", call_id = "1", big = 9007199254740993, list = {}, object = {},
      half = 0.5, text = "é" }
    assert.equal("integer", math.type(hook.record("out", "1").big))
  end)
end)

describe("an assertion", function()
  before_each(function() begin() end)

  it("finds what is there", function()
    send()
    assert.scheduled_callback()
    assert.scheduled_callback { number = "0612345678", due = "2026-06-12T13:00:00Z", rule = "All" }
    assert.scheduled_callback { due = 1781269200 }
    assert.scheduled_callback { due = "2026-06-12 15:00", name = hook.like "^Zo" }
    assert.scheduled_callback { reason = hook.one_of("asked", "told"), assignee = hook.none, number = hook.any }
    assert.scheduled_callback { name = function(name) return #name == 4 end }
    assert.sent_email { to = "b@example.org", subject = "S", text = hook.containing "T" }
    assert.sent_email { to = { "a@example.org", "b@example.org" } }
    assert.http_call { method = "POST", url = hook.like "^https://crm", json = { id = "1" }, notify = "crm" }
    assert.http_call { json = { tags = { "x" } } }
    assert.set_timer { name = "reminder", type = "later", due = "2026-06-12 16:00", data = { n = 1 } }
    assert.emitted("made", { of = "1" })
    assert.emitted "made"
    assert.effects { kind = "records.put", collection = "calls" }
    assert.effects "All"
    assert.no_effects "Never"
    assert.ran "All"
    assert.skipped "Never"
    assert.skipped("Never", "never")
    assert.record("calls", "1").has { n = 1, deep = { a = 1 } }.has { list = { 1, 2 } }
    assert.record("calls", "1").is { n = 1, deep = { a = 1, b = 2 }, list = { 1, 2 } }
    assert.no_record("calls", "2")
  end)

  it("does not find what is not there", function()
    send()
    assert.no.scheduled_callback { number = "1" }
    assert.no.scheduled_callback { due = "2026-06-12 15:01" }
    assert.no.sent_email { to = "c@example.org" }
    assert.no.sent_email { to = { "a@example.org" } }
    assert.no.http_call { json = { id = "2" } }
    assert.no.http_call { json = { tags = { "x", "y" } } }
    assert.no.set_timer { data = { n = 2 } }
    assert.is_not.emitted("made", { of = "2" })
    assert.no.ran "Never"
    assert.is_not.skipped "All"
    assert.no.failed "All"
    assert.no.refused()
    for _, fn in ipairs {
      function() assert.scheduled_callback { number = "1" } end,
      function() assert.no.scheduled_callback { number = "0612345678" } end,
      function() assert.no_effects() end,
      function() assert.record("calls", "1").has { n = 2 } end,
      function() assert.record("calls", "1").has { list = { 1 } } end,
      function() assert.record("calls", "1").is { n = 1 } end,
      function() assert.record("calls", "2") end,
      function() assert.no_record("calls", "1") end,
      function() assert.ran "Never" end,
      function() assert.skipped "All" end,
      function() assert.skipped("Never", "sometimes") end,
      function() assert.failed "All" end,
      function() assert.refused() end,
      function() assert.effects { kind = "cancel" } end,
    } do
      refusal(fn)
    end
  end)

  it("shows the nearest thing, with the fields that differ", function()
    hook.reset { rules = { a = [[rule "R" { on = "x", run = function()
      email { to = "a@example.org", subject = "One", text = "T" }
      email { to = "b@example.org", subject = "Two", text = "U" }
    end }]] } }
    send()
    local text = refusal(function() assert.sent_email { to = "b@example.org", subject = "Too" } end)
    for _, part in ipairs { "expected an email with\n", 'the nearest of 2, by "R":',
      '! subject  "Two"   -- expected "Too"',
      '  to       { "b@example.org" }', "the others:\n", 'subject = "One"' } do
      assert.truthy(text:find(part, 1, true), text)
    end
  end)

  it("shows times as the expected one is written", function()
    send()
    local function shown(due) return refusal(function() assert.scheduled_callback { due = due } end) end
    assert.matches('! due +"2026%-06%-12 15:00"   %-%- expected "2026%-06%-12 15:01"', shown "2026-06-12 15:01")
    assert.matches('! due +"2026%-06%-12T13:00:00.000Z"   %-%- expected', shown "2026-06-12T13:01:00Z")
    assert.matches('! due +"2026%-06%-12T13:00:00.000Z"   %-%- expected', shown "2026-06-12T15:01:00+02:00")
    assert.matches("! due +1781269200   %-%- expected 1\n", shown(1) .. "\n")
  end)

  it("says why nothing is there: a refused event, a failed run", function()
    hook.send "{"
    says("invalid_json", function() assert.scheduled_callback {} end)
    assert.refused "invalid_json"
  end)

  it("names the nearest for a typo", function()
    send()
    says('unknown field "sbject"; did you mean subject?', function() assert.sent_email { sbject = 1 } end)
    says('no rule "Al"; did you mean "All"?', function() assert.ran "Al" end)
    says("expected a table of fields", function() assert.sent_email "x" end)
    says("is no time", function() assert.scheduled_callback { due = "soon" } end)
  end)

  it("asks for a failed run, and for its retries", function()
    begin [[rule "R" { on = "x", run = function() error "boom" end }]]
    send()
    assert.failed("R", "boom")
    assert.failed("R", hook.like 'rules/a.lua:1: rule "R": bo+m')
    hook.advance "1d"
    assert.truthy(#hook.runs "R" > 2)
    assert.no.ran "R"
  end)
end)
