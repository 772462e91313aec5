-- SPDX-License-Identifier: MIT
-- post.lua: wrk's side: posts the sample call_postprocess, each time with a call_id never used
-- before, so that no event is a repeat. BENCH_BODY names the file with the sample. Ends with a line
-- `RESULT name=integer...`.
-- luacheck: globals wrk setup init request done prefix
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("prefix", ("%x-%d-"):format(os.time(), threads))
end

local head, before, after, count = nil, nil, nil, 0

function init()
  local file = assert(io.open(os.getenv "BENCH_BODY", "rb"))
  local body = file:read "*a"
  file:close()
  local from, to = body:find '"call_id"%s*:%s*"[^"]*"'
  before, after = body:sub(1, from - 1) .. '"call_id": "', '"' .. body:sub(to + 1)
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
  print(("RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d status=%d timeout=%d connect=%d "
    .. "read=%d write=%d"):format(summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.status, e.timeout, e.connect, e.read, e.write))
end
