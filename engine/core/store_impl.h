/* SPDX-License-Identifier: MIT
 * store_impl.h: what the files of the SQLite store share; nobody else includes it.
 *
 * How a function of the store fails tells what must happen, by the error's code
 * (sh_store_dooms_batch): SH_EFATAL, SH_EFULL, SH_ESYS, SH_EBUSY lose the whole transaction; the
 * others are one operation's own fault and cost its companions nothing. */
#ifndef SH_CORE_STORE_IMPL_H
#define SH_CORE_STORE_IMPL_H

#include "base/clock.h"
#include "base/limits.h"
#include "core/store.h"
#include "core/store_token.h"
#include "svc/sqlite.h"

#include <pthread.h>
#include <stdatomic.h>

#define SH_FORGOTTEN          "{\"forgotten\":true}" /* in the place of what was a caller's */
#define SH_STORE_BATCH        1024                   /* operations in one transaction */
#define SH_STORE_WAL_PAGES    8192 /* WAL longer than this is checkpointed: 32 MiB */
#define SH_STORE_GATE_MS      20   /* how long a checkpoint's last step waits for readers */
#define SH_STORE_CHECK_BYTES  (64LL * 1024 * 1024) /* larger files are checked after the start */
#define SH_STORE_CHECK_MAX    (2LL * 1024 * 1024 * 1024) /* still larger ones by hand alone */
#define SH_STORE_VERSIONS     1000000                    /* record versions reserved at once */
#define SH_STORE_DEDUPE_MOVE  ((size_t)128 << 10)        /* new dedupe ids that start a move */
#define SH_STORE_FINDS        16                         /* prepared records.find statements kept */
#define SH_STORE_CONDITIONS   32                         /* in one records.find */
#define SH_STORE_PATH_BYTES   512                        /* of a field's path in records.find */
#define SH_STORE_ANSWER_BYTES ((size_t)8 << 20)          /* of one answer to a read */
#define SH_STORE_VIEWS        256                        /* collections with a typed view */
#define SH_STORE_BRIEF_BYTES  ((size_t)8 << 20) /* of a run's effects in short; of its look-ups */
#define SH_STORE_SAID_BYTES   4096 /* of an error or an answer kept with an outbox item */
#define SH_STORE_TO_BYTES     300  /* of a call's address as people see it */

#define SH_STORE_APPLICATION_ID 0x53574f4b /* "SWOK", in the header of the file */

#define SH_STORE_NEAR_MS    60000             /* timers due sooner count as emits */
#define SH_STORE_FIRE_MAX   10000             /* things in one SH_OP_FIRE */
#define SH_STORE_FEED_BYTES ((size_t)4 << 20) /* of a calendar feed */

