-- SPDX-License-Identifier: MIT
-- The shell blocks of docs/operations.md (those marked `sh run`), run as they stand, in their order, on
-- real engines that have had the accident in question. Only the places are others (folders, the port),
-- and what belongs to a machine's administration is a stand-in: systemctl, runuser, install and chown.
local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"
local quote = support.quote

local PAGE = support.read_file "docs/operations.md"

-- { [heading] = { block, .. } }
local blocks, total = {}, 0
do
  local heading, block
  for line in (PAGE .. "\n"):gmatch "(.-)\n" do
    if block then
      if line == "```" then
        blocks[heading] = blocks[heading] or {}
        table.insert(blocks[heading], table.concat(block, "\n") .. "\n")
        block, total = nil, total + 1
      else
        block[#block + 1] = line
      end
    elseif line == "```sh run" then
      block = {}
    else
      heading = line:match "^##+ (.+)$" or heading
    end
  end
end

-- A machine with an engine on it ----------------------------------------------------------------------

local machine = {}
machine.__index = machine

local stand_ins = {
  switchhook = 'exec @BIN@ "$@"',
  runuser = '[ "$1 $2 $3" = "-u switchhook --" ] || exit 9; shift 3; exec "$@"',
  install = '[ "$1 $2 $3 $4 $5 $6 $7" = "-d -m 700 -o switchhook -g switchhook" ] || exit 9; shift 7; ' ..
    'exec mkdir -m 700 -p "$@"',
  chown = "case $1 in *switchhook*) ;; *) exit 9 ;; esac",
  systemctl = [[
case "$1 $2 $3" in
"stop switchhook.socket switchhook.service")
  [ -f @ROOT@/pid ] || exit 0
  kill -TERM "$(cat @ROOT@/pid)" 2>/dev/null
  while kill -0 "$(cat @ROOT@/pid)" 2>/dev/null; do sleep 0.02; done
  rm -f @ROOT@/pid ;;
"start switchhook.socket switchhook.service")
  cd @ROOT@/etc/switchhook
  : >@ROOT@/out
  @BIN@ serve --config @ROOT@/etc/switchhook/switchhook.lua >@ROOT@/out 2>>@ROOT@/err </dev/null &
  pid=$!
  echo $pid >@ROOT@/pid
  n=0
  until grep -q 'ready on' @ROOT@/out; do
    kill -0 $pid 2>/dev/null || { wait $pid; echo $? >@ROOT@/code; rm @ROOT@/pid; exit 1; }
    n=$((n + 1)); [ $n -lt 500 ] || exit 1
    sleep 0.02
  done ;;
*) echo "systemctl $*" >&2; exit 9 ;;
esac]],
}

local function free_port()
  local s = assert(socket.bind("127.0.0.1", 0))
  local _, port = s:getsockname()
  s:close()
  return tonumber(port)
end

local base_rules = [[
rule "Keep" { on = "*", run = function(e, event)
  records.put("calls", e.call_id, { type = event.type })
  if e.tell then http.post { url = "@/told", json = { call = e.call_id } } end
end }
]]

local function new_machine(options)
  options = options or {}
  local self = setmetatable({ root = support.temp_dir(), port = free_port() }, machine)
  for _, dir in ipairs { "bin", "etc/switchhook/rules", "etc/switchhook/scripts", "etc/switchhook/secrets",
                         "var/lib/switchhook", "var/backups/switchhook", "root", "tmp" } do
    assert(os.execute("mkdir -p -m 700 " .. quote(self.root .. "/" .. dir)))
  end
  for name, text in pairs(stand_ins) do
    support.write_file(self.root .. "/bin/" .. name,
      "#!/bin/sh\n" .. text:gsub("@(%u+)@", { BIN = support.bin, ROOT = self.root }) .. "\n")
  end
  assert(os.execute("chmod +x " .. quote(self.root) .. "/bin/*"))
  support.write_file(self.root .. "/etc/switchhook/switchhook.lua", ([[
    return { listen = "127.0.0.1:%d", data = "%s/var/lib/switchhook", rules = "rules", scripts = "scripts",
      retry = {}, quarantine = 0, http = { allow = { "127.0.0.1" }, retry = { 0.2, 0.2, 60, 60 } }, %s
      sources = { webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" },
        key = { field = "call_id" } } } }]]):format(self.port, self.root, options.config or ""))
  self:rule("keep.lua", (base_rules:gsub("@", options.sink or "http://127.0.0.1:9")))
  return self
