-- luacheck: std rules
-- SPDX-License-Identifier: MIT
-- contact: one record per remote number. Matches the sample.
rule "Remember the last contact" {
  on   = "call_*",
  when = function(call) return call.call_result == "Answered" end,
  run  = function(call)
    records.patch("contacts", call.remote_number, {
      name = call.remote_name, last_call = call.call_id, last_at = call.ended_at,
    })
  end,
}
