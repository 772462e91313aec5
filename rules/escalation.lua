-- A missed call that nobody follows up: a reminder after 15 minutes, and one to the team lead after
-- 60, counted in opening hours. An answered call with the number, either way, ends it.
local hours = require "hours"
local phone = require "phone"
local settings = require "settings"

local function name(step, number)
  return "escalation " .. step .. " " .. number
end

rule "Escalate a missed call" {
  on = "call_stop",
  when = function(call)
    return phone.is_incoming(call) and not phone.was_answered(call)
      and phone.kind(call.remote_number) == "external"
  end,
  run = function(call)
    local number = phone.id(call.remote_number)
    local data = {
      number = call.remote_number,
      caller = call.remote_name or call.remote_number,
      colleague = phone.address(call.user_email),
      missed_at = time.format(now(), "%H:%M"),
    }
    local open = hours.next_open(now())
    data.step = "first"
    after(open + settings.escalation.first, "escalation", data, { name = name("first", number) })
    data.step = "second"
    after(open + settings.escalation.second, "escalation", data, { name = name("second", number) })
  end,
}

rule "An answered call ends the escalation" {
  on = "call_stop",
  when = function(call) return phone.was_answered(call) and phone.id(call.remote_number) end,
  run = function(call)
    local number = phone.id(call.remote_number)
    cancel(name("first", number))
    cancel(name("second", number))
    callbacks.answered(call.remote_number)
  end,
}

rule "Remind of a missed call" {
  on = "escalation",
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
