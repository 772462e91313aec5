-- SPDX-License-Identifier: MIT
-- Timers, clock rules and callbacks in the real engine: durable, once, never early, late with how
-- late; a day's list that people work; invitations and feeds that calendars can read.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local config = [[return { zone = "Europe/Amsterdam", url = "https://hook.example.org",
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } } }]]

local function event(kind, fields)
  local doc = { event = kind, call_id = "c1" }
  for name, value in pairs(fields or {}) do doc[name] = value end
  return cjson.encode(doc)
end

local engine
local function start(rules, more)
  engine = support.engine { config = more or config, rules = { ["time.lua"] = rules } }
  return engine
end
local function send(kind, fields)
  assert.equal(200, engine:post("/hooks/webphone", event(kind, fields)).status)
end
local function record(collection, id, seconds)
  return support.wait_for(function()
    local row = engine:cli("records", collection, "--id", id, "--json")[1]
    return row and row.doc
  end, seconds or 6, ("record %s of %s"):format(id, collection))
end
local function close()
  if engine then engine:close() end
  engine = nil
end

describe("a timer", function()
  after_each(close)

  local ring = [[
rule "Set" { on = "set", run = function(e)
  after(e.when, "ring", { n = e.n, set_at = now() }, { name = e.name })
end }
rule "Cancel" { on = "cancel", run = function(e) cancel(e.name) end }
rule "Ring" { on = "ring", run = function(r, event)
  records.incr("rings", tostring(r.n), "times")
  records.patch("rings", tostring(r.n), { key = event.key, late = event.late, due_at = event.due_at,
    waited = now() - r.set_at, source = event.source })
end }]]

  it("becomes an event with the key of the event that set it, not early", function()
    start(ring)
    send("set", { n = 1, when = "1s", call_id = "k9" })
    local doc = record("rings", "1")
    assert.equal("k9", doc.key)
    assert.equal("rules", doc.source)
    assert.is_true(doc.waited >= 1 and doc.waited < 3, doc.waited)
    assert.is_true(doc.late >= 0 and doc.late < 2, doc.late)
    assert.truthy(doc.due_at:match "^%d%d%d%d%-%d%d%-%d%dT")
  end)

  it("is replaced by one of the same name, and cancelled by its name, from any event", function()
    start(ring)
    send("set", { n = 1, when = "1s", name = "sla" })
    send("set", { n = 2, when = "1s", name = "sla", call_id = "c2" })
    send("set", { n = 3, when = "1s", name = "gone" })
    send("set", { n = 4, when = "1s" })
    send("cancel", { name = "gone", call_id = "c3" })
    record("rings", "2")
    record("rings", "4")
    socket.sleep(0.5)
    local rows = engine:cli("records", "rings", "--json")
    assert.equal(2, #rows)
    for _, row in ipairs(rows) do assert.equal(1, row.doc.times) end
    assert.equal(0, #engine:cli("timers", "--json"))
  end)

  it("that fell due while the engine was down comes once, with how late", function()
    start(ring)
    send("set", { n = 1, when = "1s" })
    send("set", { n = 2, when = "1h", name = "far" })
    engine:wait_events("done", 2)
    engine:kill9()
    socket.sleep(2.2)
    engine:start()
    local doc = record("rings", "1")
    assert.equal(1, doc.times)
    assert.is_true(doc.late >= 1, doc.late)
    local timers = engine:cli("timers", "--json")
    assert.equal(1, #timers)
    assert.equal("far", timers[1].name)
  end)

  it("survives kill -9 at any moment, and comes once", function()
    start(ring)
    local n = 0
    for _ = 1, 4 do
      local conn = engine:connect()
      for _ = 1, 40 do
        n = n + 1
        assert.equal(200, conn:request("POST", "/hooks/webphone",
          event("set", { n = n, when = "1s", call_id = "k" .. n })).status)
      end
      socket.sleep(0.3 + 0.35 * (n % 3))
      engine:kill9()
      engine:start()
    end
    local rows = support.wait_for(function()
      local all = engine:cli("records", "rings", "--json")
      return #all == n and all
    end, 20, n .. " rings")
    for _, row in ipairs(rows) do assert.equal(1, row.doc.times, row.id) end
  end)
end)

describe("a clock rule", function()
  after_each(close)

  it("runs at its times, alone, and is known to the command line", function()
    start [[
rule "Tick" { every = "10s", run = function(tick, event)
  records.incr("ticks", "all", "n")
  records.patch("ticks", "all", { source = event.source, rule = tick.rule })
end }
rule "Digest" { every = "18:00 mon-fri", zone = "America/New_York", run = function()
  records.put("ticks", "digest", {}) end }]]
    local timers = engine:cli("timers", "--json")
    assert.equal(2, #timers)
    local by = {}
    for _, t in ipairs(timers) do by[t.name] = t end
    assert.equal("clock", by.Tick.kind)
    assert.equal("America/New_York", by.Digest.zone)
    local doc = record("ticks", "all", 14)
    assert.equal("clock", doc.source)
    assert.equal("Tick", doc.rule)
    assert.equal(0, #engine:cli("records", "ticks", "--id", "digest", "--json"))
  end)
end)

describe("a callback", function()
  after_each(close)

  local rules = [[
rule "Ask" { on = "ask", run = function(e)
  callback { number = e.number, name = e.name, due = e.due, assignee = e.assignee or "desk@example.org",
    reason = e.reason or "Missed call", completes = e.completes, key = e.key }
end }
rule "Answered" { on = "answered", run = function(e) callbacks.answered(e.number) end }
rule "Due" { on = "callback_*", run = function(c, event)
  records.patch("heard", event.type .. " " .. c.number, { late = event.late, assignee = c.assignee,
    status = c.status, note = c.note, id = c.id })
  records.incr("heard", event.type .. " " .. c.number, "times")
end }]]

  local function open()
    return engine:cli("callbacks", "--state", "open", "--json")
  end
  local function mails()
    local found = {}
    local out = support.capture("ls " .. engine.data .. "/mail/*.eml 2>/dev/null")
    for path in out:gmatch "%S+" do found[#found + 1] = support.read_file(path) end
    return found
  end
  local function calendar(text)
    local path = engine.dir .. "/feed.ics"
    support.write_file(path, text)
    local out, code = support.capture(([[/usr/bin/python3 -c 'import sys, json
from icalendar import Calendar
c = Calendar.from_ical(open("%s", "rb").read())
print(json.dumps([{"uid": str(e["UID"]), "summary": str(e["SUMMARY"]), "seq": int(e["SEQUENCE"]),
  "start": e["DTSTART"].dt.timestamp(), "status": str(e.get("STATUS", ""))} for e in c.walk("VEVENT")]))']])
      :format(path))
    assert.equal(0, code, out)
    return cjson.decode(out)
  end

  it("falls due: an event, an email with an invitation, and a person completes it", function()
    start(rules)
    send("ask", { number = "+31 20 123 4567", name = "Zoë", due = "1s" })
    local heard = record("heard", "callback_due +31 20 123 4567")
    assert.equal("due", heard.status)
    local mail = support.wait_for(function() return mails()[1] end, 5, "the email")
    assert.truthy(mail:find("text/calendar; method=REQUEST", 1, true)
      or mail:find('text/calendar; charset=UTF-8; method=REQUEST', 1, true) or mail:find "method=\"?REQUEST")
    assert.truthy(mail:find("desk@example.org", 1, true))
    local id = open()[1].id
    local rows, out, code = engine:cli("callbacks", "done", id:sub(1, 8), "--note", "ordered", "--json")
    assert.equal(0, code, out)
    assert.equal("done", rows[1].status)
    assert.equal(0, #open())
    assert.equal("ordered", record("heard", "callback_done +31 20 123 4567").note)
    local _, _, again = engine:cli("callbacks", "done", id)
    assert.equal(1, again)
    local whole = engine:cli("callbacks", "--id", id, "--json")[1]
    assert.is_true(#whole.history >= 3)
  end)

  it("for the same number and reason is one, and never put off by a second call", function()
    start(rules)
    send("ask", { number = "+31201234567", due = "1h", call_id = "a" })
    send("ask", { number = "0031 (20) 123-4567", due = "2h", name = "Later known", call_id = "b" })
    send("ask", { number = "+31201234567", due = "2h", reason = "Other", call_id = "c" })
    engine:wait_events("done", 3)
    local rows = open()
    assert.equal(2, #rows)
    assert.equal("Later known", rows[1].name)
    local _, _, code = engine:cli("callbacks", "cancel", rows[1].id)
    assert.equal(0, code)
    assert.equal(1, #open())
  end)

  it("is completed by an answered call with the number, if it says so", function()
    start(rules)
    send("ask", { number = "+31201111111", due = "1h", completes = "answered", call_id = "a" })
    send("ask", { number = "+31202222222", due = "1h", call_id = "b" })
    engine:wait_events("done", 2)
    send("answered", { number = "0031201111111", call_id = "c" })
    send("answered", { number = "+31202222222", call_id = "d" })
    engine:wait_events("done", 4)
    local rows = open()
    assert.equal(1, #rows)
    assert.equal("+31202222222", rows[1].number)
  end)

  it("is snoozed, reassigned and missed", function()
    start(rules, (config:gsub("zone", 'callbacks = { missed_after = "2s" }, zone', 1)))
    send("ask", { number = "+31203333333", due = "1s" })
    record("heard", "callback_due +31203333333")
    local id = open()[1].id
    local _, out, code = engine:cli("callbacks", "snooze", id, "--due", "2s")
    assert.equal(0, code, out)
    assert.equal("snoozed", open()[1].status)
    _, out, code = engine:cli("callbacks", "reassign", id, "--to", "night@example.org")
    assert.equal(0, code, out)
    support.wait_for(function()
      return record("heard", "callback_due +31203333333").times == 2
    end, 6, "it to be due again")
    record("heard", "callback_missed +31203333333", 8)
    assert.equal("missed", open()[1].status)
    local requests, cancels, highest = 0, 0, 0
    for _, mail in ipairs(support.wait_for(function()
      local all = mails()
      return #all >= 3 and all
    end, 5, "invitations and a cancellation")) do
      requests = requests + (mail:find "method=\"?REQUEST" and 1 or 0)
      cancels = cancels + (mail:find "method=\"?CANCEL" and 1 or 0)
      highest = math.max(highest, #mail)
    end
    assert.is_true(requests >= 2 and cancels >= 1, requests .. "/" .. cancels)
  end)

  it("is in its assignee's calendar feed, behind an address nobody can guess", function()
    start(rules)
    send("ask", { number = "+31204444444", name = "A;B,C\\D", due = "1h", reason = "line\nbreak" })
    send("ask", { number = "+31205555555", due = "2h", assignee = "other@example.org", call_id = "x" })
    engine:wait_events("done", 2)
    local url = engine:cli("callbacks", "feed", "desk@example.org", "--json")[1].url
    local path = url:match "^https://hook%.example%.org(/calendar/[%w_-]+%.ics)$"
    assert.truthy(path, url)
    assert.is_true(#path >= 10 + 43)
    local answer = engine:request("GET", path)
    assert.equal(200, answer.status)
    assert.truthy(answer.headers["content-type"]:find("text/calendar", 1, true))
    local list = calendar(answer.body)
    assert.equal(1, #list)
    assert.truthy(list[1].summary:find("A;B,C\\D", 1, true), list[1].summary)
    local again = engine:request("GET", path, nil, { ["If-None-Match"] = answer.headers.etag })
    assert.equal(304, again.status)
    assert.equal(404, engine:request("GET", "/calendar/" .. ("x"):rep(43) .. ".ics").status)
    assert.equal(404, engine:request("GET", "/calendar/.ics").status)
    local new = engine:cli("callbacks", "feed", "desk@example.org", "--new", "--json")[1].url
    assert.are_not.equal(url, new)
    assert.equal(404, engine:request("GET", path).status)
  end)
end)
