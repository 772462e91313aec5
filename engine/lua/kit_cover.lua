-- SPDX-License-Identifier: MIT
-- kit_cover.lua: which lines of the rules ran: a table for people, an lcov file for tools.
local native = require "switchhook.native"

local cover = {}

-- { 1, 2, 3, 7 } as "1-3, 7".
local function ranges(lines)
  local parts, i = {}, 1
  while i <= #lines do
    local last = i
    while lines[last + 1] == lines[last] + 1 do last = last + 1 end
    parts[#parts + 1] = last == i and tostring(lines[i]) or lines[i] .. "-" .. lines[last]
    i = last + 1
  end
  return table.concat(parts, ", ")
end

local function missed(file)
  local lines = {}
  for i, line in ipairs(file.lines) do
    if file.hits[i] == 0 then lines[#lines + 1] = line end
  end
  return lines
end

local function percent(hit, all)
  return all == 0 and 100 or math.floor(1000 * hit / all) / 10
end

local function print_table(files)
  local hit, all = 0, 0
  io.stdout:write "\nCoverage\n"
  for _, file in ipairs(files) do
    local lost = missed(file)
    local n = #file.lines
    hit, all = hit + n - #lost, all + n
    io.stdout:write(("  %5.1f %%  %s%s\n"):format(percent(n - #lost, n), file.path,
      #lost > 0 and "  not run: " .. ranges(lost) or ""))
  end
  io.stdout:write(("  %5.1f %%  in all, %d of %d lines\n"):format(percent(hit, all), hit, all))
end

local function write_lcov(files, path)
  local f, why = io.open(path, "w")
  if not f then error("--coverage-out " .. why, 0) end
  f:write "TN:\n"
  for _, file in ipairs(files) do
    local hit = 0
    f:write("SF:", file.path, "\n")
    for i, line in ipairs(file.lines) do
      if file.hits[i] > 0 then hit = hit + 1 end
      f:write(("DA:%d,%d\n"):format(line, file.hits[i]))
    end
    f:write(("LF:%d\nLH:%d\nend_of_record\n"):format(#file.lines, hit))
  end
  f:close()
end

-- Say what was covered; json: as a line of JSON.
function cover.report(options)
  local files, why = native.ask "coverage"
  if not files then error(why, 0) end
  if options.coverage_out then write_lcov(files, options.coverage_out) end
  if options.json then
    io.stdout:write(native.encode { coverage = files }, "\n")
  elseif options.output then
    return
  else
    print_table(files)
  end
end

return cover
