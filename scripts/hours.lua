-- Opening hours: is someone there, from when, until when.
--
--   local hours = require "hours"             -- the hours of scripts/opening_hours.lua
--   hours.open(t)                             true while open
--   hours.next_open(t)                        t itself while open, else when it opens
--   hours.next_close(t)                       when it closes next; nil: never
--   hours.add(t, "2 business hours")          t and two hours in which it is open
--   hours.add(t, "3 business days")           the same time of day, three days with hours later
--   hours.add(t, "90m")                       t and ninety minutes, open or not; seconds likewise
--   hours.is_holiday(t)                       is its day in the list of holidays
--   local support = hours.new { zone = "Europe/Amsterdam", mon = "08:00-20:00", .. }
--
-- Times are seconds, as now() gives them. The clock on the wall decides: a time that the clock
-- skips does not come, one that it shows twice is open both times. docs/time.md tells the rest.
local DAYS = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" }
local FULL = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" }
local DAY = 86400
local FAR = 10 * 366 -- days that are looked through for an opening

-- --- reading a calendar: each returns its result, or nil and what is wrong ------------------------

local function show(value)
  if type(value) == "string" then return '"' .. value:sub(1, 60) .. '"' end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return value == nil and "nil" or "a " .. type(value)
end

-- "9:30" to seconds of the day.
local function clock(text)
  local h, m = text:match("^(%d%d?):(%d%d)$")
  h, m = tonumber(h), tonumber(m)
  if not h or m > 59 or h > 24 or (h == 24 and m > 0) then return nil end
  return h * 3600 + m * 60
end

