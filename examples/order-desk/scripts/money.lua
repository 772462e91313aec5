-- Amounts are whole cents. Integers of 64 bits stay exact all the way; fractions would not.
local money = {}

function money.total_cents(order)
  local total = 0
  for _, line in ipairs(order.lines) do
    total = total + line.quantity * line.price_cents
  end
  return total
end

function money.euros(cents)
  return ("EUR %d.%02d"):format(cents // 100, cents % 100)
end

return money
