/* SPDX-License-Identifier: MIT
 * internal.h: what the files of the rule host share. Nothing outside engine/lua includes it.
 *
 * One lua_State per host. Rules run in coroutines on it, one per rule and event. A stretch is the
 * time Lua code of an author may run: between sh_stretch_begin() and sh_stretch_end() the budgets
 * are watched and the shared pulse tells the engine who runs. */
#ifndef SH_LUA_INTERNAL_H
#define SH_LUA_INTERNAL_H

#include "base/limits.h"
#include "lua/host.h"

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <time.h>
#include <uthash.h>

#define SH_LUA_CHAIN 250     /* nested coroutines; Lua itself stops near 200 */
#define SH_LUA_SPAN  1000000 /* items one table.* or unpack call may touch */
#define SH_LUA_NAME  120     /* bytes of a name quoted in a message */

struct sh_rule {
    char *name, *file;                /* owned */
    int line;                         /* of the rule's definition */
    int when, run;                    /* registry references; LUA_NOREF = none */
    int when_line;                    /* where the function `when` begins */
    bool run_envelope, when_envelope; /* the function takes a second argument */
    char **on;                        /* owned patterns */
    size_t n_on;
    size_t *watch; /* owned: indexes into host.watch that this rule's functions reach */
    size_t n_watch;
};

/* A local of a file that some function assigns: compared after each run. */
struct sh_watch {
    int closure, value; /* registry references; value LUA_NOREF = nil */
    int upvalue;        /* number of the upvalue in the closure */
    const void *id;     /* lua_upvalueid */
    char *name, *file;  /* owned */
    int line;           /* where it is assigned, 0 = unknown */
};

/* Rules that match an event type, remembered. */
struct sh_match {
    char *type;
    size_t n, *rules;
    UT_hash_handle hh;
};

/* A record write of this run, for its own later reads. Offsets into run.effects. */
struct sh_own {
    enum sh_effect_kind kind;
    size_t collection, collection_n, id, id_n, doc, doc_n, field, field_n;
    bool is_int;
    int64_t n_int;
    double n_double;
};

enum sh_phase { SH_PHASE_WHEN, SH_PHASE_RUN, SH_PHASE_OVER };

struct sh_job_state;

struct sh_lua_run {
    struct sh_job_state *job;
    size_t rule; /* index; SIZE_MAX = a name in `only` that is gone */
    enum sh_phase phase;
    enum sh_outcome outcome; /* 0 = not decided */
    lua_State *co;           /* NULL = none taken from the pool */
    int co_ref;
    struct sh_buf effects, reads, logs, error;
    uint32_t n_effects, n_reads, n_logs;
    struct sh_own *own;
    size_t n_own, cap_own, own_seen; /* own_seen: bytes of effects looked at */
    int64_t duration_us, cpu_used_us, start_us;
    bool over; /* CPU budget passed in an earlier stretch */
    uint64_t random[4];
    bool seeded;
    /* the read it waits for */
    uint64_t read_id; /* 0 = none */
    bool answered;
    struct sh_read_request request; /* borrows from ask */
    struct sh_buf ask, answer;
    char *gone;              /* name of a rule that is not there */
    struct sh_lua_run *next; /* free list */
};

struct sh_job_state {
    uint64_t token;
    struct sh_id id;
    int64_t now_ms, received_ms;
    uint32_t attempt;
    bool explain, starting;
    int event_ref, view_ref, envelope_ref, proxies_ref;
    struct sh_lua_run **runs;
    size_t n_runs, cap_runs, open;
    struct sh_job_state *prev, *next;
};

struct sh_load { /* while a generation is loaded */
    const struct sh_generation *g;
    cJSON *errors, *warnings;
    const struct sh_file *file; /* being run now */
    int *module;         /* per file: registry ref of its value, 0 = not yet, -1 = being loaded */
    const char *pending; /* rule "Name" without its table yet (owned) */
    int pending_line;
};

struct sh_key;

