-- SPDX-License-Identifier: MIT
-- post.lua: wrk's side: posts the sample call_postprocess, each time with a call_id never used
-- before, so that no event is a repeat. usage: wrk -s post.lua URL -- PAYLOAD_FILE PREFIX
-- luacheck: globals wrk setup init request done
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local head, before, after, prefix, count

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read "*a"
  file:close()
  local from, to = body:find '"call_id"%s*:%s*"[^"]*"'
  before, after = body:sub(1, from - 1) .. '"call_id": "', '"' .. body:sub(to + 1)
  prefix, count = ("%s%d"):format(args[2], number), 0 -- luacheck: globals number
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nContent-Type: application/json\r\nContent-Length: " ..
    #before + 30 + #after .. "\r\n\r\n"
end

function request()
  count = count + 1
  return head .. before .. prefix .. ("%0" .. 30 - #prefix .. "d"):format(count) .. after
end

function done(summary, latency)
  local e = summary.errors
  io.write(('\n{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,' ..
    '"errors":%d}\n'):format(summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
