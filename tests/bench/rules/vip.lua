-- luacheck: std rules
-- SPDX-License-Identifier: MIT
-- vip: a callback within the quarter for a handful of numbers. Does not match the sample.
local VIP = { ["0201234567"] = "Praktijk Jansen", ["0101112233"] = "Garage Bakker" }

rule "Call important customers back soon" {
  on   = "call_stop",
  when = function(call) return VIP[call.remote_number] and call.call_result ~= "Answered" end,
  run  = function(call)
    callback { number = call.remote_number, name = VIP[call.remote_number], due = now() + 15 * minute }
  end,
}
