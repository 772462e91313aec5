-- The event of a call in the words of the shipped rules, whoever sends it: what normalisers return.
--
--   local webphone = require "webphone"
--   return webphone.call("call_stop", { id = .., incoming = true, remote_number = .., answered = true })
--
-- Other fields: local_number, local_name, remote_name, email (of the colleague), seconds (how long they
-- spoke), started, ended (seconds since 1970).
local webphone = {}

-- A moment as the webphone writes it: "2026-06-12T10:04:02.487Z"; nil stays nil.
function webphone.at(seconds)
  if type(seconds) ~= "number" then return nil end
  local ms = math.floor(seconds * 1000 + 0.5)
  return time.format(ms // 1000, "%Y-%m-%dT%H:%M:%S", "UTC") .. (".%03dZ"):format(ms % 1000)
end

local function result(kind, answered)
  if kind == "call_start" then return nil end
  return answered and "Answered" or "Missed"
end

-- The event, and its type.
function webphone.call(kind, c)
  local ended = kind ~= "call_start" and c.ended or nil
  return {
    event         = kind,
    call_id       = tostring(c.id),
    direction     = c.incoming and "incoming" or "outgoing",
    status        = kind == "call_start" and "start" or "stop",
    date          = webphone.at(ended or c.started),
    local_number  = c.local_number,
    local_name    = c.local_name,
    remote_number = c.remote_number,
    remote_name   = c.remote_name,
    user_email    = c.email,
    call_result   = result(kind, c.answered),
    duration_sec  = c.seconds or 0,
    started_at    = webphone.at(c.started),
    ended_at      = webphone.at(ended),
  }, kind
end

return webphone
