/* SPDX-License-Identifier: MIT
 * json_scan.h: what the files of the JSON module share; not for others. */
#ifndef SH_SVC_JSON_SCAN_H
#define SH_SVC_JSON_SCAN_H

#include "svc/json.h"

#include <endian.h>
#include <string.h>

/* sh_json_check() that also counts the numbers a cJSON number node would not print exactly. */
bool sh_json_check_numbers(const char *text, size_t len, struct sh_json_fault *fault,
                           size_t *inexact) SH_WARN_UNUSED;

/* Does a double whose text is compared by value print this integer token unchanged?
 * digits: their count without the sign. "-0" does not. */
static inline bool sh_json_plain_int(const uint8_t *token, size_t digits)
{
    return digits <= 15 && !(token[0] == '-' && token[1] == '0');
}

/* Value in the C locale, whatever the process has set. */
double sh_json_strtod(const char *text);

/* First byte from p on that is not plain inside a string: a control byte, ", \ or not ASCII.
 * Eight bytes at a time: in each byte the high bit is set when it is special. A subtraction may
 * also mark bytes above a special one by its borrow, so only the lowest mark is used. */
static inline const uint8_t *sh_json_plain_end(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, sizeof(w));
        w = le64toh(w);
        uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        uint64_t marks = (w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & (ones * 0x80);
        if (marks)
            return p + (__builtin_ctzll(marks) >> 3);
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Bytes of the well-formed UTF-8 sequence at p < end (RFC 3629 section 4), or 0; *cp is its code
 * point. */
static inline size_t sh_json_utf8(const uint8_t *p, const uint8_t *end, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = *p;
    *cp = c;
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if ((size_t)(end - p) < n)
        return 0;
    c &= 0x7fU >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fU);
    }
    *cp = c;
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

/* Value of the four hex digits at p, or -1. */
static inline int32_t sh_json_hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20;
        if (p[i] >= '0' && p[i] <= '9')
            v = v << 4 | (p[i] - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (c - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* One character of a checked string's content at *p < end, unescaped to UTF-8 in out; *p moves
 * behind it. Returns its bytes, 1..4. Content that is no such thing is stepped over bytewise. */
size_t sh_json_unescape_one(const uint8_t **p, const uint8_t *end, uint8_t out[4]);

static inline const uint8_t *sh_json_skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

#endif
