-- Dialpad's call events as the events that the shipped rules know: docs/senders.md#dialpad.
--
--   dialpad = { .., type = { field = "state" }, normalise = "dialpad" }
local webphone = require "webphone"

-- A call out begins with `calling`, one that comes in with `ringing`; each ends with `hangup`.
local kinds = { calling = "call_start", ringing = "call_start", hangup = "call_stop" }

local function seconds(ms)
  return type(ms) == "number" and ms / 1000 or nil
end

return function(call)
  local kind = kinds[call.state]
  if not kind then return call end -- another state: as it is
  local connected, ended = seconds(call.date_connected), seconds(call.date_ended)
  return webphone.call(kind, {
    id            = call.call_id,
    incoming      = call.direction == "inbound",
    local_number  = call.internal_number,
    local_name    = get(call, "target.name"),
    email         = get(call, "target.email"),
    remote_number = call.external_number,
    remote_name   = get(call, "contact.name"),
    answered      = connected ~= nil,
    seconds       = connected and ended and math.floor(ended - connected + 0.5),
    started       = seconds(call.date_started),
    ended         = ended or seconds(call.event_timestamp),
  })
end
