/* SPDX-License-Identifier: MIT
 * store_forget.c: the events of a caller, found and made blank, in slices. */
#include "core/forget_impl.h"
#include "base/log.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ROWS   20000
#define SHORT_US    4000 /* a slice that took less: the next one may be larger */
#define LONG_US     12000
#define ROUNDS      6
#define MOST_OTHERS 100 /* events of one call that do not name the number */

/* --- finding ------------------------------------------------------------------------- */

static struct sh_forget_event *add_event(struct sh_forget *f, struct sh_slice id, int64_t seq,
                                         struct sh_forget_key *key)
{
    struct sh_forget_event *e;
    sh_require(id.n < sizeof(e->id));
    HASH_FIND(hh, f->events, id.p, id.n, e);
    if (!e) {
        e = sh_alloc(1, sizeof(*e));
        memcpy(e->id, id.p, id.n);
        e->seq = seq;
        e->key = key;
        HASH_ADD_KEYPTR(hh, f->events, e->id, id.n, e);
    }
    if (!key)
        e->key = NULL;
    return e;
}

static struct sh_forget_key *find_key(const struct sh_forget *f, struct sh_slice source,
                                      struct sh_slice key, struct sh_buf *name)
{
    struct sh_forget_key *k;
    sh_buf_reset(name);
    sh_buf_add(name, source.p, source.n);
    sh_buf_addc(name, '\n');
    sh_buf_add(name, key.p, key.n);
    HASH_FIND(hh, f->keys, name->data, name->len, k);
    return k;
}

/* The member on the top level of a JSON body that is the number. */
static char *member_of(const struct sh_forget *f, struct sh_slice body)
{
    cJSON *tree = sh_json_parse(body.p, body.n, NULL);
    char *found = NULL;
    for (const cJSON *m = tree ? tree->child : NULL; m && !found; m = m->next)
        if (m->string && sh_forget_is_number(f, m))
            found = sh_strdup(m->string);
    cJSON_Delete(tree);
    return found;
}

static void add_key(struct sh_forget *f, struct sh_slice source, struct sh_slice key,
                    struct sh_slice body)
{
    struct sh_buf name;
    sh_buf_init(&name, (size_t)1 << 20);
    struct sh_forget_key *k = find_key(f, source, key, &name);
    if (!k && sh_buf_ok(&name)) {
        k = sh_alloc(1, sizeof(*k));
        k->name = sh_buf_take(&name, &k->name_len);
        k->key = k->name + source.n + 1;
        k->member = member_of(f, body);
        HASH_ADD_KEYPTR(hh, f->keys, k->name, k->name_len, k);
    }
    sh_buf_free(&name);
}

/* Keys of what the engine makes itself are of rules, or of the event that was before. */
static bool has_key(struct sh_slice source, struct sh_slice key)
{
    return key.n > 0 && !sh_slice_eq(source, SH_SLICE(SH_SOURCE_CLOCK)) &&
           !sh_slice_eq(source, SH_SLICE(SH_SOURCE_ENGINE)) &&
           !sh_slice_eq(source, SH_SLICE(SH_SOURCE_EMITTED));
}

/* What a body says, whatever its bytes are. */
#define BODY "iif(format = 0, body, sh_body_json(format, body))"

/* Has a slice of n rows taken its time? Then so many are one: the rows before may have been small.
 */
static bool is_over(struct sh_forget *f, int64_t began_us, int64_t n)
{
    if (n == 0 || n == f->limit || sh_mono_us() - began_us < LONG_US)
        return false;
    f->limit = n;
    return true;
}

