/* SPDX-License-Identifier: MIT
 * outside.h: the engine's ways to other systems, put together from the configuration: where calls
 * may go, the HTTP client, look-ups, and the carriers of the outbox. On the loop thread. */
#ifndef SH_APP_OUTSIDE_H
#define SH_APP_OUTSIDE_H

#include "app/config.h"
#include "core/outbox.h"

struct event_base;
struct sh_outside;

/* config is borrowed and must outlive it. NULL and *err: a certificate file, the mail server's
 * address or a host of http.allow is of no use. */
struct sh_outside *sh_outside_new(struct event_base *base, const struct sh_config *config,
                                  struct sh_error *err) SH_WARN_UNUSED;
/* Of the outbox, with their limits and retries; valid as long as the ways. */
const struct sh_carrier *sh_outside_carriers(const struct sh_outside *o, size_t *n);
/* As crew.h asks, for a run of that trace (trace.h; NULL = none); the answer comes later. */
void sh_outside_lookup(struct sh_outside *o, struct sh_slice call, const char *trace,
                       void (*answer)(void *arg, struct sh_slice doc), void *arg);
/* After the outbox. What is under way is dropped, and nobody is told. NULL is a no-op. */
void sh_outside_free(struct sh_outside *o);

#endif
