-- The configuration of this engine. Every key and its default: docs/configuration.md of switchhook.
-- `switchhook check` reads it and says what is wrong.
return {
  -- Where webhooks come in. Others reach it through a reverse proxy with TLS.
  listen = "127.0.0.1:8080",

  -- Opening hours (scripts/opening_hours.lua) and times without a zone are meant in this one.
  zone = "Europe/Amsterdam",

  -- Who sends events. The default is one source, `webphone`, at /hooks/webphone. For others, or with
  -- a token that senders must know (env "NAME" takes it from the environment, not from this file):
  -- sources = {
  --   webphone = { path = "/hooks/webphone", auth = { bearer = env "WEBPHONE_TOKEN" },
  --     type = { field = "event" }, key = { field = "call_id" } },
  -- },

  -- Emails are written as files under var/mail/ until a server is named.
  -- mail = { smtp = "smtp://mail.example.org:587", from = "Calls <calls@example.org>",
  --   username = "calls", password = env "SMTP_PASSWORD" },

  -- Texts that rules may send but never see: secret "SMS_TOKEN".
  -- secrets = { SMS_TOKEN = env "SMS_TOKEN" },
}
