-- What a team sets for the shipped rules. Opening hours are in opening_hours.lua.
return {
  -- Escalations, repeat callers and the daily digest go to this address; nil: escalations go to the
  -- colleague alone, the others are not sent.
  team_lead = nil, -- "lead@example.org"

  -- Where "0612345678" and "+31612345678" both occur for one number: the country's code.
  country = nil, -- "31"

  -- A text message to a caller whom nobody answered. Off until url is set.
  text_back = {
    url = nil, -- "https://sms.example.org/messages"
    token = nil, -- secret "SMS_TOKEN": goes into the header Authorization, as Bearer ...
    text = "You called us and we missed it. We will call you back as soon as we can.",
    again_after = 4 * hour, -- one message a caller in this time
    quiet = { from = "21:00", to = "08:00" }, -- nothing is sent in between; it waits
    opt_out = {}, -- numbers that never get one: { "+31612345678" }
  },

  -- Nobody has called back after a missed call: reminders, in opening hours.
  escalation = { first = 15 * minute, second = 60 * minute },

  -- So many calls of one number within a day are worth a look.
  repeat_caller = { calls = 3, within = 24 * hour },
}
