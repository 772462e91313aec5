/* SPDX-License-Identifier: MIT
 * dispatch_impl.h: what the files of the dispatcher share. */
#ifndef SH_CORE_DISPATCH_IMPL_H
#define SH_CORE_DISPATCH_IMPL_H

#include "core/dispatch.h"

#include <uthash.h>
#include <utlist.h>

struct lane;

/* One event waiting, given out or settling. At the head of its lane while active. */
struct item {
    struct sh_event *event;
    int64_t order;
    uint64_t token;                      /* of the current giving-out; 0 = not out */
    char generation[SH_GENERATION_TEXT]; /* that it was given out under */
    uint32_t attempt;
    bool only;    /* rules[] are the ones to run; else the ones to leave out */
    bool first;   /* the event's first turn: its settle closes the event */
    bool whole;   /* a redriven SH_RULE_ALL: all rules, and that row is done with it */
    char **rules; /* owned */
    size_t n_rules;
    const char **held; /* rules that were held when it was given out; the array is owned */
    size_t n_held;
    bool started; /* it was given out before */
    bool resumed; /* was kept for a rule, and goes again */
    int conflicts, losses;
    struct lane *lane;
    struct item *next; /* in the lane */
    UT_hash_handle hh_token, hh_order;
};

struct lane {
    char *name; /* source NUL key, or NULL for an event with a key of its own */
    size_t name_len;
    struct item *head, *tail;
    bool busy;                /* head is given out or settling */
    bool ready;               /* in the ready list */
    struct lane *prev, *next; /* ready list */
    UT_hash_handle hh;
};

/* A rule that is, or was, not on. Stays until the end, so that names and pointers may be kept. */
struct hold {
    char *rule;
    enum sh_rule_state state;
    int64_t pauses; /* as the store counts them */
    bool drained;   /* resuming: what was in memory of before the pause is gone: slices may come */
    bool slice_out; /* the next ones are being fetched */
    size_t in_memory; /* retries and resumed runs of it that are marked */
    UT_hash_handle hh;
};

/* A retry that is in memory: not to be fetched again. */
struct retry_mark {
    char *name; /* order in hex ":" rule */
    UT_hash_handle hh;
};

struct settle {
    struct sh_op_settle op;
    struct sh_dispatch *d;
    struct item *item;
    char *payload;       /* owned: what the runs' slices borrow from */
    bool charge;         /* one failed run of an item whose other rules are still to run */
    struct settle *next; /* stalled list */
};

struct sh_dispatch {
    struct sh_dispatch_config config;
    char generation[SH_GENERATION_TEXT]; /* live now */
    struct lane *lanes, *ready;
    struct item *by_token, *by_order;
    struct retry_mark *marks;
    struct hold *holds;
    struct settle *stalled; /* settles the store refused for now */
    struct item *alone;     /* waits for, or has, its turn with nothing beside it */
    uint64_t last_token;
    bool stopped;
    bool rules_wanted; /* nothing is given out before it is known which rules are paused */
    bool rules_out;    /* the store is being asked */
    /* reading back from the journal */
    bool spilled; /* the journal holds events that memory does not */
    bool page_out, retries_out;
    int64_t cursor;     /* order of the newest event taken into memory */
    int64_t spilled_to; /* order of the newest event known to be in the journal only */
    struct sh_dispatch_stats stats;
};

/* dispatch.c */
struct item *sh_item_new(struct sh_event *event);
void sh_item_free(struct item *it);
void sh_item_set_rules(struct item *it, char **rules, size_t n, bool only); /* takes rules */
void sh_dispatch_enqueue(struct sh_dispatch *d, struct item *it, bool front);
/* The head of its lane is finished: free it, let the next one through. */
void sh_dispatch_finish(struct sh_dispatch *d, struct item *it);
/* The head of its lane goes again. */
void sh_dispatch_again(struct sh_dispatch *d, struct item *it);
/* The same, but what came before it and is resumed goes first. */
void sh_dispatch_again_in_order(struct sh_dispatch *d, struct item *it);
/* dispatch_load.c */
bool sh_retry_mark(struct sh_dispatch *d, int64_t order, const char *rule); /* false: was marked */
void sh_retry_unmark(struct sh_dispatch *d, int64_t order, const char *rule);
void sh_dispatch_load(struct sh_dispatch *d);
void sh_dispatch_load_retries(struct sh_dispatch *d, int64_t now_ms);
/* dispatch_hold.c */
/* How a rule stands, as the store has just said. */
void sh_hold_note(struct sh_dispatch *d, struct sh_slice rule, enum sh_rule_state state);
/* Which rules are held for the item, into it->held: it is about to be given out. */
void sh_hold_for(struct sh_dispatch *d, struct item *it);
/* A run of this rule alone came into memory (+1) or left it (-1). */
void sh_hold_count(struct sh_dispatch *d, const char *rule, int change);
/* Is this due run for SH_OP_RESUME to bring, in its order? attempt: so far. */
bool sh_hold_brings(struct sh_dispatch *d, const char *rule, uint32_t attempt);
bool sh_hold_was(const struct item *it, struct sh_slice rule); /* held when it was given out? */
void sh_dispatch_look(struct sh_dispatch *d);   /* ask the store which rules are paused */
void sh_dispatch_resume(struct sh_dispatch *d); /* fetch what was kept, where there is room */
void sh_hold_free(struct sh_dispatch *d);
/* dispatch_settle.c */
void sh_dispatch_resubmit(struct sh_dispatch *d);
void sh_settle_free(struct settle *s);

#endif
