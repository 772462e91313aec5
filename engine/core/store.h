/* SPDX-License-Identifier: MIT
 * store.h: the boundary to what is on disk. Batches of operations in, rows out; no SQL above it.
 *
 * A store has two threads of its own: the writer, which takes whatever operations wait, commits
 * them in one transaction and reports back (group commit: one fsync serves many events; the batch
 * forms by itself while the previous commit runs), and the reader, with a read-only connection.
 * Without threads (sh_store_config.threads = false: simulator, command line) each operation is
 * carried out within sh_store_submit(), through the same code.
 *
 * Operations of one kind are reported in the order submitted. An operation's `ok` is true only
 * when its transaction is on disk (WAL, synchronous=FULL). One operation that the store refuses
 * never fails its batch companions. When the disk is full every operation of the batch fails with
 * SH_EFULL and nothing of it is kept. A failed fsync or a corrupt file fails the batch and
 * everything after it with SH_EFATAL: the process must then end, and a restart recovers. */
#ifndef SH_CORE_STORE_H
#define SH_CORE_STORE_H

#include "core/effect.h"
#include "core/event.h"
#include "core/generation.h"
#include "core/meter.h"
#include "core/run.h"
#include "core/series.h"

#include <cjson/cJSON.h>

#define SH_STORE_SCHEMA 4 /* newest migration: the schema that this binary writes */

struct sh_store;

struct sh_store_config {
    const char *dir;         /* data folder; NULL = in memory (simulator) */
    bool threads;            /* true for the live engine */
    void (*wake)(void *arg); /* called from a store thread when sh_store_reap() has work; may be
                                called often and from both threads; NULL without threads */
    void *wake_arg;
    const char *vfs;            /* SQLite VFS name, NULL = default: for fault injection in tests */
    bool callback_email;        /* when a callback falls due: an email to its assignee */
    int64_t callback_missed_ms; /* one that is due for so long counts as missed; 0 = never */
    const char *zone;           /* zone.h name for times in texts; NULL = "UTC"; borrowed */
    int64_t quarantine;         /* a rule that failed so often in a row is paused; 0 = never */
    bool shared; /* beside a running engine, for what a person asks for (sh_op_is_asked()) and for
                    reading: no lock, no check, no threads (threads must be false). Its
                    transactions wait up to 5 s for the engine's and the other way round */
};

/* Open or create <dir>/switchhook.db, apply migrations, start the threads. Creates dir (0700).
 * Errors: SH_EBUSY another engine holds the folder (lock file <dir>/lock), SH_ESYS, SH_EFULL,
 * SH_EINVAL (made by a newer switchhook), SH_ENOTFOUND (shared: no store there), SH_EFATAL
 * (quick_check failed after an unclean end; a file over 64 MiB is checked after the start, beside
 * the work, and damage then fails every operation with SH_EFATAL). */
struct sh_store *sh_store_open(const struct sh_store_config *config,
                               struct sh_error *err) SH_WARN_UNUSED;
/* Finish what is queued, checkpoint, close. Operations not yet reaped are dropped: done() is not
 * called, the memory stays the caller's. NULL is a no-op. */
void sh_store_close(struct sh_store *s);
/* Empty a store in memory: as if just opened, but for generations, for ids, which go on, and for
 * the views of collections, which keep their columns. A tenth of the time that opening takes. */
