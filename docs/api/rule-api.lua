---@meta
-- Made by `switchhook api --format luals`; what it says is in engine/lua/api_*.lua.
-- The globals of a rule file, for the Lua language server (LuaLS): put it into the workspace or name
-- its folder in workspace.library, with runtime.version = "Lua 5.4".

---Seconds since 1970, `"2h"` from now, RFC 3339, or a local time `"2026-10-25 09:00"`.
---@alias switchhook.Time string|number

---`"90m"`, `"1h30m"`, `"2 days"`, or seconds.
---@alias switchhook.Duration string|number

---What stands behind the name of a rule.
---@class switchhook.Rule
---@field on? string|string[] The event type, a list of them, or globs: `*` is any text, `?` one character.
---@field every? string|number Run by the clock: `"10 minutes"`, `"18:00 mon-fri"`, `"*/10 8-18 * * mon-fri"`, or seconds.
---@field zone? string Time zone of `every`, such as `"Europe/Amsterdam"`; default: the configured one.
---@field when? fun(event: table<string, any>, envelope: switchhook.Envelope): any Anything but false and nil lets the rule run. It only looks: effects are errors here.
---@field run fun(event: table<string, any>, envelope: switchhook.Envelope) What the rule does. Its effects happen together when it ends well.

---The second argument of `when` and `run`: what the engine knows about the event.
---@class switchhook.Envelope
---@field id string Of the event.
---@field source string Where it came in; `rules`, `clock` or `engine` if it was made here.
---@field type string What the rules' `on` is compared with.
---@field key string Events of one key are handled one after the other.
---@field received_at string When it was accepted (RFC 3339, UTC).
---@field received integer The same in seconds since 1970.
---@field attempt integer 1 for the first run of the rule on it.
---@field trace_id? string The trace it belongs to (W3C Trace Context), if its sender said so.
---@field occurred_at? string When its sender says it happened, if it says (RFC 3339, UTC).
---@field occurred? integer The same in seconds since 1970.
---@field due_at? string Of a timer's or clock rule's event: when it was due (RFC 3339, UTC).
---@field late? number Of a timer's or clock rule's event: seconds past `due_at`.

---What a clock shows. `time.of` needs year, month and day; it takes what `time.parts` gives.
---@class switchhook.TimeParts
---@field year integer 0 to 9999.
---@field month integer 1 to 12; other numbers carry over.
---@field day integer 1 to 31; other numbers carry over.
---@field hour? integer Default 0.
---@field min? integer Default 0.
---@field sec? integer Default 0.
---@field zone? string Such as `"Europe/Amsterdam"`.
---@field wday? integer Monday is 1; `time.of` does not read it.
---@field yday? integer Day of the year; `time.of` does not read it.
---@field offset? integer Local minus UTC in seconds; `time.of` does not read it.
---@field dst? boolean Summer time; `time.of` does not read it.
---@field abbr? string `CET`; `time.of` does not read it.

---The fourth argument of `after`.
---@class switchhook.TimerOptions
---@field name? string A timer of the same name is replaced; `cancel(name)` removes it.
---@field zone? string Of a local time; default: the configured one.

---The call to be made.
---@class switchhook.Callback
---@field number string|integer As people write it.
---@field due switchhook.Time When the call should be made.
---@field zone? string Of a local time, and of the times in the email.
---@field name? string Whom to ask for.
---@field assignee? string Who is to call; a mail address gets the invitation.
---@field reason? string Why; number and reason together make it one callback.
---@field completes? "answered" `callbacks.answered(number)` completes it.
---@field minutes? integer How long it takes in the calendar, 1 to 1,440; default 15.
---@field email? boolean false: nobody is mailed.
---@field key? string Your own name for it: the key alone says which one is meant.

---Which callbacks: exactly one of id, key and number.
---@class switchhook.CallbackRef
---@field id? string The callback of that id.
---@field key? string The callback of that key of yours.
---@field number? string|integer All callbacks of the number that are not closed.
---@field note? string Kept with the callback.

---Which callbacks, and until when.
---@class switchhook.CallbackSnooze
---@field id? string The callback of that id.
---@field key? string The callback of that key of yours.
---@field number? string|integer All callbacks of the number that are not closed.
---@field note? string Kept with the callback.
---@field due switchhook.Time The new time.
---@field zone? string Of a local time.

