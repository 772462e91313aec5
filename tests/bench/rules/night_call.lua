-- luacheck: std rules
-- Does not match: the call was at ten in the morning.
rule "Note a call at night" {
  on   = "call_postprocess",
  when = function(call)
    local at = tostring(call.started_at):match("T(%d%d):")
    return at ~= nil and (tonumber(at) < 6 or tonumber(at) >= 22)
  end,
  run  = function(call)
    records.incr("nights", call.user_email or "unknown", "calls")
  end,
}
