-- What a call's fields mean, whichever words the sender uses.
--
--   local phone = require "phone"
--   phone.address(call.user_email)
--   phone.is_incoming(call)      phone.was_answered(call)      phone.kind(call.remote_number)
--   phone.id(call.remote_number)
local phone = {}

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
  local digits = tostring(number or ""):gsub("%D", "")
  if digits == "" then return "withheld" end -- "", "anonymous", "Anoniem", "unknown", nothing
  if tostring(number):find("%a") and not tostring(number):find("^%a+:") then return "withheld" end
  return #digits <= 5 and "internal" or "external"
end

-- The number as an id for records: digits alone, "00" and "+" the same; nil if there is no number.
function phone.id(number)
  if phone.kind(number) == "withheld" then return nil end
  local text = tostring(number):gsub("[^%d+]", "")
  local digits = text:gsub("%D", "")
  if text:sub(1, 1) == "+" then return "+" .. digits end
  if digits:sub(1, 2) == "00" then return "+" .. digits:sub(3) end
  return digits
end

-- The text if it can be a mail address, else nil: a rule that hands anything else to email{} fails.
function phone.address(text)
  if type(text) ~= "string" then return nil end
  return text:match("^[%w!#$%%&'*+/=?^_`{|}~.-]+@[%w.-]+%w$")
end

return phone
