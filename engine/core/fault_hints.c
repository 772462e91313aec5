/* SPDX-License-Identifier: MIT
 * fault_hints.c: what to do about an error, by the words of its message. */
#include "core/fault.h"

#include <string.h>

#define MAX_HOLES   6
#define MAX_MESSAGE 700 /* bytes that are compared */

/* The first pattern that fits counts: what is special stands before what is general. `*` is any
 * text; %1 in the hint is what the first one stood for. */
static const struct hint {
    const char *pattern, *hint;
} hints[] = {
    /* --- Lua itself: a value is not what the code takes it for --- */
    {"attempt to index a nil value (field 'integer index')",
     "the list has no item there: get(t, \"items.1.name\") is nil, not an error, when it is "
     "missing"},
    {"attempt to index a nil value (field '?')",
     "nothing is stored under that key: test it first, or get(t, \"a.b\")"},
    {"attempt to index a nil value (field '*')",
     "there is no '%1' here: get(t, \"%1.name\") is nil, not an error, when a part is missing"},
    {"attempt to index a nil value (* '*')",
     "'%2' is nil here: see where it gets its value; get(%2, \"name\") takes a missing table"},
    {"attempt to index a nil value*", "what stands before the dot or bracket, or what ipairs goes "
                                      "over, is nil: get(t, \"a.b\"), ipairs(t or {})"},
    {"attempt to index a * value*",
     "a %1 has no fields: look at what the event holds there with log.info(json.encode(event))"},
    {"attempt to call a nil value (method '*')",
     "there is no method '%1': functions of the rule API take the table as an argument, as in "
     "get(t, \"a.b\")"},
    {"attempt to call a * value (for iterator*",
     "a loop over a table is `for key, value in pairs(t)` or `for i, item in ipairs(list)`"},
    {"attempt to call a nil value (* '*')",
     "there is no function '%2': look for a misspelt name, or one that is defined further down"},
    {"attempt to call a * value*", "only functions can be called: look for a missing comma or "
                                   "operator before '(', '{' or a text"},
    {"attempt to compare *", "both must be numbers or both texts: (x or 0) stands in for nil, "
                             "tonumber(x) makes a number of "
                             "digits"},
    {"attempt to perform arithmetic on a nil value (field '*')",
     "there is no '%1' here: (t.%1 or 0) counts it as 0"},
    {"attempt to perform arithmetic on a nil value*", "(x or 0) counts a missing value as 0"},
    {"attempt to perform arithmetic on a *",
     "tonumber(x) makes a number of a text with digits, and nil of any other"},
    {"attempt to * a '*' with a '*'",
     "tonumber(x) makes a number of a text with digits, and nil of any other"},
    {"attempt to perform bitwise operation on *",
     "bitwise operators take whole numbers: math.tointeger(x) makes one, or gives nil"},
    {"attempt to divide by zero", "a whole number is divided by 0, on this line or further down in "
                                  "the function: test the divisor first"},
    {"attempt to perform 'n*0'", "a whole number is divided by 0, on this line or further down in "
                                 "the function: test the divisor first"},
    {"number* has no integer representation",
     "a whole number is needed here: math.floor(x) rounds down, x // 1 too"},
    {"attempt to concatenate a nil value*",
     "(x or \"\") stands in for a missing text; template(\"{{a.b}}\", t) fills it with nothing"},
    {"attempt to concatenate a *",
     "json.encode(t) is a table's text, tostring(x) any other value's"},
    {"attempt to get length of a nil value*", "#(t or {}) is 0 for a list that is missing"},
    {"attempt to get length of a *", "# takes a list or a text"},
    {"bad 'for' * (number expected, got *)",
     "a loop `for i = first, last` takes numbers: tonumber(x) makes one of a text"},
    {"'for' step is zero", "the third number of `for i = first, last, step` may not be 0"},
    {"wrong number of arguments to 'insert'",
     "table.insert(list, x) adds behind, table.insert(list, 1, x) in front"},
    {"invalid UTF-8 code", "utf8.len(text) is nil for a text that is not UTF-8: test it first"},
    {"table index is nil", "the key in t[key] = value is nil: test it first"},
    {"table index is NaN", "the key in t[key] = value is 0/0, not a number: test it first"},
    {"invalid value (*) at index * in table for 'concat'",
     "table.concat takes texts and numbers: item %2 is neither (tostring(x) makes a text)"},
    {"bad argument #1 to 'ipairs'*", "ipairs(t or {}) goes over nothing when the list is missing"},
    {"bad argument #* to 'insert' (position out of bounds)",
     "a place in the list is 1 to #list + 1"},
    {"bad argument #* to 'random'*",
     "math.random(n) is 1 to n, math.random(a, b) is a to b, both whole numbers"},
    {"bad argument #* to '*' (number expected, got *)",
     "argument %1 must be a number: tonumber(x) makes one of a text, (x or 0) stands in for nil"},
    {"bad argument #* to '*' (string expected, got *)",
     "argument %1 must be a text: tostring(x) makes one, (x or \"\") stands in for nil"},
    {"bad argument #* to '*' (table expected, got *)",
     "argument %1 must be a table: (t or {}) stands in for nil"},
    {"bad argument #* to '*' (number has no integer representation)",
     "argument %1 must be a whole number: math.floor(x) rounds down"},
    {"bad argument #* to '*' (value expected)", "argument %1 is missing: nil must be written out"},
    {"bad argument #* to '*' (*)", "look at argument %1 of %2: log.info(x) shows what it is"},
    {"malformed pattern (*", "( [ and %% are special in a pattern: %% before one takes it as it "
                             "is; find(s, text, 1, true) looks for plain text"},
    {"missing '[' after '%f' in pattern", "%%f is followed by a set, as in %%f[%%w]"},
    {"too many captures", "a pattern has 32 pairs of ( ) at most"},
    {"unfinished capture", "a ( in a pattern has no ): %%( is the bracket itself"},
    {"invalid pattern capture", "a ) in a pattern has no (: %%) is the bracket itself"},
    {"invalid capture index *",
     "%%1 is the first (..) of the pattern: there are fewer than asked for"},
    {"invalid use of '%' in replacement string",
     "in a replacement %%1 is a capture and %%%% a percent sign"},
    {"invalid replacement value (*",
     "the function or table of string.gsub gives a text or a number"},
    {"pattern too complex", "the pattern nests too deeply for this text: shorten either"},
    {"invalid conversion '*' to 'format'",
     "string.format knows %%d %%s %%5.2f %%x %%q and their like; %%%% is a percent sign"},
    {"*stack overflow*", "a function calls itself without end: give it a case that ends it"},
    {"string.rep: the result would be over *", "build a shorter text, or none: emails and records "
                                               "hold far less"},
    {"too many results to unpack",
     "a list this long cannot become arguments: go over it in a loop"},
    {"table.*: more than * items at once",
     "the list is too long for one call: go over it in a loop"},
    {"cannot resume *", "coroutine.status(co) says whether it can go on: \"suspended\" can"},
    {"cannot close a * coroutine", "only a coroutine that is suspended or dead can be closed"},
    {"*coroutine expected, got *", "coroutine.create(function() .. end) makes one"},
    {"coroutine.yield: not inside *",
     "only code that coroutine.create or coroutine.wrap started can yield"},
    {"attempt to yield across *", "a function that table.sort, string.gsub or a metamethod calls "
                                  "cannot wait: read first, into a "
                                  "local"},
    {"'__tostring' must return a string", "return a text from it, as in tostring(self.name)"},
    {"assertion failed!", "a second argument of assert says what was wrong, and is shown"},
    {"error with * as its value*", "error(\"what was wrong\") is shown as it is"},
    {"variable '*' got a non-closable value", "a <close> local needs a table with __close, or nil"},
    {"*math.random: the interval from * to * is empty", "the smaller number comes first"},
    /* --- Lua itself: the file is not Lua --- */
    {"'*' expected (to close '*' at line *) near *",
     "the %2 of line %3 is not closed before here: a missing %1, or a missing comma in between"},
    {"'}' expected near '='", "a field name that is no plain word is written [\"a-b\"] = value"},
    {"'}' expected near *", "a comma is missing between two fields, or the } of a table"},
    {"'=' expected near *",
     "this is neither a call nor an assignment: f(x), f { .. } or x = value"},
    {"'=' or 'in' expected near *", "a loop is `for i = 1, 10 do` or `for k, v in pairs(t) do`"},
    {"'*' expected near '!'", "unequal is ~= in Lua, and the opposite of x is not x"},
    {"'*' expected near *", "write %1 before %2: what stands in front of it is not finished"},
    {"unexpected symbol near '<\\239>'",
     "on line 1: the file begins with a byte order mark (BOM): save it as UTF-8 without BOM; "
     "elsewhere: a wide character from a document, which is no Lua"},
    {"unexpected symbol near '<\\*", "a character that is no Lua: quotes or blanks from a "
                                     "document? Texts stand in straight \"quotes\""},
    {"unexpected symbol near '!*", "the opposite of x is not x, and unequal is ~="},
    {"unexpected symbol near *",
     "something is missing in front of %1, or it stands there by mistake"},
    {"syntax error near *",
     "this is neither a call nor an assignment: f(x), f { .. } or x = value"},
    {"unfinished string near *", "a text ends on its line with the quote it began with; [[..]] may "
                                 "go over several"},
    {"unfinished long *", "[[ has no ]]: where does the text or comment end?"},
    {"malformed number near *",
     "a number is 12, 1.5, 1e3 or 0xff; a name cannot begin with a digit"},
    {"invalid escape sequence *", "a backslash in a text is written \\\\ (patterns use %%)"},
    {"<name> expected near *", "a name is letters, digits and _, and no word of the language"},
    {"attempt to assign to const variable '*'", "'%1' is <const>: take another local"},
    {"cannot use '...' outside *", "the function around it must take ...: function(...)"},
    {"no visible label '*'*", "write ::%1:: in the same function, before or after the goto"},
    {"break outside *", "break ends a for, while or repeat; return ends the function"},
    {"label '*' already defined*", "give the second one another name"},
    {"unknown attribute '*'", "there are <const> and <close>"},
    {"multiple to-be-closed *", "one <close> local for each `local`"},
    {"too many local variables *", "put some into a table, or part of the file into a script"},
    {"*attempt to load a binary chunk*", "rules are Lua text, not what luac makes of it"},
    /* --- names and files --- */
    {"undefined variable '*' (did you mean '*'?)",
     "write %2, or give the variable a value first: local %1 = .."},
    {"undefined variable '*'",
     "give it a value first (local %1 = ..), or `local %1 = require \"%1\"` "
     "if it is a script"},
    {"* has no '*' (did you mean '*'?)", "write %1.%3; docs/rules.md lists what there is"},
    {"*.* is not available here", "docs/rules.md lists what there is, and why some is absent"},
    {"every is a field of rule*", "write it as a field of the rule's table"},
    {"setmetatable: * is not available to rules",
     "a metatable of a rule may have __index, __call, __tostring and the operators"},
    {"*a metatable was given *", "set nothing but plain metamethods, such as __index"},
    {"* is not available to rules*", "docs/rules.md says what is absent, and why"},
    {"'*' is part of the rule API*",
     "local %1 = .. hides it in this file alone; another name is clearer"},
    {"a run cannot assign the global '*'*", "write local in front of it"},
    {"'*' belongs to the file and is read-only*", "local mine = copy(t) may be changed"},
    {"*a run changed '*', a local of the file*",
     "make '%2' local to the function; records.incr counts, records.put remembers"},
    {"'*' holds *: it would go on *", "make it inside the function that uses it"},
    {"'*' has metatables of metatables without end", "give the last of them no metatable"},
    {"setmetatable: this table is read-only here", "setmetatable(copy(t), mt) takes a copy"},
    {"setmetatable: 'metatable' must be *", "setmetatable(t, { __index = base })"},
    {"string.format: %p *", "%%s shows a value as text"},
    {"require: a name expected*", "local hours = require \"hours\""},
    {"require \"*\": at the top of the file*",
     "local %1 = require \"%1\" as a line of its own, outside "
     "of functions"},
    {"require \"*\": a name such as *", "scripts/lib/tax.lua is require \"lib.tax\""},
    {"require \"*\": there is no *", "make the file, or write the name of one in scripts/"},
    {"require \"*\": * is being loaded*",
     "move what both need into a third script that requires neither"},
    {"require \"*\": * does not load",
     "mend %2 first: check shows its error, if no pcall hides it"},
    {"a file cannot yield while it loads",
     "coroutine.yield belongs into a function that a run calls"},
    {"there is no rule in any file",
     "rule \"Name\" { on = \"type\", run = function(event) .. end }"},
    {"loading the rules took *", "no loops over large tables at the top of a file"},
    /* --- rules --- */
    {"rule: only while the file loads*",
     "rules are written at the top of a file, not inside functions"},
    {"rule: a name expected*", "rule \"Name\" { on = \"type\", run = function(event) .. end }"},
    {"rule: rules are defined in files of the rules folder*",
     "move the rule to rules/; a script returns a table of functions"},
    {"rule \"*\": a table * expected*",
     "rule \"%1\" { on = \"type\", run = function(event) .. end }"},
    {"rule \"*\" has no table*", "rule \"%1\" { on = \"type\", run = function(event) .. end }"},
    {"rule \"*\" has no 'run'*", "when looks, run acts: both are functions of the event"},
    {"rule \"*\" exists already, at *", "give one of the two another name, or delete it"},
    {"rule \"*\": unknown field '*'*", "a rule has on, every, zone, when and run"},
    {"rule \"*\": unexpected list item*", "write its name in front of it, as in on = \"type\""},
    {"rule \"*\": '*' must be a function, got *", "%2 = function(event) .. end"},
    {"rule \"*\" has a 'zone' without 'every'*", "leave zone out, or add every = \"18:00\""},
    {"rule \"*\": 'on' pattern \"*", "on = \"call_*\" or on = { \"call_start\", \"call_stop\" }"},
    {"rule \"*\": 'on' must be *", "on = \"call_*\" or on = { \"call_start\", \"call_stop\" }"},
    {"rule \"*\": 'every' *",
     "every = \"10 minutes\", \"18:00 mon-fri\" or \"*/10 8-18 * * mon-fri\": "
     "docs/time.md"},
    {"rule \"*\": *time zone*",
     "zone = \"Europe/Amsterdam\": the names of the system's zone files"},
    {"rule \"*\" has no 'on' and no 'every'*",
     "on = \"type\" runs it for events, every = \"18:00\" by the clock"},
    {"a rule's name *", "a short name that says what the rule does: it stands in tables and logs"},
    {"more than * rules", "one rule can take several event types: on = { \"a\", \"b\" }"},
    /* --- where things may be called --- */
    {"*: not while the file loads*", "move it into the rule's run = function(event) .. end"},
    {"when only looks: it cannot change *", "run gets an event of its own, which it may change"},
    {"when only looks: * belongs in run", "when says whether, run does: move the call into run"},
    {"* waits for an answer, which is not possible inside *",
     "call it before, and use the local inside"},
    /* --- budgets --- */
    {"CPU budget of *", "is there a loop that does not end? Large work belongs into several events "
                        "(budgets.cpu in the configuration)"},
    {"wall budget of * inside a function that cannot be interrupted*",
     "a pattern with several .- or .* on a long text tries every way there is: anchor it with ^, "
     "or "
     "look for plain text (the function that hangs is not named: look for find, match, gsub)"},
    {"wall budget of *",
     "the store was slow, or the run reads too often: records.find reads many at "
     "once (budgets.wall in the configuration)"},
    {"memory budget of * exceeded while it waits for *",
     "call http.get first, and build large tables and texts after it: what a run holds while it "
     "waits, all the others must do without"},
    {"memory budget of *",
     "does a table or text grow without end, or a function call itself? Read less at once (limit "
     "in records.find; budgets.memory in the configuration)"},
    {"budget of * bytes of effects exceeded",
     "send less text, or emit one event for each part, and a rule for it"},
    {"budget of * effects exceeded",
     "spread the work: emit one event for each part, and a rule for it"},
    {"budget of * of answers to http.get exceeded", "ask for less: a narrower query, fewer fields"},
    {"budget of * http.get exceeded", "ask once for many, or keep answers with cache = \"5m\""},
    {"no answer within * waiting for http.get",
     "the run is tried again by itself; timeout = \"10s\" in the call gives up sooner"},
    {"too many reads in one run", "records.find reads many at once"},
    {"too many coroutines closing one another", "close each coroutine where it was made"},
    {"no memory is left for a coroutine", "the run is tried again by itself; budgets.memory in the "
                                          "configuration"},
    {"the event as a table does not fit *",
     "budgets.memory in the configuration, or limits.body to "
     "refuse such events"},
    {"no sign of life *",
     "the machine is overloaded, or the worker was stopped: the run is tried again "
     "by itself"},
    {"the rule worker *",
     "the run is tried again by itself; if it happens each time, tell it with the "
     "rule's text: it is a fault of switchhook"},
    {"worker: *", "the event is run again by itself; if it happens each time, tell it with the "
                  "rules' text: it is a fault of switchhook"},
    /* --- what leaves a run --- */
    {"*: the key '*' was used already in this run",
     "leave key out, or make it differ: key = \"x\" .. n"},
    {"*: 'key' must have *", "key = \"call \" .. call.call_id"},
    {"*'due' must be *",
     "due = now() + 2*hour, due = \"2h\", or a local time as \"2026-10-25 09:00\""},
    {"*'start' must be *", "start = \"2026-10-25 09:00\", with zone = \"Europe/Amsterdam\""},
    {"*'finish' must be after 'start'*", "finish is when it ends; minutes = 30 will do instead"},
    {"*'finish' must be *", "finish = \"2026-10-25 09:30\", or minutes = 30"},
    {"after: a table {...} expected*", "after(\"2h\", \"type\", { a = 1 }, { name = \"x\" })"},
    {"after: 'name' must be *", "a text: { name = \"follow up \" .. call.call_id }"},
    {"after: '*' must be *", "after(\"2h\", \"type\", { .. }): a duration, a time, or seconds"},
    {"after: at most 4 *", "after(\"2h\", \"type\", { a = 1 }, { name = \"x\" })"},
    {"*'zone'*", "zone = \"Europe/Amsterdam\": the names of the system's zone files"},
    {"*there is no time zone *", "\"Europe/Amsterdam\": the names of the system's zone files"},
    {"*: 'minutes' and 'finish' are both given*", "leave one of the two out"},
    {"callback: 'completes' must be *", "completes = \"answered\": an answered call completes it"},
    {"*: 'number' must be *", "number = call.remote_number: is the field there in this event?"},
    {"*: 'number' must have *", "is the number empty in this event? Let when look first"},
    {"*: one of 'id', 'key' and 'number' must say *",
     "callbacks.done { key = \"call \" .. call.call_id }"},
    {"*: the event type *", "emit(\"type\", { a = 1 }), after(\"2h\", \"type\", { a = 1 })"},
    {"*is a secret: a secret can only *",
     "headers = { Authorization = \"Bearer \" .. secret \"CRM_TOKEN\" } in an http call"},
    {"*got a secret (a secret can only *",
     "headers = { Authorization = \"Bearer \" .. secret \"CRM_TOKEN\" } in an http call"},
    {"*: the data *", "emit(\"type\", { name = value })"},
    {"*: data*", "an event is what JSON can say: texts, numbers, true, false, lists and tables"},
    {"*: the timer's name *", "cancel \"name\", the name that after(.., { name = .. }) was given"},
    {"*: 'name' must have *",
     "a short text that no other timer has: \"follow up \" .. call.call_id"},
    {"email: attachments[*: a table {...} expected*",
     "attachments = { { name = \"a.txt\", type = \"text/plain\", text = \"..\" } }"},
    {"email: invitation: a table {...} expected*",
     "invitation = { start = .., minutes = 30, uid = \"..\", summary = \"..\" }: docs/email.md"},
    {"*: a table {...} expected, got *", "%1 { name = value, .. }"},
    {"*: unexpected list item *",
     "write its name in front of it, as in number = call.remote_number"},
    {"*: unknown field '*' (did you mean '*'?)", "write %3; docs/rules.md lists the fields"},
    {"*: unknown field *", "docs/rules.md lists the fields"},
    {"email: 'attachments' has *", "20 files at most: several emails, or a link to where they are"},
    {"*: '*' has * items, expected at most *", "send several emails, or one to a list's address"},
    {"*email: 'attachments' *",
     "attachments = { { name = \"a.txt\", type = \"text/plain\", text = \"..\" } }"},
    {"email: attachments*", "attachments = { { name = \"a.txt\", type = \"text/plain\", text = "
                            "\"..\" } }, 700 KiB together at most"},
    {"email: 'with' must be *", "with = call fills {{fields}} of subject and text from the event"},
    {"email: notify *",
     "notify = \"offer\": events delivery_succeeded and delivery_failed carry it"},
    {"email: subject *", "subject = \"one short line\""},
    {"email: text or html is missing*", "text = \"..\""},
    {"email: there is no recipient*", "to = call.user_email: is the field there in this event?"},
    {"*is not a mail address*",
     "an address is name@example.org: is the field filled in this event?"},
    {"email: invitation*",
     "invitation = { start = .., minutes = 30, uid = \"..\", summary = \"..\" }: "
     "docs/email.md"},
    {"*: '*' must be an address or *",
     "to = \"a@example.org\" or to = { \"a@example.org\", \"b@..\" }"},
    {"*: '*' item * must be an address *", "to = { \"a@example.org\", \"b@example.org\" }"},
    {"*: '{{' at byte *", "a field is written {{name}} or {{a.b}}"},
    {"*: '{{}}' at byte *", "a field is written {{name}} or {{a.b}}"},
    {"* cannot be filled into a text",
     "name a field inside it, as in {{a.b}}; a list of texts is joined"},
    {"* bytes when filled", "a text this long does not fit an email: leave something out"},
    {"template: *", "template(\"Hello {{name}}\", call)"},
    /* --- http and secrets --- */
    {"*url: a secret stands behind the host *", "put the secret into headers, or behind the host"},
    {"http.*: *: more than * pieces", "join the secret once, and the text around it"},
    {"http.*: headers*",
     "headers = { Accept = \"text/plain\" }: one line each, none that the engine sets"},
    {"http.*: json*", "JSON holds texts, numbers, true, false, lists and tables with named fields"},
    {"http.*'body' *", "body = \"text\", or json = { .. } for a table"},
    {"http.*'redirects' *", "redirects = 2"},
    {"http.*it is over *", "send less, or in several calls"},
    {"http.*'url' has *", "query = { name = value } encodes for you"},
    {"http.*: *url*", "url = \"https://crm.example.org/calls\""},
    {"http.*'headers*", "headers = { Accept = \"text/plain\" }"},
    {"http.*'query*", "query = { q = call.remote_number }"},
    {"http.*'form*", "form = { id = call.call_id }"},
    {"http.*' are both given*", "leave one out: json, form or body is the whole body"},
    {"http.*'*' must be a duration*", "timeout = \"10s\""},
    {"http.*'*' must be from *", "timeout = \"10s\", cache = \"5m\""},
    {"http.escape: a secret *", "\"https://host/\" .. secret \"NAME\""},
    {"http.escape: *", "http.escape(call.remote_number)"},
    {"http.*notify*", "notify = \"crm\": events delivery_succeeded and delivery_failed carry it"},
    {"http.*", "http.post { url = \"https://..\", json = { .. } }: docs/http-calls.md"},
    {"secret: the name *", "secret \"CRM_TOKEN\""},
    {"secret: *",
     "secrets are named in switchhook.lua: secrets = { CRM_TOKEN = env \"CRM_TOKEN\" }"},
    {"*a secret *", "headers = { Authorization = \"Bearer \" .. secret \"CRM_TOKEN\" }"},
    {"a text with secrets in it *",
     "put the secret into a header, and the long text into the body"},
    /* --- records --- */
    {"*would not fit 64 bits",
     "a whole number goes up to 9223372036854775807: count with n = 1.0 beyond that"},
    {"records.incr*does not fit 64 bits",
     "a whole number goes up to 9223372036854775807: count with n = 1.0 beyond that"},
    {"records.incr*holds *",
     "records.put sets the field to a number once; incr needs one from then on"},
    {"records.incr*", "records.incr(\"stats\", \"today\", \"calls\", 1)"},
    {"records.*would be larger than *", "keep less in one record, or spread it over several"},
    {"records.*: the collection *",
     "records.%1(\"calls\", call.call_id, ..): a name of your own for this kind of record"},
    {"records.*: the id *",
     "records.%1(\"calls\", call.call_id, ..): is the field there in this event?"},
    {"records.find: *",
     "records.find(\"calls\", { status = \"open\", n = { gte = 5 } }, { limit = 10, "
     "order = \"-started_at\" })"},
    {"records.*: the document *", "records.put(\"calls\", call.call_id, { status = \"open\" })"},
    {"records.*: doc*",
     "a document is what JSON can say: texts, numbers, true, false, lists and tables"},
    {"reading records failed: records.find: a field path *", "a field path is short, as \"a.b\""},
    {"reading records failed: records.find: more than * conditions",
     "look for less, and go over what was found in a loop"},
    {"reading records failed: records.find: the rows take *",
     "limit = 100, or a filter that finds fewer"},
    {"reading records failed: *",
     "the run is tried again by itself; the engine's log has the store's error"},
    /* --- json, texts, time --- */
    {"json.decode: a string expected*",
     "res.json is the body decoded; json.decode takes the text itself"},
    {"json.decode: line *", "what is not JSON raises: local ok, t = pcall(json.decode, text)"},
    {"json.*: this table is read-only *", "json.array(copy(t))"},
    {"json.*: a table expected*", "json.array { 1, 2 }, json.object { a = 1 }"},
    {"json.encode: the text is over *", "encode less at once"},
    {"json.encode: *",
     "JSON holds texts, numbers, true, false, lists and tables with named fields"},
    {"get: the first argument *", "get(call, \"a.b.c\")"},
    {"get: the path *", "get(call, \"a.b.c\")"},
    {"pairs: a table expected, got *",
     "pairs(t or {}) goes over nothing when the table is missing"},
    {"a table with * as a key *", "name = value, or [1] = value: other keys differ each time"},
    {"table.sort: the order must be *", "table.sort(list, function(a, b) return a.n < b.n end)"},
    {"copy: *", "does the table contain itself?"},
    {"duration: *", "duration \"1h30m\" is 5400; units ms, s, m, h, d, w"},
    {"time.of: *", "time.of { year = 2026, month = 10, day = 25, hour = 9 }"},
    {"time.format: *", "time.format(now(), \"%%d %%b %%H:%%M\")"},
    {"time.parse: *", "time.parse \"2026-10-25 09:00\""},
    {"time.*", "time.format(now(), \"%%H:%%M\"): times are seconds since 1970, as now() gives"},
    {"the event's body: *",
     "the stored event does not parse: tell it, it is a fault of switchhook"},
    /* --- when a run settles --- */
    {"emit \"*\": too many emits *",
     "let the second rule look (when) at what the first one wrote, or "
     "give the emitted event a type that it does not take"},
    {"*too many events from one that came in*",
     "let the timer's rule look (when) before it sets the next, or give it a longer time"},
    {"* the run's effects in short take *", "emit one event for each part, and a rule for it"},
    /* --- fields of any table --- */
    {"*: '*' must be a text, got *",
     "is the field there in this event? tostring(x) makes a text of a "
     "number"},
    {"*: '*' must be true or false*", "write true or false, without quotes"},
    {"a normaliser only makes the event: *",
     "return the event, and do the rest in a rule that is on its type"},
    {"source \"*\" normalises with this script, and there is none*",
     "write it (return function(body, envelope) .. end), or mend normalise of source \"%1\" in the "
     "configuration"},
    {"source \"*\" normalises with this script: it must return a function*",
     "end the script with return function(body, envelope) .. return the event, or nil for none, .. "
     "end"},
    {"expected the event, a table*", "return { name = value, .. }: the event as rules are to see "
                                     "it; nil if there is none for them"},
    {"expected the event's type*",
     "return event, \"call_stop\": the type that `on` of rules is compared with; leave it out to "
     "keep the sender's"},
    {"the event has more than *", "make less of it: rules get what could have been posted"},
    {"the event.* is a *, which JSON cannot hold",
     "an event holds what JSON can say: texts, numbers, true, false, lists and tables of names"},
    {"*: '*' must be a whole number *",
     "math.floor(x) rounds down, tonumber(x) makes a number of a text"},
    {"*: '*' contains a NUL byte", "the text holds bytes that no text has: send them as base64"},
    {"*: '*' is not valid UTF-8 text",
     "the text holds bytes that no text has: send them as base64"},
    {"*: '*' must have * bytes*", "is the field empty, or far too long, in this event?"},
    {"*: it is over * bytes in all", "leave something out: it does not fit one effect"},
};