struct sh_host {
    lua_State *L;
    struct sh_budgets budgets;
    struct sh_host_calls calls;
    struct sh_load *load; /* not NULL while loading */
    struct sh_rule *rules;
    size_t n_rules, cap_rules;
    struct sh_watch *watch;
    size_t n_watch, cap_watch;
    struct sh_match *matches;
    struct sh_job_state *jobs; /* waiting ones, a list */
    size_t n_jobs;
    struct sh_lua_run *run;    /* whose Lua code runs now */
    struct sh_lua_run *asking; /* inside calls.read for this run */
    struct sh_lua_run *free_runs;
    uint64_t last_read_id;
    struct sh_run *out; /* for a result */
    size_t cap_out;
    int *pool; /* coroutines at rest: registry references */
    size_t n_pool, cap_pool;
    struct sh_key *keys; /* a stack of keys being sorted or written */
    size_t n_keys, cap_keys;
    cJSON *tree; /* a parsed tree in use by code that may raise; freed at the next use */
    struct sh_buf scratch,
        scratch2; /* for code that may raise; never across a call of the author's */
    struct sh_buf
        fill; /* templates being filled, one behind the other: their values may fill more */
    /* registry references */
    int globals, view_mt, array_mt, object_mt;
    int metas;       /* metatables that runs set: weak keys, the run as value */
    bool metas_used; /* metas may hold some */
    const void *view_mt_p, *array_mt_p, *object_mt_p, *globals_p;
    /* budgets; the volatile ones are shared with the timer's signal handler */
    timer_t timer;
    bool timer_set;
    lua_State *chain[SH_LUA_CHAIN]; /* coroutines that run now, outermost first */
    volatile sig_atomic_t n_chain, active, over;
    volatile int64_t first_us, used_us, budget_us; /* CPU time of this thread */
    size_t used_bytes, cap_bytes;
    size_t floor_bytes;   /* in use after the last full collection */
    size_t refused_bytes; /* size of the request that was refused last, 0 = none */
    char refused_at[200]; /* file:line of it */
    bool killed;          /* the stretch must end; nothing may carry on */
    char kill_text[1000]; /* why, with file:line */
    int close_depth;      /* nested coroutine.close */
};

/* --- budget.c ------------------------------------------------------------------------------- */
static inline struct sh_host *sh_lua_host(lua_State *L)
{
    return *(struct sh_host **)lua_getextraspace(L);
}
void *sh_lua_alloc(void *ud, void *p, size_t osize, size_t nsize); /* lua_Alloc, ud = host */
void sh_budget_start(struct sh_host *h);                           /* the timer */
void sh_budget_stop(struct sh_host *h);
/* Lua code of co is about to run, or has stopped. used_us: CPU it took in earlier stretches.
 * exact: count from now, which costs a system call; otherwise from the first tick, at most 5 ms
 * late and for most runs never. */
void sh_stretch_begin(struct sh_host *h, lua_State *co, int64_t budget_us, int64_t used_us,
                      bool exact);
void sh_stretch_end(struct sh_host *h);
/* End the stretch: remembers why and leaves for the host, past any pcall. [-0, +0, v] */
int sh_lua_kill(lua_State *L, const char *why) __attribute__((noreturn));
/* After a protected call came back with an error on top of L: raises again if the stretch was
 * killed or ran out of memory. from: the state whose stack tells where. [-0, +0, v] */
void sh_lua_recheck(lua_State *L, int status);
bool sh_lua_ran_out(struct sh_host *h, lua_State *L, int status); /* notes a memory kill */
void sh_lua_open_protected(
    lua_State *L); /* pcall, xpcall, error-safe coroutine.*; into top table */

/* --- fail.c --------------------------------------------------------------------------------- */
/* Raise with the position of the nearest frame of the author. [-0, +0, v] */
int sh_lua_raise(lua_State *L, const char *fmt, ...) __attribute__((noreturn)) SH_PRINTF(2, 3);
/* "rules/a.lua:7" of the nearest author's frame of L, or "" . [-0, +0, -] */
bool sh_lua_where(lua_State *L, char *out, size_t size, int *line);
/* Bounded text of the error object on top of L, escaped, with position and author's frames.
 * Pops it. [-1, +0, -] */
