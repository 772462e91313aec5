-- One record per call in the collection `calls`, out of call_start, call_stop and call_postprocess,
-- in whatever order they come, repeated or with one missing. `SELECT * FROM calls` in any SQLite
-- browser shows it as a table.
local analysis = require "analysis"
local phone = require "phone"
local sentiment = require "sentiment"

-- What a later phase says counts more; an earlier one that comes late only fills what is missing.
local rank = { call_start = 1, call_stop = 2, call_postprocess = 3 }
local status = { "started", "ended", "analysed" }

local function what_it_says(call)
  return {
    direction = phone.text(call.direction),
    call_result = phone.text(call.call_result),
    started_at = phone.text(call.started_at),
    ended_at = phone.text(call.ended_at),
    duration_sec = type(call.duration_sec) == "number" and call.duration_sec or phone.text(call.duration_sec),
    local_number = phone.text(call.local_number),
    local_name = phone.text(call.local_name),
    remote_number = phone.text(call.remote_number),
    remote_name = phone.text(call.remote_name),
    user_email = phone.text(call.user_email),
    sentiment = sentiment.of(call),
    summary = analysis.summary(call),
    transcribed = call.transcription and true or nil,
  }
end

-- The phases seen so far with one more, in their natural order.
local function with_phase(phases, new)
  local seen, list = { [new] = true }, {}
  for _, phase in ipairs(phases or {}) do seen[phase] = true end
  for _, phase in ipairs({ "call_start", "call_stop", "call_postprocess" }) do
    if seen[phase] then list[#list + 1] = phase end
  end
  return list
end

rule "Call log" {
  on = { "call_start", "call_stop", "call_postprocess" },
  run = function(call, event)
    local known = records.get("calls", call.call_id) or {}
    local mine, best = rank[event.type], 0
    for _, phase in ipairs(known.phases or {}) do best = math.max(best, rank[phase] or 0) end

    local change = {}
    for field, value in pairs(what_it_says(call)) do
      if mine >= best or known[field] == nil then change[field] = value end
    end
    change.phases = with_phase(known.phases, event.type)
    change.status = status[math.max(mine, best)]

    local at = type(call.date) == "string" and phone.text(call.date) or event.received_at
    if not known.first_event_at or at < known.first_event_at then change.first_event_at = at end
    if not known.last_event_at or at > known.last_event_at then change.last_event_at = at end
    records.patch("calls", call.call_id, change)
  end,
}
