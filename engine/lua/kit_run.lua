-- SPDX-License-Identifier: MIT
-- kit_run.lua: busted, put together from its own parts as its runner does it, with the kit around
-- each test. Returns a function that runs everything: 0 or 1, or nil, why nothing ran, and whether
-- that is what was asked for (true: an option that says nothing).
local native = require "switchhook.native"
local options = native.options

-- Does busted's `name` exist and load? Its own faults are not swallowed.
local function find_busted()
  local ok, core = pcall(require, "busted.core")
  if ok then return core end
  local missing = tostring(core):match "module '([^']+)' not found"
  if not missing then error(core, 0) end
  return nil, ("specs run in busted, and %s is not installed; on Debian: apt install lua-busted"):format(
    missing == "busted.core" and "it" or "its part " .. missing)
end

-- Where a function stands, as messages begin with it.
local function place_of(f)
  if type(f) ~= "function" then return "" end
  local info = debug.getinfo(f, "S")
  local name = info.source:match "^@(.*)" or info.short_src
  return ("%s:%d: "):format(name, info.linedefined)
end

-- The kit around each test: a fresh store before, nothing unnoticed after.
local function attach(busted)
  local hook = require "hook"
  local api = require "busted"
  require "switchhook.assert"()
  _G.hook = hook
  api.before_each(hook._begin)
  local ours = setmetatable({}, { __mode = "k" })
  -- Registered anew with the kit behind it, as busted's own filters do it.
  busted.subscribe({ "register", "it" }, function(name, body, ...)
    if not body or ours[body] then return nil, true end
    local function run()
      body()
      local why = hook._unnoticed()
      if why then api.fail(place_of(body) .. why, 0) end
    end
    ours[run] = true
    busted.publish({ "register", "it" }, name, run, ...)
    return nil, false
  end, { priority = 1 })
  hook._begin()
end

-- Why busted could not use a pattern that was asked for; nil: it can.
local function check_patterns()
  for option, list in pairs { filter = options.filter, ["filter-out"] = options.filter_out,
    tags = options.tags, ["exclude-tags"] = options.exclude_tags } do
    for _, pattern in ipairs(list) do
      local ok, why = pcall(string.find, "", pattern)
      if not ok then
        return ("--%s %s: no Lua pattern, %s (%%( is the bracket itself)"):format(option, pattern,
          (tostring(why):gsub("^.-:%d+: ", "")))
      end
    end
  end
end

-- Why there is none; nil: it listens.
local function load_output(busted)
  local handler
  local settings = { language = "en", suppressPending = false, verbose = true, arguments = {},
    order = busted.randomize and busted.randomseed or nil }
  if options.coverage then
    settings.before_summary = function() require("switchhook.cover").report(options) end
  end
  if not options.output then
    handler = require "switchhook.report"(settings)
    handler:subscribe(settings)
    return
  end
  settings.defaultOutput, settings.verbose = "plainTerminal", false
  local failed
  busted.subscribe({ "error", "output" }, function(_, _, message) failed = message return nil, true end)
  require "busted.modules.output_handler_loader"()(busted, options.output, settings)
  if failed then
    return ("--output %s: busted has no such output (TAP, json, junit, gtest, plainTerminal, utfTerminal)"):format(
      options.output)
  end
  if settings.before_summary then
    busted.subscribe({ "suite", "end" }, function() settings.before_summary() return nil, true end)
  end
end

-- Count what failed, whatever the output; the first of them by name.
local function watch(busted)
  local seen = { bad = 0, specs = 0 }
  local function note(element)
    local trace = element.trace or {}
    seen.bad = seen.bad + 1
    seen.first = seen.first or ("%s:%d: %s"):format(trace.short_src or element.name or "?",
      trace.currentline or 0, element.name or element.descriptor)
    return nil, true
  end
  busted.subscribe({ "error" }, note)
  busted.subscribe({ "failure" }, note)
  busted.subscribe({ "test", "start" }, function() seen.specs = seen.specs + 1 return nil, true end)
  return seen
end

local function exit_is_no_way_out()
  os.exit = function() error("os.exit() in a spec: a spec ends by returning", 2) end
end

return function()
  local core, why = find_busted()
  if not core then return nil, why end
  why = check_patterns()
  if why then return nil, why, true end
  exit_is_no_way_out()
  package.path = options.path .. ";" .. package.path
  local busted = core()
  require "busted"(busted)
  busted.randomize = options.shuffle or options.seed ~= nil
  busted.randomseed = options.seed or os.time() % 100000
  local seen = watch(busted)
  why = load_output(busted)
  if why then return nil, why, true end
  attach(busted)
  require "busted.modules.filter_loader"()(busted, { tags = options.tags, excludeTags = options.exclude_tags,
    filter = options.filter, filterOut = options.filter_out })
  require "busted.modules.test_file_loader"(busted, { "lua" })(options.files, {}, { excludes = {} })
  require "busted.execute"(busted)(1, { seed = busted.randomseed, shuffle = busted.randomize })
  busted.publish { "exit" }
  io.stdout:flush()
  if seen.first and options.output then io.stderr:write("first failure: ", seen.first, "\n") end
  if seen.specs == 0 and seen.bad == 0 then
    return nil, "no spec was run: none in the files fits --filter and --tags"
  end
  return seen.bad == 0 and 0 or 1
end
