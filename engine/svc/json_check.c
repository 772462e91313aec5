/* SPDX-License-Identifier: MIT
 * json_check.c: the strict check in front of everything that reads JSON.
 *
 * One pass without recursion. The good path only moves a pointer; places, lines and words for
 * people are worked out after a fault. */
#include "svc/json_scan.h"

#include "base/limits.h"
#include "svc/json_keys.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define A_VALUE "a value (object, array, string, number, true, false or null)"

struct frame {
    bool object;
    struct sh_json_key_set keys;
};

struct check {
    const uint8_t *text, *p, *end;
    const uint8_t *string; /* content of the string read last, or being read; NULL before one */
    size_t string_n;       /* its bytes, once it is closed */
    bool escaped;          /* it has escapes */
    size_t nodes, depth, inexact;
    struct sh_json_fault *fault;
    struct frame frame[SH_JSON_MAX_DEPTH];
    struct sh_json_keys keys;
};

/* What the text at p is: no value yet, one complete value, or a fault (already told). */
enum step { FAULT, EXPECT, DONE };

/* ---- Faults ---- */

static void place(const struct check *c, const uint8_t *at, size_t *line, size_t *col)
{
    const uint8_t *start = c->text;
    *line = 1;
    for (const uint8_t *p = c->text; p < at; p++)
        if (*p == '\n') {
            start = p + 1;
            ++*line;
        }
    *col = (size_t)(at - start) + 1;
}

__attribute__((cold, noinline)) static bool fail(struct check *c, const uint8_t *at,
                                                 const char *fmt, ...) SH_PRINTF(3, 4);
static bool fail(struct check *c, const uint8_t *at, const char *fmt, ...)
{
    struct sh_json_fault *f = c->fault;
    va_list ap;
    if (!f)
        return false;
    va_start(ap, fmt);
    vsnprintf(f->msg, sizeof(f->msg), fmt, ap);
    va_end(ap);
    f->byte = (size_t)(at - c->text);
    place(c, at, &f->line, &f->col);
    return false;
}

static bool is_typographic(uint32_t cp)
{
    return cp == 0x2018 || cp == 0x2019 || cp == 0x201c || cp == 0x201d;
}

struct words {
    char s[96];
};

/* A string that was opened with a straight quote and closed with a typographic one swallows what
 * follows, and the fault shows itself later: say where to look. */
static struct words quote_hint(const struct check *c)
{
    struct words w = {""};
    for (const uint8_t *p = c->string; p && p + 2 < c->p; p++)
        if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0x9c || p[2] == 0x9d)) {
            size_t line, col;
            place(c, p, &line, &col);
            snprintf(w.s, sizeof(w.s),
                     "; typographic quote U+%s at line %zu, column %zu: was \" meant?",
                     p[2] == 0x9c ? "201C" : "201D", line, col);
            break;
        }
    return w;
}

static struct words describe(const struct check *c, const uint8_t *at)
{
    struct words w;
    uint32_t cp;
    if (at == c->end)
        snprintf(w.s, sizeof(w.s), "the text ends");
    else if (!sh_json_utf8(at, c->end, &cp))
        snprintf(w.s, sizeof(w.s), "byte 0x%02x (not UTF-8) found", *at);
    else if (cp < 0x20 || cp == 0x7f)
        snprintf(w.s, sizeof(w.s), "control byte 0x%02x found", cp);
    else if (cp == '\'')
        snprintf(w.s, sizeof(w.s), "single quote (') found");
    else if (cp < 0x7f)
        snprintf(w.s, sizeof(w.s), "'%c' found", (char)cp);
    else if (cp == 0xfeff)
        snprintf(w.s, sizeof(w.s), "byte order mark U+FEFF found");
    else
        snprintf(w.s, sizeof(w.s), "U+%04X found", cp);
    return w;
}

