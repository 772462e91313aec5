-- luacheck: std rules
-- Does not match: the sentiment is neutral.
local negative = { negative = true, negatief = true, angry = true, boos = true }

rule "Call back after a negative call" {
  on   = "call_postprocess",
  when = function(call)
    local mood = get(call, "analysis.sentiment")
    return type(mood) == "string" and negative[mood:lower()] == true
  end,
  run  = function(call)
    callback { number = call.remote_number, name = call.remote_name, due = now() + 2 * hour,
               assignee = call.user_email, reason = get(call, "analysis.samenvatting") }
    records.patch("calls", call.call_id, { follow_up = "callback" })
  end,
}