/* Every statement that is kept prepared; texts in store_sql.c. */
enum sh_stmt {
    SH_ST_BEGIN,
    SH_ST_COMMIT,
    SH_ST_SAVE_OP,
    SH_ST_BACK_OP,
    SH_ST_FREE_OP,
    SH_ST_SAVE_RUN,
    SH_ST_BACK_RUN,
    SH_ST_FREE_RUN,
    SH_ST_DEDUPE_ADD,
    SH_ST_DEDUPE_FIRST,
    SH_ST_DEDUPE_MOVE,
    SH_ST_DEDUPE_CLEAR,
    SH_ST_EVENT_ID,
    SH_ST_EVENT_ADD,
    SH_ST_AUDIT_ADD,
    SH_ST_UNFINISHED_ADD,
    SH_ST_UNFINISHED_DEL,
    SH_ST_RUN_PUT,
    SH_ST_RECORD_GET,
    SH_ST_RECORD_VERSION,
    SH_ST_RECORD_PUT,
    SH_ST_RECORD_DEL,
    SH_ST_VERSIONS_SET,
    SH_ST_CALLBACK_PUT,
    SH_ST_CALLBACK_GET,
    SH_ST_CALLBACK_BY_ID,
    SH_ST_CALLBACK_BY_PREFIX,
    SH_ST_CALLBACK_SAME,
    SH_ST_CALLBACK_OF_NUMBER,
    SH_ST_CALLBACK_LOCALS,
    SH_ST_CALLBACK_CHANGE,
    SH_ST_FEED_ADD,
    SH_ST_FEED_RENEW,
    SH_ST_FEED_TOKEN,
    SH_ST_FEED_ASSIGNEE,
    SH_ST_FEED_ROWS,
    SH_ST_TIMER_PUT,
    SH_ST_TIMER_DEL,
    SH_ST_TIMER_GET,
    SH_ST_TIMER_GONE,
    SH_ST_TIMER_CANCEL,
    SH_ST_TIMER_IS_CLOCK,
    SH_ST_TIMER_LOCALS,
    SH_ST_TIMER_MOVE,
    SH_ST_CLOCK_ROWS,
    SH_ST_CLOCK_NEXT,
    SH_ST_DUE,
    SH_ST_DUE_NEXT,
    SH_ST_OUTBOX_ADD,
    SH_ST_DELIVERY,
    SH_ST_DELIVERY_NOTIFY,
    SH_ST_LANE_SET,
    SH_ST_LANE_DEL,
    SH_ST_GENERATION_ADD,
    SH_ST_GENERATION_SAME,
    SH_ST_GENERATION_KEEP,
    SH_ST_GENERATION_FILE,
    SH_ST_GENERATION_LIVE,
    SH_ST_GENERATION_NOTE,
    SH_ST_DATA_VERSION,
    SH_ST_RULES_LOAD,
    SH_ST_RULE_COUNT,
    SH_ST_RULE_STATE,
    SH_ST_RULE_KEPT,
    SH_ST_RULE_KEEP_RETRIES,
    SH_ST_RUN_KEEP,
    SH_ST_RUN_RELEASED,
    SH_ST_RESUME_FIND,
    SH_ST_RESUME_RUN,
    SH_ST_GENERATION_TEXT,
    SH_ST_REDRIVE_RUNS,
    SH_ST_REDRIVE_ITEMS,
    SH_ST_DROP_RUNS,
    SH_ST_DROP_ITEMS,
    SH_ST_TOKEN_NAMED,
    SH_ST_TOKEN_ADD,
    SH_ST_TOKEN_DEL,
    SH_ST_TOKENS,
    SH_ST_SESSION_ADD,
    SH_ST_SESSION_EXPIRE,
    SH_ST_SESSION_CAP_TOKEN,
    SH_ST_SESSION_CAP,
    SH_ST_SESSION_DEL,
    SH_ST_SESSION_DEL_TOKEN,
    SH_ST_SESSIONS,
    SH_ST_PRUNE_FIND,
    SH_ST_PRUNE_EVENT,
    SH_ST_PRUNE_DEDUPE,
    SH_ST_PRUNE_DEDUPE_NEW,
    SH_ST_PRUNE_RUNS,
    SH_ST_PRUNE_OUTBOX,
    SH_ST_PRUNE_LANES,
    SH_ST_FIELD_ADD,
    SH_ST_PENDING,
    SH_ST_RULES_OF,
    SH_ST_RETRIES,
    SH_ST_RETRIES_NEXT,
    SH_ST_READ_BEGIN,
    SH_ST_OUTBOX_LANE,
    SH_ST_OUTBOX_RETRIES,
    SH_ST_OUTBOX_FRESH,
    SH_ST_OUTBOX_NEXT,
    SH_ST_CALLBACK_COUNTS,
    SH_ST_COUNTS,
    SH_ST_OLDEST,
    SH_ST_COUNT
};
extern const char *const sh_store_sql[SH_ST_COUNT];

struct sh_store_find { /* one kept records.find statement */
    char *sql;
    sqlite3_stmt *st;
    unsigned used; /* conn->clock when last used */
};

/* A connection with its statements; belongs to one thread. */
struct sh_store_conn {
    sqlite3 *db;
    sqlite3_stmt *st[SH_ST_COUNT];
    struct sh_store_find finds[SH_STORE_FINDS];
    unsigned clock;
    unsigned touched;            /* topics of what was run or prepared since it was set to 0 */
    uint8_t topics[SH_ST_COUNT]; /* that a kept statement writes to */
};

/* The record that the settle in hand wrote last, not yet in the table (store_effect.c). */
struct sh_store_held {
    struct sh_buf name; /* collection, then id */
    struct sh_buf doc;
    size_t collection_n;
    int64_t now_ms;
    bool dirty;
};

struct sh_store_queue {
    pthread_mutex_t mu;
    pthread_cond_t more;
    struct sh_op *head, *tail;
    size_t n;
    bool stop;
};