end

function machine:path(path) return self.root .. path end
function machine:rule(name, text) support.write_file(self:path("/etc/switchhook/rules/" .. name), text) end

-- A shell command as root of this machine gives it. Returns output and exit code.
function machine:sh(text)
  text = text:gsub("%f[/%w]/tmp/switchhook%-(%a)", function(c) return c ~= "e" and self.root .. "/tmp/x-" .. c end)
  for _, place in ipairs { "/etc/switchhook", "/var/lib/switchhook", "/var/backups/switchhook", "/root/" } do
    text = text:gsub("%f[/%w]" .. place, self.root .. place)
  end
  text = text:gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. self.port)
  support.write_file(self.root .. "/block.sh", ([[
export PATH=%s/bin:$PATH
[ ! -f %s/vars ] || . %s/vars
set -e
%s
for name in backup before N; do [ -z "${!name+x}" ] || declare -p $name; done >%s/vars
]]):format(self.root, self.root, self.root, text, self.root))
  return support.capture("cd / && bash " .. quote(self.root .. "/block.sh") .. " 2>&1")
end

local ran = {}
-- The n-th block of a section, which must succeed (unless a code is given). Returns its output.
function machine:block(heading, n, code)
  local text = assert(blocks[heading] and blocks[heading][n], "no block " .. n .. " under " .. heading)
  ran[heading .. n] = true
  local out, got = self:sh(text)
  assert(got == (code or 0), ("%s, block %d: exit code %d\n%s\n%s"):format(heading, n, got, text, out))
  return out
end

function machine:start() assert.equal(0, select(2, self:sh "systemctl start switchhook.socket switchhook.service")) end
function machine:stop() assert.equal(0, select(2, self:sh "systemctl stop switchhook.socket switchhook.service")) end

function machine:backup()
  local out, code = self:sh("switchhook backup /var/backups/switchhook/switchhook-20260101T000000Z.db " ..
    "--data /var/lib/switchhook")
  assert.equal(0, code, out)
end

function machine:send(id, more)
  local conn = support.connect(self.port)
  local body = { event = "call_start", call_id = id }
  for k, v in pairs(more or {}) do body[k] = v end
  local answer = assert(conn:request("POST", "/hooks/webphone", cjson.encode(body)))
  conn:close()
  return answer
end

