-- SPDX-License-Identifier: MIT
-- tls_spec.lua: HTTPS at the listen address: what is spoken, what it costs to misuse it, and
-- certificates that change while senders are at work.

local cjson = require "cjson"
local lfs = require "lfs"
local support = require "tests.e2e.support"
local quote = support.quote

local config = [[
return {
  tls = { cert = "cert.pem", key = "key.pem" },
  limits = { header_timeout = "1s", connections = 300 },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
}
]]

-- A certificate that signs itself, for NAME.example.org, as DIR/NAME.cert.pem and .key.pem.
local function certificate(dir, name, options)
  local out, code = support.capture(("cd %s && openssl req -x509 -nodes %s -subj " ..
    "/CN=%s.example.org -addext subjectAltName=IP:127.0.0.1 -keyout %s.key.pem " ..
    "-out %s.cert.pem 2>&1"):format(quote(dir), options or
    "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 90", name, name, name))
  assert(code == 0, out)
end

local function put(dir, name)
  for _, file in ipairs { "key.pem", "cert.pem" } do
    os.execute(("cd %s && cp %s.%s new && mv new %s"):format(quote(dir), name, file, file))
  end
end

local function new_engine(options)
  local engine = support.engine { config = options and options.config or config, start = false }
  certificate(engine.dir, "a", options and options.a)
  certificate(engine.dir, "b", "-newkey rsa:2048 -days 90")
  os.execute(("cd %s && cat a.cert.pem b.cert.pem >both.pem"):format(quote(engine.dir)))
  put(engine.dir, "a")
  return engine:start()
end

local function client(engine, ...)
  local words = { "python3 tests/e2e/tls_client.py", engine.port, quote(engine.dir .. "/both.pem") }
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  local out, code = support.capture(table.concat(words, " ") .. " 2>&1")
  assert(code == 0, out)
  return cjson.decode(out)
end

local function sockets(engine)
  local out = support.capture(("ls -l /proc/%d/fd | grep -c socket:"):format(engine.pid))
  return tonumber(out:match "%d+")
end

local function all(n)
  local list = {}
  for i = 1, n do list[i] = 200 end
  return list
end

