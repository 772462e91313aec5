-- luacheck: std rules
-- Matches by `when`, and then finds nothing to do: a run without effects.
local watched = { ["0205550100"] = "Example Hospital", ["0105550111"] = "Example Port" }

rule "Tell the account manager" {
  on   = { "call_postprocess", "call_missed" },
  when = function(call) return call.direction == "outgoing" and call.call_result == "Answered" end,
  run  = function(call)
    local customer = watched[call.remote_number]
    if customer then
      email { to = "accounts@example.org", subject = "{{name}} was called",
              text = "{{name}} was called.", with = { name = customer } }
    end
  end,
}
