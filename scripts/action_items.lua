-- SPDX-License-Identifier: MIT
-- action_items.lua: the action points of a call's analysis as a list of {what, who, due}.
local action_items = {}

local KEYS = { "actiepunten", "action_items", "actionItems", "action_points", "actionPoints",
  "action items", "action points", "actions", "acties" }
local WHAT = { "text", "tekst", "description", "omschrijving", "task", "taak", "title", "titel",
  "action", "actie", "item", "what", "wat" }
local WHO = { "owner", "eigenaar", "assignee", "responsible", "verantwoordelijke", "who", "wie" }
local DUE = { "due", "due_date", "deadline" }

-- What an analysis writes when there is nothing to do.
local NOTHING = { none = true, geen = true, ["n/a"] = true, ["n.v.t."] = true, nvt = true,
  ["geen actiepunten"] = true, ["no action items"] = true, ["no action points"] = true, ["-"] = true }

local function first(item, names)
  for _, name in ipairs(names) do
    local value = item[name]
    if type(value) == "string" and value:find "%S" then return value end
  end
  return nil
end

-- A line without its bullet or number; nil if nothing is left that somebody could do.
local function clean(line)
  local text = line:match "^%s*(.-)%s*$"
  text = text:gsub("^[-*]%s+", ""):gsub("^•%s*", ""):gsub("^%d+[.)]%s+", ""):gsub("^%[[ xX]?%]%s*", "")
  if text == "" or NOTHING[(text:lower():gsub("%.$", ""))] or NOTHING[text:lower()] then return nil end
  return text
end

local function add_lines(list, text)
  for line in text:gmatch "[^\r\n]+" do
    local what = clean(line)
    if what then list[#list + 1] = { what = what } end
  end
end

local function add(list, item)
  if type(item) == "string" then
    local what = clean((item:gsub("%s*[\r\n]+%s*", " ")))
    if what then list[#list + 1] = { what = what } end
  elseif type(item) == "table" then
    local text = first(item, WHAT)
    local what = text and clean(text)
    if what then list[#list + 1] = { what = what, who = first(item, WHO), due = first(item, DUE) } end
  end
end

-- Items may be texts, objects ({text, owner, due} and their Dutch names), or one text of lines.
local function read(value)
  local list = {}
  if type(value) == "string" then
    add_lines(list, value)
  elseif type(value) == "table" and #value == 0 then
    add(list, value) -- a single object
  elseif type(value) == "table" then
    for i = 1, #value do add(list, value[i]) end
  end
  return list
end

-- The first key that holds any, in the analysis or beside it. Empty if there is nothing to do.
function action_items.of(call)
  for _, place in ipairs { get(call, "analysis") or call, call } do
    for _, key in ipairs(KEYS) do
      local value = type(place) == "table" and place[key]
      local list = value and read(value) or {}
      if #list > 0 then return list end
    end
  end
  return {}
end

return action_items
