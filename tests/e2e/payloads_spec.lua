-- SPDX-License-Identifier: MIT
-- payloads_spec.lua: hundreds of payloads that nobody here wrote: GitHub's published examples, each signed,
-- sent, verified, and read back equal from the journal and as a rule saw it. ./dev test puts the package
-- that holds them into build/payloads; only this spec uses it.

local cjson = require "cjson"
local support = require "tests.e2e.support"

local INDEX = "build/payloads/package/api.github.com/index.json"
local SECRET = "It's a Secret to Everybody"

local config = [[
return { sources = { github = { path = "/hooks/github",
  type = { header = "X-GitHub-Event" }, dedupe = { header = "X-GitHub-Delivery" },
  auth = { hmac = env "GITHUB_SECRET", header = "X-Hub-Signature-256", prefix = "sha256=" } } } }
]]

it("payloads of others go through, integers and all", function()
  local engine = support.engine { config = config, env = { GITHUB_SECRET = SECRET },
    rules = { ["keep.lua"] = [[rule "keep" { on = "*", run = function(event, envelope)
      records.put("seen", envelope.id, event) end }]] } }
  finally(function() engine:close() end)
  local out, code = support.capture(("/usr/bin/python3 -B tests/e2e/payloads.py %s %d %s %s %s 2>&1"):format(
    INDEX, engine.port, engine.data, support.quote(support.bin), support.quote(SECRET)))
  assert.equal(0, code, out)
  local said = cjson.decode(out)
  assert.same({}, said.wrong)
  assert.truthy(said.sent > 300 and said.types > 50, out)
end)
