-- SPDX-License-Identifier: MIT
-- day.lua: a Friday on the phone, for pictures and for whatever needs pages with something on them: real
-- events at the times of that day (libfaketime), through the shipped rules and two of a team's own, one of
-- them broken; a customer system that refuses one call and is away for another.
--
--   local day = require "tests.browser.day"
--   local world = day.start()     -- .engine, .sink, .offset_ms (the page's clock), .event (an id), .token
--   world:close()
local cjson = require "cjson"
local console = require "tests.browser.console"
local lfs = require "lfs"
local socket = require "socket"
local support = require "tests.e2e.support"

local day = {}

local MIDNIGHT = 1781215200 -- 2026-06-12T00:00:00+02:00, a Friday
day.zone = "Europe/Amsterdam"

local CONFIG = [[return { zone = "Europe/Amsterdam", country = "31", retry = {}, quarantine = false,
  http = { allow = { "127.0.0.1" } },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } } }]]

local OWN = [[
-- The customer system gets a note of each call that was answered.
rule "Note in the CRM" {
  on = "call_stop",
  when = function(call) return call.call_result == "Answered" end,
  run = function(call)
    http.post {
      url = "SINK/calls",
      json = { number = call.remote_number, name = call.remote_name, seconds = call.duration_sec },
    }
  end,
}
]]
local BROKEN = [[
-- The summary of a call goes to the customer's card.
rule "Customer card" {
  on = "call_postprocess",
  run = function(call)
    local customer = records.get("customers", call.remote_number)
    log.info("customer " .. customer.id)
    records.patch("customers", call.remote_number, { last_call = get(call, "analysis.samenvatting") })
  end,
}
]]

local people = {
  laura = { "3001", "Laura", "laura.devries@bedrijf.nl" },
  tom = { "3002", "Tom", "tom.bos@bedrijf.nl" },
  fatima = { "3003", "Fatima", "fatima.elamrani@bedrijf.nl" },
}

-- At, who, direction, result, seconds, number, name, and what the analysis says.
local calls = {
  { "08:41", "laura", "incoming", "Missed", 0, "0612345678", "Praktijk Jansen" },
  { "09:03", "tom", "incoming", "Answered", 212, "0201234567", "Tandarts Smit", "positief",
    "De praktijk bevestigt de afspraak van dinsdag.", {} },
  { "09:17", "fatima", "outgoing", "Answered", 95, "0612345678", "Praktijk Jansen" },
  { "09:46", "laura", "incoming", "Answered", 184, "0301234567", "Garage Bakker", "negatief",
    "De klant wacht al twee weken op een monteur en is niet teruggebeld. Er is een datum toegezegd.",
    { "Vandaag terugbellen met een datum voor de monteur.", "Nagaan waarom de afspraak niet is nagekomen." } },
  { "10:12", "tom", "incoming", "Answered", 341, "0101234567", "Bouwbedrijf De Groot", "neutraal",
    "Vraag over de factuur van mei; de creditnota volgt.", { "Creditnota sturen." } },
  { "10:30", "fatima", "incoming", "Missed", 0, "0687654321", "Fam. van den Berg" },
  { "10:58", "laura", "incoming", "Missed", 0, "", "" },
  { "11:20", "tom", "outgoing", "Answered", 47, "0611223344", "Sanne Visser" },
  { "11:47", "laura", "incoming", "Missed", 0, "0644556677", "M. Yılmaz" },
  { "12:35", "fatima", "incoming", "Answered", 128, "0701234567", "Notariskantoor Mulder", "positief",
    "De akte is ontvangen, alles is in orde.", {} },
  { "13:05", "tom", "incoming", "Answered", 402, "0231234567", "Hotel Zeezicht", "negatief",
    "De telefooncentrale viel gisteravond uit; gasten konden de receptie niet bereiken.",
    { "Storing nakijken met de provider." } },
  { "13:40", "laura", "outgoing", "Answered", 63, "0644556677", "M. Yılmaz" },
  { "14:08", "fatima", "incoming", "Missed", 0, "0655667788", "Bakkerij de Wit" },
  { "14:29", "tom", "incoming", "Answered", 77, "0698765432", "Joost Hendriks" },
}

