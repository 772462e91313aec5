-- SPDX-License-Identifier: MIT
-- api_spec.lua: what `switchhook api` prints is committed, and is right: the examples load, the hints
-- are Lua with the arguments that they name, luacheck accepts the shipped rules.
local cjson = require "cjson"
local lfs = require "lfs"

local bin = os.getenv "SWITCHHOOK_BIN" or "build/switchhook"
if bin:sub(1, 1) ~= "/" then bin = lfs.currentdir() .. "/" .. bin end

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

-- Standard output and error together, and the exit code.
local function run(command)
  local f = io.popen(command .. " 2>&1")
  local out = f:read "a"
  local _, _, code = f:close()
  return out, code
end

local function folder()
  local dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  return dir
end

local function files_in(dir)
  local names = {}
  for name in lfs.dir(dir) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

describe("switchhook api", function()
  local dir

  before_each(function() dir = folder() end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  it("prints what docs/api holds", function()
    for _, format in ipairs { "markdown", "luals", "luacheck" } do
      local out, code = run(("%s api --format %s --out %s"):format(bin, format, dir))
      assert.are.equal(0, code, out)
    end
    assert.are.same(files_in "docs/api", files_in(dir))
    for _, name in ipairs(files_in(dir)) do
      assert(read(dir .. "/" .. name) == read("docs/api/" .. name),
        name .. " is not what the binary prints: switchhook api --format .. --out docs/api")
    end
  end)

  it("has examples that load", function()
    local api = cjson.decode((run(bin .. " api --format json")))
    local n = 0
    assert(os.execute(("mkdir %s/rules && cp -r scripts %s/"):format(dir, dir)))
    write(dir .. "/switchhook.lua", 'return { secrets = { CRM_TOKEN = "x" } }\n')
    local function example(name, text)
      n = n + 1
      if not text:find "rule \"" then
        text = ("rule %q { on = \"*\", run = function(call, envelope)\n%s\nend }\n"):format(name, text)
      end
      write(("%s/rules/%s.lua"):format(dir, name:gsub("%W", "_")), text .. "\n")
    end
    for _, topic in ipairs(api.topics) do
      if topic.example then example("topic " .. topic.id, topic.example) end
      for _, entry in ipairs(topic.entries) do
        if entry.example then example(entry.name, entry.example) end
      end
    end
    local out, code = run(("cd %s && %s check"):format(dir, bin))
    assert.are.equal(0, code, out)
    assert.is_true(n > 40)
  end)

  it("has an example of every effect and read", function()
    for _, topic in ipairs(cjson.decode((run(bin .. " api --format json"))).topics) do
      for _, entry in ipairs(topic.entries) do
        if not entry.module and (entry.use == "effect" or entry.use == "read") then
          assert(entry.example, entry.name .. " has no example")
          assert(#entry.params > 0, entry.name .. " has no arguments")
        end
      end
    end
  end)

  it("describes modules that are there", function()
    local api = cjson.decode((run(bin .. " api --format json")))
    local text = {}
    for _, topic in ipairs(api.topics) do
      for _, entry in ipairs(topic.entries) do
        if entry.module then
          text[#text + 1] = ("assert(type((require %q).%s) == 'function', %q)\n"):format(entry.module,
            entry.name:match "%.(.*)", entry.name)
        end
      end
    end
    assert.is_true(#text > 10)
    assert(os.execute(("mkdir %s/rules && cp -r scripts %s/"):format(dir, dir)))
    write(dir .. "/rules/x.lua", table.concat(text) .. 'rule "x" { on = "x", run = function() end }\n')
    local out, code = run(("%s check --rules %s/rules --scripts %s/scripts"):format(bin, dir, dir))
    assert.are.equal(0, code, out)
  end)

  -- Deliveries end in e2e/delivery_spec.lua; here are those that need nobody else.
  it("describes events as they are", function()
    local api, known = cjson.decode((run(bin .. " api --format json"))), {}
    for _, topic in ipairs(api.topics) do
      for _, event in ipairs(topic.events) do
        local fields = {}
        for _, class in ipairs(topic.classes) do
          for _, f in ipairs(class.name == event.class and class.fields or {}) do
            fields[#fields + 1] = ("%s = %q"):format(f.name, f.required and "needed" or "maybe")
          end
        end
        assert(#fields > 0, event.type .. " has no class")
        known[#known + 1] = ("%s = { %s }"):format(event.type, table.concat(fields, ", "))
      end
    end
    assert(lfs.mkdir(dir .. "/rules"))
    write(dir .. "/rules/x.lua", "local known = { " .. table.concat(known, ",\n") .. " }\n" .. [[
local function see(e, env)
  for k in pairs(e) do assert(known[env.type][k], k) end
  for k, v in pairs(known[env.type]) do assert(v == "maybe" or e[k] ~= nil, k) end
  log.info("saw " .. env.type)
end
rule "ask" { on = "start", run = function(e)
  callback { number = "1", due = "1h", name = "n", assignee = "a@b.nl", reason = "r", key = "k" }
  callback { number = "2", due = "2h" }
  after("10m", "reassign") after("20m", "snooze") after("5h", "done") after("30h", "cancel")
end }
rule "reassign" { on = "reassign", run = function() callbacks.reassign { key = "k", assignee = "c" } end }
rule "snooze" { on = "snooze", run = function() callbacks.snooze { key = "k", due = "1h", note = "x" } end }
rule "done" { on = "done", run = function() callbacks.done { key = "k" } end }
rule "cancel" { on = "cancel", run = function() callbacks.cancel { number = "2" } end }
rule "see" { on = "callback_*", run = see }
rule "tick" { every = "20 hours", run = see }
]])
    write(dir .. "/e.json", '{"event":"start","type":"start","call_id":"1"}')
    local out, code = run(("cd %s && %s try rules e.json --advance 31h --json"):format(dir, bin))
    assert.are.equal(0, code, out)
    for _, type in ipairs { "callback_due", "callback_missed", "callback_done", "callback_cancelled",
      "callback_snoozed", "callback_reassigned", "clock" } do
      assert(out:find("saw " .. type, 1, true), type)
    end
    assert(not out:find('"outcome":"failed"', 1, true), out)
  end)

  it("prints hints that are Lua, with the arguments they name", function()
    local text = run(bin .. " api --format luals")
    assert(load(text, "=rule-api.lua", "t"))
    local params, n = {}, 0
    for line in text:gmatch "[^\n]+" do
      local param = line:match "^%-%-%-@param ([%w_.]+)"
      local name, args = line:match "^function ([%w_.]+)%((.-)%) end$"
      if param then params[#params + 1] = param end
      if name then
        n = n + 1
        assert.are.equal(args, table.concat(params, ", "), name)
        params = {}
      end
    end
    assert.is_true(n > 40)
    assert.are.equal(0, #params)
    for class in text:gmatch "switchhook%.(%u%w+)" do -- every type that is named is there
      assert(text:find("---@class switchhook." .. class .. "\n", 1, true)
        or text:find("---@alias switchhook." .. class .. " ", 1, true), class)
    end
  end)

  it("prints a standard under which the shipped rules are clean, and a typing error is not", function()
    local std = run(bin .. " api --format luacheck")
    write(dir .. "/luacheck.lua", std)
    write(dir .. "/luacheckrc", ('stds.switchhook = dofile %q\nstd = "switchhook"\nmax_line_length = 120\n')
      :format(dir .. "/luacheck.lua"))
    local out, code = run(("luacheck -q --no-color --config %s/luacheckrc rules scripts "
      .. "$(find examples -path '*/rules/*.lua' -o -path '*/scripts/*.lua')"):format(dir))
    assert.are.equal(0, code, out)
    write(dir .. "/x.lua", "emial {}\nrecords.putt()\n")
    out, code = run(("luacheck --no-color --config %s/luacheckrc %s/x.lua"):format(dir, dir))
    assert.are.equal(1, code)
    assert.is_truthy(out:find("emial", 1, true) and out:find("putt", 1, true), out)
  end)

  it("keeps every list of fields in one place", function()
    local fields = read "engine/lua/fields.c"
    local n = 0
    for name in fields:gmatch "const struct sh_fields (sh_fields_[%w_]+) =" do
      n = n + 1
      assert(fields:find("&" .. name .. "[,}]"), name .. " is defined, and no function takes it")
    end
    assert.is_true(n >= 13)
    for file in lfs.dir "engine/lua" do
      local text = file:find "%.c$" and file ~= "fields.c" and read("engine/lua/" .. file) or ""
      for call in text:gmatch "\n[^\n]*sh_arg_%w+%(L, [^\n]*" do
        if call:find "sh_arg_table%(L" or call:find "sh_arg_only%(L" then
          assert(call:find "sh_fields_" or call:find "fields%)", file .. ":" .. call)
        end
      end
      assert(not text:find "struct sh_fields [%w_]+ = {", file .. " has fields of its own: fields.c is the place")
    end
  end)

  it("says which formats there are", function()
    local out, code = run(bin .. " api --format lual")
    assert.are.equal(2, code)
    assert.is_truthy(out:find("did you mean luals?", 1, true), out)
    out, code = run(bin .. " api --format luals --out /nowhere/at/all")
    assert.are.equal(1, code)
    assert.is_truthy(out:find("/nowhere/at/all", 1, true), out)
    out, code = run(bin .. " api --help")
    assert.are.equal(0, code)
    assert.is_truthy(out:find("--format luals|markdown|luacheck|json", 1, true), out)
  end)
end)
