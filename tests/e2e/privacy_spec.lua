-- SPDX-License-Identifier: MIT
-- What is kept of callers: one is forgotten, with the engine running and without it, and then the
-- bytes of the whole data folder are searched.
local cjson = require "cjson"
local lfs = require "lfs"
local mime = require "mime"
local socket = require "socket"
local support = require "tests.e2e.support"

local NUMBER = "+31698765401"
-- What of the caller must not be left anywhere.
local NEEDLES = { "698765401", "98765401", "6 98 76 54 01", "Forgetmenot", "xylophone" }

local config = [[
return { country = "31", mail = { from = "hook@example.org" }, quarantine = 4,
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } },
  retry = { "1ms", "1ms" }, http = { allow = { "127.0.0.1" } } }
]]

-- What the shipped rules do not: everything else that the engine can keep.
local extra = [[
rule "Tell the CRM" { on = "call_stop", run = function(call)
  http.post { url = "http://127.0.0.1:9/" .. call.call_id, json = call }
end }
rule "Remind" { on = "call_stop", run = function(call)
  after("2h", "reminder", { number = call.remote_number, name = call.remote_name },
    { name = "remind " .. tostring(call.remote_number) })
  emit("noted", { who = call.remote_name })
  log.info("noted the call of " .. call.remote_name)
end }
rule "Lists" { on = "call_stop", run = function(call)
  local list = records.get("recent", "list") or { calls = {} }
  list.calls[#list.calls + 1] = { number = call.remote_number, name = call.remote_name }
  records.put("recent", "list", list)
  records.patch("by_number", "all", { [tostring(call.remote_number)] = { name = call.remote_name } })
  records.put("summaries", call.call_id .. "-1", { text = "a summary for " .. call.remote_name })
end }
rule "Broken" { on = "call_start", run = function(call)
  error("cannot do with " .. tostring(call.remote_number) .. " of " .. call.remote_name)
end }
rule "Mail them" { on = "call_stop", run = function(call)
  email { to = "team@example.org", subject = "Call of " .. call.remote_name,
    text = "Zoë says: call " .. tostring(call.remote_number) .. "\n" .. ("= "):rep(60) }
end }
rule "Mail the analysis" { on = "call_postprocess", run = function(call)
  email { to = "team@example.org", subject = "Analysis", text = call.transcription,
    attachments = { { name = "call.txt", type = "text/plain", text = call.transcription } } }
end }
]]

local function shipped()
  local files = {}
  for _, folder in ipairs { "rules", "scripts" } do
    files[folder] = {}
    for name in lfs.dir(folder) do
      if name:match "%.lua$" then files[folder][name] = support.read_file(folder .. "/" .. name) end
    end
  end
  files.rules["extra.lua"] = extra
  return files
end

local function post(engine, fields, raw)
  local text = cjson.encode(fields)
  if raw then text = text:gsub('"@"', raw) end
  assert.equal(200, engine:post("/hooks/webphone", text).status)
end

-- A call as the webphone reports it: start, stop, and an analysis that does not name the number.
local function call(engine, id, who, number, result, raw)
  local base = { call_id = id, direction = "incoming", remote_number = number, remote_name = who.name,
    user_email = "agent@example.org", date = "2026-06-12T10:00:00Z" }
  local function with(fields)
    for name, value in pairs(base) do if fields[name] == nil then fields[name] = value end end
    return fields
  end
  post(engine, with { event = "call_start" }, raw)
  post(engine, with { event = "call_stop", call_result = result,
    duration_sec = result == "Answered" and 60 or 0 }, raw)
  post(engine, { event = "call_postprocess", call_id = id, direction = "incoming",
    remote_name = who.name, user_email = "agent@example.org", transcription = who.says,
    analysis = { sentiment = "negative", samenvatting = who.says, actiepunten = { who.says } } })
end

local gone = { name = "Anna Forgetmenot", says = "My xylophone is broken, please help." }
local stays = { name = "Barend Blijft", says = "The delivery came too late." }

local WRITINGS = { { "0698765401" }, { "+31698765401" }, { "0031698765401" }, { "06-98765401" },
  { "+31 6 98 76 54 01" }, { "@", "31698765401" }, { "@", '"\\u002b31698765401"' },
  { "(06) 98765401" } }

local function a_day(engine)
  for n, one in ipairs(WRITINGS) do
    call(engine, ("anna-call-%04d"):format(n), gone, one[1], n % 2 == 0 and "Answered" or "Missed", one[2])
    call(engine, ("barend-call-%04d"):format(n), stays, "0687654321", n % 2 == 0 and "Answered" or "Missed")
  end
end

-- Every file of the data folder, and what stands in it.
local function each_file(folder, fn)
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    local mode = lfs.symlinkattributes(path, "mode")
    if name ~= "." and name ~= ".." and mode == "directory" then each_file(path, fn) end
    if mode == "file" then fn(path, support.read_file(path)) end
  end
end

local function decoded(text)
  local texts = { text, (mime.unqp(text)) }
  for run in text:gsub("\r?\n", ""):gmatch "[A-Za-z0-9+/]+=*" do
    if #run >= 12 then texts[#texts + 1] = mime.unb64(run) end
  end
  return table.concat(texts, "\n")
end

local function search(engine)
  local found = {}
  each_file(engine.data, function(path, text)
    text = path:match "%.eml$" and decoded(text) or text
    for _, needle in ipairs(NEEDLES) do
      local at = text:find(needle, 1, true)
      if at then
        found[#found + 1] = ("%s: %q at %d: %q"):format(path, needle, at, text:sub(at - 40, at + 40))
      end
    end
  end)
  return found
end

-- Everything of the one who stays, as the command line shows it.
local function state_of(engine)
  local all = {}
  for _, command in ipairs { "events", "runs", "callbacks", "outbox", "timers" } do
    for _, row in ipairs(engine:cli(command, "--json")) do
      if command == "events" and row.key:match "^barend" then
        all[#all + 1] = select(2, engine:cli("events", "--json", "--id", row.id))
      elseif command == "outbox" then
        local _, text = engine:cli("outbox", "--json", "--id", row.id)
        text = text:gsub('"attempts":%d+', ""):gsub('"next_at":[^,}]+', ""):gsub('"error":[^,}]+', "")
        if text:find("Barend", 1, true) then all[#all + 1] = text end
      elseif cjson.encode(row):find("Barend", 1, true) or cjson.encode(row):find("87654321", 1, true) then
        all[#all + 1] = cjson.encode(row):gsub('"updated_at":"[^"]*"', "")
      end
    end
  end
  for _, name in ipairs { "calls", "follow_ups", "tasks", "callers", "summaries", "spoken_to" } do
    for _, row in ipairs(engine:cli("records", name, "--json")) do
      local text = cjson.encode(row)
      if text:find("barend", 1, true) or text:find("87654321", 1, true) then all[#all + 1] = text end
    end
  end
  each_file(engine.data .. "/mail", function(path, text)
    if decoded(text):find("Barend", 1, true) then all[#all + 1] = path .. text end
  end)
  -- encode() orders members as it likes
  for i, text in ipairs(all) do
    local letters = {}
    for c in text:gmatch "." do letters[#letters + 1] = c end
    table.sort(letters)
    all[i] = #text < 20000 and table.concat(letters) or text
  end
  table.sort(all)
  return table.concat(all, "\n")
end

local function settled(engine)
  support.wait_for(function()
    local open = 0
    for _, row in ipairs(engine:cli("runs", "--json")) do
      open = open + (row.outcome == "retry" and 1 or 0)
    end
    local stored = 0
    for _, row in ipairs(engine:cli("events", "--json")) do
      stored = stored + (row.state == "stored" and 1 or 0)
    end
    local mails = 0
    for _, row in ipairs(engine:cli("outbox", "--json")) do
      mails = mails + (row.kind == "email" and row.state ~= "sent" and 1 or 0)
    end
    return open + mails == 0 and stored <= 40
  end, 30, "the rules to have run")
end

local function integrity(engine)
  return (support.capture("sqlite3 " .. support.quote(engine.data .. "/switchhook.db") ..
    " 'pragma integrity_check'"))
end

describe("switchhook forget", function()
  local engine
  local function start_with_a_day()
    local files = shipped()
    engine = support.engine { config = config, rules = files.rules, scripts = files.scripts }
    a_day(engine)
    settled(engine)
  end
  after_each(function() engine:close() end)

  it("leaves nothing of the caller while the engine runs, and nothing of others is touched", function()
    start_with_a_day()
    assert.is_true(#search(engine) > 20) -- or this test could not fail
    local before = state_of(engine)

    local rows = engine:cli("forget", NUMBER, "--dry-run", "--json", "--config", "switchhook.lua")
    assert.is_true(rows[1].events >= 24 and rows[1].unfinished.callbacks > 0)
    assert.is_true(rows[1].unfinished.deliveries > 0 and rows[1].unfinished.timers > 0)
    assert.equal(before, state_of(engine))

    local _, out, code = engine:cli("forget", NUMBER, "--config", "switchhook.lua")
    assert.equal(1, code)
    assert.truthy(out:find("still unfinished", 1, true))
    assert.is_true(#search(engine) > 20)

    -- light load of others meanwhile
    local script = ("cd %s; for i in 1 2 3 4 5 6 7 8 9; do " ..
      "%s send --to http://127.0.0.1:%d/hooks/webphone other.json; sleep 0.05; done")
      :format(support.quote(engine.dir), support.quote(support.bin), engine.port)
    support.write_file(engine.dir .. "/other.json",
      '{"event":"noise","call_id":"noise-0001","text":"nothing of interest"}')
    os.execute(("sh -c %s >/dev/null 2>&1 &"):format(support.quote(script)))

    local done
    done, out, code = engine:cli("forget", NUMBER, "--yes", "--json", "--config", "switchhook.lua")
    assert.equal(0, code, out)
    assert.equal(rows[1].events, done[1].events)
    assert.equal(rows[1].runs, done[1].runs) -- each once, though its event and its own error name the caller
    assert.is_true(done[1].records > 8 and done[1].record_parts >= 2 and done[1].mail_files > 8)
    assert.same({}, search(engine))
    assert.equal(before, state_of(engine))

    -- who did it is known, of whom is not
    local audit = support.capture("sqlite3 " .. support.quote(engine.data .. "/switchhook.db") ..
      [[ "select action, target is null, detail like '%events%' from sh_audit"]])
    assert.truthy(audit:find("forget.begin|1|\nforget|1|1", 1, true), audit)

    -- the engine goes on, and nothing comes back
    call(engine, "barend-call-9999", stays, "0687654321", "Answered")
    support.wait_for(function()
      return engine:cli("records", "calls", "--json", "--id", "barend-call-9999")[1]
    end, 5, "the next call")
    assert.is_true(engine:running())
    assert.same({}, search(engine))
    engine:restart()
    assert.same({}, search(engine))
    engine:stop()
    assert.same({}, search(engine))
    assert.truthy(integrity(engine):find "^ok")
    local again = engine:cli("forget", NUMBER, "--json", "--config", "switchhook.lua")
    assert.equal(0, again[1].events + again[1].records + again[1].callbacks + again[1].deliveries)
  end)

  it("does the same without an engine, and killed amid it can be done again", function()
    start_with_a_day()
    local before = state_of(engine)
    engine:kill9()
    local command = ("cd %s && %s forget 06-98765401 --yes --json --config switchhook.lua --data data")
      :format(support.quote(engine.dir), support.quote(support.bin))
    for n = 1, 4 do
      os.execute(("timeout -s KILL %.3f sh -c %s >/dev/null 2>&1"):format(n * 0.015,
        support.quote("exec " .. support.bin .. " forget " .. NUMBER .. " --yes --config " ..
          engine.dir .. "/switchhook.lua --data " .. engine.data)))
    end
    local out, code = support.capture(command .. " 2>&1")
    assert.equal(0, code, out)
    assert.same({}, search(engine))
    assert.truthy(integrity(engine):find "^ok")
    engine:start()
    engine:wait_events("done", 1)
    assert.equal(before, state_of(engine))
    assert.same({}, search(engine))
  end)

  it("finishes what runs or waits without its effects", function()
    engine = support.engine { config = config, rules = { ["slow.lua"] = [[
rule "Slow" { on = "slow", run = function(call)
  local answer = http.get { url = "http://127.0.0.1:@/wait" }
  records.put("slow", "one", { number = call.remote_number, name = call.remote_name })
  email { to = "a@example.org", subject = "Call of " .. call.remote_name, text = "now" }
end }]] }, start = false }
    local sink = support.sink()
    sink:answers { ["/wait"] = { { status = 200, delay = 1.5, body = "{}" } } }
    local path = engine.dir .. "/rules/slow.lua"
    support.write_file(path, (support.read_file(path):gsub("@", sink.port)))
    engine:start()
    post(engine, { event = "slow", call_id = "anna-slow-1", remote_number = "0698765401",
      remote_name = gone.name })
    sink:wait(1)
    local done, out, code = engine:cli("forget", NUMBER, "--yes", "--json", "--config", "switchhook.lua")
    assert.equal(0, code, out)
    assert.equal(1, done[1].unfinished.events)
    engine:wait_events("done", 1)
    socket.sleep(0.2)
    assert.same({}, engine:cli("records", "slow", "--json"))
    assert.same({}, engine:cli("outbox", "--json"))
    assert.same({}, search(engine))
    sink:close()
  end)

  it("says what is no number, and asks for a country", function()
    engine = support.engine { config = config }
    local _, out, code = engine:cli("forget", "nobody", "--config", "switchhook.lua")
    assert.equal(1, code)
    assert.truthy(out:find("that is no phone number", 1, true), out)
    engine:stop()
    support.write_file(engine.dir .. "/switchhook.lua", "return {}")
    _, out, code = engine:cli("forget", "0698765401", "--config", "switchhook.lua")
    assert.equal(1, code)
    assert.truthy(out:find("country code", 1, true), out)
  end)

  it("takes a key that is of several numbers for no call", function()
    engine = support.engine { config = config }
    for _, number in ipairs { "0698765401", "0687654321" } do
      post(engine, { event = "x", call_id = "switchboard-7", remote_number = number, remote_name = "x" })
    end
    post(engine, { event = "x", call_id = "switchboard-7", text = "of nobody knows whom" })
    engine:wait_events("done", 3)
    local done = engine:cli("forget", NUMBER, "--yes", "--json", "--config", "switchhook.lua")
    assert.equal(2, done[1].left.events)
    local kept = 0
    for _, row in ipairs(engine:cli("events", "--json", "--type", "x")) do
      local one = engine:cli("events", "--json", "--id", row.id)[1]
      kept = kept + (one.body.forgotten and 0 or 1)
    end
    assert.equal(2, kept)
  end)
end)

-- However much each text costs to look through, events are stored meanwhile.
describe("forget among large events", function()
  local engine
  teardown(function() if engine then engine:close() end end)

  it("holds nobody up", function()
    engine = support.engine { config = config }
    local large = ("(0)"):rep(200000)
    for i = 1, 300 do post(engine, { event = "x", call_id = "small" .. i }) end
    for i = 1, 60 do post(engine, { event = "x", call_id = "c" .. i, text = large .. i }) end
    engine:wait_events("done", 1)
    assert.equal(202, engine:request("POST", "/api/v1/forget",
      cjson.encode { number = NUMBER, dry_run = true }).status)
    local slowest, n = 0, 0
    repeat
      n = n + 1
      local from = socket.gettime()
      post(engine, { event = "x", call_id = "meanwhile" .. n })
      slowest = math.max(slowest, socket.gettime() - from)
      local answer = engine:request("GET", "/api/v1/forget").json
    until not answer.running
    assert.is_true(n > 3)
    assert.is_true(slowest < 2, "an event took " .. slowest .. " s")
  end)
end)

describe("the data folder", function()
  local engine
  teardown(function() if engine then engine:close() end end)

  it("has no file that others on the machine may read, whoever made it", function()
    engine = support.engine { start = false }
    assert.equal(0, select(2, support.capture("mkdir -m 755 " .. engine.data)))
    engine:start()
    post(engine, { event = "x", call_id = "1" })
    local function open_to_others()
      return (support.capture("find " .. engine.data .. " -mindepth 1 -perm /007"))
    end
    assert.equal("", open_to_others())
    engine:kill9()
    local command = ("cd %s && chmod 644 switchhook.db switchhook.db-wal"):format(engine.data)
    assert.equal(0, select(2, support.capture(command)))
    engine:start()
    assert.equal("", open_to_others())
  end)
end)

describe("mask", function()
  local engine
  after_each(function() engine:close() end)

  it("blanks what a viewer and an export show, and nothing for others", function()
    engine = support.engine { config = [[
return { mask = { fields = { "analysis.*", "remote_name", "name" } },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } } }]], rules = { ["a.lua"] = [[
rule "r" { on = "*", run = function(call)
  callback { number = call.remote_number, name = call.remote_name, due = "1h" }
  records.put("calls", call.call_id, call)
end }]] } }
    post(engine, { event = "call_stop", call_id = "a-call-of-11223344", remote_number = "0698765401",
      remote_name = "Anna Forgetmenot", analysis = { samenvatting = "xylophone", points = { "xylophone" } } })
    local id = engine:wait_events("done", 1)[1].id
    local function shown(...)
      local _, out, code = engine:cli(...)
      assert.equal(0, code, out)
      return out
    end
    assert.truthy(shown("events", "--id", id, "--json"):find("0698765401", 1, true))
    for _, words in ipairs { { "events", "--id", id }, { "callbacks" }, { "records", "calls" },
                             { "callbacks", "--json" }, { "records", "calls", "--json" },
                             { "events", "--id", id, "--json" } } do
      local out = shown(words[1], "--mask", "--config", "switchhook.lua", words[2], words[3], words[4])
      for _, needle in ipairs(NEEDLES) do assert.falsy(out:find(needle, 1, true), out) end
    end
    local masked = engine:cli("events", "--id", id, "--json", "--mask", "--config", "switchhook.lua")[1]
    assert.equal(id, masked.id)
    assert.equal("a-call-of-11223344", masked.key)
    assert.same({ event = "call_stop", call_id = "a-call-of-11223344", remote_number = "********01",
      remote_name = "***", analysis = { samenvatting = "***", points = { "***" } } }, masked.body)

    local function token(role)
      return shown("token", "new", role, "--role", role):match "sh_[%w_-]+"
    end
    local viewer, operator = token "viewer", token "operator"
    local function get(path, who)
      return engine:request("GET", path, nil, { Authorization = "Bearer " .. who })
    end
    for _, path in ipairs { "/api/v1/events/" .. id, "/api/v1/callbacks", "/api/v1/records/calls",
                            "/api/v1/runs" } do
      local answer = get(path, viewer)
      assert.equal(200, answer.status)
      for _, needle in ipairs(NEEDLES) do assert.falsy(answer.body:find(needle, 1, true), answer.body) end
    end
    assert.equal(403, get("/api/v1/events/" .. id .. "/raw", viewer).status)
    assert.equal(200, get("/api/v1/events/" .. id .. "/raw", operator).status)
    assert.truthy(get("/api/v1/events/" .. id, operator).body:find("0698765401", 1, true))
    assert.equal(403, engine:request("POST", "/api/v1/forget", '{"number":"+31698765401"}',
      { Authorization = "Bearer " .. operator }).status)
  end)

  it("does not let a viewer read ids of records out of cursors, or find them by its own", function()
    engine = support.engine { rules = { ["a.lua"] = [[
rule "r" { on = "*", run = function(call) records.put("callers", call.remote_number, { n = 1 }) end }]] } }
    for i = 1, 3 do
      post(engine, { event = "x", call_id = "call:+3169876540" .. i .. ":x", remote_number = "+3169876540" .. i })
    end
    engine:wait_events("done", 3)
    local function token(role)
      return select(2, engine:cli("token", "new", role, "--role", role)):match "sh_[%w_-]+"
    end
    local viewer, operator = token "viewer", token "operator"
    local function page(who, path, cursor)
      return engine:request("GET", "/api/v1/" .. path .. "?limit=1" .. (cursor and "&cursor=" .. cursor or ""), nil,
        { Authorization = "Bearer " .. who })
    end
    local function plain(cursor)
      return (mime.unb64(cursor:gsub("-", "+"):gsub("_", "/") .. ("="):rep(-#cursor % 4)))
    end
    local theirs = page(operator, "records/callers").json.next_cursor
    assert.truthy(plain(theirs):find("+31698765401", 1, true))
    local cursor, n, before = nil, 0, nil
    repeat
      local answer = page(viewer, "records/callers", cursor)
      assert.equal(200, answer.status, answer.body)
      assert.falsy(answer.body:find("6987654", 1, true))
      n = n + #answer.json.items
      before, cursor = cursor or before, answer.json.next_cursor ~= cjson.null and answer.json.next_cursor or nil
      if cursor then assert.falsy(plain(cursor):find("6987654", 1, true)) end
    until not cursor
    assert.equal(3, n)
    for _, other in ipairs { theirs, before:sub(1, -2) .. (before:sub(-1) == "A" and "Q" or "A"), before .. "AAAA" } do
      assert.equal(400, page(viewer, "records/callers", other).status)
    end
    assert.equal(400, page(operator, "records/callers", before).status)
    for _, path in ipairs { "events", "runs" } do
      assert.falsy(page(viewer, path).body:find("6987654", 1, true), path)
    end
  end)
end)
