/* SPDX-License-Identifier: MIT
 * run.h: the shapes that travel between dispatch, worker, rule host and store: jobs, runs, reads.
 */
#ifndef SH_CORE_RUN_H
#define SH_CORE_RUN_H

#include "core/effect.h"
#include "core/event.h"

/* One event to run rules on. Borrowed throughout. */
struct sh_job {
    uint64_t token; /* the engine's name for this job; never 0 */
    struct sh_id id;
    struct sh_slice source, type, key, body;
    int64_t received_ms;
    int64_t due_ms;             /* a timer's event: when it was due; 0 = none */
    int64_t now_ms;             /* the run's clock: now() */
    int64_t occurred_ms;        /* event.h; 0 = none */
    enum sh_body_format format; /* of body */
    struct sh_slice trace;      /* trace.h; "" = none */
    uint32_t attempt;           /* 1 = first */
    bool explain;               /* report rules that did not match, with the reason */
    bool look;                  /* ask `when` alone: DONE is a rule that would run. Not in frames */
    const struct sh_slice *only; /* if n_only: these rules alone (a retry) */
    size_t n_only;
    const struct sh_slice *skip; /* never these (already settled) */
    size_t n_skip;
    const struct sh_slice *hold; /* paused rules: where `on` fits, PAUSED and none of their code */
    size_t n_hold;
};

enum sh_outcome {
    SH_RUN_DONE = 1,
    SH_RUN_FAILED = 2,       /* error says why */
    SH_RUN_GONE = 3,         /* `only` named a rule that this generation does not have */
    SH_RUN_SKIPPED_ON = 4,   /* explain only: the type did not match; error says it */
    SH_RUN_SKIPPED_WHEN = 5, /* explain only: `when` said no; error says where */
    SH_RUN_RETRY = 6,        /* in the store: failed or in conflict, due again at retry_at_ms */
    SH_RUN_DEAD = 7,         /* in the store: attempts used up */
    SH_RUN_PAUSED = 8        /* kept until its rule, which is paused, is resumed */
};

/* What becomes of a rule's events. */
enum sh_rule_state {
    SH_RULE_ON = 0,   /* it runs on them */
    SH_RULE_PAUSED,   /* they are kept for it */
    SH_RULE_RESUMING, /* what was kept goes again, oldest first; new ones are still kept */
};
const char *sh_rule_state_name(enum sh_rule_state s); /* "on", "paused", "resuming" */
const char *sh_outcome_name(enum sh_outcome o);       /* "done", "failed", "retry", "dead", ... */

#define SH_RULE_ALL "*" /* stands in the rule's place where no rule can be blamed */

/* One rule on one event. Slices borrowed from the frame or host buffers. */
struct sh_run {
    struct sh_slice rule;
    enum sh_outcome outcome;
    uint32_t attempt;
    struct sh_slice error; /* "rules/a.lua:12: message", maybe a traceback on further lines */
    int64_t now_ms;        /* the recorded clock */
    uint64_t duration_us;  /* CPU of the rule, without waits */
    uint32_t n_effects;
    struct sh_slice effects; /* n_effects times sh_effect_write() */
    uint32_t n_reads;
    struct sh_slice reads; /* n_reads times sh_read_mark_write() */
    struct sh_slice logs;  /* JSON array of {"level","text"}; "" = none */
    /* explain only, of a rule whose `when` was asked; not in frames:
     * {"file","line","last_line","returned","looked_at":[..],"more"}: where the condition stands,
     * what it returned ("false", "nil", "true", "a table"; absent: it came to no end), and what it
     * read of the event and the envelope, at most 32, and how many more there were:
     *   {"path":"analysis.sentiment","value":"neutral"}, {"path":"a.b","absent":true}; "cut":true
     *   when there was more of a text; of a table that is too long value is the beginning of its
     *   JSON as a text, and "json":true. A path is also `records.get("calls", "12")` ("read":true),
     *   `#items` and "(event)", the whole of it. */
    struct sh_slice seen;
    /* Between dispatch and store, not in frames: */
    int64_t retry_at_ms; /* FAILED: when again; 0 = never, a dead letter */
    bool conflict; /* set by the store: a read had changed, or PAUSED and its rule is not any more:
                      nothing was applied, it goes again at once */
    bool kept;     /* set by the store: the row waits for its rule to be resumed */
    enum sh_rule_state rule_state; /* set by the store: of its rule, after this run */
};

struct sh_result { /* what became of one job */
    uint64_t token;
    struct sh_run *runs;
    size_t n_runs;
};

enum sh_read_kind { SH_READ_GET = 1, SH_READ_FIND = 2, SH_READ_HTTP = 3 };

/* A question a run asks. */
struct sh_read_request {
    enum sh_read_kind kind;
    uint64_t token;             /* the job whose run asks; travels in ask frames alone */
    struct sh_slice collection; /* get, find */
    struct sh_slice id;         /* get */
    struct sh_slice query; /* find: {"filter":{path:value | {"eq","ne","lt","lte","gt","gte":v}},
                              "order":"path" | "-path" | "id" | "-id", "limit":n};
                              http: a call of method GET as http_call.h says */
};
void sh_read_request_write(struct sh_buf *out, const struct sh_read_request *q);
bool sh_read_request_read(struct sh_reader *r, struct sh_read_request *q) SH_WARN_UNUSED;

/* What the run saw, to be compared when it settles: the request and a mark: for get the record's
 * version (0 = absent), for find a hash over the (id, version) of every row in order. A look-up
 * over HTTP is not compared; it is kept with the run, question and answer, so that the run can be
 * replayed. */
struct sh_read_mark {
    struct sh_read_request request;
    uint64_t mark;
    struct sh_slice answer; /* http: the document that was answered (below); others: empty */
};
void sh_read_mark_write(struct sh_buf *out, const struct sh_read_mark *m);
bool sh_read_mark_read(struct sh_reader *r, struct sh_read_mark *m) SH_WARN_UNUSED;

/* The encoded answer to a read (made by the store, read by the rule host):
 * u8 ok; not ok: bytes message. ok: u64 mark, uint n, n times (bytes id, bytes doc).
 * For get n is 0 or 1. For http n is 1, id is empty, mark 0 and doc is
 * {"status":200,"headers":{"content-type":".."},"body":".."} (names in lower case; "body_base64" in
 * place of body when it is no UTF-8 text; "cut":true when it was longer than the limit), with
 * "cached":true when it came from the cache; or, when nothing was answered,
 * {"status":0,"error":"..."}. Secrets in it are blanked. */
struct sh_answer_row {
    struct sh_slice id, doc;
};

#endif
