-- What each folder's Lua files may use. The globals of rule files are made from the description of the
-- rule API: switchhook api --format luacheck --out docs/api
stds.rules = dofile "docs/api/luacheck.lua"

stds.config = { read_globals = { "env", "file", "string", "table", "math", "tostring", "tonumber", "ipairs",
  "pairs" } }

-- The kit that specs have (docs/testing.md).
local kit = {}
for name in ([[reset now set_now send advance http_reply deliver payload list eval effects records record callbacks
  outbox timers emails calls logs events runs rules any none null like containing one_of]]):gmatch "%S+" do
  kit[name] = {}
end
stds.kit = { read_globals = { hook = { fields = kit } } }

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
files["engine/app/project/new/rule.lua"] = { std = "rules" }
files["engine/app/project/new/rule_spec.lua"] = { std = "lua54+busted+kit", globals = { "SOURCE" } }
-- Descriptions in tables, a line each.
files["engine/lua/api_*.lua"] = { std = "lua54", max_line_length = 170 }
-- Annotations: empty functions with the names of the rule API.
files["docs/api/rule-api.lua"] = { std = "rules", ignore = { "121", "122", "142", "143", "212" }, max_line_length = false }
files["engine/app/project/new/*_spec.lua"] = { read_globals = { "ONE", "TWO", "SOURCE" } } -- filled in by new
