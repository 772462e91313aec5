/* SPDX-License-Identifier: MIT
 * eraser.h: a caller is forgotten, within a running engine or without one: the store slice by slice
 * (core/forget.h), what waits to be delivered, the emails that were written as files; then the
 * database file anew. The audit table has a row for the beginning and one for the end; neither
 * holds the number. */
#ifndef SH_APP_ERASER_H
#define SH_APP_ERASER_H

#include "core/forget.h"
#include "core/outbox.h"

struct event_base;
struct sh_eraser;

struct sh_eraser_config {
    struct event_base *base;
    struct sh_store *store;
    struct sh_outbox *outbox;
    const char *dir;     /* data folder; borrowed */
    const char *country; /* as sh_phone_number_parse(); borrowed */
};
struct sh_eraser_order {
    const char *number;
    bool dry;                      /* only say what would be done */
    const char *who, *role, *peer; /* for the audit table; peer may be NULL */
};

struct sh_eraser *sh_eraser_new(const struct sh_eraser_config *config) SH_WARN_UNUSED;
/* Begin. SH_EBUSY: one is under way. SH_EINVAL: no number. */
bool sh_eraser_start(struct sh_eraser *e, const struct sh_eraser_order *order,
                     struct sh_error *err) SH_WARN_UNUSED;
/* {"running","dry_run","progress" (0..1),"ok","error","report"}; report: sh_forget_tree() and
 * "mail_files"; null before the first one. Caller deletes. */
cJSON *sh_eraser_state(const struct sh_eraser *e) SH_WARN_UNUSED;
/* Before the store is closed; what is under way ends where it is. */
void sh_eraser_stop(struct sh_eraser *e);
void sh_eraser_free(struct sh_eraser *e); /* after it is closed; NULL is a no-op */

/* Without an engine: on a store of the caller's without threads. progress may be NULL. *report: as
 * above, the caller's, also when it fails after something was done (else NULL). */
bool sh_erase_now(struct sh_store *store, const char *dir, const char *country,
                  const struct sh_eraser_order *order, void (*progress)(double part),
                  cJSON **report, struct sh_error *err) SH_WARN_UNUSED;

#endif
