-- The warehouse wants to know of a large order before the picking list arrives.
local money = require "money"

local LIMIT_CENTS = 250000

rule "Tell the warehouse of a large order" {
  on   = "order",
  when = function(order) return money.total_cents(order) > LIMIT_CENTS end,
  run  = function(order)
    local lines = {}
    for i, line in ipairs(order.lines) do
      lines[i] = line.quantity .. " x " .. line.sku
    end
    order.total = money.euros(money.total_cents(order)) -- `order` is the run's own copy
    order.list = table.concat(lines, "\n")
    email {
      to      = "warehouse@example.org",
      subject = "Large order {{order_id}}: {{total}}",
      text    = "{{customer}} ordered for {{total}}:\n\n{{list}}\n",
      with    = order,
    }
  end,
}
