-- When the team is there: what `require "hours"` goes by. Change it here.
--
--   A day:     "09:00-17:30", or several: { "09:00-12:00", "13:00-17:30" }.
--              "22:00-02:00" goes on after midnight; "00:00-24:00" is round the clock.
--              A day that is not named is closed.
--   zone:      "Europe/Amsterdam", .. ; without it the engine's own (`zone` in switchhook.lua).
--   holidays:  "2026-12-26" is closed that day, "12-25" each year;
--              ["2026-12-31"] = "09:00-13:00" has these hours instead of the usual ones.
return {
  mon = "09:00-17:30",
  tue = "09:00-17:30",
  wed = "09:00-17:30",
  thu = "09:00-17:30",
  fri = "09:00-17:30",

  holidays = {},
}
