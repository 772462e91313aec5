-- SPDX-License-Identifier: MIT
-- The alert rules of examples/prometheus: against docs/operations.md, by their own unit tests, and on
-- what real engines that are well or unwell show at /metrics. That every metric and label they name
-- exists is in metrics_spec.lua.
local support = require "tests.e2e.support"

local RULES, TESTS = "examples/prometheus/switchhook.rules.yml", "examples/prometheus/switchhook.test.yml"

local promtool
for _, path in ipairs { os.getenv "PROMTOOL" or "build/tools/promtool", "promtool" } do
  if not promtool and os.execute("command -v " .. path .. " >/dev/null 2>&1") then promtool = path end
end

-- { { name =, severity =, summary =, description =, runbook_url = } }
local function alerts()
  local list = {}
  for line in support.read_file(RULES):gmatch "[^\n]+" do
    local name = line:match "^      %- alert: (%w+)$"
    if name then list[#list + 1] = { name = name } end
    local key, value = line:match '^          ([%a_]+): "(.*)"$'
    if key then list[#list][key] = value end
    local severity = line:match "^        labels: { severity: (%w+) }$"
    if severity then list[#list].severity = severity end
  end
  return list
end

-- What a scrape says, for an hour and a half, as a unit test of the rules that says which of them fire.
local function firing(scrape, dir)
  local file = { "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n" ..
    "      - series: 'up{job=\"switchhook\", instance=\"here\"}'\n        values: '1x90'\n" }
  for line in scrape:gmatch "[^\n]+" do
    local name, labels, value = line:match "^([%a_:][%w_:]*)(%b{}) (%S+)$"
    if not name then name, value = line:match "^([%a_:][%w_:]*) (%S+)$" end
    if name then
      labels = (labels and labels:sub(2, -2) .. ", " or "") .. 'job="switchhook", instance="here"'
      file[#file + 1] = ("      - series: '%s{%s}'\n        values: '%sx90'\n"):format(name,
        (labels:gsub("'", "''")), value)
    end
  end
  file[#file + 1] = "    promql_expr_test:\n      - expr: ALERTS{alertstate=\"firing\"}\n        eval_time: 90m\n" ..
    "        exp_samples: [{ labels: 'none', value: 1 }]\n"
  support.write_file(dir .. "/test.yml", table.concat(file))
  support.write_file(dir .. "/rules.yml", support.read_file(RULES))
  local out = support.capture(promtool .. " test rules " .. dir .. "/test.yml 2>&1")
  local got = assert(out:match "got:(.*)", out) -- it never is what is expected: it says what there is
  local names = {}
  for labels in got:gmatch '{__name__="ALERTS", (.-)}' do
    names[#names + 1] = labels:match 'alertname="Switchhook(%w+)"' ..
      (labels:match 'reason="([^"]*)"' and ": " .. labels:match 'reason="([^"]*)"' or "") ..
      (labels:match 'kind="([^"]*)"' and ": " .. labels:match 'kind="([^"]*)"' or "")
  end
  table.sort(names)
  return table.concat(names, ", ")
end

describe("alert rules", function()
  it("have a severity, a summary, a description and a section in the operations guide each", function()
    local page, tests, sections = support.read_file "docs/operations.md", support.read_file(TESTS), {}
    local watch = assert(page:match "\n## What to watch\n(.-)\n## ")
    for name in watch:gmatch "\n### (Switchhook%w+)\n" do sections[name] = true end
    local list = alerts()
    assert.is_true(#list > 25)
    for _, alert in ipairs(list) do
      assert(alert.severity == "page" or alert.severity == "ticket", alert.name)
      assert(alert.summary and alert.description, alert.name)
      assert(alert.summary:find("$labels.instance", 1, true), alert.name)
      assert.equal("docs/operations.md#" .. alert.name:lower(), alert.runbook_url)
      assert(sections[alert.name], alert.name .. " has no section in docs/operations.md")
      assert(tests:find('alertname="' .. alert.name .. '"', 1, true), alert.name .. " is not tested")
      assert(watch:find(("| [%s](#%s) | %s |"):format(alert.name, alert.name:lower(), alert.severity), 1, true),
        alert.name .. " is not in the guide's list, or with another severity")
      sections[alert.name] = nil
    end
    assert.is_nil(next(sections), "there is no alert " .. tostring(next(sections)))
  end)

  it("pass promtool's checks and their own unit tests", function()
    if not promtool then return pending "no promtool" end
    for _, what in ipairs { "check config examples/prometheus/prometheus.yml", "check rules " .. RULES,
                            "test rules " .. TESTS } do
      local out, code = support.capture(promtool .. " " .. what .. " 2>&1")
      assert.equal(0, code, out)
    end
  end)

  it("say nothing of an engine that is well", function()
    if not promtool then return pending "no promtool" end
    local engine = support.engine()
    finally(function() engine:close() end)
    assert.equal(200, engine:post("/hooks/webphone", support.payload "call_start").status)
    engine:wait_events "done"
    assert.equal("", firing(engine:request("GET", "/metrics").body, engine.dir))
  end)

  it("name a dead letter, a paused rule, a reload that failed and a worker that is not there", function()
    if not promtool then return pending "no promtool" end
    local engine = support.engine {
      config = [[return { sources = { webphone = { path = "/hooks/webphone", auth = "none",
        type = { field = "event" } } }, retry = {}, quarantine = 2 }]],
      rules = { ["bad.lua"] = 'rule "bad" { on = "call_start", run = function() error "no" end }\n',
        ["dead.lua"] = 'rule "dead" { on = "call_stop", run = function() error "no" end }\n' } }
    finally(function() engine:close() end)
    for i = 1, 2 do
      assert.equal(200, engine:post("/hooks/webphone", support.payload("call_start", { call_id = "c" .. i })).status)
    end
    assert.equal(200, engine:post("/hooks/webphone", support.payload "call_stop").status)
    support.write_file(engine.dir .. "/rules/bad.lua", "rule (\n")
    local metrics = support.wait_for(function()
      local text = engine:request("GET", "/metrics").body
      return text:find("\nswitchhook_reload_failed 1\n", 1, true) and
        text:find("\nswitchhook_rules_paused 1\n", 1, true) and
        text:find('\nswitchhook_dead_letters{kind="run"} [1-9]') and text
    end, 10, "an engine that is unwell")
    assert.equal("DeadLetters: run, ReloadFailed, RulePaused", firing(metrics, engine.dir))
    assert.equal("ClockJumped, DeadLetters: run, NoWorker, ReloadFailed, RulePaused", firing(metrics
      :gsub("\nswitchhook_workers %d+", "\nswitchhook_workers 0")
      :gsub("\nswitchhook_clock_steady 1", "\nswitchhook_clock_steady 0"), engine.dir))
  end)

  it("name the disk when it is nearly full", function()
    if not promtool then return pending "no promtool" end
    local engine = support.engine { config = [[return { min_free = "1024GiB", sources = { webphone =
      { path = "/hooks/webphone", auth = "none", type = { field = "event" } } } }]] }
    finally(function() engine:close() end)
    assert.equal(503, engine:post("/hooks/webphone", support.payload "call_start").status)
    assert.equal("DiskFills, NotReady: the disk is nearly full",
      firing(engine:request("GET", "/metrics").body, engine.dir))
  end)

  it("name a clock that has jumped", function()
    if not promtool then return pending "no promtool" end
    local engine = support.engine()
    finally(function() engine:close() end)
    assert.equal(200, engine:post("/hooks/webphone", support.payload "call_start").status)
    engine:wait_events "done"
    engine:stop()
    -- the newest event is of two days ahead of the clock at the start
    support.capture(("sqlite3 %s/switchhook.db 'UPDATE sh_events SET seq = seq + (172800000 << 20), " ..
      "received_ms = received_ms + 172800000'"):format(engine.data))
    engine:start()
    assert.equal("ClockJumped", firing(engine:request("GET", "/metrics").body, engine.dir))
    assert.truthy(engine:log():find("the clock has moved by more than an hour", 1, true))
  end)
end)
