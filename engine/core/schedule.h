/* SPDX-License-Identifier: MIT
 * schedule.h: when a clock rule runs: "10 minutes", "18:00 mon-fri", cron's five fields. */
#ifndef SH_CORE_SCHEDULE_H
#define SH_CORE_SCHEDULE_H

#include "base/zone.h"

#define SH_SCHEDULE_TIMES 48 /* times of the day in one schedule */

struct sh_schedule {
    int64_t every_ms; /* an interval; 0: the rest holds */
    /* minutes of the day, rising; n_times 0: every minute of `minutes` in every hour of `hours` */
    int times[SH_SCHEDULE_TIMES];
    int n_times;
    /* bits: minute 0..59, hour 0..23, day 1..31, month 1..12, weekday 1..7 (Monday first) */
    uint64_t minutes;
    uint32_t hours, days, months, weekdays;
    bool any_day; /* cron: day of month or weekday is enough (neither begins with a star) */
};

/* Forms (capitals do not matter):
 *   "10 minutes", "90s", "1h30m", "every 2 hours", "day": at least 10 s, at most 366 days
 *   "18:00", "18:00 mon-fri", "9:00,13:30 sat sun", "08:00 mon,wed", "22:00 fri-mon"
 *   minute, hour, day, month, weekday: "0,30 8-18 1-7 * mon-fri", steps with a slash behind a
 *     star or a range, names jan..dec and mon..sun, 0 and 7 = Sunday (crontab(5))
 *   "@hourly", "@daily", "@midnight", "@weekly" (Sunday), "@monthly", "@yearly", "@annually"
 * False: the message says what was wrong and what is expected. */
bool sh_schedule_parse(const char *text, struct sh_schedule *out,
                       struct sh_error *err) SH_WARN_UNUSED;

/* The first time after after_ms (Unix milliseconds). Intervals count from anchor_ms: the next
 * anchor + k * every after after_ms. Local times: one that a gap skips comes once, at the end of
 * the gap, together with what is due then; one that occurs twice comes once, at its first.
 * 0: there is none within 8 years. */
int64_t sh_schedule_next(const struct sh_schedule *s, const struct sh_zone *z, int64_t anchor_ms,
                         int64_t after_ms);

#endif
