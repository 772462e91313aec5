-- Somebody called and nobody answered: call back in an hour, or when the team is there again.
-- Withheld numbers cannot be called, and colleagues (extensions of up to five digits) are not
-- customers: for these the call's record only says why there is no callback.
local hours = require "hours"
local phone = require "phone"

local why_not = { withheld = "number withheld", internal = "internal call",
  spoken = "spoken to since" }

rule "Call back after a missed call" {
  on = "call_stop",
  when = function(call) return phone.is_incoming(call) and not phone.was_answered(call) end,
  run = function(call)
    if records.get("follow_ups", call.call_id) then return end -- the same call, reported once more

    local kind = phone.kind(call.remote_number)
    if kind == "external" and phone.spoken_to_since(call) then
      log.info("no callback for call " .. call.call_id .. ": there has been an answered call since")
      kind = "spoken"
    elseif kind == "external" then
      callback {
        number   = phone.to_call(call.remote_number),
        name     = phone.text(call.remote_name),
        due      = hours.next_open(now() + 1 * hour),
        assignee = phone.address(call.user_email),
        reason   = "Missed call",
        completes = "answered", -- by an answered call with the number (escalation.lua)
      }
    else
      log.info("no callback for call " .. call.call_id .. ": " .. why_not[kind])
    end
    local follow_up = why_not[kind] or "callback"
    records.put("follow_ups", call.call_id, { kind = follow_up, why = "missed call" })
    records.patch("calls", call.call_id, { missed = true, follow_up = follow_up })
  end,
}
