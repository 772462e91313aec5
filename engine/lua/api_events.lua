-- SPDX-License-Identifier: MIT
-- api_events.lua: the rule API described: events that the engine makes, modules that are shipped. See
-- api_rules.lua. A topic may have events = { { type, when, class }, .. }, and a module's name.
local T = "number"

return {
  {
    id = "events", title = "Events of the engine",
    text = "Besides what senders post, rules hear of these. Their source is `engine`, of timers `rules`, of clock "
      .. "rules `clock`; their key is that of the event they come from. A "
      .. "sender can post an event of any of these types to its own source: a rule that must not take one for the "
      .. "engine's asks `when = function(e, envelope) return envelope.source == \"engine\" end` (for what a timer or "
      .. "`emit` brings: `\"rules\"`).",
    events = {
      { "callback_due", "The time of a callback has come; once for each time it is put off.", "CallbackEvent" },
      { "callback_missed", "It was due for `missed_after`, and nobody did anything.", "CallbackEvent" },
      { "callback_done", "A rule or a person completed it.", "CallbackEvent" },
      { "callback_cancelled", "A rule or a person cancelled it.", "CallbackEvent" },
      { "callback_snoozed", "A rule or a person put it off.", "CallbackEvent" },
      { "callback_reassigned", "A rule or a person gave it to another.", "CallbackEvent" },
      { "delivery_succeeded", "A delivery with `notify` was taken.", "DeliveryEvent" },
      { "delivery_failed", "A delivery with `notify` was given up.", "DeliveryEvent" },
      { "rule_paused", "A rule failed too often in a row; its events wait for it.", "RulePausedEvent" },
      { "clock", "A rule with `every` is due; it alone sees it.", "ClockEvent" },
    },
    classes = {
      {
        name = "CallbackEvent", text = "The body of callback_due and the others.",
        fields = {
          { "id", "string", "Of the callback.", required = true },
          { "number", "string", "Whom to call.", required = true },
          { "due_at", "string", "RFC 3339, UTC.", required = true },
          { "status", "string", "scheduled, snoozed, due, missed, done or cancelled.", required = true },
          { "minutes", "integer", "How long it takes.", required = true },
          { "event_id", "string", "The event whose rule asked for it.", required = true },
          { "rule", "string", "The rule that asked for it.", required = true },
          { "key", "string", "The rule's own key." },
          { "name", "string", "Whom to ask for." },
          { "assignee", "string", "Who is to call." },
          { "reason", "string", "Why." },
          { "note", "string", "What was noted last." },
          { "by", "string", "Who did it: a rule's name, `person`, or the name given." },
        },
      },
      {
        name = "DeliveryEvent", text = "The body of delivery_succeeded and delivery_failed.",
        fields = {
          { "notify", "string", "As the rule gave it.", required = true },
          { "kind", "\"http\"|\"email\"", "What was delivered.", required = true },
          { "to", "string", "Where.", required = true },
          { "status", "integer", "Of the last answer, if there was one." },
          { "attempts", "integer", "So many.", required = true },
          { "error", "string", "Why it was given up." },
          { "answer", "string", "The beginning of the last answer." },
          { "idempotency_key", "string", "As it was sent.", required = true },
          { "event_id", "string", "The event whose rule asked for it.", required = true },
          { "rule", "string", "The rule that asked for it.", required = true },
        },
      },
      {
        name = "RulePausedEvent", text = "The body of rule_paused.",
        fields = {
          { "rule", "string", "The rule that is paused.", required = true },
          { "failures", "integer", "So many in a row.", required = true },
          { "error", "string", "The last one.", required = true },
          { "event_id", "string", "The event it failed on last.", required = true },
          { "event_type", "string", "Of that event.", required = true },
          { "generation", "string", "The rule set it ran under.", required = true },
          { "paused_at", "string", "RFC 3339, UTC.", required = true },
        },
      },
      {
        name = "ClockEvent", text = "The body of a clock rule's event.",
        fields = {
          { "rule", "string", "The rule's name.", required = true },
          { "due_at", "string", "RFC 3339, UTC.", required = true },
          { "every", "string", "As the rule says.", required = true },
        },
      },
    },
    entries = {},
    example = [[
rule "Tell of a paused rule" {
  on   = "rule_paused",
  when = function(e, envelope) return envelope.source == "engine" end,
  run  = function(e)
    email {
      to      = "ops@example.org",
      subject = "Rule {{rule}} is paused",
      text    = "It failed {{failures}} times in a row.\n\n{{error}}\n",
      with    = e,
    }
  end,
}]],
  },
  {
    id = "modules", title = "Modules that are shipped",
    text = "Files in `scripts/`, yours to change. `local hours = require \"hours\"` makes them known.",
    entries = {
      { name = "hours.open", module = "hours", use = "any", summary = "Is it open?",
        params = { { "t", T, "Seconds since 1970." } }, returns = { { "boolean", "" } } },
      { name = "hours.next_open", module = "hours", use = "any",
        summary = "The time itself while open, else when it opens.",
        params = { { "t", T, "Seconds since 1970." } }, returns = { { T, "Seconds since 1970." } } },
      { name = "hours.next_close", module = "hours", use = "any", summary = "When it closes next; nil: never.",
        params = { { "t", T, "Seconds since 1970." } }, returns = { { "number?", "Seconds since 1970." } } },
      { name = "hours.add", module = "hours", use = "any", summary = "A time later, in business hours or days or plainly.",
        params = { { "t", T, "Seconds since 1970." },
          { "span", "string|number", "`\"2 business hours\"`, `\"3 business days\"`, `\"90m\"`, seconds." } },
        returns = { { T, "Seconds since 1970." } } },
      { name = "hours.is_holiday", module = "hours", use = "any", summary = "Is the day in the list of holidays?",
        params = { { "t", T, "Seconds since 1970." } }, returns = { { "boolean", "" } } },
      { name = "hours.new", module = "hours", use = "any", summary = "Another calendar, with the same functions.",
        params = { { "calendar", "table", "As in scripts/opening_hours.lua." } }, returns = { { "table", "" } } },
      { name = "phone.is_incoming", module = "phone", use = "any", summary = "Did they call us?",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "boolean", "" } } },
      { name = "phone.was_answered", module = "phone", use = "any", summary = "Was it answered?",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "boolean", "" } } },
      { name = "phone.kind", module = "phone", use = "any", summary = "`withheld`, `internal` or `external`.",
        params = { { "number", "any", "As sent." } }, returns = { { "string", "" } } },
      { name = "phone.id", module = "phone", use = "any", summary = "The number as an id for records; nil if it is withheld.",
        params = { { "number", "any", "As sent." } }, returns = { { "string?", "" } } },
      { name = "phone.to_call", module = "phone", use = "any", summary = "The number for a callback.",
        params = { { "number", "any", "As sent." } }, returns = { { "any", "" } } },
      { name = "phone.ended_at", module = "phone", use = "run", summary = "When the call was over, by the sender's clock.",
        params = { { "call", "table", "A webphone's event." } }, returns = { { T, "Seconds since 1970." } } },
      { name = "phone.spoken_to_since", module = "phone", use = "read",
        summary = "Has somebody spoken to them after that call?",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "boolean?", "" } } },
      { name = "phone.address", module = "phone", use = "any", summary = "The text if it can be a mail address, else nil.",
        params = { { "text", "any", "As sent." } }, returns = { { "string?", "" } } },
      { name = "phone.text", module = "phone", use = "any",
        summary = "What a sender wrote, as one line for people: cut after 200 letters; nil if it is no text.",
        params = { { "value", "any", "As sent." }, { "most", "integer", "So many letters instead.", optional = true } },
        returns = { { "string?", "" } } },
      { name = "analysis.summary", module = "analysis", use = "any", summary = "The summary of a call, or nil.",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "string?", "" } } },
      { name = "analysis.action_items", module = "analysis", use = "any",
        summary = "What is to be done: a list of `{ text, owner, due }`.",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "table[]", "" } } },
      { name = "sentiment.of", module = "sentiment", use = "any",
        summary = "`negative`, `neutral`, `positive`, or nil.",
        params = { { "call", "table", "A webphone's event." } }, returns = { { "string?", "" } } },
    },
  },
}
