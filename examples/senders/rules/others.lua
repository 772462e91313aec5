-- What is particular to one sender.
rule "Pushes" {
  on = "push", -- the type of GitHub's events is in a header
  run = function(push, envelope)
    records.put("pushes", push.after, {
      repository = get(push, "repository.full_name"),
      repository_id = get(push, "repository.id"),
      by = get(push, "pusher.name"),
      commits = #(push.commits or {}),
      source = envelope.source,
    })
  end,
}

rule "Handed over" {
  on = "call.handed_over", -- by a voice assistant: somebody is to call back within half an hour
  run = function(event)
    callback {
      number = event.data.number,
      name   = event.data.name,
      due    = now() + 30 * minute,
      reason = event.data.reason,
    }
  end,
}
