-- SPDX-License-Identifier: MIT
-- signed.lua: wrk's script for requests that were signed before: BENCH_BODY with another call_id in
-- each, and with it the headers that go with that body. BENCH_POOL is a file with one request a
-- line, its fields set apart by blanks, first the call_id; BENCH_HEADERS is lines "Name: value" in
-- which @2@ stands for the second field. A thread takes every BENCH_THREADS-th line. Making a
-- request is joining some strings, whatever the scheme; when the lines are used up they come again
-- and are repeats, which the benchmark takes for a fault.
-- luacheck: globals wrk setup init request done part
local threads = tonumber(os.getenv "BENCH_THREADS")
local pieces, fields, lines, n_lines, at = {}, {}, {}, 0, 0
local n_threads = 0

function setup(thread)
  thread:set("part", n_threads)
  n_threads = n_threads + 1
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

-- The request as text in which @1@, @2@ .. are to be filled in, cut at these places.
local function cut(text)
  local from = 1
  for before, field, after in text:gmatch "()@(%d)@()" do
    pieces[#pieces + 1] = text:sub(from, before - 1)
    fields[#pieces + 1] = tonumber(field)
    pieces[#pieces + 1] = ""
    from = after
  end
  pieces[#pieces + 1] = text:sub(from)
end

function init()
  local before, old, after = read(os.getenv "BENCH_BODY"):match '^(.-"call_id":%s*")([^"]*)(".*)$'
  assert(old and #old == 30, "BENCH_BODY has no call_id of 30 characters")
  wrk.headers["Content-Type"] = "application/json"
  for name, value in os.getenv "BENCH_HEADERS":gmatch "([^\n:]+): ([^\n]+)" do
    wrk.headers[name] = value
  end
  local whole = wrk.format("POST", wrk.path, nil, before .. old .. after)
  cut(whole:sub(1, -(#after + #old + 1)) .. "@1@" .. after)
  local i = 0
  for line in io.lines(os.getenv "BENCH_POOL") do
    if i % threads == part then
      local row = {}
      for field in line:gmatch "%S+" do row[#row + 1] = field end
      n_lines = n_lines + 1
      lines[n_lines] = row
    end
    i = i + 1
  end
end

function request()
  at = at % n_lines + 1
  local row = lines[at]
  for place, field in pairs(fields) do pieces[place] = row[field] end
  return table.concat(pieces)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d us=%d p50_us=%d p99_us=%d max_us=%d connect=%d read=%d write=%d "
    .. "status=%d timeout=%d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.connect, e.read, e.write, e.status, e.timeout))
end
