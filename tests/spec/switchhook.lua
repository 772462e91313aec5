-- The configuration of the specs: as shipped, in a fixed time zone, with the senders of senders_spec.lua.
return {
  zone = "Europe/Amsterdam",
  sources = {
    webphone = { path = "/hooks/webphone", type = { field = "event" }, key = { field = "call_id" } },
    dialpad = { path = "/hooks/dialpad", type = { field = "state" }, key = { field = "call_id" },
      time = { field = "event_timestamp" }, body = "jwt", normalise = "dialpad" },
    aircall = { path = "/hooks/aircall", type = { field = "event" }, key = { field = "data.id" },
      time = { field = "timestamp" }, normalise = "aircall" },
    twilio = { path = "/hooks/twilio", type = { field = "CallStatus" }, key = { field = "CallSid" }, body = "form",
      normalise = "twilio" },
  },
}
