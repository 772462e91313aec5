-- SPDX-License-Identifier: MIT
-- sources_spec.lua: where an event's type, key, time and dedupe id may come from; forms and tokens.

local support = require "tests.e2e.support"

local config = [[
return {
  workers = 1,
  sources = {
    header = { path = "/hooks/header", auth = "none", type = { header = "X-Event" },
      key = { header = "X-Call" }, time = { header = "X-At" }, dedupe = { header = "X-Id" } },
    segment = { path = "/hooks/pbx/{tenant}/{kind}/{at}/{id}", auth = "none", type = { path = "kind" },
      key = { path = "tenant" }, time = { path = "at" }, dedupe = { path = "id", field = "part" } },
    field = { path = "/hooks/field", auth = "none", type = { field = "meta.type" },
      key = { field = "ids.0" }, time = { field = "at" }, dedupe = { field = "id" } },
    fixed = { path = "/hooks/fixed", auth = "none", type = { value = "ping" }, key = { value = "all" } },
    place = { path = "/hooks/place/{kind}", auth = "none", type = { path = "kind" } },
    form = { path = "/hooks/form", auth = "none", body = "form", type = { field = "CallStatus" },
      key = { field = "CallSid" }, time = { field = "Timestamp" } },
    token = { path = "/hooks/token", auth = "none", body = "jwt", type = { field = "state" },
      key = { field = "call_id" }, time = { field = "event_timestamp" } },
  },
}
]]

-- What the rules saw of each event, and of its envelope.
local rules = {
  ["keep.lua"] = [[
rule "keep" { on = "*", run = function(event, envelope)
  records.put("seen", envelope.id, { event = event, envelope = envelope })
end }
]],
}

