/* SPDX-License-Identifier: MIT
 * zone.h: time zones from the system's database (TZif, RFC 8536), read once into memory, so that a
 * process without files can use every zone. */
#ifndef SH_BASE_ZONE_H
#define SH_BASE_ZONE_H

#include "base/error.h"

#include <stdint.h>

struct sh_zone;

/* Read every zone below dir (NULL: $TZDIR, else /usr/share/zoneinfo). Once a process, before other
 * threads; a second call is a no-op. Never fails: what is no zone is left out, and "UTC" is always
 * there. Returns how many there are. */
size_t sh_zones_load(const char *dir);
/* The zones of this process as a file in memory (memfd, sealed) for a child that is to have no
 * files and is to start quickly; -1: it cannot be made, the child must read them itself. Made at
 * the first call, after sh_zones_load(); the descriptor stays this process's. */
int sh_zones_image(void);
/* In such a child, in place of sh_zones_load(): what that file holds. A zone is read when it is
 * asked for first, so this is for processes of one thread. False: fd holds no such image. fd may be
 * closed after it. */
bool sh_zones_open(int fd) SH_WARN_UNUSED;
/* "Europe/Amsterdam". NULL: there is none of that name. Lives as long as the process. Names are
 * compared as they are written. Thread-safe. */
const struct sh_zone *sh_zone_find(const char *name);
const char *sh_zone_name(const struct sh_zone *z);
/* The name nearest to a mistyped one, or NULL. */
const char *sh_zone_nearest(const char *name);
/* The machine's own zone by name: $TZ, else /etc/localtime's target, else /etc/timezone, else
 * "UTC". Static text. */
const char *sh_zone_system(void);

struct sh_zone_info {
    int32_t offset_s; /* local minus UTC */
    bool dst;
    char abbr[16];
};
/* What holds at that moment (Unix seconds). */
void sh_zone_at(const struct sh_zone *z, int64_t unix_s, struct sh_zone_info *out);

enum sh_local_kind { SH_LOCAL_PLAIN, SH_LOCAL_MISSING, SH_LOCAL_REPEATED };
/* The moment (Unix seconds) of a local time, given as the seconds since 1970-01-01T00:00:00 on the
 * local clock. A missing one (a gap) is the end of the gap, a repeated one its first. *kind may be
 * NULL. */
int64_t sh_zone_moment(const struct sh_zone *z, int64_t local_s, enum sh_local_kind *kind);
/* When the day begins there that is so many days behind the one of that moment (Unix seconds; 0:
 * that day): its first midnight, or where there is none the end of the gap. A day may have 23
 * hours, or 25. */
int64_t sh_zone_day(const struct sh_zone *z, int64_t unix_s, int days);

struct sh_civil { /* proleptic Gregorian */
    int64_t year;
    int month, day, hour, minute, second; /* month 1..12, day 1..31 */
    int weekday;                          /* 1 = Monday .. 7 = Sunday; out only */
    int yearday;                          /* 1..366; out only */
};
/* Local seconds and fields; month, day, hour.. out of range carry over (day 0 = the last of the
 * month before). */
int64_t sh_civil_seconds(const struct sh_civil *c);
void sh_civil_of(int64_t local_s, struct sh_civil *out);
/* "2026-10-25T09:00", "2026-10-25 09:00:30": all of text, a date and time that exist on a clock. */
bool sh_civil_parse(const char *text, struct sh_civil *out) SH_WARN_UNUSED;

#endif
