#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# hours_oracle.py: what scripts/hours.lua must answer around the changes of clocks, worked out minute
# by minute with Python's zoneinfo and nothing of the engine's. Prints a JSON list of cases.
import datetime
import json
import sys
import zoneinfo

AHEAD = 20 * 1440  # minutes behind a case's window that are looked at
STEP = 5           # minutes between two questions after next_open, next_close and add
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

# Both change-over days of each zone. Kathmandu has had one change, in 1986; two ordinary days.
PLACES = [
    ("Europe/Amsterdam", ["2026-03-29", "2026-10-25"]),
    ("America/New_York", ["2026-03-08", "2026-11-01"]),
    ("Australia/Lord_Howe", ["2026-04-05", "2026-10-04"]),
    ("Africa/Cairo", ["2026-04-24", "2026-10-29", "2026-10-30"]),
    ("Asia/Kathmandu", ["1986-01-01", "2026-03-29", "2026-10-25"]),
]


def every_day(hours):
    return {day: hours for day in DAYS}


def calendars(date):
    day = datetime.date.fromisoformat(date)
    before = day - datetime.timedelta(days=1)
    return {
        "night": every_day("01:30-03:15"),
        "round": every_day("00:00-24:00"),
        "office": every_day("09:00-17:30"),
        "weekdays": {d: "09:00-17:30" for d in DAYS[:5]},
        "over": every_day("22:00-02:15"),
        "midnight": every_day(["23:30-00:15", "00:45-02:30", "12:00-24:00"]),
        "gap": every_day(["02:10-02:20", "00:10-00:50"]),
        "holiday": dict(every_day("22:00-02:30"), holidays={
            date: ["01:45-02:45", "09:00-12:00"], before.strftime("%m-%d"): "closed"}),
    }


def minutes(text):
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def ranges(value):
    """The hours of a day as (from, to) in minutes; to is past 1440 after midnight."""
    if value in (None, "closed"):
        return []
    out = []
    for text in [value] if isinstance(value, str) else value:
        a, b = (minutes(part) for part in text.split("-"))
        out.append((a, b if b > a else b + 1440))
    return out


def hours_of(cal, date):
    special = cal.get("holidays", {})
    for key in (date.isoformat(), date.strftime("%m-%d")):
        if key in special:
            return ranges(special[key])
    return ranges(cal.get(DAYS[date.weekday()]))


class Day:
    """The answers of a calendar for a date, remembered."""

    def __init__(self, cal):
        self.cal, self.known = cal, {}

    def open(self, local):
        date = local.date()
        if date not in self.known:
            own = hours_of(self.cal, date)
            before = hours_of(self.cal, date - datetime.timedelta(days=1))
            self.known[date] = own + [(a - 1440, b - 1440) for a, b in before]
        at = local.hour * 60 + local.minute
        return any(a <= at < b for a, b in self.known[date])


def moment(local, tz):
    """Unix time of a local time: the first of two, the end of the gap for one that is skipped."""
    t = int(local.replace(tzinfo=tz, fold=0).timestamp())
    if datetime.datetime.fromtimestamp(t, tz).replace(tzinfo=None) == local:
        return t
    t -= 7200
    while datetime.datetime.fromtimestamp(t, tz).replace(tzinfo=None) <= local:
        t += 60
    return t


def add_days(cal, tz, n, t, opens):
    """opens(t): the first open moment from t on."""
    local = datetime.datetime.fromtimestamp(opens(t), tz).replace(tzinfo=None)
    while n > 0:
        local += datetime.timedelta(days=1)
        n -= bool(hours_of(cal, local.date()))
    return opens(moment(local, tz))


def expect(cal, tz, start, count, locals_):
    day = Day(cal)
    is_open = [day.open(local) for local in locals_]
    total = len(is_open)
    next_open, next_close = [0] * total, [0] * total
    for i in range(total - 2, -1, -1):
        next_open[i] = start + i * 60 if is_open[i] else next_open[i + 1]
        closes = is_open[i] and not is_open[i + 1]
        next_close[i] = start + (i + 1) * 60 if closes else next_close[i + 1]
    ends = [i + 1 for i in range(total) if is_open[i]]  # of each open minute
    before = [0] * (total + 1)
    for i in range(total):
        before[i + 1] = before[i] + is_open[i]
    asked = range(0, count, STEP)

    def opens(t):
        return next_open[(t - start) // 60]

    return {
        "open": "".join("1" if o else "0" for o in is_open[:count]),
        "next_open": [next_open[i] for i in asked],
        "next_close": [next_close[i] for i in asked],
        "add_2_hours": [start + 60 * ends[before[i] + 119] for i in asked],
        "add_3_days": [add_days(cal, tz, 3, start + i * 60, opens) for i in asked],
    }


def cases():
    for zone, dates in PLACES:
        tz = zoneinfo.ZoneInfo(zone)
        for date in dates:
            first = datetime.datetime.fromisoformat(date) - datetime.timedelta(days=1)
            start = moment(first, tz)
            count = (moment(first + datetime.timedelta(days=3), tz) - start) // 60
            stamps = range(start, start + 60 * (count + AHEAD), 60)
            locals_ = [datetime.datetime.fromtimestamp(t, tz) for t in stamps]
            for name, cal in calendars(date).items():
                yield {
                    "name": f"{zone} {date} {name}", "zone": zone, "from": start,
                    "minutes": count, "step": STEP, "calendar": cal,
                    "expect": expect(cal, tz, start, count, locals_),
                }


json.dump(list(cases()), sys.stdout)
