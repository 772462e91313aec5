-- SPDX-License-Identifier: MIT
-- errors_spec.lua: docs/errors.md says what the program says. Each example of the page is run, most
-- of them through `switchhook check` and `switchhook try`; a word behind ```lua names another way:
--   engine       a real engine with one worker; the error of the run
--   engine KILL  the same, and the worker is killed while the run is on
--   unit         tests/unit/test_errors_page.c, which reads the page itself
local catalog = require "tests.errors.catalog"
local support = require "tests.e2e.support"

local page = support.read_file "docs/errors.md"
local parts = catalog.parse(page)

-- The pid of the engine's only worker, if it has one now.
local function worker_of(engine)
  return tonumber(support.capture("pgrep -P " .. engine.pid .. " -f worker"):match "%d+")
end

local function start_engine(example)
  local rules = {}
  for name, text in pairs(catalog.files(example)) do rules[name:match "rules/(.*)" or name] = text end
  local config = catalog.fixture(page, "lua configuration")
    :gsub("^return {", 'return { workers = 1, retry = { "1h" },')
  return support.engine { config = config, rules = rules }
end

-- What the engine says of the run, as lines.
local function through_engine(example)
  local engine = start_engine(example)
  finally(function() engine:close() end)
  assert.equal(200, engine:post("/hooks/webphone", catalog.fixture(page, "json event")).status)
  if example.info == "engine KILL" then
    os.execute "sleep 0.5" -- it is in the run by now, for two seconds
    os.execute("kill -KILL " .. worker_of(engine))
  end
  local run = support.wait_for(function()
    return engine:cli("runs", "--state", "retry", "--json")[1]
  end, 30, "the end of the run")
  return catalog.lines(run.error)
end

describe("docs/errors.md, line", function()
  for _, example in ipairs(catalog.examples(parts)) do
    local name = ("%d: %s"):format(example.line, (example.want[1] or "no message"):sub(1, 60))
    if example.info == "" then
      it(name, function()
        assert.same(example.want, catalog.say(support.bin, page, example))
      end)
    elseif example.info:match "^engine" then
      it(name, function()
        assert.same(example.want, through_engine(example))
      end)
    else
      it(name, function() assert.equal("unit", example.info) end)
    end
  end
end)

it("a worker that stands still is told of in the log, and costs its run nothing", function()
  local engine = start_engine { code = { "-- rules/a.lua", [[rule "A" { on = "*", run = function() end }]] } }
  finally(function() engine:close() end)
  os.execute("kill -STOP " .. worker_of(engine))
  assert.equal(200, engine:post("/hooks/webphone", catalog.fixture(page, "json event")).status)
  engine:wait_events("done", 1, 30)
  assert.truthy(engine:log():find "no sign of life from the worker for %d+ ms", engine:log())
  assert.equal(1, engine:cli("runs", "--json")[1].attempts)
end)

describe("every message", function()
  -- What error() and assert() were given by the author is shown as it is.
  local own = { ["this call has no number"] = true, ["no number"] = true }

  it("on the page has a hint", function()
    for _, example in ipairs(catalog.examples(parts)) do
      local said = table.concat(example.want, "\n")
      assert.truthy(own[said] or said:find("\n  hint: %S"), ("line %d: %s"):format(example.line, said))
    end
  end)

  it("names its file, line and rule", function()
    for _, example in ipairs(catalog.examples(parts)) do
      local code, first = table.concat(example.code, "\n"), example.want[1]
      local whole = code:find "^%-%- %a+/"
      local placed = first:find "^%a+/[%w_]+%.lua:%d+: " or first:find "there is no rule in any file"
        or first:find("scripts/pxb.lua: ", 1, true) -- there is no such file
        or first:find 'rule "r": the event as a table'
      assert.truthy(not whole or placed, ("line %d: %s"):format(example.line, first))
    end
  end)

  it("of the sources stands on the page", function()
    local out, code = support.capture "tests/lint/errors"
    assert.equal(0, code, out)
  end)
end)

describe("a message of several lines", function()
  local dir
  before_each(function()
    dir = support.temp_dir()
    support.write_file(dir .. "/rules/a.lua", 'rule "A" { on = "*", run = function(e)\n' ..
      "  local function f() return e.a.b end\n  return f() or 1\nend }\n")
    support.write_file(dir .. "/broken/a.lua", 'rule "A" { on = "*" }\n')
    support.write_file(dir .. "/e.json", catalog.fixture(page, "json event"))
  end)
  after_each(function() support.remove_dir(dir) end)

  local function run(command)
    return (support.capture(("cd %s && %s %s 2>&1"):format(dir, support.bin, command)))
  end

  it("is indented by try, hint and traceback below it", function()
    local out = run "try rules e.json"
    assert.truthy(out:find([[
  failed  A  rules/a.lua:1
    rules/a.lua:2: rule "A": attempt to index a nil value (field 'a')
      hint: there is no 'a' here: get(t, "a.name") is nil, not an error, when a part is missing
      at rules/a.lua:2 in f
]], 1, true), out)
  end)

  it("is indented by check", function()
    local out = run "check --rules broken"
    assert.truthy(out:find([[
broken/a.lua:1: rule "A" has no 'run': run = function(event) ... end
      hint: when looks, run acts: both are functions of the event
]], 1, true), out)
  end)

  it("is one line in a table, and its parts in a line of the log", function()
    local engine = start_engine { info = "", code = { "-- rules/a.lua", 'rule "A" { on = "*", run = function(e)',
      "  local function f() return e.a.b end", "  return f() or 1", "end }" } }
    finally(function() engine:close() end)
    assert.equal(200, engine:post("/hooks/webphone", catalog.fixture(page, "json event")).status)
    support.wait_for(function() return engine:log():find "run failed" end, 10, "the failure")
    local said = [[rules/a.lua:3: rule "A": attempt to index a nil value (field 'a')]]
    local hint = [[there is no 'a' here: get(t, "a.name") is nil, not an error, when a part is missing]]
    local function quoted(text) return '"' .. text:gsub('"', '\\"') .. '"' end
    assert.truthy(engine:log():find((" error=%s hint=%s at=%s\n"):format(quoted(said), quoted(hint),
      quoted "rules/a.lua:3 in f"), 1, true), engine:log())
    local row = support.wait_for(function()
      return engine:cli("runs", "--state", "retry", "--json")[1]
    end, 10, "the run")
    assert.truthy(row.error:find(said .. "\n  hint: " .. hint .. "\n  at rules/a.lua:3 in f\n", 1, true), row.error)
    local _, text = engine:cli("runs", "--state", "retry")
    assert.truthy(text:find(said .. "\n", 1, true), text)
  end)
end)
