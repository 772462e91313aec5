-- SPDX-License-Identifier: MIT
-- What the binary says of itself, and what it says at the start of libraries that lack fixes.

local cjson = require "cjson"
local support = require "tests.e2e.support"
local quote = support.quote

-- A folder such as dpkg's, in which every package the engine looks at is new enough, but for those
-- in old = { [package] = version }; libraries = what `version --json` warned of with nothing there.
local function dpkg_folder(packages, old)
  local dir, text = support.temp_dir(), {}
  for package, version in pairs(packages) do
    text[#text + 1] = ("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n"):format(
      package, old and old[package] or version)
  end
  support.write_file(dir .. "/status", table.concat(text, "\n"))
  return dir
end

-- The packages and the versions wanted, as a status file full of old ones makes them known.
local function wanted()
  local names = { "libevent-2.1-7", "libcjson1", "liblua5.4-0", "libcurl4", "libsqlite3-0", "libssl3" }
  local packages, all_old = {}, {}
  for _, name in ipairs(names) do packages[name], all_old[name] = "9", "0.1-1" end
  local dir = dpkg_folder(packages, all_old)
  local out = support.capture(("DPKG_ADMINDIR=%s %s version --json"):format(dir, quote(support.bin)))
  support.remove_dir(dir)
  local found = {}
  for _, row in ipairs(cjson.decode(out).outdated) do found[row.package] = row.fixed_in end
  for _, name in ipairs(names) do assert(found[name], name .. " is not looked at") end
  return found
end

local function version(env)
  local out, code = support.capture(("%s %s version --json 2>&1"):format(env or "", quote(support.bin)))
  assert.equal(0, code, out)
  return cjson.decode(out)
end

