-- SPDX-License-Identifier: MIT
-- sandbox_spec.lua: what the workers of a real engine hold in their hands, as the kernel tells it.

local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local secret = "hunter2-hunter2-hunter2"

-- The pids of the engine's workers.
local function workers(engine)
  local pids = {}
  local text = support.read_file(("/proc/%d/task/%d/children"):format(engine.pid, engine.pid))
  for pid in text:gmatch "%d+" do
    pids[#pids + 1] = tonumber(pid)
  end
  return pids
end

-- { ["0"] = "pipe:[123]", .. }: the open descriptors of a process.
local function descriptors(pid)
  local found = {}
  local dir = ("/proc/%d/fd"):format(pid)
  for name in lfs.dir(dir) do
    if name:match "^%d+$" then
      found[name] = support.capture(("readlink %s/%s"):format(dir, name)):gsub("%s+$", "")
    end
  end
  return found
end

local function status_of(pid)
  local fields = {}
  for line in support.read_file(("/proc/%d/status"):format(pid)):gmatch "[^\n]+" do
    local name, value = line:match "^(%w+):%s*(.*)$"
    if name then
      fields[name] = value
    end
  end
  return fields
end

local function alive(pid)
  local f = io.open(("/proc/%d/stat"):format(pid), "r")
  local text = f and f:read "*a"
  if f then
    f:close()
  end
  local state = text and text:match "%) (%a)"
  return state ~= nil and state ~= "Z" and state ~= "X"
end

local function count(text, plain)
  local n, at = 0, 1
  while true do
    local from, to = text:find(plain, at, true)
    if not from then
      return n
    end
    n, at = n + 1, to + 1
  end
end

local config = [[
return {
  workers = 2,
  secrets = { CRM_TOKEN = env "MY_CRM_TOKEN" },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
}
]]

describe("the workers of a running engine", function()
  local engine, pids

  setup(function()
    engine = support.engine { config = config, env = { MY_CRM_TOKEN = secret, MY_OTHER = secret } }
    for _ = 1, 20 do
      engine:post("/hooks/webphone", support.payload "call_start")
    end
    engine:wait_events "done"
    pids = workers(engine)
  end)

  teardown(function()
    engine:close()
  end)

  it("are as many as the configuration says", function()
    assert.equal(2, #pids)
  end)

  it("hold four descriptors: nothing to read, nowhere to write, the log and one socket", function()
    for _, pid in ipairs(pids) do
      local open = descriptors(pid)
      local names = {}
      for name in pairs(open) do
        names[#names + 1] = name
      end
      table.sort(names)
      assert.same({ "0", "1", "2", "3" }, names)
      assert.truthy(open["0"]:match "^pipe:")
      assert.equal(open["0"], open["1"])
      assert.truthy(open["2"]:find(engine.stderr, 1, true))
      assert.truthy(open["3"]:match "^socket:")
    end
  end)

  it("share no descriptor with the engine but the log", function()
    local engines = {}
    for name, target in pairs(descriptors(engine.pid)) do
      engines[target] = name
    end
    for _, pid in ipairs(pids) do
      for name, target in pairs(descriptors(pid)) do
        if name ~= "2" then
          assert.is_nil(engines[target])
        end
      end
    end
  end)

  it("have a filter, no new privileges, no capabilities and no threads", function()
    for _, pid in ipairs(pids) do
      local status = status_of(pid)
      assert.equal("2", status.Seccomp)
      assert.equal("1", status.NoNewPrivs)
      assert.equal("1", status.Threads)
      for _, name in ipairs { "CapInh", "CapPrm", "CapEff", "CapAmb" } do
        assert.equal("0000000000000000", status[name])
      end
    end
  end)

  it("know no secret", function()
    assert.truthy(support.read_file(("/proc/%d/environ"):format(engine.pid)):find(secret, 1, true))
    for _, pid in ipairs(pids) do
      assert.is_nil(support.read_file(("/proc/%d/environ"):format(pid)):find(secret, 1, true))
    end
  end)

  it("have limits", function()
    for _, pid in ipairs(pids) do
      local limits = support.read_file(("/proc/%d/limits"):format(pid))
      for _, zero in ipairs { "Max file size", "Max core file size", "Max processes" } do
        assert.truthy(limits:match(zero .. "%s+0%s+0%s"), zero)
      end
      assert.truthy(limits:match "Max open files%s+1%s+1%s")
      assert.truthy(limits:match "Max address space%s+4294967296%s+4294967296%s")
    end
  end)

  it("are spoken of once, however many there are and come", function()
    local line = "rule workers are locked up, and have tried it"
    assert.equal(1, count(engine:log(), line))
    os.execute(("kill -9 %d"):format(pids[1]))
    support.wait_for(function()
      local now = workers(engine)
      return #now == 2 and now[1] ~= pids[1] and now[2] ~= pids[1] and
        status_of(now[#now]).Seccomp == "2"
    end, 10, "another worker in its place")
    engine:post("/hooks/webphone", support.payload "call_start")
    engine:wait_events "done"
    assert.equal(1, count(engine:log(), line))
    assert.truthy(engine:log():match "seccomp=yes landlock=%d+ no_new_privs=yes limits=yes")
  end)

  it("die with the engine, though it had no time to say so", function()
    local now = workers(engine)
    assert.equal(2, #now)
    local start = socket.gettime()
    os.execute(("kill -9 %d"):format(engine.pid))
    support.wait_for(function() return not alive(now[1]) and not alive(now[2]) end, 5, "their end")
    assert.is_true(socket.gettime() - start < 2)
  end)
end)

-- Numbers of system calls that are the same on every processor.
local landlock_create_ruleset, landlock_restrict_self = 444, 446
local ENOSYS = 38

local function other_kernel(call, errno)
  return ("/usr/bin/python3 -B %s/tests/e2e/other_kernel.py %d %d"):format(lfs.currentdir(), call,
    errno)
end

describe("an engine on a kernel without Landlock", function()
  it("says so once, and runs", function()
    local engine = support.engine { config = config, env = { MY_CRM_TOKEN = secret },
                                    wrap = other_kernel(landlock_create_ruleset, ENOSYS) }
    finally(function() engine:close() end)
    engine:post("/hooks/webphone", support.payload "call_start")
    engine:wait_events "done"
    assert.equal(1, count(engine:log(), "landlock: this kernel has none"))
    assert.truthy(engine:log():match "level=warn msg=\"a part of the rule workers' sandbox is missing")
    assert.truthy(engine:log():match "seccomp=yes landlock=0 ")
    assert.equal("2", status_of(workers(engine)[1]).Seccomp)
  end)
end)

describe("an engine on a kernel whose Landlock does nothing", function()
  it("does not start, and says what was tried", function()
    local engine = support.engine { start = false, env = {}, config = config,
                                    wrap = other_kernel(landlock_restrict_self, 0) }
    finally(function() engine:close() end)
    engine.options.env.MY_CRM_TOKEN = secret
    local ok = pcall(engine.start, engine)
    assert.is_false(ok)
    local log = engine:log()
    assert.truthy(log:find("sandbox: the sandbox of the rule worker does not hold, so no rule is " ..
      'run: landlock: open should have failed with "Permission denied", but succeeded', 1, true), log)
    assert.truthy(log:find("nothing was started", 1, true))
  end)
end)
