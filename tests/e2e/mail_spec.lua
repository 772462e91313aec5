-- SPDX-License-Identifier: MIT
-- mail_spec.lua: email from a posted event to a real SMTP server, or to a file, through the engine.
local cjson = require "cjson"
local http = require "socket.http"
local lfs = require "lfs"
local ltn12 = require "ltn12"
local socket = require "socket"

local binary = os.getenv "SWITCHHOOK_BIN" or "build/switchhook"
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "tests/e2e"

local RULES = [[
rule "Mail about a call" {
  on = "call_start",
  run = function(call)
    email { to = { "Zoë <zoe@example.org>" }, cc = "team@example.org",
            subject = "Gesprek met {{name}}", text = "Hallo {{name}}\n.\nTot ziens", with = call }
    records.put("calls", call.call_id, { name = call.name })
  end,
}
]]

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function files(dir, pattern)
  local found = {}
  if lfs.attributes(dir, "mode") == "directory" then
    for name in lfs.dir(dir) do
      if name:match(pattern) then found[#found + 1] = name end
    end
  end
  table.sort(found)
  return found
end

local function eventually(what, fn)
  local stop = socket.gettime() + 15
  repeat
    local value = fn()
    if value then return value end
    socket.sleep(0.05)
  until socket.gettime() > stop
  error("not within 15 s: " .. what, 2)
end

describe("email", function()
  local dir, running

  -- Start a program that prints a line when it is ready; that line. Ended after the test.
  local function start(command)
    local p = assert(io.popen("echo $$; exec " .. command .. " </dev/null", "r"))
    local pid = assert(p:read "l")
    running[#running + 1] = { pid = pid, pipe = p }
    return assert(p:read "l", "ended at once: " .. command), running[#running]
  end

  local function stop(program)
    if not program.pipe then return end
    os.execute("kill " .. program.pid)
    program.pipe:close()
    program.pipe = nil
  end

  local function smtp_server(options)
    local line = start(("/usr/bin/python3 -B %s/smtp_server.py %s/smtp %s"):format(here, dir,
                                                                                  options or ""))
    return "smtp://127.0.0.1:" .. line:match "port (%d+)"
  end

  local function engine(mail)
    write(dir .. "/switchhook.lua", ([[
      return {
        listen = "127.0.0.1:0", data = "%s/var", rules = "%s/rules",
        sources = { webphone = { path = "/hooks/webphone", type = { field = "event" },
                                 key = { field = "call_id" }, auth = "none" } },
        mail = %s,
      }]]):format(dir, dir, mail))
    local line, program = start(("%s serve --config %s/switchhook.lua 2>>%s/log"):format(binary, dir,
                                                                                       dir))
    program.url = line:match "(http://[%d.]+:%d+)"
    return program
  end

  local function post(program, event)
    local body, answer = cjson.encode(event), {}
    local _, status = http.request {
      url = program.url .. "/hooks/webphone", method = "POST", source = ltn12.source.string(body),
      headers = { ["content-type"] = "application/json", ["content-length"] = #body },
      sink = ltn12.sink.table(answer),
    }
    assert.equal(200, status, table.concat(answer))
  end

  local function outbox()
    local p = assert(io.popen(("%s outbox --data %s/var --json"):format(binary, dir)))
    local items = {}
    for line in p:lines() do items[#items + 1] = cjson.decode(line) end
    p:close()
    return items
  end

  local function item_in(state)
    return eventually("an outbox item is " .. state, function()
      local items = outbox()
      return items[1] and items[1].state == state and items[1]
    end)
  end

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    lfs.mkdir(dir)
    lfs.mkdir(dir .. "/rules")
    write(dir .. "/rules/mail.lua", RULES)
    running = {}
  end)

  after_each(function()
    for i = #running, 1, -1 do stop(running[i]) end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  it("becomes a file when nothing is configured", function()
    local e = engine "{}"
    post(e, { event = "call_start", call_id = "1", name = "Joëlle" })
    local item = item_in "sent"
    local names = files(dir .. "/var/mail", "%.eml$")
    assert.equal(1, #names)
    assert.truthy(names[1]:find(item.key, 1, true))
    local message = read(dir .. "/var/mail/" .. names[1])
    assert.truthy(message:find("Subject: =?UTF-8?Q?Gesprek_met_Jo=C3=ABlle?=\r\n", 1, true))
    assert.truthy(message:find("\r\nHallo Jo=C3=ABlle\r\n=2E\r\nTot ziens\r\n", 1, true))
    assert.same({}, files(dir .. "/var/mail", "%.tmp$"))
  end)

  it("reaches an SMTP server, each recipient in the envelope", function()
    local e = engine(('{ smtp = "%s", from = "Hook <hook@example.org>" }'):format(smtp_server()))
    for i = 1, 3 do post(e, { event = "call_start", call_id = tostring(i), name = "Bo" }) end
    eventually("three messages", function() return #files(dir .. "/smtp", "%.json$") == 3 end)
    local envelope = cjson.decode(read(dir .. "/smtp/0001.json"))
    assert.equal("hook@example.org", envelope.from)
    assert.same({ "zoe@example.org", "team@example.org" }, envelope.to)
    local ids = {}
    for i = 1, 3 do
      local id = read(("%s/smtp/%04d.eml"):format(dir, i)):match "\r\nMessage%-ID: <(%x+)@example.org>"
      ids[assert(id)] = true
    end
    eventually("all sent", function()
      local items = outbox()
      for _, item in ipairs(items) do
        if item.state ~= "sent" or not ids[item.key] then return false end
      end
      return #items == 3
    end)
  end)

  it("is tried again after a greylisting, and sent once", function()
    local e = engine(([[{ smtp = "%s", from = "hook@example.org", retry = { "1s", "1s" } }]])
      :format(smtp_server "--greylist 1"))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    local item = item_in "sent"
    assert.equal(2, item.attempts)
    assert.equal(1, #files(dir .. "/smtp", "%.eml$"))
  end)

  it("repeats the same message when the answer was lost", function()
    local e = engine(([[{ smtp = "%s", from = "hook@example.org", retry = { "1s" } }]])
      :format(smtp_server "--drop-after-data 1"))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    item_in "sent"
    assert.equal(2, #files(dir .. "/smtp", "%.eml$"))
    assert.equal(read(dir .. "/smtp/0001.eml"), read(dir .. "/smtp/0002.eml"))
  end)

  it("is a dead letter after a 550, until redriven", function()
    local url = smtp_server "--refuse 'rcpt:550 5.1.1 no such user'"
    local e = engine(('{ smtp = "%s", from = "hook@example.org" }'):format(url))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    local item = item_in "dead"
    assert.equal(1, item.attempts)
    assert.truthy(item.error:find("550 5.1.1 no such user", 1, true))
    stop(e)
    engine "{}" -- somebody has mended the configuration
    assert.truthy(os.execute(("%s redrive %s --data %s/var >%s/redrive"):format(binary, item.id, dir,
                                                                              dir)))
    assert.equal(item.key, item_in("sent").key)
    assert.equal(1, #files(dir .. "/var/mail", "%.eml$"))
  end)

  it("waits in the outbox while the server is away, across a restart", function()
    local s = socket.bind("127.0.0.1", 0)
    local _, port = s:getsockname()
    s:close() -- nobody listens here now
    local e = engine(([[{ smtp = "smtp://127.0.0.1:%d", from = "hook@example.org",
                         retry = { "3s", "3s", "3s" } }]]):format(port))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    eventually("a failed attempt", function()
      local items = outbox()
      return items[1] and items[1].attempts == 1
    end)
    stop(e)
    local item = outbox()[1]
    assert.equal("queued", item.state)
    assert.truthy(item.error:find("onnect", 1, true))
    engine "{}"
    assert.equal(2, item_in("sent").attempts)
  end)

  it("goes by TLS and login, or not at all", function()
    local url = smtp_server "--tls starttls --login hook:s3cret-word"
    local mail = [[{ smtp = "%s", from = "hook@example.org", username = "hook", tls = true,
                     password = "%s", ca_file = "%s/smtp/cert.pem", retry = {} }]]
    local e = engine(mail:format(url, "wr0ng-word", dir))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    local item = item_in "dead"
    assert.truthy(item.error:find("535", 1, true))
    assert.same({}, files(dir .. "/smtp", "%.eml$"))
    stop(e)
    assert.falsy(read(dir .. "/log"):find("wr0ng-word", 1, true))
    e = engine(mail:format(url, "s3cret-word", dir))
    post(e, { event = "call_start", call_id = "2", name = "Bo" })
    eventually("a message", function() return #files(dir .. "/smtp", "%.json$") == 1 end)
    local envelope = cjson.decode(read(dir .. "/smtp/0001.json"))
    assert.is_true(envelope.tls)
    assert.equal("hook", envelope.login)
  end)

  it("with a line break in its subject fails the run, and nothing leaves", function()
    local e = engine "{}"
    post(e, { event = "call_start", call_id = "1", name = "Bo\r\nBcc: victim@example.org" })
    local run = eventually("a failed run", function()
      local p = io.popen(("%s runs --data %s/var --json"):format(binary, dir))
      local line = p:read "l"
      p:close()
      return line and cjson.decode(line)
    end)
    assert.truthy(run.error:find("mail.lua:4", 1, true) or run.error:find("mail.lua:5", 1, true))
    assert.truthy(run.error:find("subject contains a line break", 1, true))
    assert.same({}, outbox())
    assert.same({}, files(dir .. "/var/mail", "%.eml$"))
  end)
end)
