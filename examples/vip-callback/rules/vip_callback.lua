-- A missed call is called back: a VIP within 15 minutes, by their account manager, who is told at
-- once; anybody else within 4 hours, by the colleague whose phone rang.
local vip = require "vip"

local function is_missed(call)
  return call.direction == "incoming" and call.call_result == "Missed"
    and vip.number(call.remote_number) ~= nil
end

rule "Call a VIP back" {
  on   = "call_stop",
  when = function(call) return is_missed(call) and vip.find(call.remote_number) ~= nil end,
  run  = function(call)
    local customer = vip.find(call.remote_number)
    callback {
      number   = vip.number(call.remote_number),
      name     = customer.name,
      due      = now() + 15 * minute,
      assignee = customer.manager,
      reason   = "Missed call of a VIP",
    }
    email {
      to      = customer.manager,
      subject = "{{remote_name}} called and nobody answered",
      text    = "Please call {{remote_number}} back within 15 minutes.\n",
      with    = call,
    }
  end,
}

rule "Call anybody else back" {
  on   = "call_stop",
  when = function(call) return is_missed(call) and not vip.find(call.remote_number) end,
  run  = function(call)
    callback {
      number   = vip.number(call.remote_number),
      name     = call.remote_name,
      due      = now() + 4 * hour,
      assignee = call.user_email,
      reason   = "Missed call",
    }
  end,
}
