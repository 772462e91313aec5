-- SPDX-License-Identifier: MIT
-- verify: a store after a day of everything is good, and each thing that the engine relies on is
-- named when exactly it is broken.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local quote = support.quote
local BIN = support.bin

local config = [[
return { country = "31", mail = { from = "hook@example.org" }, retry = { "1ms" }, quarantine = 50,
  http = { allow = { "127.0.0.1" }, retry = { "1ms" } },
  sources = {
    webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" },
      key = { field = "call_id" } },
    form = { path = "/hooks/form", auth = "none", body = "form", type = { field = "CallStatus" },
      key = { field = "CallSid" } } } }
]]
local rules = { ["all.lua"] = [[
rule "Note it" { on = "call_*", run = function(call)
  records.patch("calls", call.call_id, { n = call.n, direction = "incoming" })
  records.incr("counts", "all", "n")
  log.info("noted")
end }
rule "Remind" { on = "call_stop", run = function(call)
  after("2h", "reminder", { id = call.call_id }, { name = "remind " .. call.call_id })
  after("3h", "nameless", {})
  callback { number = call.remote_number, due = call.n % 2 == 0 and "1h" or "1s", reason = call.call_id,
    assignee = "ann@example.org" }
  emit("noted", { id = call.call_id })
end }
rule "Close" { on = "call_start", run = function(call)
  callbacks.done { number = call.remote_number, note = "answered" }
end }
rule "Tell" { on = "call_stop", run = function(call)
  http.post { url = "http://127.0.0.1:9/crm", json = { id = call.call_id } }
  http.post { url = "http://192.0.2.1/no", json = { id = call.call_id }, notify = "refused" }
  email { to = "team@example.org", subject = "A call", text = "of " .. call.call_id }
end }
rule "Broken" { on = "call_odd", run = function() error "no" end }
rule "Sometimes" { on = "call_even", run = function() error "not now" end }
rule "Form" { on = "ringing", run = function(form) records.put("forms", form.CallSid, { from = form.From }) end }
rule "Digest" { every = "18:00 mon-fri", run = function() end }
]] }

local function sh(...)
  local words = { quote(BIN) }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  return support.capture(table.concat(words, " ") .. " 2>&1")
end

local function post(engine, event, n)
  assert.equal(200, engine:post("/hooks/webphone", cjson.encode { event = event,
    call_id = "call-" .. n, n = n, remote_number = ("06%08d"):format(11111111 + n) }).status)
end

-- Everything that leaves something in the store.
local function a_day(engine)
  for n = 1, 12 do post(engine, "call_stop", n) end
  for n = 1, 3 do post(engine, "call_odd", n) end
  for n = 1, 2 do post(engine, "call_even", n) end
  assert.equal(200, engine:post("/hooks/form", "CallSid=a1&CallStatus=ringing&From=%2B31612345678",
    { ["Content-Type"] = "application/x-www-form-urlencoded" }).status)
  engine:wait_events("done", 12)
  post(engine, "call_start", 2)
  support.wait_for(function()
    return #engine:cli("outbox", "--state", "dead", "--json") >= 12 and
      #engine:cli("outbox", "--state", "sent", "--json") >= 12 and
      #engine:cli("callbacks", "--state", "due", "--json") >= 5
  end, 20, "deliveries and callbacks")
  local _, out, code = engine:cli("rules", "pause", "Sometimes")
  assert.equal(0, code, out)
  for n = 3, 5 do post(engine, "call_even", n) end
  support.write_file(engine.dir .. "/rules/more.lua", 'rule "More" { on = "x", run = function() end }\n')
  for _, words in ipairs { { "reload" }, { "token", "new", "ann", "--role", "operator" },
    { "callbacks", "feed", "ann@example.org" }, { "redrive", "--all", "--rule", "Broken" },
    { "forget", "0611111115", "--yes" }, { "drop", "--all", "--rule", "Tell" } } do
    local _, said, exit = engine:cli(table.unpack(words))
    assert.equal(0, exit, table.concat(words, " ") .. ": " .. said)
  end
  support.wait_for(function() return engine:cli("rules", "--json")[1] end, 10, "rules")
  engine:wait_events("done", 12)
end