void sh_lua_error_text(lua_State *L, struct sh_buf *out);
/* Escape control bytes and what is not UTF-8, cut at max bytes. keep_nl: line feeds stay. */
void sh_lua_clean(struct sh_buf *out, const char *p, size_t n, size_t max, bool keep_nl);
bool sh_lua_utf8(const char *p, size_t n); /* valid, and without U+0000 */
/* "a string", "nil", "a table", ... of the value at idx. */
const char *sh_lua_kind(lua_State *L, int idx);
/* The nearest of names (NULL-terminated) to word, or NULL if none is near. */
const char *sh_lua_nearest(const char *word, const char *const *names);
unsigned sh_lua_distance(const char *a, const char *b, unsigned limit);

/* --- convert.c ------------------------------------------------------------------------------ */
extern const char sh_lua_null; /* json.null is the light userdata of its address */
/* Push the value of a tree. keep_null: nulls in objects stay as json.null. [-0, +1, m] */
void sh_lua_push_tree(lua_State *L, const cJSON *node, bool keep_null);
/* Push the value of a JSON text that passed sh_json_check(). [-0, +1, v] */
void sh_lua_push_json(lua_State *L, struct sh_slice text, bool keep_null);
/* Write the value at idx as JSON. `what` begins the path in messages ("records.put: doc").
 * Raises at the author's line for what JSON cannot say. [-0, +0, v] */
void sh_lua_write_json(lua_State *L, int idx, struct sh_buf *out, const char *what);
/* Same without raising; false and a message in why. For log lines. [-0, +0, m] */
bool sh_lua_try_json(lua_State *L, int idx, struct sh_buf *out, char *why, size_t size);
/* Push a deep copy of the table at idx. [-0, +1, v] */
void sh_lua_push_copy(lua_State *L, int idx);
bool sh_lua_is_array(lua_State *L, int idx); /* of a resolved table: to be written as [] */

/* --- order.c -------------------------------------------------------------------------------- */
/* A key of a table; s borrows from the key string, which the table keeps alive. */
struct sh_key {
    int kind; /* 0 integer, 1 other number, 2 string, 3 boolean */
    lua_Integer i;
    lua_Number d;
    const char *s;
    size_t n;
};
/* Add the keys of the raw table at idx to h->keys, in the defined order; returns how many. Raises
 * for a key that has no place in the order. [-0, +0, v] */
size_t sh_lua_keys(lua_State *L, int idx);
int sh_lua_key_compare(const void *a, const void *b);
void sh_lua_push_key(lua_State *L, const struct sh_key *k); /* [-0, +1, m] */
void sh_lua_open_order(lua_State *L);                       /* pairs, next into the table on top */

/* --- sort.c --------------------------------------------------------------------------------- */
/* table.sort: stable, and the same on every machine. */
int sh_lua_sort(lua_State *L);

/* --- freeze.c ------------------------------------------------------------------------------- */
/* Push the table that holds the data of the one at idx: itself, or what is behind a read-only
 * one. [-0, +1, -] */
void sh_lua_resolve(lua_State *L, int idx);
/* Read-only view of the event table at idx, for `when`. [-0, +1, m] */
void sh_lua_push_view(lua_State *L, int idx);
void sh_lua_open_freeze(struct sh_host *h);
/* Make everything reachable from the value at idx read-only in place; name is for messages. */
void sh_lua_freeze(lua_State *L, int idx, const char *name);
/* Note every upvalue reachable from the function at idx that its file assigns; adds to rule. */
void sh_lua_watch(struct sh_host *h, int idx, struct sh_rule *rule);
/* After a run: names the first watched local that changed, in out, and puts all back. */
bool sh_lua_watch_changed(struct sh_host *h, const struct sh_rule *rule, struct sh_buf *out);

/* --- sandbox.c ------------------------------------------------------------------------------ */
void sh_lua_open_sandbox(struct sh_host *h); /* the globals, all of them */
void sh_lua_push_env(lua_State *L);          /* a new environment for a file. [-0, +1, m] */
/* Make the table on top of L a read-only library of that name: [-1, +1, m] */
void sh_lua_seal(lua_State *L, const char *name);