local function at(clock, plus)
  local h, m = clock:match "(%d+):(%d+)"
  return MIDNIGHT + h * 3600 + m * 60 + (plus or 0)
end

local function iso(t) return os.date("!%Y-%m-%dT%H:%M:%S.000Z", t) end

local world = {}
world.__index = world

-- Set the engine's clock.
function world:clock(t)
  self.offset_ms = math.floor((t - socket.gettime()) * 1000)
  support.write_file(self.stamp .. ".new", ("%+.3f\n"):format(self.offset_ms / 1000))
  assert(os.rename(self.stamp .. ".new", self.stamp))
end

function world:send(t, body)
  self:clock(t)
  return console.send(self.engine, (cjson.encode(body):gsub('"actiepunten":{}', '"actiepunten":[]')))
end

function world:idle()
  support.wait_for(function()
    for _, row in ipairs(self.engine:cli("events", "--json")) do
      if row.state == "stored" then return false end
    end
    return true
  end, 20, "the rules to run")
end

function world:call(n, c)
  local clock, who, direction, result, seconds, number, name, mood, summary, points = table.unpack(c)
  local ext, colleague, mail = table.unpack(people[who])
  local start = at(clock, n % 7 * 8)
  local stop = start + (seconds > 0 and seconds + 6 or 25)
  local body = { call_id = ("c%02dm%08x"):format(n, n * 2654435761 % 4294967296), direction = direction,
    local_number = ext, local_name = colleague, remote_number = number, remote_name = name, user_email = mail,
    started_at = iso(start) }
  local function phase(kind, t, more)
    local doc = { event = kind, date = iso(t) }
    for k, v in pairs(body) do doc[k] = v end
    for k, v in pairs(more or {}) do doc[k] = v end
    return self:send(t, doc)
  end
  phase("call_start", start)
  local stopped = phase("call_stop", stop, { call_result = result, duration_sec = seconds, ended_at = iso(stop) })
  if mood then
    local got = phase("call_postprocess", stop + 40, { call_result = result, duration_sec = seconds,
      ended_at = iso(stop), analysis = { samenvatting = summary, sentiment = mood, actiepunten = points } })
    if mood == "negatief" and not self.event then self.event = got.id end
  end
  return stopped
end

local function files(folder)
  local found = {}
  for name in lfs.dir(folder) do
    if name:match "%.lua$" then found[name] = support.read_file(folder .. "/" .. name) end
  end
  return found
end

local function callback_of(self, number)
  for _, c in ipairs(self.engine:cli("callbacks", "--json")) do
    if c.number == number or c.number == "+31" .. number:sub(2) then return c end
  end
  error("no callback of " .. number)
end

