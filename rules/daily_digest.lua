-- At the end of each working day: what happened on the phone since the last digest, to the team lead.
-- So Monday's has the weekend, too.
local settings = require "settings"

local MOST = 1000 -- records that one find returns at most

-- Where the last digest ended; the first one has its own day.
local function start_of(due)
  local last = records.get("digests", "last")
  if last then return last.due end
  local here = time.parts(due)
  return (time.of { year = here.year, month = here.month, day = here.day })
end

-- The calls until then, by the record that the call log keeps.
local function calls_until(due)
  local from, to = time.text(start_of(due), "UTC"), time.text(due, "UTC")
  return records.find("calls", { last_event_at = { gte = from, lt = to } },
    { limit = MOST, order = "-last_event_at" })
end

local function count(calls)
  local n = { calls = #calls, missed = 0, negative = 0, callbacks = 0, colleagues = {} }
  for _, call in ipairs(calls) do
    if call.missed then n.missed = n.missed + 1 end
    if call.sentiment == "negative" then n.negative = n.negative + 1 end
    if call.follow_up == "callback" then n.callbacks = n.callbacks + 1 end
    local who = call.user_email or "(nobody)"
    n.colleagues[who] = (n.colleagues[who] or 0) + 1
  end
  return n
end

rule "Daily digest" {
  every = "18:00 mon-fri",
  when = function() return settings.team_lead end,
  run = function(tick)
    local due = time.parse(tick.due_at) -- not now(): after a night without power it may be tomorrow
    local n = count(calls_until(due))
    records.put("digests", "last", { due = due })
    local lines = {
      ("Calls: %d%s"):format(n.calls, n.calls == MOST and " or more" or ""),
      ("Missed: %d"):format(n.missed),
      ("Negative: %d"):format(n.negative),
      ("Callbacks asked for: %d"):format(n.callbacks),
      "",
    }
    for who, calls in pairs(n.colleagues) do lines[#lines + 1] = ("%s: %d"):format(who, calls) end
    email {
      to = settings.team_lead,
      subject = "Calls of " .. time.format(due, "%a %d %b"),
      text = table.concat(lines, "\n") .. "\n",
    }
  end,
}
