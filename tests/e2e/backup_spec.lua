-- SPDX-License-Identifier: MIT
-- Backups of a running engine, and what is put back: nothing that was answered is missing, a kill
-- leaves the store and the old backup as they were.
local cjson = require "cjson"
local lfs = require "lfs"
local support = require "tests.e2e.support"

local quote = support.quote
local BIN = support.bin

local config = [[
return { mail = { from = "hook@example.org" },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
  http = { allow = { "127.0.0.1" } } }
]]
local rules = { ["all.lua"] = [[
rule "Note it" { on = "*", run = function(call)
  records.put("calls", call.call_id, { n = call.n })
end }
rule "Remind" { on = "call_stop", run = function(call)
  after("2h", "reminder", { id = call.call_id })
  callback { number = "0612345678", due = "1h", reason = call.call_id }
end }
rule "Tell" { on = "call_stop", run = function(call)
  http.post { url = "http://127.0.0.1:9/crm", json = { id = call.call_id } }
end }
]] }

-- Run switchhook; its output, both streams, and exit code.
local function sh(...)
  local words = { quote(BIN) }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  return support.capture(table.concat(words, " ") .. " 2>&1")
end

local function json_of(out)
  local text = assert(out:match "{.*}", out)
  return cjson.decode(text)
end

local function sql(path, text)
  local out, code = support.capture("sqlite3 " .. quote(path) .. " " .. quote(text) .. " 2>&1")
  assert.equal(0, code, out)
  return (out:gsub("%s+$", ""))
end

-- Times in seconds, as `date +%s.%N` has them.
local now = require "socket".gettime

