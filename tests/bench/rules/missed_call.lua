-- luacheck: std rules
-- Does not match: another type.
rule "Call back a missed call" {
  on   = "call_stop",
  when = function(call)
    return call.direction == "incoming" and call.call_result ~= "Answered"
      and call.remote_number ~= nil
  end,
  run  = function(call)
    callback { number = call.remote_number, name = call.remote_name, due = now() + 30 * minute }
  end,
}
