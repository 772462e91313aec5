-- SPDX-License-Identifier: MIT
-- post.lua: wrk's script, the same for every peer. POSTs the body in the file BENCH_BODY with a
-- fresh random call_id of 30 characters in each request, so that no event is a repeat of another.
-- The counts come out as one line that begins with RESULT.
-- luacheck: globals wrk init request done
local alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
local random, concat = math.random, table.concat
local letters, id = {}, {}
local head, tail

local function seed()
  local f = assert(io.open("/dev/urandom", "rb"))
  local a, b, c, d = f:read(4):byte(1, 4)
  f:close()
  math.randomseed(((a * 256 + b) * 256 + c) * 256 + d)
end

function init()
  seed()
  for i = 1, #alphabet do letters[i] = alphabet:sub(i, i) end
  local f = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
  local body = f:read("*a")
  f:close()
  local before, old, after = body:match('^(.-"call_id":%s*")([^"]*)(".*)$')
  assert(old and #old == 30, "BENCH_BODY has no call_id of 30 characters")
  wrk.headers["Content-Type"] = "application/json"
  local whole = wrk.format("POST", wrk.path, nil, body)
  head = whole:sub(1, #whole - #body) .. before
  tail = after
end

function request()
  for i = 1, 30 do id[i] = letters[random(1, 36)] end
  return head .. concat(id) .. tail
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d connect=%d read=%d write=%d "
    .. "status=%d timeout=%d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.connect, e.read, e.write, e.status, e.timeout))
end
