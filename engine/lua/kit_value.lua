-- SPDX-License-Identifier: MIT
-- kit_value.lua: values in specs: what fits what, and how they are shown.
local native = require "switchhook.native"

local value = {}
local null = native.null
local matcher = {}
matcher.__index = matcher

-- A thing that stands for values: text is how it is shown, fits(actual) says yes or no.
function value.matcher(text, fits)
  return setmetatable({ text = text, fits = fits }, matcher)
end

function value.is_matcher(v)
  return getmetatable(v) == matcher
end

function value.is_list(v)
  return type(v) == "table" and (getmetatable(v) == native.list_mt or #v > 0)
end

-- --- times -----------------------------------------------------------------------------------

local known = {}

-- Milliseconds of a number of seconds, RFC 3339 text or a local time; nil and why.
function value.time(v)
  if type(v) == "number" then return math.floor(v * 1000 + 0.5) end
  if type(v) ~= "string" then return nil, "expected a time, got a " .. type(v) end
  if not known[v] then
    local ms, why = native.ask("time", { text = v })
    if not ms then return nil, why end
    known[v] = ms
  end
  return known[v]
end

function value.seconds(ms)
  return ms % 1000 == 0 and ms // 1000 or ms / 1000
end

-- A time as the other one is written: as a local time beside a local one, in seconds beside seconds.
function value.time_like(v, other)
  local ms = v ~= nil and value.time(v)
  if not ms then return v end
  if type(other) == "number" then return value.seconds(ms) end
  if type(other) ~= "string" or other:find "[Zz]$" or other:find "[+-]%d%d:%d%d$" then return v end
  return native.ask("local", { ms = ms })
end

-- The zone of local times has changed.
function value.forget_times()
  known = {}
end

-- --- showing ---------------------------------------------------------------------------------

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return escapes[c] or ("\\%d"):format(c:byte())
  end) .. '"'
end

-- Keys in an order that people expect: places, then names.
local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) == "number" and type(b) ~= "number"
  end)
  return keys
end
value.sorted_keys = sorted_keys

local function show_table(t, depth)
  local parts = {}
  if depth > 8 then return "{...}" end
  if value.is_list(t) then
    for _, v in ipairs(t) do parts[#parts + 1] = value.show(v, depth + 1) end
  else
    for _, key in ipairs(sorted_keys(t)) do
      local name = type(key) == "string" and key:match "^[%a_][%w_]*$" or "[" .. value.show(key) .. "]"
      parts[#parts + 1] = name .. " = " .. value.show(t[key], depth + 1)
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

-- One line of Lua that stands for the value.
function value.show(v, depth)
  if v == nil then return "nothing" end
  if v == null then return "hook.null" end
  if value.is_matcher(v) then return v.text end
  if type(v) == "string" then return quote(v) end
  if type(v) == "table" then return show_table(v, depth or 0) end
  if type(v) == "function" then return "what a function accepts" end
  return tostring(v)
end

-- The same, cut to a length.
function value.brief(v, length)
  local text = value.show(v)
  if #text <= length then return text end
  local cut = utf8.offset(text, 0, length) or length
  return text:sub(1, cut - 1) .. "..."
end

-- --- fitting ---------------------------------------------------------------------------------

local fits

-- whole: no member may be there that was not expected.
local function table_fits(expected, actual, whole)
  if value.is_list(expected) then
    if not value.is_list(actual) and next(actual) ~= nil then return false end
    if #expected ~= #actual then return false end
  end
  for key, v in pairs(expected) do
    if not fits(v, actual[key], whole) then return false end
  end
  if whole then
    for key in pairs(actual) do
      if expected[key] == nil then return false end
    end
  end
  return true
end

-- Does the actual value fit? expected: a value, a matcher or a function that says so. Of a table
-- the members given must fit (whole: and no others be there); a list must have the same places.
function fits(expected, actual, whole)
  if value.is_matcher(expected) then return expected.fits(actual) end
  if type(expected) == "function" then return not not expected(actual) end
  if type(expected) == "table" and type(actual) == "table" then
    return table_fits(expected, actual, whole)
  end
  if expected == null then return actual == nil or actual == null end
  return expected == actual
end
value.fits = fits

-- A text against a list, such as one address of an email's `to`: it is one of them.
function value.fits_some(expected, actual)
  if value.is_list(actual) and not value.is_list(expected) and not value.is_matcher(expected)
    and type(expected) ~= "function" then
    for _, v in ipairs(actual) do
      if fits(expected, v) then return true end
    end
    return false
  end
  return fits(expected, actual)
end

return value
