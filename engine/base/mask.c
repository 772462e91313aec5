/* SPDX-License-Identifier: MIT
 * mask.c: one pass over the text, from left to right: what begins here? */
#include "base/mask.h"

#include <string.h>
#include <strings.h>

#define SHOWN_DIGITS   2
#define MIN_HEX_DIGITS 16
#define MAX_GAP        2 /* separators in a row within a number: ") ", ") -" is another text */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Does text fit the pattern here? 0: a digit, x: a hex digit, else the byte itself. */
static bool fits(struct sh_slice s, size_t at, const char *pattern)
{
    for (; *pattern; pattern++, at++) {
        if (at >= s.n || (*pattern == '0'   ? !is_digit(s.p[at])
                          : *pattern == 'x' ? !is_hex(s.p[at])
                                            : s.p[at] != *pattern))
            return false;
    }
    return true;
}

static bool ends(struct sh_slice s, size_t at)
{
    return at >= s.n || !is_word(s.p[at]);
}

static size_t uuid(struct sh_slice s, size_t at)
{
    static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const size_t n = sizeof(pattern) - 1;
    return fits(s, at, pattern) && ends(s, at + n) ? n : 0;
}

/* "2026-11-26" of this century or the last, and what follows of a time. */
static size_t date_or_time(struct sh_slice s, size_t at)
{
    if (!fits(s, at, "0000-00-00") || (!fits(s, at, "19") && !fits(s, at, "20")))
        return 0;
    size_t n = strlen("0000-00-00");
    if (!fits(s, at + n, "T00:00") && !fits(s, at + n, " 00:00"))
        return ends(s, at + n) && !fits(s, at + n, "-0") ? n : 0;
    n += strlen("T00:00");
    if (fits(s, at + n, ":00"))
        n += 3;
    if (fits(s, at + n, ".0"))
        for (n++; at + n < s.n && is_digit(s.p[at + n]);)
            n++;
    return ends(s, at + n) || s.p[at + n] == 'Z' ? n : 0;
}

static size_t hex_word(struct sh_slice s, size_t at)
{
    size_t n = 0;
    bool letter = false;
    for (; at + n < s.n && is_hex(s.p[at + n]); n++)
        letter |= !is_digit(s.p[at + n]);
    return letter && n >= MIN_HEX_DIGITS && ends(s, at + n) ? n : 0;
}

/* Four numbers up to 255 without leading zeros, and no fifth. */
static size_t ipv4(struct sh_slice s, size_t at)
{
    size_t i = at;
    for (int part = 0; part < 4; part++) {
        const size_t begin = i;
        unsigned value = 0;
        for (; i < s.n && is_digit(s.p[i]) && i - begin < 4; i++)
            value = value * 10 + (unsigned)(s.p[i] - '0');
        if (i == begin || value > 255 || (s.p[begin] == '0' && i - begin > 1))
            return 0;
        if (part < 3 && (i >= s.n || s.p[i++] != '.'))
            return 0;
    }
    return ends(s, i) && !(i + 1 < s.n && s.p[i] == '.' && is_digit(s.p[i + 1])) ? i - at : 0;
}

/* Bytes of something at the start of a word that looks like a number and is none. */
static size_t no_number(struct sh_slice s, size_t at)
{
    size_t (*const kinds[])(struct sh_slice, size_t) = {uuid, date_or_time, hex_word, ipv4};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t n = kinds[i](s, at);
        if (n)
            return n;
    }
    return 0;
}

/* Bytes from here to its last digit, if it has enough of them; *digits how many. */
static size_t number(struct sh_slice s, size_t at, size_t *digits)
{
    size_t n = 0, gap = 0;
    *digits = 0;
    for (size_t i = at; i < s.n && gap <= MAX_GAP; i++) {
        if (is_digit(s.p[i])) {
            ++*digits;
            n = i + 1 - at;
            gap = 0;
        } else if (strchr("+ -./()", s.p[i]) && s.p[i]) {
            gap++;
        } else {
            break;
        }
    }
    return *digits >= SH_MASK_MIN_DIGITS ? n : 0;
}

/* A plain amount with its unit behind it. */
static bool is_amount(struct sh_slice s, size_t at, size_t n)
{
    static const char *const units[] = {" bytes", " ms", "ms", " us"};
    for (size_t i = at; i < at + n; i++)
        if (!is_digit(s.p[i]))
            return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        const size_t len = strlen(units[i]);
        if (at + n + len <= s.n && memcmp(s.p + at + n, units[i], len) == 0 &&
            ends(s, at + n + len))
            return true;
    }
    return false;
}

static void blank(struct sh_buf *out, const char *p, size_t n, size_t digits)
{
    for (size_t i = 0; i < n; i++) {
        if (is_digit(p[i]) && digits-- > SHOWN_DIGITS)
            sh_buf_addc(out, '*');
        else
            sh_buf_addc(out, p[i]);
    }
}

void sh_mask_numbers(struct sh_buf *out, struct sh_slice s)
{
    for (size_t i = 0, n, digits; i < s.n; i += n) {
        const bool starts = i == 0 || !is_word(s.p[i - 1]);
        n = starts && is_word(s.p[i]) ? no_number(s, i) : 0;
        if (n) {
            sh_buf_add(out, s.p + i, n);
        } else if (is_digit(s.p[i]) && (n = number(s, i, &digits)) && !is_amount(s, i, n)) {
            blank(out, s.p + i, n, digits);
        } else {
            n = n ? n : 1; /* an amount is passed over whole */
            sh_buf_add(out, s.p + i, n);
        }
    }
}

bool sh_mask_has(const char *const *names, struct sh_slice name)
{
    for (; names && *names; names++)
        if (strlen(*names) == name.n && strncasecmp(*names, name.p, name.n) == 0)
            return true;
    return false;
}

/* Bytes of the value at p. */
static size_t value_of(struct sh_slice s, size_t at)
{
    const char quote = s.p[at];
    size_t n = 1;
    if (quote == '"' || quote == '\'') {
        for (; at + n < s.n && s.p[at + n] != quote; n++)
            n += s.p[at + n] == '\\';
        n++;
    } else {
        while (at + n < s.n && !strchr(" \t\r\n,;)]}", s.p[at + n]))
            n++;
    }
    return at + n < s.n ? n : s.n - at;
}

/* Bytes from the end of a name to its value, quotes and the sign between them included; 0: none. */
static size_t sign_at(struct sh_slice s, size_t at)
{
    size_t i = at + (at < s.n && (s.p[at] == '"' || s.p[at] == '\''));
    while (i < s.n && s.p[i] == ' ')
        i++;
    if (i >= s.n || (s.p[i] != ':' && s.p[i] != '='))
        return 0;
    for (i++; i < s.n && s.p[i] == ' ';)
        i++;
    return i < s.n ? i - at : 0;
}

void sh_mask_fields(struct sh_buf *out, struct sh_slice s, const char *const *names)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        for (n = 0; i + n < s.n && is_word(s.p[i + n]);)
            n++;
        if (n == 0)
            n = 1;
        sh_buf_add(out, s.p + i, n);
        if (!sh_mask_has(names, sh_slice(s.p + i, n)))
            continue;
        const size_t sign = sign_at(s, i + n);
        sh_buf_add(out, s.p + i + n, sign);
        if (sign) {
            sh_buf_adds(out, SH_MASKED);
            n += sign + value_of(s, i + n + sign);
        }
    }
}
