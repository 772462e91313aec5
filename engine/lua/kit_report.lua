-- SPDX-License-Identifier: MIT
-- kit_report.lua: busted's output handler for people (a line a file, failures whole, a summary
-- whose last line names the first failure) and for programs (a JSON line a spec).
local native = require "switchhook.native"

local PROGRESS_AFTER = 2 -- seconds

local function say(...)
  io.stdout:write(...)
  io.stdout:write "\n"
end

-- Where a spec stands, or (a file that does not load) what its message says.
local function where(element, message)
  local trace = element.trace
  if not trace or not trace.short_src then
    local path, line = tostring(message):match "^([^\n:]+):(%d+):"
    if not path then return "?" end
    return path .. ":" .. line, path, tonumber(line)
  end
  return ("%s:%d"):format(trace.short_src, trace.currentline or 0), trace.short_src, trace.currentline
end

local function indent(text)
  return "     " .. tostring(text):gsub("\n", "\n     ")
end

-- To the microsecond: more digits are noise.
local function round(seconds)
  return seconds and math.floor(seconds * 1e6 + 0.5) / 1e6
end

local function json_line(t)
  say(native.encode(t))
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local json = native.options.json
  local count = { passed = 0, failed = 0, errors = 0, pending = 0 }
  local file = {}
  local first, started, told

  local function failure(list)
    local f = list[#list]
    local at, path, line = where(f.element, f.message)
    first = first or { at = at, name = f.name }
    return f, at, path, line
  end

  local function progress()
    local now = busted.monotime()
    if now - started < PROGRESS_AFTER or now - told < PROGRESS_AFTER then return end
    told = now
    io.stderr:write(("... %d specs, %d failed, %.0f s\n"):format(
      count.passed + count.failed + count.errors + count.pending, count.failed + count.errors, now - started))
  end

  local function show(outcome, f, at)
    say(("%s %s"):format(outcome, f.name))
    say("     ", at)
    say(indent(f.message or "no message"))
  end

  local function report(outcome, list, element)
    local f, at, path, line = failure(list)
    if json then
      json_line { spec = f.name, file = path, line = line, outcome = outcome, message = tostring(f.message),
        seconds = round(element and element.duration) }
    else
      show(outcome == "failed" and "FAIL" or "ERROR", f, at)
    end
  end

  local endings = {
    success = function(element)
      count.passed, file.passed = count.passed + 1, file.passed + 1
      if json then
        local s = handler.successes[#handler.successes]
        local _, path, line = where(element)
        json_line { spec = s.name, file = path, line = line, outcome = "passed", seconds = round(element.duration) }
      end
    end,
    pending = function(element)
      count.pending = count.pending + 1
      local p = handler.pendings[#handler.pendings]
      if json then
        local _, path, line = where(element)
        json_line { spec = p.name, file = path, line = line, outcome = "pending" }
      else
        say("pending ", p.name)
      end
    end,
    failure = function(element)
      count.failed, file.failed = count.failed + 1, file.failed + 1
      report("failed", handler.failures, element)
    end,
    error = function(element)
      count.errors, file.failed = count.errors + 1, file.failed + 1
      report("error", handler.errors, element)
    end,
  }

  function handler.testEnd(element, _, status)
    endings[status](element)
    progress()
    return nil, true
  end

  -- An error outside a test: a file that does not load, a before_each that fails.
  function handler.error(element)
    if element.descriptor ~= "it" then
      count.errors, file.failed = count.errors + 1, (file.failed or 0) + 1
      report("error", handler.errors)
    end
    return nil, true
  end

  function handler.fileStart(element)
    file = { name = element.name, passed = 0, failed = 0 }
    return nil, true
  end

  function handler.fileEnd()
    if not json and file.failed == 0 and file.passed > 0 then
      say(("ok   %-50s %4d"):format(file.name, file.passed))
    end
    return nil, true
  end

  function handler.suiteStart(suite)
    started, told = suite.starttick or busted.monotime(), 0
    return nil, true
  end

  local function plural(n, word)
    return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
  end

  function handler.suiteEnd()
    local total = count.passed + count.failed + count.errors + count.pending
    local seconds = busted.monotime() - started
    if options.before_summary then options.before_summary() end
    if json then
      json_line { summary = { specs = total, passed = count.passed, failed = count.failed, errors = count.errors,
        pending = count.pending, seconds = round(seconds), first_failure = first } }
      return nil, true
    end
    local parts = { plural(total, "spec") .. ": " .. count.passed .. " passed" }
    if count.failed > 0 then parts[#parts + 1] = count.failed .. " failed" end
    if count.errors > 0 then parts[#parts + 1] = plural(count.errors, "error") end
    if count.pending > 0 then parts[#parts + 1] = count.pending .. " pending" end
    if options.order then parts[#parts + 1] = "order of --seed " .. options.order end
    say(("\n%s (%.2f s)"):format(table.concat(parts, ", "), seconds))
    if first then say(("first failure: %s: %s"):format(first.at, first.name)) end
    return nil, true
  end

  busted.subscribe({ "suite", "start" }, handler.suiteStart)
  busted.subscribe({ "file", "start" }, handler.fileStart)
  busted.subscribe({ "file", "end" }, handler.fileEnd)
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "error" }, handler.error)
  busted.subscribe({ "failure" }, handler.error)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
