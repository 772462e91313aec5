-- Each action point of a call's analysis becomes a task: a record in the collection `tasks`, with the
-- call's id and the point's place in the list as its id, so that a repeat does not double it.
local analysis = require "analysis"
local phone = require "phone"

rule "Tasks from action points" {
  on = "call_postprocess",
  when = function(call) return #analysis.action_items(call) > 0 end,
  run = function(call, event)
    for n, item in ipairs(analysis.action_items(call)) do
      local id = call.call_id .. "-" .. n
      local known = records.get("tasks", id)
      if not known then
        records.put("tasks", id, {
          call_id = call.call_id,
          text = item.text,
          owner = item.owner or phone.text(call.user_email),
          due = item.due,
          customer = phone.text(call.remote_name),
          number = phone.text(call.remote_number),
          status = "open",
          created_at = event.received_at,
        })
      elseif known.text ~= item.text then -- analysed again: what was done stays done
        records.patch("tasks", id, { text = item.text })
      end
    end
  end,
}
