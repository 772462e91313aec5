/* SPDX-License-Identifier: MIT
 * units.h: sizes and durations as people write them. */
#ifndef SH_APP_UNITS_H
#define SH_APP_UNITS_H

#include "base/error.h"

#include <stdint.h>

/* "200ms", "30s", "5m", "6h", "90d", "1.5 h", also "30" (seconds). False: none of these, or past
 * 10,000 days. */
bool sh_parse_duration(const char *text, int64_t *ms) SH_WARN_UNUSED;
/* "65536", "64KiB", "1.5 MiB", "2GiB", and with powers of ten "64kB", "1MB", "2GB". */
bool sh_parse_size(const char *text, int64_t *bytes) SH_WARN_UNUSED;

#define SH_UNIT_TEXT 32
/* 90000 -> "90s", 5400000 -> "90m": the largest unit that says it in whole numbers. */
const char *sh_duration_text(int64_t ms, char out[SH_UNIT_TEXT]);
/* 1048576 -> "1 MiB". */
const char *sh_size_text(int64_t bytes, char out[SH_UNIT_TEXT]);

#endif
