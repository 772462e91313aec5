/* SPDX-License-Identifier: MIT
 * store_call.h: a row of sh_callbacks in hand, for the files of the store that change or show it
 * (store_callback.c, store_call.c, store_time.c, store_feed.c); nobody else includes it. */
#ifndef SH_CORE_STORE_CALL_H
#define SH_CORE_STORE_CALL_H

#include "core/callback.h"
#include "core/store_impl.h"

enum sh_call_text { /* texts, in the order of the columns */
                    SH_CALL_ID,
                    SH_CALL_OWN_KEY,
                    SH_CALL_NUMBER,
                    SH_CALL_DIGITS,
                    SH_CALL_NAME,
                    SH_CALL_LOCAL,
                    SH_CALL_ZONE,
                    SH_CALL_ASSIGNEE,
                    SH_CALL_REASON,
                    SH_CALL_STATUS,
                    SH_CALL_NOTE,
                    SH_CALL_COMPLETES,
                    SH_CALL_INVITED_TO,
                    SH_CALL_EVENT_ID,
                    SH_CALL_EVENT_KEY,
                    SH_CALL_RULE,
                    SH_CALL_TRACE,
                    SH_CALL_TEXTS
};

struct sh_store_call {
    char *text[SH_CALL_TEXTS]; /* owned; NULL = absent */
    int64_t due_ms, minutes, email, sequence, depth, created_ms, updated_ms;
    int64_t told_ms, closed_ms; /* 0 = NULL */
};

/* Who changes it, when, and what came of it. */
struct sh_store_hand {
    const char *by; /* a rule's name, "person", or a given name */
    int64_t now_ms;
    size_t *n_queued; /* counts emails */
    size_t *n_timed;  /* counts things set or changed; NULL = nobody asks */
    uint32_t depth;   /* of the events that tell of the change */
};

/* --- store_call.c: one row ---------------------------------------------------- */
/* 1: *c is filled (clear it). 0: no such row. -1: failed. */
int sh_store_call_get(struct sh_store *s, int64_t seq, struct sh_store_call *c,
                      struct sh_error *err) SH_WARN_UNUSED;
/* The row where a statement on CALLBACK_COLUMNS stands. */
void sh_store_call_load(sqlite3_stmt *st, struct sh_store_call *c);
bool sh_store_call_put(struct sh_store *s, const struct sh_store_call *c,
                       struct sh_error *err) SH_WARN_UNUSED;
void sh_store_call_clear(struct sh_store_call *c);
void sh_store_call_set(struct sh_store_call *c, enum sh_call_text i, const char *text);
bool sh_store_call_is(const struct sh_store_call *c, const char *status);
bool sh_store_call_closed(const struct sh_store_call *c);
/* The id of one with the author's own key. */
void sh_store_call_key_id(struct sh_slice key, char id[SH_EFFECT_KEY_TEXT]);
/* The rows that "id", "key" or "number" of a document name, closed ones too where by id or key;
 * answered: of its number, open or missed, with completes = "answered". seqs: room for
 * SH_CALLS_AT_ONCE. */
#define SH_CALLS_AT_ONCE 1000 /* callbacks that one effect changes */
bool sh_store_call_find(struct sh_store *s, const cJSON *doc, bool answered, int64_t *seqs,
                        size_t *n, struct sh_error *err) SH_WARN_UNUSED;
/* The one row that an id, or its beginning, names. False: none or several. */
bool sh_store_call_named(struct sh_store *s, const char *id, int64_t *seq,
                         struct sh_error *err) SH_WARN_UNUSED;
/* As callback.h shows it; texts borrowed from c. */
struct sh_callback sh_store_call_view(const struct sh_store *s, const struct sh_store_call *c);
/* Note the change in the history. *place: its number. detail NULL = none. */
bool sh_store_call_note(struct sh_store *s, const struct sh_store_call *c, const char *what,
                        const struct sh_store_hand *h, const char *detail, int64_t *place,
                        struct sh_error *err) SH_WARN_UNUSED;
/* The body of an event about it. by NULL = left out. Caller frees. */
char *sh_store_call_body(const struct sh_store_call *c, const char *by, size_t *len) SH_WARN_UNUSED;
/* The event "callback_<what>" at once, by way of a timer: also beside a running engine, where ids
 * of events are not ours to give. */
bool sh_store_call_tell(struct sh_store *s, const struct sh_store_call *c, const char *what,
                        const struct sh_store_hand *h, int64_t place,
                        struct sh_error *err) SH_WARN_UNUSED;
/* An email to its assignee, method "REQUEST" or "CANCEL", and who is invited thereafter. what: why,
 * part of the key. An assignee without mail address gets none. */
bool sh_store_call_mail(struct sh_store *s, struct sh_store_call *c, const char *method,
                        const char *what, const struct sh_store_hand *h,
                        struct sh_error *err) SH_WARN_UNUSED;

/* --- store_callback.c ---------------------------------------------------------- */
/* It is due: status, event and email. The event joins the op's. */
bool sh_store_call_due(struct sh_store *s, struct sh_op_fire *op, struct sh_store_call *c,
                       struct sh_error *err) SH_WARN_UNUSED;
bool sh_store_call_missed(struct sh_store *s, struct sh_op_fire *op, struct sh_store_call *c,
                          struct sh_error *err) SH_WARN_UNUSED;
/* Its local time is another moment now. */
bool sh_store_call_moved(struct sh_store *s, struct sh_store_call *c, int64_t due_ms,
                         int64_t now_ms, struct sh_error *err) SH_WARN_UNUSED;

/* --- store_time.c --------------------------------------------------------------- */
struct sh_store_timer { /* a row of sh_timers to be; texts borrowed, NULL = absent */
    const char *name;
    int64_t due_ms;
    struct sh_slice local, zone, every; /* empty = absent */
    const char *source;
    struct sh_slice type, key, body;
    uint32_t depth;
    const char *event_id;
    struct sh_slice rule;
    const char *trace;
    int64_t now_ms;
};
bool sh_store_timer_put(struct sh_store *s, const struct sh_store_timer *t,
                        struct sh_error *err) SH_WARN_UNUSED;
/* "2026-10-25T09:00:00" in a zone as Unix milliseconds. False: no such zone, or bad text. */
bool sh_store_local_ms(const char *local, const char *zone, int64_t *ms) SH_WARN_UNUSED;

#endif