__attribute__((cold, noinline)) static bool unexpected(struct check *c, const char *expected)
{
    uint32_t cp;
    if (c->p < c->end && sh_json_utf8(c->p, c->end, &cp) && is_typographic(cp))
        return fail(c, c->p,
                    "typographic quote U+%04X found, expected a straight \" (0x22): the text was "
                    "probably copied from a document",
                    cp);
    return fail(c, c->p, "%s, expected %s%s", describe(c, c->p).s, expected, quote_hint(c).s);
}

__attribute__((cold, noinline)) static bool fail_key(struct check *c, size_t at, size_t n)
{
    const uint8_t *key = c->text + at;
    size_t shown = n < 60 ? n : 60;
    while (shown < n && shown > 0 && (key[shown] & 0xc0) == 0x80)
        shown--; /* not through the middle of a character */
    return fail(c, key, "key \"%.*s\"%s appears twice in one object, expected it once", (int)shown,
                (const char *)key, shown < n ? "..." : "");
}

/* ---- Strings ---- */

static bool fail_control(struct check *c)
{
    uint8_t b = *c->p;
    if (b == '\n' || b == '\r')
        return fail(c, c->p, "line break inside a string, expected the closing \" or \\n%s",
                    quote_hint(c).s);
    return fail(c, c->p, "control byte 0x%02x inside a string, expected it escaped as %s", b,
                b == '\t' ? "\\t"
                : b       ? "\\u00XX"
                          : "nothing: U+0000 is not accepted");
}

static bool fail_open_string(struct check *c)
{
    size_t line, col;
    place(c, c->string - 1, &line, &col);
    return fail(c, c->end, "the text ends inside the string that begins at line %zu, column %zu%s",
                line, col, quote_hint(c).s);
}

static bool unicode_escape(struct check *c)
{
    int32_t v = sh_json_hex4(c->p + 2, c->end), low = -1;
    if (v < 0)
        return fail(c, c->p, "\\u without four hex digits, expected for example \\u00e9");
    if (v == 0)
        return fail(c, c->p, "\\u0000 in a string: U+0000 is not accepted");
    if (v < 0xd800 || v > 0xdfff) {
        c->p += 6;
        return true;
    }
    if (v <= 0xdbff && c->end - c->p >= 12 && c->p[6] == '\\' && c->p[7] == 'u')
        low = sh_json_hex4(c->p + 8, c->end);
    if (low < 0xdc00 || low > 0xdfff)
        return fail(c, c->p,
                    "lone surrogate \\u%04x, expected a pair (\\ud800-\\udbff, then "
                    "\\udc00-\\udfff)",
                    (unsigned)v);
    c->p += 12;
    return true;
}

/* c->p is at the backslash. */
static bool escape(struct check *c)
{
    c->escaped = true;
    if (c->end - c->p < 2) {
        c->p = c->end;
        return fail_open_string(c);
    }
    switch (c->p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        c->p += 2;
        return true;
    case 'u':
        return unicode_escape(c);
    default:
        return fail(c, c->p, "unknown escape: %s after \\, expected one of \"\\/bfnrtu",
                    describe(c, c->p + 1).s);
    }
}

/* Content and closing quote; c->p is behind the opening one. */
static bool string(struct check *c)
{
    uint32_t cp;
    size_t n;
    c->string = c->p;
    c->escaped = false;
    for (;;) {
        c->p = sh_json_plain_end(c->p, c->end);
        if (c->p == c->end)
            return fail_open_string(c);
        if (*c->p == '"') {
            c->string_n = (size_t)(c->p++ - c->string);
            return true;
        }
        if (*c->p == '\\') {
            if (!escape(c))
                return false;
        } else if (*c->p < 0x20) {
            return fail_control(c);
        } else {
            do {
                if (!(n = sh_json_utf8(c->p, c->end, &cp)))
                    return fail(c, c->p, "byte 0x%02x inside a string is not UTF-8", *c->p);
                c->p += n;
            } while (c->p < c->end && *c->p >= 0x80);
        }
    }
}

/* ---- Numbers ---- */