---Which callbacks, and to whom.
---@class switchhook.CallbackReassign
---@field id? string The callback of that id.
---@field key? string The callback of that key of yours.
---@field number? string|integer All callbacks of the number that are not closed.
---@field note? string Kept with the callback.
---@field assignee string Who is to call now.

---An email. `{{a.b}}` in subject, text, html and in the invitation's summary, description and location is filled from `with`; in html it is escaped.
---@class switchhook.Email
---@field to? string|string[] Address or addresses; one of to, cc and bcc is needed.
---@field cc? string|string[] Address or addresses.
---@field bcc? string|string[] Address or addresses, hidden from the others.
---@field reply_to? string Where answers go.
---@field subject? string One line.
---@field text? string The plain text; text or html or both.
---@field html? string The same as HTML.
---@field with? table<string, any> What fills `{{...}}`.
---@field attachments? switchhook.Attachment[] At most 20, 700 KiB together.
---@field invitation? switchhook.Invitation An appointment for the calendar.
---@field notify? string Rules hear how it ended: events `delivery_succeeded`, `delivery_failed`.
---@field key? string Your own key in place of the computed one.

---A file with the email.
---@class switchhook.Attachment
---@field name string Of the file, without a folder.
---@field type string Media type, such as `text/csv`.
---@field text? string The content, or
---@field base64? string the content in base64.

---An appointment (RFC 5545).
---@class switchhook.Invitation
---@field uid string The same again is the same appointment.
---@field summary string Its title.
---@field start switchhook.Time When it begins.
---@field finish? switchhook.Time When it ends; or
---@field minutes? integer how long it takes; default 15.
---@field zone? string Of local times; default: the configured one.
---@field description? string More text.
---@field location? string Where.
---@field url? string With its scheme.
---@field method? "REQUEST"|"CANCEL"|"PUBLISH" Default `REQUEST`.
---@field status? "CONFIRMED"|"TENTATIVE"|"CANCELLED" Default `CONFIRMED`.
---@field organizer? string Address; default: the sender.
---@field attendees? string|string[] Addresses; default: those in to and cc.
---@field sequence? integer Higher for each update; default 0.
---@field alarm_minutes? integer A reminder so long before.

---A delivery. One of json, form and body at most.
---@class switchhook.HttpCall
---@field url string http or https, percent-encoded.
---@field query? table<string, any> `{ name = value or list }`, encoded and put behind the url.
---@field headers? table<string, any> `{ Name = value or list }`.
---@field json? any Sent as JSON.
---@field form? table<string, any> Sent as a form.
---@field body? string Sent as it is.
---@field key? string Your own key in place of the computed one.
---@field notify? string Rules hear how it ended: events `delivery_succeeded`, `delivery_failed`.
---@field timeout? switchhook.Duration Of one attempt, at most 60 s.
---@field redirects? integer So many 307 and 308 of the same host are followed, up to 5; default 0.

---A look-up.
---@class switchhook.HttpQuery
---@field url string http or https, percent-encoded.
---@field query? table<string, any> `{ name = value or list }`, encoded and put behind the url.
---@field headers? table<string, any> `{ Name = value or list }`.
---@field timeout? switchhook.Duration At most 60 s.
---@field cache? switchhook.Duration An answer that is no older will do; a day at most.
---@field redirects? integer So many are followed, up to 5; default 0.

---What `http.get` gives.
---@class switchhook.HttpAnswer
---@field ok boolean Status 200 to 299.
---@field status integer 0 if nothing was answered.
---@field headers table<string, string> Names in lower case.
---@field body string As text.
---@field json? any The body decoded, if it is JSON.
---@field error? string Why nothing was answered.
---@field cached boolean It was asked before.
---@field cut? boolean true: the body was longer than the limit.

---How many, in which order.
---@class switchhook.FindOptions
---@field limit? integer 1 to 1,000; default 100.
---@field order? string A field path or `id`, with `-` for descending; ties by id.

---The body of callback_due and the others.
---@class switchhook.CallbackEvent
---@field id string Of the callback.
---@field number string Whom to call.
---@field due_at string RFC 3339, UTC.
---@field status string scheduled, snoozed, due, missed, done or cancelled.
---@field minutes integer How long it takes.
---@field event_id string The event whose rule asked for it.
---@field rule string The rule that asked for it.
---@field key? string The rule's own key.
---@field name? string Whom to ask for.
---@field assignee? string Who is to call.
---@field reason? string Why.
---@field note? string What was noted last.
---@field by? string Who did it: a rule's name, `person`, or the name given.

