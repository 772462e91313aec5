/* SPDX-License-Identifier: MIT
 * rates.h: how fast counters grow: per second, over the last minute and the last five. */
#ifndef SH_APP_RATES_H
#define SH_APP_RATES_H

#include <stdbool.h>
#include <stdint.h>

#define SH_RATES_KEPT 301 /* one sample a second, five minutes of them */

enum sh_rate { SH_RATE_ACCEPTED, SH_RATE_SETTLED, SH_RATE_RUNS, SH_RATE_FAILED, SH_N_RATES };

struct sh_rates {
    struct sh_sample {
        int64_t at_us;
        int64_t counts[SH_N_RATES];
    } kept[SH_RATES_KEPT]; /* a ring */
    unsigned n, next;
};

/* Note the counters as they are now; more often than once a second is fine: the surplus is left. */
void sh_rates_note(struct sh_rates *r, int64_t now_us, const int64_t counts[SH_N_RATES]);
/* Growth per second over the last `seconds` (or since the first sample); 0 before there are two. */
double sh_rates_of(const struct sh_rates *r, enum sh_rate which, int seconds);

#endif
