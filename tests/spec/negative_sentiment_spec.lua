-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local kit = require "tests.spec.kit"
local sentiment = dofile "scripts/sentiment.lua"
local rule = "Call back after a negative call"

local function with(analysis, changes)
  changes = changes or {}
  changes.analysis = analysis
  return kit.payload("call_postprocess", changes)
end

describe("sentiment.of", function()
  local function check(expected, value)
    assert.equal(expected, sentiment.of { analysis = { sentiment = value } },
      type(value) == "table" and cjson.encode(value) or tostring(value))
  end

  it("reads words and phrases, Dutch and English", function()
    for _, text in ipairs { "negative", "Negative", "NEGATIEF", "negatief", "very negative", "zeer negatief",
      "Boos", "ontevreden", "niet tevreden", "not happy", "not very satisfied", "geïrriteerd",
      "Negatief: de klant is boos", "frustrated" } do
      check("negative", text)
    end
    for _, text in ipairs { "neutral", "Neutraal", "gemengd", "mixed", "niet negatief", "not bad" } do
      check("neutral", text)
    end
    for _, text in ipairs { "positive", "Positief", "zeer tevreden", "happy" } do
      check("positive", text)
    end
  end)

  it("reads numbers from -1 to 1, as numbers or as text", function()
    check("negative", -0.7)
    check("negative", "-0.7")
    check("neutral", -0.25)
    check("neutral", 0)
    check("positive", 0.9)
  end)

  it("reads objects: a label, a score with its scale, shares", function()
    check("negative", { label = "negative", score = 0.93 })
    check("negative", { score = -0.6 })
    check("negative", { score = 2, max = 5 })
    check("neutral", { score = 3, max = 5 })
    check("positive", { score = 9, max = 10 })
    check("negative", { negative = 0.8, neutral = 0.15, positive = 0.05 })
  end)

  it("says nothing where nothing is said", function()
    check(nil, "onbekend")
    check(nil, "")
    check(nil, 4) -- of what?
    check(nil, cjson.null)
    check(nil, {})
    assert.is_nil(sentiment.of { analysis = { samenvatting = "een negatief saldo" } })
    assert.is_nil(sentiment.of {})
    assert.is_nil(sentiment.of { analysis = "none" })
  end)

  it("finds it under its other names, and deeper", function()
    assert.equal("negative", sentiment.of { analysis = { stemming = "boos" } })
    assert.equal("negative", sentiment.of { analysis = { Sentiment = "negative" } })
    assert.equal("negative", sentiment.of { analysis = { klant = { sentiment = "negatief" } } })
    assert.equal("negative", sentiment.of { sentiment = "negative" })
  end)
end)

describe("negative_sentiment", function()
  it("schedules a callback in two hours and mails the colleague", function()
    local answer, world = kit.one(kit.payload "negative")
    assert.equal("done", answer.runs[rule].outcome)
    assert.equal(1, #world.callbacks)
    local c = world.callbacks[1]
    assert.equal("2026-06-12T14:00:00.000Z", c.due_at)
    assert.equal("laura.devries@bedrijf.nl", c.assignee)
    assert.equal("scheduled", c.status)
    assert.equal(1, #world.outbox)
    assert.equal("laura.devries@bedrijf.nl", world.outbox[1].to)
    assert.equal("callback", world.records.calls[answer.event.key].follow_up)
  end)

  it("waits for opening hours", function()
    local _, world = kit.one(kit.payload "negative", "2026-06-12T13:45:00Z")
    assert.equal("2026-06-15T07:00:00.000Z", world.callbacks[1].due_at)
  end)

  it("leaves a call alone that was not negative", function()
    local answer, world = kit.one(kit.payload "call_postprocess")
    assert.equal("skipped_when", answer.runs[rule].outcome)
    assert.equal(0, #world.callbacks)
    assert.equal(0, #world.outbox)
  end)

  it("follows up once when the same call is analysed again", function()
    local first = kit.payload "negative"
    local second = kit.payload("negative", { date = "2026-06-12T18:00:00.000Z" })
    local _, world = kit.try { first, second }
    assert.equal(1, #world.callbacks)
    assert.equal(1, #world.outbox)
  end)

  it("mails, but cannot call, a withheld number", function()
    local _, world = kit.one(with({ sentiment = "negatief" }, { remote_number = "anonymous" }))
    assert.equal(0, #world.callbacks)
    assert.equal(1, #world.outbox)
  end)

  it("calls back without a mail where no colleague is known", function()
    local answer, world = kit.one(with({ sentiment = "negatief" }, { user_email = cjson.null }))
    assert.equal("done", answer.runs[rule].outcome)
    assert.equal(1, #world.callbacks)
    assert.equal(0, #world.outbox)
  end)

  it("calls back even if the colleague's address is no address", function()
    local answer, world = kit.one(with({ sentiment = "negatief" }, { user_email = "laura at work" }))
    assert.equal("done", answer.runs[rule].outcome)
    assert.equal(1, #world.callbacks)
    assert.equal(0, #world.outbox)
  end)

  it("takes hostile names without harm", function()
    local _, world = kit.one(with({ sentiment = "negative" },
      { remote_name = "Eve\r\nBcc: victim@example.org" }))
    -- the subject would have a line break: the run fails at its line instead of sending two headers
    assert.equal(0, #world.outbox)
  end)
end)
