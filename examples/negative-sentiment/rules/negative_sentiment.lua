-- A customer hung up unhappy: the colleague who spoke to them calls back within two hours.
rule "Call back after a negative call" {
  on   = "call_postprocess",
  when = function(call) return get(call, "analysis.sentiment") == "negative" end,
  run  = function(call)
    callback {
      number   = call.remote_number,
      name     = call.remote_name,
      due      = now() + 2 * hour,
      assignee = call.user_email,
      reason   = get(call, "analysis.samenvatting"),
    }
    email {
      to      = call.user_email,
      subject = "Please call {{remote_name}} back",
      text    = "{{remote_name}} ({{remote_number}}) sounded unhappy.\n\n{{analysis.samenvatting}}",
      with    = call, -- the table that fills {{...}}
    }
    records.patch("calls", call.call_id, { follow_up = "callback" })
  end,
}
