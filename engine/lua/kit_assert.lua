-- SPDX-License-Identifier: MIT
-- kit_assert.lua: the assertions of the kit, for luassert.
local native = require "switchhook.native"
local hook = require "hook"
local value = require "switchhook.value"
local expect = require "switchhook.expect"

local hidden = { kind = true, rule = true, event = true, file = true, line = true }

-- --- things with fields ------------------------------------------------------------------------

-- Fields of each: true, "time" (a time, however written) or "some" (one of a list).
local callback_fields = { number = true, name = true, due = "time", assignee = true, reason = true,
  completes = true, minutes = true, email = true, zone = true, rule = true, event = true }
local email_fields = { to = "some", cc = "some", bcc = "some", subject = true, text = true, html = true,
  reply_to = true, attachments = true, invitation = true, notify = true, state = true, rule = true }
local call_fields = { method = true, url = true, headers = true, body = true, json = true, notify = true,
  rule = true, event = true }
local timer_fields = { name = true, type = true, due = "time", due_local = true, data = true, rule = true,
  event = true }
local emitted_fields = { type = true, data = true, rule = true, event = true }

-- Effects with their due_at as due, as rules write it.
local function with_due(kind)
  local found = {}
  for i, effect in ipairs(hook.effects(kind)) do
    local copy = {}
    for name, v in pairs(effect) do copy[name == "due_at" and "due" or name] = v end
    found[i] = copy
  end
  return found
end

local function effects_of(kind)
  return function() return hook.effects(kind) end
end

local things = {
  scheduled_callback = { noun = "callback", known = callback_fields,
    all = function() return with_due "callback" end },
  sent_email = { noun = "email", known = email_fields, all = hook.emails },
  http_call = { noun = "call", known = call_fields, all = hook.calls },
  set_timer = { noun = "timer", known = timer_fields, all = function() return with_due "timer" end },
  emitted = { noun = "emitted event", known = emitted_fields, all = effects_of "emit" },
}

-- What is said when something is there that should not be.
local function unwanted(noun, fields, found)
  local text = "expected no " .. noun
  if next(fields) ~= nil then text = text .. " with\n" .. expect.fields(fields) end
  return text .. "\nthere is\n" .. expect.others({ found }, nil, hidden)
end

-- A refused event or a failed run is most often why nothing is there.
local function with_trouble(text)
  local trouble = hook._unnoticed()
  return trouble and text .. "\nnote: " .. trouble or text
end

local function check_thing(state, thing, what, fields)
  local ok, why = pcall(expect.known_fields, "assert." .. what, fields, thing.known)
  if not ok then hook._blame(why) end
  local all = thing.all()
  local fine, found = pcall(expect.find, fields, all, thing.known)
  if not fine then hook._blame("assert." .. what .. ": " .. tostring(found)) end
  state.failure_message = found and unwanted(thing.noun, fields, found)
    or with_trouble(expect.explain(thing.noun, fields, all, thing.known, hidden))
  return found ~= nil
end

-- --- rules -------------------------------------------------------------------------------------

local function check_rule(what, rule)
  local names = hook.rules()
  for _, name in ipairs(names) do
    if name == rule then return end
  end
  local near = type(rule) == "string" and native.nearest(rule, names)
  hook._blame(("assert.%s: no rule %s; %s"):format(what, value.show(rule), near
    and "did you mean " .. value.show(near) .. "?" or "the rules are " .. value.show(names)))
end

local function told(run)
  local why = run.error or run.why
  return ("    %-12s on %s%s"):format(run.outcome, run.event or "?", why and ": " .. why or "")
end

