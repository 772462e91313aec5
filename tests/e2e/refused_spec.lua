-- SPDX-License-Identifier: MIT
-- refused_spec.lua: whoever is called at night sees who is not let in, and why: in `switchhook status`,
-- in the log, and of an engine elsewhere.

local cjson = require "cjson"
local support = require "tests.e2e.support"
local quote = support.quote

local config = [[
return {
  trusted_proxies = { "127.0.0.1" },
  sources = {
    a = { path = "/hooks/a", type = { field = "event" }, auth = { bearer = env "A_TOKEN" } },
    b = { path = "/hooks/b", type = { field = "event" },
      auth = { hmac = { "an-older-secrets-follower", env "B_SECRET" }, header = "X-Signature" } },
    d = { path = "/hooks/d", type = { field = "event" }, auth = { bearer = { "new-new-new", "old-old-old" } } },
    c = { path = "/hooks/c", type = { field = "event" }, auth = { token = env "C_TOKEN", field = "auth.token" } },
  },
}
]]

local env = { A_TOKEN = ("a"):rep(32), B_SECRET = ("b"):rep(32), C_TOKEN = ("c"):rep(32) }

describe("what is refused", function()
  local engine
  setup(function() engine = support.engine { config = config, env = env } end)
  teardown(function() engine:close() end)

  local function lines(...)
    local n = 0
    for line in engine:log():gmatch "[^\n]+" do
      local all = true
      for _, part in ipairs { ... } do
        all = all and line:find(part, 1, true) ~= nil
      end
      n = n + (all and 1 or 0)
    end
    return n
  end

  local function run(arguments)
    return support.capture(("cd %s && %s %s 2>&1"):format(quote(engine.dir), quote(support.bin), arguments))
  end

  it("a flood at one source hides nothing of another, and what has no line is counted", function()
    for _ = 1, 40 do
      assert.equal(401, engine:post("/hooks/a", "{}", { Authorization = "Bearer " .. ("x"):rep(32) }).status)
    end
    assert.equal(401, engine:post("/hooks/b", "{}").status)
    assert.equal(1, lines("request refused", "reason=missing_signature", "source=b"))
    support.wait_for(function() return lines("more requests were refused than there are lines for") > 0 end)
    local said = 0
    for n in engine:log():gmatch "than there are lines for[^\n]* requests=(%d+)" do said = said + tonumber(n) end
    assert.equal(40, lines("reason=bad_token", "source=a") + said)
  end)

  it("a request with an older secret is taken, and the log says that it cannot go yet", function()
    local OLDER = "an older secret is still in use"
    for _ = 1, 3 do
      assert.equal(200, engine:post("/hooks/d", '{"event":"x"}', { Authorization = "Bearer new-new-new" }).status)
    end
    local body = '{"event":"x"}'
    local function sign(secret)
      return (support.capture(("printf %%s '%s' | openssl dgst -sha256 -hmac %s"):format(body, secret))
        :match "(%x+)%s*$")
    end
    assert.equal(200, engine:post("/hooks/b", body, { ["X-Signature"] = sign "an-older-secrets-follower" }).status)
    assert.equal(0, lines(OLDER))
    for _ = 1, 3 do
      assert.equal(200, engine:post("/hooks/d", '{"event":"x"}', { Authorization = "Bearer old-old-old" }).status)
      assert.equal(200, engine:post("/hooks/b", body, { ["X-Signature"] = sign(env.B_SECRET) }).status)
    end
    assert.equal(1, lines(OLDER, "source=d", "peer=127.0.0.1", "requests=1"))
    assert.equal(1, lines(OLDER, "source=b"))
  end)

  it("each line says which source, and the address that the proxy tells", function()
    assert.equal(400, engine:post("/hooks/a", "{", { Authorization = "Bearer " .. env.A_TOKEN,
      ["X-Forwarded-For"] = "192.0.2.7" }).status)
    assert.equal(1, lines("request refused", "why=json", "source=a", "peer=192.0.2.7", "path=/hooks/a"))
  end)

  it("status lists it, by source and reason, and is not alarmed", function()
    engine:request("GET", "/nowhere")
    local text, code = run "status --config switchhook.lua --data data"
    assert.equal(0, code)
    assert.truthy(text:find("\nrefused +a: bad_token 40 %(last %d+s ago%), json 1"))
    assert.truthy(text:find("\n +b: missing_signature 1 "))
    assert.truthy(text:find("\n +%(no source%): not_found 1 "))
    local status = cjson.decode(engine:request("GET", "/api/v1/status").body)
    assert.equal("a", status.refused[1].source)
    assert.equal("bad_token", status.refused[1].reason)
    assert.equal(40, status.refused[1].count)
    assert.equal(42, status.refused[1].count + status.refused[2].count + status.refused[3].count)
    assert.truthy(status.refused[1].last_at:find "^20%d%d%-")
    for _, one in ipairs(status.refused) do
      assert.truthy(one.source ~= cjson.null or one.reason == "not_found")
    end
  end)

  it("send puts the configured token in place of another's, also deeper in the body", function()
    support.write_file(engine.dir .. "/c.json", '{"event":"x","auth":{"token":"a \\"quoted\\" one","n":1}}')
    local sent = ("send c.json --source c --config switchhook.lua --to http://127.0.0.1:%d"):format(engine.port)
    local set = ("A_TOKEN=%s B_SECRET=%s C_TOKEN=%s "):format(env.A_TOKEN, env.B_SECRET, env.C_TOKEN)
    local out, code =
      support.capture(("cd %s && %s %s %s 2>&1"):format(quote(engine.dir), set, quote(support.bin), sent))
    assert.equal(0, code, out)
    out, code = support.capture(("cd %s && %s %s %s --unsigned 2>&1"):format(quote(engine.dir), set,
      quote(support.bin), sent))
    assert.equal(1, code, out)
    assert.truthy(out:find("unauthorized", 1, true))
  end)

  it("check names every environment variable that is not set, with its line", function()
    local out, code = run "check --config switchhook.lua"
    assert.equal(1, code)
    assert.truthy(out:find("switchhook.lua:4: environment variable A_TOKEN is not set, nor is B_SECRET (line 6), " ..
      "nor is C_TOKEN (line 8)", 1, true), out)
  end)

  -- What a service manager reads into the service's environment, a command at its side reads itself.
  it("a file `environment` beside the configuration stands in for variables", function()
    local file = engine.dir .. "/environment"
    support.write_file(file, "# of the service\nA_TOKEN=first\nA_TOKEN='abcdefghijklmnopqrstuvwxyz'\n" ..
      " B_SECRET = \"no\"\nB_SECRET=\"two words\" \n")
    local out, code = run "check --config switchhook.lua"
    os.remove(file)
    assert.equal(1, code)
    assert.truthy(out:find("switchhook.lua:8: environment variable C_TOKEN is not set", 1, true), out)
    assert.falsy(out:find("A_TOKEN", 1, true), out)
    assert.falsy(out:find("B_SECRET", 1, true), out)
  end)

  it("of the API: the log says whose token is too low; --url says what to do", function()
    local url = "http://127.0.0.1:" .. engine.port
    assert(select(2, run "token new eye --role viewer --quiet --data data >eye") == 0)
    local out, code = run("rules pause quiet --url " .. url .. " --token-file eye")
    assert.equal(1, code)
    assert.truthy(out:find("this needs the role operator; yours is viewer", 1, true))
    assert.equal(1, lines("api request refused", "reason=role_too_low", "who=eye", "path=/api/v1/rules/quiet/pause"))
    out = run("status --url " .. url)
    assert.truthy(out:find("wants a token: --token-file FILE, or SWITCHHOOK_TOKEN", 1, true), out)
    assert(select(2, run "token revoke eye --data data") == 0)
    assert(select(2, run "token new other --role viewer --data data") == 0)
    out = run("status --url " .. url .. " --token-file eye")
    assert.truthy(out:find("does not know the token in eye: it is wrong, has expired or was revoked", 1, true), out)
    out, code = run "status --data data --ca-file x"
    assert.equal(2, code)
    assert.truthy(out:find("--ca-file goes with --url", 1, true))
  end)
end)
