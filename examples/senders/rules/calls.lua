-- Written once, for the calls of every sender: their normalisers say call_start and call_stop.
local phone = require "phone"

rule "Calls" {
  on = { "call_start", "call_stop" },
  run = function(call, envelope)
    records.patch("calls", call.call_id, {
      from = envelope.source,
      number = phone.text(call.remote_number),
      name = phone.text(call.remote_name),
      result = call.call_result,
      seconds = call.duration_sec,
      ended_at = call.ended_at,
    })
  end,
}

rule "Missed" {
  on = "call_stop",
  when = function(call) return phone.is_incoming(call) and not phone.was_answered(call) end,
  run = function(call)
    callback {
      number   = phone.to_call(call.remote_number),
      name     = phone.text(call.remote_name),
      due      = now() + 1 * hour,
      assignee = phone.address(call.user_email),
      reason   = "Missed call",
    }
  end,
}
