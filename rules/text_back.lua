-- Nobody answered: the caller gets a text message, through an HTTP call to a message service. Once a
-- caller in four hours, not at night, and never to who does not want it. Off until
-- settings.text_back.url is set (scripts/settings.lua).
local phone = require "phone"
local settings = require("settings").text_back

-- Minutes since midnight of "21:00".
local function minutes(text)
  local h, m = text:match "^(%d+):(%d%d)$"
  return tonumber(h) * 60 + tonumber(m)
end

-- When quiet hours that hold now end; nil: it is not quiet.
local function quiet_until()
  if not settings.quiet then return nil end
  local from, to = minutes(settings.quiet.from), minutes(settings.quiet.to)
  local here = time.parts(now())
  local at = here.hour * 60 + here.min
  local quiet
  if from <= to then quiet = at >= from and at < to else quiet = at >= from or at < to end
  if not quiet then return nil end
  local day = at < to and here.day or here.day + 1 -- a day past the month's end carries over
  return time.of { year = here.year, month = here.month, day = day, hour = to // 60, min = to % 60 }
end

local function wants_none(number)
  for _, other in ipairs(settings.opt_out or {}) do
    if phone.id(other) == number then return true end
  end
  return records.get("opt_out", number) ~= nil
end

local function send(number)
  if wants_none(number) then
    log.info("no text message to " .. number .. ": opted out")
    return
  end
  local last = records.get("text_backs", number)
  if last and now() - last.sent < settings.again_after then return end
  http.post {
    url = settings.url,
    headers = settings.token and { Authorization = "Bearer " .. settings.token } or nil,
    json = { to = number, text = settings.text },
    key = "text-back " .. number .. " " .. now(),
  }
  records.put("text_backs", number, { sent = now(), at = time.text(now()) })
end

rule "Text back after a missed call" {
  on = "call_stop",
  when = function(call)
    return settings.url and phone.is_incoming(call) and not phone.was_answered(call)
      and phone.kind(call.remote_number) == "external"
  end,
  run = function(call)
    if phone.spoken_to_since(call) then return end -- this event is late
    local number = phone.id(call.remote_number)
    local quiet = quiet_until()
    if quiet then
      after(quiet, "text_back", { number = number }, { name = "text back " .. number })
    else
      send(number)
    end
  end,
}

rule "Text back when quiet hours end" {
  on = "text_back",
  when = function(_, envelope) return envelope.source == "rules" end,
  run = function(waiting) send(waiting.number) end,
}

rule "No text message once somebody has spoken to them" {
  on = "call_stop",
  when = function(call) return phone.was_answered(call) and phone.id(call.remote_number) end,
  run = function(call) cancel("text back " .. phone.id(call.remote_number)) end,
}

-- A message service that posts what people answer, as { event = "message_received", from, text }.
rule "Opt out by text message" {
  on = "message_received",
  when = function(message)
    local word = tostring(message.text or ""):lower():match "^%s*(%a+)"
    return phone.id(message.from) and (word == "stop" or word == "stopp" or word == "afmelden")
  end,
  run = function(message) records.put("opt_out", phone.id(message.from), { at = time.text(now()) }) end,
}
