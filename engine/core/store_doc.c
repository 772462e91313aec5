/* SPDX-License-Identifier: MIT
 * store_doc.c: record documents changed as text: no tree, so that numbers keep every digit and
 * strings their escapes.
 *
 * Texts have passed sh_json_check(), so a scan that only knows strings and brackets is enough; it
 * stays within its bounds on any text all the same. */
#include "core/store_impl.h"
#include "svc/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* p at an opening quote; gives the byte behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    const char *from = p + 1;
    for (;;) {
        const char *q = from < end ? memchr(from, '"', (size_t)(end - from)) : NULL;
        if (!q)
            return end;
        size_t slashes = 0;
        while (q - 1 - slashes > p && q[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return q + 1;
        from = q + 1;
    }
}

static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            break;
        case '{':
        case '[':
            depth++;
            p++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return p;
            depth--;
            p++;
            break;
        default:
            if (depth == 0 && (*p == ',' || *p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
                return p;
            p++;
            continue; /* a number or word ends at one of the above */
        }
        if (depth == 0)
            return p;
    }
    return end;
}

bool sh_doc_begin(struct sh_doc_iter *it, struct sh_slice doc)
{
    const char *p = doc.p ? doc.p : "", *end = p + doc.n;
    p = skip_space(p, end);
    if (p >= end || *p != '{')
        return false;
    *it = (struct sh_doc_iter){p + 1, end};
    return true;
}

bool sh_doc_next(struct sh_doc_iter *it, struct sh_slice *key, struct sh_slice *value)
{
    const char *p = skip_space(it->p, it->end);
    if (p < it->end && *p == ',')
        p = skip_space(p + 1, it->end);
    if (p >= it->end || *p != '"')
        return false;
    const char *after = skip_string(p, it->end);
    if (after - p < 2)
        return false;
    *key = sh_slice(p + 1, (size_t)(after - p) - 2);
    p = skip_space(after, it->end);
    if (p < it->end && *p == ':')
        p = skip_space(p + 1, it->end);
    it->p = skip_value(p, it->end);
    *value = sh_slice(p, (size_t)(it->p - p));
    return value->n > 0;
}

/* --- merge patch (RFC 7396) -------------------------------------------------- */

struct member {
    struct sh_slice key;  /* escaped, as it stands in the patch */
    struct sh_slice name; /* what keys are compared by: unescaped where there are escapes */
    struct sh_slice value;
    bool used;
};

/* A patch's members, found by name: a list while they are few, else a hash table. */
struct members {
    struct member *m;
    size_t n, cap;
    uint32_t *slot; /* index + 1, open addressing; NULL: few */
    size_t mask;
    struct sh_buf names; /* one text for every unescaped name */
    struct member few[16];
};