---The body of delivery_succeeded and delivery_failed.
---@class switchhook.DeliveryEvent
---@field notify string As the rule gave it.
---@field kind "http"|"email" What was delivered.
---@field to string Where.
---@field status? integer Of the last answer, if there was one.
---@field attempts integer So many.
---@field error? string Why it was given up.
---@field answer? string The beginning of the last answer.
---@field idempotency_key string As it was sent.
---@field event_id string The event whose rule asked for it.
---@field rule string The rule that asked for it.

---The body of rule_paused.
---@class switchhook.RulePausedEvent
---@field rule string The rule that is paused.
---@field failures integer So many in a row.
---@field error string The last one.
---@field event_id string The event it failed on last.
---@field event_type string Of that event.
---@field generation string The rule set it ran under.
---@field paused_at string RFC 3339, UTC.

---The body of a clock rule's event.
---@class switchhook.ClockEvent
---@field rule string The rule's name.
---@field due_at string RFC 3339, UTC.
---@field every string As the rule says.

---Defines a rule.
---
---Names are unique over all files. A rule with neither `on` nor `every` never runs.
---
---At the top of a file, not inside a run.
---
---```lua
---rule "Call back after a negative call" {
---  on   = "call_postprocess",
---  when = function(call) return get(call, "analysis.sentiment") == "negative" end,
---  run  = function(call, envelope)
---    callback { number = call.remote_number, due = now() + 2 * hour }
---  end,
---}
---```
---@param name string 1 to 128 bytes; it is shown wherever the rule is.
---@return fun(rule: switchhook.Rule) # Takes the table that follows.
---@overload fun(name: string, rule: switchhook.Rule)
function rule(name) end

---The value of a script.
---
---`require "hours"` runs scripts/hours.lua, `require "lib.tax"` scripts/lib/tax.lua, once a generation. At the top of a file, not inside a run. What it returns is read-only once it is loaded.
---
---At the top of a file, not inside a run.
---
---```lua
---local hours = require "hours"
---rule "Call back when we are open" {
---  on  = "call_stop",
---  run = function(call) callback { number = call.remote_number, due = hours.next_open(now()) } end,
---}
---```
---@param name string Of the script, without `.lua`; a dot for a folder.
---@return any # What the script returns; true if it returns nothing.
function require(name) end

---The value at a path, or nil if anything on the way is missing.
---
---A number indexes a list from 1. A field spelled with dots wins over a path.
---
---Works everywhere.
---
---```lua
---local name = get(call, "contact.names.1") or "unknown"
---```
---@param t table? Where to look; nil gives nil.
---@param path string Names with dots between: `"a.b.c"`, `"items.1.name"`.
---@return any # The value, or nil.
function get(t, path) end

---A deep copy of a table, which the run may change.
---
---Works everywhere.
---
---```lua
---local mine = copy(call)
---```
---@param t table The table; a file's read-only one as well.
---@return table # The copy.
function copy(t) end

---A text with its `{{a.b}}` filled in.
---
---A missing value is empty. `email` fills its texts in the same way.
---
---Works everywhere.
---
---```lua
---local line = template("{{remote_name}} called", call)
---```
---@param text string With `{{path}}` in it.
---@param values table Where the paths lead.
---@return string # The filled text.
function template(text, values) end

---json: Tables, JSON, texts, lines
json = {}

---A value as JSON text.
---
---Keys come in a defined order. An empty table is `{}`; see json.array.
---
---Works everywhere.
---
---```lua
---local text = json.encode { id = call.call_id, tags = json.array {} }
---```
---@param value any Tables, texts, numbers, booleans, json.null.
---@return string # The JSON text.
function json.encode(value) end

---The value of a JSON text.
---
---`null` in an object is absent, in a list it is json.null.
---
---Works everywhere.
---
---```lua
---local ok, extra = pcall(json.decode, call.extra)
---```
---@param text string One JSON value.
---@return any # The value.
function json.decode(text) end

---Marks a table as a list, so that an empty one is `[]`.
---
---Works everywhere.
---
---```lua
---records.put("calls", call.call_id, { tags = json.array {} })
---```
---@param t? table? Default: a new one.
---@return table # The same table.
function json.array(t) end

---Marks a table as an object: its keys are written as texts.
---
---Works everywhere.
---
---```lua
---emit("counted", { by_hour = json.object { [9] = 4, [10] = 7 } })
---```
---@param t? table? Default: a new one.
---@return table # The same table.
function json.object(t) end

