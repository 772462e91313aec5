local function missed(number)
  hook.send(hook.payload("missed", { remote_number = number, remote_name = "Caller" }))
end

describe("a missed call", function()
  it("of a VIP is called back within 15 minutes, by their manager", function()
    missed "+31 (0)30 123 45 67"
    assert.scheduled_callback { number = "0301234567", name = "Garage Bakker", assignee = "sanne@example.org",
      due = hook.now() + 15 * 60 }
    assert.sent_email { to = "sanne@example.org", text = hook.containing "within 15 minutes" }
    assert.skipped "Call anybody else back"
  end)

  it("of anybody else within four hours, by the colleague", function()
    missed "0612345678"
    assert.scheduled_callback { number = "0612345678", assignee = "laura.devries@bedrijf.nl",
      due = hook.now() + 4 * 3600 }
    assert.no.sent_email()
  end)

  it("of a withheld number cannot be called back", function()
    missed "anonymous"
    assert.no_effects()
  end)
end)

describe("scripts/vip.lua", function()
  it("knows a number however it is written", function()
    for _, number in ipairs { "0301234567", "+31301234567", "0031 30 123 4567", "+31 (0)30 123 45 67" } do
      assert.equal("Garage Bakker", hook.eval([[require("vip").find(args.number).name]], { number = number }))
    end
    assert.is_nil(hook.eval [[require("vip").find "0612345678"]])
  end)
end)
