-- luacheck: std rules
-- Does not match: another type.
rule "Open the call" {
  on  = "call_start",
  run = function(call)
    records.patch("calls", call.call_id, { started_at = call.started_at, state = "open" })
  end,
}
