-- Aircall's webhooks as the events that the shipped rules know: docs/senders.md#aircall.
--
--   aircall = { .., type = { field = "event" }, normalise = "aircall" }
local webphone = require "webphone"

-- call.hungup comes at once, call.ended half a minute later with everything: one of them is the end.
local kinds = { ["call.created"] = "call_start", ["call.ended"] = "call_stop" }

local function full_name(contact)
  if type(contact) ~= "table" then return nil end
  local name = ((contact.first_name or "") .. " " .. (contact.last_name or "")):match "^%s*(.-)%s*$"
  return name ~= "" and name or contact.company_name
end

return function(body)
  body.token = nil -- the secret; rules have no use for it
  local kind, call = kinds[body.event], body.data
  if not kind or type(call) ~= "table" then return body end -- another event: as it is
  return webphone.call(kind, {
    id            = call.id,
    incoming      = call.direction == "inbound",
    local_number  = get(call, "number.digits"),
    local_name    = get(call, "user.name"),
    email         = get(call, "user.email"),
    remote_number = call.raw_digits,
    remote_name   = full_name(call.contact),
    answered      = call.answered_at ~= nil,
    seconds       = call.answered_at and call.ended_at and call.ended_at - call.answered_at,
    started       = call.started_at,
    ended         = call.ended_at,
  })
end
