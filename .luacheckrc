-- What each folder's Lua files may use. The globals of rule files are made from the description of the
-- rule API: switchhook api --format luacheck --out docs/api
stds.rules = dofile "docs/api/luacheck.lua"

stds.config = { read_globals = { "env", "file", "string", "table", "math", "tostring", "tonumber", "ipairs",
  "pairs" } }

std = "lua54"
max_line_length = 120
files["rules"] = { std = "rules" }
files["scripts"] = { std = "rules" }
files["examples/**/rules"] = { std = "rules" }
files["examples/**/scripts"] = { std = "rules" }
files["**/*_spec.lua"] = { std = "lua54+busted" }
files["tests"] = { std = "lua54+busted" }
files["tests/spec/switchhook.lua"] = { std = "config" }
files["**/switchhook.lua"] = { std = "config" }
files["engine/lua"] = { std = "lua54" }
-- Descriptions in tables, a line each.
files["engine/lua/api_*.lua"] = { std = "lua54", max_line_length = 170 }
-- Annotations: empty functions with the names of the rule API.
files["docs/api/rule-api.lua"] = { std = "rules", ignore = { "121", "122", "142", "143", "212" }, max_line_length = false }
