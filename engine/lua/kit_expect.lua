-- SPDX-License-Identifier: MIT
-- kit_expect.lua: the fields an assertion asks for, against the things that are there; and the text
-- that shows the nearest of them when none fits.
local native = require "switchhook.native"
local value = require "switchhook.value"

local expect = {}
local WIDTH = 160 -- of one value in a message
local MOST = 10   -- other things that are listed

-- Raise, at the line of the spec, for a field that the assertion does not know.
function expect.known_fields(what, fields, known)
  if type(fields) ~= "table" then
    error(("%s: expected a table of fields, got %s"):format(what, value.brief(fields, 60)), 0)
  end
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(value.sorted_keys(fields)) do
    if not known[name] then
      local near = type(name) == "string" and native.nearest(name, names)
      error(("%s: unknown field %s; %s"):format(what, value.show(name), near
        and "did you mean " .. near .. "?" or "known are " .. table.concat(names, ", ")), 0)
    end
  end
end

local function time_fits(expected, actual)
  if value.is_matcher(expected) or type(expected) == "function" then
    return value.fits(expected, actual)
  end
  local want, why = value.time(expected)
  if not want then error(why, 0) end
  return actual ~= nil and want == value.time(actual)
end

-- Does one field fit? how: "time", "some" (one of a list), or true.
local function field_fits(how, expected, actual)
  if how == "time" then return time_fits(expected, actual) end
  if how == "some" then return value.fits_some(expected, actual) end
  return value.fits(expected, actual)
end

-- How many of the fields fit, and which do not.
local function compare(fields, thing, known)
  local right, wrong = 0, {}
  for name, expected in pairs(fields) do
    if field_fits(known[name], expected, thing[name]) then
      right = right + 1
    else
      wrong[name] = true
    end
  end
  return right, wrong
end

-- The first thing that fits, or nil, and how to tell.
function expect.find(fields, things, known)
  for _, thing in ipairs(things) do
    if next((select(2, compare(fields, thing, known)))) == nil then return thing end
  end
end

function expect.fields(fields, known)
  local lines, width = {}, 0
  local names = value.sorted_keys(fields)
  for _, name in ipairs(names) do width = math.max(width, #name) end
  for _, name in ipairs(names) do
    local v = fields[name]
    local shown = value.brief(v, WIDTH)
    if known and known[name] == "time" and type(v) == "number" then
      shown = shown .. " (" .. os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(v)) .. ")"
    end
    lines[#lines + 1] = ("    %-" .. width .. "s  %s"):format(name, shown)
  end
  return table.concat(lines, "\n")
end

-- The thing with the fields that differ marked; its times as the expected ones are written.
local function marked(fields, thing, wrong, hidden, known)
  local all, width, lines = {}, 0, {}
  for name in pairs(thing) do all[name] = not hidden[name] or nil end
  for name in pairs(fields) do all[name] = true end
  for name in pairs(all) do width = math.max(width, #name) end
  for _, name in ipairs(value.sorted_keys(all)) do
    local there = thing[name]
    if known and known[name] == "time" then there = value.time_like(there, fields[name]) end
    local line = ("  %s %-" .. width .. "s  %s"):format(wrong[name] and "!" or " ", name, value.brief(there, WIDTH))
    if wrong[name] then line = line .. "   -- expected " .. value.brief(fields[name], WIDTH) end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

local function brief_thing(thing, hidden)
  local parts = {}
  for _, name in ipairs(value.sorted_keys(thing)) do
    if not hidden[name] then parts[#parts + 1] = name .. " = " .. value.brief(thing[name], 40) end
  end
  local from = thing.rule and (" -- by \"" .. thing.rule .. "\"") or ""
  return "    { " .. table.concat(parts, ", ") .. " }" .. from
end

local function others(things, but, hidden)
  local lines = {}
  for _, thing in ipairs(things) do
    if thing ~= but then
      if #lines == MOST then
        lines[#lines + 1] = ("    and %d more"):format(#things - MOST - (but and 1 or 0))
        break
      end
      lines[#lines + 1] = brief_thing(thing, hidden)
    end
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end
expect.others = others

local function a(noun)
  return (noun:find "^[aeiou]" and "an " or "a ") .. noun
end

-- Why nothing fits. noun: "callback", plural "callbacks"; hidden: fields not worth showing.
function expect.explain(noun, fields, things, known, hidden)
  local out = { ("expected %s with\n%s"):format(a(noun), expect.fields(fields, known)) }
  if next(fields) == nil then out = { "expected " .. a(noun) } end
  local best, best_right, best_wrong
  for _, thing in ipairs(things) do
    local right, wrong = compare(fields, thing, known)
    if not best or right > best_right then best, best_right, best_wrong = thing, right, wrong end
  end
  if not best then
    out[#out + 1] = "there is none"
    return table.concat(out, "\n")
  end
  out[#out + 1] = ("the nearest of %d, by \"%s\":\n%s"):format(#things, best.rule or "?",
    marked(fields, best, best_wrong, hidden, known))
  local rest = others(things, best, hidden)
  if rest then out[#out + 1] = "the others:\n" .. rest end
  return table.concat(out, "\n")
end

-- A document against fields: nil, or the text of what differs. whole: nothing else may be there.
function expect.document(title, fields, doc, whole)
  local wrong, lines = {}, {}
  for name, expected in pairs(fields) do
    if not value.fits(expected, doc[name], whole) then wrong[name] = true end
  end
  if whole then
    for name in pairs(doc) do
      if fields[name] == nil then wrong[name] = true end
    end
  end
  if next(wrong) == nil then return nil end
  lines[1] = title
  lines[2] = marked(fields, doc, wrong, {})
  return table.concat(lines, "\n")
end

return expect
