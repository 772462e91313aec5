-- SPDX-License-Identifier: MIT
-- support.lua: what every end-to-end spec needs: a real engine in a folder of its own, HTTP and raw
-- sockets to it, its command line, and the sample payloads.
--
--   local support = require "tests.e2e.support"
--   local engine = support.engine { rules = { ["a.lua"] = 'rule "r" { on = "*", run = ... }' } }
--   local answer = engine:post("/hooks/webphone", support.payload "call_start")
--   engine:wait_events("done")
--   engine:close()

local cjson = require "cjson"
local lfs = require "lfs"
local socket = require "socket"

local support = {}

local bin = os.getenv "SWITCHHOOK_BIN" or "build/switchhook"
if bin:sub(1, 1) ~= "/" then
  bin = lfs.currentdir() .. "/" .. bin
end
support.bin = bin

-- Files -------------------------------------------------------------------------------------------

function support.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end
local quote = support.quote

function support.read_file(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

-- Write a file, making its folders.
function support.write_file(path, text)
  assert(os.execute("mkdir -p " .. quote(path:match "^(.*)/" or ".")))
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

-- The output of a command, and its exit code (asked of the shell: Lua 5.1 does not tell).
function support.capture(command)
  local p = assert(io.popen(command .. "\nprintf '\\n%d' $?", "r"))
  local out, code = p:read "*a":match "^(.*)\n(%d+)$"
  p:close()
  return out, tonumber(code)
end

-- The library that makes a program's clocks others (LD_PRELOAD, FAKETIME).
function support.faketime()
  local out = support.capture "ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null"
  return (assert(out:match "%S+", "libfaketime is not installed"))
end

-- What a person sees whose terminal runs switchhook with these words, and to whom it takes very long:
-- its clocks run 100,000 times as fast. Lines end with "\r\n". And the exit code.
function support.on_slow_terminal(words)
  local command = ("LD_PRELOAD=%s FAKETIME='+0 x100000' %s %s"):format(support.faketime(),
    support.quote(support.bin), words)
  return support.capture("script -qec " .. support.quote(command) .. " /dev/null </dev/null")
end

function support.temp_dir()
  local out = support.capture "mktemp -d /tmp/switchhook-e2e-XXXXXX"
  return (assert(out:match "^(%S+)", "mktemp failed"))
end

function support.remove_dir(path)
  assert(path:match "^/tmp/switchhook%-e2e%-%w+$", "not a temporary folder of the specs: " .. path)
  os.execute("rm -rf " .. quote(path))
end

-- The text of examples/webphone/NAME.json. changes (optional): members to set on the top level
-- (cjson.null for null); the text is then compact JSON.
function support.payload(name, changes)
  local text = support.read_file("examples/webphone/" .. name .. ".json")
  if not changes then
    return text
  end
  local doc = cjson.decode(text)
  for key, value in pairs(changes) do
    doc[key] = value
  end
  return cjson.encode(doc)
end

-- Waiting -----------------------------------------------------------------------------------------

-- Call fn until it returns something true, and return that; an error naming `what` after seconds.
function support.wait_for(fn, seconds, what)
  local deadline = socket.gettime() + (seconds or 5)
  while true do
    local value = fn()
    if value then
      return value
    end
    if socket.gettime() > deadline then
      error(("waited %g s for %s"):format(seconds or 5, what or "a condition"), 2)
    end
    socket.sleep(0.02)
  end
end

-- HTTP --------------------------------------------------------------------------------------------

-- A connection that stays open. conn:send(text); conn:answer() reads one answer.
local connection = {}
connection.__index = connection

function support.connect(port)
  local sock = assert(socket.connect("127.0.0.1", port))
  sock:settimeout(10)
  sock:setoption("tcp-nodelay", true)
  return setmetatable({ sock = sock }, connection)
end

function connection:send(text)
  return self.sock:send(text)
end

-- { status =, headers = {lower-case names}, body =, json = (decoded, if it is JSON) }, or nil and
-- why. head_only: the answer to a HEAD request.
function connection:answer(head_only)
  local line, why = self.sock:receive "*l"
  if not line then
    return nil, why
  end
  local answer = { status = tonumber(line:match "^HTTP/1%.%d (%d+)"), headers = {}, body = "" }
  for header in function() return self.sock:receive "*l" end do
    if header == "" then
      break
    end
    local name, value = header:match "^(.-):%s*(.*)$"
    answer.headers[name:lower()] = value
  end
  local length = tonumber(answer.headers["content-length"] or 0)
  if length > 0 and not head_only then
    answer.body = assert(self.sock:receive(length))
  end
  if (answer.headers["content-type"] or ""):find("json", 1, true) and answer.body ~= "" then
    answer.json = cjson.decode(answer.body)
  end
  return answer
end

-- One request and its answer.
function connection:request(method, path, body, headers)
  local lines = { ("%s %s HTTP/1.1"):format(method, path), "Host: 127.0.0.1" }
  headers = headers or {}
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if body then
    lines[#lines + 1] = "Content-Length: " .. #body
    if not headers["Content-Type"] then
      lines[#lines + 1] = "Content-Type: application/json"
    end
  end
  self:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  return self:answer(method == "HEAD")
end

-- Has the other side closed? Waits up to seconds for it.
function connection:closed(seconds)
  self.sock:settimeout(seconds or 1)
  local _, why = self.sock:receive(1)
  self.sock:settimeout(10)
  return why == "closed"
end

function connection:close()
  self.sock:close()
end

-- A receiver of HTTP calls (http_sink.py) -----------------------------------------------------------

local sink = {}
sink.__index = sink

-- Start one; port (optional): on this one.
function support.sink(port)
  local self = setmetatable({ dir = support.temp_dir() }, sink)
  local out = self.dir .. "/out"
  local pid = support.capture(("/usr/bin/python3 -B tests/e2e/http_sink.py %d >%s 2>%s/err </dev/null & echo $!")
    :format(port or 0, out, self.dir))
  self.pid = assert(tonumber(pid:match "%d+"))
  self.port = support.wait_for(function()
    return tonumber(support.read_file(out):match "ready (%d+)")
  end, 10, "the HTTP sink")
  self.url = "http://127.0.0.1:" .. self.port
  return self
end

function sink:control(method, path, body)
  local conn = support.connect(self.port)
  local answer = assert(conn:request(method, path, body))
  conn:close()
  return answer.json
end

-- { ["/path"] = { { status = 503 }, .. } }: see http_sink.py.
function sink:answers(list)
  self:control("PUT", "/_answers", cjson.encode(list))
end

-- What it was sent: { { at, method, path, headers, body, json, conn }, .. }, of one path if given.
function sink:requests(path)
  local found = {}
  for _, request in ipairs(self:control("GET", "/_requests")) do
    if not path or request.path == path then
      local ok, json = pcall(cjson.decode, request.body)
      request.json = ok and json or nil
      found[#found + 1] = request
    end
  end
  return found
end

-- Wait until n requests are there (of one path if given); returns them.
function sink:wait(n, path, seconds)
  return support.wait_for(function()
    local found = self:requests(path)
    return #found >= n and found
  end, seconds or 10, ("%d requests to %s"):format(n, path or "the sink"))
end

function sink:close()
  os.execute(("kill -9 %d 2>/dev/null"):format(self.pid))
  support.remove_dir(self.dir)
end

-- Engine ------------------------------------------------------------------------------------------

local engine = {}
engine.__index = engine

local default_config = [[
return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
  type = { field = "event" }, key = { field = "call_id" } } } }
]]

local default_rules = { ["quiet.lua"] = 'rule "quiet" { on = "*", run = function() end }\n' }

-- Start an engine in a fresh folder and wait until it is ready. options (all optional):
--   config   text of switchhook.lua (default: the source webphone, no authentication)
--   rules    { [file name] = text }, scripts the same
--   env      { NAME = value } for the process
--   args     more arguments for serve, as one string
--   wrap     a command that runs its arguments, to start it by
--   start    false: only make the folder
--   port     listen on this one (default: any); can be set later in engine.options
function support.engine(options)
  options = options or {}
  local self = setmetatable({ dir = support.temp_dir(), options = options, starts = 0 }, engine)
  self.data = self.dir .. "/data"
  support.write_file(self.dir .. "/switchhook.lua", options.config or default_config)
  for folder, files in pairs { rules = options.rules or default_rules,
                               scripts = options.scripts or {} } do
    assert(lfs.mkdir(self.dir .. "/" .. folder))
    for name, text in pairs(files) do
      support.write_file(self.dir .. "/" .. folder .. "/" .. name, text)
    end
  end
  if options.start ~= false then
    self:start()
  end
  return self
end

-- The state letter of /proc/PID/stat, or nil when there is no such process.
local function process_state(pid)
  local f = io.open(("/proc/%d/stat"):format(pid), "r")
  if not f then
    return nil
  end
  local text = f:read "*a"
  f:close()
  return text and text:match "%) (%a)"
end

-- A killed process whose other threads still end (one may be in an fsync) still holds its files.
local function threads_of(pid)
  local n = 0
  pcall(function()
    for name in lfs.dir(("/proc/%d/task"):format(pid)) do
      n = n + (name:match "^%d" and 1 or 0)
    end
  end)
  return n
end

local function is_running(pid)
  local state = process_state(pid)
  return state ~= nil and (state ~= "Z" and state ~= "X" or threads_of(pid) > 1)
end

-- Everything the engine has written to standard error since it started last.
function engine:log()
  return support.read_file(self.stderr)
end

-- Spawn serve in a process group of its own and read the port from its ready line.
function engine:start(seconds)
  self.starts = self.starts + 1
  self.stdout = ("%s/out.%d"):format(self.dir, self.starts)
  self.stderr = ("%s/err.%d"):format(self.dir, self.starts)
  local env = ""
  for name, value in pairs(self.options.env or {}) do
    env = ("%s%s=%s "):format(env, name, quote(value))
  end
  local command = ("cd %s && %s exec setsid %s serve --config switchhook.lua --listen 127.0.0.1:%d" ..
    " --data data --rules rules --scripts scripts %s >%s 2>%s </dev/null"):format(
    quote(self.dir), env ~= "" and "export " .. env .. ";" or "",
    (self.options.wrap and self.options.wrap .. " " or "") .. quote(bin),
    self.options.port or 0, self.options.args or "", quote(self.stdout), quote(self.stderr))
  local out = support.capture("sh -c " .. quote(command .. " & echo $!"))
  self.pid = assert(tonumber(out:match "%d+"), "the engine was not started")
  local line
  support.wait_for(function()
    line = support.read_file(self.stdout):match "[^\n]*ready on[^\n]*"
    return line or not is_running(self.pid)
  end, seconds or 10, "the engine's ready line; its log: " .. self.stderr)
  if not line then
    error("the engine ended at its start:\n" .. self:log(), 2)
  end
  self.ready_line = line
  self.port = assert(tonumber(line:match ":(%d+)"), "no port in: " .. line)
  return self
end

function engine:running()
  return is_running(self.pid)
end

local function wait_gone(self, seconds, what)
  support.wait_for(function() return not is_running(self.pid) end, seconds, what)
end

-- SIGKILL to the whole process group: engine and workers.
function engine:kill9()
  os.execute(("kill -9 -%d 2>/dev/null"):format(self.pid))
  wait_gone(self, 5, "the killed engine to be gone")
end

-- SIGTERM and wait for the end in order.
function engine:stop(seconds)
  if not is_running(self.pid) then
    return
  end
  os.execute(("kill -TERM %d 2>/dev/null"):format(self.pid))
  wait_gone(self, seconds or 15, "the engine to stop; its log: " .. self.stderr)
end

-- Stop (unless it is gone already) and start again on the same folder; a new port.
function engine:restart()
  self:stop()
  return self:start()
end

-- End it, whatever its state; the folder goes, unless keep is true.
function engine:close(keep)
  if self.pid and is_running(self.pid) then
    self:kill9()
  end
  if not keep then
    support.remove_dir(self.dir)
  end
end

function engine:connect()
  return support.connect(self.port)
end

-- One request on a connection of its own.
function engine:request(method, path, body, headers)
  local conn = self:connect()
  local answer, why = conn:request(method, path, body, headers)
  conn:close()
  return assert(answer, why)
end

function engine:post(path, body, headers)
  return self:request("POST", path, body, headers)
end

-- The rows of `switchhook ...`, decoded; `--data` is added, and with it output and exit code.
function engine:cli(...)
  local words = { quote(bin) }
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  words[#words + 1] = "--data " .. quote(self.data)
  local out, code = support.capture("cd " .. quote(self.dir) .. " && " ..
    table.concat(words, " ") .. " 2>&1")
  local rows = {}
  for line in out:gmatch "[^\n]+" do
    if line:match "^[{%[]" then
      rows[#rows + 1] = cjson.decode(line)
    end
  end
  return rows, out, code
end

-- Wait until n events (default: all there are, at least one) are in a state; returns the rows.
function engine:wait_events(state, n, seconds)
  return support.wait_for(function()
    local rows, there = self:cli("events", "--json"), 0
    for _, row in ipairs(rows) do
      there = there + (row.state == state and 1 or 0)
    end
    return #rows > 0 and there >= (n or #rows) and rows
  end, seconds or 10, ("%s events in state %s"):format(n or "all", state))
end

return support
