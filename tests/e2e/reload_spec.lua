-- SPDX-License-Identifier: MIT
-- Rules that change while the engine runs: what goes live, what does not, and what nobody notices.
local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local function config(extra)
  return [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } }, ]] .. (extra or "") .. " }"
end

-- A rule that writes down which text of it ran.
local function version(n)
  return ([[
rule "Version" {
  on = "tick",
  run = function(e) records.put("ran", e.call_id, { version = %d }) end,
}
]]):format(n)
end

describe("reload", function()
  local engine, sent
  local function start(options)
    engine, sent = support.engine(options), 0
    return engine
  end
  local function rules(name, text)
    support.write_file(engine.dir .. "/rules/" .. name, text)
  end
  -- The row of the last time that something went live.
  local function live()
    local rows = engine:cli("generations", "--json")
    return rows[#rows]
  end
  local function wait_live(n)
    return support.wait_for(function()
      local rows = engine:cli("generations", "--json")
      return #rows >= n and rows[#rows]
    end, 10, n .. " generations to have gone live")
  end
  local function status()
    return engine:cli("status", "--json")[1]
  end
  local function wait_failed(n)
    return support.wait_for(function()
      local s = status()
      return s and s.reload.failed >= n and s.reload
    end, 10, n .. " reloads to have failed")
  end
  -- Send an event and return the version that ran it.
  local function ask()
    sent = sent + 1
    local id = "k" .. sent
    local body = cjson.encode { event = "tick", call_id = id }
    assert.equal(200, engine:post("/hooks/webphone", body).status)
    return support.wait_for(function()
      local row = engine:cli("records", "ran", "--id", id, "--json")[1]
      return row and row.doc.version
    end, 5, "the event to be run")
  end

  after_each(function()
    if engine then
      engine:close()
      engine = nil
    end
  end)

  it("takes up a changed file by itself, and every run names its generation", function()
    start { rules = { ["v.lua"] = version(1) } }
    assert.equal(1, ask())
    rules("v.lua", version(2))
    local row = wait_live(2)
    assert.equal("files", row.cause)
    assert.same({ { file = "rules/v.lua", change = "changed" } }, row.changes)
    assert.is_true(row.live)
    assert.equal(2, ask())
    local rows, by = engine:cli("runs", "--json"), {}
    for _, run in ipairs(rows) do by[run.generation] = (by[run.generation] or 0) + 1 end
    local first = engine:cli("generations", "--json")[1]
    assert.same({ [first.generation] = 1, [row.generation] = 1 }, by)
  end)

  it("keeps the live rules when a file does not load, and says so everywhere", function()
    start { rules = { ["v.lua"] = version(1) } }
    rules("bad.lua", "\nrule \"Bad\" {\n  on = \"tick\",\n  runn = 5,\n}\n")
    local reload = wait_failed(1)
    assert.is_false(reload.last.ok)
    assert.equal("rules/bad.lua", reload.last.errors[1].file)
    assert.equal(4, reload.last.errors[1].line)
    assert.matches("runn", reload.last.errors[1].msg)
    local _, out, code = engine:cli("reload")
    assert.equal(1, code)
    assert.matches("rules/bad%.lua:4: ", out)
    assert.matches("stays live", out)
    _, out, code = engine:cli("status")
    assert.equal(1, code)
    assert.matches("FAILED", out)
    assert.matches("rules/bad%.lua:4: ", out)
    local metrics = engine:request("GET", "/metrics").body
    assert.matches("\nswitchhook_reload_failed 1\n", metrics)
    assert.matches('switchhook_reload_error{file="rules/bad%.lua",line="4"} 1\n', metrics)
    assert.matches('reload failed.-rules/bad%.lua:4', engine:log())
    assert.equal(1, ask())
    os.remove(engine.dir .. "/rules/bad.lua")
    support.wait_for(function() return status().reload.last.ok end, 10, "the mended folder")
    assert.matches("\nswitchhook_reload_failed 0\n", engine:request("GET", "/metrics").body)
    assert.equal(1, #engine:cli("generations", "--json"))
  end)

  it("names two rules of one name, an effect at load time, and every other error at once", function()
    start { rules = { ["v.lua"] = version(1) } }
    rules("twice.lua", version(3))
    rules("early.lua", 'email { to = "a@example.org", subject = "x", text = "y" }\n')
    rules("syntax.lua", "rule 'x' { on = }\n")
    local _, out, code = engine:cli("reload")
    assert.equal(1, code)
    assert.matches('rules/v%.lua:1: .*exists already', out)
    assert.matches("rules/early%.lua:1: ", out)
    assert.matches("rules/syntax%.lua:1: ", out)
    assert.equal(1, ask())
  end)

  it("fails for a folder that is empty or gone, and goes on when it is back", function()
    start { rules = { ["v.lua"] = version(1) } }
    local dir = engine.dir
    assert(os.rename(dir .. "/rules", dir .. "/away"))
    assert.matches("No such file", wait_failed(1).last.errors[1].msg)
    assert(lfs.mkdir(dir .. "/rules"))
    assert.matches("no %.lua file", wait_failed(2).last.errors[1].msg)
    assert.equal(1, ask())
    rules("v.lua", version(2))
    wait_live(2)
    assert.equal(2, ask())
  end)

  it("sees editors that replace files, new folders, and links that point elsewhere", function()
    start { rules = { ["v.lua"] = version(1) } }
    support.write_file(engine.dir .. "/rules/.v.lua.tmp", version(2))
    assert(os.rename(engine.dir .. "/rules/.v.lua.tmp", engine.dir .. "/rules/v.lua"))
    wait_live(2)
    assert.equal(2, ask())
    assert(lfs.mkdir(engine.dir .. "/rules/deep"))
    socket.sleep(0.3) -- the folder is watched by then; else a look every 3 s would find the file
    os.remove(engine.dir .. "/rules/v.lua")
    support.write_file(engine.dir .. "/rules/deep/v.lua", version(3))
    wait_live(3)
    assert.equal(3, ask())
    assert(lfs.mkdir(engine.dir .. "/release"))
    support.write_file(engine.dir .. "/release/v.lua", version(4))
    assert(os.execute(("cd %s && mv rules old && ln -s release rules"):format(engine.dir)))
    wait_live(4)
    assert.equal(4, ask())
  end)

  it("refuses what is no rule file, and a link to the configuration, and stays well", function()
    start { rules = { ["v.lua"] = version(1) }, scripts = { ["b.lua"] = "return 1\n" } }
    local failed = 0
    local function refused(make, pattern, undo)
      assert(os.execute(("cd %s && %s"):format(engine.dir, make)))
      local _, out, code = engine:cli("reload")
      assert.equal(1, code)
      assert.matches(pattern, out)
      failed = status().reload.failed
      assert(os.execute(("cd %s && %s"):format(engine.dir, undo)))
      assert.equal(1, ask())
    end
    refused("mkfifo rules/p.lua", "rules/p%.lua: is no plain file", "rm rules/p.lua")
    refused("ln -s ../switchhook.lua scripts/conf.lua",
      "scripts/conf%.lua: links to a place outside of the folder: .*/switchhook%.lua %(copy it there%)",
      "rm scripts/conf.lua")
    refused("ln -s gone.lua rules/x.lua", "rules/x%.lua: links to a file that is not there", "rm rules/x.lua")
    refused("touch \"rules/$(printf 'x\\033[2J\\n').lua\"", "rules/x\\x1b%[2J.*%.lua: the name must be", "rm rules/x*")
    refused("for i in $(seq 9); do ln -s . rules/l$i; done", "links to a folder that it is in itself",
      "rm rules/l*")
    refused("for i in $(seq 17); do head -c 1000000 /dev/zero | tr '\\0' ' ' >scripts/s$i.lua; done",
      "the rule set has more than 16 MiB of text", "rm scripts/s1[67].lua")
    assert.is_true(failed >= 6)
    assert.not_matches("\27", engine:log())
    rules("v.lua", version(2)) -- with 15 MB beside it
    support.wait_for(function() return live().generation ~= engine:cli("generations", "--json")[1].generation
      and ask() == 2 end, 20, "the mended folders")
  end)

  it("starts with links in circles, and ends in order", function()
    engine, sent = support.engine { rules = { ["v.lua"] = version(1) }, start = false }, 0
    assert(os.execute(("cd %s/rules && for i in $(seq 9); do ln -s . l$i; done"):format(engine.dir)))
    local ok, why = pcall(engine.start, engine)
    assert.is_false(ok)
    assert.matches("links to a folder that it is in itself", why)
    assert(os.execute(("rm %s/rules/l*"):format(engine.dir)))
    engine:start()
    assert.equal(1, ask())
    engine:stop()
    assert(os.execute(("cd %s/rules && for i in $(seq 9); do ln -s . l$i; done"):format(engine.dir)))
    engine:start() -- with what was live before
    assert.equal(1, ask())
    engine:stop(10)
  end)

  it("never lets half a file or half a checkout go live", function()
    start { rules = { ["v.lua"] = version(1) } }
    local f = assert(io.open(engine.dir .. "/rules/v.lua", "w"))
    for n = 1, 20 do -- each piece alone would load
      f:write(("-- piece %d\n"):format(n))
      f:flush()
      socket.sleep(0.05)
    end
    f:write(version(2))
    f:close()
    wait_live(2)
    assert.equal(2, ask())
    -- many files change one after the other, as git does it: under its lock
    local git = ("cd %s && git -c user.name=x -c user.email=x@example.org "):format(engine.dir)
    assert(os.execute(git .. "init -q . && git add rules && " .. git:match "git.*" .. "commit -qm 1"))
    rules("v.lua", version(3))
    for n = 1, 30 do
      rules(("more%d.lua"):format(n), ('rule "More %d" { on = "x", run = function() end }\n'):format(n))
    end
    wait_live(3)
    assert(os.execute("cd " .. engine.dir .. " && touch .git/index.lock && rm rules/more*.lua"))
    socket.sleep(1)
    assert.equal(3, #engine:cli("generations", "--json"))
    rules("v.lua", version(4))
    os.remove(engine.dir .. "/.git/index.lock")
    local row = wait_live(4)
    assert.equal(31, #row.changes)
    assert.equal(4, ask())
  end)

  it("is asked for by SIGHUP and by the command, also with nothing watched", function()
    start { rules = { ["v.lua"] = version(1) }, config = config "reload = { watch = false }" }
    rules("v.lua", version(2))
    socket.sleep(1)
    assert.equal(1, ask())
    os.execute("kill -HUP " .. engine.pid)
    assert.equal("signal", wait_live(2).cause)
    assert.equal(2, ask())
    rules("v.lua", version(3))
    local _, out, code = engine:cli("reload")
    assert.equal(0, code)
    assert.matches("is live, in place of", out)
    assert.matches("changed  rules/v%.lua", out)
    assert.equal(3, ask())
    _, out, code = engine:cli("reload")
    assert.equal(0, code)
    assert.matches("Nothing to reload", out)
    assert.equal("api", live().cause)
  end)

  it("lists what waits for rules that are no longer there", function()
    start { rules = { ["v.lua"] = version(1), ["timer.lua"] = [[
rule "Set" { on = "tick", run = function(e)
  after("1h", "reminder", {})
  callback { number = "0201234567", due = "3h" }
end }
rule "Reminded" { on = { "reminder", "callback_*" }, run = function() end }
]] } }
    ask()
    rules("timer.lua", 'rule "Other" { on = "other", run = function() end }\n')
    local _, out, code = engine:cli("reload")
    assert.equal(0, code)
    assert.matches('warning: 1 waiting timer will emit "reminder", which no rule is for', out)
    assert.matches('1 waiting callback will emit "callback_due", which no rule is for', out)
    assert.matches('reload: warning.-reminder', engine:log())
    rules("timer.lua", 'rule "Other" { on = "another", run = function() end }\n')
    _, out = engine:cli("reload") -- they are nobody's before this one too
    assert.matches('1 waiting timer will emit "reminder", which no rule is for', out)
    assert.matches('1 waiting callback will emit "callback_due", which no rule is for', out)
    rules("timer.lua", 'rule "Other" { on = { "remind*", "callback_*" }, run = function() end }\n')
    _, out = engine:cli("reload")
    assert.not_matches("warning", out)
  end)

  it("brings clock rules and takes them away", function()
    start { rules = { ["v.lua"] = version(1) } }
    rules("clock.lua", 'rule "Tick" { every = "10 seconds", run = function() records.incr("n", "x", "n") end }')
    wait_live(2)
    local row = support.wait_for(function() return engine:cli("timers", "--json")[1] end, 5, "the clock")
    assert.equal("Tick", row.name)
    support.wait_for(function() return engine:cli("records", "n", "--id", "x", "--json")[1] end, 15,
      "the new clock rule to run")
    os.remove(engine.dir .. "/rules/clock.lua")
    wait_live(3)
    support.wait_for(function() return #engine:cli("timers", "--json") == 0 end, 5, "the clock to go")
  end)

  it("lets a run that waits end under the generation it began under", function()
    local sink = support.sink()
    sink:answers { ["/slow"] = { { status = 200, delay = 2 } } }
    start { config = config 'http = { allow = { "127.0.0.1" } }', rules = { ["v.lua"] = version(1), ["slow.lua"] = [[
rule "Slow" { on = "slow", run = function(e)
  local res = http.get { url = "]] .. sink.url .. [[/slow", timeout = "10s" }
  records.put("slow", "x", { status = res.status })
end }
]] } }
    local before = live().generation
    assert.equal(200, engine:post("/hooks/webphone", '{"event":"slow","call_id":"s"}').status)
    sink:wait(1, "/slow")
    rules("v.lua", version(2))
    wait_live(2)
    assert.equal(2, ask())
    assert.equal(1, status().generation.finishing)
    support.wait_for(function() return engine:cli("records", "slow", "--json")[1] end, 10, "the answer")
    for _, run in ipairs(engine:cli("runs", "--json")) do
      if run.rule == "Slow" then
        assert.equal("done", run.outcome)
        assert.equal(before, run.generation)
      end
    end
    support.wait_for(function() return status().generation.finishing == 0 end, 5, "the old crew to end")
    sink:close()
  end)

  it("starts with what was live before when the folders hold nothing that loads", function()
    start { rules = { ["v.lua"] = version(1) } }
    ask()
    for round, text in ipairs { "rule (", false } do
      engine:stop()
      if text then rules("v.lua", text) else os.remove(engine.dir .. "/rules/v.lua") end
      engine:start()
      assert.equal(1, ask())
      assert.is_false(wait_failed(1).last.ok)
      assert.matches("starting with the generation that was live before", engine:log())
      assert.equal(1, #engine:cli("generations", "--json"), "round " .. round)
    end
    rules("v.lua", version(2))
    wait_live(2)
    assert.equal(2, ask())
  end)

  it("does not start with rules that do not load where there were none before", function()
    engine = support.engine { rules = { ["v.lua"] = "rule (" }, start = false }
    local ok, why = pcall(engine.start, engine)
    assert.is_false(ok)
    assert.matches("rules/v%.lua:1: ", why)
    assert.equal(0, #engine:cli("generations", "--json"))
  end)

  it("runs the project's own specs first, where that is configured", function()
    start { config = config "reload = { specs = true }", rules = { ["v.lua"] = version(1), ["v_spec.lua"] = [[
describe("the version", function()
  it("is a small number", function()
    hook.send { event = "tick", call_id = "x" }
    assert.is_true(hook.record("ran", "x").version < 10)
  end)
end)
]] } }
    rules("v.lua", version(2))
    wait_live(2)
    assert.equal(2, ask())
    rules("v.lua", version(11))
    local last = wait_failed(1).last
    assert.matches("v_spec%.lua$", last.errors[1].file)
    assert.equal(2, last.errors[1].line)
    assert.matches("is a small number", last.errors[1].msg)
    local _, out, code = engine:cli("status")
    assert.equal(1, code)
    assert.matches("v_spec%.lua:2: the spec ", out)
    assert.equal(2, ask())
    rules("v_spec.lua", 'it("has no objection", function() end)\n') -- the spec was wrong, not the rule
    wait_live(3)
    assert.equal(11, ask())
    rules("v.lua", version(3))
    wait_live(4)
    assert.equal(3, ask())
  end)

  it("shows how two generations differ, and what a reload would bring", function()
    start { rules = { ["v.lua"] = version(1) }, config = config "reload = { watch = false }" }
    local first = live().generation
    rules("v.lua", version(2))
    local _, out, code = engine:cli("diff", "--config", "switchhook.lua")
    assert.equal(1, code)
    assert.matches("%-[^\n]*version = 1", out)
    assert.matches("%+[^\n]*version = 2", out)
    engine:cli("reload")
    _, out, code = engine:cli("diff")
    assert.equal(0, code)
    assert.equal("", out)
    _, out, code = engine:cli("diff", first:sub(1, 6), "live")
    assert.equal(1, code)
    assert.matches("rules/v%.lua %(" .. first .. "%)", out)
    _, out, code = engine:cli("diff", "ffffffff", "live")
    assert.equal(1, code)
    assert.matches("there is no generation", out)
  end)

  it("loses nothing and mixes nothing under load, whatever becomes of the files", function()
    local function set(n)
      return ('local b = require "b"\nlocal own = %d\nrule "Mixed" { on = "tick", run = function(e) ' ..
        'records.put("seen", e.call_id, { a = own, b = b.version }) end }\n'):format(n),
        ("return { version = %d }\n"):format(n)
    end
    local rule, script = set(0)
    start { rules = { ["v.lua"] = rule }, scripts = { ["b.lua"] = script } }
    local conn, n, reloads, began = engine:connect(), 0, 0, socket.gettime()
    while socket.gettime() - began < 6 do
      for _ = 1, 50 do
        n = n + 1
        local body = ('{"event":"tick","call_id":"m%d"}'):format(n)
        assert.equal(200, conn:request("POST", "/hooks/webphone", body).status)
      end
      if socket.gettime() - began > reloads * 0.4 then
        reloads = reloads + 1
        rule, script = set(reloads)
        support.write_file(engine.dir .. "/rules/v.lua", rule)
        support.write_file(engine.dir .. "/scripts/b.lua", script)
        if reloads % 5 == 0 then
          rules("broken.lua", "rule (")
        else
          os.remove(engine.dir .. "/rules/broken.lua")
        end
      end
    end
    engine:wait_events("done", n, 30)
    local seen, versions = engine:cli("records", "seen", "--json"), {}
    assert.equal(n, #seen)
    for _, row in ipairs(seen) do
      assert.equal(row.doc.a, row.doc.b)
      versions[row.doc.a] = true
    end
    local several = 0
    for _ in pairs(versions) do several = several + 1 end
    assert.is_true(several >= 3, "only " .. several .. " versions ran")
    assert.equal(0, #engine:cli("runs", "--state", "dead", "--json"))
    assert.equal(0, #engine:cli("runs", "--state", "retry", "--json"))
  end)

  it("outlives clients that use up every descriptor, and reloads when they are gone", function()
    start { rules = { ["v.lua"] = version(1) }, wrap = "sh -c 'ulimit -n 100; exec \"$@\"' sh" }
    local clients = {}
    for _ = 1, 130 do
      local sock = socket.tcp()
      sock:settimeout(0.2)
      if sock:connect("127.0.0.1", engine.port) then clients[#clients + 1] = sock else sock:close() end
    end
    rules("v.lua", version(2))
    socket.sleep(4) -- a look at the folders comes every 3 s
    assert.is_true(engine:running())
    for _, sock in ipairs(clients) do sock:close() end
    wait_live(2)
    assert.equal(2, ask())
  end)

  it("tries again by itself after a failure that was not the files'", function()
    start { rules = { ["v.lua"] = version(1) } }
    assert(os.execute("mkdir " .. engine.dir .. "/.git && touch " .. engine.dir .. "/.git/index.lock"))
    rules("v.lua", version(2))
    local reload = support.wait_for(function()
      local s = status()
      return s.reload.failed >= 1 and s.reload
    end, 20, "the reload to give up on git")
    assert.matches("git has been at work on the files for 10 s: .*%.git/index%.lock is there",
      reload.last.errors[1].msg)
    os.remove(engine.dir .. "/.git/index.lock")
    wait_live(2)
    assert.equal(2, ask())
  end)

  it("ends in order with a reload under way, and answers who asked", function()
    local out
    for _, seconds in ipairs { 0.1, 0.5, 3 } do
      start { rules = { ["v.lua"] = version(1) } }
      rules("slow.lua", "local n = 0 for i = 1, 2e7 do n = n + i end\n" ..
        'rule "Slow to load" { on = "x", run = function() end }\n')
      local pipe = io.popen(("cd %s && %s reload --data data 2>&1"):format(engine.dir,
        os.getenv "SWITCHHOOK_BIN" or lfs.currentdir() .. "/build/switchhook"))
      socket.sleep(seconds)
      engine:stop(5)
      out = pipe:read "a"
      pipe:close()
      -- on a busy machine the command itself may be slower than the stop: once more, later
      if not out:find("no engine is running", 1, true) then break end
      engine:close()
    end
    assert.is_true(out:find("is live", 1, true) ~= nil or out:find("the engine is stopping", 1, true) ~= nil,
      out)
  end)

  it("names a file that hangs while it loads, at once", function()
    start { rules = { ["v.lua"] = version(1) },
            config = config 'budgets = { wall = "1s", cpu = "50ms" }' }
    rules("bad.lua", 'local x = ("a"):rep(60000):find(".-.-.-.-.-b")\n' ..
      'rule "Bad" { on = "x", run = function() end }\n')
    local began = socket.gettime()
    local _, out, code = engine:cli("reload")
    assert.equal(1, code, out)
    assert.matches("rules/bad.lua:1: wall budget of 1000 ms exceeded inside a function that cannot " ..
      "be interrupted, such as a pattern match, while the file was loaded", out, 1, true)
    assert.is_true(socket.gettime() - began < 5, "took " .. socket.gettime() - began .. " s")
    assert.equal(1, ask())
  end)
end)
