-- SPDX-License-Identifier: MIT
-- kit.lua: `hook`, what a spec does with the rules: events, time, look-ups, and what came of them.
-- docs/testing.md is its reference.
local native = require "switchhook.native"
local value = require "switchhook.value"
local null = native.null

local hook = { null = null }
local test      -- what happened since the last reset
local test_zone -- of its times, nil: the configured one

-- --- asking the simulator --------------------------------------------------------------------

-- Raise at the line of the spec: past the kit's own frames and luassert's.
local function blame(message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info or not (info.what == "C" or info.source == "=kit" or info.source:find "/luassert/") then
      break
    end
    level = level + 1
  end
  error(message, level)
end
hook._blame = blame

local function ask(what, args, keep_null)
  local ok, answer, why = pcall(native.ask, what, args, keep_null)
  if not ok then blame(answer) end
  if answer == nil then blame(why) end
  return answer
end

local function check_options(what, options, known)
  if type(options) ~= "table" then blame(("%s: expected a table, got %s"):format(what, type(options))) end
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for k in pairs(known) do names[#names + 1] = k end
      table.sort(names)
      local near = native.nearest(tostring(name), names)
      blame(("%s: unknown option %s; %s"):format(what, value.show(name), near
        and "did you mean " .. near .. "?" or "known are " .. table.concat(names, ", ")))
    end
  end
end

-- Milliseconds of a duration: seconds, or "1h30m".
local function duration(what, v)
  if type(v) == "number" then return math.floor(v * 1000 + 0.5) end
  if type(v) ~= "string" then
    blame(("%s: expected a duration such as \"2h\" or seconds, got %s"):format(what, value.show(v)))
  end
  local seconds = native.duration(v)
  if not seconds then blame(("%s: %q is no duration, such as \"2h\" or \"1h30m\""):format(what, v)) end
  return math.floor(seconds * 1000 + 0.5)
end

local function moment(what, v)
  local ms, why = value.time(v)
  if not ms then blame(what .. ": " .. why) end
  return ms
end

-- --- what happened ---------------------------------------------------------------------------

-- Keep what one answer says: effects with the rule that asked for them, and the runs.
local function note(entry)
  test.entries[#test.entries + 1] = entry
  entry.type = entry.event and entry.event.type
  for _, run in ipairs(entry.runs or {}) do
    run.event = entry.type
    test.runs[#test.runs + 1] = run
    for _, effect in ipairs(run.effects or {}) do
      effect.rule, effect.event = run.rule, entry.type
      test.effects[#test.effects + 1] = effect
    end
    for _, log in ipairs(run.logs or {}) do
      log.rule = run.rule
      test.logs[#test.logs + 1] = log
    end
  end
end

-- Of several runs of a rule the one that says most: one that ran before one that was skipped.
local function weight(run)
  return run.outcome == "skipped_on" and 0 or run.outcome == "skipped_when" and 1 or 2
end

-- The answer to a send or an advance: of the event and of all that followed from it.
local function happened(entries)
  local first = entries[1] or {}
  local all = { event = first.event, refused = first.refused, duplicate = first.duplicate or false,
    runs = {}, effects = {}, logs = {}, events = entries }
  for _, entry in ipairs(entries) do
    note(entry)
    for _, run in ipairs(entry.runs or {}) do
      local other = all.runs[run.rule]
      if not other or weight(run) >= weight(other) then all.runs[run.rule] = run end
      table.move(run.effects or {}, 1, #(run.effects or {}), #all.effects + 1, all.effects)
      table.move(run.logs or {}, 1, #(run.logs or {}), #all.logs + 1, all.logs)
    end
  end
  return all
end

-- --- a test begins ---------------------------------------------------------------------------

local reset_options = { now = true, rules = true, scripts = true, secrets = true, zone = true }

-- What is asked of the simulator: everything but the clock. A local time is meant in the new zone.
local function start(options)
  local function begin(now)
    ask("reset", { now = now, rules = options.rules, scripts = options.scripts, secrets = options.secrets,
      zone = options.zone })
  end
  if options.zone then begin() end
  begin(options.now and moment("hook.reset: now", options.now) or nil)
end

-- Start over: an empty store, the clock at `now`, no replies. rules: { name = text } in place of
-- the project's; scripts: the same, each in place of the one of that name; secrets: names that are
-- configured, beside the project's; zone: in place of the configured one.
function hook.reset(options)
  options = options or {}
  check_options("hook.reset", options, reset_options)
  test = { entries = {}, runs = {}, effects = {}, logs = {}, replies = {}, excused = {},
    options = {} }
  if test_zone ~= options.zone then value.forget_times() end
  test_zone = options.zone
  start(options)
  test.options = options
end

function hook.now()
  return value.seconds(ask "now")
end

-- Move the clock to a time. Before anything was sent the test starts over there; later only
-- forwards, and what is due on the way happens.
function hook.set_now(v)
  local ms = moment("hook.set_now", v)
  if #test.entries == 0 then
    local replies = test.replies
    local options = { now = v }
    for name, o in pairs(test.options) do options[name] = options[name] or o end
    hook.reset(options)
    test.replies = replies
    ask("replies", replies)
    return happened {}
  end
  local step = ms - ask "now"
  if step < 0 then
    blame "hook.set_now: once something has happened the clock goes forward; begin earlier: hook.reset { now = .. }"
  end
  return happened(ask("advance", { ms = step }))
end

-- --- what a spec does ------------------------------------------------------------------------

-- Post an event: a table, or the text of a body. options: source, where it comes from; headers; path, for a source
-- with named segments.
function hook.send(event, options)
  options = options or {}
  check_options("hook.send", options, { source = true, headers = true, path = true })
  local sent = { source = options.source, headers = options.headers, path = options.path }
  if type(event) == "string" then
    sent.body = event
  elseif type(event) == "table" then
    sent.event = event
  else
    blame("hook.send: expected a table or a text, got " .. value.show(event))
  end
  return happened(ask("send", sent))
end

-- Let time pass; whatever falls due on the way happens at its time.
function hook.advance(v)
  local ms = duration("hook.advance", v)
  if ms < 0 then blame "hook.advance: time only goes forward" end
  return happened(ask("advance", { ms = ms }))
end

local reply_fields = { status = true, headers = true, json = true, body = true, error = true }

-- What http.get finds at an address from now on: * is any text, ? one character.
function hook.http_reply(pattern, reply)
  if type(pattern) ~= "string" then
    blame("hook.http_reply: expected a pattern such as \"https://crm.example.org/*\", got " .. value.show(pattern))
  end
  check_options("hook.http_reply", reply, reply_fields)
  local row = { url = pattern }
  for name, v in pairs(reply) do row[name] = v end
  local replies = { row, table.unpack(test.replies) }
  ask("replies", replies)
  test.replies = replies
end

local delivery = { status = true, answer = true, error = true }

-- What became of emails and calls that wait and whose address fits: sent, or with status 300 and up
-- or an error: given up. The events that `notify` asked for follow.
function hook.deliver(pattern, outcome)
  outcome = outcome or {}
  if type(pattern) ~= "string" then blame("hook.deliver: expected a pattern, got " .. value.show(pattern)) end
  check_options("hook.deliver", outcome, delivery)
  return happened(ask("deliver", { pattern = pattern, status = outcome.status, answer = outcome.answer,
    error = outcome.error }))
end

-- The head of a rule file that requires what the code does: scripts load together with the rules.
local function required(code)
  local lines, seen = { "local required = {}" }, {}
  for name in code:gmatch "require%s*%(?%s*[\"']([%w_.]+)[\"']" do
    if not seen[name] then
      seen[name] = true
      lines[#lines + 1] = ("required[%q] = require %q"):format(name, name)
    end
  end
  lines[#lines + 1] = "local function require(name) return required[name] end"
  return table.concat(lines, " ")
end

-- The value of Lua code as a rule would see it: an expression, or a body that returns. `args` in it is
-- the table given. Starts over: an empty store before and after.
function hook.eval(code, args)
  if type(code) ~= "string" then blame("hook.eval: expected Lua code, got " .. value.show(code)) end
  local body = load("return " .. code, "=eval") and "return " .. code or code
  local options = test.options
  hook.reset { now = options.now, scripts = options.scripts, secrets = options.secrets, zone = options.zone,
    rules = { eval = required(code)
    .. ' rule "eval" { on = "eval", run = function(args) records.put("eval", "value", { value = (function(args) '
    .. body .. "\nend)(args) }) end }" } }
  local run = ask("send", { event = args or {}, source = "=eval" })[1].runs[1]
  local row = ask("records", { collection = "eval" })[1]
  hook.reset(options)
  if run.outcome ~= "done" then blame(run.error) end
  return row.doc.value
end

-- --- sample events ---------------------------------------------------------------------------

-- Put a value at "a.b.c"; a member of that very name wins.
local function put(doc, path, v)
  local at, name = doc, path
  if doc[path] == nil then
    while name:find("%.") do
      local first, rest = name:match "^([^.]+)%.(.+)$"
      if not first then break end
      if type(at[first]) ~= "table" then at[first] = {} end
      at, name = at[first], rest
    end
  end
  at[name] = v
end

-- A sample event by its name, with changes: hook.null is JSON's null, hook.none removes a member,
-- "a.b" reaches inside.
function hook.payload(name, changes)
  local doc = ask("payload", { name = tostring(name) }, true)
  for path, v in pairs(changes or {}) do
    if v == hook.none then v = nil end
    if type(path) == "string" then put(doc, path, v) else doc[path] = v end
  end
  return doc
end

-- A list, also when it is empty: {} alone is an object.
function hook.list(t)
  return setmetatable(t or {}, native.list_mt)
end

-- --- what is there ---------------------------------------------------------------------------

-- Effects so far; filter: a kind, or fields that must fit, such as { kind = "email", rule = "Name" }.
function hook.effects(filter)
  if type(filter) == "string" then filter = { kind = filter } end
  local found = {}
  for _, effect in ipairs(test.effects) do
    if not filter or value.fits(filter, effect) then found[#found + 1] = effect end
  end
  return found
end

-- The documents of a collection, by id.
function hook.records(collection)
  local found = {}
  for _, row in ipairs(ask("records", { collection = collection })) do
    if row.refused then blame("hook.records: " .. row.refused.message) end
    found[row.id] = row.doc
  end
  return found
end

function hook.record(collection, id)
  return hook.records(collection)[tostring(id)]
end

function hook.callbacks() return ask "callbacks" end
function hook.outbox() return ask "outbox" end

-- Timers that wait; those of clock rules (`every`) are left out.
function hook.timers()
  local found = {}
  for _, row in ipairs(ask "timers") do
    if row.kind ~= "clock" then found[#found + 1] = row end
  end
  return found
end

local function rule_of(row, payload)
  for _, effect in ipairs(test.effects) do
    if effect.kind == "email" and effect.subject == payload.subject and value.fits(effect.to, payload.to) then
      return effect.rule
    end
  end
  return row.kind == "email" and "the engine" or nil
end

-- Emails so far, also those that the engine sends by itself when a callback is due.
function hook.emails()
  local found = {}
  for _, row in ipairs(hook.outbox()) do
    if row.kind == "email" then
      local mail = row.payload or {}
      mail.state, mail.rule = row.state, rule_of(row, mail)
      found[#found + 1] = mail
    end
  end
  return found
end

-- Calls so far (http.post and its like), with the body as `json` where it is JSON.
function hook.calls()
  local calls = hook.effects "http"
  for _, call in ipairs(calls) do
    if call.json == nil and type(call.body) == "string" and call.body:match "^%s*[%[{]" then
      call.json = native.decode(call.body)
    end
  end
  return calls
end

function hook.logs() return test.logs end
function hook.events() return test.entries end

-- Runs so far, in order; of one rule if named.
function hook.runs(rule)
  local found = {}
  for _, run in ipairs(test.runs) do
    if not rule or run.rule == rule then found[#found + 1] = run end
  end
  return found
end

-- The names of the rules that are loaded.
function hook.rules() return ask "rules" end

-- --- values that fit ---------------------------------------------------------------------------

hook.any = value.matcher("anything", function(v) return v ~= nil and v ~= null end)
hook.none = value.matcher("nothing", function(v) return v == nil or v == null end)

-- A text with a part that fits a Lua pattern.
function hook.like(pattern)
  return value.matcher("like " .. value.show(pattern), function(v)
    return (type(v) == "string" or type(v) == "number") and tostring(v):find(pattern) ~= nil
  end)
end

-- A text with this text in it.
function hook.containing(text)
  return value.matcher("text with " .. value.show(text), function(v)
    return type(v) == "string" and v:find(text, 1, true) ~= nil
  end)
end

function hook.one_of(...)
  local choice = { ... }
  return value.matcher("one of " .. value.show(choice), function(v)
    for _, one in ipairs(choice) do
      if value.fits(one, v) then return true end
    end
    return false
  end)
end

-- --- for the runner ----------------------------------------------------------------------------

function hook._begin()
  if not test or #test.entries > 0 or next(test.options) or #test.replies > 0 then
    hook.reset()
  end
end

function hook._excuse(rule) test.excused[rule] = true end
function hook._excuse_refused() test.refused_seen = true end

-- What went wrong in the test without the spec asking for it; nil: nothing.
function hook._unnoticed()
  for _, entry in ipairs(test.entries) do
    if entry.refused and not test.refused_seen then
      return ("an event was refused, and the spec did not ask for it with assert.refused():\n%s: %s")
        :format(entry.refused.code, entry.refused.message)
    end
  end
  for _, run in ipairs(test.runs) do
    if run.outcome == "failed" and not test.excused[run.rule] then
      return ("rule %s failed, and the spec did not ask for it with assert.failed():\n%s")
        :format(value.show(run.rule), run.error)
    end
  end
end

return hook
