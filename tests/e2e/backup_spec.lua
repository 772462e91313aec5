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
end)
