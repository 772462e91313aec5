/* SPDX-License-Identifier: MIT
 * recent.h: the newest events of a store, walked back from one to the one before, with no more read
 * of each than is asked for: bodies may be long, and whether an event is done takes looks into
 * other tables. For pages that group or search events (the API's calls), which bound their walk
 * themselves. */
#ifndef SH_CORE_RECENT_H
#define SH_CORE_RECENT_H

#include "core/store.h"

struct sh_recent;

struct sh_recent_event { /* texts borrowed until the next one */
    int64_t seq;         /* the order number of its id */
    const char *id, *source, *type, *key;
    int64_t received_ms;
    int64_t bytes; /* of its body */
};

/* Start behind the newest event, or (before_seq > 0) behind that one. One read transaction is open
 * from the first event on to sh_recent_close(): not for long. NULL and *err. */
struct sh_recent *sh_recent_open(struct sh_store_view *v, int64_t before_seq,
                                 struct sh_error *err) SH_WARN_UNUSED;
/* 1: *e is the next older one; 0: there is none; -1: failed, *err says why. */
int sh_recent_next(struct sh_recent *r, struct sh_recent_event *e,
                   struct sh_error *err) SH_WARN_UNUSED;
/* The JSON of any event of the store as it is stored, not parsed; borrowed until the next question
 * about a body. Empty: its body is longer than most bytes (not read then), is not JSON by itself (a
 * form, a token), or is not there any more. */
struct sh_slice sh_recent_text(struct sh_recent *r, int64_t seq, size_t most);
/* The JSON of any event of the store as a tree (event_body.h); caller deletes. NULL: its body is
 * longer than most bytes (not read then), is not JSON, or is not there any more. */
cJSON *sh_recent_json(struct sh_recent *r, int64_t seq, size_t most) SH_WARN_UNUSED;
/* "stored", "done" or "dead"; an event that is gone is done. Static. */
const char *sh_recent_state(struct sh_recent *r, int64_t seq);
void sh_recent_close(struct sh_recent *r); /* NULL is a no-op */

#endif
