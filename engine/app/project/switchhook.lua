-- The configuration of this engine. Every key and its default: docs/configuration.md of switchhook.
-- `switchhook check` reads it and says what is wrong.
return {
  -- Where webhooks come in. Others reach it through a reverse proxy with TLS, which is named here so
  -- that its word on where they come from is taken; or over TLS of the engine's own.
  listen = "127.0.0.1:8080",
  -- trusted_proxies = { "127.0.0.1" },
  -- tls = { cert = "/etc/switchhook/fullchain.pem", key = "/etc/switchhook/key.pem" },

  -- Opening hours (scripts/opening_hours.lua) and times without a zone are meant in this one.
  zone = "Europe/Amsterdam",

  -- Who sends events, and how they prove it. The default is one source, `webphone`, at /hooks/webphone,
  -- that anybody on this machine may post to. Before others can reach it, let senders know a secret
  -- (`openssl rand -base64 32`; env "NAME" takes it from the environment, not from this file), or have
  -- them sign what they send: docs/authentication.md. docs/senders.md has GitHub, Dialpad, Aircall, Twilio.
  -- sources = {
  --   webphone = { path = "/hooks/webphone", auth = { bearer = env "WEBPHONE_TOKEN" },
  --     type = { field = "event" }, key = { field = "call_id" } },
  -- },

  -- The calling code of the country that numbers without one belong to: `switchhook forget` needs it.
  -- country = "31",

  -- How long what is over is kept. Records stay unless an age is given: docs/privacy.md.
  -- retain = { events = "90d", records = { calls = "2y" } },

  -- Fields that the log, viewers of the API and `--mask` do not show, besides telephone numbers.
  -- mask = { fields = { "remote_name", "transcription", "analysis.*" } },

  -- Emails are written as files under var/mail/ until a server is named.
  -- mail = { smtp = "smtp://mail.example.org:587", from = "Calls <calls@example.org>",
  --   username = "calls", password = env "SMTP_PASSWORD" },

  -- Texts that rules may send but never see: secret "SMS_TOKEN".
  -- secrets = { SMS_TOKEN = env "SMS_TOKEN" },
}