function machine:rows(...)
  local out, code = self:sh("switchhook " .. table.concat({ ... }, " ") ..
    " --json --data /var/lib/switchhook 2>/dev/null")
  local rows = {}
  for line in out:gmatch "[^\n]+" do rows[#rows + 1] = cjson.decode(line) end
  return rows, code
end

function machine:settled(n)
  support.wait_for(function()
    local rows = self:rows("events", "--state", "done")
    return #rows >= n
  end, 10, n .. " events to be done")
end

function machine:close()
  local f = io.open(self.root .. "/pid")
  if f then
    local pid = f:read "*n"
    f:close()
    os.execute("kill -9 " .. pid .. " 2>/dev/null")
    support.wait_for(function() return not lfs.attributes("/proc/" .. pid) end, 5, "the engine to be gone")
  end
  if self.mounted then os.execute("umount " .. quote(self.mounted)) end
  support.remove_dir(self.root)
end

describe("the operations guide's blocks", function()
  local m, sink
  after_each(function()
    if m then m:close() end
    if sink then sink:close() end
    m, sink = nil, nil
  end)

  it("bring a lost machine back from the last backup", function()
    sink = support.sink()
    sink:answers { ["/told"] = { { status = 503 }, { status = 503 } } }
    m = new_machine { sink = sink.url }
    m:start()
    local kept = m:send "kept".json.id
    m:send("told", { tell = true })
    sink:wait(1, "/told")
    m:backup()
    local lost = m:send "lost".json.id
    m:settled(3)
    local first = sink:wait(3, "/told")
    support.wait_for(function() return #m:rows("outbox", "--state", "sent") == 1 end, 5, "the delivery")
    m:stop()
    assert(os.execute("rm -rf " .. quote(m:path "/var/lib/switchhook")))
    assert(lfs.mkdir(m:path "/var/lib/switchhook"))
    m:start() -- what the package's installation does: an empty store
    m:block("The machine is lost", 1)
    m:block("The machine is lost", 2)
    m:block("The machine is lost", 3)
    assert.equal(0, select(2, m:rows("events", "--id", kept)))
    assert.equal(1, select(2, m:rows("events", "--id", lost)))
    assert.is_true(m:send "kept".json.duplicate)
    assert.is_falsy(m:send "lost".json.duplicate)
    -- delivered since, and once more: under the same key
    local all = sink:wait(4, "/told")
    assert.truthy(all[4].headers["idempotency-key"])
    assert.equal(first[1].headers["idempotency-key"], all[4].headers["idempotency-key"])
    assert.equal(0, select(2, m:sh "switchhook verify --data /var/lib/switchhook"))
  end)

  it("salvage a database that was overwritten in its middle, and say that it is damaged", function()
    m = new_machine()
    m:start()
    for n = 1, 300 do assert.equal(200, m:send("call" .. n, { pad = ("x"):rep(1000) }).status) end
    m:settled(300)
    m:stop()
    local file = m:path "/var/lib/switchhook/switchhook.db"
    local f = assert(io.open(file, "r+b"))
    local pages = f:seek "end" // 4096
    f:seek("set", pages // 2 * 4096)
    f:write(("\xa5"):rep(6 * 4096))
    f:close()
    m:start()
    m:block("A damaged database", 1)
    local out = m:block("A damaged database", 2)
    assert.truthy(out:find("verify found damage", 1, true), out)
    out = m:block("A damaged database", 3)
    local events = tonumber(out:match "^(%d+)\n" or out:match "\n(%d+)\n")
    assert.is_true(events and events >= 250 and events <= 300, out)
    m:block("A damaged database", 4)
    assert.equal(200, m:send "after".status)
    support.wait_for(function()
      return #m:rows("records", "calls", "--id", "after") == 1
    end, 5, "the record of an event after the salvage")
    assert.equal(events + 1, #m:rows "events")
  end)

  it("start from a backup where the database cannot be opened at all", function()
    m = new_machine()
    m:start()
    m:send "kept"
    m:settled(1)
    m:backup()
    m:stop()
    local f = assert(io.open(m:path "/var/lib/switchhook/switchhook.db", "r+b"))
    f:write(("\xa5"):rep(3 * 4096))
    f:close()
    assert.is_true(select(2, m:sh "systemctl start switchhook.socket switchhook.service") ~= 0)
    assert.equal("3\n", support.read_file(m:path "/code"))
    assert.truthy(support.read_file(m:path "/err"):find("switchhook.db is damaged", 1, true))
    assert.truthy(m:block("A damaged database", 2):find("verify found damage", 1, true))
    for n = 1, 3 do m:block("The machine is lost", n) end
    assert.is_true(m:send "kept".json.duplicate)
  end)

  it("make room on a full disk", function()
    m = new_machine { config = 'min_free = "2MiB",' }
    if not os.execute("mount -t tmpfs -o size=16m none " .. m:path "/var/lib/switchhook" .. " 2>/dev/null") then
      return pending "needs root for a small file system"
    end
    m.mounted = m:path "/var/lib/switchhook"
    m:sh "head -c 8M /dev/zero > /var/lib/switchhook/ballast"
    m:start()
    local n = 0
    local refused = support.wait_for(function()
      n = n + 1
      local answer = m:send("call" .. n, { pad = ("x"):rep(200000) })
      return answer.status ~= 200 and answer
    end, 20, "a full disk")
    assert.equal(503, refused.status)
    assert.truthy(refused.headers["retry-after"])
    m:block("The disk is full", 1)
    assert.equal(200, m:send "after".status)
    local before = lfs.attributes(m:path "/var/lib/switchhook/switchhook.db", "size")
    m:settled(n)
    m:stop()
    -- as if `retain` had passed
    for _, of in ipairs { "runs", "dedupe_new", "dedupe", "events" } do
      m:sh("sqlite3 /var/lib/switchhook/switchhook.db 'DELETE FROM sh_" .. of .. "'")
    end
    m:start()
    m:block("The disk is full", 2)
    m:sh "rm -f /var/lib/switchhook/*before-restore*"
    assert.is_true(lfs.attributes(m:path "/var/lib/switchhook/switchhook.db", "size") < before / 2 + 400000)
    assert.equal(200, m:send "again".status)
  end)

  it("take a wrong rule back, and bring its dead letters through", function()
    m = new_machine()
    m:rule("keep_spec.lua", "-- a spec\n")
    m:start()
    m:send "one"
    m:settled(1)
    local good = support.read_file(m:path "/etc/switchhook/rules/keep.lua")
    m:rule("keep.lua", 'rule "Keep" { on = "*", run = function() error "wrong" end }\n')
    m:rule("more.lua", 'rule "More" { on = "never", run = function() end }\n')
    assert.equal(0, select(2, m:sh "switchhook reload --data /var/lib/switchhook"))
    m:send "two"
    support.wait_for(function() return #m:rows("runs", "--state", "dead") == 1 end, 5, "a dead run")
    local out = m:block("A wrong rule went live", 1)
    assert.truthy(out:find('+rule "Keep" { on = "*", run = function() error "wrong" end }', 1, true) or
      out:find('error "wrong"', 1, true), out)
    m:block("A wrong rule went live", 2)
    assert.equal(good, support.read_file(m:path "/etc/switchhook/rules/keep.lua"))
    assert.is_nil(lfs.attributes(m:path "/etc/switchhook/rules/more.lua"))
    assert.equal("-- a spec\n", support.read_file(m:path "/etc/switchhook/rules/keep_spec.lua"))
    m:block("A wrong rule went live", 3)
    m:settled(2)
    assert.equal(0, #m:rows("runs", "--state", "dead"))
    assert.equal(1, #m:rows("records", "calls", "--id", "two"))
    local lives = m:rows "generations"
    assert.equal(lives[1].generation, lives[#lives].generation)
  end)

  it("write lost rule files out of the store", function()
    m = new_machine()
    support.write_file(m:path "/etc/switchhook/scripts/kit.lua", "return { n = 1 }\n")
    m:rule("sub/other.lua", 'local kit = require "kit"\nrule "Other" { on = "x" .. kit.n, run = function() end }\n')
    m:start()
    m:stop()
    local sums = "cd /etc/switchhook && find rules scripts -type f | sort | xargs sha256sum"
    local before = m:sh(sums)
    assert.truthy(before:find("rules/sub/other.lua", 1, true))
    m:sh "rm -rf /etc/switchhook/rules /etc/switchhook/scripts"
    local out = m:block("The rule files are lost", 1)
    assert.truthy(out:find("as they run", 1, true), out)
    assert.equal(before, (m:sh(sums)))
    m:start()
    assert.equal(200, m:send "one".status)
  end)

  it("make a token where the last one is lost", function()
    m = new_machine()
    m:start()
    m:sh "switchhook token new lost --role admin --quiet --data /var/lib/switchhook"
    local conn = support.connect(m.port)
    assert.equal(401, conn:request("GET", "/api/v1/status").status)
    conn:close()
    local out = m:block("The last token is lost", 1)
    assert.truthy(out:find("let in", 1, true) and out:find("rescue", 1, true), out)
  end)

  it("put a new certificate in place of one that has ended", function()
    m = new_machine { config = 'tls = { cert = "secrets/fullchain.pem", key = "secrets/key.pem" },' }
    local function certificate(name, key, from, to) -- openssl req knows no date of the past
      local out, code = m:sh(([[cd /etc/switchhook/secrets
        echo '[ca]
          default_ca = c
          [c]
          database = index
          serial = serial
          new_certs_dir = .
          default_md = sha256
          policy = p
          x509_extensions = x
          [p]
          commonName = supplied
          [x]
          subjectAltName = IP:127.0.0.1' >ca.cnf
        rm -f index* && : >index && echo 01 >serial
        openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost -keyout %s -out req.pem
        openssl ca -batch -notext -config ca.cnf -selfsign -keyfile %s -in req.pem -out %s -startdate %s -enddate %s]])
        :format(key, key, name, from, to))
      assert.equal(0, code, out)
    end
    certificate("fullchain.pem", "key.pem", "20240101000000Z", "20250101000000Z")
    certificate("new-fullchain.pem", "new-key.pem", "20240101000000Z", "20991231000000Z")
    m:sh "cp /etc/switchhook/secrets/new-fullchain.pem /root/ca.pem"
    m:start()
    assert.truthy(support.read_file(m:path "/err"):find("the certificate has expired: senders refuse it", 1, true))
    local url = "curl -fsS --cacert /root/ca.pem https://127.0.0.1:8080/healthz"
    assert.is_true(select(2, m:sh(url)) ~= 0)
    local out = m:block("The certificate has ended", 1)
    assert.truthy(out:find("they belong together", 1, true), out)
    m:block("The certificate has ended", 2)
    out = m:sh(url)
    assert.truthy(out:find('"ok"', 1, true), out)
  end)

  it("take a store back for an older version", function()
    m = new_machine()
    m:start()
    m:send "one"
    m:settled(1)
    m:block("A store of a newer version", 1)
    m:block("A store of a newer version", 2)
    local schema = m:rows "schema"
    assert.equal(3, schema[1].schema or schema[1].store)
    m:start()
    assert.is_true(m:send "one".json.duplicate)
  end)

  it("look into a backup without serving it; the backup is the one that examples/backup makes", function()
    m = new_machine()
    m:start()
    m:send "one"
    m:settled(1)
    local script = ("BACKUPS=%s DATA=%s KEEP=3 sh %s/examples/backup/switchhook-backup"):format(
      m:path "/var/backups/switchhook", m:path "/var/lib/switchhook", lfs.currentdir())
    for n = 1, 5 do
      support.write_file(m:path "/var/backups/switchhook/switchhook-2025010" .. n .. "T000000Z.db", "old")
    end
    support.write_file(m:path "/var/backups/switchhook/before-upgrade.db", "mine")
    local out, code = m:sh(script)
    assert.equal(0, code, out)
    local names = support.capture("ls " .. m:path "/var/backups/switchhook")
    assert.truthy(names:match("^before%-upgrade%.db\nswitchhook%-20250104T000000Z%.db\n" ..
      "switchhook%-20250105T000000Z%.db\nswitchhook%-202%d+T%d+Z%.db\n$"), names)
    local service = support.read_file "examples/backup/switchhook-backup.service"
    assert.truthy(service:find("\nExecStart=/usr/local/sbin/switchhook-backup\n", 1, true))
    for name in service:match "\nEnvironment=([^\n]+)":gmatch "(%u+)=" do -- what the unit sets the script knows
      assert.truthy(support.read_file "examples/backup/switchhook-backup":find("${" .. name .. ":-", 1, true), name)
    end
    if os.execute "command -v systemd-analyze >/dev/null 2>&1" == true then
      out, code = support.capture("systemd-analyze calendar --iterations=1 " .. quote(
        support.read_file "examples/backup/switchhook-backup.timer":match "\nOnCalendar=([^\n]+)") .. " 2>&1")
      assert.equal(0, code, out)
    end
    out = m:block("Restore drill", 1)
    assert.truthy(out:find("call_start", 1, true), out)
    -- one that fails leaves the others alone
    m:stop()
    assert(os.execute("rm -r " .. quote(m:path "/var/lib/switchhook")))
    out, code = m:sh(script)
    assert.is_true(code ~= 0, out)
    assert.equal(names, (support.capture("ls " .. m:path "/var/backups/switchhook")))
  end)

  it("have all been run, and its links lead somewhere", function()
    local n = 0
    for _ in pairs(ran) do n = n + 1 end
    assert.equal(total, n)
    assert.is_true(total > 15)
    local anchors = {}
    for heading in PAGE:gmatch "\n##+ ([^\n]+)" do
      anchors[heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-")] = true
    end
    for target in PAGE:gmatch "%]%(#([^)]+)%)" do assert(anchors[target], "no heading for #" .. target) end
    for file in PAGE:gmatch "%]%(([^#)]+)" do
      assert(file:match "^https?:" or lfs.attributes("docs/" .. file), "no file docs/" .. file)
    end
  end)
end)