-- "09:00-17:30" into the list of { from, to }; `to` is past 24 h when the day goes on after midnight.
local function add_range(list, text, field)
  local a, b = text:match("^%s*([%d:]+)%s*%-%s*([%d:]+)%s*$")
  local from, to = a and clock(a), b and clock(b)
  if not from or not to or from == DAY then
    return nil, field .. ": " .. show(text) .. ' is no opening time: expected "09:00-17:30"'
  end
  if from == to then
    return nil, field .. ": " .. show(text) .. ' begins when it ends (round the clock is "00:00-24:00")'
  end
  list[#list + 1] = { from, to < from and to + DAY or to }
  return list
end

-- A day's value to a list of { from, to }, empty when it is closed.
local function ranges(value, field)
  local list = {}
  if value == nil or value == false or value == "closed" then return list end
  if type(value) == "string" then
    for text in value:gmatch("[^,]+") do
      local ok, why = add_range(list, text, field)
      if not ok then return nil, why end
    end
    if #list > 0 then return list end
  elseif type(value) == "table" then
    for key, text in pairs(value) do
      local place = field .. "[" .. tostring(key) .. "]"
      if math.type(key) ~= "integer" or type(text) ~= "string" then
        return nil, place .. ": " .. show(text) .. ' is no opening time: expected "09:00-17:30"'
      end
      local ok, why = add_range(list, text, place)
      if not ok then return nil, why end
    end
    return list
  end
  return nil, field .. ": " .. show(value)
    .. ' are no opening hours: expected "09:00-17:30", a list of such, or "closed"'
end

-- "2026-12-25" to the number of the day since 1970, "12-25" to month * 100 + day and true.
local function date(text)
  if type(text) ~= "string" then return nil end
  if text:find("^%d%d%-%d%d$") then
    if not time.parse("2000-" .. text .. "T00:00", "UTC") then return nil end
    return tonumber(text:sub(1, 2)) * 100 + tonumber(text:sub(4, 5)), true
  end
  local t = text:find("^%d%d%d%d%-%d%d%-%d%d$") and time.parse(text .. "T00:00", "UTC")
  return t and t // DAY, false
end

-- holidays = { "2026-12-26", "12-25", ["2026-12-31"] = "09:00-13:00" } to lists by date.
local function read_holidays(value)
  local dated, yearly, any_yearly = {}, {}, false
  if value == nil then value = {} end
  if type(value) ~= "table" then
    return nil, "holidays: " .. show(value) .. ' is no list of dates such as { "2026-12-26", "12-25" }'
  end
  for key, item in pairs(value) do
    local listed = math.type(key) == "integer"
    local field = "holidays[" .. (listed and tostring(key) or show(key)) .. "]"
    local text = listed and item or key
    local day, each_year = date(text)
    if not day then
      return nil, field .. ": " .. show(text) .. ' is no date: expected "2026-12-25", or "12-25" for each year'
    end
    local list, why = ranges(not listed and item or nil, field)
    if not list then return nil, why end
    if each_year then
      yearly[day], any_yearly = list, true
    else
      dated[day] = list
    end
  end
  return dated, yearly, any_yearly
end

-- The parts of two days' hours that lie in the second one: a flat list from, to, from, to .. in
-- order, with what touches or overlaps made one.
local function merge(before, own)
  local parts, flat = {}, {}
  for i = 1, #before do
    if before[i][2] > DAY then parts[#parts + 1] = { 0, before[i][2] - DAY } end
  end
  for i = 1, #own do parts[#parts + 1] = { own[i][1], math.min(own[i][2], DAY) } end
  table.sort(parts, function(a, b) return a[1] < b[1] end)
  for i = 1, #parts do
    local from, to = parts[i][1], parts[i][2]
    if #flat > 0 and from <= flat[#flat] then
      flat[#flat] = math.max(flat[#flat], to)
    else
      flat[#flat + 1], flat[#flat + 2] = from, to
    end
  end
  return flat
end

local function check_names(spec)
  local known = { zone = true, holidays = true }
  for i = 1, 7 do known[DAYS[i]] = true end
  for key in pairs(spec) do
    if not known[key] then
      local near
      for i = 1, 7 do
        if type(key) == "string" and key:lower():sub(1, 2) == FULL[i]:sub(1, 2) then near = DAYS[i] end
      end
      return nil, "unknown field " .. show(key)
        .. (near and ' (did you mean "' .. near .. '"?)'
          or ": expected mon, tue, wed, thu, fri, sat, sun, zone or holidays")
    end
  end
  return true
end

local function check_zone(zone)
  local ok, why = pcall(time.offset, 0, zone)
  if ok then return zone end
  return nil, "zone: " .. (tostring(why):match("there is no time zone.*") or show(zone)
    .. ' is no name of a time zone such as "Europe/Amsterdam"')
end

-- Everything about a calendar that does not change.
local function read(spec)
  if type(spec) ~= "table" then
    return nil, 'a table such as { mon = "09:00-17:30" } expected, got ' .. show(spec)
  end
  local ok, why = check_names(spec)
  if not ok then return nil, why end
  local zone, own, ever = spec.zone, {}, false
  if zone == nil then zone = time.zone() end
  zone, why = check_zone(zone)
  if not zone then return nil, why end
  for i = 1, 7 do
    own[i], why = ranges(spec[DAYS[i]], DAYS[i])
    if not own[i] then return nil, why end
    ever = ever or #own[i] > 0
  end
  local dated, yearly, any_yearly = read_holidays(spec.holidays)
  if not dated then return nil, yearly end
  local week, some, all = {}, ever, true
  for i = 1, 7 do
    week[i] = merge(own[(i - 2) % 7 + 1], own[i])
    all = all and week[i][1] == 0 and week[i][2] == DAY
  end
  local last = any_yearly and math.huge or -math.huge
  for day, list in pairs(dated) do
    ever, last = ever or #list > 0, math.max(last, day + 1)
  end
  for _, list in pairs(yearly) do ever = ever or #list > 0 end
  if not ever then return nil, "it is never open: no day has hours" end
  return { zone = zone, own = own, week = week, dated = dated, yearly = yearly,
    any_yearly = any_yearly, special = next(dated) ~= nil or any_yearly,
    same_after = (all or not some) and last or math.huge } -- from there on open, or closed, for ever
end

-- --- days: numbered from 1970-01-01, which was a Thursday -----------------------------------------

-- The hours of a holiday, nil on any other day.
local function special(cal, day)
  local list = cal.dated[day]
  if list or not cal.any_yearly then return list end
  local parts = time.parts(day * DAY, "UTC")
  return cal.yearly[parts.month * 100 + parts.day]
end

local function hours_of(cal, day)
  return cal.special and special(cal, day) or cal.own[(day + 3) % 7 + 1]
end

-- When it is open on that day, in seconds of the day: from, to, from, to ..
local function plan(cal, day)
  if cal.special and (special(cal, day) or special(cal, day - 1)) then
    return merge(hours_of(cal, day - 1), hours_of(cal, day))
  end
  return cal.week[(day + 3) % 7 + 1]
end

-- --- moments --------------------------------------------------------------------------------------

local function is_open(cal, t)
  local at = t + time.offset(t, cal.zone)
  local day = at // DAY
  local second = at - day * DAY
  local list = plan(cal, day)
  for i = 1, #list, 2 do
    if second < list[i + 1] then return second >= list[i] end
  end
  return false
end

-- The first moment from t on that is open, nil when there is none for years.
local function opening(cal, t)
  for _ = 1, FAR do
    local offset, change = time.offset(t, cal.zone)
    local day = (t + offset) // DAY
    local midnight = day * DAY - offset
    local second = t - midnight
    local list = plan(cal, day)
    local found = midnight + DAY
    local opens = false
    for i = 1, #list, 2 do
      if second < list[i + 1] then
        found, opens = midnight + math.max(second, list[i]), true
        break
      end
    end
    if change and found >= change then
      t = change -- by then the clock shows something else
    elseif opens then
      return found
    elseif day > cal.same_after then
      return nil
    else
      t = found
    end
  end
  return nil
end

-- The first moment after t, which is open, that is not; nil when there is none for years.
local function closing(cal, t)
  for _ = 1, FAR do
    local offset, change = time.offset(t, cal.zone)
    local day = (t + offset) // DAY
    local midnight = day * DAY - offset
    local list = plan(cal, day)
    local found = t
    for i = 1, #list, 2 do
      if t - midnight < list[i + 1] then
        found = midnight + list[i + 1]
        break
      end
    end
    if change and found > change then found = change end
    if day > cal.same_after then return nil end
    if not is_open(cal, found) then return found end
    t = found
  end
  return nil
end

local function add_open_time(cal, t, seconds)
  local from = opening(cal, t)
  while from do
    local to = closing(cal, from)
    if not to or from + seconds <= to then return from + seconds end
    seconds = seconds - (to - from)
    from = opening(cal, to)
  end
  return nil
end

local function add_open_days(cal, t, n)
  local from = opening(cal, t)
  if not from then return nil end
  local at = from + time.offset(from, cal.zone)
  local day = at // DAY
  local second = at - day * DAY
  for _ = 1, FAR do
    if n == 0 then break end
    day = day + 1
    if #hours_of(cal, day) > 0 then n = n - 1 end
  end
  if n > 0 then return nil end
  local parts = { year = 1970, month = 1, day = 1 + day, sec = second, zone = cal.zone }
  return opening(cal, (time.of(parts)))
end

local BUSINESS = {
  minute = 60, minutes = 60, min = 60, hour = 3600, hours = 3600, day = "day", days = "day",
}

-- "2 business hours" to 2, 3600; nil when it is none such.
local function business(text)
  local number, unit = text:match("^%s*(%d+%.?%d*)%s+business%s+(%a+)%s*$")
  if not number or not BUSINESS[unit] then return nil end
  return tonumber(number), BUSINESS[unit]
end

-- --- a calendar -----------------------------------------------------------------------------------

-- The moment that a caller of the caller gave, in whole seconds.
local function moment(t, name)
  if type(t) ~= "number" or t ~= t or t < -62135596800 or t > 253000000000 then
    error("hours." .. name .. ": 't' must be a time in seconds such as now(), got " .. show(t)
      .. (type(t) == "table" and " (call it with a dot)" or ""), 3)
  end
  return math.floor(t)
end

local function never(name)
  error("hours." .. name .. ": the calendar does not open again within ten years", 3)
end

local function amount_error(amount)
  error("hours.add: " .. show(amount) .. ' is no time to add: expected "2 business hours", "3 business'
    .. ' days", "90m", or seconds that are not negative', 3)
end

local function calendar(cal)
  local self = { zone = cal.zone }

  function self.open(t)
    return is_open(cal, moment(t, "open"))
  end

  function self.next_open(t)
    local whole = moment(t, "next_open")
    if is_open(cal, whole) then return t end
    return opening(cal, whole) or never("next_open")
  end

  function self.next_close(t)
    local from = opening(cal, moment(t, "next_close"))
    return (from or never("next_close")) and closing(cal, from)
  end

  function self.add(t, amount)
    moment(t, "add")
    if type(amount) == "number" and amount >= 0 and amount < math.huge then return t + amount end
    if type(amount) ~= "string" then amount_error(amount) end
    local n, unit = business(amount)
    if not n then
      local ok, seconds = pcall(duration, amount)
      if not ok then amount_error(amount) end
      return t + seconds
    end
    local result
    if unit ~= "day" then
      result = add_open_time(cal, t, math.tointeger(n * unit) or n * unit)
    elseif math.type(n) == "integer" then
      result = add_open_days(cal, math.floor(t), n)
    else
      amount_error(amount)
    end
    return result or never("add")
  end

  function self.is_holiday(t)
    local whole = moment(t, "is_holiday")
    return special(cal, (whole + time.offset(whole, cal.zone)) // DAY) ~= nil
  end

  return self
end

local function new(spec)
  local cal, why = read(spec)
  if not cal then error("hours.new: " .. why, 2) end
  return calendar(cal)
end

local team, wrong = read(require "opening_hours")
if not team then error("scripts/opening_hours.lua: " .. wrong, 0) end

local hours = calendar(team)
hours.new = new
return hours