describe("the version", function()
  it("names commit, date, build, schema and API", function()
    local v = version()
    local number = support.read_file "CMakeLists.txt":match "project%(switchhook VERSION ([%d.]+)"
    assert.equal(number, v.version)
    assert.truthy(v.commit == "unknown" or v.commit:gsub("%-dirty$", ""):match "^%x+$", v.commit)
    assert.truthy(v.date == "unknown" or v.date:match "^%d%d%d%d%-%d%d%-%d%d$", v.date)
    assert.truthy(v.build.compiler:match "^gcc [%d.]+" or v.build.compiler:match "^clang [%d.]+")
    assert.truthy(#v.build.type > 0)
    assert.truthy(v.build.flags:find("-fstack-protector-strong", 1, true))
    for _, part in ipairs { "pie", "stack-protector-strong", "relro" } do
      assert.truthy(v.build.hardening:find(part, 1, true), part)
    end
    for _, name in ipairs { "lua", "libevent", "sqlite", "curl", "cjson", "openssl", "seccomp" } do
      assert.truthy(v.libraries[name].loaded:match "^%d+%.%d+", name)
      assert.truthy(v.libraries[name].built_with:match "^%d+%.%d+", name)
    end
    local text = support.capture(quote(support.bin) .. " version")
    assert.truthy(text:find(("switchhook %s (commit %s of %s)"):format(v.version, v.commit, v.date), 1, true), text)
    assert.truthy(text:find(v.build.flags, 1, true), text)
    assert.truthy(text:find(v.build.hardening, 1, true), text)
  end)

  it("tells the schema that it writes, and the API that it serves", function()
    local engine, v = support.engine(), version()
    local schema = support.capture(("sqlite3 %s/switchhook.db 'SELECT max(version) FROM sh_migrations'"):format(
      quote(engine.data)))
    local status = engine:request("GET", "/api/" .. v.api .. "/status")
    engine:close()
    assert.equal(v.schema, tonumber(schema))
    assert.equal(200, status.status)
    assert.equal(v.version, status.json.version)
  end)
end)

describe("what is written into a build", function()
  local dir
  before_each(function() dir = support.temp_dir() end)
  after_each(function() support.remove_dir(dir) end)

  local function sh(text)
    local out, code = support.capture("cd " .. quote(dir) .. " && " .. text .. " 2>&1")
    assert.equal(0, code, out)
    return (out:gsub("%s+$", ""))
  end
  local function git(text)
    return sh("git -c user.name=t -c user.email=t@example.org -c init.defaultBranch=main " .. text)
  end
  -- commit and date that a build of dir/SRC would have
  local function build(src, env, commit)
    sh(("%s cmake -DOUT=out.c -DSRC=%s/%s -DCOMMIT=%s -DTYPE=Debug '-DFLAGS= -O2;-DX=\"y\" ' -DSANITIZE= -P %s"):format(
      env or "env -u SOURCE_DATE_EPOCH", dir, src, commit or "",
      support.capture "pwd":gsub("%s", "") .. "/engine/app/build_info.cmake"))
    local text = support.read_file(dir .. "/out.c")
    assert.truthy(text:find([[.flags = "-O2 -DX=\"y\""]], 1, true), text)
    return text:match '%.commit = "(.-)"', text:match '%.date = "(.-)"'
  end

  it("is git's commit and day, and whether the tree was changed", function()
    git "init -q src"
    support.write_file(dir .. "/src/a", "1")
    git "-C src add a"
    sh("GIT_COMMITTER_DATE=2020-02-03T23:30:00-0500 git -C src -c user.name=t -c user.email=t@example.org " ..
      "commit -qm one") -- the 4th in UTC
    local head = git "-C src rev-parse --short=12 HEAD"
    assert.same({ head, "2020-02-04" }, { build "src" })
    local before = sh "stat -c %Y.%y out.c"
    build "src"
    assert.equal(before, sh "stat -c %Y.%y out.c") -- nothing to compile anew
    support.write_file(dir .. "/src/new", "not git's")
    assert.equal(head, (build "src"))
    support.write_file(dir .. "/src/a", "2")
    assert.equal(head .. "-dirty", (build "src"))
    assert.same({ head .. "-dirty", "2001-09-09" }, { build("src", "SOURCE_DATE_EPOCH=1000000000") })
    assert.equal("v1", (build("src", nil, "v1")))
  end)

  it("is unknown without git, also inside another project's tree", function()
    git "init -q ."
    support.write_file(dir .. "/src/a", "1")
    git "add src"
    git "commit -qm other"
    assert.same({ "unknown", "unknown" }, { build "src" })
    assert.same({ "unknown", "2001-09-09" }, { build("src", "SOURCE_DATE_EPOCH=1000000000") })
    assert.same({ "0.1.0-1", "unknown" }, { build("src", nil, "0.1.0-1") })
  end)
end)

describe("libraries", function()
  local packages = wanted()
  local function log_of(old)
    local dir = dpkg_folder(packages, old)
    local engine = support.engine { env = { DPKG_ADMINDIR = dir } }
    local status = support.wait_for(function()
      local now = engine:request("GET", "/api/v1/status").json
      return now.outdated ~= cjson.null and now
    end, 10, "the look at the libraries")
    local _, text = engine:cli "status"
    engine:stop() -- waits for the look at the libraries
    local log, lines = engine:log(), {}
    for line in log:gmatch "[^\n]*a library lacks fixes[^\n]*" do lines[#lines + 1] = line end
    local said = version("DPKG_ADMINDIR=" .. dir).outdated
    engine:close()
    support.remove_dir(dir)
    assert.same(said, status.outdated)
    return lines, said, text
  end

  it("that are new enough are no line in the log", function()
    local lines, said, status = log_of()
    assert.same({ {}, {} }, { lines, said })
    assert.is_nil(status:find("without fixes", 1, true))
  end)

  it("without fixes are a warning each at the start, with what to do", function()
    local lines, said, status = log_of { ["libevent-2.1-7"] = "2.1.12-stable-8", ["libssl3"] = "3.0.20-1~deb12u1" }
    assert.equal(2, #lines)
    assert.equal(2, #said)
    assert.truthy(status:find("libevent 2.1.12-stable-8, openssl 3.0.20-1~deb12u1", 1, true), status)
    local text = table.concat(lines, "\n")
    for _, part in ipairs { "level=warn", "library=libevent", "version=2.1.12-stable-8 ", "package=libevent-2.1-7",
      "fixed_in=" .. packages["libevent-2.1-7"], "CVE-2026-63379", "library=openssl", "package=libssl3",
      "apt-get install --only-upgrade libssl3" } do
      assert.truthy(text:find(part, 1, true), part .. " is not in:\n" .. text)
    end
  end)

  it("are judged by their own word where dpkg knows nothing", function()
    local dir = support.temp_dir()
    local v = version("DPKG_ADMINDIR=" .. dir)
    support.remove_dir(dir)
    for _, row in ipairs(v.outdated) do
      assert.equal(cjson.null, row.package)
      assert.equal(v.libraries[row.library].loaded, row.version)
    end
    if v.libraries.cjson.loaded == "1.7.15" then -- Debian 12's, whose fixes no number shows
      assert.is_true(#v.outdated > 0)
    end
  end)
end)
