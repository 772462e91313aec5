-- SPDX-License-Identifier: MIT
-- kit.lua: run the shipped rules on events in the simulator, through the real binary.
local cjson = require "cjson"

local kit = {}
local bin = os.getenv "SWITCHHOOK_BIN" or "build/switchhook"

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

-- A sample payload as a table, with members changed (cjson.null for null, kit.gone for absent).
kit.gone = {}
function kit.payload(name, changes)
  local doc = cjson.decode(read("examples/webphone/" .. name .. ".json"))
  for key, value in pairs(changes or {}) do
    if value == kit.gone then doc[key] = nil else doc[key] = value end
  end
  return doc
end

-- Between two events: this much time passes.
function kit.advance(duration)
  return { ["@advance"] = duration }
end

-- The rules as shipped, with scripts/settings.lua replaced. Returns a folder to remove.
local function with_settings(text)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p %s && cp -r rules scripts %s/"):format(dir, dir)))
  write(dir .. "/scripts/settings.lua", text)
  return dir
end

local function run(events, options)
  local path = os.tmpname() .. ".jsonl"
  local lines = {}
  for _, event in ipairs(events) do lines[#lines + 1] = cjson.encode(event) end
  write(path, table.concat(lines, "\n") .. "\n")
  local dir = options.settings and with_settings(options.settings)
  local pipe = assert(io.popen(("%s try %s %s --config tests/spec/switchhook.lua --now %s --json 2>&1")
    :format(bin, dir and dir .. "/rules" or "rules", path, options.now or "2026-06-12T12:00:00Z")))
  local out = {}
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  os.remove(path)
  if dir then os.execute("rm -rf " .. dir) end
  return out
end

-- Try events (tables) in order on one empty store. options: a time where the clock stands, or
-- { now =, settings = text of scripts/settings.lua }. Returns a list with, for each event and for
-- what fell due later, its runs by rule name, and what is stored in the end: records by collection
-- and id, callbacks, outbox, timers.
function kit.try(events, options)
  if type(options) ~= "table" then options = { now = options } end
  local lines = run(events, options)
  local answers, world = {}, nil
  for _, line in ipairs(lines) do
    assert(line:sub(1, 1) == "{", line)
    local row = cjson.decode(line)
    if row.records or row.callbacks then
      world = row
    else
      answers[#answers + 1] = row
      for _, r in ipairs(row.runs or {}) do row.runs[r.rule] = r end
    end
  end
  assert(world, table.concat(lines, "\n"))
  local records = {}
  for collection, list in pairs(world.records) do
    records[collection] = {}
    for _, r in ipairs(list) do records[collection][r.id] = r.doc end
  end
  world.records = records
  return answers, world
end

-- One event alone.
function kit.one(event, options)
  local answers, world = kit.try({ event }, options)
  return answers[1], world
end

-- What waits in the outbox of a world, of one kind: payloads.
function kit.sent(world, kind)
  local found = {}
  for _, item in ipairs(world.outbox) do
    if item.kind == kind then found[#found + 1] = item.payload end
  end
  return found
end

return kit
