-- SPDX-License-Identifier: MIT
-- screenshots.lua: a picture of every page of the console with a day on it (day.lua), light and dark, on a
-- desk and on a phone, and of each page with nothing on it.
--
--   lua5.4 tests/browser/screenshots.lua FOLDER       (./dev screenshots: into docs/console)
local browser = require "tests.e2e.browser"
local console = require "tests.browser.console"
local day = require "tests.browser.day"
local support = require "tests.e2e.support"

local screenshots = {}

local RULE = "Call back after a negative call"
local schemes, devices = { "light", "dark" }, { "desk", "phone" }

-- What is done on a page before its picture is taken, and what its address has besides.
local prepare, asked = {}, { graphs = "?range=6h" }

function prepare.playground(page)
  page:click "playground-run"
  page:wait("playground-result", 15)
end

-- Write what the page looks like, with as few colours as do.
local function take(page, path)
  page:js "document.activeElement.blur(); scrollTo(0, 0);"
  page:js_async [[
    var done = arguments[arguments.length - 1];
    document.fonts.ready.then(function () { requestAnimationFrame(function () { setTimeout(done, 50); }); });]]
  page:screenshot(path)
  os.execute(("command -v pngquant >/dev/null && pngquant --force --skip-if-larger --speed 1 --quality 70-95" ..
    " --strip --output %s %s"):format(support.quote(path), support.quote(path)))
end

-- Takes them all; returns the names of the files.
function screenshots.take(folder)
  assert(os.execute("mkdir -p " .. support.quote(folder)))
  local made = {}
  local function picture(page, name)
    made[#made + 1] = name .. ".png"
    take(page, folder .. "/" .. name .. ".png")
  end
  local world = day.start()
  asked.playground = "?event=" .. world.event
  local page = browser.open { zone = day.zone }
  page:cdp("Page.addScriptToEvaluateOnNewDocument", { source = world:page_clock() })
  page:go(console.url(world.engine))
  for _, scheme in ipairs(schemes) do
    for _, device in ipairs(devices) do
      page:device(device):media { ["prefers-color-scheme"] = scheme }
      page:wait "login-form"
      picture(page, ("login-%s-%s"):format(scheme, device))
    end
  end
  console.log_in(page, world.token)
  for _, place in ipairs(console.places) do
    console.visit(page, world.engine, console.path(place, world.event, RULE) .. (asked[place.name] or ""))
    if prepare[place.name] then prepare[place.name](page) end
    for _, scheme in ipairs(schemes) do
      for _, device in ipairs(devices) do
        page:device(device):media { ["prefers-color-scheme"] = scheme }
        picture(page, ("%s-%s-%s"):format(place.name, scheme, device))
      end
    end
    page:device "desk"
  end
  page:no_problems()
  page:close()
  world:close()

  local engine = support.engine()
  page = console.open(engine, "/console")
  for _, name in ipairs { "calls", "events", "callbacks", "deliveries", "dead", "playground", "graphs" } do
    for _, place in ipairs(console.places) do
      if place.name == name then console.visit(page, engine, place.path) end
    end
    for _, device in ipairs(devices) do
      page:device(device)
      picture(page, ("empty-%s-%s"):format(name, device))
    end
    page:device "desk"
  end
  page:no_problems()
  console.close { page = page, engine = engine }
  return made
end

if arg and arg[0] and arg[0]:match "screenshots%.lua$" then
  local folder = assert(arg[1], "usage: lua5.4 tests/browser/screenshots.lua FOLDER")
  print(#screenshots.take(folder) .. " pictures in " .. folder)
end

return screenshots
