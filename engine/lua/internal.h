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

#define SH_LUA_LOOKUPS      50 /* http.get in one run */
#define SH_LUA_LOOKUP_BYTES (4U * 1024 * 1024)

struct sh_rule {
    char *name, *file;                /* owned */
    int line;                         /* of the rule's definition */
    int last_line;                    /* of its functions */
    int when, run;                    /* registry references; LUA_NOREF = none */
    int when_line, when_last;         /* where the function `when` begins and ends */
    char *when_file;                  /* and in which file; owned, NULL: no `when` */
    bool run_envelope, when_envelope; /* the function takes a second argument */
    char **on;                        /* owned patterns */
    size_t n_on;
    char *every, *zone; /* owned: a schedule and the zone of its times; NULL: no clock rule */
    size_t *watch;      /* owned: indexes into host.watch that this rule's functions reach */
    size_t n_watch;
};

/* A local of a file that some function assigns: compared after each run. */
struct sh_watch {
    int closure, value; /* registry references; value LUA_NOREF = nil */
    int upvalue;        /* number of the upvalue in the closure */
    const void *id;     /* lua_upvalueid */
    char *name, *file;  /* owned */
    int line;           /* where it is assigned, as far as the text tells */
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

/* Something that `when` looked at (explain.c). */
struct sh_look {
    char *path, *value; /* owned; value: JSON, or text if is_text; NULL: absent */
    bool is_text, is_table;
    bool cut;   /* there was more of the value */
    bool whole; /* all of a table was looked at, not only what is behind it */
};

enum sh_phase { SH_PHASE_NORMALISE, SH_PHASE_WHEN, SH_PHASE_RUN, SH_PHASE_OVER };

struct sh_job_state;

struct sh_lua_run {
    struct sh_job_state *job;
    size_t rule; /* index: of a rule, behind those of a normaliser; SIZE_MAX = see gone */
    enum sh_phase phase;
    enum sh_outcome outcome; /* 0 = not decided */
    lua_State *co;           /* NULL = none taken from the pool */
    int co_ref;
    struct sh_buf effects, reads, logs, error;
    uint32_t n_effects, n_reads, n_logs, n_lookups;
    struct sh_own *own;
    size_t n_own, cap_own, own_seen; /* own_seen: bytes of effects looked at */
    int64_t duration_us, cpu_used_us, start_us;
    int64_t held_bytes; /* of memory: what its stretches have added to that in use */
    bool over;          /* CPU budget passed in an earlier stretch */
    uint64_t random[4];
    bool seeded;
    /* the read it waits for */
    uint64_t read_id; /* 0 = none */
    bool answered;
    bool asked;                     /* `when` was called */
    struct sh_read_request request; /* borrows from ask */
    struct sh_buf ask, answer;
    int64_t asked_us, wait_ms; /* http.get: since when it waits, and how long it may */
    size_t lookup_bytes;
    struct sh_look *looks; /* explain: what `when` looked at; owned, SH_LUA_LOOKS of them */
    size_t n_looks, more_looks, n_notes; /* and how many more there were */
    const char *returned;    /* what `when` returned: constant, NULL = not come to its end */
    struct sh_buf seen;      /* the same as JSON, for the result */
    char *gone;              /* name of a rule that is not there, or "*": all of them (run.h) */
    char *new_type;          /* a normaliser's: the type it gave, or NULL */
    struct sh_lua_run *next; /* free list */
};

struct sh_job_state {
    uint64_t token;
    struct sh_id id;
    int64_t now_ms, received_ms;
    uint32_t attempt;
    bool explain, look, starting;
    int event_ref, view_ref, envelope_ref, proxies_ref;
    char *type; /* that a normaliser gave, or NULL */
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
    size_t normaliser; /* that is loaded now: index into settings */
};

struct sh_key;
struct sh_cover_map;

struct sh_host {
    lua_State *L;
    struct sh_budgets budgets;
    struct sh_host_calls calls;
    struct sh_load *load;       /* not NULL while loading */
    struct sh_cover_map *cover; /* lines that run are counted; NULL: no */
    struct sh_rule *rules;
    size_t n_rules, cap_rules;
    struct sh_rule *normals; /* normalisers: name is the source's, only `run` is used */
    size_t n_normals;
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
    struct sh_buf look;        /* a path or a value that `when` looks at */
    struct sh_buf text, marks; /* a text for a call, and the places of secrets in it */
    /* registry references */
    int globals, view_mt, array_mt, object_mt, secret_mt;
    int metas;       /* metatables that runs set: weak keys, the run as value */
    bool metas_used; /* metas may hold some */
    bool look_quiet; /* get() is on its way along a path */
    const void *view_mt_p, *array_mt_p, *object_mt_p, *secret_mt_p, *globals_p;
    /* budgets; the volatile ones are shared with the timer's signal handler */
    timer_t timer;
    bool timer_set;
    lua_State *chain[SH_LUA_CHAIN]; /* coroutines that run now, outermost first */
    volatile sig_atomic_t n_chain, active, over;
    volatile int64_t first_us, used_us, budget_us; /* CPU time of this thread */
    size_t used_bytes, cap_bytes;
    size_t floor_bytes;   /* in use after the last full collection */
    bool ran_out;         /* this stretch ended because there was no memory */
    size_t wanted_bytes;  /* size of the request that was refused last in this stretch */
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
/* For long work in C, where no hook reaches: end the stretch if its budget is spent. [-0, +0, v] */
void sh_budget_check(lua_State *L);
/* After a protected call came back with an error on top of L: raises again if the stretch was
 * killed or ran out of memory. from: the state whose stack tells where. [-0, +0, v] */
void sh_lua_recheck(lua_State *L, int status);
bool sh_lua_ran_out(struct sh_host *h, lua_State *L, int status); /* notes a memory kill */
void sh_lua_open_protected(
    lua_State *L); /* pcall, xpcall, error-safe coroutine.*; into top table */

/* --- cover.c -------------------------------------------------------------------------------- */
struct sh_cover_map *sh_cover_map_new(struct sh_cover *c, const struct sh_generation *g);
void sh_cover_map_free(struct sh_cover_map *m);
/* The hook of a coroutine at rest: the one that counts lines, or none. */
void sh_cover_arm(struct sh_host *h, lua_State *co);

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
/* The text on one line: control bytes as \n, \t, \x1b. Cut at size. */
void sh_lua_one_line(char *out, size_t size, const char *text);
/* "a string", "nil", "a table", ... of the value at idx. */
const char *sh_lua_kind(lua_State *L, int idx);
/* The nearest of names (NULL-terminated) to word, or NULL if none is near. */
const char *sh_lua_nearest(const char *word, const char *const *names);
/* The nearest text key of the raw table at idx, or NULL. [-0, +0, -] */
const char *sh_lua_nearest_key(lua_State *L, int idx, const char *word);
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
/* The same into h->text, with secrets in texts marked in h->marks. [-0, +0, v] */
void sh_lua_write_call_json(lua_State *L, int idx, const char *what);
/* Same without raising; false and a message in why. For log lines. A secret raises all the same.
 * [-0, +0, v] */
bool sh_lua_try_json(lua_State *L, int idx, struct sh_buf *out, char *why, size_t size,
                     const char *what);
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
/* Make everything reachable from the value at idx read-only in place; name is for messages.
 * Raises for what keeps a state that cannot be made so. [-0, +0, v] */
void sh_lua_freeze(lua_State *L, int idx, const char *name);
void sh_lua_freeze_anew(lua_State *L); /* forget what was walked: it may hold more by now */
/* The metatable at idx as Lua must have it: the hidden table of a read-only one, else itself; and
 * the way back, for the author's eyes. [-0, +1, -] and [-1, +1, -] */
void sh_lua_meta_data(lua_State *L, int idx);
void sh_lua_meta_front(lua_State *L);
/* Keys that no author can write. Metatables of the host's own have the first, those of a file's
 * environment also the second, with its variables. */
extern const char sh_lua_own_mark, sh_lua_env_mark;
void sh_lua_own(lua_State *L); /* mark the metatable on top of L as the host's own */

/* --- explain.c: what `when` looks at, for a job that explains -------------------------------- */
#define SH_LUA_LOOKS 32 /* that are kept of one `when` */
/* Is the code that runs a `when` to be explained? */
static inline bool sh_lua_explains(const struct sh_host *h)
{
    return h->run && h->run->job->explain && h->run->phase == SH_PHASE_WHEN && !h->look_quiet;
}
/* The view on top of L is of the member with the key at index 2 of the one at index 1; or is the
 * root of that name. [-0, +0, m] */
void sh_lua_name_view(lua_State *L);
void sh_lua_name_root(lua_State *L, const char *name);
/* Read from a view: the member with the key at index 2 of the one at 1, its value is on top; the
 * length of the one at 1; all of the one at idx; a path from the one at idx, its value is on top.
 * idx may be no view. [-0, +0, v] */
void sh_lua_look_member(lua_State *L);
void sh_lua_look_length(lua_State *L, lua_Integer n);
void sh_lua_look_whole(lua_State *L, int idx);
void sh_lua_look_path(lua_State *L, int idx, const char *path, size_t n);
/* A read was answered with the value on top: `records.get("calls", "12")`. [-0, +0, v] */
void sh_lua_look_read(lua_State *L, const char *what, struct sh_slice first,
                      struct sh_slice second);
void sh_lua_looks_clear(struct sh_lua_run *r);
/* What run.h says of sh_run.seen; empty: nothing was asked. */
struct sh_slice sh_lua_looks_json(const struct sh_host *h, struct sh_lua_run *r);

/* --- watch.c -------------------------------------------------------------------------------- */
/* Note, for each rule, every upvalue it can reach that its file assigns. [-0, +0, v] */
void sh_lua_watch_rules(struct sh_host *h);
/* After a run: names the first watched local that changed, in out, and puts all back. */
bool sh_lua_watch_changed(struct sh_host *h, const struct sh_rule *rule, struct sh_buf *out);

/* --- sandbox.c ------------------------------------------------------------------------------ */
void sh_lua_open_sandbox(struct sh_host *h); /* the globals, all of them */
void sh_lua_push_env(lua_State *L);          /* a new environment for a file. [-0, +1, m] */
/* Make the table on top of L a read-only library of that name: [-1, +1, m] */
void sh_lua_seal(lua_State *L, const char *name);

/* Raise if the metatable on top of L, one of an author's, has a field that rules may not use.
 * [-0, +0, v] */
void sh_lua_check_metatable(lua_State *L, const char *what);
/* Raise `why` unless the table at idx may get another metatable. [-0, +0, v] */
void sh_lua_check_writable(lua_State *L, int idx, const char *why);
/* After a stretch: the field that a metatable of the run was given since it was set, NULL if none.
 * over: the run has ended and its metatables are forgotten. */
const char *sh_lua_metas_changed(struct sh_host *h, const struct sh_lua_run *r, bool over);

/* --- load.c --------------------------------------------------------------------------------- */
int sh_lua_require(lua_State *L); /* require */
/* This file loads from now on (NULL: none): for messages, and for the watchdog. */
void sh_load_now(struct sh_host *h, const struct sh_file *f);
/* Add {"file","line","msg"} to a list of the report; the second form to its errors, for the file
 * that loads now. */
void sh_load_note(cJSON *list, const char *file, int line, const char *msg);
void sh_load_error(struct sh_host *h, int line, const char *fmt, ...) SH_PRINTF(3, 4);
/* An error "rules/a.lua:7: what", split into its parts; falls back to the file being loaded. */
void sh_load_note_text(struct sh_host *h, const char *text);

/* Index of scripts/<a/b>.lua for "a.b", or SIZE_MAX; *near the most similar one. */
size_t sh_load_find_script(const struct sh_generation *g, const char *name, const char **near);
/* Call fn(file) in a coroutine of its own within budgets; an error is noted. */
void sh_load_guarded(struct sh_host *h, lua_CFunction fn, const struct sh_file *f);

/* --- normalise.c ---------------------------------------------------------------------------- */
void sh_load_normalisers(struct sh_host *h); /* once the rules are loaded */
/* What became of a job's event. */
enum sh_normal {
    SH_NORMAL_NONE,    /* its source has no normaliser */
    SH_NORMAL_MADE,    /* js has the event and its envelope, seen->type is the type for the rules */
    SH_NORMAL_NOTHING, /* no event for the rules */
    SH_NORMAL_FAILED   /* js has the failed runs */
};
/* Run the normaliser of the job's source, if it has one. seen: the job, its type may change;
 * borrows from js. */
enum sh_normal sh_lua_normalise(struct sh_host *h, struct sh_job_state *js, struct sh_job *seen);
int sh_lua_normalise_body(lua_State *L); /* of its coroutine */

/* --- lint.c ----------------------------------------------------------------------------------- */
/* Check the names in the function on top of L, the text of file, and in all functions inside it:
 * adds errors and warnings to the report. [-0, +0, m] */
void sh_lua_lint(struct sh_host *h, lua_State *L, const struct sh_file *file);

/* --- rule.c --------------------------------------------------------------------------------- */
int sh_lua_rule(lua_State *L); /* rule */
void sh_load_forget_pending(struct sh_load *load);

/* --- match.c -------------------------------------------------------------------------------- */
const struct sh_match *sh_lua_match(struct sh_host *h, struct sh_slice type);
/* Of the run: a rule, or the normaliser that it is of. */
const struct sh_rule *sh_lua_rule_of(const struct sh_host *h, const struct sh_lua_run *r);
void sh_lua_rule_clear(struct sh_rule *r);
void sh_lua_rules_free(struct sh_host *h);

/* --- bindings ------------------------------------------------------------------------------- */
/* The run whose code calls, in its phase `run`; raises while loading and in `when`. */
struct sh_lua_run *sh_lua_effect_run(lua_State *L, const char *what);
/* The run whose code calls, in `when` or `run`, or in a normaliser; raises while loading. */
struct sh_lua_run *sh_lua_any_run(lua_State *L, const char *what);
/* The same, but raises in a normaliser. */
struct sh_lua_run *sh_lua_rule_run(lua_State *L, const char *what);
/* Add an effect within the budgets; past them the run is killed. */
void sh_lua_add_effect(lua_State *L, struct sh_lua_run *r, const struct sh_effect *fx);
/* A read begins: fills r->request from the arguments, yields to the host. [-0, +0, v] */
int sh_lua_ask(lua_State *L, struct sh_lua_run *r, enum sh_read_kind kind,
               struct sh_slice collection, struct sh_slice rest, lua_KContext context,
               lua_KFunction done, const char *what);
/* Keep what the run saw, at most max bytes of it; false: there is no room, nothing was kept. */
bool sh_lua_keep_read(struct sh_lua_run *r, const struct sh_read_mark *mark, size_t max);
/* Take the answer that came: the reader stands at its rows. Raises if there is none. */
struct sh_reader sh_lua_take_answer(lua_State *L, struct sh_lua_run *r, uint64_t *n_rows);
/* The look-up that the run waited for is answered: its wall budget goes on. */
void sh_lua_lookup_over(struct sh_lua_run *r);
void sh_lua_open_callback(lua_State *L); /* callback, callbacks */
void sh_lua_open_effects(lua_State *L);  /* emit */
void sh_lua_open_email(lua_State *L);
void sh_lua_open_http(lua_State *L);
void sh_lua_open_secret(lua_State *L);
void sh_lua_open_timer(lua_State *L); /* after, cancel */
void sh_lua_open_records(lua_State *L);
void sh_lua_open_json(lua_State *L);
void sh_lua_open_log(lua_State *L); /* log, print */
void sh_lua_open_math(lua_State *L);
void sh_lua_open_text(lua_State *L);
void sh_lua_open_time(lua_State *L);
/* "1h30m" to seconds. */
bool sh_lua_duration(const char *text, size_t n, double *seconds);
/* Push text with its {{a.b}} from the table at idx. Raises on a {{ without }}. [-0, +1, v] */
void sh_lua_push_filled(lua_State *L, struct sh_slice text, int idx, bool html, const char *what);
/* Push what the dotted path finds in the table at idx, nil if nothing. [-0, +1, e] */
void sh_lua_push_path(lua_State *L, int idx, const char *path, size_t n);

/* --- fields.c: which fields argument tables have -----------------------------------------------
 */
struct sh_fields {
    const char *const *names;           /* NULL-terminated */
    const struct sh_field_inner *inner; /* fields that are tables with fields, or NULL */
    const char *expected;               /* said when no name is near; NULL: all of them */
};
struct sh_field_inner { /* a list of them ends with name NULL */
    const char *name;
    bool is_list; /* a list of such tables */
    const struct sh_fields *fields;
};
extern const struct sh_fields sh_fields_rule, sh_fields_callback, sh_fields_which, sh_fields_snooze,
    sh_fields_reassign, sh_fields_email, sh_fields_attachment, sh_fields_invitation, sh_fields_http,
    sh_fields_http_get, sh_fields_after, sh_fields_find, sh_fields_time;
/* Of argument number arg of the function ("http.post"), or NULL. */
const struct sh_fields *sh_fields_of(const char *function, int arg);
/* All of them, one after the other; NULL past the last. */
const struct sh_fields *sh_fields_at(size_t i, const char **function, int *arg);
bool sh_fields_has(const struct sh_fields *f, const char *name);

/* --- l_args.c: fields of an argument table ---------------------------------------------------- */
/* All raise at the author's line and name `what` and the field. Values stay on the stack, so that
 * their slices stay valid. table: stack index of the resolved table. */
/* Push the resolved table at idx, all of whose fields must be among those; returns its index.
 * [-0, +1, v] */
int sh_arg_table(lua_State *L, int idx, const char *what, const struct sh_fields *fields);
int sh_arg_only(lua_State *L, const char *what, const struct sh_fields *fields); /* one argument */
/* What is said of a field that is not among them. */
void sh_arg_unknown(char *out, size_t size, const char *what, const char *name,
                    const struct sh_fields *fields);
/* Push a field; returns its type, LUA_TNIL also for json.null. [-0, +1, -] */
int sh_arg_field(lua_State *L, int table, const char *name);
/* The text on top of L. [-0, +0, v] */
struct sh_slice sh_arg_top(lua_State *L, const char *what, const char *name);
/* Push a field and read it; false: it is absent. [-0, +1, v] */
bool sh_arg_text(lua_State *L, int table, const char *what, const char *name, struct sh_slice *out);
bool sh_arg_bool(lua_State *L, int table, const char *what, const char *name, bool *out);
bool sh_arg_int(lua_State *L, int table, const char *what, const char *name, int64_t min,
                int64_t max, int64_t *out);
/* "10s" or seconds, within min..max seconds, as milliseconds. */
bool sh_arg_duration(lua_State *L, int table, const char *what, const char *name, double min,
                     double max, int64_t *ms);
/* The phone number in the field `number`, or (table 0) on top of L. */
struct sh_slice sh_arg_number(lua_State *L, int table, const char *what);
/* The author's own key or empty: unique among the run's effects of that kind. */
struct sh_slice sh_arg_key(lua_State *L, struct sh_lua_run *r, int table, const char *what,
                           enum sh_effect_kind kind);
/* The zone in the field `zone`, or the configured one. */
const char *sh_arg_zone(lua_State *L, int table, const char *what);
/* An event's type and its data (as JSON in h->scratch), as arguments at idx. */
struct sh_slice sh_arg_type(lua_State *L, int idx, const char *what);
struct sh_slice sh_arg_data(lua_State *L, int idx, const char *what);

/* An effect's document, written member by member into a buffer. */
void sh_doc_start(struct sh_buf *doc);
void sh_doc_name(struct sh_buf *doc, const char *name);
void sh_doc_text(struct sh_buf *doc, const char *name, struct sh_slice value);
void sh_doc_int(struct sh_buf *doc, const char *name, int64_t n);
struct sh_slice sh_doc_end(lua_State *L, struct sh_buf *doc, const char *what); /* [-0, +0, v] */
typedef bool sh_doc_check_fn(const cJSON *doc, struct sh_error *err);
void sh_doc_check(lua_State *L, struct sh_slice doc, const char *what, sh_doc_check_fn *check);

/* --- l_when.c: times ---------------------------------------------------------------------------
 */
struct sh_when {
    int64_t ms;     /* Unix milliseconds */
    char local[80]; /* "2026-10-25T09:00:00" where a local time was given, and its zone; else "" */
    const char *zone; /* and NULL */
};
const char *sh_lua_zone(lua_State *L); /* the configured one */
/* The time on top of L: seconds since 1970 (from_now: small numbers are seconds from now), a
 * duration, RFC 3339 text, or a local time in zone. [-0, +0, v] */
void sh_lua_when(lua_State *L, const struct sh_lua_run *r, const char *what, const char *name,
                 const char *zone, bool from_now, struct sh_when *out);

/* --- l_secret.c --------------------------------------------------------------------------------
 */
bool sh_lua_is_secret(lua_State *L, int idx);
/* How a text of a call (core/http_call.h) is escaped. */
enum sh_text_as { SH_AS_PLAIN, SH_AS_JSON, SH_AS_FORM, SH_AS_URL };
/* A text is put together in h->text, with its secrets in h->marks; false: it is not UTF-8. */
void sh_text_reset(struct sh_host *h);
bool sh_text_add(struct sh_host *h, struct sh_slice s, enum sh_text_as as) SH_WARN_UNUSED;
bool sh_text_add_secret(lua_State *L, int idx, enum sh_text_as as) SH_WARN_UNUSED;
void sh_text_percent(struct sh_buf *out, struct sh_slice s, enum sh_text_as as);
/* Add it to a document as a string or a list. */
void sh_text_put(struct sh_host *h, struct sh_buf *doc, enum sh_text_as as);

/* --- host.c ---------------------------------------------------------------------------------- */
/* A run of the job for a rule (SIZE_MAX: none), from the free list. */
struct sh_lua_run *sh_lua_run_new(struct sh_host *h, struct sh_job_state *js, size_t rule);
void sh_lua_run_release(struct sh_host *h, struct sh_lua_run *r);
void sh_lua_runs_free(struct sh_host *h);
bool sh_lua_take_coroutine(struct sh_host *h, struct sh_lua_run *r);
void sh_lua_run_fail(struct sh_lua_run *r); /* drops its effects; the error is the caller's */
/* Memory was refused to somebody who holds own_bytes. If that is less than half of the budget and a
 * run that waits holds more, the run that holds most fails in its place, and its memory is free:
 * true, to be tried again. */
bool sh_lua_make_room(struct sh_host *h, int64_t own_bytes);
/* The run has its outcome; the last one of a job finishes it. */
void sh_lua_run_over(struct sh_host *h, struct sh_lua_run *r);
/* Carry the run on until it ends or waits for an answer from outside. */
void sh_lua_drive(struct sh_host *h, struct sh_lua_run *r, bool first);

/* Push a copy of the table that ref names, for the author to change. [-0, +1, m] */
void sh_lua_push_own(lua_State *L, int ref);

/* --- job.c ---------------------------------------------------------------------------------- */
/* The event's JSON as a tree, whatever its bytes are; NULL: *err says why. */
cJSON *sh_lua_event_tree(const struct sh_job *job, struct sh_error *err);
/* The event's table and envelope, of a tree; false: all runs without an outcome have failed. */
bool sh_lua_make_event(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job,
                       const cJSON *tree, size_t bytes) SH_WARN_UNUSED;
void sh_lua_fail_all(struct sh_job_state *js, const char *why);
/* Report the job and free it. */
void sh_lua_job_finish(struct sh_host *h, struct sh_job_state *js);

#endif