/* Does the pattern fit all of s? Its holes are kept in order. */
static bool fits(const char *pattern, struct sh_slice s, struct sh_slice *holes, size_t n)
{
    for (; *pattern && *pattern != '*'; pattern++, s.p++, s.n--)
        if (s.n == 0 || *pattern != *s.p)
            return false;
    if (!*pattern)
        return s.n == 0;
    if (n == MAX_HOLES)
        return false;
    for (size_t i = pattern[1] ? 0 : s.n; i <= s.n; i++) {
        holes[n] = sh_slice(s.p, i);
        if (fits(pattern + 1, sh_slice(s.p + i, s.n - i), holes, n + 1))
            return true;
    }
    return false;
}

static void fill(struct sh_buf *out, const char *hint, const struct sh_slice *holes)
{
    for (; *hint; hint++) {
        if (*hint != '%') {
            sh_buf_addc(out, *hint);
            continue;
        }
        hint++;
        if (*hint >= '1' && *hint < '1' + MAX_HOLES)
            sh_buf_add(out, holes[*hint - '1'].p, holes[*hint - '1'].n);
        else
            sh_buf_addc(out, *hint);
    }
}

bool sh_fault_hint(struct sh_buf *out, struct sh_slice message)
{
    const char *nl = message.n ? memchr(message.p, '\n', message.n) : NULL;
    struct sh_slice line = sh_slice(message.p, nl ? (size_t)(nl - message.p) : message.n);
    const char *of = line.n > 15 && memcmp(line.p, "normaliser of \"", 15) == 0
                         ? memmem(line.p, line.n, "\": ", 3)
                         : NULL; /* what it says, as of a rule */
    if (of)
        line = sh_slice(of + 3, line.n - (size_t)(of + 3 - line.p));
    if (line.n > MAX_MESSAGE)
        line.n = MAX_MESSAGE;
    for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
        struct sh_slice holes[MAX_HOLES] = {{0}};
        if (!fits(hints[i].pattern, line, holes, 0))
            continue;
        fill(out, hints[i].hint, holes);
        return true;
    }
    return false;
}
