-- SPDX-License-Identifier: MIT
-- The pictures of the console can be taken (./dev screenshots writes them into docs/console).
local lfs = require "lfs"
local screenshots = require "tests.browser.screenshots"
local support = require "tests.e2e.support"

describe("the pictures of the console", function()
  it("are one for each page, scheme and device, and not large", function()
    local made = screenshots.take "build/console-pictures"
    assert.is_true(#made >= 4 * 11 + 7 * 2)
    for _, name in ipairs(made) do
      local path = "build/console-pictures/" .. name
      assert.equal("\137PNG", support.read_file(path):sub(1, 4))
      local size = lfs.attributes(path, "size")
      assert.is_true(size > 2000 and size < 300 * 1024, name .. ": " .. size)
    end
  end)
end)
