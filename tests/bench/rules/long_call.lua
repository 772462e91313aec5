-- luacheck: std rules
-- Does not match: the call lasted 51 s.
rule "Note long calls" {
  on   = "call_postprocess",
  when = function(call) return (call.duration_sec or 0) > 1800 end,
  run  = function(call)
    records.put("long_calls", call.call_id, { seconds = call.duration_sec, who = call.user_email })
  end,
}
