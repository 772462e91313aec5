-- What a call's fields mean, whichever words the sender uses.
--
--   local phone = require "phone"
--   phone.address(call.user_email)
--   phone.is_incoming(call)      phone.was_answered(call)      phone.kind(call.remote_number)
--   phone.id(call.remote_number)                phone.to_call(call.remote_number)
--   phone.ended_at(call)         phone.spoken_to_since(call)
--   phone.text(call.remote_name)
--
-- A sender may leave out any field, or fill it with anything: what is no number here counts as withheld.
local settings = require "settings"
local phone = {}

local LONGEST_NUMBER = 64 -- bytes, with all its blanks and dashes
local LONGEST_TEXT = 200 -- letters

-- What a sender wrote as one line for people to read, cut after 200 letters or so many as `most` says;
-- nil if it is no text, or nothing. So one field cannot use up what a run may write.
function phone.text(value, most)
  if type(value) ~= "string" and type(value) ~= "number" then return nil end
  local text = tostring(value)
  most = most or LONGEST_TEXT
  local stop = #text > most and utf8.offset(text, most + 1)
  if stop then text = text:sub(1, stop - 1) end
  text = text:gsub("%c", " "):gsub("^%s+", ""):gsub("%s+$", "")
  return text ~= "" and text or nil
end

local incoming = { incoming = true, inbound = true, ["in"] = true, inkomend = true, inkomende = true }

local answered = {
  answered = true, completed = true, ["call completed"] = true, connected = true,
  beantwoord = true, opgenomen = true, aangenomen = true,
}

local unanswered = {
  missed = true, ["missed call"] = true, ["no answer"] = true, noanswer = true, no_answer = true,
  ["not answered"] = true, unanswered = true, busy = true, rejected = true, declined = true,
  cancelled = true, canceled = true, failed = true, voicemail = true, abandoned = true,
  gemist = true, ["gemiste oproep"] = true, ["geen gehoor"] = true, ["niet opgenomen"] = true,
  ["niet beantwoord"] = true, onbeantwoord = true, bezet = true, geweigerd = true,
  geannuleerd = true,
}

-- Lower case, no space around; "" for anything that is not text.
local function word(value)
  if type(value) ~= "string" then return "" end
  return (value:lower():gsub("^%s+", ""):gsub("%s+$", ""))
end

function phone.is_incoming(call)
  return incoming[word(call.direction)] or false
end

-- A word that is not known, or none at all, leaves the duration to decide.
function phone.was_answered(call)
  local result = word(call.call_result)
  if answered[result] then return true end
  if unanswered[result] then return false end
  local seconds = tonumber(call.duration_sec)
  return seconds ~= nil and seconds > 0
end

-- "withheld": nobody to call back. "internal": an extension of the own telephone system (up to
-- five digits). "external": everyone else.
function phone.kind(number)
  local text = type(number) == "string" and number or math.tointeger(number) and tostring(number) or ""
  if #text > LONGEST_NUMBER or text:find "%c" then return "withheld" end
  local digits = text:gsub("%D", "")
  if digits == "" then return "withheld" end -- "", "anonymous", "Anoniem", "unknown", nothing
  if text:find("%a") and not text:find("^%a+:") then return "withheld" end
  return #digits <= 5 and "internal" or "external"
end

-- The number as an id for records: digits alone, "00" and "+" the same, and with settings.country also
-- "06.." and "+316.."; nil if there is no number.
function phone.id(number)
  if phone.kind(number) == "withheld" then return nil end
  local text = tostring(number):gsub("[^%d+()]", "")
  local abroad = text:find "^%(?%+" or text:find "^00"
  if abroad then text = text:gsub("%(0%)", "") end -- "+31 (0)6": the 0 is for calls within the country
  local digits = text:gsub("%D", "")
  if text:find "^%(?%+" then return "+" .. digits end
  if abroad then return "+" .. digits:sub(3) end
  if settings.country and digits:sub(1, 1) == "0" then return "+" .. settings.country .. digits:sub(2) end
  return digits
end

-- The number for a callback: as sent, or, with settings.country, the one spelling of them all.
function phone.to_call(number)
  return settings.country and phone.kind(number) == "external" and phone.id(number) or number
end

-- When the call was over by the sender's clock; now() if it does not say, or says a time to come.
function phone.ended_at(call)
  for _, field in ipairs { "ended_at", "date", "started_at" } do
    local t = type(call[field]) == "string" and time.parse(call[field])
    if t then return math.min(t, now()) end
  end
  return now()
end

-- Has somebody spoken to them after that call? Events may come out of order: the end of the call back
-- before the missed one's. (escalation.lua writes it down.)
function phone.spoken_to_since(call)
  local known = records.get("spoken_to", phone.id(call.remote_number))
  return known and known.at > phone.ended_at(call)
end

-- The text if it can be a mail address, else nil: a rule that hands anything else to email{} fails.
function phone.address(text)
  if type(text) ~= "string" or #text > 254 then return nil end
  return text:match("^[%w!#$%%&'*+/=?^_`{|}~.-]+@[%w.-]+%w$")
end

return phone
