-- SPDX-License-Identifier: MIT
-- hours_spec.lua: scripts/hours.lua in the real binary, against tests/spec/hours_oracle.py (Python's
-- zoneinfo) for every minute around the changes of clocks, and by hand for the rest.
local cjson = require "cjson"

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

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- A folder with hours.lua and its calendar, and these rules.
local function folder(rules, opening_hours)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p %s/rules %s/scripts && cp scripts/hours.lua %s/scripts/"):format(dir, dir, dir)))
  write(dir .. "/scripts/opening_hours.lua", opening_hours or read "scripts/opening_hours.lua")
  write(dir .. "/rules/a.lua", rules)
  write(dir .. "/switchhook.lua", [[return {
    zone = "Europe/Amsterdam",
    budgets = { cpu = "30s", wall = "60s", effect_bytes = "8 MiB", memory = "256 MiB" },
  }]])
  return dir
end

-- The rows that `try` prints for these events.
local function try(rules, events, options)
  options = options or {}
  local dir = folder(rules, options.opening_hours)
  local lines = {}
  for _, event in ipairs(events) do lines[#lines + 1] = cjson.encode(event) end
  write(dir .. "/events.jsonl", table.concat(lines, "\n") .. "\n")
  local text = capture(("%s try %s/rules %s/events.jsonl --config %s/switchhook.lua --now %s --json 2>&1")
    :format(bin, dir, dir, dir, options.now or "2026-06-12T12:00:00Z"))
  os.execute("rm -rf " .. dir)
  local rows = {}
  for line in text:gmatch "[^\n]+" do
    assert(line:sub(1, 1) == "{" and line:sub(1, 10) ~= '{"refused"', text)
    rows[#rows + 1] = cjson.decode(line)
  end
  return rows
end

-- The value of a Lua expression, with `hours` and `at` (a local time of Amsterdam to seconds) at hand;
-- what raises gives its message.
local function value(expression, options)
  local rows = try([[
    local hours = require "hours"
    local function at(text) return assert(time.parse(text)) end
    local function show(t) return time.format(t, "%F %T") end
    rule "value" { on = "*", run = function()
      local _, result = pcall(function()
        local result = ]] .. expression .. [[

        return result
      end)
      records.put("out", "x", { value = result })
    end }]], { { event = "x", call_id = 1 } }, options)
  for _, row in ipairs(rows) do
    if row.records then return row.records.out[1].doc.value end
    for _, run in ipairs(row.runs or {}) do assert(run.outcome == "done", run.error) end
    assert(not row.errors, row.errors and row.errors[1] and row.errors[1].msg)
  end
end

describe("hours against Python's zoneinfo", function()
  local rules = [[
    local hours = require "hours"
    rule "answers" { on = "case", run = function(case)
      local cal = hours.new(case.calendar)
      local open, next_open, next_close, hours_later, days_later = {}, {}, {}, {}, {}
      for i = 0, case.minutes - 1 do
        open[#open + 1] = cal.open(case.from + i * 60) and "1" or "0"
      end
      for i = 0, case.minutes - 1, case.step do
        local t, n = case.from + i * 60, #next_open + 1
        next_open[n], next_close[n] = cal.next_open(t), cal.next_close(t) or 0
        hours_later[n], days_later[n] = cal.add(t, "2 business hours"), cal.add(t, "3 business days")
      end
      records.put("answers", case.name, { open = table.concat(open), next_open = next_open,
        next_close = next_close, add_2_hours = hours_later, add_3_days = days_later })
    end }]]

  it("answers alike for every minute around both changes of five zones", function()
    local cases = cjson.decode(capture "/usr/bin/python3 -B tests/spec/hours_oracle.py")
    assert.is_true(#cases > 80)
    local compared = 0
    for first = 1, #cases, 12 do -- in batches, each a store of its own
      local events, by_name = {}, {}
      for i = first, math.min(first + 11, #cases) do
        local case = cases[i]
        case.calendar.zone = case.zone
        by_name[case.name] = case.expect
        events[#events + 1] = { event = "case", call_id = i, name = case.name, from = case.from,
          minutes = case.minutes, step = case.step, calendar = case.calendar }
      end
      local world
      for _, row in ipairs(try(rules, events)) do
        for _, run in ipairs(row.runs or {}) do assert.equal("done", run.outcome, run.error) end
        if row.records then world = row.records end
      end
      for _, record in ipairs(world.answers) do
        local expected = by_name[record.id]
        by_name[record.id] = nil
        assert.equal(expected.open, record.doc.open, record.id .. ": open")
        compared = compared + #expected.open
        for _, what in ipairs { "next_open", "next_close", "add_2_hours", "add_3_days" } do
          assert.equal(#expected[what], #record.doc[what])
          for i, t in ipairs(expected[what]) do
            if t ~= record.doc[what][i] then
              error(("%s: %s, question %d: expected %d, got %d"):format(record.id, what, i, t,
                record.doc[what][i]))
            end
            compared = compared + 1
          end
        end
      end
      assert.is_nil(next(by_name))
    end
    assert.is_true(compared > 500000)
  end)
end)

describe("hours", function()
  it("knows the team's calendar", function()
    assert.is_true(value [[hours.open(at "2026-06-12 14:00")]])
    assert.is_false(value [[hours.open(at "2026-06-12 17:30")]])
    assert.is_true(value [[hours.open(at "2026-06-12 17:29:59")]])
    assert.equal("2026-06-15 09:00:00", value [[show(hours.next_open(at "2026-06-12 17:30"))]])
    assert.equal("2026-06-12 17:30:00", value [[show(hours.next_close(at "2026-06-12 08:00"))]])
    assert.equal("2026-06-15 17:30:00", value [[show(hours.next_close(at "2026-06-12 17:30"))]])
    assert.is_false(value [[hours.is_holiday(at "2026-06-12 14:00")]])
  end)

  it("gives back the very time while open", function()
    assert.equal(1781272800.25, value "hours.next_open(1781272800.25)")
  end)

  it("adds open time, open days and plain time", function()
    assert.equal("2026-06-15 10:00:00", value [[show(hours.add(at "2026-06-12 16:30", "2 business hours"))]])
    assert.equal("2026-06-12 17:30:00", value [[show(hours.add(at "2026-06-12 15:30", "2 business hours"))]])
    assert.equal("2026-06-12 17:00:00", value [[show(hours.add(at "2026-06-12 16:30", "30 business minutes"))]])
    assert.equal("2026-06-12 18:00:00", value [[show(hours.add(at "2026-06-12 16:30", "90m"))]])
    assert.equal("2026-06-12 16:31:00", value [[show(hours.add(at "2026-06-12 16:30", 60))]])
    assert.equal("2026-06-17 16:30:00", value [[show(hours.add(at "2026-06-12 16:30", "3 business days"))]])
    assert.equal("2026-06-16 09:00:00", value [[show(hours.add(at "2026-06-13 12:00", "1 business day"))]])
    assert.equal("2026-06-16 09:00:00", value [[show(hours.add(at "2026-06-12 20:00", "1 business day"))]])
  end)

  it("goes by the holidays, each year's and one year's", function()
    local options = { opening_hours = [[return { mon = "09:00-17:00", tue = "09:00-17:00",
      wed = "09:00-17:00", thu = "09:00-17:00", fri = "09:00-17:00",
      holidays = { "12-25", "2026-06-12", ["2026-06-15"] = "10:00-12:00", ["2027-12-25"] = "10:00-11:00" } }]] }
    assert.is_false(value([[hours.open(at "2026-06-12 14:00")]], options))
    assert.is_true(value([[hours.is_holiday(at "2026-06-12 14:00")]], options))
    assert.equal("2026-06-15 10:00:00", value([[show(hours.next_open(at "2026-06-12 08:00"))]], options))
    assert.equal("2026-06-15 12:00:00", value([[show(hours.next_close(at "2026-06-12 08:00"))]], options))
    assert.is_false(value([[hours.open(at "2028-12-25 10:30")]], options))
    assert.is_true(value([[hours.open(at "2027-12-25 10:30")]], options))
    assert.is_true(value([[hours.open(at "2025-06-12 14:00")]], options))
    assert.equal("2026-06-15 12:00:00",
      value([[show(hours.add(at "2026-06-11 16:00", "3 business hours"))]], options))
    assert.equal("2026-06-16 09:00:01",
      value([[show(hours.add(at "2026-06-11 16:00:01", "3 business hours"))]], options))
  end)

  it("has calendars of their own", function()
    local cal = [[hours.new { zone = "America/New_York", sat = "22:00-02:00", sun = { "09:00-10:00" } }]]
    assert.is_true(value(cal .. [[.open(time.parse("2026-06-14 01:59", "America/New_York"))]]))
    assert.is_false(value(cal .. [[.open(time.parse("2026-06-14 02:00", "America/New_York"))]]))
    assert.equal("2026-06-14T02:00:00-04:00", value("time.text(" .. cal
      .. [[.next_close(at "2026-06-12 00:00"), "America/New_York")]]))
    assert.is_true(value [[hours.new { mon = "00:00-24:00", tue = "00:00-24:00", wed = "00:00-24:00",
      thu = "00:00-24:00", fri = "00:00-24:00", sat = "00:00-24:00", sun = "00:00-24:00" }
      .next_close(now()) == nil]])
    assert.equal("2026-12-25 00:00:00", value [[show(hours.new { mon = "00:00-24:00", tue = "00:00-24:00",
      wed = "00:00-24:00", thu = "00:00-24:00", fri = "00:00-24:00", sat = "00:00-24:00",
      sun = "00:00-24:00", holidays = { "2026-12-25" } }.next_close(now()))]])
  end)

  it("says which field of a calendar is wrong, at the author's line", function()
    local function refused(spec)
      local got = value("hours.new { " .. spec .. " }")
      return (assert(tostring(got):match "^rules/a.lua:%d+: hours.new: (.*)", tostring(got)))
    end
    assert.equal('mon: "9-17" is no opening time: expected "09:00-17:30"', refused [[mon = "9-17"]])
    assert.equal('mon[2]: "25:00-26:00" is no opening time: expected "09:00-17:30"',
      refused [[mon = { "09:00-12:00", "25:00-26:00" }]])
    assert.equal('unknown field "monday" (did you mean "mon"?)', refused [[monday = "09:00-17:00"]])
    assert.equal('holidays[1]: "2026-02-30" is no date: expected "2026-12-25", or "12-25" for each year',
      refused [[mon = "09:00-17:00", holidays = { "2026-02-30" }]])
    assert.equal('holidays["12-24"]: "9:00" is no opening time: expected "09:00-17:30"',
      refused [[mon = "09:00-17:00", holidays = { ["12-24"] = "9:00" }]])
    assert.equal('zone: there is no time zone "Europe/Amstrdam" (did you mean "Europe/Amsterdam"?)',
      refused [[mon = "09:00-17:00", zone = "Europe/Amstrdam"]])
    assert.equal("it is never open: no day has hours", refused [[mon = "closed", holidays = { "12-25" }]])
    assert.equal('mon: "09:00-09:00" begins when it ends (round the clock is "00:00-24:00")',
      refused [[mon = "09:00-09:00"]])
  end)

  it("says so when a calendar's days are over, in no time", function()
    local got = value [[hours.new { holidays = { ["2020-01-01"] = "09:00-10:00" } }.next_open(now())]]
    assert.matches("^rules/a.lua:%d+: hours.next_open: the calendar does not open again within ten years", got)
  end)

  it("says at the author's line what it was given in place of a time", function()
    assert.matches("^rules/a.lua:%d+: hours.open: 't' must be a time in seconds such as now%(%), got nil",
      value "hours.open()")
    assert.matches("^rules/a.lua:%d+: hours.add: \"soon\" is no time to add", value [[hours.add(now(), "soon")]])
  end)

  it("does not load with a mistake in scripts/opening_hours.lua, and says where", function()
    local dir = folder([[local hours = require "hours" rule "r" { on = "*", run = function() hours.open(now()) end }]],
      [[return { mon = "09:00-17:30", fri = "9.00-17.30" }]])
    local text = capture(("%s check --rules %s/rules --scripts %s/scripts --config %s/switchhook.lua 2>&1")
      :format(bin, dir, dir, dir))
    os.execute("rm -rf " .. dir)
    assert.matches('scripts/opening_hours.lua: fri: "9.00-17.30" is no opening time', text, 1, true)
  end)
end)
