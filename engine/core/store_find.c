/* SPDX-License-Identifier: MIT
 * store_find.c: records.find: a filter as data becomes SQL of fixed words; names and values come
 * from the question by binding alone. */
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

enum cmp { CMP_EQ, CMP_NE, CMP_LT, CMP_LTE, CMP_GT, CMP_GTE, CMP_N };
static const char *const cmp_names[CMP_N] = {"eq", "ne", "lt", "lte", "gt", "gte"};
static const char *const cmp_sql[CMP_N] = {"=", "=", "<", "<=", ">", ">="};

struct condition {
    enum cmp cmp;
    char *path; /* as SQLite writes it: $."a"."b" */
    const cJSON *value;
};

struct query {
    cJSON *tree;
    struct condition c[SH_STORE_CONDITIONS];
    size_t n;
    char *order; /* a path, or NULL: by id */
    bool down;
    int64_t limit;
};

static void query_clear(struct query *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->c[i].path);
    free(q->order);
    cJSON_Delete(q->tree);
}

/* "a.b" to $."a"."b"; NULL and *err when a name in it cannot be said that way. */
static char *make_path(const char *dotted, struct sh_error *err)
{
    struct sh_buf b;
    size_t len = strlen(dotted), at = 0;
    if (len == 0 || len > SH_STORE_PATH_BYTES) {
        sh_error_set(err, SH_EINVAL, "records.find: a field path has %zu bytes, expected 1 to %d",
                     len, SH_STORE_PATH_BYTES);
        return NULL;
    }
    sh_buf_init(&b, (size_t)4 * SH_STORE_PATH_BYTES);
    sh_buf_addc(&b, '$');
    while (at <= len) {
        size_t n = strcspn(dotted + at, ".");
        bool bad = n == 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)dotted[at + i];
            bad = bad || c == '"' || c == '\\' || c < 0x20;
        }
        if (bad) {
            sh_error_set(err, SH_EINVAL,
                         "records.find: field path \"%s\": each name between the dots must be there"
                         " and have no quotation mark, backslash or control byte",
                         dotted);
            sh_buf_free(&b);
            return NULL;
        }
        sh_buf_addf(&b, ".\"%.*s\"", (int)n, dotted + at);
        at += n + 1;
    }
    return sh_buf_take(&b, NULL);
}

static bool is_scalar(const cJSON *v)
{
    return cJSON_IsString(v) || cJSON_IsBool(v) || cJSON_IsNull(v) || sh_json_is_number(v);
}

static bool add_condition(struct query *q, const char *field, enum cmp cmp, const cJSON *value,
                          struct sh_error *err)
{
    if (q->n == SH_STORE_CONDITIONS)
        return sh_error_set(err, SH_ELIMIT, "records.find: more than %d conditions",
                            SH_STORE_CONDITIONS);
    if (!is_scalar(value))
        return sh_error_set(err, SH_EINVAL,
                            "records.find: field \"%.100s\" is compared with %s, expected a string,"
                            " a number, a boolean or null",
                            field, cJSON_IsArray(value) ? "an array" : "an object");
    if (cmp >= CMP_LT && !cJSON_IsString(value) && !sh_json_is_number(value))
        return sh_error_set(err, SH_EINVAL,
                            "records.find: field \"%.100s\": %s needs a number or a string", field,
                            cmp_names[cmp]);
    char *path = make_path(field, err);
    if (!path)
        return false;
    q->c[q->n++] = (struct condition){cmp, path, value};
    return true;
}

static bool add_field(struct query *q, const cJSON *value, struct sh_error *err)
{
    if (!cJSON_IsObject(value))
        return add_condition(q, value->string, CMP_EQ, value, err);
    for (const cJSON *m = value->child; m; m = m->next) {
        int cmp = 0;
        while (cmp < CMP_N && strcmp(cmp_names[cmp], m->string) != 0)
            cmp++;
        if (cmp == CMP_N)
            return sh_error_set(err, SH_EINVAL,
                                "records.find: field \"%.100s\": \"%.100s\" is no comparison,"
                                " expected eq, ne, lt, lte, gt or gte",
                                value->string, m->string);
        if (!add_condition(q, value->string, (enum cmp)cmp, m, err))
            return false;
    }
    return true;
}