-- The plots of a day cannot wait for one: what the engine would have kept of its minutes (docs/store.md,
-- sh_series), of a team that is called more often than these few calls.
local function minutes()
  local rows, seed = {}, 7
  local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n
  end
  for m = 0, 6 * 60 + 38 do
    local hour = (7 * 60 + 58 + m) / 60
    local busy = hour < 8.5 and 1 or hour < 11.5 and 9 or hour < 13 and 4 or 7
    local n = busy + random(busy + 2) - busy // 3
    local trouble = hour > 10.9 and hour < 11.25
    local failed, slow = trouble and 1 + random(4) or random(30) == 0 and 1 or 0, random(12) == 0 and 1 or 0
    rows[#rows + 1] = ("INSERT OR REPLACE INTO sh_series VALUES(%d, 1, '%s');"):format((at "07:58" + m * 60) * 1000,
      cjson.encode { events = n, runs = n * 3, failed = failed, dead = trouble and random(2) or 0, sent = n // 2 + 1,
        send_failed = trouble and random(3) or 0, refused = random(40) == 0 and 1 or 0,
        duplicates = random(15) == 0 and 1 or 0, backlog = random(4) == 0 and 1 + random(trouble and 9 or 2) or 0,
        cpu_us = n * 400, ack = { ["1000"] = n, ["2500"] = n // 2 + 1, ["5000"] = slow + random(2) },
        settle = { ["2500"] = n, ["5000"] = n // 2 + 1, ["10000"] = random(3), ["25000"] = slow } })
  end
  return table.concat(rows, "\n")
end

-- The engine at 14:37 of that day.
function day.start()
  local self = setmetatable({ sink = support.sink(), dir = support.temp_dir() }, world)
  self.stamp = self.dir .. "/stamp"
  self:clock(at "07:58")
  local library = support.capture "ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null":match "%S+"
  local rules, scripts = files "rules", files "scripts"
  rules["crm.lua"] = OWN:gsub("SINK", self.sink.url)
  rules["customer_card.lua"] = BROKEN
  local n
  scripts["settings.lua"], n = scripts["settings.lua"]:gsub("team_lead = nil", 'team_lead = "teamleider@bedrijf.nl"')
  assert(n == 1, "the setting team_lead of the shipped rules")
  self.engine = support.engine { config = CONFIG, rules = rules, scripts = scripts,
    env = { LD_PRELOAD = assert(library, "libfaketime is not installed"), FAKETIME_TIMESTAMP_FILE = self.stamp,
      FAKETIME_NO_CACHE = "1", FAKETIME_DONT_FAKE_MONOTONIC = "1", DONT_FAKE_MONOTONIC = "1" } }
  self.token = console.token(self.engine, "laura", "operator")
  local posts = 0
  for i, c in ipairs(calls) do
    if c[4] == "Answered" then posts = posts + 1 end
    if c[7] == "Bouwbedrijf De Groot" then
      self.sink:answers { ["/calls"] = { { status = 422, body = '{"error":"no customer with this number"}' } } }
    elseif c[7] == "Joost Hendriks" then
      self.sink:answers { ["/calls"] = { { status = 503, body = "maintenance until 15:00" } } }
    end
    self:call(i, c)
    self.sink:wait(posts, "/calls", 15)
    if c[7] == "Sanne Visser" then
      self.engine:post("/hooks/webphone", support.payload "broken")
      self:act(callback_of(self, "0687654321"), "snooze", { due = "3h" })
    elseif c[7] == "Notariskantoor Mulder" then
      self:act(callback_of(self, "0301234567"), "done", { note = "Monteur komt dinsdag om 10 uur" })
    end
  end
  self:clock(at "14:37")
  self:idle()
  self.engine:stop()
  support.write_file(self.dir .. "/minutes.sql", "BEGIN;\n" .. minutes() .. "\nCOMMIT;\n")
  local out, code = support.capture(("sqlite3 %s/switchhook.db <%s/minutes.sql 2>&1"):format(self.engine.data,
    self.dir))
  assert(code == 0, out)
  self.engine.options.port = self.engine.port
  self.engine:start()
  return self
end

-- What a person does about a callback meanwhile.
function world:act(callback, what, body)
  local answer = self.engine:post(("/api/v1/callbacks/%s/%s"):format(callback.id, what), cjson.encode(body),
    { Authorization = "Bearer " .. self.token })
  assert(answer.status == 200, answer.body)
end

-- The script that sets a page's clock to the engine's.
function world:page_clock()
  return ([[(function () {
    var Real = Date, ahead = %d;
    class Then extends Real {
      constructor(...a) { if (a.length) super(...a); else super(Real.now() + ahead); }
      static now() { return Real.now() + ahead; }
    }
    window.Date = Then;
  })();]]):format(self.offset_ms)
end

function world:close()
  self.engine:close()
  self.sink:close()
  support.remove_dir(self.dir)
end

return day
