-- What "NAME" (rules/SLUG.lua) is meant to do. What a spec can ask: docs/testing.md of switchhook.
describe("NAME", function()
  it("notes an incoming call", function()
    hook.send({ ONE, direction = "incoming" }, SOURCE)
    assert.ran "NAME"
    assert.record("SLUG", "1").has { seen = true }
  end)

  it("leaves outgoing calls alone", function()
    hook.send({ TWO, direction = "outgoing" }, SOURCE)
    assert.skipped "NAME"
    assert.no_record("SLUG", "2")
  end)
end)