static bool read_filter(struct query *q, const cJSON *filter, struct sh_error *err)
{
    /* an empty table of a rule may come as [] */
    if (!cJSON_IsObject(filter) && !(cJSON_IsArray(filter) && !filter->child))
        return sh_error_set(err, SH_EINVAL, "records.find: the filter must be an object");
    for (const cJSON *m = filter->child; m; m = m->next)
        if (!add_field(q, m, err))
            return false;
    return true;
}

static bool read_order(struct query *q, const cJSON *order, struct sh_error *err)
{
    if (!cJSON_IsString(order))
        return sh_error_set(err, SH_EINVAL, "records.find: order must be a string");
    const char *path = order->valuestring;
    q->down = path[0] == '-';
    path += q->down;
    if (strcmp(path, "id") == 0)
        return true;
    q->order = make_path(path, err);
    return q->order != NULL;
}

static bool read_limit(struct query *q, const cJSON *limit, struct sh_error *err)
{
    if (sh_json_get_int(limit, &q->limit) && q->limit >= 1 && q->limit <= SH_MAX_FIND_ROWS)
        return true;
    return sh_error_set(err, SH_EINVAL, "records.find: limit must be an integer from 1 to %d",
                        SH_MAX_FIND_ROWS);
}

static bool read_query(struct query *q, struct sh_slice text, struct sh_error *err)
{
    struct sh_json_fault fault;
    q->limit = SH_DEF_FIND_ROWS;
    if (!sh_json_check(text.p ? text.p : "", text.n, &fault))
        return sh_error_set(err, SH_EINVAL, "records.find: %s", fault.msg);
    q->tree = sh_json_parse(text.p, text.n, err);
    if (!q->tree)
        return false;
    if (!cJSON_IsObject(q->tree))
        return sh_error_set(err, SH_EINVAL, "records.find: the query must be an object");
    for (const cJSON *m = q->tree->child; m; m = m->next) {
        bool ok = strcmp(m->string, "filter") == 0  ? read_filter(q, m, err)
                  : strcmp(m->string, "order") == 0 ? read_order(q, m, err)
                  : strcmp(m->string, "limit") == 0
                      ? read_limit(q, m, err)
                      : sh_error_set(err, SH_EINVAL, "records.find: unknown option \"%.100s\"",
                                     m->string);
        if (!ok)
            return false;
    }
    return true;
}

/* --- SQL --------------------------------------------------------------------- */

/* ?1 collection, ?2 limit, ?3 order; a condition's path and value follow. ne is "not eq": a field
 * that is absent differs from every value. null equals null and absent. */
static void put_condition(struct sh_buf *sql, const struct condition *c, int path, int value)
{
    if (cJSON_IsNull(c->value))
        sh_buf_addf(sql, " AND coalesce(json_type(doc, ?%d), 'null') %s 'null'", path,
                    c->cmp == CMP_NE ? "<>" : "=");
    else if (cJSON_IsBool(c->value))
        sh_buf_addf(sql, " AND json_type(doc, ?%d) IS %s'%s'", path, c->cmp == CMP_NE ? "NOT " : "",
                    cJSON_IsTrue(c->value) ? "true" : "false");
    else
        sh_buf_addf(sql, " AND (json_type(doc, ?%d) %s AND json_extract(doc, ?%d) %s ?%d)%s", path,
                    cJSON_IsString(c->value) ? "= 'text'" : "IN ('integer', 'real')", path,
                    cmp_sql[c->cmp], value, c->cmp == CMP_NE ? " IS NOT 1" : "");
}

static void put_sql(struct sh_buf *sql, const struct query *q)
{
    sh_buf_adds(sql, "SELECT id, version, doc FROM sh_records WHERE collection = ?1");
    for (size_t i = 0; i < q->n; i++)
        put_condition(sql, &q->c[i], 4 + 2 * (int)i, 5 + 2 * (int)i);
    sh_buf_adds(sql, " ORDER BY ");
    if (q->order)
        sh_buf_addf(sql, "json_extract(doc, ?3) %s, id", q->down ? "DESC" : "ASC");
    else
        sh_buf_adds(sql, q->down ? "id DESC" : "id");
    sh_buf_adds(sql, " LIMIT ?2");
}

