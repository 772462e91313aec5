-- SPDX-License-Identifier: MIT
-- api_rules.lua: the rule API described: rules, events, tables and texts, time. One of the files
-- from which `switchhook api` makes the reference in docs/api/, the hints for editors and the list
-- for luacheck; api_print.lua says how they are read. tests/unit/test_api.c compares them with what
-- a rule file really sees.
--
--   topics   pages: { id, title, text, classes = {..}, entries = {..} }
--   entry    { name, use, summary, text, params, returns, overload, errors, example }
--   use      "load": while a file loads; "any": everywhere; "run": in `when` and `run`;
--            "read": the same, and the run waits for an answer; "effect": only in `run`
--   param    { name, type, meaning, optional = true }; return { type, meaning }
--   error    { code, message }: a test makes each; of "load" the code is a file, else the body of a run
--   class    { name, text, fields = { { name, type, meaning, required = true } }, args = where the
--            table is an argument: { { function, number }, .. } or a class's field }
return {
  {
    id = "rules", title = "Rules and files",
    text = "A file in `rules/` defines rules; a file in `scripts/` is a module that they share.",
    classes = {
      {
        name = "Rule", args = { { "rule", 2 } },
        text = "What stands behind the name of a rule.",
        fields = {
          { "on", "string|string[]", "The event type, a list of them, or globs: `*` is any text, `?` one character." },
          { "every", "string|number", "Run by the clock: `\"10 minutes\"`, `\"18:00 mon-fri\"`, `\"*/10 8-18 * * mon-fri\"`, or seconds." },
          { "zone", "string", "Time zone of `every`, such as `\"Europe/Amsterdam\"`; default: the configured one." },
          { "when", "fun(event: table<string, any>, envelope: switchhook.Envelope): any",
            "Anything but false and nil lets the rule run. It only looks: effects are errors here." },
          { "run", "fun(event: table<string, any>, envelope: switchhook.Envelope)",
            "What the rule does. Its effects happen together when it ends well.", required = true },
        },
      },
      {
        name = "Envelope",
        text = "The second argument of `when` and `run`: what the engine knows about the event.",
        fields = {
          { "id", "string", "Of the event.", required = true },
          { "source", "string", "Where it came in; `rules`, `clock` or `engine` if it was made here.", required = true },
          { "type", "string", "What the rules' `on` is compared with.", required = true },
          { "key", "string", "Events of one key are handled one after the other.", required = true },
          { "received_at", "string", "When it was accepted (RFC 3339, UTC).", required = true },
          { "received", "integer", "The same in seconds since 1970.", required = true },
          { "attempt", "integer", "1 for the first run of the rule on it.", required = true },
          { "trace_id", "string", "The trace it belongs to (W3C Trace Context), if its sender said so." },
          { "occurred_at", "string", "When its sender says it happened, if it says (RFC 3339, UTC)." },
          { "occurred", "integer", "The same in seconds since 1970." },
          { "due_at", "string", "Of a timer's or clock rule's event: when it was due (RFC 3339, UTC)." },
          { "late", "number", "Of a timer's or clock rule's event: seconds past `due_at`." },
        },
      },
    },
    entries = {
      {
        name = "rule", use = "load", summary = "Defines a rule.",
        text = "Names are unique over all files. A rule with neither `on` nor `every` never runs.",
        params = { { "name", "string", "1 to 128 bytes; it is shown wherever the rule is." } },
        returns = { { "fun(rule: switchhook.Rule)", "Takes the table that follows." } },
        overload = "fun(name: string, rule: switchhook.Rule)",
        errors = { { 'rule "x" { on = "a" }', "rule \"x\" has no 'run': run = function(event) ... end" },
          { 'rule "x" { onn = "a", run = print }', "rule \"x\": unknown field 'onn' (did you mean 'on'?)" } },
        example = [[
rule "Call back after a negative call" {
  on   = "call_postprocess",
  when = function(call) return get(call, "analysis.sentiment") == "negative" end,
  run  = function(call, envelope)
    callback { number = call.remote_number, due = now() + 2 * hour }
  end,
}]],
      },
      {
        name = "require", use = "load", summary = "The value of a script.",
        text = "`require \"hours\"` runs scripts/hours.lua, `require \"lib.tax\"` scripts/lib/tax.lua, once a "
          .. "generation. At the top of a file, not inside a run. What it returns is read-only once it is loaded.",
        params = { { "name", "string", "Of the script, without `.lua`; a dot for a folder." } },
        returns = { { "any", "What the script returns; true if it returns nothing." } },
        errors = { { 'require "hourz"', "require \"hourz\": there is no scripts/hourz.lua" },
          { 'require "../x"', "require \"../x\": a name such as \"hours\" or \"lib.hours\" expected" } },
        example = [[
local hours = require "hours"

rule "Call back when we are open" {
  on  = "call_stop",
  run = function(call) callback { number = call.remote_number, due = hours.next_open(now()) } end,
}]],
      },
    },
  },
  {
    id = "values", title = "Tables, JSON, texts, lines",
    text = "Fields of an event are as sent; `null` is absent. What looks at values works everywhere, lines are of a run.",
    entries = {
      {
        name = "get", use = "any", summary = "The value at a path, or nil if anything on the way is missing.",
        text = "A number indexes a list from 1. A field spelled with dots wins over a path.",
        params = { { "t", "table?", "Where to look; nil gives nil." },
          { "path", "string", "Names with dots between: `\"a.b.c\"`, `\"items.1.name\"`." } },
        returns = { { "any", "The value, or nil." } },
        errors = { { 'get(5, "a")', "get: the first argument must be a table, got a number" } },
        example = 'local name = get(call, "contact.names.1") or "unknown"',
      },
      {
        name = "copy", use = "any", summary = "A deep copy of a table, which the run may change.",
        params = { { "t", "table", "The table; a file's read-only one as well." } },
        returns = { { "table", "The copy." } },
        example = "local mine = copy(call)",
      },
      {
        name = "template", use = "any", summary = "A text with its `{{a.b}}` filled in.",
        text = "A missing value is empty. `email` fills its texts in the same way.",
        params = { { "text", "string", "With `{{path}}` in it." }, { "values", "table", "Where the paths lead." } },
        returns = { { "string", "The filled text." } },
        errors = { { 'template("a{{ b", {})', "template: '{{' at byte 2 has no '}}'" } },
        example = 'local line = template("{{remote_name}} called", call)',
      },
      {
        name = "json.encode", use = "any", summary = "A value as JSON text.",
        text = "Keys come in a defined order. An empty table is `{}`; see json.array.",
        params = { { "value", "any", "Tables, texts, numbers, booleans, json.null." } },
        returns = { { "string", "The JSON text." } },
        errors = { { "json.encode { a = print }", "json.encode: value.a is a function, which JSON cannot hold" } },
        example = "local text = json.encode { id = call.call_id, tags = json.array {} }",
      },
      {
        name = "json.decode", use = "any", summary = "The value of a JSON text.",
        text = "`null` in an object is absent, in a list it is json.null.",
        params = { { "text", "string", "One JSON value." } },
        returns = { { "any", "The value." } },
        example = "local ok, extra = pcall(json.decode, call.extra)",
      },
      {
        name = "json.array", use = "any", summary = "Marks a table as a list, so that an empty one is `[]`.",
        params = { { "t", "table?", "Default: a new one.", optional = true } },
        returns = { { "table", "The same table." } },
        example = 'records.put("calls", call.call_id, { tags = json.array {} })',
      },
      {
        name = "json.object", use = "any", summary = "Marks a table as an object: its keys are written as texts.",
        params = { { "t", "table?", "Default: a new one.", optional = true } },
        returns = { { "table", "The same table." } },
        example = 'emit("counted", { by_hour = json.object { [9] = 4, [10] = 7 } })',
      },
      {
        name = "json.null", use = "any", type = "lightuserdata",
        summary = "JSON's null: removes a field in records.patch, matches an absent one in records.find.",
        example = 'records.patch("calls", call.call_id, { follow_up = json.null })',
      },
      {
        name = "log.info", use = "run", summary = "A line kept with the run, also if the run fails.",
        text = "Tables are shown as JSON. 100 lines of 2,000 bytes at most.",
        params = { { "...", "any", "Values, with a space between." } }, returns = {},
        example = 'log.info("called", call.remote_number, { after = 3 })',
      },
      {
        name = "log.warn", use = "run", summary = "The same, as a warning.",
        params = { { "...", "any", "Values, with a space between." } }, returns = {},
        example = 'log.warn("no number in", call)',
      },
      {
        name = "log.error", use = "run", summary = "The same, as an error. The run goes on.",
        params = { { "...", "any", "Values, with a space between." } }, returns = {},
        example = 'log.error("the CRM said", call.answer)',
      },
      {
        name = "print", use = "run", std = true, summary = "The same as log.info.",
        params = { { "...", "any", "Values, with a space between." } }, returns = {},
        example = "print(call.remote_number)",
      },
      {
        name = "secret", use = "any", summary = "Stands for a configured secret, in an http call only.",
        text = "Its text is not here: the engine puts it in when the call leaves. It can be joined with `..` to "
          .. "texts and numbers; everything else with it is an error.",
        params = { { "name", "string", "As in `secrets` of the configuration." } },
        returns = { { "string", "The stand-in." } },
        errors = { { 'secret "CRM_TOKE"', "secret: \"CRM_TOKE\" is not configured (did you mean \"CRM_TOKEN\"?); those that are: CRM_TOKEN, SMS_KEY" },
          { "secret(5)", "secret: the name must be a text, as in secret \"CRM_TOKEN\", got a number" } },
        example = [[
http.post {
  url     = "https://crm.example.org/calls",
  headers = { Authorization = "Bearer " .. secret "CRM_TOKEN" },
  json    = { id = call.call_id },
}]],
      },
    },
  },
  {
    id = "time", title = "Time",
    text = "A moment is a number: seconds since 1970. `zone` may be left out everywhere: then the configured "
      .. "one holds. [time.md](../time.md) tells the rest.",
    classes = {
      {
        name = "TimeParts", args = { { "time.of", 1 } },
        text = "What a clock shows. `time.of` needs year, month and day; it takes what `time.parts` gives.",
        fields = {
          { "year", "integer", "0 to 9999.", required = true },
          { "month", "integer", "1 to 12; other numbers carry over.", required = true },
          { "day", "integer", "1 to 31; other numbers carry over.", required = true },
          { "hour", "integer", "Default 0." },
          { "min", "integer", "Default 0." },
          { "sec", "integer", "Default 0." },
          { "zone", "string", "Such as `\"Europe/Amsterdam\"`." },
          { "wday", "integer", "Monday is 1; `time.of` does not read it." },
          { "yday", "integer", "Day of the year; `time.of` does not read it." },
          { "offset", "integer", "Local minus UTC in seconds; `time.of` does not read it." },
          { "dst", "boolean", "Summer time; `time.of` does not read it." },
          { "abbr", "string", "`CET`; `time.of` does not read it." },
        },
      },
    },
    entries = {
      {
        name = "now", use = "run", summary = "The time of the run: seconds since 1970.",
        text = "The same during the whole run; each attempt has its own.",
        params = {}, returns = { { "number", "Seconds since 1970." } },
        example = "local due = now() + 2 * hour",
      },
      { name = "second", use = "any", type = "integer", summary = "1: seconds of a second." },
      { name = "minute", use = "any", type = "integer", summary = "60: seconds of a minute.",
        example = "local due = now() + 30 * minute" },
      { name = "hour", use = "any", type = "integer", summary = "3,600: seconds of an hour." },
      { name = "day", use = "any", type = "integer", summary = "86,400: seconds of 24 hours." },
      {
        name = "duration", use = "any", summary = "The seconds of a text such as `\"1h30m\"`.",
        params = { { "text", "string", "Units ms, s, m, h, d, w, also written out: `\"2 days\"`." } },
        returns = { { "number", "Seconds." } },
        errors = { { 'duration "soon"', "duration: \"soon\" is not a duration such as \"90m\", \"1h30m\" or \"2 days\"" } },
        example = 'local due = now() + duration "1h30m"',
      },
      {
        name = "time.parts", use = "any", summary = "What the clock in a zone shows at a moment.",
        params = { { "t", "number", "Seconds since 1970." }, { "zone", "string", "", optional = true } },
        returns = { { "switchhook.TimeParts", "year, month, day, hour, min, sec, wday (Monday is 1), yday, offset, dst, zone, abbr." } },
        errors = { { 'time.parts(now(), "Europe/Amstredam")',
          "time.parts: there is no time zone \"Europe/Amstredam\" (did you mean \"Europe/Amsterdam\"?)" } },
        example = "if time.parts(now()).wday >= 6 then return end",
      },
      {
        name = "time.of", use = "any", summary = "The moment at which a clock shows something.",
        text = "A local time that the clock skips is the end of the gap; one that comes twice is the first.",
        params = { { "parts", "switchhook.TimeParts", "What the clock shows." } },
        returns = { { "integer", "Seconds since 1970." },
          { "string?", "`\"missing\"` or `\"repeated\"` where the clocks change, else nil." } },
        errors = { { "time.of { year = 2026, month = 1, day = 1, minute = 3 }",
          "time.of: unknown field 'minute' (expected year, month, day, hour, min, sec, zone)" } },
        example = [[
local p = time.parts(now())
local due = time.of { year = p.year, month = p.month, day = p.day + 1, hour = 9 }]],
      },
      {
        name = "time.text", use = "any", summary = "A moment as RFC 3339 text with the zone's offset.",
        params = { { "t", "number", "Seconds since 1970." }, { "zone", "string", "", optional = true } },
        returns = { { "string", "`2026-10-25T09:00:00+01:00`." } },
        example = 'log.info("due", time.text(now() + hour))',
      },
      {
        name = "time.parse", use = "any", summary = "The moment of a text.",
        params = { { "text", "string", "RFC 3339, or a local time: `\"2026-10-25 09:00\"`." },
          { "zone", "string", "Of a local time.", optional = true } },
        returns = { { "number?", "Seconds since 1970; nil for any other text." }, { "string?", "What is wrong with it." } },
        example = "local ended = time.parse(call.ended_at) or now()",
      },
      {
        name = "time.format", use = "any", summary = "A moment as text in a form of your own, in English.",
        text = "Knows %Y %y %m %d %e %j %F %H %I %M %S %p %R %T %a %A %b %B %u %V %G %z %Z %s %%.",
        params = { { "t", "number", "Seconds since 1970." }, { "format", "string", "With `%` letters." },
          { "zone", "string", "", optional = true } },
        returns = { { "string", "The text." } },
        errors = { { 'time.format(0, "%Q")', "time.format: unknown %Q (expected one of %Y %y %m %d %e %j %F %H %I "
          .. "%M %S %p %R %T %a %A %b %B %u %V %G %z %Z %s %%)" } },
        example = 'local text = time.format(now(), "%a %d %b %H:%M")',
      },
      {
        name = "time.offset", use = "any", summary = "Local minus UTC at a moment.",
        params = { { "t", "number", "Seconds since 1970." }, { "zone", "string", "", optional = true } },
        returns = { { "integer", "Seconds." }, { "integer?", "When it changes next, if it does." } },
        example = 'local ahead = time.offset(now(), "Europe/Amsterdam")',
      },
      {
        name = "time.zone", use = "any", summary = "The name of the configured zone.",
        params = {}, returns = { { "string", "Such as `Europe/Amsterdam`." } },
        example = "log.info(time.zone())",
      },
    },
  },
}
