-- luacheck: std rules
-- SPDX-License-Identifier: MIT
-- waiting: summaries that mention waiting times. Matches the sample ("increased waiting times").
rule "Mark calls about waiting times" {
  on   = "call_postprocess",
  when = function(call)
    return (get(call, "analysis.samenvatting") or ""):lower():find("waiting time", 1, true)
  end,
  run  = function(call) records.patch("calls", call.call_id, { about = "waiting times" }) end,
}