---JSON's null: removes a field in records.patch, matches an absent one in records.find.
---
---Works everywhere.
---
---```lua
---records.patch("calls", call.call_id, { follow_up = json.null })
---```
---@type lightuserdata
json.null = nil

---log: Tables, JSON, texts, lines
log = {}

---A line kept with the run, also if the run fails.
---
---Tables are shown as JSON. 100 lines of 2,000 bytes at most.
---
---In `when` and `run`.
---
---```lua
---log.info("called", call.remote_number, { after = 3 })
---```
---@param ... any Values, with a space between.
function log.info(...) end

---The same, as a warning.
---
---In `when` and `run`.
---
---```lua
---log.warn("no number in", call)
---```
---@param ... any Values, with a space between.
function log.warn(...) end

---The same, as an error. The run goes on.
---
---In `when` and `run`.
---
---```lua
---log.error("the CRM said", call.answer)
---```
---@param ... any Values, with a space between.
function log.error(...) end

---Stands for a configured secret, in an http call only.
---
---Its text is not here: the engine puts it in when the call leaves. It can be joined with `..` to texts and numbers; everything else with it is an error.
---
---Works everywhere.
---
---```lua
---http.post {
---  url     = "https://crm.example.org/calls",
---  headers = { Authorization = "Bearer " .. secret "CRM_TOKEN" },
---  json    = { id = call.call_id },
---}
---```
---@param name string As in `secrets` of the configuration.
---@return string # The stand-in.
function secret(name) end

---The time of the run: seconds since 1970.
---
---The same during the whole run; each attempt has its own.
---
---In `when` and `run`.
---
---```lua
---local due = now() + 2 * hour
---```
---@return number # Seconds since 1970.
function now() end

---1: seconds of a second.
---
---Works everywhere.
---@type integer
second = nil

---60: seconds of a minute.
---
---Works everywhere.
---
---```lua
---local due = now() + 30 * minute
---```
---@type integer
minute = nil

---3,600: seconds of an hour.
---
---Works everywhere.
---@type integer
hour = nil

---86,400: seconds of 24 hours.
---
---Works everywhere.
---@type integer
day = nil

---The seconds of a text such as `"1h30m"`.
---
---Works everywhere.
---
---```lua
---local due = now() + duration "1h30m"
---```
---@param text string Units ms, s, m, h, d, w, also written out: `"2 days"`.
---@return number # Seconds.
function duration(text) end

---time: Time
time = {}

---What the clock in a zone shows at a moment.
---
---Works everywhere.
---
---```lua
---if time.parts(now()).wday >= 6 then return end
---```
---@param t number Seconds since 1970.
---@param zone? string
---@return switchhook.TimeParts # year, month, day, hour, min, sec, wday (Monday is 1), yday, offset, dst, zone, abbr.
function time.parts(t, zone) end

---The moment at which a clock shows something.
---
---A local time that the clock skips is the end of the gap; one that comes twice is the first.
---
---Works everywhere.
---
---```lua
---local p = time.parts(now())
---local due = time.of { year = p.year, month = p.month, day = p.day + 1, hour = 9 }
---```
---@param parts switchhook.TimeParts What the clock shows.
---@return integer # Seconds since 1970.
---@return string? # `"missing"` or `"repeated"` where the clocks change, else nil.
function time.of(parts) end

---A moment as RFC 3339 text with the zone's offset.
---
---Works everywhere.
---
---```lua
---log.info("due", time.text(now() + hour))
---```
---@param t number Seconds since 1970.
---@param zone? string
---@return string # `2026-10-25T09:00:00+01:00`.
function time.text(t, zone) end

---The moment of a text.
---
---Works everywhere.
---
---```lua
---local ended = time.parse(call.ended_at) or now()
---```
---@param text string RFC 3339, or a local time: `"2026-10-25 09:00"`.
---@param zone? string Of a local time.
---@return number? # Seconds since 1970; nil for any other text.
---@return string? # What is wrong with it.
function time.parse(text, zone) end

---A moment as text in a form of your own, in English.
---
---Knows %Y %y %m %d %e %j %F %H %I %M %S %p %R %T %a %A %b %B %u %V %G %z %Z %s %%.
---
---Works everywhere.
---
---```lua
---local text = time.format(now(), "%a %d %b %H:%M")
---```
---@param t number Seconds since 1970.
---@param format string With `%` letters.
---@param zone? string
---@return string # The text.
function time.format(t, format, zone) end