-- Check, statement that breaks it, and what the example says. In a store of a_day().
local some_event = "(SELECT min(seq) FROM sh_events)"
local breaks = {
  { "tables", "DROP INDEX sh_outbox_due", "index sh_outbox_due" },
  { "tables", "CREATE TABLE sh_mine(a)", "table sh_mine" },
  { "tables", "CREATE TRIGGER mine AFTER DELETE ON sh_tokens BEGIN DELETE FROM sh_audit; END", "trigger mine" },
  { "migrations", "UPDATE sh_migrations SET version = 0 WHERE version = 1", "step" },
  { "event-ids", "UPDATE sh_events SET id = '00000000-0000-7000-8000-000000000000' WHERE seq = " ..
    "(SELECT max(seq) FROM sh_events WHERE type = 'noted')", "event 0000", also = { ["event-names"] = true } },
  { "events", "UPDATE sh_events SET depth = 17 WHERE seq = " .. some_event, "event " },
  { "event-bodies", "UPDATE sh_events SET body = CAST('{\"a\":' AS BLOB) WHERE seq = " .. some_event, "event " },
  { "event-bodies", "UPDATE sh_events SET format = 3 WHERE seq = " .. some_event, "event " },
  { "event-bodies", "UPDATE sh_events SET body = CAST('a=%zz' AS BLOB) WHERE format = 1", "event " },
  { "event-names", "UPDATE sh_outbox SET event_id = 'x' WHERE seq = (SELECT min(seq) FROM sh_outbox)", "delivery " },
  { "event-names", "UPDATE sh_timers SET event_id = substr(event_id, 1, 24) || '000000000000' WHERE seq = " ..
    "(SELECT min(seq) FROM sh_timers WHERE event_id IS NOT NULL)", "timer " },
  { "dedupe", "DELETE FROM sh_dedupe_new WHERE seq = " .. some_event, "event " },
  { "dedupe-new", "INSERT INTO sh_dedupe_new VALUES(7, zeroblob(16))", "seq 7" },
  { "dedupe-sorted", "INSERT INTO sh_dedupe VALUES(x'0102', 7)", "hash 0102" },
  { "unfinished", "INSERT INTO sh_unfinished VALUES(7)", "seq 7" },
  { "forgotten", "INSERT INTO sh_forgotten VALUES(7)", "seq 7" },
  { "runs", "INSERT INTO sh_runs VALUES(7, 'Gone', '', 'done', 1, '[]', NULL, 0, 0, NULL, NULL, NULL)",
    "'Gone' on seq 7" },
  { "run-states", "UPDATE sh_runs SET next_ms = 5 WHERE outcome = 'done'", "run of " },
  { "run-states", "UPDATE sh_runs SET outcome = 'maybe' WHERE outcome = 'done'", "run of " },
  { "run-texts", "UPDATE sh_runs SET effects = '[' WHERE rule = 'Remind'", "'Remind'" },
  { "run-texts", "UPDATE sh_runs SET logs = '{' WHERE rule = 'Note it'", "'Note it'" },
  { "run-generations", "UPDATE sh_runs SET generation = '0123456789abcdef' WHERE outcome = 'paused'",
    "0123456789abcdef" },
  { "run-pauses", "UPDATE sh_rules SET state = 'on' WHERE rule = 'Sometimes'", "'Sometimes'" },
  { "rules", "UPDATE sh_rules SET state = 'off' WHERE rule = 'Broken'", "'Broken'" },
  { "records", "UPDATE sh_records SET doc = '[1]' WHERE id = 'call-1'", "calls/call%-1" },
  { "records", "UPDATE sh_records SET doc = '{\"a\":1,\"a\":2}' WHERE id = 'call-1'", "calls/call%-1" },
  { "record-versions", "UPDATE sh_records SET version = 1 << 50 WHERE id = 'call-1'", "calls/call%-1, version" },
  { "counters", "DELETE FROM sh_meta", "record_versions", also = { ["record-versions"] = true } },
  { "numbers", "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'sh_timers'", "sh_timers" },
  { "views", "DROP VIEW calls", "view calls" },
  { "views", "DELETE FROM sh_fields WHERE collection = 'calls' AND place = 0", "view calls" },
  { "timers", "UPDATE sh_timers SET name = 'x:y' WHERE name GLOB 'n:*call-1'", "timer " },
  { "timers", "UPDATE sh_timers SET rule = 'Another' WHERE name GLOB 'c:*'", "timer " },
  { "timer-events", "UPDATE sh_timers SET local = '9 o''clock', zone = 'UTC' WHERE name GLOB 'n:*call-1'", "timer " },
  { "timer-events", "UPDATE sh_timers SET body = CAST('x' AS BLOB) WHERE name GLOB 'n:*call-1'", "timer " },
  { "outbox", "UPDATE sh_outbox SET key = 'another' WHERE seq = (SELECT min(seq) FROM sh_outbox)", "delivery " },
  { "outbox", "UPDATE sh_outbox SET lane = 'ftp' WHERE kind = 'http' AND lane = 'http:127.0.0.1:9'", "delivery http" },
  { "outbox", "UPDATE sh_outbox SET payload = '{' WHERE kind = 'email'", "delivery email" },
  { "outbox-states", "UPDATE sh_outbox SET state = 'queued' WHERE kind = 'email' AND state = 'sent'",
    "delivery email" },
  { "outbox-states", "UPDATE sh_outbox SET state = 'lost' WHERE kind = 'email' AND state = 'sent'", "delivery email" },
  { "lanes", "INSERT INTO sh_lanes VALUES('pigeon', 5, NULL)", "'pigeon'" },
  { "callbacks", "UPDATE sh_callbacks SET status = 'maybe' WHERE status = 'scheduled'", "callback " },
  { "callbacks", "UPDATE sh_callbacks SET closed_ms = 5 WHERE status = 'due'", "callback " },
  { "callback-digits", "UPDATE sh_callbacks SET digits = '1' WHERE status = 'due'", "callback " },
  { "callback-histories", "DELETE FROM sh_callback_changes WHERE id = (SELECT min(id) FROM sh_callbacks)",
    "callback " },
  { "callback-changes", "INSERT INTO sh_callback_changes VALUES('gone', 1, 0, 'due', 'engine', NULL)",
    "callback gone" },
  { "callback-changes", "UPDATE sh_callback_changes SET place = 9 WHERE place = 2", "change 9" },
  { "feeds", "UPDATE sh_feeds SET token = 'guess'", "calendar of ann" },
  { "generations", "UPDATE sh_generation_texts SET text = CAST(text || ' ' AS BLOB) WHERE id = 1", "generation " },
  { "generation-files", "DELETE FROM sh_generation_texts WHERE id = 1", "all.lua", also = { generations = true } },
  { "generation-texts", "INSERT INTO sh_generation_texts VALUES(999, x'20')", "text 999" },
  { "generation-lives", "DELETE FROM sh_generation_lives", "no generation is live" },
  { "tokens", "UPDATE sh_tokens SET role = 'king'", "token 'ann'" },
  { "sessions", "INSERT INTO sh_sessions VALUES(5, zeroblob(32), zeroblob(32), 0, 0)", "session 5" },
  { "audit", "UPDATE sh_audit SET detail = '{' WHERE action = 'token.new'", "line " },
  { "series", "INSERT INTO sh_series VALUES(5, 1, '[]')", "minute 5" },
  -- a text where the table wants a number: SQLite's own check of STRICT tables
  { "pages", "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE" ..
    " name = 'sh_lanes'; PRAGMA writable_schema = RESET; INSERT INTO sh_lanes VALUES('email', 'soon', NULL);" ..
    " PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE sh_lanes(lane TEXT PRIMARY KEY," ..
    " until_ms INTEGER NOT NULL, why TEXT) STRICT, WITHOUT ROWID' WHERE name = 'sh_lanes'", "sh_lanes" },
}

