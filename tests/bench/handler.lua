-- SPDX-License-Identifier: MIT
-- handler.lua: what nginx does with a body: decode, look at two fields, answer. LuaJIT, lua-cjson.
local cjson = require "cjson"
local ngx = ngx -- luacheck: globals ngx

return function()
  ngx.req.read_body()
  local ok, call = pcall(cjson.decode, ngx.req.get_body_data() or "")
  if not ok or type(call.event) ~= "string" or type(call.call_id) ~= "string" then
    ngx.status = 400
    return ngx.say '{"ok":false}'
  end
  ngx.say '{"ok":true}'
end