/* The statement for a text, kept from an earlier question of the same shape if there was one. */
static sqlite3_stmt *statement(struct sh_store_conn *c, const char *sql, struct sh_error *err)
{
    struct sh_store_find *old = &c->finds[0];
    c->clock++;
    for (size_t i = 0; i < SH_STORE_FINDS; i++) {
        struct sh_store_find *f = &c->finds[i];
        if (f->sql && strcmp(f->sql, sql) == 0) {
            f->used = c->clock;
            return f->st;
        }
        if (f->used < old->used)
            old = f;
    }
    sqlite3_stmt *st = sh_sqlite_prepare(c->db, sql, err);
    if (!st)
        return NULL;
    sqlite3_finalize(old->st);
    free(old->sql);
    *old = (struct sh_store_find){sh_strdup(sql), st, c->clock};
    return st;
}

static void bind_value(sqlite3_stmt *st, int at, const cJSON *v)
{
    int64_t n;
    double d;
    if (cJSON_IsString(v))
        sh_sqlite_bind_str(st, at, v->valuestring);
    else if (sh_json_get_int(v, &n))
        sh_sqlite_bind_int(st, at, n);
    else if (sh_json_get_double(v, &d))
        sh_sqlite_bind_double(st, at, d);
}

static void bind_query(sqlite3_stmt *st, const struct query *q, struct sh_slice collection)
{
    int n = sqlite3_bind_parameter_count(st);
    sqlite3_clear_bindings(st);
    sh_sqlite_bind_text(st, 1, collection);
    sh_sqlite_bind_int(st, 2, q->limit);
    if (q->order)
        sh_sqlite_bind_str(st, 3, q->order);
    for (size_t i = 0; i < q->n; i++) {
        int at = 4 + 2 * (int)i;
        sh_sqlite_bind_str(st, at, q->c[i].path);
        if (at + 1 <= n) /* a last value that is null or a boolean stands in the text */
            bind_value(st, at + 1, q->c[i].value);
    }
}

/* FNV-1a, 64 bits, over id, NUL, version. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * UINT64_C(1099511628211);
    return h;
}

static bool walk(sqlite3_stmt *st, uint64_t *mark, uint64_t *n, struct sh_buf *rows,
                 struct sh_error *err)
{
    int got;
    *mark = UINT64_C(14695981039346656037);
    *n = 0;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice id = sh_sqlite_text(st, 0);
        int64_t version = sqlite3_column_int64(st, 1);
        *mark = mix(mix(mix(*mark, id.p, id.n), "", 1), &version, sizeof(version));
        (*n)++;
        if (!rows)
            continue;
        sh_buf_bytes(rows, id);
        sh_buf_bytes(rows, sh_sqlite_text(st, 2));
        if (!sh_buf_ok(rows)) {
            sqlite3_reset(st);
            return sh_error_set(err, SH_ELIMIT,
                                "records.find: the rows take more than %zu bytes: use a smaller"
                                " limit or a narrower filter",
                                SH_STORE_ANSWER_BYTES);
        }
    }
    return got == 0;
}

bool sh_store_find(struct sh_store_conn *c, const struct sh_read_request *r, uint64_t *mark,
                   uint64_t *n, struct sh_buf *rows, struct sh_error *err)
{
    struct query q = {0};
    struct sh_buf sql;
    sqlite3_stmt *st = NULL;
    bool ok = read_query(&q, r->query, err);
    sh_buf_init(&sql, (size_t)64 << 10);
    if (ok) {
        put_sql(&sql, &q);
        st = statement(c, sql.data, err);
    }
    if (st) {
        bind_query(st, &q, r->collection);
        ok = walk(st, mark, n, rows, err);
        sqlite3_clear_bindings(st);
    }
    sh_buf_free(&sql);
    query_clear(&q);
    return ok && st;
}
