-- SPDX-License-Identifier: MIT
-- api_effects.lua: the rule API described: what a run asks for. See api_rules.lua.
local WHICH = {
  { "id", "string", "The callback of that id." },
  { "key", "string", "The callback of that key of yours." },
  { "number", "string|integer", "All callbacks of the number that are not closed." },
  { "note", "string", "Kept with the callback." },
}

local function which(more)
  local list = {}
  for i = 1, #WHICH do list[i] = WHICH[i] end
  for i = 1, #more do list[#list + 1] = more[i] end
  return list
end

local HTTP = [[
http.%s {
  url  = "https://crm.example.org/calls/" .. http.escape(call.call_id),
  json = { outcome = call.outcome },
}]]

local function delivery(method, summary)
  return {
    name = "http." .. method, use = "effect", summary = summary,
    text = "Queued with the run and retried until the other side has it; at least once, with a stable "
      .. "`Idempotency-Key`. See [http-calls.md](../http-calls.md).",
    params = { { "call", "switchhook.HttpCall", "What is sent." } }, returns = {},
    errors = { { "http." .. method .. ' { uri = "https://crm.example.org" }',
      "http." .. method .. ": unknown field 'uri' (did you mean 'url'?)" } },
    example = HTTP:format(method),
  }
end

return {
  {
    id = "effects", title = "Records, events, timers",
    text = "What a run asks for happens together with everything else it asked for, and only when it ends "
      .. "well. Collections are named `[a-z][a-z0-9_]*`, at most 64 bytes. A document is a table with named "
      .. "fields that JSON can hold.",
    classes = {
      {
        name = "TimerOptions", args = { { "after", 4 } }, text = "The fourth argument of `after`.",
        fields = {
          { "name", "string", "A timer of the same name is replaced; `cancel(name)` removes it." },
          { "zone", "string", "Of a local time; default: the configured one." },
        },
      },
    },
    entries = {
      {
        name = "records.put", use = "effect", summary = "Stores a document.",
        params = { { "collection", "string", "Its name." }, { "id", "string|integer", "1 to 1,024 bytes." },
          { "doc", "table<string, any>", "The whole document." } }, returns = {},
        errors = { { 'records.put("calls", 1, { notes = { 1, 2, print } })',
          "records.put: doc.notes[3] is a function, which JSON cannot hold" } },
        example = 'records.put("calls", call.call_id, { number = call.remote_number })',
      },
      {
        name = "records.patch", use = "effect", summary = "Merges fields into a document (RFC 7396).",
        text = "json.null removes a field; a document that is not there is made.",
        params = { { "collection", "string", "Its name." }, { "id", "string|integer", "1 to 1,024 bytes." },
          { "doc", "table<string, any>", "The fields to change." } }, returns = {},
        errors = { { 'records.patch("calls", 1)', "records.patch: the document must be a table, got nothing" } },
        example = 'records.patch("calls", call.call_id, { follow_up = "callback" })',
      },
      {
        name = "records.delete", use = "effect", summary = "Removes a document; none is no error.",
        params = { { "collection", "string", "Its name." }, { "id", "string|integer", "1 to 1,024 bytes." } },
        returns = {},
        example = 'records.delete("calls", call.call_id)',
      },
      {
        name = "records.incr", use = "effect", summary = "Adds to a number in a document.",
        text = "A field or document that is missing counts as 0. Two runs at once both count.",
        params = { { "collection", "string", "Its name." }, { "id", "string|integer", "1 to 1,024 bytes." },
          { "field", "string", "Of the document." }, { "n", "number", "Default 1.", optional = true } },
        returns = {},
        errors = { { 'records.incr("calls", 1, "n", "m")', "records.incr: 'n' must be a number, got a string" } },
        example = 'records.incr("callers", call.remote_number, "calls")',
      },
      {
        name = "emit", use = "effect", summary = "A new event of source `rules`.",
        text = "It is one step further from the event that came in; more than 16 steps are refused.",
        params = { { "type", "string", "1 to 256 bytes." },
          { "data", "table<string, any>", "Its body.", optional = true } }, returns = {},
        errors = { { "emit(5)", "emit: the event type must be a text, as in emit(\"type\", { ... }), got a number" } },
        example = 'emit("repeat_caller", { number = call.remote_number })',
      },
      {
        name = "after", use = "effect", summary = "A timer: an event of that type later.",
        text = "Durable; the event has the key of this one. A timer of the same name is replaced. A number below "
          .. "the year 2000 is seconds from now. See [timers.md](../timers.md).",
        params = { { "when", "switchhook.Time", "When it fires." }, { "type", "string", "Of the event." },
          { "data", "table<string, any>", "Its body.", optional = true },
          { "options", "switchhook.TimerOptions", "", optional = true } }, returns = {},
        errors = { { 'after("2h", "x", {}, { nmae = "n" })', "after: unknown field 'nmae' (did you mean 'name'?)" } },
        example = [[
after("15m", "call_reminder", { number = call.remote_number },
  { name = "reminder " .. call.remote_number })]],
      },
      {
        name = "cancel", use = "effect", summary = "Removes the timer of that name, if there is one.",
        params = { { "name", "string", "As given to `after`." } }, returns = {},
        example = 'cancel("reminder " .. call.remote_number)',
      },
    },
  },
  {
    id = "callbacks", title = "Callbacks",
    text = "A phone call that a person should make. [callbacks.md](../callbacks.md) tells of its life.",
    classes = {
      {
        name = "Callback", args = { { "callback", 1 } }, text = "The call to be made.",
        fields = {
          { "number", "string|integer", "As people write it.", required = true },
          { "due", "switchhook.Time", "When the call should be made.", required = true },
          { "zone", "string", "Of a local time, and of the times in the email." },
          { "name", "string", "Whom to ask for." },
          { "assignee", "string", "Who is to call; a mail address gets the invitation." },
          { "reason", "string", "Why; number and reason together make it one callback." },
          { "completes", "\"answered\"", "`callbacks.answered(number)` completes it." },
          { "minutes", "integer", "How long it takes in the calendar, 1 to 1,440; default 15." },
          { "email", "boolean", "false: nobody is mailed." },
          { "key", "string", "Your own name for it: the key alone says which one is meant." },
        },
      },
      { name = "CallbackRef", args = { { "callbacks.done", 1 }, { "callbacks.cancel", 1 } },
        text = "Which callbacks: exactly one of id, key and number.", fields = WHICH },
      { name = "CallbackSnooze", args = { { "callbacks.snooze", 1 } },
        text = "Which callbacks, and until when.",
        fields = which { { "due", "switchhook.Time", "The new time.", required = true },
          { "zone", "string", "Of a local time." } } },
      { name = "CallbackReassign", args = { { "callbacks.reassign", 1 } },
        text = "Which callbacks, and to whom.",
        fields = which { { "assignee", "string", "Who is to call now.", required = true } } },
    },
    entries = {
      {
        name = "callback", use = "effect", summary = "A phone call that a person should make.",
        text = "One for the same number and reason as an open one changes that one and keeps the earlier time.",
        params = { { "call", "switchhook.Callback", "The call." } }, returns = {},
        errors = { { "callback { due = now() }", "callback: 'number' must be a text (or a whole number), got nil" },
          { 'callback { nummer = "1", due = now() }', "callback: unknown field 'nummer' (did you mean 'number'?)" } },
        example = [[
callback {
  number    = call.remote_number,
  name      = call.remote_name,
  due       = now() + 2 * hour,
  assignee  = call.user_email,
  reason    = "Missed call",
  completes = "answered",
}]],
      },
      {
        name = "callbacks.done", use = "effect", summary = "They are done. None found is no error.",
        params = { { "which", "switchhook.CallbackRef", "Which ones." } }, returns = {},
        errors = { { 'callbacks.done { note = "x" }',
          "callbacks.done: one of 'id', 'key' and 'number' must say which callback, got none" } },
        example = 'callbacks.done { id = call.id, note = "Will order in May" }',
      },
      {
        name = "callbacks.cancel", use = "effect", summary = "They are not to be made any more.",
        params = { { "which", "switchhook.CallbackRef", "Which ones." } }, returns = {},
        example = 'callbacks.cancel { key = "ticket 5" }',
      },
      {
        name = "callbacks.snooze", use = "effect", summary = "They are put off.",
        params = { { "which", "switchhook.CallbackSnooze", "Which ones, and until when." } }, returns = {},
        example = 'callbacks.snooze { number = call.remote_number, due = "2h" }',
      },
      {
        name = "callbacks.reassign", use = "effect", summary = "Somebody else is to make them.",
        params = { { "which", "switchhook.CallbackReassign", "Which ones, and to whom." } }, returns = {},
        example = 'callbacks.reassign { id = call.id, assignee = "joris@example.org" }',
      },
      {
        name = "callbacks.answered", use = "effect",
        summary = "Completes the open ones of the number that have `completes = \"answered\"`.",
        params = { { "number", "string|integer", "As people write it." } }, returns = {},
        example = "callbacks.answered(call.remote_number)",
      },
    },
  },
  {
    id = "email", title = "Email",
    text = "Kept in the outbox, retried, sent at least once with a stable Message-ID. See [email.md](../email.md).",
    classes = {
      {
        name = "Email", args = { { "email", 1 } },
        text = "An email. `{{a.b}}` in subject, text, html and in the invitation's summary, description and "
          .. "location is filled from `with`; in html it is escaped.",
        fields = {
          { "to", "string|string[]", "Address or addresses; one of to, cc and bcc is needed." },
          { "cc", "string|string[]", "Address or addresses." },
          { "bcc", "string|string[]", "Address or addresses, hidden from the others." },
          { "reply_to", "string", "Where answers go." },
          { "subject", "string", "One line." },
          { "text", "string", "The plain text; text or html or both." },
          { "html", "string", "The same as HTML." },
          { "with", "table<string, any>", "What fills `{{...}}`." },
          { "attachments", "switchhook.Attachment[]", "At most 20, 700 KiB together." },
          { "invitation", "switchhook.Invitation", "An appointment for the calendar." },
          { "notify", "string", "Rules hear how it ended: events `delivery_succeeded`, `delivery_failed`." },
          { "key", "string", "Your own key in place of the computed one." },
        },
      },
      {
        name = "Attachment", within = "email.attachments", text = "A file with the email.",
        fields = {
          { "name", "string", "Of the file, without a folder.", required = true },
          { "type", "string", "Media type, such as `text/csv`.", required = true },
          { "text", "string", "The content, or" },
          { "base64", "string", "the content in base64." },
        },
      },
      {
        name = "Invitation", within = "email.invitation", text = "An appointment (RFC 5545).",
        fields = {
          { "uid", "string", "The same again is the same appointment.", required = true },
          { "summary", "string", "Its title.", required = true },
          { "start", "switchhook.Time", "When it begins.", required = true },
          { "finish", "switchhook.Time", "When it ends; or" },
          { "minutes", "integer", "how long it takes; default 15." },
          { "zone", "string", "Of local times; default: the configured one." },
          { "description", "string", "More text." },
          { "location", "string", "Where." },
          { "url", "string", "With its scheme." },
          { "method", "\"REQUEST\"|\"CANCEL\"|\"PUBLISH\"", "Default `REQUEST`." },
          { "status", "\"CONFIRMED\"|\"TENTATIVE\"|\"CANCELLED\"", "Default `CONFIRMED`." },
          { "organizer", "string", "Address; default: the sender." },
          { "attendees", "string|string[]", "Addresses; default: those in to and cc." },
          { "sequence", "integer", "Higher for each update; default 0." },
          { "alarm_minutes", "integer", "A reminder so long before." },
        },
      },
    },
    entries = {
      {
        name = "email", use = "effect", summary = "Sends an email.",
        text = "A bad address, or a line break in the subject, fails the run at this line.",
        params = { { "mail", "switchhook.Email", "The email." } }, returns = {},
        errors = { { 'email { to = "a@example.org", subjet = "s" }', "email: unknown field 'subjet' (did you mean 'subject'?)" },
          { 'email { to = "a@example.org", subject = "s", text = "{{x", with = {} }',
            "email: 'text': '{{' at byte 1 has no '}}'" } },
        example = [[
email {
  to      = call.user_email,
  subject = "Please call {{remote_name}} back",
  text    = "{{remote_name}} ({{remote_number}}) sounded unhappy.",
  with    = call,
}]],
      },
    },
  },
  {
    id = "http", title = "Calls to other systems",
    text = "Deliveries are queued with the run and retried; `http.get` asks while the run waits.",
    classes = {
      {
        name = "HttpCall",
        args = { { "http.post", 1 }, { "http.put", 1 }, { "http.patch", 1 }, { "http.delete", 1 } },
        text = "A delivery. One of json, form and body at most.",
        fields = {
          { "url", "string", "http or https, percent-encoded.", required = true },
          { "query", "table<string, any>", "`{ name = value or list }`, encoded and put behind the url." },
          { "headers", "table<string, any>", "`{ Name = value or list }`." },
          { "json", "any", "Sent as JSON." },
          { "form", "table<string, any>", "Sent as a form." },
          { "body", "string", "Sent as it is." },
          { "key", "string", "Your own key in place of the computed one." },
          { "notify", "string", "Rules hear how it ended: events `delivery_succeeded`, `delivery_failed`." },
          { "timeout", "switchhook.Duration", "Of one attempt, at most 60 s." },
          { "redirects", "integer", "So many 307 and 308 of the same host are followed, up to 5; default 0." },
        },
      },
      {
        name = "HttpQuery", args = { { "http.get", 1 } }, text = "A look-up.",
        fields = {
          { "url", "string", "http or https, percent-encoded.", required = true },
          { "query", "table<string, any>", "`{ name = value or list }`, encoded and put behind the url." },
          { "headers", "table<string, any>", "`{ Name = value or list }`." },
          { "timeout", "switchhook.Duration", "At most 60 s." },
          { "cache", "switchhook.Duration", "An answer that is no older will do; a day at most." },
          { "redirects", "integer", "So many are followed, up to 5; default 0." },
        },
      },
      {
        name = "HttpAnswer", text = "What `http.get` gives.",
        fields = {
          { "ok", "boolean", "Status 200 to 299.", required = true },
          { "status", "integer", "0 if nothing was answered.", required = true },
          { "headers", "table<string, string>", "Names in lower case.", required = true },
          { "body", "string", "As text.", required = true },
          { "json", "any", "The body decoded, if it is JSON." },
          { "error", "string", "Why nothing was answered." },
          { "cached", "boolean", "It was asked before.", required = true },
          { "cut", "boolean", "true: the body was longer than the limit." },
        },
      },
    },
    entries = {
      delivery("post", "Queues a POST to another system."),
      delivery("put", "Queues a PUT to another system."),
      delivery("patch", "Queues a PATCH to another system."),
      delivery("delete", "Queues a DELETE to another system."),
      {
        name = "http.get", use = "read", summary = "Asks another system, and waits for the answer.",
        text = "Never raises for what the other side does. Question and answer are kept with the run. 50 look-ups "
          .. "and 4 MiB of answers a run.",
        params = { { "query", "switchhook.HttpQuery|string", "What to ask, or the url alone." } },
        returns = { { "switchhook.HttpAnswer", "The answer." } },
        errors = { { 'for i = 1, 51 do http.get "https://crm.example.org" end', "budget of 50 http.get exceeded" } },
        example = [[
local who = http.get {
  url   = "https://crm.example.org/contacts",
  query = { phone = call.remote_number },
  cache = "10m",
}
if who.ok then log.info(who.json) end]],
      },
      {
        name = "http.escape", use = "any", summary = "A text percent-encoded, for a url.",
        params = { { "text", "string|number", "Any text." } }, returns = { { "string", "The encoded text." } },
        example = 'local url = "https://crm.example.org/calls/" .. http.escape(call.call_id)',
      },
    },
  },
  {
    id = "reads", title = "Reads of records",
    text = "A read sees the world as committed before, plus the run's own writes. It waits, so it cannot stand in a "
      .. "function that `table.sort`, `string.gsub` or a metamethod calls.",
    classes = {
      {
        name = "FindOptions", args = { { "records.find", 3 } }, text = "How many, in which order.",
        fields = {
          { "limit", "integer", "1 to 1,000; default 100." },
          { "order", "string", "A field path or `id`, with `-` for descending; ties by id." },
        },
      },
    },
    entries = {
      {
        name = "records.get", use = "read", summary = "A document, or nil.",
        params = { { "collection", "string", "Its name." }, { "id", "string|integer", "Of the document." } },
        returns = { { "table<string, any>?", "A fresh table." } },
        example = 'local known = records.get("callers", call.remote_number)',
      },
      {
        name = "records.find", use = "read", summary = "The documents that match, and their ids.",
        text = "`{ status = \"open\", [\"a.b\"] = { gte = 5, lt = 9 } }` with eq ne lt lte gt gte; json.null matches "
          .. "an absent field; a value of another type never matches (but for ne).",
        params = { { "collection", "string", "Its name." },
          { "filter", "table<string, any>", "Paths and what they must be; default: all.", optional = true },
          { "options", "switchhook.FindOptions", "", optional = true } },
        returns = { { "table<string, any>[]", "The documents." }, { "string[]", "Their ids." } },
        errors = { { 'records.find("calls", {}, { sort = "a" })',
          "records.find: unknown field 'sort' (expected limit or order)" } },
        example = [[
local open, ids = records.find("calls", { status = "open" }, { limit = 20, order = "-started_at" })
for i, doc in ipairs(open) do log.info(ids[i], doc.number) end]],
      },
    },
  },
}
