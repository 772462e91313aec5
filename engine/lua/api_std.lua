-- SPDX-License-Identifier: MIT
-- api_std.lua: the rule API described: what is kept of Lua's own library. See api_rules.lua. One line
-- each, `name(params)  what it does`; the Lua 5.4 manual tells the rest.
local TEXT = [[
assert(v, message)              Raises the message unless v is true; gives its arguments.
error(message, level)           Raises an error: the run fails unless a pcall catches it.
getmetatable(t)                 The metatable of a table; nil for a text, and for what is the engine's.
ipairs(t)                       Goes over t[1], t[2], .. up to the first nil.
next(t, key)                    The key after that one in the defined order, and its value.
pairs(t)                        Goes over all keys in a defined order: whole numbers, other numbers, texts, booleans.
pcall(f, ...)                   Calls f and catches errors. A budget that is used up is not caught.
rawequal(a, b)                  Are they the same, whatever __eq says?
select(n, ...)                  The arguments from the n-th on, or `"#"`: how many.
setmetatable(t, metatable)      Sets the metatable of a table; refuses __gc, __mode and __metatable.
tonumber(v, base)               A text as a number, or nil.
tostring(v)                     A value as text; a table is `table`, without address.
type(v)                         `nil`, `number`, `string`, `boolean`, `table`, `function`, ..
xpcall(f, handler, ...)         As pcall; the handler gets the error after it was caught.
_VERSION                        `Lua 5.4`.
coroutine.close(co)             Ends a coroutine.
coroutine.create(f)             A coroutine of the run's own.
coroutine.isyieldable()         Can it yield here?
coroutine.resume(co, ...)       Goes on with it; false and the error if it fails.
coroutine.running()             The coroutine that runs.
coroutine.status(co)            `suspended`, `running`, `normal` or `dead`.
coroutine.wrap(f)               A function that goes on with a coroutine each time it is called.
coroutine.yield(...)            Hands values back; only inside a coroutine of the run's own.
math.abs(x)                     Without its sign.
math.acos(x)                    Arc cosine.
math.asin(x)                    Arc sine.
math.atan(y, x)                 Arc tangent of y/x.
math.ceil(x)                    The next whole number up.
math.cos(x)                     Cosine.
math.deg(x)                     Radians as degrees.
math.exp(x)                     e to the power of x.
math.floor(x)                   The next whole number down.
math.fmod(x, y)                 The rest of x/y, towards zero.
math.huge                       Larger than any number.
math.log(x, base)               Logarithm, natural unless a base is given.
math.max(x, ...)                The largest.
math.maxinteger                 The largest integer.
math.min(x, ...)                The smallest.
math.mininteger                 The smallest integer.
math.modf(x)                    The whole part and the rest.
math.pi                         3.14159..
math.rad(x)                     Degrees as radians.
math.random(m, n)               A number seeded by event and rule: the same on each attempt. Only in a run.
math.sin(x)                     Sine.
math.sqrt(x)                    Square root.
math.tan(x)                     Tangent.
math.tointeger(x)               As an integer, if it is whole.
math.type(x)                    `integer`, `float`, or nil for what is no number.
math.ult(m, n)                  Is m below n, as unsigned integers?
string.byte(s, i, j)            The bytes of a text as numbers.
string.char(...)                A text of these bytes.
string.find(s, pattern, init, plain)  Where the pattern is found: from, to, captures.
string.format(format, ...)      A text with values put in; %p is refused.
string.gmatch(s, pattern, init) Goes over all matches.
string.gsub(s, pattern, repl, n)  A text with matches replaced, and how many.
string.len(s)                   Bytes.
string.lower(s)                 In lower case (ASCII).
string.match(s, pattern, init)  The captures of the first match, or nil.
string.pack(format, ...)        Values as bytes.
string.packsize(format)         Bytes that string.pack makes.
string.rep(s, n, sep)           The text n times; within the memory budget.
string.reverse(s)               Backwards, byte by byte.
string.sub(s, i, j)             From byte i to j.
string.unpack(format, s, pos)   Values from bytes.
string.upper(s)                 In upper case (ASCII).
table.concat(list, sep, i, j)   The items joined to a text.
table.insert(list, ...)         Adds an item, at the end or at a place.
table.move(a1, f, e, t, a2)     Copies items.
table.pack(...)                 The arguments as a list, with their number in n.
table.remove(list, pos)         Takes an item out, the last or that one.
table.sort(list, comp)          Sorts; items that are equal keep their order.
table.unpack(list, i, j)        The items as values; a million at most.
utf8.char(...)                  A text of these code points.
utf8.charpattern                Matches one character.
utf8.codepoint(s, i, j, lax)    The code points in a text.
utf8.codes(s, lax)              Goes over the characters of a text.
utf8.len(s, i, j, lax)          Characters; nil and where, if it is not UTF-8.
utf8.offset(s, n, i)            Where the n-th character begins.
]]

local entries = {}
for line in TEXT:gmatch("[^\n]+") do
  local name, args, summary = line:match("^([%w_.]+)(%b())%s+(.*)$")
  if not name then name, summary = line:match("^([%w_.]+)%s+(.*)$") end
  local entry = { name = name, use = name == "math.random" and "run" or "any", std = true, summary = summary }
  if args then
    entry.params, entry.returns = {}, {}
    for param in args:gmatch("[%w_.]+") do entry.params[#entry.params + 1] = { param, "any", "" } end
  else
    entry.type = (name == "_VERSION" or name == "utf8.charpattern") and "string" or "number"
  end
  entries[#entries + 1] = entry
end

return {
  {
    id = "lua", title = "What is kept of Lua's library",
    text = "As in the Lua 5.4 manual, with these differences. `os io debug package load dofile loadfile "
      .. "collectgarbage rawget rawset rawlen warn _G string.dump math.randomseed` are absent: they reach outside, or make "
      .. "two runs differ.",
    entries = entries,
  },
}