---Local minus UTC at a moment.
---
---Works everywhere.
---
---```lua
---local ahead = time.offset(now(), "Europe/Amsterdam")
---```
---@param t number Seconds since 1970.
---@param zone? string
---@return integer # Seconds.
---@return integer? # When it changes next, if it does.
function time.offset(t, zone) end

---The name of the configured zone.
---
---Works everywhere.
---
---```lua
---log.info(time.zone())
---```
---@return string # Such as `Europe/Amsterdam`.
function time.zone() end

---records: Records, events, timers
records = {}

---Stores a document.
---
---An effect: only in `run`.
---
---```lua
---records.put("calls", call.call_id, { number = call.remote_number })
---```
---@param collection string Its name.
---@param id string|integer 1 to 1,024 bytes.
---@param doc table<string, any> The whole document.
function records.put(collection, id, doc) end

---Merges fields into a document (RFC 7396).
---
---json.null removes a field; a document that is not there is made.
---
---An effect: only in `run`.
---
---```lua
---records.patch("calls", call.call_id, { follow_up = "callback" })
---```
---@param collection string Its name.
---@param id string|integer 1 to 1,024 bytes.
---@param doc table<string, any> The fields to change.
function records.patch(collection, id, doc) end

---Removes a document; none is no error.
---
---An effect: only in `run`.
---
---```lua
---records.delete("calls", call.call_id)
---```
---@param collection string Its name.
---@param id string|integer 1 to 1,024 bytes.
function records.delete(collection, id) end

---Adds to a number in a document.
---
---A field or document that is missing counts as 0. Two runs at once both count.
---
---An effect: only in `run`.
---
---```lua
---records.incr("callers", call.remote_number, "calls")
---```
---@param collection string Its name.
---@param id string|integer 1 to 1,024 bytes.
---@param field string Of the document.
---@param n? number Default 1.
function records.incr(collection, id, field, n) end

---A new event of source `rules`.
---
---It is one step further from the event that came in; more than 16 steps are refused.
---
---An effect: only in `run`.
---
---```lua
---emit("repeat_caller", { number = call.remote_number })
---```
---@param type string 1 to 256 bytes.
---@param data? table<string, any> Its body.
function emit(type, data) end

---A timer: an event of that type later.
---
---Durable; the event has the key of this one. A timer of the same name is replaced. A number below the year 2000 is seconds from now. See [timers.md](../timers.md).
---
---An effect: only in `run`.
---
---```lua
---after("15m", "call_reminder", { number = call.remote_number },
---  { name = "reminder " .. call.remote_number })
---```
---@param when switchhook.Time When it fires.
---@param type string Of the event.
---@param data? table<string, any> Its body.
---@param options? switchhook.TimerOptions
function after(when, type, data, options) end

---Removes the timer of that name, if there is one.
---
---An effect: only in `run`.
---
---```lua
---cancel("reminder " .. call.remote_number)
---```
---@param name string As given to `after`.
function cancel(name) end

---A phone call that a person should make.
---
---One for the same number and reason as an open one changes that one and keeps the earlier time.
---
---An effect: only in `run`.
---
---```lua
---callback {
---  number    = call.remote_number,
---  name      = call.remote_name,
---  due       = now() + 2 * hour,
---  assignee  = call.user_email,
---  reason    = "Missed call",
---  completes = "answered",
---}
---```
---@param call switchhook.Callback The call.
function callback(call) end

---callbacks: Callbacks
callbacks = {}

---They are done. None found is no error.
---
---An effect: only in `run`.
---
---```lua
---callbacks.done { id = call.id, note = "Will order in May" }
---```
---@param which switchhook.CallbackRef Which ones.
function callbacks.done(which) end

---They are not to be made any more.
---
---An effect: only in `run`.
---
---```lua
---callbacks.cancel { key = "ticket 5" }
---```
---@param which switchhook.CallbackRef Which ones.
function callbacks.cancel(which) end

---They are put off.
---
---An effect: only in `run`.
---
---```lua
---callbacks.snooze { number = call.remote_number, due = "2h" }
---```
---@param which switchhook.CallbackSnooze Which ones, and until when.
function callbacks.snooze(which) end

---Somebody else is to make them.
---
---An effect: only in `run`.
---
---```lua
---callbacks.reassign { id = call.id, assignee = "joris@example.org" }
---```
---@param which switchhook.CallbackReassign Which ones, and to whom.
function callbacks.reassign(which) end

