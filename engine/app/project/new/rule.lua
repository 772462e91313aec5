-- NAME: say here in a line or two what happens, and why.
rule "NAME" {
  on = "TYPE",
  when = function(event)
    return event.direction ~= "outgoing"
  end,
  run = function(event, envelope)
    records.patch("SLUG", envelope.key, { seen = true, direction = event.direction })
  end,
}
