-- SPDX-License-Identifier: MIT
-- catalog.lua: docs/errors.md as data: its examples, and what each of them really says.
--
-- A ```lua block of the page is a list of examples; an example is some lines of code and the lines
-- `--> ...` below them, which are the message; an empty line
-- may follow. Code alone is the run of a rule "example" in
-- rules/example.lua, from line 2 on; code that begins with `-- rules/NAME.lua` or
-- `-- scripts/NAME.lua` is that file (several may follow one another), and the comment its line 1.
-- `-- event: {..}` as a line of its own sets members of the event, `-- normalise: NAME` the source's
-- normaliser. A word behind ```lua says who
-- makes the message where the simulator cannot (see errors_spec.lua).
local cjson = require "cjson"

local catalog = {}

local PREFIX = 'rules/example.lua:2: rule "example": '

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The lines of a text.
function catalog.lines(text)
  local lines = {}
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

-- The page ---------------------------------------------------------------------------------------

-- { {kind = "text", text} | {kind = "block", info, line, heading, examples} }; an example is
-- { code = {lines}, want = {lines}, line, info, heading }.
function catalog.parse(text)
  local parts, block, example, heading = {}, nil, nil, ""
  for i, line in ipairs(catalog.lines(text)) do
    local info = line:match "^```lua ?(.*)$"
    if block and line == "```" then
      parts[#parts + 1], block, example = block, nil, nil
    elseif block and line:match "^%-%->" then
      assert(example, ("line %d: a message without code"):format(i))
      example.want[#example.want + 1] = line:match "^%-%-> ?(.*)$"
    elseif block and line == "" then
      example = nil
    elseif block then
      if not example or #example.want > 0 then
        example = { code = {}, want = {}, line = i, info = block.info, heading = heading }
        block.examples[#block.examples + 1] = example
      end
      example.code[#example.code + 1] = line
    elseif info and info ~= "configuration" then
      block = { kind = "block", info = info, line = i, heading = heading, examples = {} }
    else
      heading = line:match "^#+ (.*)$" or heading
      parts[#parts + 1] = { kind = "text", text = line }
    end
  end
  return parts
end

-- The page of parts again, with what `say` makes of each example in place of its message.
function catalog.render(parts, say)
  local out = {}
  for _, part in ipairs(parts) do
    if part.kind == "text" then
      out[#out + 1] = part.text
    else
      out[#out + 1] = "```lua" .. (part.info ~= "" and " " .. part.info or "")
      for k, example in ipairs(part.examples) do
        if k > 1 and (#example.code > 1 or #part.examples[k - 1].code > 1) then out[#out + 1] = "" end
        table.move(example.code, 1, #example.code, #out + 1, out)
        for _, line in ipairs(say(example)) do out[#out + 1] = "--> " .. line end
      end
      out[#out + 1] = "```"
    end
  end
  return table.concat(out, "\n") .. "\n"
end

function catalog.examples(parts)
  local all = {}
  for _, part in ipairs(parts) do
    for _, example in ipairs(part.examples or {}) do all[#all + 1] = example end
  end
  return all
end

-- The text of the block ```NAME below the page's words, such as its configuration.
function catalog.fixture(text, info)
  return (assert(text:match("\n```" .. info .. "\n(.-)\n```"), "no block " .. info))
end

-- Running an example -----------------------------------------------------------------------------

-- The files of an example, the members of its event, and its source's normaliser.
function catalog.files(example)
  local files, name, event, whole, normaliser = {}, nil, {}, false, nil
  local body = {}
  for _, line in ipairs(example.code) do
    local file, members = line:match "^%-%- (%a+/%S+%.lua)$", line:match "^%-%- event: (.*)$"
    if file then
      name, whole = file, true
      files[name] = {}
    end
    local module = line:match "^%-%- normalise: (%S+)$"
    if members then
      for key, value in pairs(cjson.decode(members)) do event[key] = value end
    elseif module then
      normaliser = module
    else
      local to = whole and files[name] or body
      to[#to + 1] = line
    end
  end
  if not whole then
    files["rules/example.lua"] = { 'rule "example" { on = "*", run = function(event)' }
    table.move(body, 1, #body, 2, files["rules/example.lua"])
    table.insert(files["rules/example.lua"], "end }")
  end
  for key, text in pairs(files) do files[key] = table.concat(text, "\n") .. "\n" end
  return files, event, normaliser
end

-- Write the files of an example into a new folder, with the page's configuration and event.
function catalog.folder(page, example)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir -p " .. dir .. "/rules " .. dir .. "/scripts"))
  local files, members, normaliser = catalog.files(example)
  local event = cjson.decode(catalog.fixture(page, "json event"))
  for key, value in pairs(members) do event[key] = value end
  for name, text in pairs(files) do write(dir .. "/" .. name, text) end
  local config = catalog.fixture(page, "lua configuration")
  if normaliser then
    config = config:gsub('path = "/hooks/webphone"', ('%%0, normalise = "%s"'):format(normaliser))
  end
  write(dir .. "/switchhook.lua", config)
  write(dir .. "/event.json", cjson.encode(event))
  return dir
end

local function capture(command)
  local p = assert(io.popen(command, "r"))
  local out = p:read "a"
  p:close()
  return out
end

-- The message without its traceback, as lines.
local function message_lines(text)
  local kept = {}
  for _, line in ipairs(catalog.lines(text)) do
    if not line:match "^  at " then kept[#kept + 1] = line end
  end
  return kept
end

local function add_faults(out, list, kind)
  for _, fault in ipairs(list) do
    local place = fault.line > 0 and ("%s:%d"):format(fault.file, fault.line) or fault.file
    for _, line in ipairs(message_lines(place .. ": " .. kind .. fault.msg)) do out[#out + 1] = line end
  end
end

local function run(bin, dir, arguments)
  return capture(("cd %s && timeout 20 %s %s --json 2>err"):format(dir, quote(bin), arguments))
end

-- All that is wrong with the files, or the error of the first run that fails, as lines; what stands
-- on standard error if the command was ended.
local function try(bin, dir)
  local out, found = run(bin, dir, "try rules event.json"), {}
  for _, line in ipairs(catalog.lines(out)) do
    local ok, entry = pcall(cjson.decode, line)
    for _, ran in ipairs(ok and entry.runs or {}) do
      if ran.outcome == "failed" then return message_lines(ran.error) end
    end
    if ok and entry.errors then add_faults(found, entry.errors, "") end
  end
  return #found > 0 and found or out == "" and message_lines(read(dir .. "/err")) or {}
end

-- What `switchhook check` warns of, as lines.
local function warnings(bin, dir)
  local found = {}
  add_faults(found, cjson.decode(run(bin, dir, "check")).warnings, "warning: ")
  return found
end

-- What an example says, as lines: all that is wrong with its files when they are loaded, or the
-- error of its run. The position and rule that each example in a run has are left out.
function catalog.say(bin, page, example)
  local dir = catalog.folder(page, example)
  local found = try(bin, dir)
  if #found == 0 then found = warnings(bin, dir) end
  os.execute("rm -rf " .. dir)
  return catalog.short(found)
end

function catalog.short(found)
  if found[1] and found[1]:sub(1, #PREFIX) == PREFIX then found[1] = found[1]:sub(#PREFIX + 1) end
  return found
end

-- `lua5.4 tests/errors/catalog.lua fill` writes what the simulator says into the page, to be read
-- with git diff before it is kept. Blocks with a word behind ```lua stay as they are.
if arg and arg[0] and arg[0]:match "catalog%.lua$" and arg[1] == "fill" then
  local page = read "docs/errors.md"
  local pwd = capture("pwd"):match "[^\n]+"
  local bin = os.getenv "SWITCHHOOK_BIN" or pwd .. "/build/switchhook"
  write("docs/errors.md", catalog.render(catalog.parse(page), function(example)
    return example.info == "" and catalog.say(bin, page, example) or example.want
  end))
end

return catalog
