-- SPDX-License-Identifier: MIT
-- series_spec.lua: how much happened when: what is sent is seen at once, minutes outlive the engine,
-- gaps are gaps, clocks may jump.
local cjson = require "cjson"
local support = require "tests.e2e.support"

local rules = { ["series.lua"] = [[
rule "Fine" { on = "good", run = function(e) http.post { url = "@/in", json = {} } end }
rule "Fails" { on = "bad", run = function() error("as it should") end }
]] }
local config = [[return { retry = { "100ms" }, workers = 1,
  http = { allow = { "127.0.0.1" }, retry = { "100ms" } },
  sources = { webphone = { path = "/hooks/webphone", auth = "none",
    type = { field = "event" }, key = { field = "call_id" } } } }]]
local columns = { "events", "duplicates", "refused", "runs", "failed", "dead", "sent", "send_failed", "cpu_ms",
                  "backlog", "ack_p50_ms", "ack_p99_ms", "settle_p50_ms", "settle_p99_ms" }

describe("the series", function()
  local engine, sink, stamp

  local function start(env)
    sink = support.sink()
    engine = support.engine { config = config, env = env,
      rules = { ["series.lua"] = (rules["series.lua"]:gsub("@", sink.url)) } }
  end
  after_each(function()
    engine:close()
    sink:close()
    if stamp then
      support.remove_dir((stamp:gsub("/stamp$", "")))
      stamp = nil
    end
  end)

  local function post(event, id)
    local answer = engine:post("/hooks/webphone", cjson.encode { event = event, call_id = "k", id = id })
    assert.equal(200, answer.status, answer.body)
  end
  local function get(query)
    local answer = engine:request("GET", "/api/v1/series" .. (query or ""))
    assert.equal(200, answer.status, answer.body)
    return answer.json
  end
  local function sum(column)
    local all = 0
    for _, n in ipairs(column) do
      all = all + (n ~= cjson.null and n or 0)
    end
    return all
  end
  local function known(column)
    local n = 0
    for _, value in ipairs(column) do
      n = n + (value ~= cjson.null and 1 or 0)
    end
    return n
  end
  -- The series once a column adds up to n.
  local function settled(column, n, query)
    return support.wait_for(function()
      local series = get(query)
      return sum(series[column]) == n and series
    end, 15, ("%s to be %d"):format(column, n))
  end
  -- Every column has a value for each step, and the steps follow one another.
  local function check(series)
    assert.is_true(#series.at >= 1 and #series.at <= 500)
    for _, name in ipairs(columns) do assert.equal(#series.at, #series[name], name) end
    for i = 2, #series.at do assert.equal(series.step_s, series.at[i] - series.at[i - 1]) end
    assert.equal(0, series.at[1] % series.step_s)
  end

  it("show at once what happens", function()
    start()
    for i = 1, 3 do post("good", "a" .. i) end
    post("good", "a1")
    post("bad", "b1")
    assert.equal(422, engine:post("/hooks/webphone", "{}").status)
    local first = get()
    check(first)
    assert.equal(10, first.step_s) -- an hour in slots of 5 s would be 720
    assert.equal(4, sum(first.events))
    assert.equal(1, sum(first.duplicates))
    assert.equal(1, sum(first.refused))
    local now = settled("dead", 1)
    assert.equal(5, sum(now.runs)) -- "bad" twice
    assert.equal(1, sum(now.failed))
    assert.is_true(sum(now.cpu_ms) > 0)
    now = settled("sent", 3)
    for _, name in ipairs { "ack_p50_ms", "ack_p99_ms", "settle_p50_ms", "settle_p99_ms" } do
      assert.is_true(sum(now[name]) > 0, name)
    end
    -- before the engine there is nothing, which is not the same as none
    assert.equal(cjson.null, now.events[1])
    assert.is_true(known(now.events) < 30)
  end)

  it("show one rule alone", function()
    start()
    post("good", "a")
    post("bad", "b")
    settled("dead", 1)
    local fails = get "?rule=Fails&from=5m"
    assert.equal("Fails", fails.rule)
    assert.equal(5, fails.step_s)
    assert.same({ 2, 1, 1 }, { sum(fails.runs), sum(fails.failed), sum(fails.dead) })
    assert.is_nil(fails.events)
    assert.equal(#fails.at, #fails.cpu_ms)
    local fine = get "?rule=Fine&from=5m"
    assert.same({ 1, 0, 0 }, { sum(fine.runs), sum(fine.failed), sum(fine.dead) })
    local answer = engine:request("GET", "/api/v1/series?rule=None")
    assert.equal(404, answer.status)
    assert.equal("not_found", answer.json.error.code)
  end)

  it("outlive a restart, at any step, without counting twice", function()
    start()
    for i = 1, 5 do post("good", "a" .. i) end
    settled("sent", 5)
    engine:restart()
    post("good", "a6")
    settled("sent", 6)
    engine:restart()
    local latest
    for _, query in ipairs { "?from=5m", "?from=1h", "?from=24h", "?from=31d", "?from=2h&step=3600",
                             "?from=1h&step=5" } do
      latest = get(query)
      check(latest)
      assert.is_true(latest.step_s >= 60 and latest.step_s % 60 == 0, query)
      assert.same({ 6, 6, 6 }, { sum(latest.events), sum(latest.runs), sum(latest.sent) }, query)
    end
    assert.equal(7200, get "?from=31d".step_s)
    -- a rule's are of this start alone
    assert.equal(0, sum(get "?rule=Fine".runs))
    -- a crash loses the minute under way, and nothing else
    post("good", "a7")
    settled("events", 7)
    engine:kill9()
    engine:start()
    assert.equal(6, sum(get().events))
  end)

  it("are strict about what is asked", function()
    start()
    for query, parameter in pairs { ["?from=32d"] = "from", ["?from=x"] = "from", ["?to=1h&from=30m"] = "from",
                                    ["?step=0"] = "step", ["?step=86401"] = "step", ["?step=1m"] = "step" } do
      local answer = engine:request("GET", "/api/v1/series" .. query)
      assert.equal(400, answer.status, query)
      assert.same({ "bad_parameter", parameter }, { answer.json.error.code, answer.json.error.parameter }, query)
    end
    assert.equal("unknown_parameter", engine:request("GET", "/api/v1/series?form=1h").json.error.code)
    local past = get "?from=2020-01-01T00:00:00Z&to=2020-01-01T01:00:00Z"
    check(past)
    assert.equal(0, known(past.events))
    assert.equal(1577836800, past.at[1])
    check(get "?from=2020-01-01T00:00:00%2B01:00&to=2020-01-01T00:00:01%2B01:00")
  end)

  it("are a viewer's too, and times are no telephone numbers", function()
    start()
    local token = engine:cli("token", "new", "look", "--role", "viewer", "--json")[1].token
    assert.equal(401, engine:request("GET", "/api/v1/series").status)
    local answer = engine:request("GET", "/api/v1/series", nil, { Authorization = "Bearer " .. token })
    assert.equal(200, answer.status)
    check(answer.json)
    assert.is_true(math.abs(answer.json.at[#answer.json.at] - os.time()) <= 2 * answer.json.step_s)
  end)

  describe("with a clock that is set", function()
    local function set(offset)
      support.write_file(stamp .. ".new", offset .. "\n")
      assert(os.rename(stamp .. ".new", stamp))
    end
    before_each(function()
      stamp = support.temp_dir() .. "/stamp"
      set "+0"
      start { LD_PRELOAD = support.faketime(), FAKETIME_TIMESTAMP_FILE = stamp, FAKETIME_NO_CACHE = "1",
              FAKETIME_DONT_FAKE_MONOTONIC = "1", DONT_FAKE_MONOTONIC = "1" }
    end)
    local function sql(text)
      return (support.capture(("sqlite3 -cmd '.timeout 5000' %s %s 2>&1"):format(
        support.quote(engine.data .. "/switchhook.db"), support.quote(text))))
    end
    local function rows()
      local found = {}
      for at, counts in sql "SELECT at_ms, counts FROM sh_series ORDER BY at_ms":gmatch "(%d+)|([^\n]+)" do
        found[#found + 1] = { at = tonumber(at), counts = cjson.decode(counts) }
      end
      return found
    end

    it("have a gap where it stepped over, and a minute in the store", function()
      post("good", "a1")
      settled("sent", 1)
      set "+20m"
      post("good", "a2")
      post("good", "a3")
      settled("events", 3)
      support.wait_for(function() return #rows() >= 1 end, 10, "a minute in the store")
      assert.equal(1, rows()[1].counts.events)
      local series = get "?from=1h&step=60"
      local first, last, unknown
      for i, n in ipairs(series.events) do
        if n ~= cjson.null and n > 0 then
          first, last = first or i, i
        end
      end
      assert.is_true(last - first >= 19 and last - first <= 21)
      unknown = 0
      for i = first, last do unknown = unknown + (series.events[i] == cjson.null and 1 or 0) end
      assert.is_true(unknown >= 17, "there is a gap of " .. unknown .. " minutes")
      assert.equal(1, series.events[first])
    end)

    it("lose nothing and invent nothing when it is set back", function()
      for i = 1, 4 do post("good", "a" .. i) end
      settled("sent", 4)
      set "-2h"
      post("good", "a5")
      settled("events", 1) -- what was before is in the future now
      local series = get "?from=3h&step=60"
      check(series)
      for _, n in ipairs(series.events) do assert.is_true(n == cjson.null or n >= 0) end
      set "+0"
      post("good", "a6")
      -- of two hours ago one, and of the minutes since the clock is right again all that is known
      settled("events", 6, "?from=4h")
      engine:restart()
      assert.equal(6, sum(get "?from=4h".events))
    end)

    it("warn of a minute that is not stored, and nothing else is hurt", function()
      -- an index of what no integer holds: what is written from now on cannot be
      assert.equal("", sql(("CREATE INDEX refuse ON sh_series" ..
        "(CASE WHEN at_ms > %d THEN abs(-9223372036854775807 - 1) END)"):format(
        tonumber(sql "SELECT coalesce(max(at_ms), 0) FROM sh_series"))))
      post("good", "a1")
      set "+2m"
      local said = "a minute's counts are not stored"
      support.wait_for(function() return engine:log():find(said, 1, true) end, 10, "the warning")
      post("good", "a2")
      settled("sent", 2)
      set "+4m"
      post("good", "a3")
      assert.equal(3, sum(get "?from=10m&step=60".events)) -- the last hour is in memory
      assert.equal("", sql "DROP INDEX refuse")
      set "+6m"
      support.wait_for(function() return engine:log():find("the counts of minutes are stored again", 1, true) end,
        10, "the end of it")
      local _, times = engine:log():gsub(said, "")
      assert.equal(1, times)
      engine:stop()
      assert.truthy(engine:log():find("msg=stopped", 1, true))
    end)
  end)
end)
