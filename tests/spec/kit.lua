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

-- A sample payload as a table, with members changed (cjson.null for null, kit.gone for absent).
kit.gone = {}
function kit.payload(name, changes)
  local doc = cjson.decode(read("examples/webphone/" .. name .. ".json"))
  for key, value in pairs(changes or {}) do
    if value == kit.gone then doc[key] = nil else doc[key] = value end
  end
  return doc
end

-- Try events (tables) in order on one empty store. Returns a list with, for each event, its runs by
-- rule name, and what is stored in the end: records by collection and id, callbacks, outbox.
function kit.try(events, now)
  local path = os.tmpname() .. ".jsonl"
  local f = assert(io.open(path, "w"))
  for _, event in ipairs(events) do f:write(cjson.encode(event), "\n") end
  f:close()
  local pipe = assert(io.popen(("%s try rules %s --now %s --json 2>&1"):format(bin, path,
    now or "2026-06-12T12:00:00Z")))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  os.remove(path)
  local answers, world = {}, nil
  for _, line in ipairs(lines) do
    assert(line:sub(1, 1) == "{", line)
    local row = cjson.decode(line)
    if row.records or row.callbacks then
      world = row
    else
      answers[#answers + 1] = row
      for _, run in ipairs(row.runs or {}) do row.runs[run.rule] = run end
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
function kit.one(event, now)
  local answers, world = kit.try({ event }, now)
  return answers[1], world
end

return kit