describe("TLS", function()
  local engine, at_rest
  setup(function()
    engine = new_engine()
    at_rest = sockets(engine)
  end)
  teardown(function() engine:close() end)

  it("says https where it says where it listens", function()
    assert.truthy(engine.ready_line:find("ready on https://127.0.0.1:", 1, true))
    assert.truthy(engine:log():find('msg="certificate in use"', 1, true))
  end)

  it("speaks 1.3 and 1.2, and nothing older", function()
    local new = client(engine, "version", "TLSv1_3", "TLSv1_3")
    assert.same({ "TLSv1.3", 200 }, { new.version, new.status })
    local old = client(engine, "version", "TLSv1_2", "TLSv1_2")
    assert.same({ "TLSv1.2", 200 }, { old.version, old.status })
    assert.truthy(old.cipher:match "^ECDHE%-")
    assert.truthy(client(engine, "version", "TLSv1_1", "TLSv1_1").error:find("ALERT_PROTOCOL_VERSION"))
    assert.truthy(client(engine, "version", "TLSv1", "TLSv1").error:find("ALERT_PROTOCOL_VERSION"))
    assert.equal(2, #engine:wait_events("done", 2))
  end)

  it("keeps connections, takes requests in one piece or in many", function()
    assert.same(all(20), client(engine, "keep", 20).statuses)
    assert.same(all(100), client(engine, "pipeline", 100).statuses)
    assert.equal(200, client(engine, "trickle").status)
  end)

  it("takes a body of a mebibyte", function()
    local big = client(engine, "big", 1024 * 1024)
    assert.equal(200, big.status)
    assert.is_true(big.bytes > 1000000)
  end)

  it("serves many at once", function()
    assert.same({ ok = 150, of = 150 }, client(engine, "many", 150))
  end)

  it("guards what comes out of the encryption, and ends it in order", function()
    local too_long = client(engine, "limits", "length")
    assert.same({ 413, "clean" }, { too_long.status, too_long["end"] })
    local twice = client(engine, "limits", "twice")
    assert.same({ 400, "clean" }, { twice.status, twice["end"] })
    local head = client(engine, "limits", "head")
    assert.equal(414, head.status)
    local slow = client(engine, "limits", "slow")
    assert.same({ 408, "clean" }, { slow.status, slow["end"] })
    assert.is_true(slow.seconds < 5)
    assert.same({ status = 200, ["end"] = "clean" }, client(engine, "last_answer"))
  end)

  it("gives a handshake that does not end the time of a header", function()
    for _, kind in ipairs { "silent", "half", "trickle" } do
      local seen = client(engine, "raw", kind)
      assert.is_true(seen.seconds > 0.8 and seen.seconds < 5, kind .. ": " .. seen.seconds)
    end
    assert.is_true(client(engine, "raw", "garbage").seconds < 0.8)
  end)

  it("tells a sender that speaks plain HTTP", function()
    local got = client(engine, "raw", "http").got
    assert.truthy(got:match "^HTTP/1%.1 400 ")
    local body = cjson.decode(got:match "\r\n\r\n(.*)$")
    assert.equal(#got:match "\r\n\r\n(.*)$", tonumber(got:match "Content%-Length: (%d+)"))
    assert.equal("tls_needed", body.error.code)
  end)

  it("does not negotiate again", function()
    assert.truthy(client(engine, "renegotiate").said:find("no renegotiation", 1, true))
    assert.equal(200, client(engine, "version", "TLSv1_2", "TLSv1_2").status)
  end)

  it("has no connection left afterwards", function()
    support.wait_for(function() return sockets(engine) <= at_rest end, 10,
      "the sockets of closed connections to go")
    assert.truthy(engine:log():find "level=error" == nil)
  end)

  it("stops in order while connections are open", function()
    local other = new_engine()
    local pid = support.capture(("openssl s_client -connect 127.0.0.1:%d >/dev/null 2>&1 " ..
      "</dev/zero & echo $!"):format(other.port)):match "%d+"
    support.capture(("openssl s_client -connect 127.0.0.1:%d </dev/null 2>&1"):format(other.port))
    other:stop()
    os.execute("kill " .. pid .. " 2>/dev/null")
    assert.truthy(other:log():find("msg=stopped", 1, true))
    assert.falsy(other:log():find("Sanitizer", 1, true), other:log())
    other:close()
  end)

  it("is reached by the send command, which trusts the certificate it is configured with", function()
    support.write_file(engine.dir .. "/here.lua",
      (config:gsub("return {", ('return {\n  listen = "127.0.0.1:%d",'):format(engine.port), 1)))
    local out, code = support.capture(("cd %s && %s send --config here.lua %s 2>&1"):format(
      quote(engine.dir), quote(support.bin),
      quote(lfs.currentdir() .. "/examples/webphone/call_stop.json")))
    assert.equal(0, code, out)
    assert.truthy(out:find("stored as", 1, true))
  end)
end)

describe("asked from elsewhere", function()
  it("an engine with a certificate of one's own is trusted by --ca-file", function()
    local engine = new_engine()
    local function status(more)
      return support.capture(("cd %s && %s %s status --url https://127.0.0.1:%d %s 2>&1"):format(
        quote(engine.dir), more.env or "", quote(support.bin), engine.port, more.options or ""))
    end
    local out, code = status {}
    assert.equal(1, code)
    assert.truthy(out:find("self-signed certificate", 1, true), out) -- curl's words, not only its code's
    assert.truthy(out:find("--ca-file", 1, true), out)
    out, code = status { options = "--ca-file a.cert.pem" }
    assert.equal(0, code, out)
    out, code = status { env = "SWITCHHOOK_CA_FILE=a.cert.pem" }
    assert.equal(0, code, out)
    assert.equal(1, select(2, status { options = "--ca-file b.cert.pem" }))
    out, code = support.capture(("cd %s && %s send %s --to https://127.0.0.1:%d --ca-file a.cert.pem 2>&1"):format(
      quote(engine.dir), quote(support.bin), quote(lfs.currentdir() .. "/examples/webphone/call_stop.json"),
      engine.port))
    assert.equal(0, code, out)
    engine:close()
  end)
end)

describe("a certificate", function()
  local engine
  before_each(function() engine = new_engine() end)
  after_each(function() engine:close() end)

  local function metrics()
    local out = support.capture(("curl -s --cacert %s/both.pem https://127.0.0.1:%d/metrics"):format(
      quote(engine.dir), engine.port))
    return tonumber(out:match "\nswitchhook_tls_reload_failed (%d)"),
      tonumber(out:match "\nswitchhook_tls_certificate_expiry_seconds (%d+)")
  end

  it("is replaced under load without a failed request", function()
    local seen = client(engine, "swap", engine.pid, engine.dir)
    assert.same({}, seen.faults)
    assert.same({}, seen.others)
    assert.same({ "a.example.org", "b.example.org", "a.example.org", "b.example.org" }, seen.seen)
    assert.is_true(seen.ok > 50, "only " .. seen.ok .. " requests")
    -- each is on disk
    assert.equal(seen.ok, tonumber((support.capture(
      ("sqlite3 %s/switchhook.db 'SELECT count(*) FROM sh_events'"):format(quote(engine.data)))
      :match "%d+")))
    assert.falsy(engine:log():find("does not load", 1, true))
  end)

  it("that does not load leaves the one before in use, and everybody says so", function()
    local failed, ends = metrics()
    assert.equal(0, failed)
    assert.is_true(ends > os.time() + 80 * 86400 and ends < os.time() + 100 * 86400)
    support.write_file(engine.dir .. "/key.pem", support.read_file(engine.dir .. "/b.key.pem"))
    local _, out, code = engine:cli("reload", "--config", "switchhook.lua")
    assert.equal(0, code)
    assert.truthy(out:find('does not belong to the certificate in "cert.pem"', 1, true), out)
    assert.equal(200, client(engine, "keep", 1).statuses[1])
    assert.equal(1, (metrics()))
    _, out, code = engine:cli("status")
    assert.equal(1, code)
    assert.truthy(out:find("the new one does not load: the key", 1, true), out)
    assert.equal("a.example.org", engine:cli("status", "--json")[1].tls.subject)
    -- told once, however often it is looked at
    engine:cli("reload")
    local _, told = engine:log():gsub('msg="the new certificate does not load', "")
    assert.equal(1, told)
    -- check and a new start refuse it, at its line
    for _, command in ipairs { "check", "serve" } do
      out, code = support.capture(("cd %s && %s %s 2>&1"):format(quote(engine.dir),
        quote(support.bin), command))
      assert.equal(1, code)
      assert.truthy(out:find("switchhook.lua:2: tls.key: the key in", 1, true), out)
    end
    put(engine.dir, "b")
    engine:cli("reload")
    assert.equal(0, (metrics()))
    assert.equal("b.example.org", engine:cli("status", "--json")[1].tls.subject)
  end)

  it("that ends soon is warned of", function()
    certificate(engine.dir, "c", "-newkey rsa:2048 -days 10")
    put(engine.dir, "c")
    engine:cli("reload")
    assert.truthy(engine:log():find('level=warn msg="the certificate expires soon".-days=9'))
    local _, out = engine:cli("status")
    assert.truthy(out:find("c.example.org, until", 1, true), out)
  end)
end)