---Completes the open ones of the number that have `completes = "answered"`.
---
---An effect: only in `run`.
---
---```lua
---callbacks.answered(call.remote_number)
---```
---@param number string|integer As people write it.
function callbacks.answered(number) end

---Sends an email.
---
---A bad address, or a line break in the subject, fails the run at this line.
---
---An effect: only in `run`.
---
---```lua
---email {
---  to      = call.user_email,
---  subject = "Please call {{remote_name}} back",
---  text    = "{{remote_name}} ({{remote_number}}) sounded unhappy.",
---  with    = call,
---}
---```
---@param mail switchhook.Email The email.
function email(mail) end

---http: Calls to other systems
http = {}

---Queues a POST to another system.
---
---Queued with the run and retried until the other side has it; at least once, with a stable `Idempotency-Key`. See [http-calls.md](../http-calls.md).
---
---An effect: only in `run`.
---
---```lua
---http.post {
---  url  = "https://crm.example.org/calls/" .. http.escape(call.call_id),
---  json = { outcome = call.outcome },
---}
---```
---@param call switchhook.HttpCall What is sent.
function http.post(call) end

---Queues a PUT to another system.
---
---Queued with the run and retried until the other side has it; at least once, with a stable `Idempotency-Key`. See [http-calls.md](../http-calls.md).
---
---An effect: only in `run`.
---
---```lua
---http.put {
---  url  = "https://crm.example.org/calls/" .. http.escape(call.call_id),
---  json = { outcome = call.outcome },
---}
---```
---@param call switchhook.HttpCall What is sent.
function http.put(call) end

---Queues a PATCH to another system.
---
---Queued with the run and retried until the other side has it; at least once, with a stable `Idempotency-Key`. See [http-calls.md](../http-calls.md).
---
---An effect: only in `run`.
---
---```lua
---http.patch {
---  url  = "https://crm.example.org/calls/" .. http.escape(call.call_id),
---  json = { outcome = call.outcome },
---}
---```
---@param call switchhook.HttpCall What is sent.
function http.patch(call) end

---Queues a DELETE to another system.
---
---Queued with the run and retried until the other side has it; at least once, with a stable `Idempotency-Key`. See [http-calls.md](../http-calls.md).
---
---An effect: only in `run`.
---
---```lua
---http.delete {
---  url  = "https://crm.example.org/calls/" .. http.escape(call.call_id),
---  json = { outcome = call.outcome },
---}
---```
---@param call switchhook.HttpCall What is sent.
function http.delete(call) end

---Asks another system, and waits for the answer.
---
---Never raises for what the other side does. Question and answer are kept with the run. 50 look-ups and 4 MiB of answers a run.
---
---In `when` and `run`; the run waits for the answer.
---
---```lua
---local who = http.get {
---  url   = "https://crm.example.org/contacts",
---  query = { phone = call.remote_number },
---  cache = "10m",
---}
---if who.ok then log.info(who.json) end
---```
---@param query switchhook.HttpQuery|string What to ask, or the url alone.
---@return switchhook.HttpAnswer # The answer.
function http.get(query) end

---A text percent-encoded, for a url.
---
---Works everywhere.
---
---```lua
---local url = "https://crm.example.org/calls/" .. http.escape(call.call_id)
---```
---@param text string|number Any text.
---@return string # The encoded text.
function http.escape(text) end

---A document, or nil.
---
---In `when` and `run`; the run waits for the answer.
---
---```lua
---local known = records.get("callers", call.remote_number)
---```
---@param collection string Its name.
---@param id string|integer Of the document.
---@return table<string, any>? # A fresh table.
function records.get(collection, id) end

---The documents that match, and their ids.
---
---`{ status = "open", ["a.b"] = { gte = 5, lt = 9 } }` with eq ne lt lte gt gte; json.null matches an absent field; a value of another type never matches (but for ne).
---
---In `when` and `run`; the run waits for the answer.
---
---```lua
---local open, ids = records.find("calls", { status = "open" }, { limit = 20, order = "-started_at" })
---for i, doc in ipairs(open) do log.info(ids[i], doc.number) end
---```
---@param collection string Its name.
---@param filter? table<string, any> Paths and what they must be; default: all.
---@param options? switchhook.FindOptions
---@return table<string, any>[] # The documents.
---@return string[] # Their ids.
function records.find(collection, filter, options) end
