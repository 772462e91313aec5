-- luacheck: std rules
-- Does not match: another family of types.
rule "Answer a text message" {
  on  = { "message_*", "sms" },
  run = function(message)
    email { to = "desk@example.org", subject = "Message from {{from}}", text = "{{body}}",
            with = message }
  end,
}
