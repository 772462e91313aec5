-- One record per order. Orders have no key, so revisions may be handled in any order: an older one
-- changes nothing. (Two at once are safe: when a record that a run has read changes meanwhile, the
-- run starts again.)
local money = require "money"

rule "Keep the order" {
  on  = "order",
  run = function(order, event)
    local known = records.get("orders", order.order_id)
    if known and known.revision >= order.revision then
      log.info("revision", order.revision, "was overtaken by", known.revision)
      return
    end
    records.put("orders", order.order_id, {
      revision    = order.revision,
      customer    = order.customer,
      lines       = order.lines,
      total_cents = money.total_cents(order),
      received_at = event.received_at,
    })
  end,
}
