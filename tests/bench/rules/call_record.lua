-- luacheck: std rules
-- Matches: the one record that every call of the load leaves.
rule "Keep the call" {
  on  = "call_postprocess",
  run = function(call, event)
    records.patch("calls", call.call_id, {
      direction  = call.direction,
      result     = call.call_result,
      started_at = call.started_at,
      ended_at   = call.ended_at,
      seconds    = call.duration_sec,
      customer   = { name = call.remote_name, number = call.remote_number },
      agent      = call.user_email,
      summary    = get(call, "analysis.samenvatting"),
      sentiment  = get(call, "analysis.sentiment"),
      noted      = event.received_at,
    })
  end,
}
