-- SPDX-License-Identifier: MIT
-- c_source.lua: as much of C as the checkers of messages need: its tokens, a call's arguments, and the
-- texts that an argument may be.
local c_source = {}

local escapes = { n = "\n", t = "\t", r = "\r", ["0"] = "\0" }

-- { {kind = "name"|"text"|"mark", text} }: names and numbers, string literals, single characters.
function c_source.tokens_of(source)
  local list, p = {}, 1
  while p <= #source do
    local rest = source:sub(p, p + 1)
    if rest == "/*" then
      p = select(2, assert(source:find("*/", p + 2, true))) + 1
    elseif source:find("^//", p) then
      p = source:find("\n", p, true) or #source + 1
    elseif source:find("^[%w_]", p) then
      local word = source:match("^[%w_]+", p)
      list[#list + 1] = { kind = "name", text = word }
      p = p + #word
    elseif source:find("^'", p) then
      p = select(2, assert(source:find("^'\\?.[^']*'", p))) + 1
    elseif source:find('^"', p) then
      local text = {}
      p = p + 1
      while source:sub(p, p) ~= '"' do
        local c = source:sub(p, p)
        if c == "\\" then
          p = p + 1
          c = source:sub(p, p)
          c = escapes[c] or c
        end
        text[#text + 1] = c
        p = p + 1
      end
      list[#list + 1] = { kind = "text", text = table.concat(text) }
      p = p + 1
    else
      if not rest:find "^%s" then list[#list + 1] = { kind = "mark", text = rest:sub(1, 1) } end
      p = p + 1
    end
  end
  return list
end

-- The arguments of the call whose `(` is at i: lists of tokens.
function c_source.arguments(tokens, i)
  local args, depth = { {} }, 0
  for k = i, #tokens do
    local t = tokens[k].kind == "mark" and tokens[k].text
    if t == "(" or t == "{" or t == "[" then depth = depth + 1 end
    if t == ")" or t == "}" or t == "]" then depth = depth - 1 end
    if depth == 0 then return args end
    if t == "," and depth == 1 then
      args[#args + 1] = {}
    elseif k > i then
      table.insert(args[#args], tokens[k])
    end
  end
  return args
end

-- The texts an argument may be: adjacent literals are one, those of `a ? "x" : "y"` are two. A macro
-- between two literals (PRId64) stands for anything.
function c_source.formats(arg)
  local found, open = {}, false
  for _, token in ipairs(arg or {}) do
    if token.kind == "text" then
      if open then found[#found] = found[#found] .. token.text else found[#found + 1] = token.text end
      open = true
    elseif token.kind == "name" and open and found[#found]:sub(-1) == "%" then
      found[#found] = found[#found] .. "s" -- such as PRId64
    else
      open = false
    end
  end
  return found
end

return c_source
