/* SPDX-License-Identifier: MIT
 * sampler.h: notes on the engine's tick how much happened (core/series.h), and gives each minute
 * that is over to the store: one small write a minute. A minute that the store refuses is lost for
 * longer plots, with a warning; nothing else depends on it. On the loop. */
#ifndef SH_APP_SAMPLER_H
#define SH_APP_SAMPLER_H

#include "core/dispatch.h"
#include "core/series.h"
#include "core/store.h"

struct sh_sampler;
/* All borrowed. */
struct sh_sampler *sh_sampler_new(struct sh_store *store, const struct sh_meter *meter,
                                  const struct sh_dispatch *dispatch) SH_WARN_UNUSED;
/* Often: at least once in SH_SERIES_SLOT_S. */
void sh_sampler_tick(struct sh_sampler *s);
/* Everything up to now, for whoever reads; borrowed, until the next tick. */
const struct sh_series *sh_sampler_series(struct sh_sampler *s);
/* The minute that is not over goes to the store too. Before the store is closed, which finishes
 * what it was given; nothing is noted after that. NULL is a no-op. */
void sh_sampler_stop(struct sh_sampler *s);
/* After the store is closed. NULL is a no-op. */
void sh_sampler_free(struct sh_sampler *s);

#endif
