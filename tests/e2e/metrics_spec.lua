-- SPDX-License-Identifier: MIT
-- /metrics as a scraper reads it, against docs/monitoring.md, the dashboard and the alert rules of
-- examples/; /healthz and /readyz through a life of the engine.
local cjson = require "cjson"
local socket = require "socket"
local support = require "tests.e2e.support"

local promtool
for _, path in ipairs { os.getenv "PROMTOOL" or "build/tools/promtool", "promtool" } do
  if not promtool and os.execute("command -v " .. path .. " >/dev/null 2>&1") then promtool = path end
end

-- A strict reader of the text format 0.0.4 -----------------------------------------------------------

local function labels_of(text, line)
  local labels, names, at = {}, {}, 1
  while at <= #text do
    local name, from = text:match('^([%a_][%w_]*)="()', at)
    assert(name, line)
    assert(not labels[name], "twice the label " .. name .. ": " .. line)
    local to = from
    while text:sub(to, to) ~= '"' do
      assert(to <= #text and text:sub(to, to) ~= "\n", line)
      if text:sub(to, to) == "\\" then
        assert(text:sub(to + 1, to + 1):match '[\\"n]', "a bad escape: " .. line)
        to = to + 1
      end
      to = to + 1
    end
    labels[name] = text:sub(from, to - 1):gsub("\\(.)", { n = "\n", ['"'] = '"', ["\\"] = "\\" })
    names[#names + 1] = name
    at = to + 1
    if text:sub(at, at) == "," then at = at + 1 else assert(at > #text, line) end
  end
  return labels, names
end

-- { [family] = { type, help, samples = { { name, labels, value } } } } and a look-up by series.
local function read_metrics(text)
  local families, series, current = {}, {}, nil
  assert(text:sub(-1) == "\n", "no line end at the end")
  for line in text:gmatch "([^\n]*)\n" do
    local what, name, rest = line:match "^# (%u+) ([%a_:][%w_:]*) (.+)$"
    if what == "HELP" then
      assert(not families[name], "twice the family " .. name)
      current = { name = name, help = rest, samples = {} }
      families[name] = current
    elseif what == "TYPE" then
      assert(current and current.name == name and not current.type, line)
      assert(rest == "counter" or rest == "gauge" or rest == "histogram", line)
      current.type = rest
    else
      local sample, inner, value = line:match "^([%a_:][%w_:]*){(.*)} (%S+)$"
      if not sample then sample, value = line:match "^([%a_:][%w_:]*) (%S+)$" end
      assert(sample and (tonumber(value) or value == "+Inf"), "no sample: " .. line)
      local base = sample
      if current.type == "histogram" then
        base = assert(sample:match "^(.*)_bucket$" or sample:match "^(.*)_sum$" or
          sample:match "^(.*)_count$", line)
      end
      assert(current and current.type and base == current.name, "out of its family: " .. line)
      local labels = labels_of(inner or "", line)
      assert(not series[line:match "^(.*) "], "twice the series " .. line)
      series[line:match "^(.*) "] = tonumber(value)
      current.samples[#current.samples + 1] = { name = sample, labels = labels, value = tonumber(value) }
    end
  end
  return families, series
end

local function lint(families)
  for name, family in pairs(families) do
    assert(name:match "^switchhook_[a-z_]+$" or name:match "^process_[a-z_]+$", name)
    assert(family.type, name .. " has no TYPE")
    assert((name:match "_total$" ~= nil) == (family.type == "counter"), name)
    for _, word in ipairs { "milli", "micro", "minute", "hour", "kilo", "mega", "_ms", "_us", "_kb", "count_total" } do
      assert(not name:find(word, 1, true), name .. " is not in a base unit")
    end
    local counts, last = {}, {}
    for _, sample in ipairs(family.samples) do
      if family.type == "histogram" then
        local rest = {}
        for label, value in pairs(sample.labels) do
          if label ~= "le" then rest[#rest + 1] = label .. "=" .. value end
        end
        table.sort(rest)
        local key = table.concat(rest, ",")
        if sample.labels.le then
          local le = sample.labels.le == "+Inf" and math.huge or assert(tonumber(sample.labels.le))
          assert(not last[key] or (le > last[key].le and sample.value >= last[key].value), name)
          last[key] = { le = le, value = sample.value }
        elseif sample.name:match "_count$" then
          counts[key] = sample.value
        end
      elseif family.type == "counter" then
        assert(sample.value >= 0)
      end
    end
    for key, bucket in pairs(last) do
      assert(bucket.le == math.huge and bucket.value == counts[key], name .. " does not add up")
    end
  end
end

-- The engine that is measured ------------------------------------------------------------------------

local config = [[
return { sources = {
  webphone = { path = "/hooks/webphone", auth = "none", type = { field = "event" }, key = { field = "call_id" },
    dedupe = { fields = { "id" } } },
  closed = { path = "/hooks/closed", auth = { bearer = "right" }, type = { value = "x" } } },
  retry = { 0.05 }, http = { allow = { "127.0.0.1" }, retry = { 0.05 } } }
]]
local rules = [[
rule "Fine \"one\"" { on = { "good", "rare" }, run = function(e)
  http.post { url = "@/ok", json = {} }
  http.post { url = "@/bad", json = {} }
  callback { number = "0201234567", due = now() + 1000 + e.id, reason = tostring(e.id) }
  after("1h", "late", {})
end }
rule "Fails" { on = "bad", run = function() error "no" end }
]]
local gone = 'rule "Goes away" { on = "good", run = function() end }\n'

describe("metrics", function()
  local engine, sink, id = nil, nil, 0
  local function post(kind, fields)
    id = id + 1
    local doc = { event = kind, call_id = "c" .. id % 50, id = id }
    for name, value in pairs(fields or {}) do doc[name] = value end
    return engine:post("/hooks/webphone", cjson.encode(doc)).status
  end
  local function scrape()
    local answer = engine:request("GET", "/metrics")
    assert.equal(200, answer.status)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
    return answer.body
  end
  -- The whole output, once `done` is true of it.
  local function settled(done)
    return support.wait_for(function()
      local text = scrape()
      local families, series = read_metrics(text)
      return done(series) and { text = text, families = families, series = series }
    end, 10, "the metrics")
  end
  setup(function()
    sink = support.sink()
    sink:answers { ["/bad"] = { { status = 500, forever = true } } }
    engine = support.engine { config = config, rules = { ["a.lua"] = (rules:gsub("@", sink.url)), ["b.lua"] = gone } }
  end)
  teardown(function()
    engine:close()
    sink:close()
  end)

  local all
  it("count what happened, by source, type, rule, kind and outcome", function()
    read_metrics(scrape()) -- with nothing to show it is as well formed
    for _ = 1, 3 do assert.equal(200, post "good") end
    assert.equal(200, post("good", { id = id }))
    assert.equal(200, post "bad")
    assert.equal(422, engine:post("/hooks/webphone", "{}").status)
    assert.equal(400, engine:post("/hooks/webphone", "{").status)
    assert.equal(401, engine:post("/hooks/closed", "{}").status)
    assert.equal(404, engine:post("/hooks/nowhere", "{}").status)
    assert.equal(200, engine:request("GET", "/api/v1/status").status)
    assert.equal(404, engine:request("GET", "/api/v1/nothing/0612345678").status)
    all = settled(function(series)
      return series['switchhook_runs_total{rule="Fails",outcome="dead"}'] == 1 and
        series['switchhook_dead_letters{kind="delivery"}'] == 3
    end)
    local expected = {
      ['switchhook_events_total{source="webphone",type="good",outcome="accepted"}'] = 3,
      ['switchhook_events_total{source="webphone",type="good",outcome="duplicate"}'] = 1,
      ['switchhook_events_total{source="webphone",type="bad",outcome="accepted"}'] = 1,
      ['switchhook_requests_refused_total{source="webphone",reason="envelope"}'] = 1,
      ['switchhook_requests_refused_total{source="webphone",reason="json"}'] = 1,
      ['switchhook_requests_refused_total{source="",reason="not_found"}'] = 1,
      ["switchhook_acknowledgement_seconds_count"] = 5,
      ["switchhook_queue_wait_seconds_count"] = 4,
      ["switchhook_event_seconds_count"] = 4,
      ["switchhook_events_settled_total"] = 4,
      ['switchhook_runs_total{rule="Fine \\"one\\"",outcome="done"}'] = 3,
      ['switchhook_runs_total{rule="Goes away",outcome="done"}'] = 3,
      ['switchhook_runs_total{rule="Fails",outcome="failed"}'] = 1,
      ['switchhook_run_cpu_seconds_count{rule="Fails"}'] = 2,
      ['switchhook_delivery_attempts_total{kind="http",outcome="sent"}'] = 3,
      ['switchhook_delivery_attempts_total{kind="http",outcome="retry"}'] = 3,
      ['switchhook_delivery_attempts_total{kind="http",outcome="dead"}'] = 3,
      ['switchhook_delivery_seconds_count{kind="http"}'] = 3,
      ['switchhook_dead_letters{kind="run"}'] = 1,
      ['switchhook_callbacks{status="scheduled"}'] = 3,
      ["switchhook_backlog_timers"] = 3,
      ["switchhook_backlog_events"] = 0,
      ['switchhook_api_requests_total{route="/api/v1/status",status="200"}'] = 1,
      ['switchhook_api_requests_total{route="none",status="404"}'] = 1,
      ["switchhook_ready"] = 1,
      ["switchhook_rules"] = 3,
    }
    for name, value in pairs(expected) do assert.equal(value, all.series[name], name) end
    local refused = 0
    for _, sample in ipairs(all.families.switchhook_requests_refused_total.samples) do
      if sample.labels.source == "closed" then refused = refused + sample.value end
    end
    assert.equal(1, refused)
    for _, name in ipairs { "switchhook_store_commit_seconds_count", "process_resident_memory_bytes",
                            "process_open_fds", "process_start_time_seconds", "switchhook_database_bytes" } do
      assert.is_true(all.series[name] > 0, name)
    end
    assert.is_true(math.abs(os.time() - all.series.process_start_time_seconds) < 60)
  end)

  it("are well formed and well named", function()
    lint(all.families)
    if promtool then
      support.write_file(engine.dir .. "/metrics", all.text)
      local out, code = support.capture(promtool .. " check metrics <" .. engine.dir .. "/metrics 2>&1")
      assert.equal("", out)
      assert.equal(0, code)
    end
  end)

  it("are those of docs/monitoring.md, no more and no less", function()
    local documented = {}
    for name, kind, labels, text in support.read_file "docs/monitoring.md"
        :gmatch "\n| `([a-z_]+)` | (%a+) |([^|]*)| ([^|\n]*) |" do
      documented[name] = true
      local family = all.families[name]
      if not name:match "_tls_" then -- tls_spec.lua
        assert(family, name .. " is documented, and not there")
        assert.equal(kind, family.type, name)
        assert.is_true(#text > 0)
        local known = {}
        for label in labels:gmatch "`(%w+)`" do known[label] = true end
        for _, sample in ipairs(family.samples) do
          for label in pairs(known) do assert(sample.labels[label], name .. " has no label " .. label) end
          for label in pairs(sample.labels) do
            assert(known[label] or label == "le", name .. ": label " .. label .. " is not documented")
          end
        end
      end
    end
    for name in pairs(all.families) do assert(documented[name], name .. " is not documented") end
  end)

  it("are what the dashboard and the alerts ask for, with labels that there are", function()
    local expressions, documented = {}, {}
    for name in support.read_file "docs/monitoring.md":gmatch "\n| `([a-z_]+)` |" do documented[name] = true end
    local dashboard = cjson.decode(support.read_file "examples/grafana/switchhook.json")
    assert.is_true(dashboard.schemaVersion >= 36)
    local ids = {}
    for _, panel in ipairs(dashboard.panels) do
      assert.is_nil(ids[panel.id])
      ids[panel.id] = true
      for _, target in ipairs(panel.targets or {}) do
        assert.equal("${datasource}", target.datasource.uid)
        expressions[#expressions + 1] = { (target.expr:gsub("%$__rate_interval", "5m"):gsub("%$instance", ".*")),
          panel.title, target.legendFormat }
      end
    end
    for expr in support.read_file "examples/prometheus/switchhook.rules.yml":gmatch "\n%s+expr: ([^\n]+)" do
      expressions[#expressions + 1] = { expr, "alert", "" }
    end
    assert.is_true(#expressions > 50)
    local file = { "groups:\n- name: g\n  rules:\n" }
    for i, e in ipairs(expressions) do
      local known, found = { instance = true, job = true, le = true }, 0
      for name in e[1]:gmatch "[%a_]+" do
        if name:match "^switchhook_tls_" then -- tls_spec.lua
          assert(documented[name], e[2] .. ": no metric " .. name)
          found = found + 1
        elseif name:match "^switchhook_" or name:match "^process_" then
          local base = name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
          local family = all.families[name] or all.families[base]
          assert(family, e[2] .. ": no metric " .. name)
          found = found + 1
          for _, sample in ipairs(family.samples) do
            for label in pairs(sample.labels) do known[label] = true end
          end
        end
      end
      assert.is_true(found > 0 or e[1]:match "^up{" ~= nil, e[1])
      for list in e[1]:gmatch "by (%b())" do
        for label in list:gmatch "[%a_]+" do assert(known[label], e[1] .. ": no label " .. label) end
      end
      for list in e[1]:gmatch "%b{}" do
        for label in list:gmatch "([%a_]+)[!=]" do assert(known[label], e[1] .. ": no label " .. label) end
      end
      for label in e[3]:gmatch "{{([%a_]+)}}" do
        assert(e[1]:find(label, 1, true), e[2] .. ": its legend wants " .. label)
      end
      file[#file + 1] = ("  - record: r:%d\n    expr: '%s'\n"):format(i, e[1])
    end
    if promtool then
      support.write_file(engine.dir .. "/rules.yml", table.concat(file))
      for _, path in ipairs { engine.dir .. "/rules.yml", "examples/prometheus/switchhook.rules.yml" } do
        local out, code = support.capture(promtool .. " check rules " .. path .. " 2>&1")
        assert.equal(0, code, out)
      end
    end
  end)

  it("do not grow with what senders write", function()
    for i = 1, 130 do assert.equal(200, post("odd " .. i)) end
    assert.equal(200, post "0612345678")
    assert.equal(200, post "rare") -- named by a rule: shown however late it comes
    local now = settled(function(series)
      return series['switchhook_events_total{source="webphone",type="rare",outcome="accepted"}']
    end)
    local types, other = 0, 0
    for _, sample in ipairs(now.families.switchhook_events_total.samples) do
      if sample.labels.source == "webphone" and sample.labels.outcome == "accepted" then
        types = types + 1
        if sample.labels.type == "other" then other = sample.value end
      end
    end
    assert.equal(100 + 3 + 1, types) -- 100 as they came; good, bad and rare; other
    assert.equal(31, other)
    assert.falsy(now.text:find("612345678", 1, true))
  end)

  it("forget a rule that is gone, and show one that fails to load by its place", function()
    assert(os.remove(engine.dir .. "/rules/b.lua"))
    local _, out, code = engine:cli "reload"
    assert.equal(0, code, out)
    local now = settled(function(series) return series["switchhook_rules"] == 2 end)
    assert.falsy(now.text:find("Goes away", 1, true))
    assert.equal(3, now.series['switchhook_runs_total{rule="Fine \\"one\\"",outcome="done"}'] -
      now.series['switchhook_events_total{source="webphone",type="rare",outcome="accepted"}'])
    support.write_file(engine.dir .. "/rules/b.lua", "\nrule {")
    engine:cli "reload"
    now = settled(function(series) return series["switchhook_reload_failed"] == 1 end)
    local where = now.families.switchhook_reload_error.samples
    assert.equal("rules/b.lua", where[1].labels.file)
    assert.is_true(now.series['switchhook_reloads_total{outcome="failed"}'] >= 1)
    lint(now.families)
    os.remove(engine.dir .. "/rules/b.lua")
  end)

  it("are for this machine alone", function()
    for _, headers in ipairs { { ["X-Forwarded-For"] = "192.0.2.1" }, { Forwarded = "for=192.0.2.1" },
                               { Via = "1.1 p" }, { Origin = "https://evil.example.org" },
                               { ["X-Forwarded-For"] = "192.0.2.1", Authorization = "Bearer nonsense" } } do
      assert.equal(404, engine:request("GET", "/metrics", nil, headers).status)
    end
    assert.equal(404, engine:post("/metrics", "{}").status)
    local made = engine:cli("token", "new", "prometheus", "--role", "viewer", "--json")[1]
    local function asked(token, more)
      return engine:request("GET", "/metrics" .. (more or ""), nil,
        { ["X-Forwarded-For"] = "192.0.2.1", Authorization = token and "Bearer " .. token }).status
    end
    assert.equal(200, asked(made.token))
    assert.equal(404, asked(made.token .. "x"))
    assert.equal(404, asked())
    assert.equal(404, asked(nil, "?token=" .. made.token))
    assert.falsy(engine:log():find(made.token, 1, true))
    assert.equal(200, engine:request("GET", "/metrics").status) -- this machine still needs none
    local out = support.capture("curl -s --unix-socket " .. engine.data .. "/control.sock http://x/metrics")
    lint((read_metrics(out)))
  end)
end)

describe("readiness", function()
  local engine
  after_each(function()
    if engine then engine:close() end
    engine = nil
  end)

  local function ready()
    local answer = engine:request("GET", "/readyz")
    local error_ = answer.json.error
    assert.equal("no-store", answer.headers["cache-control"])
    if answer.status == 200 then
      assert.same({ status = "ok" }, answer.json)
      return true
    end
    assert.equal(503, answer.status)
    assert.equal("5", answer.headers["retry-after"])
    assert.equal("not_ready", error_.code)
    return error_.message
  end

  it("is not there before the rules are, whoever asks", function()
    local probe = assert(socket.bind("127.0.0.1", 0))
    local port = select(2, probe:getsockname())
    probe:close()
    engine = support.engine { start = false, rules = { ["slow.lua"] = [[
local n = 0
for i = 1, 40000000 do n = n + i % 7 end
rule "r" { on = "*", run = function() end }]] } }
    local command = ("cd %s && exec setsid %s serve --listen 127.0.0.1:%d --data data >out 2>err </dev/null & echo $!")
      :format(engine.dir, support.quote(support.bin), port)
    engine.pid, engine.port = tonumber(support.capture("sh -c " .. support.quote(command)):match "%d+"), port
    local seen = support.wait_for(function()
      local ok, why = pcall(ready)
      return ok and why
    end, 5, "the address")
    assert.equal("the engine is starting", seen)
    local answer = engine:post("/hooks/webphone", "{}")
    if answer.status ~= 200 then -- it may have got ready meanwhile, on a fast machine
      assert.equal(503, answer.status)
      assert.equal("5", answer.headers["retry-after"])
    end
    assert.equal(200, engine:request("GET", "/healthz").status)
    local before = engine:request("GET", "/metrics").status
    assert.is_true(before == 503 or ready() == true)
    support.wait_for(function() return ready() == true end, 10, "the engine to be ready")
    assert.matches("ready on", support.read_file(engine.dir .. "/out"))
    assert.equal(200, engine:request("GET", "/metrics").status)
  end)

  it("ends with the disk, with the backlog and with the engine; being alive does not", function()
    local sink = support.sink()
    sink:answers { ["/slow"] = { { delay = 1.5, forever = true } } }
    local text = [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
      type = { field = "event" } } }, http = { allow = { "127.0.0.1" } }, ]]
    engine = support.engine { config = text .. 'min_free = "1024 GiB" }' }
    assert.equal("the disk is nearly full", ready())
    assert.equal(200, engine:request("GET", "/healthz").status)
    assert.equal(0, tonumber(engine:request("GET", "/metrics").body:match "\nswitchhook_ready (%d)"))
    engine:close()
    engine = support.engine { config = text .. "limits = { backlog = 1 } }", rules = { ["slow.lua"] =
      ('rule "slow" { on = "slow", run = function() http.get "@/slow" end }'):gsub("@", sink.url) } }
    assert.is_true(ready())
    assert.equal(200, engine:post("/hooks/webphone", '{"event":"slow"}').status)
    support.wait_for(function() return ready() == "too many events wait for their rules" end, 3, "a full backlog")
    local conn = engine:connect()
    conn:send "GET /readyz HTTP/1.1\r\nHost: t\r\n" -- begun before its end, finished after
    os.execute("kill -TERM " .. engine.pid)
    support.wait_for(function() return engine:log():find("msg=stopping", 1, true) end, 3, "its end to begin")
    conn:send "\r\n"
    local answer = assert(conn:answer())
    assert.equal(503, answer.status)
    assert.equal("the engine is stopping", answer.json.error.message)
    conn:close()
    sink:close()
  end)
end)
