/* SPDX-License-Identifier: MIT
 * json.c: cJSON trees with exact numbers: parse, print, get. */
#include "svc/json.h"

#include "base/limits.h"
#include "svc/json_scan.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DOUBLE_EXACT 9007199254740992.0    /* 2^53: every integer up to it is a double */
#define INT64_END    9223372036854775808.0 /* 2^63: the first double too large for int64_t */
#define DOUBLE_TEXT  32
#define MAX_EXPONENT 100000 /* of a number's text; more says the same as this */
#define INT64_DIGITS 19
#define SMALL_TEXT   8192 /* bytes of a text that is copied to the stack */

const char *sh_json_kind_name(enum sh_json_kind kind)
{
    static const char *const names[] = {"nothing",  "null",     "false",    "true",
                                        "a number", "a string", "an array", "an object"};
    return (size_t)kind < sizeof(names) / sizeof(*names) ? names[kind] : "unknown";
}

/* ---- A walk over a tree, without recursion ---- */

struct walk {
    const cJSON *up[SH_JSON_MAX_DEPTH]; /* the containers around the node */
    size_t depth;
};

/* Next node of a tree in the order of its text, or NULL at its end. Trees deeper than the limit
 * do not come here. */
static cJSON *walk_next(struct walk *w, const cJSON *node)
{
    if (node->child) {
        sh_require(w->depth < SH_JSON_MAX_DEPTH);
        w->up[w->depth++] = node;
        return node->child;
    }
    while (w->depth > 0 && !node->next)
        node = w->up[--w->depth];
    return w->depth > 0 ? node->next : NULL;
}

/* ---- Parse ---- */

/* The number token at or after *p, which moves behind it; strings are stepped over. */
static struct sh_slice next_number(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *at = *p;
    while (at < end && *at != '-' && (*at < '0' || *at > '9')) {
        if (*at++ != '"')
            continue;
        while (at < end && *at != '"')
            at += *at == '\\' ? 2 : 1;
        at++;
    }
    const uint8_t *start = at < end ? at : end;
    for (at = start; at < end && *at && strchr("+-.0123456789eE", *at);)
        at++;
    *p = at;
    return sh_slice(start, (size_t)(at - start));
}

static bool prints_exactly(struct sh_slice token)
{
    const uint8_t *p = (const uint8_t *)token.p;
    return !memchr(p, '.', token.n) && !memchr(p, 'e', token.n) && !memchr(p, 'E', token.n) &&
           sh_json_plain_int(p, token.n - (*p == '-'));
}

static void make_raw(cJSON *node, struct sh_slice token)
{
    /* cJSON frees valuestring with its own free, so it must come from its own malloc. */
    node->valuestring = cJSON_malloc(token.n + 1);
    sh_require(node->valuestring);
    memcpy(node->valuestring, token.p, token.n);
    node->valuestring[token.n] = '\0';
    node->type = cJSON_Raw;
}

/* The k-th number node of the tree is the k-th number of the text. */
static bool keep_numbers(cJSON *tree, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    struct walk w = {.depth = 0};
    for (cJSON *node = tree; node; node = walk_next(&w, node)) {
        if (!cJSON_IsNumber(node))
            continue;
        struct sh_slice token = next_number(&p, end);
        if (token.n == 0)
            return false;
        if (!prints_exactly(token))
            make_raw(node, token);
    }
    return next_number(&p, end).n == 0;
}

cJSON *sh_json_parse(const char *text, size_t len, struct sh_error *err)
{
    struct sh_json_fault fault;
    size_t inexact;
    if (!sh_json_check_numbers(text, len, &fault, &inexact)) {
        sh_error_set(err, SH_EINVAL, "not JSON at byte %zu, line %zu, column %zu: %s", fault.byte,
                     fault.line, fault.col, fault.msg);
        return NULL;
    }
    /* cJSON is safe, and sees bytes behind the value, only with a NUL that it may count. Most texts
     * fit the stack: a large malloc beside the tree's small ones makes malloc tidy up each time. */
    char small[SMALL_TEXT], *copy = len < sizeof(small) ? small : sh_alloc(len + 1, 1);
    const char *stop = NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    cJSON *tree = cJSON_ParseWithLengthOpts(copy, len + 1, &stop, 1);
    if (!tree || stop != copy + len || (inexact > 0 && !keep_numbers(tree, copy, len))) {
        cJSON_Delete(tree);
        tree = NULL;
        sh_error_set(err, SH_EINVAL, "JSON passed the check and did not parse near byte %zu",
                     stop ? (size_t)(stop - copy) : 0);
    }
    if (copy != small)
        free(copy);
    return tree;
}