/* Raise if the metatable on top of L has a field that rules may not use. [-0, +0, v] */
void sh_lua_check_metatable(lua_State *L, const char *what);
/* After a stretch: the field that a metatable of the run was given since it was set, NULL if none.
 * over: the run has ended and its metatables are forgotten. */
const char *sh_lua_metas_changed(struct sh_host *h, const struct sh_lua_run *r, bool over);

/* --- load.c --------------------------------------------------------------------------------- */
int sh_lua_require(lua_State *L); /* require */
/* Add {"file","line","msg"} to a list of the report; the second form to its errors, for the file
 * that loads now. */
void sh_load_note(cJSON *list, const char *file, int line, const char *msg);
void sh_load_error(struct sh_host *h, int line, const char *fmt, ...) SH_PRINTF(3, 4);

/* --- rule.c --------------------------------------------------------------------------------- */
int sh_lua_rule(lua_State *L); /* rule */
void sh_load_forget_pending(struct sh_load *load);

/* --- match.c -------------------------------------------------------------------------------- */
const struct sh_match *sh_lua_match(struct sh_host *h, struct sh_slice type);
bool sh_lua_glob(struct sh_slice pattern, struct sh_slice text);
void sh_lua_rule_clear(struct sh_rule *r);
void sh_lua_rules_free(struct sh_host *h);

/* --- bindings ------------------------------------------------------------------------------- */
/* The run whose code calls, in its phase `run`; raises while loading and in `when`. */
struct sh_lua_run *sh_lua_effect_run(lua_State *L, const char *what);
/* The run whose code calls, in `when` or `run`; raises while loading. */
struct sh_lua_run *sh_lua_any_run(lua_State *L, const char *what);
/* Add an effect within the budgets; past them the run is killed. */
void sh_lua_add_effect(lua_State *L, struct sh_lua_run *r, const struct sh_effect *fx);
/* A read begins: fills r->request from the arguments, yields to the host. [-0, +0, v] */
int sh_lua_ask(lua_State *L, struct sh_lua_run *r, enum sh_read_kind kind,
               struct sh_slice collection, struct sh_slice rest, lua_KContext context,
               lua_KFunction done, const char *what);
void sh_lua_open_effects(lua_State *L); /* callback, email, emit, template, duration */
void sh_lua_open_records(lua_State *L);
void sh_lua_open_json(lua_State *L);
void sh_lua_open_log(lua_State *L); /* log, print */
void sh_lua_open_math(lua_State *L);
void sh_lua_open_text(lua_State *L);
/* "1h30m" to seconds. */
bool sh_lua_duration(const char *text, size_t n, double *seconds);
/* Push text with its {{a.b}} from the table at idx. Raises on a {{ without }}. [-0, +1, v] */
void sh_lua_push_filled(lua_State *L, struct sh_slice text, int idx, bool html, const char *what);
/* Push what the dotted path finds in the table at idx, nil if nothing. [-0, +1, e] */
void sh_lua_push_path(lua_State *L, int idx, const char *path, size_t n);

/* --- host.c ---------------------------------------------------------------------------------- */
/* A run of the job for a rule (SIZE_MAX: none), from the free list. */
struct sh_lua_run *sh_lua_run_new(struct sh_host *h, struct sh_job_state *js, size_t rule);
void sh_lua_run_release(struct sh_host *h, struct sh_lua_run *r);
void sh_lua_runs_free(struct sh_host *h);
bool sh_lua_take_coroutine(struct sh_host *h, struct sh_lua_run *r);
void sh_lua_run_fail(struct sh_lua_run *r); /* drops its effects; the error is the caller's */
/* The run has its outcome; the last one of a job finishes it. */
void sh_lua_run_over(struct sh_host *h, struct sh_lua_run *r);
/* Carry the run on until it ends or waits for an answer from outside. */
void sh_lua_drive(struct sh_host *h, struct sh_lua_run *r, bool first);

/* --- job.c ---------------------------------------------------------------------------------- */
/* Report the job and free it. */
void sh_lua_job_finish(struct sh_host *h, struct sh_job_state *js);

#endif
