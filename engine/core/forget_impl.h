/* SPDX-License-Identifier: MIT
 * forget_impl.h: within store_forget*.c. */
#ifndef SH_CORE_FORGET_IMPL_H
#define SH_CORE_FORGET_IMPL_H

#include "core/forget.h"
#include "core/store_impl.h"

#include <uthash.h>

#define SH_FORGET_FIRST_ROWS 20 /* of a slice: until it is known how long they take */
#define SH_FORGET_TOKEN      8  /* bytes: a shorter key could stand for anything */

enum sh_forget_phase {
    SH_FORGET_SCAN,   /* events that name the number */
    SH_FORGET_GROUP,  /* of the same key */
    SH_FORGET_CAUSED, /* by one of them */
    SH_FORGET_MARK,   /* whatever still comes of them has no effects */
    SH_FORGET_TABLES, /* what came of them, and all else that names the number, table by table */
    SH_FORGET_BLANK,  /* the events; last, since they tell what else is the caller's */
    SH_FORGET_OVER,
    SH_FORGET_CLEAN /* files of emails are gone: what told of them may go, too */
};

struct sh_forget_key { /* of a call, maybe */
    char *name;        /* source, \n, key; owned */
    size_t name_len;
    const char *key; /* within name */
    char *member;    /* of a body, in which the number stood; NULL: deeper, or elsewhere */
    size_t others;   /* events under it that do not name the number */
    bool mixed;      /* another number stands there in one of them: no call */
    UT_hash_handle hh;
};

struct sh_forget_event {
    char id[SH_ID_TEXT];
    int64_t seq;
    struct sh_forget_key *key; /* in by its key alone; NULL: certain */
    bool named;                /* it names the number itself */
    UT_hash_handle hh;
};

struct sh_forget_text { /* a member of a set */
    char *text;
    UT_hash_handle hh;
};

struct sh_forget_at { /* how far: changed by a slice, kept when that is committed */
    enum sh_forget_phase phase;
    int64_t cursor, from; /* of the phase; of the round: what is older was looked at before */
    int64_t last;         /* seq of the newest event read */
    size_t table, place;  /* in the list of tables; of events */
    int round;
    struct sh_forget_counts n;
};

struct sh_forget {
    struct sh_phone_number number;
    bool dry;
    struct sh_forget_at kept, next;         /* next: the writer's while it is at work */
    double progress;                        /* of kept */
    struct sh_forget_event *events, *order; /* by id; order: by seq, an array once grouped */
    struct sh_forget_event **sorted;
    size_t n_sorted, n_known; /* n_known: events when the round began */
    struct sh_forget_key *keys;
    struct sh_forget_text *tokens;          /* what stands for a call: keys and ids of events */
    size_t token_most;                      /* bytes of the longest */
    struct sh_forget_text *dropped, *files; /* ids of items; keys of emails */
    const char **paths;
    size_t n_paths;
    int64_t limit; /* rows in a slice, by how long the last one took */
};

bool sh_forget_mentions(const struct sh_forget *f, struct sh_slice text);
/* That, or the call by its key, or one of its events by id. */
bool sh_forget_touches(const struct sh_forget *f, struct sh_slice text);
/* Is the event of that id one of the caller's? */
bool sh_forget_hit(const struct sh_forget *f, struct sh_slice event_id);
/* Is the value of a member the number? */
bool sh_forget_is_number(const struct sh_forget *f, const cJSON *node);
/* Is the event the caller's? Not before the keys are known to be calls. */
bool sh_forget_counts_in(const struct sh_forget_event *e);
/* Make sh_mentions(), sh_touches() and sh_hit() known to SQL. */
bool sh_forget_functions(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;
void sh_forget_note(struct sh_forget_text **set, struct sh_slice text);
void sh_forget_note_token(struct sh_forget *f, struct sh_slice text);
/* One slice of the tables. */
bool sh_forget_tables(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at,
                      struct sh_error *err) SH_WARN_UNUSED;
extern const size_t sh_forget_n_tables;
bool sh_forget_clean_items(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;
/* A prepared statement with ?1 and ?2 bound, for one use. NULL and *err. */
sqlite3_stmt *sh_forget_stmt(struct sh_store *s, const char *sql, int64_t a, int64_t b,
                             struct sh_error *err) SH_WARN_UNUSED;
bool sh_forget_run(struct sh_store *s, const char *sql, int64_t a, int64_t b, int64_t *changed,
                   struct sh_error *err) SH_WARN_UNUSED;
bool sh_forget_ask(struct sh_store *s, const char *sql, int64_t a, int64_t b, int64_t *answer,
                   struct sh_error *err) SH_WARN_UNUSED;

/* --- store_forget_record.c --- */
/* A record's document without the caller. What is left, as text to be freed with cJSON_free(), or
 * NULL and *gone: nothing; NULL and not *gone: it is not about the caller. */
char *sh_forget_cut(const struct sh_forget *f, struct sh_slice doc, bool *gone);
bool sh_forget_records(struct sh_store *s, const struct sh_forget *f, int64_t after, int64_t to,
                       struct sh_forget_counts *n, struct sh_error *err) SH_WARN_UNUSED;

/* The outcomes whose runs had not ended well, and the states of callbacks that are open. */
#define SH_FORGET_UNENDED "('retry', 'paused', 'dead')"
#define SH_FORGET_OPEN    "('scheduled', 'snoozed', 'due', 'missed')"
/* Of a run's effects their kinds alone. */
#define SH_FORGET_KINDS                                                                            \
    "(SELECT json_group_array(json_object('kind', json_extract(value, '$.kind')))"                 \
    " FROM json_each(effects))"

#endif