/* ---- Print ---- */

void sh_json_quote(struct sh_buf *out, struct sh_slice s)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const uint8_t *p = (const uint8_t *)s.p, *end = s.n ? p + s.n : p;
    sh_buf_addc(out, '"');
    while (p < end) {
        const uint8_t *run = p;
        while ((p = sh_json_plain_end(p, end)) < end && *p >= 0x80)
            while (++p < end && *p >= 0x80)
                ;
        sh_buf_add(out, run, (size_t)(p - run));
        if (p == end)
            break;
        const char *at = *p ? strchr(from, *p) : NULL;
        if (at)
            sh_buf_add(out, (char[]){'\\', to[at - from]}, 2);
        else
            sh_buf_addf(out, "\\u%04x", *p);
        p++;
    }
    sh_buf_addc(out, '"');
}

/* Digits of an integer that a double holds exactly. */
static void print_int(int64_t n, struct sh_buf *out)
{
    char digits[24], *p = digits + sizeof(digits);
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (n < 0)
        *--p = '-';
    sh_buf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

static bool print_double(double n, struct sh_buf *out)
{
    char text[DOUBLE_TEXT] = "";
    if (!isfinite(n))
        return false;
    if (fabs(n) < DOUBLE_EXACT && n == (double)(int64_t)n && !(n == 0 && signbit(n))) {
        print_int((int64_t)n, out);
        return true;
    }
    /* printf writes the process's decimal point; this thread has C's meanwhile. */
    locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    uselocale(before);
    sh_buf_adds(out, text);
    return true;
}

/* A scalar, or a container's opening bracket (and closing one, if it is empty). */
static bool print_node(const cJSON *node, struct sh_buf *out)
{
    switch (node->type & 0xff) {
    case cJSON_NULL:
        sh_buf_adds(out, "null");
        return true;
    case cJSON_False:
        sh_buf_adds(out, "false");
        return true;
    case cJSON_True:
        sh_buf_adds(out, "true");
        return true;
    case cJSON_Number:
        return print_double(node->valuedouble, out);
    case cJSON_String:
        sh_json_quote(out, sh_slice_str(node->valuestring));
        return true;
    case cJSON_Array:
        sh_buf_adds(out, node->child ? "[" : "[]");
        return true;
    case cJSON_Object:
        sh_buf_adds(out, node->child ? "{" : "{}");
        return true;
    case cJSON_Raw:
        sh_buf_adds(out, node->valuestring ? node->valuestring : "");
        return node->valuestring != NULL;
    default:
        return false;
    }
}

bool sh_json_print(const cJSON *tree, struct sh_buf *out)
{
    const cJSON *up[SH_JSON_MAX_DEPTH];
    size_t depth = 0;
    for (const cJSON *node = tree; node;) {
        if (depth > 0 && cJSON_IsObject(up[depth - 1])) {
            sh_json_quote(out, sh_slice_str(node->string));
            sh_buf_addc(out, ':');
        }
        bool is_container = cJSON_IsArray(node) || cJSON_IsObject(node);
        if ((is_container && depth == SH_JSON_MAX_DEPTH) || !print_node(node, out))
            return false;
        if (is_container && node->child) {
            up[depth++] = node;
            node = node->child;
            continue;
        }
        while (depth > 0 && !node->next) {
            node = up[--depth];
            sh_buf_addc(out, cJSON_IsObject(node) ? '}' : ']');
        }
        if (depth == 0)
            break;
        sh_buf_addc(out, ',');
        node = node->next;
    }
    return tree && sh_buf_ok(out);
}

/* ---- Nodes and getters ---- */

static cJSON *need(cJSON *node)
{
    if (!node)
        sh_die("out of memory for a JSON node");
    return node;
}

cJSON *sh_json_int(int64_t n)
{
    char text[24];
    if (n > -(int64_t)DOUBLE_EXACT && n < (int64_t)DOUBLE_EXACT)
        return need(cJSON_CreateNumber((double)n));
    snprintf(text, sizeof(text), "%lld", (long long)n);
    return need(cJSON_CreateRaw(text));
}

cJSON *sh_json_double(double n)
{
    return need(cJSON_CreateNumber(n)); /* sh_json_print() finds the shortest text */
}

bool sh_json_is_number(const cJSON *node)
{
    if (!node)
        return false;
    if (!cJSON_IsRaw(node))
        return cJSON_IsNumber(node);
    const char *s = node->valuestring;
    return s && (*s == '-' || (*s >= '0' && *s <= '9')) && sh_json_check(s, strlen(s), NULL);
}

/* A number's text as digits times ten to an exponent: leading and trailing zeros dropped. */
struct decimal {
    bool negative, too_long; /* too_long: more digits than int64_t has */
    char digit[INT64_DIGITS];
    size_t digits;
    long exponent;
};

static void push_digit(struct decimal *d, char c, size_t *zeros)
{
    if (c == '0') {
        *zeros += d->digits > 0; /* kept back: they may be trailing */
        return;
    }
    if (d->digits + *zeros + 1 > INT64_DIGITS) {
        d->too_long = true;
        return;
    }
    for (; *zeros > 0; --*zeros)
        d->digit[d->digits++] = '0';
    d->digit[d->digits++] = c;
}

static struct decimal read_decimal(const char *s)
{
    struct decimal d = {.negative = *s == '-'};
    size_t zeros = 0;
    long written = 0, sign = 1;
    for (s += d.negative; *s >= '0' && *s <= '9'; s++)
        push_digit(&d, *s, &zeros);
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++, d.exponent--) {
            push_digit(&d, *s, &zeros);
        }
    if (*s == 'e' || *s == 'E') {
        s++;
        sign = *s == '-' ? -1 : 1;
        for (s += *s == '-' || *s == '+'; *s >= '0' && *s <= '9'; s++)
            written = written < MAX_EXPONENT ? written * 10 + (*s - '0') : written;
    }
    d.exponent += sign * written + (long)zeros;
    return d;
}

