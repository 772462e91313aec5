-- Who must never wait, and whose customer they are.
local vip = {}

local customers = {
  ["0301234567"] = { name = "Garage Bakker", manager = "sanne@example.org" },
  ["0201112233"] = { name = "Hotel Zeezicht", manager = "omar@example.org" },
}

-- One spelling for every way to write a number: "+31 (0)30 123 45 67" is "0301234567". nil if there
-- is nothing to dial (a withheld number).
function vip.number(number)
  local digits = tostring(number or ""):gsub("%(0%)", ""):gsub("[^%d%+]", "")
  digits = digits:gsub("^%+31", "0"):gsub("^0031", "0"):gsub("%D", "")
  return digits ~= "" and digits or nil
end

-- { name, manager }, or nil for everybody else.
function vip.find(number)
  return customers[vip.number(number) or ""]
end

return vip