local function outcomes(rule)
  local lines = {}
  for _, run in ipairs(hook.runs(rule)) do lines[#lines + 1] = told(run) end
  return #lines > 0 and table.concat(lines, "\n") or "    no event was sent"
end

local function any_run(rule, outcome)
  for _, run in ipairs(hook.runs(rule)) do
    if run.outcome:sub(1, #outcome) == outcome then return run end
  end
end

local function ran(state, arguments)
  local rule = arguments[1]
  check_rule("ran", rule)
  local run = any_run(rule, "done")
  state.failure_message = with_trouble(("expected that %s %s; what it did:\n%s"):format(value.show(rule),
    run and "does not run" or "runs", outcomes(rule)))
  return run ~= nil
end

-- Skipped every time, for a reason with that text in it if given.
local function skipped(state, arguments)
  local rule, why = arguments[1], arguments[2]
  check_rule("skipped", rule)
  local run = any_run(rule, "skipped")
  local ok = run and not any_run(rule, "done") and not any_run(rule, "failed")
  if ok and why then ok = value.fits(type(why) == "string" and hook.containing(why) or why, run.why) end
  state.failure_message = with_trouble(("expected that %s is %sskipped%s; what it did:\n%s"):format(
    value.show(rule), ok and "not " or "", why and " because of " .. value.show(why) or "", outcomes(rule)))
  return not not ok
end

local function failed(state, arguments)
  local rule, text = arguments[1], arguments[2]
  check_rule("failed", rule)
  local wanted = text and (type(text) == "string" and hook.containing(text) or text) or hook.any
  local found
  for _, run in ipairs(hook.runs(rule)) do
    if run.outcome == "failed" and value.fits(wanted, run.error) then found = run end
  end
  if found and state.mod then hook._excuse(rule) end
  state.failure_message = ("expected that %s %sfails%s; what it did:\n%s"):format(value.show(rule),
    found and "never " or "", text and " with " .. value.show(wanted) or "", outcomes(rule))
  return found ~= nil
end

-- An event was refused, with that text in the code or the message if given.
local function refused(state, arguments)
  local wanted, found = arguments[1], nil
  for _, entry in ipairs(hook.events()) do
    local r = entry.refused
    if r and (not wanted or (r.code .. ": " .. r.message):find(wanted, 1, true)) then found = r end
  end
  if found and state.mod then hook._excuse_refused() end
  state.failure_message = found
    and ("expected no refused event; there is\n    %s: %s"):format(found.code, found.message)
    or "expected a refused event" .. (wanted and " with " .. value.show(wanted) or "") .. "; there is none"
  return found ~= nil
end

-- --- effects and records -----------------------------------------------------------------------

-- assert.effects(filter): there are some. assert.no_effects(..) reads best. filter: the name of a
-- rule, a table of fields, or nothing.
local function effects(state, arguments)
  local filter = arguments[1]
  if type(filter) == "string" then
    check_rule("effects", filter)
    filter = { rule = filter }
  end
  local found = hook.effects(filter)
  local shown = {}
  for i, effect in ipairs(found) do
    shown[i] = { rule = effect.rule }
    for name, v in pairs(effect) do shown[i][name] = v end
  end
  state.failure_message = #found > 0
    and ("expected no effects%s; there are %d\n%s"):format(filter and " that fit " .. value.show(filter) or "",
      #found, expect.others(shown, nil, { rule = true, event = true }))
    or with_trouble("expected effects" .. (filter and " that fit " .. value.show(filter) or "") .. "; there are none")
  return #found > 0
end

local function ids(collection)
  local names = value.sorted_keys(hook.records(collection))
  if #names == 0 then return ("collection %q is empty"):format(collection) end
  return ("in %q are: %s"):format(collection, value.brief(names, 300))
end

local function record(state, arguments)
  local collection, id = arguments[1], arguments[2]
  local doc = hook.record(collection, id)
  state.failure_message = doc and ("expected no record %s of %s; there is\n    %s"):format(value.show(id),
      value.show(collection), value.brief(doc, 400))
    or with_trouble(("expected a record %s of %s; %s"):format(value.show(id), value.show(collection), ids(collection)))
  return doc ~= nil
end

-- assert.record(collection, id): a record that is there, with .has{..} and .is{..}.
local function record_of(collection, id)
  local busted = require "busted"
  local function fail(text)
    local ok, why = pcall(hook._blame, text)
    busted.fail(ok and text or why, 0)
  end
  local state = { mod = true }
  if not record(state, { collection, id }) then fail(state.failure_message) end
  local doc = hook.record(collection, id)
  local title = ("record %s of %s is"):format(value.show(id), value.show(collection))
  local it = { doc = doc }
  local function check(what, whole)
    return function(fields)
      if type(fields) ~= "table" then hook._blame(("assert.record(..).%s: expected a table of fields"):format(what)) end
      local text = expect.document(title, fields, doc, whole)
      if text then fail(text) end
      return it
    end
  end
  it.has, it.is = check("has", false), check("is", true)
  return it
end

-- --- for luassert ------------------------------------------------------------------------------

return function()
  local assert = require "luassert"
  local function register(name, fn)
    assert:register("assertion", name, function(state, arguments)
      arguments.nofmt = setmetatable({}, { __index = function() return true end })
      return fn(state, arguments)
    end)
  end
  for what, thing in pairs(things) do
    if what ~= "emitted" then
      register(what, function(state, arguments)
        return check_thing(state, thing, what, arguments[1] == nil and {} or arguments[1])
      end)
    end
  end
  register("emitted", function(state, arguments)
    local fields = type(arguments[1]) == "table" and arguments[1]
      or { type = arguments[1], data = arguments[2] }
    return check_thing(state, things.emitted, "emitted", fields)
  end)
  register("ran", ran)
  register("skipped", skipped)
  register("failed", failed)
  register("refused", refused)
  register("effects", effects)
  register("record", record)
  rawset(assert, "record", record_of)
end
