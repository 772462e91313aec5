-- What each folder's Lua files may use. The first list is also the index of the rule API
-- (docs/rules.md explains each name).
local function fields(names)
  local t = {}
  for name in names:gmatch("%S+") do t[name] = {} end
  return { fields = t }
end

stds.rules = {
  read_globals = {
    -- defining
    "rule", "require",
    -- looking at the event
    "get", "copy", "json",
    -- time
    "now", "duration", "second", "minute", "hour", "day",
    time = fields "parts of text parse format zone offset",
    -- effects
    "callback", "email", "emit", "after", "cancel", "secret",
    callbacks = fields "done cancel snooze reassign answered",
    http = fields "post put patch delete get escape",
    records = fields "put patch delete incr get find",
    -- texts and lines
    "template", "print",
    log = fields "info warn error",
    -- from Lua
    "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "select",
    "setmetatable", "tonumber", "tostring", "type", "xpcall", "_VERSION",
    string = fields [[byte char find format gmatch gsub len lower match pack packsize rep reverse
      sub unpack upper]],
    table = fields "concat insert move pack remove sort unpack",
    math = fields [[abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min
      mininteger modf pi rad random sin sqrt tan tointeger type ult]],
    utf8 = fields "char charpattern codepoint codes len offset",
    coroutine = fields "close create isyieldable resume running status wrap yield",
  },
}

stds.config = { read_globals = { "env", "file", "string", "table", "math", "tostring", "tonumber", "ipairs",
  "pairs" } }

-- The kit that specs have (docs/testing.md).
stds.kit = {
  read_globals = {
    hook = fields [[reset now set_now send advance http_reply deliver payload list eval effects records record
      callbacks outbox timers emails calls logs events runs rules any none null like containing one_of]],
  },
}

std = "lua54"
max_line_length = 120
files["rules"] = { std = "rules" }
files["scripts"] = { std = "rules" }
files["examples/**/rules"] = { std = "rules" }
files["examples/**/scripts"] = { std = "rules" }
files["**/*_spec.lua"] = { std = "lua54+busted+kit" }
files["tests"] = { std = "lua54+busted+kit" }
files["tests/spec/switchhook.lua"] = { std = "config" }
files["**/switchhook.lua"] = { std = "config" }
files["engine/lua"] = { std = "lua54" }
files["engine/lua/kit*.lua"] = { std = "lua54", globals = { "hook", "os.exit" } }
-- Annotations: empty functions with the names of the kit.
files["engine/app/project/.luals/hook.lua"] = { ignore = { "111", "112", "212" }, max_line_length = false }
files["engine/app/project/.luacheckrc"] = { ignore = { "111", "112", "113" } }
files["engine/app/project/new/rule.lua"] = { std = "rules" }
files["engine/app/project/new/rule_spec.lua"] = { std = "lua54+busted+kit", globals = { "SOURCE" } }
