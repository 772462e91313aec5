-- A missed call that nobody follows up: a reminder after 15 minutes, and one to the team lead after
-- 60, counted in opening hours. An answered call with the number, either way, ends it, and so does who
-- closes its callback.
local hours = require "hours"
local phone = require "phone"
local settings = require "settings"

local ANSWERED = "An answered call ends the escalation"

local function name(step, number)
  return "escalation " .. step .. " " .. number
end

-- When it has been open for so many seconds from now on.
local function in_open_time(seconds)
  return hours.add(now(), ("%.4f business minutes"):format(seconds / 60))
end

local function forget(number)
  cancel(name("first", number))
  cancel(name("second", number))
  records.delete("escalations", number)
end

rule "Escalate a missed call" {
  on = "call_stop",
  when = function(call)
    return phone.is_incoming(call) and not phone.was_answered(call)
      and phone.kind(call.remote_number) == "external"
  end,
  run = function(call)
    local number, ended = phone.id(call.remote_number), phone.ended_at(call)
    if phone.spoken_to_since(call) then return end -- this event is late
    local known = records.get("escalations", number)
    if known and now() < known.ends then -- whoever calls again must not wait longer for it
      if ended > known.ended then records.patch("escalations", number, { ended = ended }) end
      return
    end
    local data = {
      number = phone.text(call.remote_number),
      caller = phone.text(call.remote_name) or phone.text(call.remote_number),
      colleague = phone.address(call.user_email),
      missed_at = time.format(ended, "%a %H:%M"),
    }
    local first, second = in_open_time(settings.escalation.first), in_open_time(settings.escalation.second)
    data.step = "first"
    after(first, "escalation", data, { name = name("first", number) })
    data.step = "second"
    after(second, "escalation", data, { name = name("second", number) })
    records.put("escalations", number, { ended = ended, ends = second })
  end,
}

rule(ANSWERED) {
  on = "call_stop",
  when = function(call) return phone.was_answered(call) and phone.id(call.remote_number) end,
  run = function(call)
    local number, ended = phone.id(call.remote_number), phone.ended_at(call)
    local spoken, missed = records.get("spoken_to", number), records.get("escalations", number)
    if not spoken or spoken.at < ended then records.put("spoken_to", number, { at = ended }) end
    if missed and ended < missed.ended then return end -- this event is late: they called again since
    forget(number)
    callbacks.answered(phone.to_call(call.remote_number))
  end,
}

-- Somebody closed the callback that missed_call.lua asked for, from another phone perhaps.
rule "A closed callback ends the escalation" {
  on = { "callback_done", "callback_cancelled" },
  when = function(c, envelope)
    return envelope.source == "engine" -- not a sender's event of that name
      and c.reason == "Missed call" and c.by ~= ANSWERED and phone.id(c.number)
  end,
  run = function(c) forget(phone.id(c.number)) end,
}

rule "Remind of a missed call" {
  on = "escalation",
  when = function(_, envelope) return envelope.source == "rules" end,
  run = function(missed)
    local to = missed.colleague
    if missed.step == "second" then to = settings.team_lead or to end
    if not to then
      log.warn("nobody to remind of the missed call of " .. missed.number)
      return
    end
    email {
      to = to,
      subject = "Not called back yet: {{caller}}",
      text = "{{caller}} ({{number}}) called at {{missed_at}}, nobody answered, and there has been no "
        .. "answered call with that number since.\n",
      with = missed,
    }
  end,
}