local function base64url(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 0, c and 3 or b and 2 or 1 do
      local at = math.floor(n / 64 ^ (3 - k)) % 64
      out[#out + 1] = alphabet:sub(at + 1, at + 1)
    end
  end
  return table.concat(out)
end

describe("sources", function()
  local engine
  setup(function() engine = support.engine { config = config, rules = rules } end)
  teardown(function() engine:close() end)

  local function stored(path, body, headers)
    local answer = engine:post(path, body, headers)
    assert.equal(200, answer.status, answer.body)
    return answer.json.id
  end

  -- The event's row, and what the rule kept of it.
  local function seen(id)
    local kept = support.wait_for(function()
      return engine:cli("records", "seen", "--id", id, "--json")[1]
    end, 10, "the rule")
    return engine:cli("events", "--id", id, "--json")[1], kept.doc.event, kept.doc.envelope
  end

  local function refused(status, code, piece, path, body, headers)
    local answer = engine:post(path, body, headers)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code)
    assert.truthy(answer.json.error.message:find(piece, 1, true), answer.json.error.message)
    return answer.json.error
  end

  describe("headers", function()
    local all = { ["X-Event"] = "up", ["X-Call"] = "c 1", ["X-At"] = "2026-06-12T12:04:21.5+02:00", ["X-Id"] = "d-1" }

    local function without(name)
      local some = {}
      for k, v in pairs(all) do some[k] = k ~= name and v or nil end
      return some
    end

    it("give type, key, time and dedupe id", function()
      local id = stored("/hooks/header", "{}", all)
      local row, _, envelope = seen(id)
      assert.equal("up", row.type)
      assert.equal("c 1", row.key)
      assert.equal("2026-06-12T10:04:21.500Z", row.occurred_at)
      assert.equal("2026-06-12T10:04:21.500Z", envelope.occurred_at)
      assert.equal(1781258661, envelope.occurred)
      local again = engine:post("/hooks/header", '{"other":1}', all)
      assert.same({ id = id, duplicate = true }, again.json)
    end)

    it("that are missing are named", function()
      for name, what in pairs { ["X-Event"] = "the event's type", ["X-Call"] = "the event's key",
        ["X-Id"] = "it tells repeats apart" } do
        local fault = refused(422, "invalid_envelope", ("header %s (%s): it is missing"):format(name, what),
          "/hooks/header", "{}", without(name))
        assert.equal("", fault.field)
      end
    end)

    it("that are no text are named", function()
      local bad = without "none"
      bad["X-Event"] = "caf\195\169"
      refused(422, "invalid_envelope", "header X-Event (the event's type): expected printable ASCII, found byte 0xc3",
        "/hooks/header", "{}", bad)
      bad["X-Event"] = ("x"):rep(257)
      refused(422, "invalid_envelope", "expected 1 to 256 bytes, found 257", "/hooks/header", "{}", bad)
    end)

    it("need not say when it happened, but nothing else in its place", function()
      local some = without "X-At"
      some["X-Id"] = "d-2"
      local row, _, envelope = seen(stored("/hooks/header", "{}", some))
      assert.is_nil(row.occurred_at)
      assert.is_nil(envelope.occurred_at)
      some["X-At"] = "yesterday"
      refused(422, "invalid_envelope", "header X-At (the event's time): expected RFC 3339", "/hooks/header", "{}", some)
    end)
  end)

  describe("segments of the path", function()
    it("give type, key, time and dedupe id", function()
      local id = stored("/hooks/pbx/ac%20me/hangup/1700000000/x1", '{"part":1}')
      local row, _, envelope = seen(id)
      assert.equal("hangup", row.type)
      assert.equal("ac me", row.key)
      assert.equal("2023-11-14T22:13:20.000Z", row.occurred_at)
      assert.equal(1700000000, envelope.occurred)
      local again = engine:post("/hooks/pbx/other/up/1700000001/x1", '{"part":1}')
      assert.same({ id = id, duplicate = true }, again.json)
      assert.not_equal(id, stored("/hooks/pbx/ac%20me/hangup/1700000000/x1", '{"part":2}'))
      assert.not_equal(id, stored("/hooks/pbx/ac%20me/hangup/1700000000/x2", '{"part":1}'))
    end)

    it("are in no log line, and a wrong path is not either", function()
      refused(422, "invalid_envelope", "segment {at} of the path (the event's time): expected RFC 3339",
        "/hooks/pbx/tenant-s3cret/hangup/soon/x1", '{"part":1}')
      assert.equal(404, engine:post("/hooks/pbx/tenant-s3cret/hangup", "{}").status)
      assert.equal(405, engine:request("GET", "/hooks/pbx/tenant-s3cret/hangup/1/2").status)
      local log = engine:log()
      assert.is_nil(log:find("s3cret", 1, true), log)
      assert.truthy(log:find("path=/hooks/pbx/{tenant}/{kind}/{at}/{id}", 1, true), log)
      assert.truthy(log:find("path=/hooks/pbx/...", 1, true), log)
    end)

    it("make the same body another event", function()
      local up, down = stored("/hooks/place/up", "{}"), stored("/hooks/place/down", "{}")
      assert.not_equal(up, down)
      assert.same({ id = up, duplicate = true }, engine:post("/hooks/place/up", "{}").json)
    end)
  end)

  describe("fields and fixed values", function()
    it("give type, key, time and dedupe id", function()
      local body = '{"meta":{"type":"t"},"ids":[77],"at":1700000000250,"id":"a"}'
      local id = stored("/hooks/field", body)
      local row = seen(id)
      assert.equal("t", row.type)
      assert.equal("77", row.key)
      assert.equal("2023-11-14T22:13:20.250Z", row.occurred_at)
      assert.same({ id = id, duplicate = true },
        engine:post("/hooks/field", (body:gsub("77", "78"))).json)
      row = seen(stored("/hooks/fixed", "{}"))
      assert.equal("ping", row.type)
      assert.equal("all", row.key)
    end)

    it("that say no time are refused by name", function()
      local fault = refused(422, "invalid_envelope", 'field "at" (the event\'s time): expected RFC 3339',
        "/hooks/field", '{"meta":{"type":"t"},"ids":[77],"at":"12/06/2026","id":"b"}')
      assert.equal("at", fault.field)
    end)
  end)

  describe("forms", function()
    local FORM = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8" }

    it("are objects of texts, and stay as they came in the journal", function()
      local body = "CallSid=CA1&CallStatus=completed&CallDuration=007&To=%2B31201234567&Note=caf%C3%A9+x&" ..
        "Tag=b&Tag=a&Timestamp=2026-06-12T10%3A04%3A21Z"
      local row, event, envelope = seen(stored("/hooks/form", body, FORM))
      local want = { CallSid = "CA1", CallStatus = "completed", CallDuration = "007", To = "+31201234567",
        Note = "café x", Tag = { "b", "a" }, Timestamp = "2026-06-12T10:04:21Z" }
      assert.same(want, event)
      assert.same(want, row.body)
      assert.equal(body, row.raw)
      assert.equal("completed", row.type)
      assert.equal("CA1", row.key)
      assert.equal("2026-06-12T10:04:21.000Z", envelope.occurred_at)
    end)

    it("that are none are refused at their byte", function()
      local fault = refused(400, "invalid_form", "expected two hex digits behind %", "/hooks/form", "CallSid=%G1", FORM)
      assert.equal(8, fault.byte)
      fault = refused(400, "invalid_form", "a NUL (%00) in a form", "/hooks/form", "a=1&b=%00", FORM)
      assert.equal(6, fault.byte)
      refused(400, "invalid_form", "not UTF-8", "/hooks/form", "a=%FF", FORM)
      refused(422, "invalid_envelope", 'field "CallStatus"', "/hooks/form", "CallSid=CA1", FORM)
    end)

    it("are asked for, and JSON elsewhere", function()
      refused(415, "unsupported_media_type", "application/x-www-form-urlencoded", "/hooks/form", "{}")
      refused(415, "unsupported_media_type", "application/json", "/hooks/field", "a=1", FORM)
    end)

    it("survive a restart before their rule", function()
      local dead = support.engine { config = config:gsub("workers = 1", 'workers = 1, budgets = { wall = "10s" }'),
        rules = { ["slow.lua"] = [[rule "slow" { on = "*", run = function(event, envelope)
          if envelope.attempt == 1 then while true do end end
          records.put("seen", envelope.id, event)
        end }]] } }
      finally(function() dead:close() end)
      local id = dead:post("/hooks/form", "CallSid=CA9&CallStatus=ringing", FORM).json.id
      dead:kill9()
      support.write_file(dead.dir .. "/rules/slow.lua", [[rule "slow" { on = "*", run = function(event, envelope)
        records.put("seen", envelope.id, event) end }]])
      dead:start()
      dead:wait_events("done")
      assert.same({ CallSid = "CA9", CallStatus = "ringing" },
        dead:cli("records", "seen", "--id", id, "--json")[1].doc)
    end)
  end)

  describe("requests in files", function()
    it("are tried and sent with their path and headers", function()
      support.write_file(engine.dir .. "/up.http",
        "POST /hooks/header HTTP/1.1\r\nHost: elsewhere\r\nX-Event: up\r\n" ..
        "X-Call: c7\r\nX-Id: file-1\r\n\r\n{\"a\":1}\r\n")
      support.write_file(engine.dir .. "/gone.http",
        "POST /hooks/form\nContent-Type: application/x-www-form-urlencoded\n\nCallSid=CA7&CallStatus=busy\n")
      local out, code = support.capture(("cd %s && %s send up.http gone.http --to http://127.0.0.1:%d")
        :format(engine.dir, support.bin, engine.port))
      assert.equal(0, code, out)
      local ids = {}
      for id in out:gmatch "stored as (%S+)" do ids[#ids + 1] = id end
      assert.equal("up", seen(ids[1]).type)
      assert.equal("CA7", seen(ids[2]).key)
      local text = support.capture(("cd %s && %s try rules up.http gone.http --json"):format(engine.dir, support.bin))
      assert.truthy(text:find('"source":"header","type":"up","key":"c7"', 1, true), text)
      assert.truthy(text:find('"source":"form","type":"busy","key":"CA7"', 1, true), text)
    end)

    it("that are none say where", function()
      support.write_file(engine.dir .. "/bad.http", "POST /hooks/form\nno header\n\n{}")
      local text, code = support.capture(("cd %s && %s try rules bad.http 2>&1"):format(engine.dir, support.bin))
      assert.equal(1, code)
      assert.truthy(text:find("bad.http: line 2: expected a header such as", 1, true), text)
    end)
  end)

  describe("tokens", function()
    local JWT = { ["Content-Type"] = "application/jwt" }
    local function token(payload)
      return base64url '{"alg":"HS256","typ":"JWT"}' .. "." .. base64url(payload) .. ".c2ln"
    end

    it("are their payload", function()
      local text = token '{"call_id":4503599627370497,"state":"hangup","event_timestamp":1700000000250}'
      local row, event, envelope = seen(stored("/hooks/token", text, JWT))
      assert.equal("hangup", event.state)
      assert.equal(4503599627370497, event.call_id)
      assert.equal("4503599627370497", row.key)
      assert.equal(text, row.raw)
      assert.equal("hangup", row.body.state)
      assert.equal("2023-11-14T22:13:20.250Z", envelope.occurred_at)
    end)

    it("that are none are refused", function()
      refused(400, "invalid_jwt", "expected a JSON Web Token", "/hooks/token", '{"state":"hangup"}', JWT)
      refused(400, "invalid_jwt", "the token's payload: ", "/hooks/token", token '{"state":"hangup"', JWT)
      refused(422, "invalid_envelope", "an event is a JSON object", "/hooks/token", token "[1]", JWT)
    end)
  end)
end)
