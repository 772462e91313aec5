/* SPDX-License-Identifier: MIT
 * rates.c: a ring of samples. */
#include "app/rates.h"

#include <string.h>

#define STEP_US 990000 /* a tick may come a little early */

static const struct sh_sample *at(const struct sh_rates *r, unsigned back)
{
    return &r->kept[(r->next + SH_RATES_KEPT - 1 - back) % SH_RATES_KEPT];
}

void sh_rates_note(struct sh_rates *r, int64_t now_us, const int64_t counts[SH_N_RATES])
{
    if (r->n && now_us - at(r, 0)->at_us < STEP_US)
        return;
    struct sh_sample *s = &r->kept[r->next];
    s->at_us = now_us;
    memcpy(s->counts, counts, sizeof(s->counts));
    r->next = (r->next + 1) % SH_RATES_KEPT;
    r->n += r->n < SH_RATES_KEPT;
}

double sh_rates_of(const struct sh_rates *r, enum sh_rate which, int seconds)
{
    if (r->n < 2)
        return 0;
    const struct sh_sample *newest = at(r, 0), *old = at(r, r->n - 1);
    for (unsigned back = 1; back < r->n; back++)
        if (newest->at_us - at(r, back)->at_us >= (int64_t)seconds * 1000000) {
            old = at(r, back);
            break;
        }
    return (double)(newest->counts[which] - old->counts[which]) * 1e6 /
           (double)(newest->at_us - old->at_us);
}
