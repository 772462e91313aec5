-- SPDX-License-Identifier: MIT
local rule = "Call back after a negative call"
local colleague = "laura.devries@bedrijf.nl"

local function with(analysis, changes)
  changes = changes or {}
  changes.analysis = analysis
  return hook.send(hook.payload("call_postprocess", changes))
end

-- What scripts/sentiment.lua makes of a call.
local function sentiment(call)
  return hook.eval([[require("sentiment").of(args)]], call)
end

describe("sentiment.of", function()
  local function check(expected, value)
    assert.equal(expected, sentiment { analysis = { sentiment = value } })
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
    check(nil, hook.null)
    check(nil, {})
    assert.is_nil(sentiment { analysis = { samenvatting = "een negatief saldo" } })
    assert.is_nil(sentiment {})
    assert.is_nil(sentiment { analysis = "none" })
  end)

  it("finds it under its other names, and deeper", function()
    assert.equal("negative", sentiment { analysis = { stemming = "boos" } })
    assert.equal("negative", sentiment { analysis = { Sentiment = "negative" } })
    assert.equal("negative", sentiment { analysis = { klant = { sentiment = "negatief" } } })
    assert.equal("negative", sentiment { sentiment = "negative" })
  end)
end)

describe("negative_sentiment", function()
  it("schedules a callback in two hours and mails the colleague", function()
    local happened = hook.send(hook.payload "negative")
    assert.ran(rule)
    assert.scheduled_callback { due = "2026-06-12 16:00", assignee = colleague }
    assert.equal("scheduled", hook.callbacks()[1].status)
    assert.equal(1, #hook.callbacks())
    assert.sent_email { to = colleague, rule = rule }
    assert.equal(1, #hook.outbox())
    assert.record("calls", happened.event.key).has { follow_up = "callback" }
  end)

  it("waits for opening hours", function()
    hook.set_now "2026-06-12 15:45"
    hook.send(hook.payload "negative")
    assert.scheduled_callback { due = "2026-06-15 09:00" }
  end)

  it("leaves a call alone that was not negative", function()
    local happened = hook.send(hook.payload "call_postprocess")
    assert.skipped(rule, "when")
    assert.skipped(rule, 'analysis.sentiment = "neutral"') -- what its condition looked at
    assert.equal("false", happened.runs[rule].when.returned)
    assert.no_effects(rule)
    assert.same({}, hook.callbacks())
    assert.same({}, hook.outbox())
  end)

  it("follows up once when the same call is analysed again", function()
    hook.send(hook.payload "negative")
    hook.send(hook.payload("negative", { date = "2026-06-12T18:00:00.000Z" }))
    assert.equal(1, #hook.callbacks())
    assert.equal(1, #hook.outbox())
  end)

  it("mails, but cannot call, a withheld number", function()
    with({ sentiment = "negatief" }, { remote_number = "anonymous" })
    assert.no.scheduled_callback()
    assert.equal(1, #hook.outbox())
  end)

  it("calls back without a mail where no colleague is known", function()
    with({ sentiment = "negatief" }, { user_email = hook.null })
    assert.ran(rule)
    assert.scheduled_callback()
    assert.no.sent_email()
  end)

  it("calls back even if the colleague's address is no address", function()
    with({ sentiment = "negatief" }, { user_email = "laura at work" })
    assert.ran(rule)
    assert.scheduled_callback()
    assert.no.sent_email()
  end)

  it("takes hostile names without harm", function()
    with({ sentiment = "negative" }, { remote_name = "Eve\r\nBcc: victim@example.org" })
    assert.sent_email { subject = "Please call Eve  Bcc: victim@example.org back" } -- one line, one header
  end)
end)
