-- SPDX-License-Identifier: MIT
-- prelude.lua: records.find in Lua, for it asks more than once. Runs once per host, as
-- prelude(inner, globals, records); returns find. Its frames are left out of error positions.
local inner, globals, records = ...
local ask_find, touched, fail = inner.ask_find, inner.touched, inner.fail
local encode, null = globals.json.encode, globals.json.null
local type, pairs, next, tostring = globals.type, globals.pairs, globals.next, globals.tostring
local sort, concat = globals.table.sort, globals.table.concat
local find, sub, format = globals.string.find, globals.string.sub, globals.string.format
local gmatch, math_type = globals.string.gmatch, globals.math.type

local MAX_ROWS, DEFAULT_ROWS = 1000, 100

local compare = {
  eq = function(a, b) return a == b end,
  ne = function(a, b) return a ~= b end,
  lt = function(a, b) return a < b end,
  lte = function(a, b) return a <= b end,
  gt = function(a, b) return a > b end,
  gte = function(a, b) return a >= b end,
}

-- What came, for a message.
local function came(value)
  local kind = type(value)
  if value == null then return "json.null" end
  if kind == "number" then return format("%.14g", value) end
  if kind == "string" then return '"' .. sub(value, 1, 60) .. '"' end
  return kind == "nil" and "nil" or "a " .. kind
end

-- The member at a dotted path, through named fields only, as the store reads it.
local function at(doc, path)
  for name in gmatch(path, "[^.]+") do
    if type(doc) ~= "table" then return nil end
    doc = doc[name]
  end
  return doc
end

local function check_value(path, op, value)
  local kind = type(value)
  if value == null then
    if op == "eq" or op == "ne" then return end
  elseif kind == "number" and (value ~= value or value - value ~= 0) then
    fail(format("records.find: filter: '%s' is compared (%s) with a number that is not finite",
      sub(path, 1, 60), op))
  elseif kind == "string" or kind == "number" then
    return
  elseif kind == "boolean" and (op == "eq" or op == "ne") then
    return
  end
  fail(format("records.find: filter: '%s' is compared (%s) with %s, expected a text%s", sub(path, 1, 60),
    op, came(value), (op == "eq" or op == "ne") and ", a number, true, false or json.null"
    or " or a number"))
end

local function check_path(path)
  local text = tostring(path)
  if type(path) ~= "string" or find(text, '["\\%c]') or find("." .. text .. ".", "..", 1, true) then
    fail(format("records.find: '%s' is not a field path such as \"a.b\"", sub(text, 1, 60)))
  end
end

-- {path = value | {op = value, ...}} to a list of {path, op, value}.
local function conditions(filter)
  local list = {}
  for path, want in pairs(filter) do
    check_path(path)
    if type(want) ~= "table" then want = { eq = want } end
    for op, value in pairs(want) do
      if not compare[op] then
        fail(format("records.find: filter: '%s' has the comparison '%s', expected eq, ne, lt, lte, "
          .. "gt or gte", sub(path, 1, 60), sub(tostring(op), 1, 60)))
      end
      check_value(path, op, value)
      list[#list + 1] = { path, op, value }
    end
  end
  return list
end

local function matches(doc, list)
  for i = 1, #list do
    local path, op, want = list[i][1], list[i][2], list[i][3]
    local have = at(doc, path)
    local ok
    if want == null then
      ok = (have == nil) == (op == "eq")
    elseif type(have) ~= type(want) then
      ok = op == "ne"
    else
      ok = compare[op](have, want)
    end
    if not ok then return false end
  end
  return true
end

-- How the store orders values: absent, then numbers and booleans, then texts.
local function rank(value)
  local kind = type(value)
  if kind == "nil" then return 0, 0 end
  if kind == "boolean" then return 1, value and 1 or 0 end
  if kind == "number" then return 1, value end
  if kind == "table" then return 2, encode(value) end
  return 2, value
end

local function in_order(order)
  local down = sub(order, 1, 1) == "-"
  local path = down and sub(order, 2) or order
  if path == "id" then
    if down then return function(a, b) return a.id > b.id end end
    return function(a, b) return a.id < b.id end
  end
  check_path(path)
  return function(a, b)
    local ra, va = rank(at(a.doc, path))
    local rb, vb = rank(at(b.doc, path))
    if ra ~= rb then
      if down then return ra > rb end
      return ra < rb
    end
    if va ~= vb then
      if down then return va > vb end
      return va < vb
    end
    return a.id < b.id
  end
end

local function options(given)
  local limit, order = DEFAULT_ROWS, "id"
  if given == nil then return limit, order end
  if type(given) ~= "table" then
    fail("records.find: the options must be a table {limit=, order=}, got " .. came(given))
  end
  for name, value in pairs(given) do
    if name == "limit" then
      if math_type(value) ~= "integer" or value < 1 or value > MAX_ROWS then
        fail(format("records.find: 'limit' must be a whole number from 1 to %d, got %s", MAX_ROWS,
          came(value)))
      end
      limit = value
    elseif name == "order" then
      if type(value) ~= "string" or value == "" or value == "-" then
        fail("records.find: 'order' must be a field path, with '-' in front for descending, got "
          .. came(value))
      end
      order = value
    else
      fail(format("records.find: unknown field '%s' (expected limit or order)",
        sub(tostring(name), 1, 60)))
    end
  end
  return limit, order
end

-- Rows as committed, less those this run wrote to, plus what they are now where it matches.
local function lay_over(rows, collection, own, list)
  local mine, kept = {}, {}
  for i = 1, #own do mine[own[i]] = true end
  for i = 1, #rows do
    if not mine[rows[i].id] then kept[#kept + 1] = rows[i] end
  end
  for i = 1, #own do
    local doc = records.get(collection, own[i])
    if doc and matches(doc, list) then kept[#kept + 1] = { id = own[i], doc = doc } end
  end
  return kept
end

return function(collection, filter, opts)
  local own = touched(collection)
  if filter ~= nil and type(filter) ~= "table" then
    fail("records.find: the filter must be a table such as { status = \"open\" }, got " .. came(filter))
  end
  local plain = {}
  for path, want in pairs(filter or plain) do plain[path] = want end
  local list = conditions(plain)
  local limit, order = options(opts)
  local before = in_order(order)
  local ask = limit + #own
  local text = {}
  text[1] = '{"filter":'
  text[2] = next(plain) == nil and "{}" or encode(plain)
  text[3] = ',"order":' .. encode(order)
  text[4] = ',"limit":' .. (ask > MAX_ROWS and MAX_ROWS or ask) .. "}"
  local ids, docs = ask_find(collection, concat(text))
  if #own > 0 then
    local rows = {}
    for i = 1, #ids do rows[i] = { id = ids[i], doc = docs[i] } end
    rows = lay_over(rows, collection, own, list)
    sort(rows, before)
    ids, docs = {}, {}
    for i = 1, #rows < limit and #rows or limit do ids[i], docs[i] = rows[i].id, rows[i].doc end
  end
  return docs, ids
end