bool sh_store_clear(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;

enum sh_op_kind {
    /* writer */
    SH_OP_ACCEPT = 1,   /* struct sh_op_accept */
    SH_OP_SETTLE,       /* struct sh_op_settle */
    SH_OP_DELIVERY,     /* struct sh_op_delivery */
    SH_OP_GENERATION,   /* struct sh_op_generation */
    SH_OP_REDRIVE,      /* struct sh_op_redrive */
    SH_OP_PRUNE,        /* struct sh_op_prune */
    SH_OP_FIRE,         /* struct sh_op_fire */
    SH_OP_CLOCKS,       /* struct sh_op_clocks */
    SH_OP_CALLBACK,     /* struct sh_op_callback */
    SH_OP_FEED_NEW,     /* struct sh_op_feed_new */
    SH_OP_RULE_SET,     /* struct sh_op_rule_set */
    SH_OP_RULES,        /* struct sh_op_rules: on the writer, in order with what changes them */
    SH_OP_RESUME,       /* struct sh_op_resume */
    SH_OP_AUDIT,        /* struct sh_op: writes its audit, and nothing else */
    SH_OP_DROP,         /* struct sh_op_redrive */
    SH_OP_TIMER_CANCEL, /* struct sh_op_timer_cancel */
    SH_OP_TOKEN_NEW,    /* struct sh_op_token_new, store_token.h */
    SH_OP_TOKEN_REVOKE, /* struct sh_op_token_revoke, store_token.h */
    SH_OP_SESSION_NEW,  /* struct sh_op_session_new, store_token.h */
    SH_OP_SESSION_END,  /* struct sh_op_session_end, store_token.h */
    SH_OP_FORGET,       /* struct sh_op_forget, forget.h */
    SH_OP_SCRUB,        /* struct sh_op_scrub, forget.h: behind the transaction it comes in */
    SH_OP_SERIES,       /* struct sh_op_series */
    /* reader */
    SH_OP_READ,    /* struct sh_op_read */
    SH_OP_PENDING, /* struct sh_op_pending */
    SH_OP_RETRIES, /* struct sh_op_pending: runs that are due again */
    SH_OP_OUTBOX,  /* struct sh_op_outbox */
    SH_OP_COUNT,   /* struct sh_op_count */
    SH_OP_FEED,    /* struct sh_op_feed */
    SH_OP_OLDEST,  /* struct sh_op_oldest */
    SH_OP_TOKENS,  /* struct sh_op_tokens, store_token.h */
    SH_OP_SESSIONS /* struct sh_op_sessions, store_token.h */
};

/* Does a person, or a program for one, ask for operations of this kind? On a data folder the store
 * carries out none of them that does not say who asks (sh_op.audit). */
bool sh_op_is_asked(enum sh_op_kind kind);

/* A change that a person or a program asked for. Texts borrowed until the operation is done. */
struct sh_audit {
    const char *who;  /* a token's name, or the login of this machine */
    const char *role; /* "viewer", "operator", "admin"; "local": by the control socket or a file */
    const char *peer; /* numeric address, NULL = this machine */
    /* NULL: the store finds these in the operation, once it is carried out; an operation that
     * changed nothing then leaves no row. SH_OP_AUDIT needs them. */
    const char *action; /* "rule.pause", "callback.done", "token.new", ... */
    const char *target; /* what it was done to, or NULL */
    const char *detail; /* JSON, or NULL */
};

/* Head of every operation; made by the caller (the struct must stay until done). */
struct sh_op {
    enum sh_op_kind kind;
    bool ok;
    struct sh_error err;            /* when not ok */
    void (*done)(struct sh_op *op); /* called by sh_store_reap() on the caller's thread; from then
                                       on op is the caller's again */
    void *arg;
    const struct sh_audit *audit; /* NULL, or: written to sh_audit with what the operation did, in
                                     its transaction; nothing is written if it is refused */
    struct sh_op *next;           /* the store's */
};

/* Hand over an operation. Thread-safe. */
void sh_store_submit(struct sh_store *s, struct sh_op *op);
/* Call done() of every finished operation. On the thread that owns the loop. */
void sh_store_reap(struct sh_store *s);
/* Operations waiting for the writer, now. Thread-safe. */
size_t sh_store_waiting(struct sh_store *s);
/* Closing will not fold the log into the database file, which may take long: the next open does. */
void sh_store_leave_log(struct sh_store *s);
/* For how long the writer has had the same batch in hand; 0: nothing. Thread-safe. */
int64_t sh_store_busy_ms(struct sh_store *s);
/* Write transactions since the start. Thread-safe. */
int64_t sh_store_commits(struct sh_store *s);
struct sh_store_stats {         /* since the start */
    struct sh_histogram commit; /* sh_bounds_wait: of a write transaction, its fsync included */
    struct sh_histogram batch;  /* sh_bounds_size: operations in it */
};
void sh_store_stats(struct sh_store *s, struct sh_store_stats *out); /* thread-safe */
/* What one can look at, as far as it changes by itself. */
enum sh_topic {
    SH_TOPIC_EVENTS = 1 << 0, /* also their state */
    SH_TOPIC_RUNS = 1 << 1,
    SH_TOPIC_CALLBACKS = 1 << 2,
    SH_TOPIC_OUTBOX = 1 << 3,
    SH_TOPIC_RECORDS = 1 << 4,
    SH_TOPIC_TIMERS = 1 << 5,
    SH_TOPIC_RULES = 1 << 6, /* failures, pauses */
    SH_TOPIC_GENERATIONS = 1 << 7
};
#define SH_N_TOPICS   8
#define SH_TOPICS_ALL ((1U << SH_N_TOPICS) - 1)
/* The topics (enum sh_topic, ORed) that committed transactions have written to since this was asked
 * last; whoever asks first has the answer. It may name one too many, never one too few, but for
 * what another process writes to the same folder (sh_store_config.shared): that is noticed, as a
 * change of every topic, with the next transaction of this one. Each is set before the store wakes
 * its owner for the operation. Thread-safe; costs one look at a number where nothing was written.
 */
unsigned sh_store_changes(struct sh_store *s);
/* Can what is on disk no longer be trusted? Then *err says why, every operation fails with
 * SH_EFATAL, and the process must end. Thread-safe. */
bool sh_store_failed(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;

/* Accept an event. The store gives event->id (UUIDv7, increasing). */
struct sh_op_accept {
    struct sh_op op;
    struct sh_event *event; /* caller's; read-only until done, but for id */
    bool duplicate;         /* out: (source, dedupe_id) is stored already; nothing was written */
    struct sh_id first_id;  /* out: that event's id */
};

/* Settle runs of one event, all or nothing per run: check the run's reads against the store as it
 * is now (a changed one: conflict = true, nothing of that run is applied, its row says RETRY, due
 * now), apply effects, write the run's row. FAILED with retry_at_ms > 0 becomes RETRY, else DEAD;
 * GONE becomes DEAD. An effect that cannot be applied (records.incr on text) makes that run DEAD
 * with the reason (out: outcome and run_errors), its other effects undone. A run whose row says
 * DONE already is left alone, whatever this second result says.
 *
 * Rules that fail (store_rules.c): each FAILED run and each refused one counts for its rule, DONE
 * starts the count again, everything else says nothing. At config.quarantine in a row the rule is
 * paused in the same transaction: its waiting retries become PAUSED, and an event is emitted of
 * source "engine", type "rule_paused", key the rule's name (out: emitted), with the body
 * {"rule","failures","error","event_id","event_type","generation","paused_at"}.
 * While a rule is paused none of its runs has effects: whatever it says, it becomes PAUSED (out:
 * kept), to run again when the rule is resumed. The same while it is resumed, but for the runs that
 * SH_OP_RESUME has given out. A PAUSED run whose rule is on again comes back: conflict = true, its
 * row says RETRY, due now. */
struct sh_op_settle {
    struct sh_op op;
    struct sh_id event_id;
    struct sh_slice event_source, event_type, event_key;
    uint32_t event_depth;
    const char *event_trace; /* trace.h, or NULL: what the runs ask for belongs to it too */
    const char *generation;  /* id text */
    bool outdated; /* that is not the live one any more: its failures say nothing about the rule as
                      it is now, and are not counted (quarantine) */
    struct sh_run *runs;
    size_t n_runs;
    bool closes; /* every rule has had its turn: the event leaves the unfinished. false: only these
                    runs are settled (a suspect's failure), the rest is still to run */
    /* out */
    struct sh_event **emitted; /* array and events owned by the caller from done() on */
    size_t n_emitted;
    size_t n_queued;   /* outbox items added */
    size_t n_timed;    /* timers and callbacks set or changed: sh_op_fire may be due sooner */
    char **run_errors; /* NULL, or n_runs owned texts (NULL where none): why the store refused */
};
/* Free the out members. */
void sh_op_settle_clear(struct sh_op_settle *op);

enum sh_delivery_state { SH_DELIVERY_SENT = 1, SH_DELIVERY_RETRY, SH_DELIVERY_DEAD };
/* What became of one outbox item. SENT and DEAD of an item whose call asked for it (notify) write,
 * in the same transaction, an event of source "engine", type "delivery_succeeded" or
 * "delivery_failed", with the key of the event whose run asked, and the body
 * {"notify","kind","to","status","attempts","error","answer","idempotency_key","event_id","rule"}.
 */
struct sh_op_delivery {
    struct sh_op op;
    const char *item_id; /* borrowed until done, as are the texts below */
    enum sh_delivery_state state;
    bool uncharged;     /* RETRY: the target was down: no attempt is counted, place in line kept */
    int64_t next_ms;    /* RETRY, charged: when again */
    const char *error;  /* RETRY, DEAD: why; SENT: where to, such as the .eml path, or NULL */
    int status;         /* HTTP status or SMTP reply code, 0 = none */
    const char *answer; /* first bytes of the answer, or NULL */
    const char *recipients; /* JSON as outbox.h says, or NULL: left as it is */
    const char *lane;       /* with a pause: the lane, and until when (Unix ms), 0 = over */
    int64_t lane_until_ms;
    struct sh_event *emitted; /* out: owned by the caller from done() on, or NULL */
};

/* What is due at now_ms, oldest first, up to limit things: each timer becomes an event with the key
 * of the event that set it, of source "rules"; each clock rule one of source "clock", and its next
 * time is set; each callback that is due becomes so (event callback_due, and an email), and each
 * that has been due for too long is missed (event callback_missed). All in one transaction with
 * their removal: never twice, never lost. Events have due_ms set. */
struct sh_op_fire {
    struct sh_op op;
    int64_t now_ms;
    size_t limit;
    /* out */
    struct sh_event **emitted;           /* array and events owned by the caller from done() on */
    size_t n_emitted, n_queued, n_fired; /* n_fired == limit: there may be more */
    int64_t next_due_ms;                 /* earliest thing after now_ms, or 0 */
};
void sh_op_fire_clear(struct sh_op_fire *op);

struct sh_clock {                    /* a clock rule of the live generation */
    const char *rule, *every, *zone; /* schedule.h text; zone.h name */
};
/* These are the clock rules now: new and changed ones get their first time, those that are the same
 * keep theirs (one that passed meanwhile fires once, late), others are forgotten. Also computes
 * again what is stored as local time (the zone database may have changed). */
struct sh_op_clocks {
    struct sh_op op;
    const struct sh_clock *clocks; /* borrowed until done */
    size_t n_clocks;
    int64_t now_ms;
};

/* What a person does to a callback. Also in a shared store. */
struct sh_op_callback {
    struct sh_op op; /* SH_ENOTFOUND no such id; SH_ECONFLICT it is closed */
    const char *id;  /* whole, or the first 6 or more characters if they are unique */
    int action;      /* enum sh_callback_action, callback.h */
    const char *by, *note, *assignee; /* NULL = none; assignee: REASSIGN */
    int64_t due_ms;                   /* SNOOZE */
    const char *due_local, *zone; /* SNOOZE to a time of day: "2026-10-25T09:00:00", zone.h name */
    /* out */
    size_t n_queued;
    char found[SH_EFFECT_KEY_TEXT]; /* its whole id; "" = there is none */
    char status[16];                /* as it is now; when refused: as it stays */
};

/* The address of an assignee's calendar feed: made at the first question, or again with renew. */
struct sh_op_feed_new {
    struct sh_op op;
    const char *assignee;
    bool renew;
    char token[44]; /* out: unguessable, for /calendar/<token>.ics */
};
/* What a feed shows: the assignee's open and missed callbacks, and those closed within 30 days. */
struct sh_op_feed {
    struct sh_op op;
    const char *token;
    char *assignee;         /* out: owned by the caller; NULL: no such feed */
    struct sh_buf calendar; /* out: the iCalendar text; caller frees */
};

/* Keep a generation's text, once per id, and note that it went live: when, by what, and which files
 * differ from the one before. One that is live already is not noted again. */
struct sh_op_generation {
    struct sh_op op;
    const struct sh_generation *generation;
    const char *cause; /* "start", "files", "signal", "api"; borrowed; NULL = "start" */
};

/* Bring dead letters back: attempts start from 0, due now, same keys. Or (SH_OP_DROP) be done with
 * them: they say "dropped", stay to be seen, and are pruned like what ended well. */
struct sh_op_redrive {
    struct sh_op op;
    const char *id;   /* an event id (all its dead runs), an outbox id, or NULL for every one */
    const char *rule; /* only this rule's; NULL = any */
    const char *kind; /* "run", "email" or "http": only those; NULL = any */
    size_t n_runs, n_items; /* out: how many */
};

/* Forget a timer that a rule set, by the name the rule gave it. */
struct sh_op_timer_cancel {
    struct sh_op op; /* SH_ENOTFOUND: none; SH_ECONFLICT: it is a clock rule's, which is no timer */
    const char *name;
    int64_t due_ms; /* out: when it would have been due */
};

/* Pause a rule, or resume it: what was kept for it goes again by SH_OP_RESUME. SH_ECONFLICT: resume
 * of one that is not paused. Pause of a paused one, resume of a resuming one: no change. That a
 * rule of that name exists is for the caller to know. Also in a shared store. */
struct sh_op_rule_set {
    struct sh_op op;
    const char *rule; /* borrowed until done */
    bool pause;
    const char *by; /* who; borrowed until done; NULL = "person" */
    /* out */
    enum sh_rule_state was, state; /* before and after; resumed with nothing kept: ON */
    int64_t kept;                  /* runs that are kept for it */
};

struct sh_rule_held {
    char *rule;
    enum sh_rule_state state; /* PAUSED or RESUMING */
    int64_t pauses;           /* so far: tells one pause from the next */
};
/* Which rules are not on. Also sees what was changed through a shared store. */
struct sh_op_rules {
    struct sh_op op;
    struct sh_rule_held *items; /* out: sh_rules_held_free() */
    size_t n_items;
};
void sh_rules_held_free(struct sh_rule_held *items, size_t n);

struct sh_pending;
/* The oldest runs kept for a rule that is being resumed, up to limit and max_bytes of bodies (at
 * least one): their rows say RETRY, due now, attempts from 0. When these are the last, the rule is
 * on in the same transaction. pauses: how often the rule had been paused when the caller made sure
 * that none of its runs is in memory; if it was paused again since, nothing is given out. */
struct sh_op_resume {
    struct sh_op op;
    const char *rule; /* borrowed until done */
    int64_t pauses;
    size_t limit, max_bytes;
    /* out */
    struct sh_pending *items; /* by arrival; sh_pending_free() */
    size_t n_items;
    enum sh_rule_state state; /* RESUMING: there may be more. ON: no more. PAUSED: paused again */
    int64_t now_pauses;
};

/* How long what is over is kept, in ms; 0 = for good. Never removed: events that rules have still
 * to run on, runs to be tried again or kept for a paused rule, dead letters, what waits in the
 * outbox, open callbacks, the live rule set and those that such a run names. */
struct sh_retain {
    int64_t events_ms;              /* since received; their runs go with them */
    int64_t runs_ms;                /* since started; at most events_ms */
    int64_t outbox_ms;              /* since sent or dropped */
    int64_t callbacks_ms, audit_ms; /* since closed; since written */
    int64_t generations_ms; /* since another took its place; at least as long as events and runs */
    int64_t records_ms;     /* since changed last: of collections that are not named */
    struct {
        char *name;
        int64_t ms;
    } * collections;
    size_t n_collections;
};

struct sh_op_prune { /* one small slice of old, finished things */
    struct sh_op op;
    int64_t before_ms; /* received (events, with their runs), sent (outbox) earlier than this */
    size_t limit;      /* rows at most */
    const struct sh_retain *retain; /* or NULL: before_ms is not given then; borrowed */
    int64_t now_ms;                 /* with it */
    bool sweep; /* with it: also records from sweep_row on (0 first), and one rule set */
    int64_t sweep_row;
    size_t removed;   /* out; less than limit: nothing more to do */
    int64_t swept_to; /* out: where the next slice of the sweep begins */
    bool swept;       /* out: that was its last one */
};

/* What happened in a minute, or a part of one, for plots; kept for SH_SERIES_KEPT_MS (removed by
 * SH_OP_PRUNE with retain). */
struct sh_op_series {
    struct sh_op op;
    int64_t at_ms;          /* when it began */
    int64_t ring;           /* sh_series_span.ring */
    struct sh_slice counts; /* sh_series_write(); borrowed until done */
};

struct sh_op_read { /* a run's question; answer encoded as run.h says, always ok unless fatal */
    struct sh_op op;
    struct sh_read_request request; /* borrowed until done */
    struct sh_buf answer;           /* out: caller frees */
};

struct sh_pending { /* one event with work left */
    struct sh_event *event;
    char **rules; /* PENDING: rules that have a row already (skip); else the one to run */
    size_t n_rules;
    uint32_t attempt; /* RETRIES: attempts used so far */
};
/* PENDING: unfinished events with order > after_order, oldest first, up to limit rows and
 * max_bytes of bodies (at least one). RETRIES: runs due at or before before_ms, by due time. */
struct sh_op_pending {
    struct sh_op op;
    int64_t after_order, before_ms;
    size_t limit, max_bytes;
    struct sh_pending *items; /* out: caller's, sh_pending_free() */
    size_t n_items;
    int64_t next_due_ms; /* RETRIES out: earliest due time after before_ms, or 0 */
};
void sh_pending_free(struct sh_pending *items, size_t n); /* events that were taken are set NULL */

struct sh_outbox_item {
    char *id, *kind, *key, *event_id, *rule; /* owned */
    char *lane;
    char *trace;      /* trace.h, or NULL */
    char *payload;    /* the effect's doc (effect.h), JSON */
    char *recipients; /* as the last attempt left it, or NULL */
    int64_t seq;      /* order of commits */
    uint32_t attempts;
    int64_t created_ms;
    int64_t since_ms;      /* when it was asked for: created, or redriven last */
    int64_t lane_until_ms; /* the lane's pause as stored (Unix ms), 0 = none */
};
struct sh_lane_want {  /* what of a lane is wanted */
    const char *lane;  /* borrowed until done */
    size_t limit;      /* 0 = nothing (full or paused) */
    int64_t after_seq; /* of items never tried: behind this one */
    bool fresh_first;  /* those never tried before those whose retry is due */
};
/* Items due at or before before_ms, lane by lane: first those whose retry is due, by due time, then
 * those never tried (or put back in line), in order of commits; fresh_first: the other way round.
 * Lanes that are not in wants give up to `limit`. */
struct sh_op_outbox {
    struct sh_op op;
    int64_t before_ms;
    const struct sh_lane_want *wants; /* borrowed until done */
    size_t n_wants;
    size_t limit, max_bytes;      /* for each lane; of all payloads together (at least one item) */
    struct sh_outbox_item *items; /* out: sh_outbox_items_free() */
    size_t n_items;
    int64_t next_due_ms; /* the earliest retry after before_ms, or 0 */
};
void sh_outbox_items_free(struct sh_outbox_item *items, size_t n);

struct sh_op_count {
    struct sh_op op;
    int64_t unfinished, retries, dead_runs, queued, dead_items, timers; /* out */
    int64_t paused_rules, kept_runs;                                    /* out */
    struct {
        int64_t scheduled, snoozed, due, missed;
    } callbacks; /* out: those that are not closed */
};

/* The oldest work of each kind that is not finished: when it came (Unix ms), 0 = none, and its id:
 * an event that waits for its rules; one with a run that waits for its retry; an outbox item. */
struct sh_oldest {
    int64_t since_ms;
    char id[80];
};
struct sh_op_oldest {
    struct sh_op op;
    struct sh_oldest event, retry, item; /* out */
};

/* --- Rows for people: the command line, the simulator, later the API ------------------------ */

enum sh_list_what {
    SH_LIST_EVENTS,
    SH_LIST_RUNS,
    SH_LIST_RECORDS,
    SH_LIST_CALLBACKS,
    SH_LIST_OUTBOX,
    SH_LIST_TIMERS,
    SH_LIST_GENERATIONS,
    SH_LIST_RULES,
    SH_LIST_AUDIT
};
struct sh_list_query {
    enum sh_list_what what;
    const char *collection; /* RECORDS: required */
    const char *id;         /* this event, record, callback, outbox item or rule alone */
    const char *event_id;   /* RUNS, CALLBACKS, OUTBOX: of this event alone */
    const char *state;      /* events: stored|done|dead; runs: outcome; outbox: state;
                               callbacks: status, or "open" */
    const char *type;       /* EVENTS */
    int64_t since_ms;       /* 0 = all */
    size_t limit;           /* 0 = all; else the newest ones; rows always come oldest first */

    /* sh_store_view_page() only; NULL, 0 = any */
    int64_t until_ms;                    /* before this */
    const char *source, *cause;          /* EVENTS; cause: emitted by a run of this event */
    const char *key;                     /* EVENTS, TIMERS */
    const char *rule, *generation;       /* RUNS; rule also OUTBOX, TIMERS */
    const char *kind;                    /* OUTBOX: email, http; TIMERS: timer, clock */
    const char *lane;                    /* OUTBOX */
    const char *assignee;                /* CALLBACKS */
    int64_t due_after_ms, due_before_ms; /* CALLBACKS, TIMERS: from, before */
    const char *who, *action, *target;   /* AUDIT */
};
/* One row as an object with exactly the members README and docs promise:
 * event {id, source, type, key, received_at, state}, with .id set also body (parsed JSON)
 * and, if it has one, trace_id; record {id, doc, updated_at}; callback {id, number, name, due_at,
 * assignee, reason, status, note, event_id} with .id also rule, completes, created_at, history
 * [{at, what, by, detail}]; outbox {id, kind, to, state, attempts, error, event_id, key, next_at}
 * with .id also lane, status, answer, recipients, payload and sent_to (where the carrier said it
 * went, or null); timer {name, kind ("timer" | "clock"), due_at, type, key, event_id, every, zone,
 * local}; generation {generation, live_at, cause, changes [{file, change}], live}: one row for each
 * time that one went live; change: "added", "changed", "removed" against the one before; live: it
 * is the one; rule {rule, state ("on" | "paused" | "resuming"), failures (in a row), kept (runs),
 * since, by, error, event_id}: each that ever failed or was paused; since and by of that state
 * (null: on), error and event_id of the last failure in the row; run {event_id, rule, generation,
 * outcome, attempts, effects, error, duration_ms, logs} (effects: array of brief effects), with
 * .event_id in the query also lookups [{request, answer}]. Times RFC 3339 UTC with milliseconds.
 * The row is the callee's loan. Returning false stops. */
typedef bool sh_list_fn(void *arg, const cJSON *row);

/* A page of rows as the API shows them: those above with members more (docs/openapi.json), JSON in
 * them as cJSON_Raw nodes: the text that is stored. */
struct sh_page {
    bool whole;        /* rows as sh_store_view_get() gives them */
    bool ascending;    /* oldest first; records: by id, callbacks and others: as they were made */
    size_t limit;      /* rows, 1 .. 1000 */
    size_t max_bytes;  /* of rows together, past which the page ends */
    size_t max_looks;  /* at fewer rows than SH_STORE_LOOKS; 0: at so many */
    const char *after; /* `next` of the page before, or NULL */
    cJSON *rows;       /* out: array, caller deletes */
    char *next;        /* out: caller frees; NULL: that was the last page */
};

/* Read-only view of a data folder, also beside a running engine. Errors: SH_ENOTFOUND no store
 * there. From an open store (the simulator's), use sh_store_list(). */
struct sh_store_view;
struct sh_store_view *sh_store_view_open(const char *dir, struct sh_error *err) SH_WARN_UNUSED;
void sh_store_view_close(struct sh_store_view *v);
bool sh_store_view_list(struct sh_store_view *v, const struct sh_list_query *q, sh_list_fn *fn,
                        void *arg, struct sh_error *err) SH_WARN_UNUSED;
/* One page of q (id and limit in it are not looked at). At most SH_STORE_LOOKS rows are looked at,
 * for SH_STORE_LOOK_MS: where a filter lets few through, the page comes back short, even empty,
 * with a `next`. Rows that are added meanwhile do not move others to another page; no read
 * transaction stays open. False and *err: SH_EINVAL: `after` is none, no such kind or state;
 * others. */
#define SH_STORE_LOOKS   10000
#define SH_STORE_LOOK_MS 100
bool sh_store_view_page(struct sh_store_view *v, const struct sh_list_query *q, struct sh_page *p,
                        struct sh_error *err) SH_WARN_UNUSED;
/* The row with that id, whole, as the API shows it; caller deletes. NULL and *err: SH_ENOTFOUND. */
cJSON *sh_store_view_get(struct sh_store_view *v, enum sh_list_what what, const char *collection,
                         const char *id, struct sh_error *err) SH_WARN_UNUSED;
/* The bytes of an event as they came; caller frees. */
bool sh_store_view_body(struct sh_store_view *v, const char *id, struct sh_buf *out,
                        struct sh_error *err) SH_WARN_UNUSED;
/* [{"collection","records","exact"}]: exact false: at least so many. Caller deletes. */
cJSON *sh_store_view_counts(struct sh_store_view *v, struct sh_error *err) SH_WARN_UNUSED;
/* {rule: {"outcomes": {outcome: n}, "time": {"runs","mean_us","p95_us","max_us"}}} of the newest
 * `last` runs; time: of those among them that have run; without any, null. Caller deletes. */
cJSON *sh_store_view_run_sums(struct sh_store_view *v, size_t last,
                              struct sh_error *err) SH_WARN_UNUSED;
/* The minutes that began from from_ms on and before before_ms, but for those of `ring` from
 * since_ms on; oldest first, in slices: no read transaction stays open for all of them. What does
 * not read as counts is left. */
struct sh_series_query {
    int64_t from_ms, before_ms, ring, since_ms;
};
typedef void sh_series_fn(void *arg, const struct sh_series_span *minute);
bool sh_store_view_series(struct sh_store_view *v, const struct sh_series_query *q,
                          sh_series_fn *fn, void *arg, struct sh_error *err) SH_WARN_UNUSED;
/* Names of the collections, as strings in an array; caller deletes. */
cJSON *sh_store_view_collections(struct sh_store_view *v) SH_WARN_UNUSED;
/* A generation's text by its id, or the first 4 or more characters of it; "live": the one that went
 * live last. NULL and *err: SH_ENOTFOUND, SH_EINVAL (several begin like that). Caller frees. */
struct sh_generation *sh_store_view_generation(struct sh_store_view *v, const char *id,
                                               struct sh_error *err) SH_WARN_UNUSED;
/* The types of events that will come of themselves, and how many: timers, and callbacks
 * (callback_due, callback_missed). An array of {"type","timers","callbacks"}; caller deletes; NULL
 * and *err if it cannot be read. Reads every timer: not for the loop. */
cJSON *sh_store_view_waiting(struct sh_store_view *v, struct sh_error *err) SH_WARN_UNUSED;
bool sh_store_list(struct sh_store *s, const struct sh_list_query *q, sh_list_fn *fn, void *arg,
                   struct sh_error *err) SH_WARN_UNUSED; /* without threads only */

#endif
