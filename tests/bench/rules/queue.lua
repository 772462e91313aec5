-- luacheck: std rules
-- SPDX-License-Identifier: MIT
-- queue: another source's events. Does not match the sample's type.
rule "Follow the queue" {
  on  = { "queue_entered", "queue_left" },
  run = function(item, event)
    records.patch("queue", item.call_id, { state = event.type, at = event.received_at })
  end,
}
