-- SPDX-License-Identifier: MIT
-- examples_spec.lua: every example does what its expected.json says, through the real binary.
--
-- expected.json of an example:
--   now        where the clock stands
--   advance    how much time passes after the events; left out: none
--   source     of every event; of the last one, where requests in .http files have sources of their own
--   events     { [file] = { [rule] = its effects, or why it did not run } | "repeat of FILE" }
--   logs       { [file] = lines }; left out: none
--   records    { [collection] = { [id] = document } }
--   callbacks  rows, with the file of their event in place of the ids
--   outbox     the same
--   timers     the same; left out: none
-- A file replies.json beside it says what http.get finds.
local cjson = require "cjson"
local lfs = require "lfs"

local root = lfs.currentdir()
local bin = os.getenv "SWITCHHOOK_BIN" or "build/switchhook"
if bin:sub(1, 1) ~= "/" then
  bin = root .. "/" .. bin
end

-- These are no stories: a demonstration, payloads that others use, and files for other programs.
local elsewhere = { demo = true, webphone = true, ["reverse-proxy"] = true, grafana = true,
  prometheus = true, backup = true }

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function exists(path)
  return lfs.attributes(path) ~= nil
end

-- Output and exit code of a shell command in an example's folder.
local function run_in(folder, command)
  local p = assert(io.popen(("cd %s && { %s\n} 2>&1"):format(quote(folder), command)))
  local out = p:read "*a"
  local _, _, code = p:close()
  return out, code
end

-- JSON in which integers of 16 digits and more are texts: this decoder would round them.
local function decode(text)
  return cjson.decode((text:gsub("([:%[,]%s*)(%-?%d+)%f[%s,%]}]", function(before, digits)
    return #digits >= 16 and ('%s"integer %s"'):format(before, digits) or nil
  end)))
end

local function lines(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do
    rows[#rows + 1] = decode(line)
  end
  return rows
end

local function names_in(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name:sub(1, 1) ~= "." then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function examples()
  local found = {}
  for _, name in ipairs(names_in "examples") do
    local kind = lfs.symlinkattributes("examples/" .. name, "mode")
    if kind == "directory" and not elsewhere[name] then
      found[#found + 1] = name
    end
  end
  return found
end

-- What `try --json` printed, in the form of expected.json.
local function digest(rows, asked)
  local got = { now = asked.now, advance = asked.advance, events = {}, logs = {}, records = {} }
  local file_of = {}
  for i = 1, #rows - 1 do
    local event, seen = rows[i].event, {}
    assert.is_table(event, "refused: " .. cjson.encode(rows[i]))
    local file = event.file and event.file:match "[^/]+$" or "emitted " .. event.type
    if event.file then got.source = event.source end
    if rows[i].duplicate then
      seen = "repeat of " .. file_of[event.id]
    end
    file_of[event.id] = file_of[event.id] or file
    for _, run in ipairs(rows[i].runs or {}) do
      seen[run.rule] = run.outcome == "done" and run.effects or run.error or run.outcome
      for _, log in ipairs(run.logs or {}) do
        got.logs[file] = got.logs[file] or {}
        table.insert(got.logs[file], log.level .. ": " .. log.text)
      end
    end
    got.events[file] = seen
  end
  local stored, ids = rows[#rows], {}
  for collection, records in pairs(stored.records) do
    got.records[collection] = {}
    for _, record in ipairs(records) do
      got.records[collection][record.id] = record.doc
    end
  end
  for _, list in ipairs { "callbacks", "outbox" } do
    got[list] = stored[list]
    for _, row in ipairs(stored[list]) do
      assert.is_truthy(row.id ~= "" and not ids[row.id], "no id of its own: " .. cjson.encode(row))
      ids[row.id] = true
      row.event = file_of[row.event_id]
      row.id, row.event_id, row.key = nil, nil, nil
      row.payload, row.next_at = nil, nil
      if row.note == cjson.null then row.note = nil end
    end
  end
  for _, row in ipairs(stored.timers) do
    row.event, row.event_id = file_of[row.event_id], nil
  end
  if #stored.timers > 0 then got.timers = stored.timers end
  return got
end

-- The dry run that expected.json is about.
local function try_command(folder, asked)
  local words = { quote(bin), "try rules events/* --json --now", quote(asked.now) }
  if asked.advance then
    words[#words + 1] = "--advance " .. quote(asked.advance)
  end
  if exists(folder .. "/replies.json") then
    words[#words + 1] = "--replies replies.json"
  end
  return table.concat(words, " ")
end

describe("the examples", function()
  it("are there", function()
    assert.is_true(#examples() >= 3)
  end)

  for _, name in ipairs(examples()) do
    local folder = "examples/" .. name
    describe(name, function()
      it("has what an example has", function()
        for _, part in ipairs { "README.md", "rules", "events", "expected.json" } do
          assert.is_true(exists(folder .. "/" .. part), folder .. "/" .. part .. " is missing")
        end
      end)

      it("loads without errors and warnings", function()
        local out, code = run_in(folder, quote(bin) .. " check --json")
        assert.equal(0, code, out)
        local said = cjson.decode(out)
        assert.is_true(said.ok)
        assert.same({}, said.warnings)
        assert.is_true(#said.rules > 0)
      end)

      it("does what it says", function()
        local expected = decode(read_file(folder .. "/expected.json"))
        local out, code = run_in(folder, try_command(folder, expected))
        assert.equal(0, code, out)
        expected.logs = expected.logs or {}
        assert.same(expected, digest(lines(out), expected))
      end)

      if exists(folder .. "/specs") then
        it("passes its own specs", function()
          local out, code = run_in(root, quote(bin) .. " test " .. folder)
          assert.equal(0, code, out)
        end)
      end

      it("expects something of each of its events", function()
        local expected, files = decode(read_file(folder .. "/expected.json")).events, {}
        for _, file in ipairs(names_in(folder .. "/events")) do
          files[file] = true
          assert.is_truthy(expected[file], file .. " is not in expected.json")
        end
        for file in pairs(expected) do
          assert.is_true(files[file] or file:match "^emitted " ~= nil, file .. " is not there")
        end
      end)

      it("has commands in its README that work", function()
        local readme = read_file(folder .. "/README.md")
        local commands = {}
        for command in readme:gmatch "\n    ([^\n]+)" do
          commands[#commands + 1] = command:gsub("%.%./%.%./build/switchhook", quote(bin))
        end
        assert.equal(2, #commands)
        local out, code = run_in(root, table.concat(commands, " && "))
        assert.equal(0, code, out)
        assert.is_truthy(out:find("1-", 1, true), out)
      end)

      it("explains each event in its README", function()
        local readme = read_file(folder .. "/README.md")
        for _, file in ipairs(names_in(folder .. "/events")) do
          assert.is_truthy(readme:find("`" .. file .. "`", 1, true), file .. " is not in README.md")
        end
      end)
    end)
  end
end)