double sh_json_strtod(const char *text)
{
    /* glibc answers with its constant C locale: nothing to free, nothing that can fail. */
    return strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static bool is_digit(const struct check *c, const uint8_t *p)
{
    return p < c->end && *p >= '0' && *p <= '9';
}

static const uint8_t *digits_end(const struct check *c, const uint8_t *p)
{
    while (is_digit(c, p))
        p++;
    return p;
}

static bool integer(struct check *c, const uint8_t *start, const uint8_t *digits)
{
    size_t n = (size_t)(c->p - digits);
    if (n >= 19) {
        const char *most = *start == '-' ? "9223372036854775808" : "9223372036854775807";
        if (n > 19 || memcmp(digits, most, 19) > 0)
            return fail(c, start,
                        "integer %.*s%s does not fit 64 bits (-9223372036854775808 .. "
                        "9223372036854775807): send it as a string",
                        n > 24 ? 24 : (int)(c->p - start), (const char *)start,
                        n > 24 ? "..." : "");
    }
    c->inexact += !sh_json_plain_int(start, n);
    return true;
}

/* Below 1e300 by its length, or else by its value. */
static bool finite_number(const uint8_t *start, size_t n, size_t exponent_digits)
{
    char copy[SH_JSON_MAX_NUMBER_BYTES + 1];
    if (n <= 200 && exponent_digits <= 2)
        return true;
    memcpy(copy, start, n);
    copy[n] = '\0';
    return isfinite(sh_json_strtod(copy));
}

/* c->p is at the '.' or 'e' behind the integer part. */
static bool fraction(struct check *c, const uint8_t *start)
{
    size_t exponent_digits = 0;
    if (*c->p == '.') {
        c->p++;
        if (!is_digit(c, c->p))
            return unexpected(c, "a digit behind the decimal point");
        c->p = digits_end(c, c->p);
    }
    if (c->p < c->end && (*c->p == 'e' || *c->p == 'E')) {
        c->p++;
        if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
            c->p++;
        if (!is_digit(c, c->p))
            return unexpected(c, "a digit of the exponent");
        const uint8_t *digits = c->p;
        c->p = digits_end(c, c->p);
        exponent_digits = (size_t)(c->p - digits);
    }
    size_t n = (size_t)(c->p - start);
    if (n > SH_JSON_MAX_NUMBER_BYTES)
        return fail(c, start, "number of %zu bytes, expected at most %d", n,
                    SH_JSON_MAX_NUMBER_BYTES);
    if (!finite_number(start, n, exponent_digits))
        return fail(c, start, "number too large for a double (about 1.8e308): send it as a string");
    c->inexact++;
    return true;
}

static bool number(struct check *c)
{
    const uint8_t *start = c->p;
    c->p += *c->p == '-';
    if (!is_digit(c, c->p))
        return unexpected(c, "a digit after '-'");
    const uint8_t *digits = c->p;
    c->p = digits_end(c, c->p);
    if (*digits == '0' && c->p - digits > 1)
        return fail(c, start, "number begins with 0, expected no leading zeros");
    if (c->p < c->end && (*c->p == '.' || *c->p == 'e' || *c->p == 'E'))
        return fraction(c, start);
    return integer(c, start, digits);
}

/* ---- Structure ---- */

static void skip_space(struct check *c)
{
    c->p = sh_json_skip_space(c->p, c->end);
}

static enum step literal(struct check *c, const char *word, size_t n)
{
    if ((size_t)(c->end - c->p) >= n && memcmp(c->p, word, n) == 0) {
        c->p += n;
        return DONE;
    }
    unexpected(c, A_VALUE);
    return FAULT;
}

static enum step key(struct check *c, const char *expected)
{
    skip_space(c);
    if (c->p == c->end || *c->p != '"') {
        unexpected(c, expected);
        return FAULT;
    }
    c->p++;
    if (!string(c))
        return FAULT;
    size_t at = (size_t)(c->string - c->text);
    if (!sh_json_keys_add(&c->keys, &c->frame[c->depth - 1].keys,
                          sh_slice(c->text, (size_t)(c->end - c->text)), at, c->string_n,
                          c->escaped)) {
        fail_key(c, at, c->string_n);
        return FAULT;
    }
    skip_space(c);
    if (c->p == c->end || *c->p != ':') {
        unexpected(c, "':' after the key");
        return FAULT;
    }
    c->p++;
    return EXPECT;
}

/* c->p is at the closing bracket. */
static enum step leave(struct check *c)
{
    const struct frame *f = &c->frame[--c->depth];
    const struct sh_json_key *twice = f->object ? sh_json_keys_close(&c->keys, &f->keys) : NULL;
    if (twice) {
        fail_key(c, twice->at, twice->raw_n);
        return FAULT;
    }
    c->p++;
    return DONE;
}

static enum step enter(struct check *c, bool object)
{
    if (c->depth == SH_JSON_MAX_DEPTH) {
        fail(c, c->p, "nested deeper than %d levels", SH_JSON_MAX_DEPTH);
        return FAULT;
    }
    struct frame *f = &c->frame[c->depth++];
    f->object = object;
    if (object)
        f->keys = sh_json_keys_open(&c->keys);
    c->p++;
    skip_space(c);
    if (c->p < c->end && *c->p == (object ? '}' : ']'))
        return leave(c);
    return object ? key(c, "a key in \" or '}'") : EXPECT;
}

static enum step value(struct check *c)
{
    skip_space(c);
    if (c->p == c->end) {
        unexpected(c, A_VALUE);
        return FAULT;
    }
    if (++c->nodes > SH_JSON_MAX_NODES) {
        fail(c, c->p, "more than %d values", SH_JSON_MAX_NODES);
        return FAULT;
    }
    switch (*c->p) {
    case '{':
        return enter(c, true);
    case '[':
        return enter(c, false);
    case '"':
        c->p++;
        return string(c) ? DONE : FAULT;
    case 't':
        return literal(c, "true", 4);
    case 'f':
        return literal(c, "false", 5);
    case 'n':
        return literal(c, "null", 4);
    case '-':
        return number(c) ? DONE : FAULT;
    default:
        if (is_digit(c, c->p))
            return number(c) ? DONE : FAULT;
        unexpected(c, A_VALUE);
        return FAULT;
    }
}

/* Behind a value inside a container. */
static enum step next(struct check *c)
{
    bool object = c->frame[c->depth - 1].object;
    skip_space(c);
    if (c->p < c->end && *c->p == ',') {
        c->p++;
        if (object)
            return key(c, "a key in \" after ','");
        return EXPECT;
    }
    if (c->p < c->end && *c->p == (object ? '}' : ']'))
        return leave(c);
    unexpected(c, object ? "',' or '}'" : "',' or ']'");
    return FAULT;
}

static bool whole(struct check *c)
{
    for (;;) {
        enum step step = value(c);
        while (step == DONE) {
            if (c->depth == 0) {
                skip_space(c);
                return c->p == c->end || unexpected(c, "the end: one JSON value and no more");
            }
            step = next(c);
        }
        if (step == FAULT)
            return false;
    }
}

bool sh_json_check_numbers(const char *text, size_t len, struct sh_json_fault *fault,
                           size_t *inexact)
{
    struct check c; /* large, so only what is read before it is written gets a value */
    c.text = c.p = (const uint8_t *)(len ? text : "");
    c.end = c.text + len;
    c.string = NULL;
    c.nodes = c.depth = c.inexact = 0;
    c.fault = fault;
    sh_json_keys_init(&c.keys);
    bool ok = whole(&c);
    sh_json_keys_free(&c.keys);
    *inexact = c.inexact;
    return ok;
}

bool sh_json_check(const char *text, size_t len, struct sh_json_fault *fault)
{
    size_t inexact;
    return sh_json_check_numbers(text, len, fault, &inexact);
}
