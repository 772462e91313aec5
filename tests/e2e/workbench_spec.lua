-- SPDX-License-Identifier: MIT
-- workbench_spec.lua: switchhook test, new and init in the real binary: what they print, write and
-- return. What the kit means is in tests/spec/kit_spec.lua.

local json = require "cjson"
local lfs = require "lfs"
local support = require "tests.e2e.support"

local bin, quote = support.bin, support.quote
local dir -- a folder of this test's own

local function write(name, text)
  support.write_file(dir .. "/" .. name, text)
end

local function read(name)
  return support.read_file(dir .. "/" .. name)
end

-- A shell command in dir, with $bin for the binary. Exit code, standard output, standard error.
local function run(command)
  local out, code = support.capture(("cd %s && bin=%s && { %s\n} 2>stderr"):format(quote(dir), quote(bin), command))
  return code, out, read "stderr"
end

local function has(text, part)
  assert(text:find(part, 1, true), ("no %q in:\n%s"):format(part, text))
end

local function last_line(text)
  return text:match "([^\n]*)\n*$"
end

local rule = [[
rule "Greet" {
  on = "call_stop",
  when = function(call) return call.direction ~= "outgoing" end,
  run = function(call)
    if call.shout then
      error "too loud"
    end
    email { to = "desk@example.org", subject = "Hello {{name}}", text = "..", with = call }
  end,
}
]]

local function spec(body)
  return 'describe("greet", function()\n' .. body .. "\nend)\n"
end

local green = spec [[
  it("says hello", function()
    hook.send { event = "call_stop", call_id = "1", name = "Zoë" }
    assert.sent_email { to = "desk@example.org", subject = "Hello Zoë" }
  end)
  it("says nothing to itself", function()
    hook.send { event = "call_stop", call_id = "1", direction = "outgoing" }
    assert.no_effects()
  end) ]]

