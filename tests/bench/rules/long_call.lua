-- luacheck: std rules
-- Does not match: 51 seconds.
rule "Review a long call" {
  on   = "call_*",
  when = function(call) return (tonumber(call.duration_sec) or 0) > 1800 end,
  run  = function(call)
    records.put("reviews", call.call_id, { minutes = call.duration_sec // 60, by = call.user_email })
  end,
}