describe("verify", function()
  local engine
  setup(function()
    engine = support.engine { config = config, rules = rules }
    a_day(engine)
  end)
  teardown(function()
    engine:close()
  end)

  local function bad_ones(path)
    local out, code = sh("verify", "--json", path)
    local report, bad = cjson.decode(out), {}
    for _, check in ipairs(report.checks) do
      if not check.ok then bad[check.check] = check end
    end
    assert.equal(next(bad) and 1 or 0, code)
    return bad, report
  end

  it("finds a store good after a day of everything, beside the engine and after it", function()
    local out, code = sh("verify", "--data", engine.data)
    assert.equal(0, code, out)
    local tables = { "sh_unfinished", "sh_runs", "sh_records", "sh_timers", "sh_outbox", "sh_callbacks",
      "sh_tokens", "sh_feeds", "sh_audit", "sh_rules", "sh_generation_lives" }
    for _, name in ipairs(tables) do -- the day was one
      local n = support.capture(("sqlite3 -readonly %s 'SELECT count(*) FROM %s'"):format(
        quote(engine.data .. "/switchhook.db"), name))
      assert(tonumber(n) > 0 or name == "sh_unfinished", name .. " is empty")
    end
    engine:kill9()
    out, code = sh("verify", "--data", engine.data)
    assert.equal(0, code, out)
    engine:start()
    engine:stop()
    out, code = sh("verify", "--data", engine.data)
    assert.equal(0, code, out)
    assert.matches("all %d+ checks are good", out)
  end)

  it("names what is broken, and that alone", function()
    local copy = engine.dir .. "/broken.db"
    local seen, all = {}, {}
    local file = engine.dir .. "/good.db"
    local out, code = sh("backup", file, "--data", engine.data)
    assert.equal(0, code, out)
    local _, report = bad_ones(file)
    for _, check in ipairs(report.checks) do all[#all + 1] = check.check end
    for _, case in ipairs(breaks) do
      local name, statement, example = case[1], case[2], case[3]
      assert(os.execute("cp " .. quote(file) .. " " .. quote(copy)))
      out, code = support.capture("sqlite3 -cmd '.dbconfig defensive off' " .. quote(copy) .. " " .. quote(
        "BEGIN; " .. statement .. "; COMMIT; SELECT total_changes()") .. " 2>&1")
      assert.equal(0, code, statement .. ": " .. out)
      if not statement:match "^[DCP]" or statement:match "^DELETE" then
        assert(tonumber(out:match "(%d+)%s*$") > 0, "nothing was broken by " .. statement)
      end
      local bad = bad_ones(copy)
      assert(bad[name], statement .. ": " .. name .. " is not bad")
      for other in pairs(bad) do
        assert(other == name or (case.also and case.also[other]), statement .. ": " .. other .. " is bad too")
      end
      assert.matches(example, table.concat(bad[name].examples, "\n"))
      assert(#bad[name].examples <= 5 and bad[name].bad > 0)
      seen[name] = true
    end
    local page = support.read_file "docs/store.md"
    for _, name in ipairs(all) do
      assert(seen[name], name .. " is never broken")
      assert(page:find("| `" .. name .. "` | ", 1, true), name .. " is not in docs/store.md")
    end
  end)

  it("runs nothing that a file from elsewhere brings along", function()
    local copy = engine.dir .. "/theirs.db"
    for table, columns in pairs { sh_events = "seq, id, received_ms", sh_migrations = "version, applied_ms" } do
      assert(os.execute("cp " .. quote(engine.dir .. "/good.db") .. " " .. quote(copy)))
      local out, code = support.capture("sqlite3 " .. quote(copy) .. " " .. quote(("DROP TABLE %s; CREATE VIEW " ..
        "%s(%s) AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT %s FROM c"):format(table,
        table, columns, columns:gsub("[%a_]+", "x"))) .. " 2>&1")
      assert.equal(0, code, out)
      for _, words in ipairs { "verify", "restore --data " .. quote(engine.dir .. "/nowhere") } do
        out, code = support.capture(("timeout -s KILL 30 %s %s %s 2>&1"):format(quote(BIN), words, quote(copy)))
        assert.equal(1, code, words .. ": " .. out)
      end
    end
  end)

  it("says for people what is bad, how much, and what to do", function()
    local copy = engine.dir .. "/people.db"
    assert(os.execute("cp " .. quote(engine.dir .. "/good.db") .. " " .. quote(copy)))
    support.capture("sqlite3 " .. quote(copy) .. " \"UPDATE sh_callbacks SET status = 'maybe'\"")
    local out, code = sh("verify", copy)
    assert.equal(1, code)
    assert.matches("\ncallbacks +BAD +%d+ +%d+ ", out)
    assert.matches("\ncallbacks: %d+ bad", out)
    assert.matches("  and %d+ more\n  what to do: ", out)
    assert.matches("1 of %d+ checks are bad\n$", out)
  end)

  it("finds a page that the disk has spoilt", function()
    local copy = engine.dir .. "/spoilt.db"
    local text = support.read_file(engine.dir .. "/good.db")
    local pages = #text // 4096
    support.write_file(copy, text:sub(1, (pages // 2) * 4096) .. ("\255"):rep(4096) ..
      text:sub((pages // 2 + 1) * 4096 + 1))
    local out, code = sh("verify", "--json", copy)
    assert.equal(1, code)
    assert.is_true(cjson.decode(out).damaged)
    for _, case in ipairs { { "", "it is empty" }, { ("x"):rep(5000), "is no store of switchhook" } } do
      support.write_file(copy, case[1])
      out, code = sh("verify", copy)
      assert.equal(1, code)
      assert.matches(case[2], out)
    end
    local dir = support.temp_dir() -- a store without its beginning, as its folder has it
    support.write_file(dir .. "/switchhook.db", ("x"):rep(5000))
    for _, words in ipairs { { "verify" }, { "backup", dir .. "/b.db" } } do
      words[#words + 1] = "--data=" .. dir
      out, code = sh(table.unpack(words))
      assert.equal(1, code)
      assert.matches("is no store of switchhook", out)
    end
    support.remove_dir(dir)
    assert.matches("no store there", (sh("verify", "--data", engine.dir)))
    assert.equal(2, select(2, sh("verify", copy, "--data", engine.data)))
  end)
end)
