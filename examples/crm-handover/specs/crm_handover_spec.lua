-- Look-ups with made-up answers, what the CRM said to a delivery, and time that passes.
local handover = "Hand the call to the CRM"
local bakker = { id = "C-17", name = "Garage Bakker", manager = "sanne@example.org" }

local n = 0
local function call(result)
  n = n + 1
  return hook.send(hook.payload("1-missed", { call_id = "call-" .. n, call_result = result or "Missed" }))
end

describe("the CRM", function()
  before_each(function()
    hook.http_reply("https://crm.example.org/api/customers*", { json = bakker })
  end)

  it("gets each call, with the customer and the token", function()
    call()
    assert.http_call { method = "POST", url = "https://crm.example.org/api/calls", rule = handover,
      json = { customer = "C-17", number = "0301234567", result = "Missed" },
      headers = { Authorization = "Bearer (secret CRM_TOKEN)" } }
  end)

  it("gets calls of unknown numbers too", function()
    hook.http_reply("*", { status = 404 })
    call()
    assert.http_call { json = { customer = hook.null } }
    assert.no.set_timer()
    assert.equal("no customer for 0301234567: status 404", hook.logs()[1].text)
  end)

  it("may be silent: the call is handed over all the same", function()
    hook.http_reply("*", { error = "no answer in time" })
    call()
    assert.ran(handover)
    assert.http_call { json = { customer = hook.null } }
  end)

  it("may refuse a call, and who looks after it hears of that", function()
    call()
    hook.deliver("https://crm.example.org/*", { status = 422, answer = '{"error":"number is not valid"}' })
    assert.sent_email { to = "it@example.org", subject = "The CRM did not take a call",
      text = hook.containing "number is not valid" }
  end)

  it("takes a call, and nobody hears of that", function()
    call()
    hook.deliver "https://crm.example.org/*"
    assert.no.sent_email()
  end)
end)

describe("a customer whom nobody answered", function()
  before_each(function()
    hook.http_reply("*/customers*", { json = bakker })
    call()
  end)

  it("waits two hours before their manager is told", function()
    assert.set_timer { name = "ring back C-17", type = "ring_back" }
    hook.advance "1h59m"
    assert.no.sent_email()
    hook.advance "1m"
    assert.sent_email { to = bakker.manager, subject = "Garage Bakker waits for a call" }
  end)

  it("does not wait any more once somebody has spoken to them", function()
    hook.advance "1h"
    call "Answered"
    hook.advance "3h"
    assert.no.sent_email()
  end)
end)
