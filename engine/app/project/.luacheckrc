-- What luacheck lets the files of this folder use. The rule API comes from switchhook itself:
-- switchhook api --format luacheck > .luals/luacheck.lua
stds.rules = dofile ".luals/luacheck.lua"
stds.kit = { read_globals = { "hook" } }
stds.config = { read_globals = { "env", "file", "string", "table", "math", "tostring", "tonumber", "ipairs", "pairs" } }

std = "lua54"
max_line_length = 120
exclude_files = { ".luals", "var" }
files["rules"] = { std = "rules" }
files["scripts"] = { std = "rules" }
files["switchhook.lua"] = { std = "config" }
files["**/*_spec.lua"] = { std = "lua54+busted+kit" }