struct sh_store_dedupe; /* which dedupe ids are stored, store_dedupe.c */
struct sh_forget;       /* the erasure whose slice is in hand, forget.h */
struct sh_store_gone;   /* an event that was forgotten, store_scrub.c */
struct sh_store_views;  /* known fields of every collection, store_views.c */
struct sh_store_rules;  /* rules that fail or are paused, store_rules.c */

struct sh_store {
    struct sh_store_config config;
    char *path; /* database file, NULL in memory */
    int lock_fd;
    struct sh_store_conn w;  /* writer's */
    struct sh_store_conn rd; /* reader's; unused without threads */
    struct sh_store_conn *r; /* &rd, or &w without threads */
    sqlite3 *ckpt;           /* checkpointer's */
    int sync_fd;             /* of the database file, for fdatasync alone; closed last, since
                                closing it drops the process's POSIX locks on the file */
    struct sh_store_queue wq, rq;
    struct sh_op *done_head, *done_tail;
    pthread_mutex_t done_mu;
    pthread_t writer, reader, keeper;
    bool threads_up;
    bool deferred;     /* submitter's: a kick is on its way */
    bool forget_ready; /* the writer's: functions of an erasure are known to SQL */
    bool gone_fresh;   /* the writer's: some of gone are not committed yet */
    bool leave_log;    /* closing does not checkpoint */
    bool check_later;  /* quick_check is still owed: the keeper does it */

    pthread_mutex_t keep_mu; /* of the three below: writer and checkpointer take turns by them */
    pthread_cond_t keep_cond;
    int wal_pages; /* length of the WAL after the last commit */
    bool writing, gate, keep_stop;

    _Atomic int64_t batch_us; /* when the writer took up what it has in hand; 0: nothing */
    _Atomic int64_t commits;
    _Atomic unsigned changes;    /* topics written to since sh_store_changes() was asked */
    struct sh_store_stats stats; /* under keep_mu */
    pthread_mutex_t fatal_mu;
    struct sh_error fatal; /* code SH_OK while all is well */

    /* the writer's alone */
    struct sh_id_maker ids;
    uint64_t version, version_limit, version_kept; /* last given; reserved; reserved on disk */
    struct sh_store_dedupe *dedupe;
    size_t dedupe_move_at; /* new dedupe ids that start a move to the large index */
    struct sh_store_views *views;
    struct sh_store_rules *rules;
    struct sh_effect *fx; /* scratch: effects of the run in hand */
    size_t fx_cap;
    struct sh_buf brief, doc; /* scratch */
    struct sh_store_held held;
    size_t n_emits;             /* of the settle in hand */
    int changes_before;         /* rows changed until this transaction */
    unsigned changes_elsewhere; /* topics that another process may have written to */
    const struct sh_forget *forget;
    struct sh_store_gone *gone;
};

