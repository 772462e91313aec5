-- SPDX-License-Identifier: MIT
-- schema_spec.lua: stores that earlier releases made (tests/schema), under the engine of today: what
-- was there is there, what was under way goes on. And `switchhook schema`.

local lfs = require "lfs"
local support = require "tests.e2e.support"
local quote = support.quote

local fixtures = { "1-first", "1", "2", "3", "4" }
local newest = 4

-- The names are those of the rules that were there when the stores were made; what they do is not.
local rules = {
  ["a.lua"] = [[
local function went(name, on)
  rule(name) { on = on, run = function(e, info)
    records.put("went", info.type .. "-" .. e.call_id, { by = name })
  end }
end
went("Fails", "fail")
went("Dead", "dead")
went("Slow", "slow")
went("Held", "held")
went("Soon", "soon")
went("Keep the call", "call_*")
rule "Due" { on = "callback_due", run = function(e) records.put("due", e.id, { number = e.number }) end }
]],
}
local config = [[return {
  sources = { webphone = { path = "/hooks/webphone", type = { field = "event" },
                           key = { field = "call_id" }, auth = "none" } },
  http = { allow = { "127.0.0.1" } }, retain = 0, zone = "Europe/Amsterdam",
  secrets = { KEY = env "KEY" },
}]]

local function db_of(engine)
  return engine.data .. "/switchhook.db"
end

local function sql(engine, text)
  local out, code = support.capture("sqlite3 -cmd '.timeout 5000' " .. quote(db_of(engine)) .. " " ..
    quote(text) .. " 2>&1")
  assert(code == 0, out)
  return (out:gsub("%s+$", ""))
end

-- A folder with the store; what was to be tried again is due now, and calls go to target.
local function folder_with(fixture, target)
  local engine = support.engine {
    start = false, config = config, rules = rules, env = { KEY = "a-secret-text" } }
  assert(lfs.mkdir(engine.data))
  local text = support.read_file("tests/schema/schema-" .. fixture .. ".sql")
  if target then
    text = text:gsub("127%.0%.0%.1:9([^%d])", target .. "%1")
  end
  support.write_file(engine.dir .. "/store.sql", text)
  local out, code = support.capture(("sqlite3 %s <%s 2>&1"):format(
    quote(db_of(engine)), quote(engine.dir .. "/store.sql")))
  assert(code == 0, out)
  sql(engine, "UPDATE sh_runs SET next_ms = 1 WHERE outcome = 'retry';" ..
    "UPDATE sh_outbox SET next_ms = 1 WHERE state = 'queued' AND next_ms > 0")
  if fixture ~= "1-first" then
    sql(engine, "UPDATE sh_lanes SET until_ms = 1")
  end
  return engine
end

local objects = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name GLOB 'sh_*' OR" ..
  " name GLOB 'sqlite_auto*' ORDER BY 1, 2"

local function schema(engine, ...)
  local _, out, code = engine:cli("schema", ...)
  return out, code
end