/* seq, id, source, key, body, and the texts that may name the number. *n: rows. */
static bool scan(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at, int64_t *n,
                 struct sh_error *err)
{
    sqlite3_stmt *st =
        sh_forget_stmt(s,
                       "SELECT seq, id, source, key, " BODY ", sh_mentions(" BODY ") OR"
                       " sh_mentions(key) OR"
                       " sh_mentions(type) OR sh_mentions(dedupe_id) FROM sh_events WHERE seq > ?1"
                       " ORDER BY seq LIMIT ?2",
                       at->cursor, f->limit, err);
    const int64_t began_us = sh_mono_us();
    int got = -1;
    while (st && !is_over(f, began_us, *n) && (got = sh_sqlite_step(st, err)) == 1) {
        at->cursor = at->last = sqlite3_column_int64(st, 0);
        (*n)++;
        if (!sqlite3_column_int(st, 5))
            continue;
        struct sh_slice source = sh_sqlite_text(st, 2), key = sh_sqlite_text(st, 3);
        add_event(f, sh_sqlite_text(st, 1), at->cursor, NULL)->named = true;
        if (has_key(source, key))
            add_key(f, source, key, sh_sqlite_text(st, 4));
    }
    sqlite3_finalize(st);
    return got >= 0;
}

#define SOME_DIGITS 6 /* a number of a caller, not of an extension */

static bool looks_like_number(const cJSON *m)
{
    size_t digits = 0;
    if (!cJSON_IsString(m) && !cJSON_IsRaw(m) && !cJSON_IsNumber(m))
        return false;
    if (cJSON_IsNumber(m))
        return m->valuedouble >= 1e5;
    for (const char *p = m->valuestring; *p; p++)
        digits += *p >= '0' && *p <= '9';
    return digits >= SOME_DIGITS;
}

/* Does another number stand where the caller's stood? Then the key is not that of a call. */
static bool is_other(const struct sh_forget *f, const struct sh_forget_key *k, struct sh_slice body)
{
    if (!k->member)
        return false;
    cJSON *tree = sh_json_parse(body.p, body.n, NULL);
    const cJSON *m = sh_json_member(tree, k->member);
    bool other = m && looks_like_number(m) && !sh_forget_is_number(f, m);
    cJSON_Delete(tree);
    return other;
}

