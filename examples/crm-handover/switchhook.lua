-- The CRM, and the key to it. Calls may go nowhere else: a rule with a mistyped host is stopped before
-- anything leaves the machine. The token is a file, as a secret store would mount it, with the
-- rights of the engine's user alone; env "CRM_TOKEN" would take it from the environment. Rules see
-- neither: secret "CRM_TOKEN" is all they can say.
return {
  sources = {
    webphone = {
      path = "/hooks/webphone",
      type = { field = "event" },
      key  = { field = "call_id" },
      auth = "none",
    },
  },
  http = {
    allow          = { "crm.example.org" },
    lookup_timeout = "3s",
    per_host       = 2,
  },
  secrets = { CRM_TOKEN = file "crm.token" },
}
