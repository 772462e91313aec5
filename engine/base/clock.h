/* SPDX-License-Identifier: MIT
 * clock.h: wall and monotonic time, and RFC 3339 text. */
#ifndef SH_BASE_CLOCK_H
#define SH_BASE_CLOCK_H

#include "base/error.h"

#include <stdint.h>

/* Milliseconds since 1970-01-01T00:00:00Z (CLOCK_REALTIME). */
int64_t sh_now_ms(void);
/* Microseconds of CLOCK_MONOTONIC; only differences mean something. */
int64_t sh_mono_us(void);

#define SH_TIME_TEXT 32
/* "2026-06-12T10:04:21.903Z" into out. Years 0..9999; outside that range "invalid-time". */
const char *sh_time_text(int64_t ms, char out[SH_TIME_TEXT]);
/* RFC 3339 date-time (any offset, fraction optional, cut to milliseconds) to *ms.
 * False for anything else. Source: RFC 3339 section 5.6. */
bool sh_time_parse(const char *text, size_t len, int64_t *ms) SH_WARN_UNUSED;

#endif
