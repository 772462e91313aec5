/* SPDX-License-Identifier: MIT
 * json_find.c: look-ups in checked text, without a tree.
 *
 * The text has passed sh_json_check(), so that a string ends at its first quote without an odd
 * number of backslashes before it and a number at the first byte that no number has. Every step is
 * bounded by the end all the same. */
#include "svc/json_scan.h"

#include "base/limits.h"

/* Behind the closing quote; p is behind the opening one. */
static const uint8_t *string_end(const uint8_t *p, const uint8_t *end)
{
    for (const uint8_t *from = p;;) {
        const uint8_t *quote = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
        if (!quote)
            return end;
        const uint8_t *slash = quote;
        while (slash > from && slash[-1] == '\\')
            slash--;
        p = quote + 1;
        if ((quote - slash) % 2 == 0)
            return p;
    }
}

/* Behind the value that starts at p. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;
    while (p < end) {
        uint8_t b = *p++;
        if (b == '"')
            p = string_end(p, end);
        else if (b == '{' || b == '[')
            depth++;
        else if (b == '}' || b == ']')
            depth -= depth > 0;
        else if (depth == 0)
            while (p<end && * p> ' ' && *p != ',' && *p != ']' && *p != '}')
                p++;
        if (depth == 0)
            break;
    }
    return p;
}

static void put_utf8(uint32_t cp, uint8_t out[4], size_t *n)
{
    if (cp < 0x80) {
        out[(*n)++] = (uint8_t)cp;
        return;
    }
    int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    out[(*n)++] = (uint8_t)((0xff00U >> (more + 1) & 0xff) | cp >> (6 * more));
    while (more-- > 0)
        out[(*n)++] = (uint8_t)(0x80 | (cp >> (6 * more) & 0x3f));
}

static uint32_t unicode_escape(const uint8_t **p, const uint8_t *end)
{
    int32_t v = sh_json_hex4(*p, end), low = -1;
    if (v < 0)
        return 0xfffd;
    *p += 4;
    if (v < 0xd800 || v > 0xdfff)
        return (uint32_t)v;
    if (v <= 0xdbff && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u')
        low = sh_json_hex4(*p + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *p += 6;
    return 0x10000 + ((uint32_t)(v - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

size_t sh_json_unescape_one(const uint8_t **p, const uint8_t *end, uint8_t out[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t n = 0;
    uint8_t b = *(*p)++;
    if (b != '\\' || *p == end) {
        out[n++] = b;
        return n;
    }
    b = *(*p)++;
    const char *at = b ? strchr(from, b) : NULL;
    if (b == 'u')
        put_utf8(unicode_escape(p, end), out, &n);
    else
        out[n++] = at ? (uint8_t)to[at - from] : b;
    return n;
}

void sh_json_unescape(struct sh_slice raw, struct sh_buf *out)
{
    const uint8_t *p = (const uint8_t *)raw.p, *end = raw.n ? p + raw.n : p;
    uint8_t one[4];
    while (p < end) {
        const uint8_t *slash = memchr(p, '\\', (size_t)(end - p));
        if (!slash)
            slash = end;
        sh_buf_add(out, p, (size_t)(slash - p));
        p = slash;
        if (p < end) {
            size_t n = sh_json_unescape_one(&p, end, one);
            sh_buf_add(out, one, n);
        }
    }
}

static bool key_is(struct sh_slice raw, struct sh_slice name)
{
    if (sh_slice_eq(raw, name))
        return !memchr(name.n ? name.p : "", '\\', name.n); /* else the raw key has an escape */
    if (!raw.n || !memchr(raw.p, '\\', raw.n))
        return false;
    const uint8_t *p = (const uint8_t *)raw.p, *end = p + raw.n;
    size_t done = 0;
    uint8_t one[4];
    while (p < end) {
        size_t n = sh_json_unescape_one(&p, end, one);
        if (n > name.n - done || memcmp(one, name.p + done, n) != 0)
            return false;
        done += n;
    }
    return done == name.n;
}

/* Move *p, behind an object's '{' or a member's value, to the next member's value.
 * False: the object has no more. */
