-- Finds things in a call's analysis, whose keys come in any language.
--
--   local analysis = require "analysis"
--   analysis.summary(call)        --> text or nil
--   analysis.action_items(call)   --> { { text = ..., owner = ..., due = ... }, ... }
-- Texts are cut after 2000 letters, who and when after 200; of action items the first 50 count.
local phone = require "phone"
local analysis = {}

local LONGEST, MOST = 2000, 50

local summary_names = { "samenvatting", "summary", "gespreksamenvatting", "synopsis" }

local item_names = {
  "actiepunten", "actiepunt", "acties", "action_items", "actionitems", "action items",
  "action_points", "actionpoints", "action points", "actions", "next_steps", "todos",
}

local text_names = { "text", "title", "action", "actie", "task", "taak", "description", "omschrijving",
  "item", "name" }
local owner_names = { "owner", "assignee", "who", "eigenaar", "wie", "verantwoordelijke" }
local due_names = { "due", "due_date", "deadline", "when", "datum", "wanneer" }

-- The first of the named members that there is, upper or lower case.
local function first(t, names)
  if type(t) ~= "table" then return nil end
  for _, name in ipairs(names) do
    for key, value in pairs(t) do
      if type(key) == "string" and key:lower() == name then return value end
    end
  end
end

-- Its lines are kept.
local function text_of(value)
  if type(value) ~= "string" and type(value) ~= "number" then return nil end
  local text = tostring(value):gsub("^%s+", "")
  local stop = #text > LONGEST and utf8.offset(text, LONGEST + 1)
  if stop then text = text:sub(1, stop - 1) end
  text = text:gsub("[^\n\r\t%C]", " "):gsub("%s+$", "")
  return text ~= "" and text or nil
end

function analysis.summary(call)
  return text_of(first(call.analysis, summary_names))
end

-- "- call back", "2) call back", "• call back" --> "call back"
local function without_bullet(line)
  return (line:gsub("^%s*[-*]%s+", ""):gsub("^%s*•%s*", ""):gsub("^%s*%d+[.)]%s+", ""))
end

local function add(list, value)
  if type(value) == "table" then
    local text = text_of(first(value, text_names))
    if text then
      list[#list + 1] = { text = text, owner = phone.text(first(value, owner_names)),
        due = phone.text(first(value, due_names)) }
    end
    return
  end
  if type(value) ~= "string" and type(value) ~= "number" then return end
  for line in tostring(value):gmatch("[^\r\n]+") do
    if #list >= MOST then return end
    local text = text_of(without_bullet(line))
    if text then list[#list + 1] = { text = text } end
  end
end

-- A list of texts or objects, one object, or one text with a line for each.
function analysis.action_items(call)
  local value, list = first(call.analysis, item_names), {}
  if type(value) == "table" and (#value > 0 or next(value) == nil) then
    for _, item in ipairs(value) do
      if #list >= MOST then break end
      add(list, item)
    end
  else
    add(list, value)
  end
  return list
end

return analysis
