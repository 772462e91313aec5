#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# zone_oracle.py: local times around the changes of every zone, by Python's zoneinfo. Each line:
#   zone local-seconds kind(0 plain, 1 missing, 2 repeated) unix-seconds
import datetime
import sys
import zoneinfo

EPOCH = datetime.datetime(1970, 1, 1)
UTC = datetime.timezone.utc


def offset(tz, t):
    return int(datetime.datetime.fromtimestamp(t, UTC).astimezone(tz).utcoffset().total_seconds())


def changes(tz, first, last):
    """Times at which the offset changes, found by halving steps of two days."""
    step = 48 * 3600
    for low in range(first, last, step):
        high = low + step
        if offset(tz, low) == offset(tz, high):
            continue
        while high - low > 1:
            mid = (low + high) // 2
            if offset(tz, mid) == offset(tz, low):
                low = mid
            else:
                high = mid
        yield high


def answer(tz, local, change):
    """zoneinfo's, told apart by what its answer reads on the clock."""
    moments = []
    for fold in (0, 1):
        t = int((EPOCH + datetime.timedelta(seconds=local)).replace(tzinfo=tz, fold=fold).timestamp())
        if t + offset(tz, t) == local and t not in moments:
            moments.append(t)
    if not moments:
        return 1, change
    return (2 if len(moments) == 2 else 0), min(moments)


def main():
    years = [int(y) for y in sys.argv[1:]]
    for name in sorted(zoneinfo.available_timezones()):
        if name == "localtime":
            continue
        tz = zoneinfo.ZoneInfo(name)
        for year in years:
            first = int(datetime.datetime(year, 1, 1, tzinfo=UTC).timestamp())
            for change in changes(tz, first, first + 366 * 86400):
                before, after = offset(tz, change - 1), offset(tz, change)
                edges = {change + before, change + after}
                for local in sorted({e + d for e in edges for d in (-3600, -60, -1, 0, 1, 60, 1799, 1800, 3599)}):
                    print(name, local, *answer(tz, local, change))


main()
