-- A customer hung up unhappy: somebody calls back in two hours, or when the team is there again, and
-- the colleague who spoke to them hears of it.
local analysis = require "analysis"
local hours = require "hours"
local phone = require "phone"
local sentiment = require "sentiment"

rule "Call back after a negative call" {
  on = "call_postprocess",
  when = function(call) return sentiment.of(call) == "negative" end,
  run = function(call)
    if records.get("follow_ups", call.call_id) then return end -- the same call, analysed once more

    local summary = analysis.summary(call) or "(the analysis has no summary)"
    local name, number = phone.text(call.remote_name), phone.text(call.remote_number)
    local colleague = phone.address(call.user_email)
    local can_call = phone.kind(call.remote_number) ~= "withheld"
    if can_call then
      callback {
        number   = phone.to_call(call.remote_number),
        name     = name,
        due      = hours.next_open(now() + 2 * hour),
        assignee = colleague,
        reason   = summary,
        completes = "answered",
      }
    end
    if colleague then
      email {
        to      = colleague,
        subject = "Please call {{name}} back",
        text    = "{{name}} ({{number}}) sounded unhappy.\n\n{{summary}}\n",
        with    = { name = name or number, number = number, summary = summary },
      }
    end
    local follow_up = can_call and "callback" or "no number"
    records.put("follow_ups", call.call_id, { kind = follow_up, why = "negative sentiment" })
    records.patch("calls", call.call_id, { follow_up = follow_up })
  end,
}
