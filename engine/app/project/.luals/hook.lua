---@meta
-- hook.lua: hints for editors (LuaLS) about the kit that specs have. docs/testing.md explains it.

---@class hook.Reply
---@field status? integer 200 when left out
---@field json? any
---@field body? string
---@field headers? table<string, string>
---@field error? string in place of an answer

---@class hook.Options
---@field now? number|string where the clock begins
---@field rules? table<string, string> texts in place of all the project's rules
---@field scripts? table<string, string> texts in place of the scripts of these names
---@field secrets? string[] names configured beside the project's
---@field zone? string in place of the configured one

---@class hook.Run
---@field rule string
---@field outcome "done"|"failed"|"skipped_on"|"skipped_when"
---@field why? string of one that was skipped
---@field error? string of one that failed: "rules/a.lua:12: .."
---@field effects table[]
---@field logs table[]

---@class hook.Happened
---@field event? { id: string, source: string, type: string, key: string, at: string }
---@field runs table<string, hook.Run> by the rule's name
---@field effects table[]
---@field logs table[]
---@field refused? { code: string, message: string }
---@field duplicate boolean
---@field events table[]

---@class hook
---@field null any JSON's null
---@field any any fits anything that is there
---@field none any fits what is absent; in changes: removes it
hook = {}

---Post an event: a table, or the text of a body.
---@param event table|string
---@param options? { source?: string, headers?: table<string, string>, path?: string }
---@return hook.Happened
function hook.send(event, options) end

---Let time pass; what falls due on the way happens at its time.
---@param duration number|string "2h", or seconds
---@return hook.Happened
function hook.advance(duration) end

---@return number seconds since 1970
function hook.now() end

---@param time number|string seconds, RFC 3339, or a local time
---@return hook.Happened
function hook.set_now(time) end

---Start over: an empty store.
---@param options? hook.Options
function hook.reset(options) end

---What http.get finds at addresses that fit from now on.
---@param pattern string * is any text, ? one character
---@param reply hook.Reply
function hook.http_reply(pattern, reply) end

---What became of emails and calls that wait and whose address fits.
---@param pattern string
---@param outcome? { status: integer?, answer: string?, error: string? }
---@return hook.Happened
function hook.deliver(pattern, outcome) end

---A sample event, with changes.
---@param name string
---@param changes? table<string, any>
---@return table
function hook.payload(name, changes) end

---A list, also when it is empty.
---@param t? table
---@return table
function hook.list(t) end

---The value of Lua code as a rule would see it.
---@param code string
---@param args? table
---@return any
function hook.eval(code, args) end

---@param filter? string|table a kind, or fields that must fit
---@return table[]
function hook.effects(filter) end

---@param collection string
---@return table<string, table> documents by id
function hook.records(collection) end

---@param collection string
---@param id string|integer
---@return table?
function hook.record(collection, id) end

---@return table[]
function hook.callbacks() end
---@return table[]
function hook.timers() end
---@return table[]
function hook.outbox() end
---@return table[]
function hook.emails() end
---@return table[]
function hook.calls() end
---@return table[]
function hook.logs() end
---@return table[]
function hook.events() end

---@param rule? string
---@return hook.Run[]
function hook.runs(rule) end

---@return string[]
function hook.rules() end

---Fits a text with this Lua pattern in it.
---@param pattern string
function hook.like(pattern) end

---Fits a text with this text in it.
---@param text string
function hook.containing(text) end

---Fits one of these.
function hook.one_of(...) end
