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

  -- The rows of a command that lists.
  local function list(what)
    local p = assert(io.popen(("%s %s --data %s/var --json"):format(binary, what, dir)))
    local items = {}
    for line in p:lines() do items[#items + 1] = cjson.decode(line) end
    p:close()
    return items
  end

  local function outbox(options)
    return list("outbox " .. (options or ""))
  end

  -- What the SMTP server kept of message n.
  local function envelope(n)
    return cjson.decode(read(("%s/smtp/%04d.json"):format(dir, n)))
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
    assert.equal("hook@example.org", envelope(1).from)
    assert.same({ "zoe@example.org", "team@example.org" }, envelope(1).to)
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
      :format(smtp_server "--greylist 2"))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    local item = item_in "sent"
    assert.equal(2, item.attempts)
    assert.equal(1, #files(dir .. "/smtp", "%.eml$"))
  end)

  it("waits for the recipient that was greylisted, and goes to the others meanwhile", function()
    local e = engine(([[{ smtp = "%s", from = "hook@example.org", retry = { "1s", "1s" } }]])
      :format(smtp_server "--rcpt 'zoe@example.org=450 4.2.0 greylisted*1'"))
    post(e, { event = "call_start", call_id = "1", name = "Bo" })
    eventually("the first message", function() return #files(dir .. "/smtp", "%.json$") >= 1 end)
    assert.same({ "team@example.org" }, envelope(1).to)
    local item = item_in "sent"
    assert.equal(2, item.attempts)
    assert.same({ "zoe@example.org" }, envelope(2).to)
    assert.equal(read(dir .. "/smtp/0001.eml"), read(dir .. "/smtp/0002.eml"))
    assert.equal(2, #files(dir .. "/smtp", "%.eml$"))
  end)

  it("reaches two of three when the third is refused, and says which", function()
    write(dir .. "/rules/mail.lua", [[
rule "Mail to three" {
  on = "call_start",
  run = function()
    email { to = "a@example.org", cc = "b@example.org", bcc = { "Hidden <hidden@example.org>" },
            subject = "Three", text = "t", notify = "three" }
  end,
}
rule "Hear of it" {
  on = "delivery_failed",
  run = function(e)
    records.put("heard", e.notify, { status = e.status, error = e.error, kind = e.kind })
  end,
}
]])
    local e = engine(([[{ smtp = "%s", from = "hook@example.org" }]])
      :format(smtp_server "--rcpt 'b@example.org=550 5.1.1 no such user*1'"))
    post(e, { event = "call_start", call_id = "1" })
    local item = item_in "dead"
    local why = "1 of 3 recipients refused: b@example.org: 550 5.1.1 no such user"
    assert.equal(why, item.error)
    assert.equal(1, item.attempts)
    assert.same({ "a@example.org", "hidden@example.org" }, envelope(1).to)
    assert.falsy(read(dir .. "/smtp/0001.eml"):lower():find("hidden", 1, true))
    local whole = outbox("--id " .. item.id)[1]
    assert.equal("sent", whole.recipients["hidden@example.org"].state)
    assert.same({ state = "refused", answer = "550 5.1.1 no such user" },
                whole.recipients["b@example.org"])
    local heard = eventually("the rule hears of it", function() return list("records heard")[1] end)
    assert.same({ status = 550, error = why, kind = "email" }, heard.doc)
    -- The mailbox has been made: the redrive goes to that one alone.
    assert.truthy(os.execute(("%s redrive %s --data %s/var >%s/redrive"):format(binary, item.id, dir,
                                                                              dir)))
    item_in "sent"
    assert.same({ "b@example.org" }, envelope(2).to)
    assert.equal(2, #files(dir .. "/smtp", "%.eml$"))
  end)

  it("carries attachments and an invitation, as other programs read them", function()
    write(dir .. "/rules/mail.lua", [[
rule "Invite" {
  on = "call_start",
  run = function(call)
    email {
      to = "Zoë <zoe@example.org>", bcc = "hidden@example.org", subject = "Bel",
      text = "Hallo {{name}}", html = "<p>{{name}}</p>", with = call,
      attachments = {
        { name = "gesprek ë.csv", type = "text/csv", text = "a;b\n1;2\n" },
        { name = "x.bin", type = "application/octet-stream", base64 = "AAEC/v8=" },
      },
      invitation = { uid = call.call_id .. "@example.org", start = "2030-01-02T10:00:00Z",
                     minutes = 20, summary = "Bel {{name}}", description = "a,b;c\nd",
                     location = "+31 6 12345678", alarm_minutes = 5, sequence = 1 },
    }
  end,
}
]])
    local e = engine(('{ smtp = "%s", from = "Hook <hook@example.org>" }'):format(smtp_server()))
    local name = "Jo & <b>\r\nEND:VEVENT"
    post(e, { event = "call_start", call_id = "c1", name = name })
    local item = item_in "sent"
    assert.same({ "zoe@example.org", "hidden@example.org" }, envelope(1).to)
    lfs.mkdir(dir .. "/check")
    write(dir .. "/check/0001.eml", read(dir .. "/smtp/0001.eml"))
    write(dir .. "/check/0001.json", cjson.encode {
      from = "Hook <hook@example.org>", key = item.key,
      doc = {
        to = { "Zoë <zoe@example.org>" }, bcc = { "hidden@example.org" }, subject = "Bel",
        text = "Hallo " .. name, html = "<p>Jo &amp; &lt;b&gt;\r\nEND:VEVENT</p>",
        attachments = {
          { name = "gesprek ë.csv", type = "text/csv", text = "a;b\n1;2\n" },
          { name = "x.bin", type = "application/octet-stream", base64 = "AAEC/v8=" },
        },
        invitation = { uid = "c1@example.org", start_at = 1893578400000, end_at = 1893579600000,
                       summary = "Bel " .. name, description = "a,b;c\nd",
                       location = "+31 6 12345678", alarm_minutes = 5, sequence = 1 },
      },
    })
    local p = assert(io.popen(("/usr/bin/python3 -B %s/../unit/mime_check.py %s/check 2>&1"):format(
      here, dir)))
    local answer = p:read "a"
    p:close()
    assert.equal("checked 1\n", answer)
  end)

  it("shares a few connections among many messages", function()
    local e = engine(('{ smtp = "%s", from = "hook@example.org", connections = 3 }'):format(
      smtp_server "--slow 0.01"))
    for i = 1, 50 do post(e, { event = "call_start", call_id = tostring(i), name = "Bo" }) end
    eventually("50 messages", function() return #files(dir .. "/smtp", "%.json$") == 50 end)
    eventually("all sent", function()
      for _, item in ipairs(outbox "--limit 100") do
        if item.state ~= "sent" then return false end
      end
      return true
    end)
    assert.truthy(tonumber(read(dir .. "/smtp/connections")) <= 3)
  end)

  for _, stage in ipairs { "connect", "ehlo", "mail", "rcpt", "data", "body" } do
    it("survives a server that hangs up at " .. stage, function()
      local e = engine(([[{ smtp = "%s", from = "hook@example.org", retry = { "1s", "1s", "1s" } }]])
        :format(smtp_server("--drop " .. stage .. "*1")))
      post(e, { event = "call_start", call_id = "1", name = "Bo" })
      item_in "sent"
      assert.same({ "zoe@example.org", "team@example.org" }, envelope(1).to)
      assert.equal(1, #files(dir .. "/smtp", "%.eml$"))
    end)
  end

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
      local item = outbox()[1]
      return item and type(item.error) == "string"
    end)
    stop(e)
    local item = outbox()[1]
    assert.equal("queued", item.state)
    assert.equal(0, item.attempts) -- it was not the message's fault
    assert.truthy(item.error:find("onnect", 1, true))
    engine "{}"
    assert.equal(1, item_in("sent").attempts)
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
    assert.is_true(envelope(1).tls)
    assert.equal("hook", envelope(1).login)
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
