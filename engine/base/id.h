/* SPDX-License-Identifier: MIT
 * id.h: event ids, UUID version 7 (RFC 9562 section 5.7): they sort by time of arrival.
 *
 * hi is 48 bits of Unix milliseconds, the version, and a 12-bit counter within the millisecond
 * (RFC 9562 section 6.2, method 1; a full counter borrows the next millisecond); lo is the
 * variant and 62 random bits. Within one process ids strictly increase. */
#ifndef SH_BASE_ID_H
#define SH_BASE_ID_H

#include "base/error.h"

#include <stdint.h>

struct sh_id {
    uint64_t hi, lo;
};

#define SH_ID_TEXT 37 /* 36 characters and a NUL */

struct sh_id_maker { /* not thread-safe: one per thread that makes ids */
    uint64_t last;   /* last order number handed out */
    uint64_t seed[2];
};

/* Start a maker. after_order: the largest order number already in use (0 for none), so that a
 * clock set back between two runs cannot make ids that sort before stored ones.
 * seed: 16 random bytes. */
void sh_id_maker_init(struct sh_id_maker *m, int64_t after_order, const uint8_t seed[16]);
struct sh_id sh_id_next(struct sh_id_maker *m, int64_t now_ms);
/* 60-bit order number, milliseconds << 12 | counter: positive, sorts as the id does. */
int64_t sh_id_order(struct sh_id id);
int64_t sh_id_ms(struct sh_id id);
static inline bool sh_id_eq(struct sh_id a, struct sh_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}
/* Canonical lower-case text into out; returns out. */
const char *sh_id_text(struct sh_id id, char out[SH_ID_TEXT]);
/* Canonical text of a version 7 UUID; false for anything else. */
bool sh_id_parse(const char *text, size_t len, struct sh_id *id) SH_WARN_UNUSED;

#endif
