-- Twilio's status callbacks of a call as the events that the shipped rules know: docs/senders.md#twilio.
--
--   twilio = { .., body = "form", type = { field = "CallStatus" }, normalise = "twilio" }
local webphone = require "webphone"

local kinds = {
  initiated = "call_start", ringing = "call_start",
  completed = "call_stop", busy = "call_stop", failed = "call_stop", ["no-answer"] = "call_stop",
  canceled = "call_stop",
}

return function(form, envelope)
  local kind = kinds[form.CallStatus]
  if not kind then return form end -- another status: as it is
  local incoming = form.Direction == "inbound"
  local seconds = math.tointeger(tonumber(form.CallDuration)) -- everything in a form is a text
  local stop = kind == "call_stop"
  return webphone.call(kind, {
    id            = form.CallSid,
    incoming      = incoming,
    local_number  = incoming and form.To or form.From,
    remote_number = incoming and form.From or form.To,
    answered      = form.CallStatus == "completed",
    seconds       = seconds,
    -- It does not say when in a form that is easily read: when it came will do.
    started       = envelope.received - (stop and seconds or 0),
    ended         = stop and envelope.received or nil,
  })
end