static uint32_t hash_of(struct sh_slice s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

/* The unescaped form, in *hold when there is an escape. */
static struct sh_slice plain_name(struct sh_slice key, struct sh_buf *hold)
{
    if (!key.n || !memchr(key.p, '\\', key.n))
        return key;
    sh_buf_reset(hold);
    sh_json_unescape(key, hold);
    return sh_slice(hold->data, hold->len);
}

static void index_members(struct members *ms)
{
    size_t size = 64;
    while (size < ms->n * 2)
        size *= 2;
    ms->slot = sh_alloc(size, sizeof(*ms->slot));
    ms->mask = size - 1;
    for (size_t i = 0; i < ms->n; i++) {
        size_t at = hash_of(ms->m[i].name) & ms->mask;
        while (ms->slot[at])
            at = (at + 1) & ms->mask;
        ms->slot[at] = (uint32_t)i + 1;
    }
}

static void add_member(struct members *ms, struct sh_slice key, struct sh_slice value)
{
    if (ms->n == ms->cap) {
        size_t cap = ms->cap * 2;
        bool first = ms->m == ms->few;
        ms->m = sh_realloc(first ? NULL : ms->m, cap * sizeof(*ms->m));
        if (first)
            memcpy(ms->m, ms->few, sizeof(ms->few));
        ms->cap = cap;
    }
    struct sh_slice name = key;
    if (key.n && memchr(key.p, '\\', key.n)) { /* never longer than with its escapes */
        size_t from = ms->names.len;
        sh_json_unescape(key, &ms->names);
        name = sh_slice(ms->names.data + from, ms->names.len - from);
    }
    ms->m[ms->n++] = (struct member){.key = key, .name = name, .value = value};
}

static void members_of(struct members *ms, struct sh_slice patch)
{
    struct sh_doc_iter it;
    struct sh_slice key, value;
    ms->m = ms->few;
    ms->n = 0;
    ms->cap = sizeof(ms->few) / sizeof(*ms->few);
    ms->slot = NULL;
    sh_buf_init(&ms->names, patch.n + 1);
    if (patch.n && memchr(patch.p, '\\', patch.n)) { /* room for all: names must not move */
        char *room = sh_buf_room(&ms->names, patch.n);
        sh_require(room);
    }
    if (sh_doc_begin(&it, patch))
        while (sh_doc_next(&it, &key, &value))
            add_member(ms, key, value);
    if (ms->n > sizeof(ms->few) / sizeof(*ms->few))
        index_members(ms);
}

static void members_free(struct members *ms)
{
    if (ms->m != ms->few)
        free(ms->m);
    free(ms->slot);
    sh_buf_free(&ms->names);
}

static struct member *member_named(struct members *ms, struct sh_slice name)
{
    if (!ms->slot) {
        for (size_t i = 0; i < ms->n; i++)
            if (sh_slice_eq(ms->m[i].name, name))
                return &ms->m[i];
        return NULL;
    }
    for (size_t at = hash_of(name) & ms->mask; ms->slot[at]; at = (at + 1) & ms->mask)
        if (sh_slice_eq(ms->m[ms->slot[at] - 1].name, name))
            return &ms->m[ms->slot[at] - 1];
    return NULL;
}

static void put_member(struct sh_buf *out, bool *any, struct sh_slice key)
{
    sh_buf_addc(out, *any ? ',' : '{');
    sh_buf_addc(out, '"');
    sh_buf_add(out, key.p, key.n);
    sh_buf_add(out, "\":", 2);
    *any = true;
}

static void put_patched(struct sh_buf *out, bool *any, struct sh_slice key, struct sh_slice old,
                        struct sh_slice new_value)
{
    if (new_value.p[0] == 'n') /* null removes */
        return;
    put_member(out, any, key);
    if (new_value.p[0] == '{')
        sh_doc_merge(out, old, new_value);
    else
        sh_buf_add(out, new_value.p, new_value.n);
}

/* Recursion ends at SH_JSON_MAX_DEPTH, which the check has seen to. */
void sh_doc_merge(struct sh_buf *out, struct sh_slice target, struct sh_slice patch)
{
    struct members ms;
    struct sh_doc_iter it;
    struct sh_slice key, value;
    struct sh_buf hold;
    bool any = false;
    members_of(&ms, patch);
    sh_buf_init(&hold, target.n + 1);
    if (sh_doc_begin(&it, target))
        while (sh_doc_next(&it, &key, &value)) {
            struct member *m = member_named(&ms, plain_name(key, &hold));
            if (m) {
                m->used = true;
                put_patched(out, &any, key, value, m->value);
            } else {
                put_member(out, &any, key);
                sh_buf_add(out, value.p, value.n);
            }
        }
    for (size_t i = 0; i < ms.n; i++)
        if (!ms.m[i].used)
            put_patched(out, &any, ms.m[i].key, SH_SLICE(""), ms.m[i].value);
    sh_buf_adds(out, any ? "}" : "{}");
    sh_buf_free(&hold);
    members_free(&ms);
}

/* --- increment --------------------------------------------------------------- */

static bool is_integer(struct sh_slice number)
{
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] == '.' || number.p[i] == 'e' || number.p[i] == 'E')
            return false;
    return true;
}

