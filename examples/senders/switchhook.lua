-- One source for each sender. Their secrets lie in files here, so that the example runs as it is; yours
-- come from the environment (env "NAME") or from files that nobody else can read.
return {
  sources = {
    -- A browser webphone, as it is: its events are what the shipped rules are written for.
    webphone = {
      path = "/hooks/webphone",
      type = { field = "event" }, key = { field = "call_id" }, time = { field = "date" },
      auth = { bearer = file "secrets/webphone" },
    },
    -- Whoever keeps to Standard Webhooks; id and time are in its headers.
    voice = {
      path = "/hooks/voice",
      type = { field = "type" }, key = { field = "data.call_id" }, time = { field = "timestamp" },
      auth = { standard_webhooks = file "secrets/voice" },
    },
    github = {
      path = "/hooks/github",
      type = { header = "X-GitHub-Event" }, key = { field = "repository.full_name" },
      dedupe = { header = "X-GitHub-Delivery" },
      auth = { hmac = file "secrets/github", header = "X-Hub-Signature-256", prefix = "sha256=" },
    },
    dialpad = {
      path = "/hooks/dialpad",
      type = { field = "state" }, key = { field = "call_id" }, time = { field = "event_timestamp" },
      auth = { jwt = file "secrets/dialpad", location = "body" },
      normalise = "dialpad",
    },
    aircall = {
      path = "/hooks/aircall",
      type = { field = "event" }, key = { field = "data.id" }, time = { field = "timestamp" },
      auth = { token = file "secrets/aircall", field = "token" },
      normalise = "aircall",
    },
    twilio = {
      path = "/hooks/twilio", body = "form",
      type = { field = "CallStatus" }, key = { field = "CallSid" },
      auth = { basic = { user = "twilio", password = file "secrets/twilio" } },
      normalise = "twilio",
    },
  },
}
