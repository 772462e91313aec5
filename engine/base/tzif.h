/* SPDX-License-Identifier: MIT
 * tzif.h: one time zone out of the bytes of a TZif file (RFC 8536), for zone.c and its tests. */
#ifndef SH_BASE_TZIF_H
#define SH_BASE_TZIF_H

#include "base/zone.h"

#define SH_TZIF_MAX_BYTES (64 * 1024) /* the largest file of the database has under 4 KiB */

/* A zone of that name from the bytes of a file, versions 1 to 4; the result owns copies. NULL: they
 * are no well-formed TZif, or one that counts leap seconds, and err says where. Any bytes are
 * safe. */
struct sh_zone *sh_tzif_parse(const char *name, const void *bytes, size_t n,
                              struct sh_error *err) SH_WARN_UNUSED;
/* A zone from a TZ string as in a TZif footer ("CET-1CEST,M3.5.0,M10.5.0/3"). */
struct sh_zone *sh_tzif_rule(const char *name, const char *text,
                             struct sh_error *err) SH_WARN_UNUSED;
void sh_tzif_free(struct sh_zone *z);

/* A stretch of time in which nothing changes: from <= t < to, in Unix seconds; INT64_MIN and
 * INT64_MAX where it has no end. */
struct sh_zone_span {
    int64_t from, to;
    struct sh_zone_info info;
};
/* The one that holds t. Times beyond +-2^55 are cut to that. */
void sh_zone_span_at(const struct sh_zone *z, int64_t t, struct sh_zone_span *out);

/* Days from 1970-01-01 to a date; month 1..12, any day. */
int64_t sh_civil_days(int64_t year, int month, int64_t day);

#endif