/* The new number's text. */
static bool add_numbers(struct sh_slice old, const struct sh_effect *fx, char out[64],
                        struct sh_error *err)
{
    char text[64];
    if (old.n >= sizeof(text))
        return sh_error_set(err, SH_EINVAL, "holds a number of %zu digits", old.n);
    memcpy(text, old.p, old.n);
    text[old.n] = '\0';
    if (fx->is_int && is_integer(old)) {
        int64_t sum;
        errno = 0;
        long long have = strtoll(text, NULL, 10);
        if (errno || __builtin_add_overflow((int64_t)have, fx->n_int, &sum))
            return sh_error_set(err, SH_EINVAL, "%s + %lld does not fit 64 bits", text,
                                (long long)fx->n_int);
        snprintf(out, 64, "%lld", (long long)sum);
        return true;
    }
    double sum = strtod(text, NULL) + (fx->is_int ? (double)fx->n_int : fx->n_double);
    if (!isfinite(sum))
        return sh_error_set(err, SH_EINVAL, "the sum is not a finite number");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 60, "%.*g", digits, sum);
        if (strtod(out, NULL) == sum)
            break;
    }
    size_t n = strlen(out);
    if (is_integer(sh_slice(out, n))) /* a float stays one, as it does in Lua */
        snprintf(out + n, 64 - n, ".0");
    return true;
}

static bool find_member(struct sh_slice doc, struct sh_slice name, struct sh_slice *value,
                        bool *empty)
{
    struct sh_doc_iter it;
    struct sh_slice key;
    struct sh_buf hold;
    bool found = false;
    *empty = true;
    sh_buf_init(&hold, doc.n + 1);
    if (sh_doc_begin(&it, doc))
        while (!found && sh_doc_next(&it, &key, value)) {
            *empty = false;
            found = sh_slice_eq(plain_name(key, &hold), name);
        }
    sh_buf_free(&hold);
    return found;
}

static const char *kind_of(struct sh_slice value)
{
    switch (value.n ? value.p[0] : 0) {
    case '"':
        return "a string";
    case '{':
        return "an object";
    case '[':
        return "an array";
    case 't':
    case 'f':
        return "a boolean";
    default:
        return "null";
    }
}

bool sh_doc_incr(struct sh_buf *out, struct sh_slice doc, const struct sh_effect *fx,
                 struct sh_error *err)
{
    struct sh_slice old;
    char sum[64];
    bool empty, found = find_member(doc, fx->field, &old, &empty);
    if (found && !(old.p[0] == '-' || (old.p[0] >= '0' && old.p[0] <= '9')))
        return sh_error_set(err, SH_EINVAL, "holds %s, expected a number: %.*s", kind_of(old),
                            old.n > 80 ? 80 : (int)old.n, old.p);
    if (!add_numbers(found ? old : fx->is_int ? SH_SLICE("0") : SH_SLICE("0.0"), fx, sum, err))
        return false;
    if (found) {
        sh_buf_add(out, doc.p, (size_t)(old.p - doc.p));
        sh_buf_adds(out, sum);
        sh_buf_add(out, old.p + old.n, doc.n - (size_t)(old.p - doc.p) - old.n);
        return true;
    }
    size_t close = doc.n;
    while (close > 0 && doc.p[close - 1] != '}')
        close--;
    if (close == 0)
        return sh_error_set(err, SH_EINVAL, "the record's document is no object");
    sh_buf_add(out, doc.p, close - 1);
    if (!empty)
        sh_buf_addc(out, ',');
    sh_json_quote(out, fx->field);
    sh_buf_addc(out, ':');
    sh_buf_adds(out, sum);
    sh_buf_addc(out, '}');
    return true;
}