describe("workbench", function()
  before_each(function()
    dir = support.temp_dir()
    write("rules/greet.lua", rule)
    write("specs/greet_spec.lua", green)
  end)
  after_each(function() support.remove_dir(dir) end)

  describe("test", function()
    it("runs every spec of the project and says how many passed", function()
      write("rules/beside_spec.lua", (green:gsub("greet", "beside")))
      write(".hidden/x_spec.lua", "error 'not to be run'")
      write("other/rules/a.lua", rule)
      write("other/specs/x_spec.lua", "error 'a project of its own'")
      local code, out, err = run "$bin test"
      assert.equal(0, code, out .. err)
      has(out, "ok   rules/beside_spec.lua")
      has(out, "ok   specs/greet_spec.lua")
      assert.matches("^4 specs: 4 passed %(%d+%.%d+ s%)$", last_line(out))
      assert.equal("", err)
    end)

    it("takes a project elsewhere, and files", function()
      local code, out = run 'cd / && $bin test "$OLDPWD"'
      assert.equal(0, code, out)
      assert.matches("2 specs: 2 passed", last_line(out))
      code, out = run "$bin test specs/greet_spec.lua --filter itself"
      assert.equal(0, code, out)
      assert.matches("1 spec: 1 passed", last_line(out))
      code, out = run "cd / && $bin test --config $OLDPWD/switchhook.lua"
      assert.equal(1, code, out)
      write("switchhook.lua", "return { zone = 'Asia/Tokyo' }")
      code, out = run "cd / && $bin test --config $OLDPWD/switchhook.lua"
      assert.equal(0, code, out)
    end)

    it("finds the project as the engine names it: its rules, its scripts, its configuration", function()
      local code, out, err = run 'cd / && $bin test --rules "$OLDPWD/rules" --scripts "$OLDPWD/scripts"'
      assert.equal(0, code, out .. err)
      assert.matches("2 specs: 2 passed", last_line(out))
      local _
      code, _, err = run "$bin test --rules rules --scripts elsewhere"
      assert.equal(1, code)
      has(err, "elsewhere: no such folder (scripts)")
      write("switchhook.lua", "return {}")
      code, out, err = run "$bin test --rules rules --scripts scripts --config switchhook.lua"
      assert.equal(0, code, out .. err)
      write("etc/switchhook.lua", "return {}")
      code, out, err = run "$bin test --rules $PWD/rules --config $PWD/etc/switchhook.lua"
      assert.equal(0, code, out .. err)
      assert.matches("2 specs: 2 passed", last_line(out))
    end)

    it("ends with the first failure by name, also without a terminal and without input", function()
      write("specs/greet_spec.lua", spec [[
  it("says hello", function()
    hook.send { event = "call_stop", call_id = "1", name = "Zoe" }
    assert.sent_email { to = "desk@example.org", subject = "Hello Zoë" }
  end)
  it("says goodbye", function() assert.equal(1, 2) end)]])
      local code, out, err = run "$bin test <&-"
      assert.equal(1, code, err)
      assert.equal("first failure: specs/greet_spec.lua:2: greet says hello", last_line(out))
      has(out, "FAIL greet says hello\n")
      has(out, "specs/greet_spec.lua:4: expected an email with")
      has(out, [[! subject  "Hello Zoe"   -- expected "Hello Zoë"]])
      has(out, "2 specs: 0 passed, 2 failed")
    end)

    it("fails a spec whose rule failed unnoticed, at the rule's line", function()
      write("specs/greet_spec.lua", spec [[
  it("shouts", function() hook.send { event = "call_stop", call_id = "1", shout = true } end)
  it("shouts on purpose", function()
    hook.send { event = "call_stop", call_id = "1", shout = true }
    assert.failed("Greet", "too loud")
  end)]])
      local code, out = run "$bin test"
      assert.equal(1, code)
      has(out, "FAIL greet shouts\n")
      has(out, 'rule "Greet" failed')
      has(out, 'rules/greet.lua:6: rule "Greet": too loud')
      has(out, "2 specs: 1 passed, 1 failed")
    end)

    it("names the nearest field for a typo, at the spec's line", function()
      write("specs/greet_spec.lua", spec [[
  it("x", function()
    assert.sent_email { subjct = "x" }
  end)]])
      local code, out = run "$bin test"
      assert.equal(1, code)
      has(out, 'specs/greet_spec.lua:3: assert.sent_email: unknown field "subjct"; did you mean subject?')
    end)

    it("prints a JSON line a spec, and a summary", function()
      local code, out = run "$bin test --json"
      assert.equal(0, code, out)
      local rows = {}
      for line in out:gmatch "[^\n]+" do rows[#rows + 1] = json.decode(line) end
      assert.equal(3, #rows)
      assert.equal("greet says hello", rows[1].spec)
      assert.equal("specs/greet_spec.lua", rows[1].file)
      assert.equal(2, rows[1].line)
      assert.equal("passed", rows[1].outcome)
      assert.equal(2, rows[3].summary.passed)
      assert.equal(0, rows[3].summary.failed)
    end)

    it("has busted's outputs", function()
      local code, out = run "$bin test --output TAP"
      assert.equal(0, code, out)
      has(out, "ok 1 - greet says hello\n")
      has(out, "1..2")
      local _, err
      code, _, err = run "$bin test --output nonsense"
      assert.equal(2, code)
      assert.matches("^switchhook test: %-%-output nonsense: busted has no such output [^\n]*\n$", err)
      code, _, err = run "$bin test --filter '('"
      assert.equal(2, code)
      assert.equal("switchhook test: --filter (: no Lua pattern, unfinished capture (%( is the bracket itself)\n", err)
    end)

    it("says where a spec stands whose rule failed unasked", function()
      write("specs/loud_spec.lua", spec [[
  it("shouts", function() hook.send { event = "call_stop", call_id = "1", shout = true } end) ]])
      local code, out = run "$bin test specs/loud_spec.lua"
      assert.equal(1, code)
      has(out, 'specs/loud_spec.lua:2: rule "Greet" failed, and the spec did not ask')
      assert.is_nil(out:find "kit:")
    end)

    it("chooses by tag, and says when nothing is chosen", function()
      write("specs/greet_spec.lua", spec [[
  it("a #slow", function() end)
  it("b", function() end)]])
      local code, out = run "$bin test --tags slow"
      assert.equal(0, code)
      assert.matches("^1 spec: 1 passed", last_line(out))
      code, out = run "$bin test --exclude-tags slow,fast"
      assert.equal(0, code)
      assert.matches("^1 spec: 1 passed", last_line(out))
      local _, err
      code, _, err = run "$bin test --filter nothing"
      assert.equal(1, code)
      has(err, "no spec was run")
    end)

    it("shuffles, and has the same order again with its seed", function()
      local names = {}
      for i = 1, 9 do names[i] = ('it("s%d", function() print("now %d") end)'):format(i, i) end
      write("specs/greet_spec.lua", spec(table.concat(names, "\n")))
      local function order(args)
        local code, out = run("$bin test " .. args)
        assert.equal(0, code, out)
        return out:gsub("[^\n]*passed.*", ""), out:match "order of %-%-seed (%d+)"
      end
      local straight = order ""
      local shuffled, seed = order "--seed 5"
      assert.equal("5", seed)
      assert.not_equal(straight, shuffled)
      assert.equal(shuffled, (order "--seed 5"))
      shuffled, seed = order "--shuffle"
      assert.equal(shuffled, (order("--seed " .. seed)))
    end)

    it("says what is wrong with a rule, a spec file, a folder", function()
      write("rules/bad.lua", 'rule "X" { on = "a", runn = 1 }')
      local code, _, err = run "$bin test"
      assert.equal(1, code)
      has(err, "rules/bad.lua:1:")
      os.remove(dir .. "/rules/bad.lua")
      write("specs/bad_spec.lua", "describe(")
      local out
      code, out = run "$bin test"
      assert.equal(1, code)
      has(out, "specs/bad_spec.lua:1:")
      has(out, "first failure: specs/bad_spec.lua")
      code, _, err = run "$bin test nowhere"
      assert.equal(1, code)
      has(err, "nowhere: no such file or folder")
      code = run "$bin test --seed x"
      assert.equal(2, code)
      code, _, err = run "$bin test --coverge"
      assert.equal(2, code)
      has(err, "did you mean --coverage?")
    end)

    it("says which package is missing when busted is", function()
      local code, _, err = run "LUA_PATH_5_4=/nowhere/?.lua LUA_CPATH_5_4=/nowhere/?.so $bin test"
      assert.equal(1, code)
      has(err, "apt install lua-busted")
    end)

    it("ends when a rule is stuck inside a function, and names it", function()
      write("rules/stuck.lua", [[rule "Stuck" { on = "stuck", run = function()
        string.find(string.rep("a", 100000), ".-.-.-.-.-b")
      end }]])
      write("specs/greet_spec.lua", spec [[ it("x", function() hook.send { event = "stuck", call_id = "1" } end) ]])
      local code, out, err = run "$bin test"
      assert.equal(1, code)
      has(out .. err, 'Stuck')
    end)
  end)

  describe("coverage", function()
    it("names the lines that did not run, and writes lcov", function()
      local code, out, err = run "$bin test --coverage --coverage-out cover.info"
      assert.equal(0, code, out .. err)
      has(out, "rules/greet.lua  not run: 6\n")
      has(out, "in all,")
      local lcov = read "cover.info"
      has(lcov, "SF:rules/greet.lua\n")
      has(lcov, "DA:6,0\n")
      has(lcov, "DA:8,1\n")
      assert.matches("LF:(%d+)\nLH:%d+\nend_of_record", lcov)
      assert.equal(tonumber(lcov:match "LF:(%d+)") - 1, tonumber(lcov:match "LH:(%d+)"))
      assert.matches("^2 specs: 2 passed", last_line(out))
    end)

    it("counts in coroutines, and leaves budgets in force", function()
      write("switchhook.lua", "return { budgets = { cpu = '50ms', wall = '5s' } }")
      write("rules/greet.lua", [[
rule "Loop" { on = "loop", run = function()
  local co = coroutine.wrap(function()
    local n = 0
    while true do
      n = n + 1
    end
  end)
  co()
end }
]])
      write("specs/greet_spec.lua", spec [[
  it("loops", function()
    hook.send { event = "loop", call_id = "1" }
    assert.failed("Loop", "CPU budget")
  end)]])
      local code, out, err = run "$bin test --coverage --coverage-out cover.info"
      assert.equal(0, code, out .. err)
      assert.is_true(tonumber(read("cover.info"):match "DA:5,(%d+)") > 1000)
    end)
  end)

  describe("new rule", function()
    it("writes a rule and a spec that pass at once", function()
      local code, out = run '$bin new rule "Call VIPs back at once!" --on call_start'
      assert.equal(0, code, out)
      has(out, "rules/call_vips_back_at_once.lua\nspecs/call_vips_back_at_once_spec.lua\n")
      has(read "rules/call_vips_back_at_once.lua", 'rule "Call VIPs back at once!" {\n  on = "call_start",')
      code, out = run "$bin test specs/call_vips_back_at_once_spec.lua"
      assert.equal(0, code, out)
      assert.matches("2 specs: 2 passed", last_line(out))
    end)

    it("goes by the sources of the configuration", function()
      write("switchhook.lua", [[return { sources = {
        beat = { path = "/c", type = { value = "tick" } },
        shop = { path = "/s", type = { field = "kind" }, key = { field = "order_no" } } } }]])
      assert.equal(0, (run '$bin new rule "Order" --on order_placed'))
      has(read "specs/order_spec.lua", '{ kind = "order_placed", order_no = "1"')
      local code, out = run "$bin test specs/order_spec.lua"
      assert.equal(0, code, out)
    end)

    it("writes what the source's dotted fields are in, lists too", function()
      write("switchhook.lua", [[return { sources = {
        shop = { path = "/s", type = { field = "a.kind" }, key = { field = "a.items.1.order-no" } } } }]])
      assert.equal(0, (run '$bin new rule "Order" --on order_placed'))
      has(read "specs/order_spec.lua",
        '{ a = { kind = "order_placed", items = { hook.null, { ["order-no"] = "1" } } }, direction')
      local code, out = run "$bin test specs/order_spec.lua"
      assert.equal(0, code, out)
    end)

    it("names the files in plain letters", function()
      local _, out = run "$bin new rule 'Été à Łódź: Straße №7'"
      has(out, "rules/ete_a_lodz_strasse_7.lua\n")
      assert.equal(2, (run "$bin new rule 日本"))
    end)

    it("overwrites nothing", function()
      write("specs/mine_spec.lua", "mine")
      local code, _, err = run "$bin new rule Mine"
      assert.equal(1, code)
      has(err, "specs/mine_spec.lua: is there already")
      assert.is_nil(lfs.attributes(dir .. "/rules/mine.lua"))
      write("rules/yours.lua", "yours")
      code, _, err = run "$bin new rule Yours"
      assert.equal(1, code)
      has(err, "rules/yours.lua: is there already")
      assert.equal("yours", read "rules/yours.lua")
      assert.is_nil(lfs.attributes(dir .. "/specs/yours_spec.lua"))
    end)

    it("refuses what is no name or no type", function()
      for _, args in ipairs { [[rule '!!']], [[rule 'a"b']], [[script x]], [[rule x --on 'call_*']], "rule" } do
        assert.equal(2, (run("$bin new " .. args)), args)
      end
    end)
  end)

  describe("init", function()
    it("makes a project that checks, tests, serves and takes an event", function()
      local code, out, err = run "$bin init ops && cd ops && $bin check && $bin test && ./ci.sh"
      assert.equal(127, code, "ci.sh needs switchhook on the path: " .. out .. err)
      has(out, "no errors.")
      code, out, err = run 'mkdir path && ln -s $bin path/switchhook && cd ops && PATH="$PWD/../path:$PATH" ./ci.sh'
      assert.equal(0, code, out .. err)
      assert.matches("%d+ specs: %d+ passed %(", last_line(out))
      for _, name in ipairs { "README.md", "switchhook.lua", ".gitignore", ".luarc.json", "events/missed.json",
        ".github/workflows/rules.yml", "rules/missed_call.lua", "scripts/hours.lua", "specs/missed_call_spec.lua" } do
        assert.is_truthy(lfs.attributes(dir .. "/ops/" .. name), name)
      end
      assert.is_nil(lfs.attributes(dir .. "/ops/new"))
      code, out, err = run [[cd ops && { $bin serve --listen 127.0.0.1:0 >serve.log 2>&1 & echo $! >pid; }
        for i in $(seq 100); do grep -q 127.0.0.1: serve.log && break; sleep 0.1; done
        url=$(grep -o 'http://127.0.0.1:[0-9]*' serve.log | head -1)
        $bin send events/missed.json --to "$url"
        for i in $(seq 100); do $bin callbacks | grep -q 0612345678 && break; sleep 0.1; done
        $bin callbacks; kill $(cat pid); wait $(cat pid); cat serve.log >&2]]
      has(out, "0612345678")
      assert.is_truthy(code, err)
    end)

    it("has examples in its configuration that load", function()
      assert.equal(0, (run "$bin init ops"))
      local text, blocks, inside = read "ops/switchhook.lua", {}, false
      for line in text:gmatch "([^\n]*)\n" do -- a block: a line that sets a key, and the comments below
        if line:find "^  %-%- [%w_]+ = " then blocks[#blocks + 1], inside = "", true end
        inside = inside and line:find "^  %-%-" ~= nil
        if inside then blocks[#blocks] = blocks[#blocks] .. line .. "\n" end
      end
      assert.equal(8, #blocks)
      assert.equal(0, (run [[openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 9 \
        -subj /CN=hook.example.org -keyout key.pem -out fullchain.pem]]))
      for _, block in ipairs(blocks) do
        local from, to = text:find(block, 1, true)
        local used = block:gsub("  %-%-", "  "):gsub("/etc/switchhook/", "../")
        write("ops/switchhook.lua", text:sub(1, from - 1) .. used .. text:sub(to + 1))
        local code, out, err = run [[cd ops && WEBPHONE_TOKEN=0123456789abcdef0123456789 SMTP_PASSWORD=p SMS_TOKEN=s \
          $bin check]]
        assert.equal(0, code, block .. out .. err)
      end
    end)

    it("has nothing that luacheck minds, and names what a rule may use", function()
      local code, out, err = run "$bin init ops && cd ops && $bin new rule Mine && luacheck ."
      assert.equal(0, code, out .. err)
      write("ops/rules/wrong.lua", "rule 'Wrong' { on = 'x', run = function() callbak {} end }")
      code, out = run "cd ops && luacheck rules"
      assert.equal(1, code)
      has(out, "callbak")
    end)

    it("is what this repository's files say", function()
      assert.equal(0, (run "$bin init ops"))
      for _, pair in ipairs { { "rules/missed_call.lua", "rules/missed_call.lua" },
        { "specs/escalation_spec.lua", "tests/spec/escalation_spec.lua" },
        { "events/negative.json", "examples/webphone/negative.json" },
        { "switchhook.lua", "engine/app/project/switchhook.lua" },
        { ".luals/rule-api.lua", "docs/api/rule-api.lua" }, { ".luals/luacheck.lua", "docs/api/luacheck.lua" } } do
        assert.equal(support.read_file(pair[2]), read("ops/" .. pair[1]), pair[1])
      end
    end)

    it("refuses a folder that is not empty, and adds what is missing when told", function()
      local code, _, err = run "$bin init ."
      assert.equal(1, code)
      has(err, "the folder is not empty; --force")
      assert.is_nil(lfs.attributes(dir .. "/README.md"))
      write("README.md", "ours")
      local out
      code, out = run "$bin init . --force"
      assert.equal(0, code)
      has(out, "1 were there and are as they were")
      assert.equal("ours", read "README.md")
      assert.is_truthy(lfs.attributes(dir .. "/rules/missed_call.lua"))
      code, out = run "mkdir -p git/.git && $bin init git"
      assert.equal(0, code, out)
    end)
  end)
end)