/* --- store_schema.c: what is on disk ----------------------------------------- */
bool sh_store_disk_open(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;
void sh_store_disk_close(struct sh_store *s);
/* quick_check on a connection. False: damage, SH_EFATAL. */
bool sh_store_check(sqlite3 *db, struct sh_error *err) SH_WARN_UNUSED;
void sh_store_conn_close(struct sh_store_conn *c);
/* The prepared statement; prepared at its first use. NULL and *err when that fails. */
sqlite3_stmt *sh_store_stmt(struct sh_store_conn *c, enum sh_stmt which,
                            struct sh_error *err) SH_WARN_UNUSED;
/* sh_store_stmt() and sh_sqlite_run() for one without parameters. */
bool sh_store_do(struct sh_store_conn *c, enum sh_stmt which, struct sh_error *err) SH_WARN_UNUSED;
char *sh_store_db_path(const char *dir) SH_WARN_UNUSED;
/* mkdir -p; the last folder is the owner's alone. */
bool sh_store_make_dir(const char *dir, struct sh_error *err) SH_WARN_UNUSED;
/* The entry of a new folder or file lasts only when its parent folder is synced too. */
bool sh_store_sync_dir(const char *dir, struct sh_error *err) SH_WARN_UNUSED;
/* The data folder's lock, for as long as the descriptor is open; -1 and *err: SH_EBUSY: another
 * holds it (after a second of trying), others. */
int sh_store_lock(const char *dir, struct sh_error *err) SH_WARN_UNUSED;

/* --- store.c: threads -------------------------------------------------------- */
void sh_store_set_fatal(struct sh_store *s, const struct sh_error *err);
bool sh_store_get_fatal(struct sh_store *s, struct sh_error *err); /* true: it is; fills err */
/* Between them the writer is in a transaction; the checkpointer waits, or is waited for. */
void sh_store_write_begin(struct sh_store *s);
void sh_store_write_end(struct sh_store *s);
/* A transaction of n operations took so long. */
void sh_store_note_batch(struct sh_store *s, size_t n, int64_t us);

/* --- store_change.c: which topics were written to ------------------------------ */
/* Of a table. False: it is in no list, which a test forbids. */
bool sh_store_topics_of(const char *table, unsigned *topics) SH_WARN_UNUSED;
/* Have what is prepared on c noted in c->touched. Before the first statement is kept. */
void sh_store_changes_watch(struct sh_store_conn *c);
/* Within a new transaction of the writer; and after its commit. */
void sh_store_changes_begin(struct sh_store *s);
void sh_store_changes_committed(struct sh_store *s);

/* --- store_keep.c: checkpoints and the check after an unclean end, on a thread of its own --- */
void *sh_store_keeper_main(void *store);

/* --- store_batch.c: one transaction ------------------------------------------ */
void sh_store_batch(struct sh_store *s, struct sh_op *ops); /* fills ok and err of each */
bool sh_store_dooms_batch(enum sh_code code);

/* --- operations on the writer. False: see the head of this file. ------------- */
bool sh_store_accept(struct sh_store *s, struct sh_op_accept *op, struct sh_error *err);
bool sh_store_add_event(struct sh_store *s, struct sh_event *e, struct sh_id *first, bool *dup,
                        struct sh_error *err);
bool sh_store_prune(struct sh_store *s, struct sh_op_prune *op, struct sh_error *err);
/* safe: each run in a savepoint of its own, and an effect that cannot be applied makes its run
 * DEAD. Not safe: it makes the function fail, and the batch is done again with safe. */
bool sh_store_settle(struct sh_store *s, struct sh_op_settle *op, bool safe, struct sh_error *err);
void sh_store_settle_begin(struct sh_op_settle *op);  /* out members to nothing */
void sh_store_settle_finish(struct sh_op_settle *op); /* committed: outcomes as they now are */

/* --- store_dedupe.c ---------------------------------------------------------- */
struct sh_slice;
/* Of a source and a dedupe id; what is stored is its front. */
void sh_store_dedupe_hash(struct sh_slice source, struct sh_slice dedupe_id, uint8_t out[32]);
#define SH_STORE_HASH_BYTES 16 /* of SHA-256: no two of 2^50 events will meet */
struct sh_store_dedupe *sh_store_dedupe_new(void) SH_WARN_UNUSED;
void sh_store_dedupe_free(struct sh_store_dedupe *d);
bool sh_store_dedupe_load(struct sh_store *s, struct sh_error *err);
/* 1: there is such an event, *first is its id. 0: none. -1: failed. */
int sh_store_dedupe_find(struct sh_store *s, const uint8_t *hash, struct sh_id *first,
                         struct sh_error *err);
bool sh_store_dedupe_add(struct sh_store *s, const uint8_t *hash, int64_t seq,
                         struct sh_error *err);
/* The event was pruned. */
bool sh_store_dedupe_remove(struct sh_store *s, const uint8_t *hash, int64_t seq,
                            struct sh_error *err);
/* Before a savepoint; and after its rollback: forget what was added since. */
size_t sh_store_dedupe_mark(const struct sh_store *s);
void sh_store_dedupe_back_to(struct sh_store *s, size_t mark);
/* Before commit: move a slice to the large index. After: keep or forget. */
bool sh_store_dedupe_step(struct sh_store *s, struct sh_error *err);
void sh_store_dedupe_committed(struct sh_store *s);
void sh_store_dedupe_rolled_back(struct sh_store *s); /* after sh_store_dedupe_back_to() */

/* --- store_rules.c: rules that fail -------------------------------------------- */
struct sh_store_rules *sh_store_rules_new(void) SH_WARN_UNUSED;
void sh_store_rules_free(struct sh_store_rules *r);
/* Once, before anything is handed out: what a resumed rule was given and had not yet run when the
 * process ended is kept again, so that it comes in order. */
bool sh_store_rules_recover(struct sh_store *s, struct sh_error *err);
/* At the start of a transaction: read what another process has changed. */
bool sh_store_rules_refresh(struct sh_store *s, struct sh_error *err);
/* As sh_store_dedupe_mark() and its like. */
size_t sh_store_rules_mark(const struct sh_store *s);
void sh_store_rules_back_to(struct sh_store *s, size_t mark);
void sh_store_rules_committed(struct sh_store *s);
enum sh_rule_state sh_store_rule_state(const struct sh_store *s, struct sh_slice rule);
/* A run of op ended well, or failed with this error: count, and pause the rule if it is time. */
bool sh_store_rule_ran(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                       bool failed, struct sh_slice error, struct sh_error *err);
/* May the run have its effects (*takes)? Not while its rule is paused; nor while it is resumed,
 * unless SH_OP_RESUME has given it out. */
bool sh_store_rule_takes(struct sh_store *s, const struct sh_op_settle *op,
                         const struct sh_run *run, bool *takes, struct sh_error *err);
/* The row of a run that has had none and has said nothing. */
bool sh_store_keep_run(struct sh_store *s, const struct sh_op_settle *op, const struct sh_run *run,
                       struct sh_error *err);
bool sh_store_rule_set(struct sh_store *s, struct sh_op_rule_set *op, struct sh_error *err);
bool sh_store_rules_op(struct sh_store *s, struct sh_op_rules *op, struct sh_error *err);
void sh_store_rules_begin(struct sh_op_rules *op); /* out members to nothing */
bool sh_store_resume(struct sh_store *s, struct sh_op_resume *op, struct sh_error *err);
void sh_store_resume_begin(struct sh_op_resume *op);

/* --- store_effect.c ---------------------------------------------------------- */
/* The run's effects into s->fx. */
bool sh_store_decode(struct sh_store *s, const struct sh_run *run, struct sh_error *err);
/* Count what all runs of a settle emit, before they are applied. */
void sh_store_count_emits(struct sh_store *s, const struct sh_op_settle *op);
/* Write the held record. Before anything reads records, and at the end of a settle. */
bool sh_store_flush_record(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;
/* Forget it: what was to be written is rolled back. */
void sh_store_drop_record(struct sh_store *s);
bool sh_store_apply(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                    struct sh_error *err);
bool sh_store_collection_ok(struct sh_slice name, struct sh_error *err);
bool sh_store_record_id_ok(struct sh_slice id, struct sh_error *err);

/* A record's next version, never given before. */
bool sh_store_next_version(struct sh_store *s, uint64_t *version,
                           struct sh_error *err) SH_WARN_UNUSED;

/* --- store_leave.c ----------------------------------------------------------- */
struct sh_leaving { /* an effect that leaves the run, with what all of them need */
    struct sh_op_settle *op;
    const struct sh_run *run;
    const struct sh_effect *fx;
    char key[SH_EFFECT_KEY_TEXT];
    char event_id[SH_ID_TEXT];
};
bool sh_store_leave(struct sh_store *s, struct sh_leaving *l, struct sh_error *err);
/* How many steps away from its event n_emits of one settle put what is emitted. */
uint32_t sh_store_emit_steps(size_t n_emits);
/* The effect's doc as an object; NULL and *err. Caller deletes. */
cJSON *sh_store_parse_doc(const struct sh_effect *fx, struct sh_error *err) SH_WARN_UNUSED;

/* What goes into the outbox, from a run or from a callback. Texts borrowed. */
struct sh_store_item {
    const char *kind; /* "email", "http": the row's id is "<kind>-<key>" */
    const char *key;  /* as Idempotency-Key, Message-ID */
    const char *event_id, *event_key;
    const char *trace; /* or NULL */
    uint32_t depth;
    struct sh_slice rule; /* "" = none */
    struct sh_slice payload;
    int64_t now_ms;
};
/* Queue it (lane, recipient and notify are taken from the payload). An id that is there already is
 * left alone. *n_queued counts what was added. */
bool sh_store_queue_item(struct sh_store *s, const struct sh_store_item *item, size_t *n_queued,
                         struct sh_error *err) SH_WARN_UNUSED;
/* An event from within, stored and added to a growing array of owned events. e is taken. One whose
 * dedupe id is known already is dropped. */
bool sh_store_emit(struct sh_store *s, struct sh_event *e, struct sh_event ***list, size_t *n,
                   struct sh_error *err) SH_WARN_UNUSED;

/* --- store_read.c -------------------------------------------------------------- */
/* The event at a row whose columns begin as those of SH_ST_PENDING. */
struct sh_event *sh_store_event_of(sqlite3_stmt *st) SH_WARN_UNUSED;

/* --- store_outbox.c ---------------------------------------------------------- */
bool sh_store_delivery(struct sh_store *s, struct sh_op_delivery *op, struct sh_error *err);
/* What a peer, a rule or a person said, as text that may stand in a row and in an event: UTF-8
 * (other bytes become U+FFFD), of bounded length. In scratch (the caller frees it) if it had to be
 * changed. NULL stays NULL. */
const char *sh_store_said(struct sh_buf *scratch, const char *text);
/* What was sent or dropped before op->before_ms, up to limit, and pauses that are over. Adds to
 * removed. */
bool sh_store_prune_outbox(struct sh_store *s, struct sh_op_prune *op, size_t limit,
                           struct sh_error *err);
bool sh_store_outbox(struct sh_store *s, struct sh_op_outbox *op, struct sh_error *err);

/* --- store_time.c ------------------------------------------------------------ */
bool sh_store_timer_set(struct sh_store *s, struct sh_leaving *l, struct sh_error *err);
bool sh_store_timer_cancel(struct sh_store *s, struct sh_leaving *l, struct sh_error *err);
void sh_store_fire_begin(struct sh_op_fire *op); /* out members to nothing */
bool sh_store_fire(struct sh_store *s, struct sh_op_fire *op, struct sh_error *err);
bool sh_store_clocks(struct sh_store *s, struct sh_op_clocks *op, struct sh_error *err);
/* Does this ask for an event within SH_STORE_NEAR_MS? Then it counts as an emit. */
bool sh_store_is_near(const struct sh_effect *fx, int64_t now_ms);
/* The depth of an event that will come at due_ms: 0 unless it is near. False: too many steps. */
bool sh_store_depth_at(const struct sh_store *s, const struct sh_leaving *l, int64_t due_ms,
                       uint32_t *depth, struct sh_error *err) SH_WARN_UNUSED;

/* --- store_callback.c -------------------------------------------------------- */
bool sh_store_callback_add(struct sh_store *s, struct sh_leaving *l, struct sh_error *err);
bool sh_store_callback_do(struct sh_store *s, struct sh_leaving *l, struct sh_error *err);
bool sh_store_callback_op(struct sh_store *s, struct sh_op_callback *op, struct sh_error *err);
bool sh_store_feed_new(struct sh_store *s, struct sh_op_feed_new *op, struct sh_error *err);
bool sh_store_feed(struct sh_store *s, struct sh_op_feed *op, struct sh_error *err);

/* --- store_doc.c: documents as text ------------------------------------------ */
struct sh_doc_iter {
    const char *p, *end;
};
/* Members of an object that passed sh_json_check(), without a tree. False: not an object. */
bool sh_doc_begin(struct sh_doc_iter *it, struct sh_slice doc) SH_WARN_UNUSED;
/* key: without its quotes, still escaped. False: no more. */
bool sh_doc_next(struct sh_doc_iter *it, struct sh_slice *key, struct sh_slice *value);
/* RFC 7396: target changed by patch (an object), appended to out. A target that is no object
 * counts as {}. Numbers and strings keep their text. */
void sh_doc_merge(struct sh_buf *out, struct sh_slice target, struct sh_slice patch);
/* Add to the number in a top-level member; absent counts as 0. Integers stay exact. */
bool sh_doc_incr(struct sh_buf *out, struct sh_slice doc, const struct sh_effect *fx,
                 struct sh_error *err);

/* --- store_views.c ----------------------------------------------------------- */
struct sh_store_views *sh_store_views_new(void) SH_WARN_UNUSED;
void sh_store_views_free(struct sh_store_views *v);
bool sh_store_views_load(struct sh_store *s, struct sh_error *err);
/* Note the top-level fields of a document written to a collection. */
void sh_store_views_see(struct sh_store *s, struct sh_slice collection, struct sh_slice doc);
/* Before commit: make again the views that have new fields. After: keep or forget them. */
bool sh_store_views_flush(struct sh_store *s, struct sh_error *err);
void sh_store_views_committed(struct sh_store *s);
void sh_store_views_rolled_back(struct sh_store *s);
/* Take the fields that fit out of the views; *n counts them. dry: only count. */
bool sh_store_views_forget(struct sh_store *s, bool (*fits)(void *arg, struct sh_slice field),
                           void *arg, bool dry, int64_t *n, struct sh_error *err) SH_WARN_UNUSED;

/* --- store_find.c and store_read.c: questions -------------------------------- */
/* Answer a request: mark, and unless rows is NULL the rows appended (bytes id, bytes doc). False
 * with SH_EINVAL or SH_ELIMIT: the question is at fault. */
bool sh_store_ask(struct sh_store_conn *c, const struct sh_read_request *q, uint64_t *mark,
                  uint64_t *n, struct sh_buf *rows, struct sh_error *err);
bool sh_store_find(struct sh_store_conn *c, const struct sh_read_request *q, uint64_t *mark,
                   uint64_t *n, struct sh_buf *rows, struct sh_error *err);
void sh_store_read_op(struct sh_store *s, struct sh_op *op); /* any reader operation */

/* --- store_forget.c, store_scrub.c ---------------------------------------------- */
struct sh_op_forget;
struct sh_op_scrub;
bool sh_store_forget(struct sh_store *s, struct sh_op_forget *op, struct sh_error *err);
/* Not within a transaction. Sets ok and err. */
void sh_store_scrub(struct sh_store *s, struct sh_op_scrub *op);
/* The event is forgotten: whatever still comes of it in this process has no effects. */
void sh_store_gone_add(struct sh_store *s, int64_t seq);
bool sh_store_is_gone(const struct sh_store *s, int64_t seq);
void sh_store_gone_end(struct sh_store *s, bool committed); /* of a transaction */
void sh_store_gone_free(struct sh_store *s);
/* At the start: nothing is under way any more. */
bool sh_store_gone_load(struct sh_store *s, struct sh_error *err) SH_WARN_UNUSED;
/* In place of sh_store_settle(). */
bool sh_store_settle_gone(struct sh_store *s, struct sh_op_settle *op, struct sh_error *err);

/* --- store_audit.c ------------------------------------------------------------- */
/* The row that tells of op, which has been carried out. */
bool sh_store_audit(struct sh_store *s, const struct sh_op *op, struct sh_error *err);

/* --- store_dead.c -------------------------------------------------------------- */
bool sh_store_redrive(struct sh_store *s, struct sh_op_redrive *op, struct sh_error *err);
bool sh_store_drop(struct sh_store *s, struct sh_op_redrive *op, struct sh_error *err);
bool sh_store_timer_drop(struct sh_store *s, struct sh_op_timer_cancel *op, struct sh_error *err);

/* --- store_token.c ------------------------------------------------------------- */
bool sh_store_token_new(struct sh_store *s, struct sh_op_token_new *op, struct sh_error *err);
bool sh_store_token_revoke(struct sh_store *s, struct sh_op_token_revoke *op, struct sh_error *err);
bool sh_store_tokens(struct sh_store *s, struct sh_op_tokens *op, struct sh_error *err);

/* --- store_session.c ----------------------------------------------------------- */
bool sh_store_session_new(struct sh_store *s, struct sh_op_session_new *op, struct sh_error *err);
bool sh_store_session_end(struct sh_store *s, struct sh_op_session_end *op, struct sh_error *err);
bool sh_store_sessions(struct sh_store *s, struct sh_op_sessions *op, struct sh_error *err);
/* Those that the token of this name has opened; *n: how many there were. */
bool sh_store_sessions_of(struct sh_store *s, const char *token, size_t *n, struct sh_error *err);
bool sh_store_sessions_expire(struct sh_store *s, int64_t now_ms, struct sh_error *err);

/* --- store_series.c ------------------------------------------------------------ */
bool sh_store_series(struct sh_store *s, const struct sh_op_series *op, struct sh_error *err);

/* --- store_generation.c ------------------------------------------------------ */
bool sh_store_generation(struct sh_store *s, struct sh_op_generation *op, struct sh_error *err);

/* --- store_list.c ------------------------------------------------------------ */
struct sh_store_view { /* of a folder, read-only */
    sqlite3 *db;
};
bool sh_store_list_on(sqlite3 *db, const struct sh_list_query *q, sh_list_fn *fn, void *arg,
                      struct sh_error *err);

#endif
