-- Three calls of one number within 24 hours, whatever their call ids: something is wrong for them.
-- The team lead hears of it, once in that time.
local phone = require "phone"
local settings = require "settings"

rule "Repeat caller" {
  on = "call_stop",
  when = function(call)
    return phone.is_incoming(call) and phone.kind(call.remote_number) == "external"
  end,
  run = function(call)
    local number, limit = phone.id(call.remote_number), settings.repeat_caller
    local known = records.get("callers", number) or {}
    local calls = {}
    for _, one in ipairs(known.calls or {}) do
      if one.id == call.call_id then return end -- the same call, reported once more
      if now() - one.at < limit.within then calls[#calls + 1] = one end
    end
    calls[#calls + 1] = { id = call.call_id, at = now() }
    while #calls > limit.calls do table.remove(calls, 1) end
    local change = { calls = calls, name = phone.text(call.remote_name) }

    local told = known.told and now() - known.told < limit.within
    if #calls >= limit.calls and not told then
      change.told = now()
      emit("repeat_caller", { number = phone.text(call.remote_number), name = change.name, calls = #calls })
    end
    records.patch("callers", number, change)
  end,
}

rule "Tell of a repeat caller" {
  on = "repeat_caller",
  when = function(_, envelope) return settings.team_lead and envelope.source == "rules" end,
  run = function(caller)
    email {
      to = settings.team_lead,
      subject = "{{who}} called {{calls}} times within a day",
      text = "{{who}} ({{number}}) has called {{calls}} times within a day.\n",
      with = { who = caller.name or caller.number, number = caller.number, calls = caller.calls },
    }
  end,
}