static bool decimal_to_int(const struct decimal *d, int64_t *out)
{
    uint64_t v = 0, most = (uint64_t)INT64_MAX + d->negative;
    if (d->digits == 0 && !d->too_long) {
        *out = 0;
        return true;
    }
    if (d->too_long || d->exponent < 0 || d->exponent + (long)d->digits > INT64_DIGITS)
        return false;
    for (size_t i = 0; i < d->digits; i++)
        v = v * 10 + (uint64_t)(d->digit[i] - '0');
    for (long i = 0; i < d->exponent; i++)
        v *= 10;
    if (v > most)
        return false;
    *out = d->negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool sh_json_get_int(const cJSON *node, int64_t *out)
{
    if (!sh_json_is_number(node))
        return false;
    if (cJSON_IsRaw(node)) {
        struct decimal d = read_decimal(node->valuestring);
        return decimal_to_int(&d, out);
    }
    double n = node->valuedouble;
    if (!(n >= -INT64_END && n < INT64_END) || n != (double)(int64_t)n)
        return false;
    *out = (int64_t)n;
    return true;
}

bool sh_json_get_double(const cJSON *node, double *out)
{
    if (!sh_json_is_number(node))
        return false;
    *out = cJSON_IsRaw(node) ? sh_json_strtod(node->valuestring) : node->valuedouble;
    return true;
}

const cJSON *sh_json_member(const cJSON *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

const char *sh_json_string(const cJSON *object, const char *name)
{
    const cJSON *node = sh_json_member(object, name);
    return cJSON_IsString(node) ? node->valuestring : NULL;
}
