-- SPDX-License-Identifier: MIT
-- page.lua: wrk's script for clients that page through a list of the API from its newest row to its
-- end, and again. Each connection carries on a walk that some connection has begun; there are always
-- as many walks as connections. A page that leads on and is empty or has too many rows, or that
-- neither leads on nor says that it is the last, counts as odd. (A short one is allowed: the engine
-- looks for a page's rows for a bounded time.)
-- luacheck: globals wrk init request response done setup pages rows walks odd
local threads = {}
local base, cursors, first, last, limit

function setup(thread)
  threads[#threads + 1] = thread
end

function init()
  pages, rows, walks, odd = 0, 0, 0, 0
  limit = tonumber(wrk.path:match "limit=(%d+)")
  base, cursors, first, last = wrk.path, {}, 1, 0
end

function request()
  local path = base
  if first <= last then
    path = base .. "&cursor=" .. cursors[first]
    cursors[first] = nil
    first = first + 1
  end
  return wrk.format("GET", path)
end

function response(status, _, body)
  if status ~= 200 then return end
  local tail = body:sub(-120)
  local cursor = tail:match '"next_cursor":"([^"]+)"}%s*$'
  local _, n = body:gsub('{"id":"', "")
  pages, rows = pages + 1, rows + n
  if cursor then
    last = last + 1
    cursors[last] = cursor
    if n == 0 or n > limit then odd = odd + 1 end
  else
    walks = walks + 1
    if not tail:find('"next_cursor":null}', 1, true) then odd = odd + 1 end
  end
end

function done(summary, latency)
  local e, sum = summary.errors, { pages = 0, rows = 0, walks = 0, odd = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + (thread:get(name) or 0) end
  end
  io.write(string.format(
    "RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d connect=%d read=%d write=%d "
    .. "status=%d timeout=%d pages=%d rows=%d walks=%d odd=%d\n", summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), latency.max, e.connect,
    e.read, e.write, e.status, e.timeout, sum.pages, sum.rows, sum.walks, sum.odd))
end
