-- SPDX-License-Identifier: MIT
-- api_print.lua: the description of the rule API (api_rules.lua and the others) in the forms that
-- `switchhook api` prints. Runs as api_print(format, topics, ..), several lists of topics one after the
-- other; returns a list of { name, text }, the files of that format, or nil if there is no such format.
local format = ...
local topics = {}
for i = 2, select("#", ...) do
  for _, topic in ipairs((select(i, ...))) do topics[#topics + 1] = topic end
end

local MADE = "Made by `switchhook api --format %s`; what it says is in engine/lua/api_*.lua."
local WHERE = {
  load = "At the top of a file, not inside a run.",
  any = "Works everywhere.",
  run = "In `when` and `run`.",
  read = "In `when` and `run`; the run waits for the answer.",
  effect = "An effect: only in `run`.",
}
local ALIASES = {
  { "Time", "string|number", "Seconds since 1970, `\"2h\"` from now, RFC 3339, or a local time `\"2026-10-25 09:00\"`." },
  { "Duration", "string|number", "`\"90m\"`, `\"1h30m\"`, `\"2 days\"`, or seconds." },
}

local Out = {}
Out.__index = Out
local function new_out() return setmetatable({}, Out) end
function Out:add(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  self[#self + 1] = (text:gsub("[ \t]+$", ""))
end
function Out:text() return table.concat(self, "\n") .. "\n" end

local function each_entry(fn)
  for _, topic in ipairs(topics) do
    for _, entry in ipairs(topic.entries) do fn(entry, topic) end
  end
end

local function names_of(params)
  local names = {}
  for i, p in ipairs(params) do names[i] = p[1] end
  return table.concat(names, ", ")
end

-- --- LuaLS -----------------------------------------------------------------------------------------

local function luals_class(out, class)
  out:add("")
  out:add("---%s", class.text)
  out:add("---@class switchhook.%s", class.name)
  for _, f in ipairs(class.fields) do
    out:add("---@field %s%s %s %s", f[1], f.required and "" or "?", f[2], f[3])
  end
end

local function luals_function(out, entry)
  for _, p in ipairs(entry.params) do
    out:add("---@param %s%s %s %s", p[1], p.optional and "?" or "", p[2], p[3])
  end
  for _, r in ipairs(entry.returns) do out:add("---@return %s # %s", r[1], r[2]) end
  if entry.overload then out:add("---@overload %s", entry.overload) end
  out:add("function %s(%s) end", entry.name, names_of(entry.params))
end

local function luals_entry(out, entry)
  out:add("")
  out:add("---%s", entry.summary)
  if entry.text then out:add("---\n---%s", entry.text) end
  out:add("---\n---%s", WHERE[entry.use])
  if entry.example then
    out:add("---\n---```lua")
    for line in entry.example:gmatch("[^\n]+") do out:add("---%s", line) end
    out:add("---```")
  end
  if entry.params then return luals_function(out, entry) end
  out:add("---@type %s\n%s = nil", entry.type, entry.name)
end

local function luals()
  local out, tables = new_out(), {}
  out:add("---@meta")
  out:add("-- " .. MADE, "luals")
  out:add("-- The globals of a rule file, for the Lua language server (LuaLS): put it into the workspace or name")
  out:add("-- its folder in workspace.library, with runtime.version = \"Lua 5.4\".")
  for _, a in ipairs(ALIASES) do out:add("\n---%s\n---@alias switchhook.%s %s", a[3], a[1], a[2]) end
  for _, topic in ipairs(topics) do
    for _, class in ipairs(topic.classes or {}) do luals_class(out, class) end
  end
  each_entry(function(entry, topic)
    if entry.std or entry.module then return end -- LuaLS knows its own; modules are read from scripts/
    local lib = entry.name:match("^(.-)%.")
    if lib and not tables[lib] then
      tables[lib] = true
      out:add("\n---%s: %s\n%s = {}", lib, topic.title, lib)
    end
    luals_entry(out, entry)
  end)
  return { { "rule-api.lua", out:text() } }
end

-- --- luacheck --------------------------------------------------------------------------------------

local function luacheck()
  local out, names, fields = new_out(), {}, {}
  each_entry(function(entry)
    if entry.module then return end
    local lib, name = entry.name:match("^(.-)%.(.*)$")
    if not lib then
      names[#names + 1] = entry.name
    else
      fields[lib] = fields[lib] or {}
      table.insert(fields[lib], name)
      if #fields[lib] == 1 then names[#names + 1] = lib end
    end
  end)
  table.sort(names)
  out:add("-- " .. MADE, "luacheck")
  out:add("-- The globals of a rule file, for luacheck. In .luacheckrc:")
  out:add("--   stds.switchhook = dofile \"luacheck.lua\"")
  out:add("--   files[\"rules\"] = { std = \"switchhook\" }")
  out:add("return {\n  read_globals = {")
  for _, name in ipairs(names) do
    if not fields[name] then
      out:add("    %q,", name)
    else
      table.sort(fields[name])
      out:add("    %s = { fields = {", name)
      for _, field in ipairs(fields[name]) do out:add("      %q,", field) end
      out:add("    } },")
    end
  end
  out:add("  },\n}")
  return { { "luacheck.lua", out:text() } }
end

-- --- markdown --------------------------------------------------------------------------------------

local function cell(text) return (text:gsub("|", "\\|")) end

local function kind(type) return "`" .. cell(type:gsub("switchhook%.", "")) .. "`" end

local function anchor(text)
  return (text:lower():gsub("[^%w _-]", ""):gsub(" ", "-"))
end

local function heading(entry)
  return entry.params and ("%s(%s)"):format(entry.name, names_of(entry.params)) or entry.name
end

local function md_class(out, class)
  out:add("## %s\n\n%s\n", class.name, class.text)
  out:add("| field | type | |\n|---|---|---|")
  for _, f in ipairs(class.fields) do
    out:add("| `%s` | %s | %s%s |", f[1], kind(f[2]), f.required and "" or "optional. ", cell(f[3]))
  end
  out:add("")
end

local function md_arguments(out, entry)
  if #entry.params > 0 then
    out:add("\n| argument | type | |\n|---|---|---|")
    for _, p in ipairs(entry.params) do
      out:add("| `%s` | %s | %s%s |", p[1], kind(p[2]), p.optional and "optional. " or "", cell(p[3]))
    end
  end
  local gives = {}
  for i, r in ipairs(entry.returns) do gives[i] = ("`%s` %s"):format(r[1]:gsub("switchhook%.", ""), r[2]) end
  if #gives > 0 then out:add("\nGives: %s", table.concat(gives, " Then ")) end
end

local function md_entry(out, entry)
  out:add("## %s\n\n%s%s %s", heading(entry), entry.summary, entry.text and " " .. entry.text or "",
    WHERE[entry.use])
  if entry.params then md_arguments(out, entry) end
  if entry.errors then
    out:add("\n| wrong | the error |\n|---|---|")
    for _, e in ipairs(entry.errors) do
      out:add("| `%s` | `%s` |", cell((e[1]:gsub("\n", " "))), cell(e[2]))
    end
  end
  if entry.example then out:add("\n```lua\n%s\n```", entry.example) end
  out:add("")
end

-- Entries that have only a line each.
local function md_list(out, entries)
  out:add("| | |\n|---|---|")
  for _, entry in ipairs(entries) do
    local what = cell(entry.summary) .. (entry.module and " " .. WHERE[entry.use] or "")
    out:add("| `%s` | %s |", heading(entry), what)
  end
end

local function md_page(topic)
  local out = new_out()
  out:add("<!-- " .. MADE .. " -->\n", "markdown")
  out:add("# %s\n\n%s\n", topic.title, topic.text)
  if topic.events then
    out:add("| type | when | body |\n|---|---|---|")
    for _, e in ipairs(topic.events) do
      out:add("| `%s` | %s | [%s](#%s) |", e[1], e[2], e[3], anchor(e[3]))
    end
    out:add("")
  end
  if topic.example then out:add("```lua\n%s\n```\n", topic.example) end
  local listed = topic.entries[1] and (topic.entries[1].std or topic.entries[1].module)
  if listed then md_list(out, topic.entries) end
  for _, entry in ipairs(listed and {} or topic.entries) do md_entry(out, entry) end
  for _, class in ipairs(topic.classes or {}) do md_class(out, class) end
  return (out:text():gsub("\n+$", "\n"))
end

local function md_index()
  local out = new_out()
  out:add("<!-- " .. MADE .. " -->\n", "markdown")
  out:add([[
# Reference of the rule API

Every name that a rule file sees, one page a topic. [rules.md](../rules.md) tells how they go together.

| page | |
|---|---|]])
  for _, topic in ipairs(topics) do
    local names = {}
    for _, entry in ipairs(topic.entries) do names[#names + 1] = "`" .. entry.name .. "`" end
    for _, e in ipairs(topic.events or {}) do names[#names + 1] = "`" .. e[1] .. "`" end
    out:add("| [%s](%s.md) | %s |", topic.title, topic.id, table.concat(names, " "))
  end
  out:add("\nTypes: a `Time` and a `Duration` may be written in several ways.\n\n| type | |\n|---|---|")
  for _, a in ipairs(ALIASES) do out:add("| `%s` | %s |", a[1], cell(a[3])) end
  out:add([[

## In your editor

| for | file | what to do with it |
|---|---|---|
| completion and hints (LuaLS: VS Code, Neovim, ..) | [rule-api.lua](rule-api.lua) | put its folder into `workspace.library`, and `"runtime.version": "Lua 5.4"` |
| luacheck | [luacheck.lua](luacheck.lua) | `stds.switchhook = dofile "luacheck.lua"`, `files["rules"] = { std = "switchhook" }` |

`switchhook api --format luals` and the other formats print them, for the version that you run.
`switchhook check` finds unknown names and fields without any of them.]])
  return out:text()
end

local function markdown()
  local files = { { "README.md", md_index() } }
  for _, topic in ipairs(topics) do files[#files + 1] = { topic.id .. ".md", md_page(topic) } end
  return files
end

-- --- JSON ------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }

local json

local function members(t)
  local names, parts = {}, {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = json(name) .. ":" .. json(t[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function json(v)
  if type(v) == "string" then return '"' .. v:gsub('["\\\n]', ESCAPES) .. '"' end
  if type(v) ~= "table" then return tostring(v) end
  if #v == 0 and next(v) ~= nil then return members(v) end
  local parts = {}
  for i, item in ipairs(v) do parts[i] = json(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- { "name", "type", "meaning", required = true } as an object.
local function named(list, names)
  local all = {}
  for i, item in ipairs(list or {}) do
    local o = {}
    for k, v in pairs(item) do o[names[k] or k] = v end
    all[i] = o
  end
  return all
end

local function flat(topic)
  local t = { id = topic.id, title = topic.title, text = topic.text, example = topic.example, entries = {},
    classes = {}, events = named(topic.events, { "type", "when", "class" }) }
  for i, entry in ipairs(topic.entries) do
    local o = {}
    for k, v in pairs(entry) do o[k] = v end
    o.params = entry.params and named(entry.params, { "name", "type", "text" })
    o.returns = entry.returns and named(entry.returns, { "type", "text" })
    o.errors = entry.errors and named(entry.errors, { "code", "message" })
    t.entries[i] = o
  end
  for i, class in ipairs(topic.classes or {}) do
    t.classes[i] = { name = class.name, text = class.text, within = class.within,
      args = named(class.args, { "function", "number" }),
      fields = named(class.fields, { "name", "type", "text" }) }
  end
  return t
end

local function as_json()
  local all = {}
  for i, topic in ipairs(topics) do all[i] = flat(topic) end
  return { { "api.json", json { topics = all } .. "\n" } }
end

local formats = { luals = luals, luacheck = luacheck, markdown = markdown, json = as_json }
return formats[format] and formats[format]()
