/* SPDX-License-Identifier: MIT
 * forget.h: one caller is forgotten: what of it, how far it is, what was done.
 *
 * An erasure is many operations (SH_OP_FORGET), each a bounded slice in a transaction of its own,
 * so that a running engine goes on between them. It may be broken off anywhere and begun again.
 *
 * First the journal is read for events that name the number, then for those of the same call: of
 * the same source and key, unless an event of another number came under that key too (then it is no
 * call), and those that their runs caused. Then what came of them is changed, table by table, and
 * the events last, since they tell what is theirs; then the journal again from where it ended,
 * until nothing is found that came meanwhile.
 *
 * Of an event the row stays, with its times and ids; its body becomes {"forgotten":true}. Runs of
 * it that ended well stay as rows with the kinds of their effects; others are gone. An unfinished
 * event is finished without its rules. Records that name the number or the call are removed, of
 * lists the elements, of tables by number the members. Open callbacks are cancelled; what waits in
 * the outbox is dropped; timers are gone. */
#ifndef SH_CORE_FORGET_H
#define SH_CORE_FORGET_H

#include "core/phone_number.h"
#include "core/store.h"

struct sh_forget;

struct sh_forget_counts {
    /* what is removed or made blank */
    int64_t events, runs, records, record_parts, callbacks, timers, deliveries, rules, audit,
        others;
    /* of those, what had still to be done */
    int64_t unfinished_events, unfinished_runs, open_callbacks, queued_deliveries;
    /* what is left as it is: events of keys that are no call; files of rule sets */
    int64_t left_events, left_files;
};

/* dry: nothing is changed. number is copied. */
struct sh_forget *sh_forget_new(const struct sh_phone_number *number, bool dry) SH_WARN_UNUSED;
void sh_forget_free(struct sh_forget *f); /* NULL is a no-op */
const struct sh_forget_counts *sh_forget_counts(const struct sh_forget *f);
/* 0..1, for people. */
double sh_forget_progress(const struct sh_forget *f);
/* The same as a tree: {"events":n, ..., "unfinished":{..}, "left":{..}}; caller deletes. */
cJSON *sh_forget_tree(const struct sh_forget_counts *c) SH_WARN_UNUSED;

/* One slice. One at a time for an erasure. */
struct sh_op_forget {
    struct sh_op op;
    struct sh_forget *forget;
    bool over; /* out: that was the last one */
};
/* An operation ended well: its slice counts. To be called before the next one. */
void sh_forget_kept(struct sh_forget *f);

/* Keys of emails about the caller: names of files that hold one are such an email. */
size_t sh_forget_files(const struct sh_forget *f, const char *const **paths);
/* They are removed; one more operation follows. */
void sh_forget_files_gone(struct sh_forget *f);
/* Was this outbox item dropped? */
bool sh_forget_dropped(const struct sh_forget *f, const char *item_id);

/* Write the database file anew, so that nothing of what was removed is left in it, and empty its
 * log. SH_EBUSY: somebody reads an older state; the file is new, ask again for the log. Takes as
 * long as copying the file, and room for a second one; nothing is committed meanwhile. */
struct sh_op_scrub {
    struct sh_op op;
    bool log_only; /* the file is new already */
};

#endif