static bool group(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at, int64_t *n,
                  struct sh_error *err)
{
    struct sh_buf name;
    const int64_t began_us = sh_mono_us();
    int got = -1;
    sh_buf_init(&name, (size_t)1 << 20);
    sqlite3_stmt *st = sh_forget_stmt(s,
                                      "SELECT seq, id, source, key, " BODY
                                      " FROM sh_events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                                      at->cursor, f->limit, err);
    while (st && !is_over(f, began_us, *n) && (got = sh_sqlite_step(st, err)) == 1) {
        at->cursor = sqlite3_column_int64(st, 0);
        (*n)++;
        struct sh_forget_key *k = find_key(f, sh_sqlite_text(st, 2), sh_sqlite_text(st, 3), &name);
        struct sh_slice id = sh_sqlite_text(st, 1);
        const struct sh_forget_event *e;
        HASH_FIND(hh, f->events, id.p, id.n, e);
        if (!k || e)
            continue;
        k->mixed = k->mixed || ++k->others > MOST_OTHERS || is_other(f, k, sh_sqlite_text(st, 4));
        add_event(f, id, at->cursor, k);
    }
    sqlite3_finalize(st);
    sh_buf_free(&name);
    return got >= 0;
}

static bool caused(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at, int64_t *n,
                   struct sh_error *err)
{
    sqlite3_stmt *st = sh_forget_stmt(
        s, "SELECT seq, id, cause FROM sh_events WHERE seq > ?1 ORDER BY seq LIMIT ?2", at->cursor,
        f->limit, err);
    int got = -1;
    while (st && (got = sh_sqlite_step(st, err)) == 1) {
        at->cursor = sqlite3_column_int64(st, 0);
        (*n)++;
        if (sh_forget_hit(f, sh_sqlite_text(st, 2)))
            add_event(f, sh_sqlite_text(st, 1), at->cursor, NULL);
    }
    sqlite3_finalize(st);
    return got == 0;
}

/* In the order in which they are made blank: an erasure that was broken off finds by those that are
 * left what belongs to them. So first what is there for another's sake, the caused before their
 * causes; those that name the number last. */
static int by_turn(const void *a, const void *b)
{
    const struct sh_forget_event *x = *(struct sh_forget_event *const *)a,
                                 *y = *(struct sh_forget_event *const *)b;
    if (x->named != y->named)
        return x->named ? 1 : -1;
    return x->seq > y->seq ? -1 : x->seq < y->seq;
}

/* Everything is found: the events in order, and what stands for their calls elsewhere. */
static void sort(struct sh_forget *f, struct sh_forget_at *at)
{
    const struct sh_forget_key *k, *k_next;
    struct sh_forget_event *e, *e_next;
    free(f->sorted);
    f->sorted = sh_alloc(HASH_COUNT(f->events) + 1, sizeof(struct sh_forget_event *));
    f->n_sorted = 0;
    at->n.left_events = 0;
    HASH_ITER(hh, f->events, e, e_next)
    {
        if (sh_forget_counts_in(e)) {
            f->sorted[f->n_sorted++] = e;
            sh_forget_note_token(f, sh_slice_str(e->id));
        } else {
            at->n.left_events++;
        }
    }
    qsort(f->sorted, f->n_sorted, sizeof(struct sh_forget_event *), by_turn);
    HASH_ITER(hh, f->keys, k, k_next)
    {
        size_t len = k->name_len - (size_t)(k->key - k->name);
        if (!k->mixed && len >= SH_FORGET_TOKEN)
            sh_forget_note_token(f, sh_slice(k->key, len));
    }
}

/* --- making blank --------------------------------------------------------------------- */

/* The event is finished without its rules: a run of it that is under way has no effects (see
 * sh_store_is_gone()), and none is tried again. */
static bool finish(struct sh_store *s, int64_t seq, struct sh_error *err)
{
    if (!sh_forget_run(s, "DELETE FROM sh_runs WHERE seq = ?1 AND outcome IN " SH_FORGET_UNENDED,
                       seq, 0, NULL, err))
        return false;
    if (!s->config.threads)
        return sh_forget_run(s, "DELETE FROM sh_unfinished WHERE seq = ?1", seq, 0, NULL, err);
    sh_store_gone_add(s, seq);
    return sh_forget_run(s,
                         "INSERT OR IGNORE INTO sh_forgotten(seq) SELECT seq FROM sh_unfinished"
                         " WHERE seq = ?1",
                         seq, 0, NULL, err);
}

static bool mark_event(struct sh_store *s, const struct sh_forget *f, int64_t seq,
                       struct sh_forget_counts *n, struct sh_error *err)
{
    int64_t unfinished = 0, open = 0;
    if (!sh_forget_ask(s,
                       "SELECT count(*) FROM sh_unfinished WHERE seq = ?1"
                       " AND seq NOT IN (SELECT seq FROM sh_forgotten)",
                       seq, 0, &unfinished, err) ||
        !sh_forget_ask(
            s, "SELECT count(*) FROM sh_runs WHERE seq = ?1 AND outcome IN " SH_FORGET_UNENDED, seq,
            0, &open, err))
        return false;
    n->unfinished_events += unfinished;
    n->unfinished_runs += open;
    n->runs += open;
    return f->dry || finish(s, seq, err);
}

static bool blank_event(struct sh_store *s, const struct sh_forget *f, int64_t seq,
                        struct sh_forget_counts *n, struct sh_error *err)
{
    static const char *const sql[] = {
        "UPDATE sh_runs SET effects = " SH_FORGET_KINDS
        ", error = NULL, logs = NULL, lookups = NULL WHERE seq = ?1",
        "UPDATE sh_events SET body = CAST('" SH_FORGOTTEN "' AS BLOB), format = 0,"
        " key = CASE WHEN sh_mentions(key) THEN 'forgotten' ELSE key END,"
        " type = CASE WHEN sh_mentions(type) THEN 'forgotten' ELSE type END,"
        " dedupe_id = CASE WHEN sh_mentions(dedupe_id) THEN 'forgotten-' || seq ELSE dedupe_id END"
        " WHERE seq = ?1",
    };
    int64_t fresh = 0, runs = 0;
    if (!sh_forget_ask(s,
                       "SELECT count(*) FROM sh_events WHERE seq = ?1 AND body <>"
                       " CAST('" SH_FORGOTTEN "' AS BLOB)",
                       seq, 0, &fresh, err) ||
        !sh_forget_ask(s,
                       "SELECT count(*) FROM sh_runs WHERE seq = ?1 AND outcome NOT "
                       "IN " SH_FORGET_UNENDED,
                       seq, 0, &runs, err))
        return false;
    n->events += fresh;
    n->runs += fresh ? runs : 0; /* a later round meets it again */
    for (size_t i = 0; !f->dry && i < sizeof(sql) / sizeof(*sql); i++)
        if (!sh_forget_run(s, sql[i], seq, 0, NULL, err))
            return false;
    return true;
}

/* Each of the events, by a function. */
static bool each(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at, bool *more,
                 bool (*fn)(struct sh_store *s, const struct sh_forget *f, int64_t seq,
                            struct sh_forget_counts *n, struct sh_error *err),
                 struct sh_error *err)
{
    const size_t stop = at->place + (size_t)f->limit;
    for (; at->place < f->n_sorted && at->place < stop; at->place++)
        if (!fn(s, f, f->sorted[at->place]->seq, &at->n, err))
            return false;
    *more = at->place < f->n_sorted;
    return true;
}

/* --- slice after slice ------------------------------------------------------------------- */

/* A round is over: once more from where the journal was read to, for what came meanwhile. */
static void next_round(struct sh_forget *f, struct sh_forget_at *at)
{
    at->round++;
    at->from = at->last;
    at->cursor = at->from;
    at->phase = f->dry || at->round == ROUNDS ? SH_FORGET_OVER : SH_FORGET_SCAN;
}

static void next_phase(struct sh_forget *f, struct sh_forget_at *at)
{
    switch (at->phase) {
    case SH_FORGET_SCAN: /* of a call that is found only now, older events too */
        if (HASH_COUNT(f->events) != f->n_known)
            at->from = 0;
        at->phase = f->keys ? SH_FORGET_GROUP : SH_FORGET_CAUSED;
        at->cursor = at->from;
        break;
    case SH_FORGET_GROUP:
        at->phase = SH_FORGET_CAUSED;
        at->cursor = at->from;
        break;
    case SH_FORGET_CAUSED:
        at->phase =
            at->round > 0 && HASH_COUNT(f->events) == f->n_known ? SH_FORGET_OVER : SH_FORGET_MARK;
        f->n_known = HASH_COUNT(f->events);
        at->place = 0;
        sort(f, at);
        break;
    case SH_FORGET_MARK:
        at->phase = SH_FORGET_TABLES;
        at->table = 0;
        at->cursor = 0;
        break;
    case SH_FORGET_TABLES:
        at->phase = SH_FORGET_BLANK;
        at->place = 0;
        break;
    case SH_FORGET_BLANK:
        next_round(f, at);
        break;
    default:
        at->phase = SH_FORGET_OVER;
    }
}

static bool slice(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at,
                  struct sh_error *err)
{
    int64_t n = 0;
    bool more = false, ok = true;
    switch (at->phase) {
    case SH_FORGET_SCAN:
        ok = scan(s, f, at, &n, err);
        more = n == f->limit;
        break;
    case SH_FORGET_GROUP:
        ok = group(s, f, at, &n, err);
        more = n == f->limit;
        break;
    case SH_FORGET_CAUSED:
        ok = caused(s, f, at, &n, err);
        more = n == f->limit;
        break;
    case SH_FORGET_MARK:
        ok = each(s, f, at, &more, mark_event, err);
        break;
    case SH_FORGET_TABLES:
        ok = sh_forget_tables(s, f, at, err);
        more = at->table < sh_forget_n_tables;
        break;
    case SH_FORGET_BLANK:
        ok = each(s, f, at, &more, blank_event, err);
        break;
    case SH_FORGET_CLEAN:
        ok = sh_forget_clean_items(s, err);
        break;
    default:
        return true;
    }
    if (ok && !more)
        next_phase(f, at);
    return ok;
}

static void adapt(struct sh_forget *f, int64_t took_us)
{
    if (took_us < SHORT_US && f->limit < MOST_ROWS)
        f->limit *= 2;
    else if (took_us > LONG_US && f->limit > 1)
        f->limit = f->limit * LONG_US / took_us + 1;
}

bool sh_store_forget(struct sh_store *s, struct sh_op_forget *op, struct sh_error *err)
{
    struct sh_forget *f = op->forget;
    int64_t began_us = sh_mono_us();
    if (!sh_forget_functions(s, err))
        return false;
    f->next = f->kept;
    s->forget = f;
    bool ok = slice(s, f, &f->next, err);
    s->forget = NULL;
    op->over = ok && f->next.phase == SH_FORGET_OVER;
    adapt(f, sh_mono_us() - began_us);
    return ok;
}

static double progress_of(const struct sh_forget *f)
{
    const struct sh_forget_at *at = &f->kept;
    if (at->phase >= SH_FORGET_OVER || at->round > 0)
        return 1;
    double part = at->phase == SH_FORGET_TABLES ? (double)at->table / (double)sh_forget_n_tables
                  : (at->phase == SH_FORGET_BLANK || at->phase == SH_FORGET_MARK) && f->n_sorted
                      ? (double)at->place / (double)f->n_sorted
                  : at->phase > SH_FORGET_SCAN && at->last ? (double)at->cursor / (double)at->last
                                                           : 0;
    return ((double)at->phase + part) / SH_FORGET_OVER;
}

void sh_forget_kept(struct sh_forget *f)
{
    f->kept = f->next;
    f->progress = progress_of(f);
}

double sh_forget_progress(const struct sh_forget *f)
{
    return f->progress;
}

void sh_forget_files_gone(struct sh_forget *f)
{
    f->kept.phase = SH_FORGET_CLEAN;
}

/* --- what was done ----------------------------------------------------------------------- */

const struct sh_forget_counts *sh_forget_counts(const struct sh_forget *f)
{
    return &f->kept.n;
}

static void add(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddItemToObject(o, name, sh_json_int(n));
}

cJSON *sh_forget_tree(const struct sh_forget_counts *c)
{
    cJSON *o = cJSON_CreateObject();
    add(o, "events", c->events);
    add(o, "runs", c->runs);
    add(o, "records", c->records);
    add(o, "record_parts", c->record_parts);
    add(o, "callbacks", c->callbacks);
    add(o, "timers", c->timers);
    add(o, "deliveries", c->deliveries);
    add(o, "rules", c->rules);
    add(o, "audit", c->audit);
    add(o, "others", c->others);
    cJSON *u = cJSON_AddObjectToObject(o, "unfinished"), *l = cJSON_AddObjectToObject(o, "left");
    add(u, "events", c->unfinished_events);
    add(u, "runs", c->unfinished_runs);
    add(u, "callbacks", c->open_callbacks);
    add(u, "timers", c->timers);
    add(u, "deliveries", c->queued_deliveries);
    add(l, "events", c->left_events);
    add(l, "rule_files", c->left_files);
    return o;
}

size_t sh_forget_files(const struct sh_forget *f, const char *const **paths)
{
    struct sh_forget *own = (struct sh_forget *)f;
    const struct sh_forget_text *t, *next;
    free(own->paths);
    own->paths = sh_alloc(HASH_COUNT(f->files) + 1, sizeof(*own->paths));
    own->n_paths = 0;
    HASH_ITER(hh, f->files, t, next)
    own->paths[own->n_paths++] = t->text;
    *paths = own->paths;
    return own->n_paths;
}