describe("a store of an earlier schema", function()
  local engine, sink

  after_each(function()
    if engine then engine:close() end
    if sink then sink:close() end
    engine, sink = nil, nil
  end)

  local function record(name)
    local rows = engine:cli("records", "went", "--id", name, "--json")
    return rows[1]
  end

  local function wait_record(name)
    return support.wait_for(function() return record(name) end, 15, "the record " .. name)
  end

  for _, fixture in ipairs(fixtures) do
    it("goes on under the engine of today: " .. fixture, function()
      sink = support.sink()
      local address = sink.url:match "//([%d.:]+)"
      engine = folder_with(fixture, address)
      local count = { "sh_events", "sh_records", "sh_callbacks", "sh_outbox", "sh_generations" }
      local before = {}
      for _, name in ipairs(count) do
        before[name] = tonumber(sql(engine, "SELECT count(*) FROM " .. name))
      end
      local first = sql(engine, "SELECT id FROM sh_events WHERE type = 'call_start' LIMIT 1")
      local body = sql(engine, "SELECT hex(body) FROM sh_events WHERE type = 'call_start' LIMIT 1")
      local days = sql(engine, "SELECT * FROM days ORDER BY id LIMIT 1")
      engine:start()

      local upgraded = engine:log():match "the store's schema was upgraded[^\n]*"
      assert.equal(fixture ~= "4", upgraded ~= nil)
      if upgraded then
        assert.truthy(upgraded:find("from=" .. fixture:sub(1, 1) .. " to=4", 1, true), upgraded)
      end
      -- what was unfinished, and what was to be tried again
      wait_record "slow-s1"
      wait_record "fail-f1"
      assert.is_nil(record "slow-s2") -- of the caller that was forgotten
      -- emails and calls that were queued
      support.wait_for(function()
        return sql(engine, "SELECT count(*) FROM sh_outbox WHERE state = 'queued'") == "0"
      end, 15, "an empty outbox")
      local mail = support.capture("cat " .. quote(engine.data) .. "/mail/*.eml")
      assert.truthy(mail:find("A call of An example", 1, true))
      -- callbacks that fell due in the meantime, and those to come
      support.wait_for(function()
        return sql(engine, "SELECT count(*) FROM sh_callbacks WHERE status = 'scheduled' AND" ..
          " number = '+31 30 555 0101'") == "0"
      end, 15, "no callback overdue")
      assert.equal("2", sql(engine, "SELECT count(*) FROM sh_callbacks WHERE status = 'scheduled'"))
      if fixture ~= "1-first" then
        local calls = sink:wait(1, "/call_start")
        assert.equal("a-secret-text", calls[1].headers.authorization)
        wait_record "soon-c2" -- a timer
        assert.equal("2", sql(engine, "SELECT count(*) FROM sh_timers WHERE name GLOB 'n:late*'"))
      end
      -- what was kept for a paused rule goes when that is resumed
      if tonumber(fixture) and tonumber(fixture) >= 2 then
        assert.is_nil(record "held-h1")
        engine:cli("rules", "resume", "Held")
        wait_record "held-h1"
      end
      -- dead letters are kept, and can be brought back
      assert.is_nil(record "dead-d1")
      engine:cli("redrive", "--all")
      wait_record "dead-d1"
      assert.is_nil(record "dead-d2") -- dropped
      -- nothing is missing
      for _, name in ipairs(count) do
        assert.is_true(tonumber(sql(engine, "SELECT count(*) FROM " .. name)) >= before[name], name)
      end
      assert.equal(days, sql(engine, "SELECT * FROM days ORDER BY id LIMIT 1"))
      assert.equal(body, sql(engine, "SELECT hex(body) FROM sh_events WHERE id = '" .. first .. "'"))
      -- a repeat of what came before the upgrade is one
      local again = engine:post("/hooks/webphone", support.payload "call_start")
      assert.equal(200, again.status)
      assert.same({ first, true }, { again.json.id, again.json.duplicate })
      local _, said, code = engine:cli("verify")
      assert.equal(0, code, said)

      engine:stop()
      local fresh = support.engine()
      assert.equal(sql(fresh, objects), sql(engine, objects))
      fresh:close()
    end)
  end

  it("is of the old schema or of the new one after a kill, up and down", function()
    engine = folder_with "1-first"
    sql(engine, [[BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
      INSERT INTO sh_events SELECT i, 'x' || i, 'webphone', 'call_stop', 'k' || i, 'd' || i, i, 0, NULL,
        randomblob(900) FROM n; COMMIT]])
    -- killed ever later, until it gets there
    local function move(to, others)
      local before, from = sql(engine, objects), sql(engine, "SELECT max(version) FROM sh_migrations")
      local killed, wait = 0, 0.02
      while sql(engine, "SELECT max(version) FROM sh_migrations") == from do
        assert.equal(before, sql(engine, objects))
        assert.equal("30010", sql(engine, "SELECT count(*) FROM sh_events"))
        local _, code = support.capture(("timeout -s KILL %.3f %s schema --to %d --no-backup --data %s 2>&1")
          :format(wait, quote(support.bin), to, quote(engine.data)))
        killed = killed + (code == 0 and 0 or 1)
        wait = wait * 2
      end
      assert.is_true(killed >= 2, "killed " .. killed .. " times")
      assert.equal(others, sql(engine, objects))
      assert.equal("30010", sql(engine, "SELECT count(*) FROM sh_events"))
      assert.equal("ok", sql(engine, "PRAGMA integrity_check"))
    end
    local fresh = support.engine()
    move(4, sql(fresh, objects))
    fresh:close()
    local other = folder_with "1"
    move(1, sql(other, objects))
    other:close()
  end)
end)

