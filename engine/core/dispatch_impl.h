/* SPDX-License-Identifier: MIT
 * dispatch_impl.h: what the three files of the dispatcher share. */
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
    struct settle *stalled; /* settles the store refused for now */
    struct item *alone;     /* waits for, or has, its turn with nothing beside it */
    uint64_t last_token;
    bool stopped;
    /* reading back from the journal */
    bool spilled; /* the journal holds events that memory does not */
    bool page_out, retries_out;
    int64_t cursor;     /* order of the newest event taken into memory */
    int64_t spilled_to; /* order of the newest event known to be in the journal only */
    struct sh_dispatch_stats stats;
};

#define SH_RULE_ALL "*" /* stands in the rule's place where no rule can be blamed */

/* dispatch.c */
struct item *sh_item_new(struct sh_event *event);
void sh_item_free(struct item *it);
void sh_item_set_rules(struct item *it, char **rules, size_t n, bool only); /* takes rules */
void sh_dispatch_enqueue(struct sh_dispatch *d, struct item *it, bool front);
/* The head of its lane is finished: free it, let the next one through. */
void sh_dispatch_finish(struct sh_dispatch *d, struct item *it);
/* The head of its lane goes again. */
void sh_dispatch_again(struct sh_dispatch *d, struct item *it);
/* dispatch_load.c */
bool sh_retry_mark(struct sh_dispatch *d, int64_t order, const char *rule); /* false: was marked */
void sh_retry_unmark(struct sh_dispatch *d, int64_t order, const char *rule);
void sh_dispatch_load(struct sh_dispatch *d);
void sh_dispatch_load_retries(struct sh_dispatch *d, int64_t now_ms);
/* dispatch_settle.c */
void sh_dispatch_resubmit(struct sh_dispatch *d);
void sh_settle_free(struct settle *s);

#endif