local function files_of(dir, pattern)
  local names = {}
  for name in lfs.dir(dir) do
    if name:match(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function exists(path)
  return lfs.symlinkattributes(path, "mode") ~= nil
end

local function post(engine, n, event)
  local answer = engine:post("/hooks/webphone", cjson.encode {
    event = event or "call_stop", call_id = "call-" .. n, n = n })
  assert.equal(200, answer.status)
  return answer.json.id
end

describe("backup", function()
  local engine, dir

  before_each(function()
    dir = support.temp_dir()
    engine = support.engine { config = config, rules = rules }
  end)
  after_each(function()
    engine:close()
    support.remove_dir(dir)
  end)

  it("copies a running engine; the copy is restored elsewhere, and serves", function()
    for n = 1, 20 do post(engine, n) end
    engine:wait_events("done", 20)
    local file = dir .. "/a.db"
    local out, code = sh("backup", file, "--data", engine.data)
    assert.equal(0, code, out)
    assert.matches("20 events", out)
    assert.matches("schema %d", out)
    assert.matches("sha256 " .. support.capture("sha256sum " .. quote(file)):match "^%x+", out)
    assert.equal("rw-------", lfs.attributes(file, "permissions"))
    assert.same({}, { exists(file .. ".part") or nil, exists(file .. "-wal") or nil })

    for _, args in ipairs { { "verify", file }, { "verify", "--data", engine.data } } do
      out, code = sh(table.unpack(args))
      assert.equal(0, code, out)
      assert.matches("all %d+ checks are good", out)
    end

    local fresh = dir .. "/fresh/data"
    out, code = sh("restore", file, "--data", fresh)
    assert.equal(0, code, out)
    assert.matches("20  emails and HTTP calls", out)
    assert.matches("20  timers", out)
    assert.equal("rwx------", lfs.attributes(fresh, "permissions"))
    assert.equal("rw-------", lfs.attributes(fresh .. "/switchhook.db", "permissions"))

    engine:stop()
    assert(os.execute("rm -rf " .. quote(engine.data) .. " && mv " .. quote(fresh) .. " " ..
      quote(engine.data)))
    engine:start()
    assert.equal(20, #engine:cli("events", "--json"))
    local again = engine:post("/hooks/webphone",
      cjson.encode { event = "call_stop", call_id = "call-7", n = 7 })
    assert.is_true(again.json.duplicate)
    post(engine, 21)
    engine:wait_events("done", 21)
    assert.equal("store.restore", engine:cli("audit", "--json")[1].action)
  end)

  it("refuses what it must not write to, and leaves nothing behind", function()
    local file = dir .. "/a.db"
    support.write_file(file, "mine")
    local store = engine.data .. "/switchhook.db"
    for _, case in ipairs {
      { file, "is there already %(%-%-force" }, { dir .. "/no/a.db", "there is no folder" },
      { store, "where the store itself lies" }, { store .. "-wal", "where the store itself lies" },
      { engine.data .. "/lock", "where the store itself lies" }, { dir, "is a folder" },
      { "/proc/a.db", "cannot be made" } } do
      local out, code = sh("backup", case[1], "--data", engine.data)
      assert.equal(1, code)
      assert.matches(case[2], out)
      out, code = sh("backup", "--force", case[1], "--data", engine.data)
      assert.equal(case[1] == file and 0 or 1, code, out)
      assert.is_false(exists(case[1] .. ".part"))
    end
    assert.matches("no store there", (sh("backup", dir .. "/b.db", "--data", dir)))
    assert.is_false(exists(dir .. "/b.db"))
    assert.equal("SQLite format 3", support.read_file(file):sub(1, 15))
  end)

  it("says when the disk is full, and removes what it began", function()
    for n = 1, 50 do post(engine, n) end
    engine:wait_events("done", 50)
    local script = ("mount -t tmpfs -o size=%s tmpfs %s && ! %s backup %s/a.db --data %s && ls -A %s"):format(
      "%s", quote(dir), quote(BIN), quote(dir), quote(engine.data), quote(dir))
    for size, said in pairs { ["64k"] = "no room: the backup has" } do
      local out, code = support.capture("unshare -rm sh -c " .. quote(script:format(size)) .. " 2>&1")
      if out:match "unshare" or out:match "mount" then pending "needs unshare(1) and a tmpfs" end
      assert.equal(0, code, out)
      assert.matches(said, out)
      assert.matches("left\n?$", out) -- and no file listed behind it
    end
    -- a limit that shows only while it writes
    local out, code = support.capture(("trap '' XFSZ; ulimit -f 64; %s backup %s/b.db --data %s 2>&1"):format(
      quote(BIN), quote(dir), quote(engine.data)))
    assert.equal(1, code, out)
    assert.matches("the copy cannot be written: disk I/O error", out)
    assert.same({}, files_of(dir, "^b"))
  end)

  it("holds what was answered before it began, again and again while events pour in", function()
    local script = ("for i in 1 2 3 4 5 6 7 8; do date +%%s.%%N >%s/at.$i; %s backup %s/$i.db --data %s" ..
      " >%s/out.$i 2>&1; echo $? >>%s/out.$i; done; touch %s/over"):format(
      dir, quote(BIN), dir, quote(engine.data), dir, dir, dir)
    local conn, acked, n = engine:connect(), {}, 0
    local function pour()
      n = n + 1
      local answer = assert(conn:request("POST", "/hooks/webphone", cjson.encode {
        event = "call_stop", call_id = "call-" .. n % 50, n = n, number = n }))
      assert.equal(200, answer.status)
      acked[n] = { at = now(), id = answer.json.id }
    end
    for _ = 1, 300 do pour() end
    os.execute("(" .. script .. ") >/dev/null 2>&1 &")
    support.wait_for(function()
      for _ = 1, 20 do pour() end
      return exists(dir .. "/over")
    end, 60, "eight backups")
    conn:close()
    local before = 0
    for i = 1, 8 do
      local out = support.read_file(dir .. "/out." .. i)
      assert.matches("all %d+ checks are good.*\n0\n$", out)
      local began = tonumber(support.read_file(dir .. "/at." .. i))
      local ids, want = {}, 0
      for id in sql(dir .. "/" .. i .. ".db", "SELECT id FROM sh_events"):gmatch "%S+" do ids[id] = true end
      for _, one in ipairs(acked) do
        if one.at < began then
          want = want + 1
          assert(ids[one.id], ("backup %d has not event %s"):format(i, one.id))
        end
      end
      assert(want > before, "nothing came between two backups")
      before = want
    end
    assert.same({}, files_of(dir, "%.part"))
    local fresh = support.engine { config = config, rules = rules, start = false }
    finally(function() fresh:close() end)
    local out, code = sh("restore", dir .. "/8.db", "--data", fresh.data)
    assert.equal(0, code, out)
    fresh:start()
    post(fresh, "last")
    assert(#fresh:cli("events", "--json") > 300)
  end)

  it("is killed at any moment: the backup that is there, and the store, stay good", function()
    for n = 1, 100 do post(engine, n) end
    engine:wait_events("done", 100)
    local file = dir .. "/a.db"
    assert.equal(0, select(2, sh("backup", file, "--data", engine.data)))
    local killed, left = 0, 0
    for i = 1, 30 do
      local _, code = support.capture(("timeout -s KILL %.3f %s backup --force %s --data %s >/dev/null 2>&1"):format(
        0.002 + i % 15 * 0.004 + math.random() * 0.003, quote(BIN), file, quote(engine.data)))
      killed = killed + (code == 137 and 1 or 0)
      left = left + (exists(file .. ".part") and 1 or 0)
      if code == 137 then
        local out, bad = sh("verify", file)
        assert.equal(0, bad, out)
        assert.matches("100 events", out)
      end
    end
    assert(killed > 0, "none was killed")
    local out, code = sh("backup", "--force", file, "--data", engine.data)
    assert.equal(0, code, out)
    assert.same({ "a.db" }, files_of(dir, "^a"))
    assert.equal(0, select(2, sh("verify", "--data", engine.data)))
    post(engine, 101)
    -- one that is under way holds its name
    support.write_file(file .. ".part", "")
    out, code = support.capture(("flock -x %s.part %s backup --force %s --data %s 2>&1"):format(
      file, quote(BIN), file, quote(engine.data)))
    assert.equal(1, code)
    assert.matches("another is making the same file", out)
    -- a link that somebody laid there is not followed
    os.remove(file .. ".part")
    support.write_file(dir .. "/theirs", "precious")
    assert(lfs.link(dir .. "/theirs", file .. ".part", true))
    assert.equal(1, select(2, sh("backup", "--force", file, "--data", engine.data)))
    assert.equal("precious", support.read_file(dir .. "/theirs"))
  end)

  it("ends in order at a signal", function()
    for n = 1, 100 do post(engine, n) end
    local file = dir .. "/a.db"
    for i = 1, 20 do
      support.capture(("timeout -s TERM %.3f %s backup %s --data %s"):format(0.004 + i * 0.002, quote(BIN),
        file, quote(engine.data)) .. " >/dev/null 2>&1")
      assert.same(exists(file) and { "a.db" } or {}, files_of(dir, "^a"))
      os.remove(file)
    end
  end)
end)

describe("restore", function()
  local engine, dir, file

  before_each(function()
    dir = support.temp_dir()
    engine = support.engine { config = config, rules = rules }
    file = dir .. "/a.db"
    for n = 1, 5 do post(engine, n) end
    engine:wait_events("done", 5)
    assert.equal(0, select(2, sh("backup", file, "--data", engine.data)))
  end)
  after_each(function()
    engine:close()
    support.remove_dir(dir)
  end)

  it("refuses beside an engine, without --replace, and what is no backup; dry-run changes nothing", function()
    local out, code = sh("restore", "--replace", file, "--data", engine.data)
    assert.equal(1, code)
    assert.matches("an engine is using it: stop it first", out)
    out, code = sh("restore", "--replace", "--dry-run", file, "--data", engine.data)
    assert.equal(0, code, out)
    assert.matches("Nothing was changed", out)
    out, code = sh("restore", "--dry-run", file, "--data", engine.data)
    assert.equal(0, code, out)
    assert.matches("There is a store: %-%-replace is needed", out)
    engine:stop()
    out, code = sh("restore", file, "--data", engine.data)
    assert.equal(1, code)
    assert.matches("there is a store already", out)
    support.write_file(dir .. "/text", ("no database at all, but as long as one "):rep(100))
    support.write_file(dir .. "/empty", "")
    os.execute("cp " .. file .. " " .. dir .. "/logged && echo x >" .. dir .. "/logged-wal")
    os.execute("cp " .. file .. " " .. dir .. "/newer")
    sql(dir .. "/newer", "INSERT INTO sh_migrations VALUES(99, 0)")
    os.execute("cp " .. file .. " " .. dir .. "/faulty")
    sql(dir .. "/faulty", "UPDATE sh_callbacks SET status = 'maybe'")
    local before = sql(engine.data .. "/switchhook.db", "SELECT group_concat(id) FROM sh_events")
    for name, said in pairs { text = "is no store of switchhook", empty = "it is empty", logged = "a log lies beside",
      newer = "its schema is 99, made by a newer switchhook", missing = "No such file",
      faulty = "nothing was changed %(%-%-anyway", [".."] = "it is no file" } do
      out, code = sh("restore", "--replace", dir .. "/" .. name, "--data", engine.data)
      assert.equal(1, code, out)
      assert.matches(said, out)
      assert.is_nil(out:find("PRAGMA", 1, true), out) -- how it looked at it is nobody's business
    end
    out, code = sh("restore", "--replace", engine.data .. "/switchhook.db", "--data", engine.data)
    assert.equal(1, code)
    assert.matches("is the store itself", out)
    -- what only root may read is copied nowhere: it is looked at before anything is made
    out, code = sh("restore", dir .. "/text", "--data", dir .. "/nowhere")
    assert.equal(1, code, out)
    assert.is_false(exists(dir .. "/nowhere"))
    -- names out of a backup do not reach the terminal as they are
    sql(dir .. "/faulty", "INSERT INTO sh_tokens(name, role, hash, created_ms, created_by) VALUES("
      .. "'a' || char(27) || '[2J', 'viewer', zeroblob(32), 1, 'x')")
    assert.same({ "lock", "mail", "switchhook.db" }, files_of(engine.data, "^%a[^-]*$"))
    assert.equal(before, sql(engine.data .. "/switchhook.db", "SELECT group_concat(id) FROM sh_events"))
    out, code = sh("restore", "--replace", "--anyway", dir .. "/faulty", "--data", engine.data)
    assert.equal(0, code, out)
    assert.matches("restored anyway", out)
    out, code = sh("restore", dir .. "/faulty", "--anyway", "--data", dir .. "/other")
    assert.equal(0, code, out)
    assert.matches("a\\x1b[2J", out, 1, true)
    assert.is_nil(out:find("\27", 1, true))
  end)

  it("keeps the old store aside, and sends again what was queued", function()
    post(engine, 6)
    engine:wait_events("done", 6)
    engine:kill9() -- with a log that is not folded in
    local out, code = sh("restore", "--replace", "--json", file, "--data", engine.data)
    assert.equal(0, code, out)
    local report = json_of(out)
    assert.is_true(report.restored)
    assert.equal(5, report.events)
    assert.equal(5, report.next_start.deliveries)
    assert.equal(5, report.next_start.timers)
    assert.equal(5, report.next_start.callbacks)
    out, code = sh("verify", report.kept_as)
    assert.equal(0, code, out)
    assert.matches(" 6 events", out)
    local keys = sql(report.kept_as, "SELECT group_concat(key) FROM (SELECT key FROM sh_outbox ORDER BY seq LIMIT 5)")
    engine:start()
    assert.equal(5, #engine:cli("events", "--json"))
    assert.equal(keys, sql(engine.data .. "/switchhook.db",
      "SELECT group_concat(key) FROM (SELECT key FROM sh_outbox ORDER BY seq)"))
  end)

  it("replaces a store that is past mending, and keeps it with its log", function()
    engine:kill9()
    local store = engine.data .. "/switchhook.db"
    assert(lfs.attributes(store .. "-wal", "size") > 0)
    support.write_file(store, ("x"):rep(8192))
    support.write_file(store .. "-wal", ("y"):rep(5000))
    local out, code = sh("restore", "--replace", "--json", file, "--data", engine.data)
    assert.equal(0, code, out)
    local report = json_of(out)
    assert.is_false(report.revoked_known)
    assert.equal(("x"):rep(8192), support.read_file(report.kept_as))
    assert.equal(("y"):rep(5000), support.read_file(report.kept_as .. "-wal"))
    assert.equal(0, select(2, sh("verify", "--data", engine.data)))
    engine:start()
    assert.equal(5, #engine:cli("events", "--json"))
  end)

  it("leaves neither sessions nor revoked tokens valid, where it can know", function()
    local function token(...)
      local _, out, code = engine:cli("token", ...)
      assert.equal(0, code, out)
    end
    token("new", "leaked", "--role", "admin")
    token("new", "stays", "--role", "viewer")
    engine:cli("callbacks", "feed", "ann@example.org")
    engine:stop()
    sql(engine.data .. "/switchhook.db", "INSERT INTO sh_sessions SELECT 1, randomblob(32), hash, 0," ..
      " 99999999999999 FROM sh_tokens WHERE name = 'leaked'")
    assert.equal(0, select(2, sh("backup", "--force", file, "--data", engine.data)))
    token("revoke", "leaked")
    engine:cli("callbacks", "feed", "ann@example.org", "--new")
    token("new", "later", "--role", "viewer")
    local function restored(...)
      local out, code = sh("restore", "--json", file, ...)
      assert.equal(0, code, out)
      local report = json_of(out)
      table.sort(report.tokens)
      return report
    end
    local there = restored("--replace", "--data", engine.data)
    assert.same({ sessions = 1, tokens = 1, feeds = 1 }, there.dropped)
    assert.same({ "stays" }, there.tokens)
    assert.equal("0|0|1", sql(engine.data .. "/switchhook.db", "SELECT (SELECT count(*) FROM sh_sessions)," ..
      " (SELECT count(*) FROM sh_feeds), (SELECT count(*) FROM sh_tokens)"))
    assert.same({ "leaked", "stays" }, restored("--data", dir .. "/new1").tokens) -- nothing tells: they are named
    assert.matches("Tokens that open the API again: leaked stays\n",
      (sh("restore", "--dry-run", file, "--data", dir .. "/new2")) .. (sh("restore", file, "--data", dir .. "/new2")))
    assert.same({}, restored("--drop-tokens", "--data", dir .. "/new3").tokens)
  end)

  it("shows how far it is on a terminal, as does a backup", function()
    local bar = "\r%[#* *%] +%d+ %% copying[^\n]*\r +\r" -- and it is gone before the first line
    local out, code = support.on_slow_terminal("backup --force " .. quote(file) .. " --data " .. quote(engine.data))
    assert.equal(0, code, out)
    assert.matches(bar .. ".*MiB, schema", out)
    out, code = support.on_slow_terminal("restore " .. quote(file) .. " --data " .. quote(dir .. "/new"))
    assert.equal(0, code, out)
    assert.matches(bar .. ".*MiB, schema", out)
    out, code = support.capture(("script -qec '%s verify %s' /dev/null </dev/null"):format(BIN, file))
    assert.equal(0, code, out)
    assert.is_nil(out:find("%%", 1, true)) -- nor where it takes no time
  end)

  it("is killed at any moment: there is the old store or the new one", function()
    engine:stop()
    local other = support.engine { config = config, rules = rules, start = false }
    finally(function() other:close() end)
    local function killed(ms, into, from)
      local command = "timeout -s KILL %.4f %s restore --replace %s --data %s >/dev/null 2>&1"
      return select(2, support.capture(command:format(ms / 1000, quote(BIN), from, quote(into)))) == 137
    end
    local n = 0
    for i = 1, 30 do
      n = n + (killed(2 + i % 15 * 2 + math.random() * 2, engine.data, file) and 1 or 0)
      local out, code = sh("verify", "--data", engine.data)
      assert.equal(0, code, out)
      assert.matches(" 5 events", out)
      for _, name in ipairs(files_of(engine.data, "before%-restore.*Z[.%d]*$")) do
        if i % 10 == 0 then assert.equal(0, select(2, sh("verify", engine.data .. "/" .. name))) end
      end
    end
    assert(n > 0, "none was killed")
    engine:start()
    assert.equal(5, #engine:cli("events", "--json"))
    -- into a folder without a store: an engine does not begin an empty one
    local caught
    for i = 1, 200 do
      os.execute("rm -rf " .. quote(other.data))
      killed(1 + i % 20, other.data, file)
      caught = exists(other.data .. "/switchhook.db.restore") and not exists(other.data .. "/switchhook.db")
      if caught then break end
    end
    assert(caught, "never killed in the middle")
    local ok, why = pcall(other.start, other)
    assert.is_false(ok)
    assert.matches("a restore was broken off here: run it again", why)
    local out, code = sh("restore", file, "--data", other.data)
    assert.equal(0, code, out)
    assert.same({}, files_of(other.data, "restore"))
    other:start()
  end)

  it("upgrades a backup of any schema on the way", function()
    engine:stop()
    for _, name in ipairs(files_of("tests/schema", "%.sql$")) do
      local old = dir .. "/" .. name .. ".db"
      assert(os.execute(("sqlite3 %s <tests/schema/%s"):format(old, name)))
      local out, code = sh("verify", old)
      assert.equal(0, code, out)
      out, code = sh("restore", "--replace", old, "--data", engine.data)
      assert.equal(0, code, name .. ": " .. out)
      out, code = sh("verify", "--data", engine.data)
      assert.equal(0, code, name .. ": " .. out)
    end
    engine:start()
  end)

  it("and backup, run by root, leave the service's folder to the service", function()
    if support.capture "id -u":match "%d+" ~= "0" then pending "needs root" end
    engine:kill9()
    os.execute("chmod 755 " .. engine.dir .. " " .. dir .. "; chown -R nobody " .. engine.data)
    local function not_theirs(where)
      return (support.capture("find " .. where .. " ! -user nobody"):gsub("%s+$", ""))
    end
    local function by_nobody(...)
      local words = {}
      for _, word in ipairs { "setpriv", "--reuid=nobody", "--clear-groups", BIN, ... } do
        words[#words + 1] = quote(word)
      end
      return support.capture(table.concat(words, " ") .. " 2>&1")
    end
    for _ = 1, 2 do -- with what the kill left, and with what the first one left
      assert.equal(0, select(2, sh("backup", "--force", file, "--data", engine.data)))
      assert.equal(0, select(2, sh("verify", "--data", engine.data)))
      assert.equal("", not_theirs(engine.data))
    end
    assert.equal("0", support.capture("stat -c %u " .. file):match "%d+")
    local out, code = sh("restore", "--replace", file, "--data", engine.data)
    assert.equal(0, code, out)
    assert.equal("", not_theirs(engine.data))
    local said, exit = by_nobody("verify", "--data", engine.data)
    if said:match "Permission denied" and said:match "setpriv" then pending "nobody cannot run the binary" end
    assert.equal(0, exit, said)
    -- a link that the service's user laid is not followed by root
    os.remove(engine.data .. "/lock")
    assert(lfs.link(dir .. "/made-by-root", engine.data .. "/lock", true))
    out, code = sh("restore", "--replace", file, "--data", engine.data)
    assert.equal(1, code, out)
    assert.is_false(exists(dir .. "/made-by-root"))
  end)
end)
