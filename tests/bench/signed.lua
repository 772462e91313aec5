-- SPDX-License-Identifier: MIT
-- signed.lua: wrk's script for requests that were signed before: BENCH_BODY with another call_id in
-- each, and with it the headers that go with that body. BENCH_POOL is a file with one request a
-- line, its fields set apart by blanks, first the call_id; BENCH_HEADERS is lines "Name: value" in
-- which @2@ stands for the second field. Each field is of the same length in all lines. A thread takes
-- every BENCH_THREADS-th line. Making a request is joining some strings, whatever the scheme; when
-- the lines are used up they come again and are repeats, which the benchmark takes for a fault.
-- luacheck: globals wrk setup init request done part loadstring
local threads = tonumber(os.getenv "BENCH_THREADS")
local n_threads = 0
local text, line_bytes, at, make

function setup(thread)
  thread:set("part", n_threads)
  n_threads = n_threads + 1
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local all = f:read "*a"
  f:close()
  return all
end

-- A function of the pool's text and the place before a line that gives the request, compiled out of
-- the request as text in which @1@, @2@ .. are to be filled in.
local function compile(whole, first_line)
  local place, places = 1, {}
  for field in first_line:gmatch "%S+" do
    places[#places + 1] = ("text:sub(at + %d, at + %d)"):format(place, place + #field - 1)
    place = place + #field + 1
  end
  local code, from = {}, 1
  for before, field, after in whole:gmatch "()@(%d)@()" do
    code[#code + 1] = ("%q"):format(whole:sub(from, before - 1))
    code[#code + 1] = places[tonumber(field)]
    from = after
  end
  code[#code + 1] = ("%q"):format(whole:sub(from))
  return assert(loadstring("local text, at = ...; return " .. table.concat(code, " .. ")))
end

function init()
  local before, old, after = read(os.getenv "BENCH_BODY"):match '^(.-"call_id":%s*")([^"]*)(".*)$'
  assert(old and #old == 30, "BENCH_BODY has no call_id of 30 characters")
  wrk.headers["Content-Type"] = "application/json"
  for name, value in os.getenv "BENCH_HEADERS":gmatch "([^\n:]+): ([^\n]+)" do
    wrk.headers[name] = value
  end
  text = read(os.getenv "BENCH_POOL")
  local first = text:match "^[^\n]*"
  line_bytes = #first + 1
  assert(#text % line_bytes == 0, "the lines of BENCH_POOL are not of one length")
  local whole = wrk.format("POST", wrk.path, nil, before .. old .. after)
  make = compile(whole:sub(1, -(#after + #old + 1)) .. "@1@" .. after, first)
  at = part * line_bytes
end

function request()
  local here = at
  at = at + threads * line_bytes
  if at >= #text then at = part * line_bytes end
  return make(text, here)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d connect=%d read=%d write=%d "
    .. "status=%d timeout=%d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.connect, e.read, e.write, e.status, e.timeout))
end