static bool next_member(const uint8_t **p, const uint8_t *end, struct sh_slice *key)
{
    const uint8_t *at = sh_json_skip_space(*p, end);
    if (at < end && *at == ',')
        at = sh_json_skip_space(at + 1, end);
    if (at == end || *at != '"')
        return false;
    const uint8_t *name = at + 1;
    at = string_end(name, end);
    *key = sh_slice(name, at - 1 > name ? (size_t)(at - 1 - name) : 0);
    at = sh_json_skip_space(at, end);
    *p = sh_json_skip_space(at < end && *at == ':' ? at + 1 : at, end);
    return *p < end;
}

/* Start of the member's value in the object at p, or NULL. */
static const uint8_t *member(const uint8_t *p, const uint8_t *end, struct sh_slice name)
{
    struct sh_slice key;
    for (p++; next_member(&p, end, &key); p = value_end(p, end))
        if (key_is(key, name))
            return p;
    return NULL;
}

/* The top level: the whole path as a name wins over its first segment. */
static const uint8_t *member_or(const uint8_t *p, const uint8_t *end, struct sh_slice whole,
                                struct sh_slice first, bool *is_whole)
{
    struct sh_slice key;
    const uint8_t *found = NULL;
    *is_whole = false;
    for (p++; next_member(&p, end, &key); p = value_end(p, end)) {
        if (key_is(key, whole)) {
            *is_whole = true;
            return p;
        }
        if (!found && key_is(key, first))
            found = p;
    }
    return found;
}

static const uint8_t *element(const uint8_t *p, const uint8_t *end, struct sh_slice number)
{
    size_t index = 0;
    if (number.n == 0 || number.n > 9 || (number.n > 1 && number.p[0] == '0'))
        return NULL;
    for (size_t i = 0; i < number.n; i++) {
        if (number.p[i] < '0' || number.p[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(number.p[i] - '0');
    }
    for (p = sh_json_skip_space(p + 1, end); p < end && *p != ']'; index--) {
        if (index == 0)
            return p;
        p = sh_json_skip_space(value_end(p, end), end);
        if (p < end && *p == ',')
            p = sh_json_skip_space(p + 1, end);
    }
    return NULL;
}

static const uint8_t *child(const uint8_t *p, const uint8_t *end, struct sh_slice segment)
{
    if (p < end && *p == '{')
        return member(p, end, segment);
    return p < end && *p == '[' ? element(p, end, segment) : NULL;
}

static enum sh_json_kind take(const uint8_t *p, const uint8_t *end, struct sh_slice *value)
{
    const uint8_t *stop = value_end(p, end);
    *value = sh_slice(p, (size_t)(stop - p));
    switch (*p) {
    case '{':
        return SH_JSON_OBJECT;
    case '[':
        return SH_JSON_ARRAY;
    case '"':
        *value = sh_slice(p + 1, value->n >= 2 ? value->n - 2 : 0);
        return SH_JSON_STRING;
    case 't':
        return SH_JSON_TRUE;
    case 'f':
        return SH_JSON_FALSE;
    case 'n':
        return SH_JSON_NULL;
    default:
        return SH_JSON_NUMBER;
    }
}

/* Cut the first segment off a path; false if it was the last. */
static bool cut(const char **path, struct sh_slice *segment)
{
    const char *dot = strchrnul(*path, '.');
    *segment = sh_slice(*path, (size_t)(dot - *path));
    *path = *dot ? dot + 1 : dot;
    return *dot != '\0';
}

enum sh_json_kind sh_json_find(struct sh_slice text, const char *path, struct sh_slice *value)
{
    *value = (struct sh_slice){0};
    if (text.n == 0)
        return SH_JSON_NONE;
    const uint8_t *end = (const uint8_t *)text.p + text.n;
    const uint8_t *p = sh_json_skip_space((const uint8_t *)text.p, end);
    struct sh_slice whole = sh_slice_str(path), segment;
    bool more = cut(&path, &segment), is_whole = false;
    if (p < end && *p == '{' && more)
        p = member_or(p, end, whole, segment, &is_whole);
    else
        p = child(p, end, segment);
    while (p && more && !is_whole) {
        more = cut(&path, &segment);
        p = child(p, end, segment);
    }
    return p && p < end ? take(p, end, value) : SH_JSON_NONE;
}
