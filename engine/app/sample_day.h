/* SPDX-License-Identifier: MIT
 * sample_day.h: a webphone's day: three real payloads, an unhappy customer, a missed call, a repeat
 * and a broken one. In the binary, so that it works anywhere. */
#ifndef SH_APP_SAMPLE_DAY_H
#define SH_APP_SAMPLE_DAY_H

#include "base/error.h"

#include <stdint.h>

/* What an engine with the shipped source answers. */
enum sh_sample_answer { SH_SAMPLE_STORED, SH_SAMPLE_DUPLICATE, SH_SAMPLE_REFUSED };

struct sh_sample {
    const char *title;
    const char *body;
    enum sh_sample_answer answer;
};

/* The day, in order. */
const struct sh_sample *sh_sample_day(size_t *n);
/* The body with call ids of its own, made of the seed (NULL: as it is), so that a second day on
 * the same engine is no repeat of the first. Caller frees. */
char *sh_sample_body(const struct sh_sample *s, const uint8_t seed[16]) SH_WARN_UNUSED;

#endif
