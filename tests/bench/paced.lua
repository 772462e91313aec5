-- SPDX-License-Identifier: MIT
-- paced.lua: wrk's script for a steady rate: each connection waits BENCH_WAIT_MS between its
-- requests (wrk does not count the wait as latency). Small events with fresh ids.
-- luacheck: globals wrk init request delay done
local wait, n, tag = tonumber(os.getenv "BENCH_WAIT_MS"), 0, nil

function init()
  local f = assert(io.open("/dev/urandom", "rb"))
  tag = f:read(9):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  f:close()
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  n = n + 1
  return wrk.format("POST", wrk.path, nil,
    ('{"event":"tick","call_id":"%s-%d","n":%d}'):format(tag, n, n))
end

function delay()
  return wait * (0.5 + math.random())
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d connect=%d read=%d write=%d "
    .. "status=%d timeout=%d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.connect, e.read, e.write, e.status, e.timeout))
end