describe("switchhook schema", function()
  local engine

  before_each(function() engine = folder_with "4" end)
  after_each(function() engine:close() end)

  it("shows which schema a store has", function()
    local out, code = schema(engine)
    assert.equal(0, code)
    assert.truthy(out:find("schema 4; this switchhook works with 4", 1, true), out)
    assert.truthy(out:find("the history of rule sets, paused rules", 1, true))
    local rows = engine:cli("schema", "--json")
    assert.same({ 4, newest, 4 }, { rows[1].schema, rows[1].known, #rows[1].steps })
    sql(engine, "INSERT INTO sh_migrations VALUES(5, 1)")
    out, code = schema(engine)
    assert.equal(1, code)
    assert.truthy(out:find("It was made by a newer switchhook. Start that one, or have it take the store" ..
      " back: switchhook schema --to 4", 1, true), out)
    local ok, why = pcall(engine.start, engine)
    assert.is_false(ok)
    assert.truthy(why:find("its schema is 5, made by a newer switchhook; this one knows up to 4", 1, true), why)
    out, code = schema(engine, "--dry-run")
    assert.equal(2, code, out)
    engine.data = engine.dir .. "/nothing"
    out, code = schema(engine, "--to", "3")
    assert.equal(1, code)
    assert.truthy(out:find("no store there", 1, true), out)
    assert.is_nil(lfs.attributes(engine.data))
  end)

  it("says what is given up, makes a copy, and goes back", function()
    local before = sql(engine, objects)
    local out, code = schema(engine, "--to", "3", "--dry-run")
    assert.equal(0, code)
    assert.truthy(out:find("1  sessions: who is logged in to the console has to log in again", 1, true), out)
    assert.truthy(out:find("Nothing was changed: the store has schema 4.", 1, true), out)
    assert.equal(before, sql(engine, objects))
    local rows
    rows, out, code = engine:cli("schema", "--to", "2", "--json")
    assert.equal(0, code, out)
    assert.same({ 4, 2, true, 0 }, { rows[1].from, rows[1].to, rows[1].done, #rows[1].in_the_way })
    assert.is_true(#rows[1].gives_up >= 5)
    local copy = assert(rows[1].backup)
    assert.equal("rw-------", lfs.attributes(copy, "permissions"))
    assert.equal(before, (support.capture("sqlite3 " .. quote(copy) .. " " .. quote(objects)):gsub("%s+$", "")))
    local said, bad = support.capture(quote(support.bin) .. " verify " .. quote(copy) .. " 2>&1")
    assert.equal(0, bad, said)
    local other = folder_with "2"
    assert.equal(sql(other, objects), sql(engine, objects))
    other:close()
    out, code = schema(engine)
    assert.equal(0, code)
    assert.truthy(out:find("The next start of the engine upgrades it", 1, true), out)
    out, code = schema(engine, "--to", "2", "--no-backup")
    assert.equal(0, code)
    assert.truthy(out:find("The store has schema 2 already.", 1, true), out)
  end)

  it("shows on a terminal that it is at work, and no more once something is said", function()
    local out, code = support.on_slow_terminal("schema --to 3 --data " .. quote(engine.data))
    assert.equal(0, code, out)
    local seen = assert(out:match "\rat work for %d+ s", out)
    for line in out:gmatch "[^\n]+" do -- what of it is to be seen: after the last return
      assert.is_nil(line:gsub("\r$", ""):match "[^\r]*$":find("at work", 1, true), out)
    end
    assert.truthy(out:find("\r" .. (" "):rep(30) .. "\rA copy of the store as it was: ", 1, true), seen .. out)
  end)

  it("makes each copy under a name of its own", function()
    for _ = 1, 3 do
      local out, code = schema(engine, "--to", "3")
      assert.equal(0, code, out)
      out, code = schema(engine, "--to", "4")
      assert.equal(0, code, out)
    end
    local copies = support.capture("ls " .. quote(engine.data) .. " | grep -c '^switchhook-schema-4-.*[.]db$'")
    assert.equal(3, tonumber(copies))
  end)

  it("refuses what would be lost, and a folder that an engine uses", function()
    local before = sql(engine, objects)
    local out, code = schema(engine, "--to", "1")
    assert.equal(1, code)
    assert.truthy(out:find("1  runs that are kept for a paused rule, which an older one would never make",
      1, true), out)
    assert.truthy(out:find("To do: resume the rule with `switchhook rules resume RULE`", 1, true), out)
    assert.truthy(out:find("nothing was changed", 1, true), out)
    assert.equal(before, sql(engine, objects))
    engine:start()
    out, code = schema(engine, "--to", "3")
    assert.equal(1, code)
    assert.truthy(out:find("another engine is using it", 1, true), out)
    out, code = schema(engine)
    assert.equal(0, code, out)
    engine:stop()
    out, code = schema(engine, "--to", "9")
    assert.equal(1, code)
    assert.truthy(out:find("there is no schema 9: this switchhook knows 1 to 4", 1, true), out)
  end)

  it("is gone through by a command beside an older engine without a change", function()
    engine:close()
    engine = folder_with "3"
    local _, out, code = engine:cli("events")
    assert.equal(1, code)
    assert.truthy(out:find("its schema is 3, this switchhook works with 4: the next start of the engine" ..
      " upgrades it", 1, true), out)
    _, out, code = engine:cli("redrive", "--all")
    assert.equal(1, code)
    assert.truthy(out:find("its schema is 3", 1, true), out)
    assert.equal("3", sql(engine, "SELECT max(version) FROM sh_migrations"))
  end)
end)
