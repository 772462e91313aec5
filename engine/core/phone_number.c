/* SPDX-License-Identifier: MIT
 * phone_number.c: one number in all its writings. */
#include "core/phone_number.h"

#include <stdio.h>
#include <string.h>

#define MAX_MARKS     3  /* between two groups of digits, in a row */
#define MAX_CHAIN     24 /* digits looked at from a start */
#define MIN_NSN       7
#define BASE64_BYTES  16 /* shorter runs hold no number */
#define BASE64_LINE   60 /* a run that is so long may go on in the next line */
#define DEPTH         3
#define DECODED_BYTES ((size_t)64 << 20)
#define TOTAL_DIGITS  17 /* "00" and 15 */
#define COUNT(a)      (sizeof(a) / sizeof((a)[0]))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- from a writing ------------------------------------------------------------ */

/* Length of the country code in front: 1 and 7 alone, then these of two digits, else three
 * (ITU-T E.164, list of assigned country codes). */
static size_t code_length(const char *digits)
{
    static const char two[] =
        "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 "
        "56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ";
    if (digits[0] == '1' || digits[0] == '7')
        return 1;
    for (const char *p = two; *p; p += 3)
        if (p[0] == digits[0] && p[1] == digits[1])
            return 2;
    return 3;
}

static void add_form(struct sh_phone_number *n, const char *a, const char *b, const char *c,
                     enum sh_phone_kind kind)
{
    char text[64];
    snprintf(text, sizeof(text), "%s%s%s", a, b, c);
    size_t len = strlen(text);
    if (len >= sizeof(n->forms[0].digits) || n->n_forms == SH_PHONE_FORMS)
        return;
    memcpy(n->forms[n->n_forms].digits, text, len + 1);
    n->forms[n->n_forms].n = len;
    n->forms[n->n_forms++].kind = kind;
}

/* What is dialled before a number within the country, beside the usual 0. */
static const char *trunk_of(const char *code)
{
    return strcmp(code, "7") == 0 ? "8" : strcmp(code, "36") == 0 ? "06" : "0";
}

static void add_forms(struct sh_phone_number *n, const char *code, const char *nsn)
{
    char abroad[SH_PHONE_DIGITS + 8];
    add_form(n, "", code, nsn, SH_PHONE_WHOLE);
    add_form(n, code, "0", nsn, SH_PHONE_WHOLE);
    add_form(n, "00", code, nsn, SH_PHONE_TRUNK);
    snprintf(abroad, sizeof(abroad), "00%.7s0", code);
    add_form(n, "", abroad, nsn, SH_PHONE_TRUNK);
    add_form(n, "011", code, nsn, SH_PHONE_TRUNK); /* abroad from North America */
    if (strcmp(code, "1") != 0)
        add_form(n, "", trunk_of(code), nsn, SH_PHONE_TRUNK);
    add_form(n, "", "", nsn, SH_PHONE_BARE);
}

/* The digits of a writing; *abroad: with a country code. A "(0)" behind a code is left out. */
static bool read_digits(const char *text, char out[MAX_CHAIN + 1], bool *abroad)
{
    const char *p = text, *end = text + strlen(text);
    size_t n = 0;
    while (p < end && !is_digit(*p) && *p != '+')
        p++;
    *abroad = p < end && *p == '+';
    p += *abroad;
    while (p < end) {
        size_t mark = sh_phone_mark(p, end);
        if (*abroad && n > 0 && end - p >= 3 && strncmp(p, "(0)", 3) == 0)
            mark = 3;
        if (mark)
            p += mark;
        else if (is_digit(*p) && n < MAX_CHAIN)
            out[n++] = *p++;
        else
            return false;
    }
    out[n] = '\0';
    if (!*abroad && n > 2 && strncmp(out, "00", 2) == 0) {
        *abroad = true;
        memmove(out, out + 2, n - 1);
    }
    return n > 0;
}

bool sh_phone_number_parse(struct sh_phone_number *n, const char *text, const char *country,
                           struct sh_error *err)
{
    char digits[MAX_CHAIN + 1], code[8];
    bool abroad;
    *n = (struct sh_phone_number){0};
    if (!read_digits(text, digits, &abroad))
        return sh_error_set(err, SH_EINVAL,
                            "that is no phone number: expected one such as +31612345678");
    const char *nsn = digits;
    if (abroad) {
        size_t len = code_length(digits);
        if (strlen(digits) <= len)
            return sh_error_set(err, SH_EINVAL, "that number is too short");
        snprintf(code, sizeof(code), "%.*s", (int)len, digits);
        nsn += len;
        /* Italy's numbers keep their 0 abroad */
        if (nsn[0] == '0' && strcmp(code, "39") != 0)
            nsn++;
    } else if (!country) {
        return sh_error_set(err, SH_EINVAL,
                            "write the number with its country code, such as +31612345678, or "
                            "set country in the configuration: without it the same number in "
                            "another writing would not be found");
    } else {
        size_t trunk = strlen(trunk_of(country));
        snprintf(code, sizeof(code), "%.7s", country);
        if (strcmp(code, "39") != 0 && strncmp(nsn, trunk_of(country), trunk) == 0)
            nsn += trunk;
        else if (strcmp(code, "1") == 0 && strlen(nsn) == 11 && nsn[0] == '1')
            nsn++;
        else if (nsn[0] != '0' && strncmp(nsn, code, strlen(code)) == 0 &&
                 strlen(nsn) >= strlen(code) + 8)
            nsn += strlen(code); /* "31612345678" */
    }
    if (strlen(nsn) < MIN_NSN || strlen(code) + strlen(nsn) > SH_PHONE_DIGITS)
        return sh_error_set(err, SH_EINVAL,
                            "a number has %d to %d digits with its country code: shorter ones "
                            "would be found in what is no number",
                            MIN_NSN + 1, SH_PHONE_DIGITS);
    add_forms(n, code, nsn);
    memcpy(n->digits, n->forms[0].digits, sizeof(n->digits));
    n->digits[SH_PHONE_DIGITS] = '\0';
    return true;
}

/* --- in plain text --------------------------------------------------------------- */

size_t sh_phone_mark(const char *p, const char *end)
{
    static const char *const wide[] = {"\xc2\xa0",     "\xc2\xad",     "\xe2\x80\x90",
                                       "\xe2\x80\x91", "\xe2\x80\x92", "\xe2\x80\x93",
                                       "\xe2\x80\x94", "\xe2\x80\xaf", "\xe2\x80\x89",
                                       "\xe2\x80\x8b", "\xe2\x88\x92", "\xe2\x81\xa0"};
    if (strchr(" -./()[]\t", *p) && *p)
        return 1;
    for (size_t i = 0; i < COUNT(wide); i++) {
        size_t n = strlen(wide[i]);
        if ((size_t)(end - p) >= n && memcmp(p, wide[i], n) == 0)
            return n;
    }
    return 0;
}

/* Where the next digit is behind up to MAX_MARKS marks, or NULL. */
static const char *next_digit(const char *p, const char *end)
{
    for (int i = 0; i < MAX_MARKS && p < end && !is_digit(*p); i++) {
        size_t n = sh_phone_mark(p, end);
        if (!n)
            return NULL;
        p += n;
    }
    return p < end && is_digit(*p) ? p : NULL;
}

/* The mark that ends at p, in bytes. */
static size_t mark_before(const char *text, const char *p)
{
    for (size_t n = 1; n <= 3 && (size_t)(p - text) >= n; n++)
        if (sh_phone_mark(p - n, p) == n)
            return n;
    return 0;
}

/* What stands before the digit at p as the front of the same number: *digits of it, and whether it
 * says another country ("+49 ", "0049 "). */
static bool is_foreign(const char *text, const char *p, size_t *digits)
{
    const char *first = p;
    *digits = 0;
    if (p > text && p[-1] == '+')
        return false;
    for (int marks = 0; p > text && *digits < TOTAL_DIGITS;) {
        size_t n = mark_before(text, p);
        if (is_digit(p[-1])) {
            first = --p;
            (*digits)++;
            marks = 0;
        } else if (n && marks++ < MAX_MARKS) {
            p -= n;
        } else {
            break;
        }
    }
    if (*digits == 0)
        return false;
    return (first > text && first[-1] == '+') ||
           (strncmp(first, "00", 2) == 0 && *digits > 2 && first[2] >= '1' && first[2] <= '9');
}

/* May a form stand there, given what is before it? */
static bool fits(const struct sh_phone_number *n, size_t form, const char *text, const char *at)
{
    size_t before;
    bool foreign = is_foreign(text, at, &before);
    if (n->forms[form].kind == SH_PHONE_BARE && at > text && at[-1] == '+')
        return false;
    if (!before)
        return true;
    size_t all = before + n->forms[form].n;
    if (foreign)
        return all > TOTAL_DIGITS;
    return n->forms[form].kind != SH_PHONE_BARE || all > SH_PHONE_DIGITS;
}

static bool starts_at(const struct sh_phone_number *n, const char *text, const char *at,
                      const char *end)
{
    char chain[MAX_CHAIN];
    size_t len = 0, dots = 0, marks = 0;
    for (const char *p = at; p && len < MAX_CHAIN;) {
        while (p < end && is_digit(*p) && len < MAX_CHAIN)
            chain[len++] = *p++;
        if (p < end && is_digit(*p))
            return false;
        for (size_t i = 0; i < n->n_forms; i++)
            if (n->forms[i].n == len && memcmp(n->forms[i].digits, chain, len) == 0 &&
                (n->forms[i].kind != SH_PHONE_BARE || !dots || dots < marks) &&
                fits(n, i, text, at))
                return true;
        const char *next = next_digit(p, end);
        marks++;
        dots += next && next == p + 1 && *p == '.'; /* nothing but dots: an amount */
        p = next;
    }
    return false;
}

bool sh_phone_number_in(const struct sh_phone_number *n, struct sh_slice text)
{
    const char *end = text.p + text.n;
    for (const char *p = text.p; p < end; p++) {
        if (!is_digit(*p) || (p > text.p && is_digit(p[-1])))
            continue;
        if (starts_at(n, text.p, p, end))
            return true;
    }
    return false;
}

/* --- in what is encoded ------------------------------------------------------------ */

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex2(const char *p, const char *end)
{
    if (end - p < 2 || hex(p[0]) < 0 || hex(p[1]) < 0)
        return -1;
    return hex(p[0]) * 16 + hex(p[1]);
}

/* \u002b, \/ and the like; what is not ASCII becomes a blank. False: there was nothing to undo. */
static bool undo_json(struct sh_slice text, struct sh_buf *out)
{
    const char *end = text.p + text.n;
    if (!text.n || !memchr(text.p, '\\', text.n))
        return false;
    for (const char *p = text.p; p < end; p++) {
        if (*p != '\\' || p + 1 == end) {
            sh_buf_addc(out, *p);
            continue;
        }
        p++;
        int high = *p == 'u' ? hex2(p + 1, end) : -1, low = high >= 0 ? hex2(p + 3, end) : -1;
        if (low >= 0) {
            sh_buf_addc(out, high == 0 && low < 0x80 ? (char)low : ' ');
            p += 4;
        } else {
            sh_buf_addc(out, strchr("nrtbf", *p) ? '\n' : *p);
        }
    }
    return true;
}

/* RFC 3986 section 2.1, with the + of forms. */
static bool undo_percent(struct sh_slice text, struct sh_buf *out)
{
    const char *end = text.p + text.n;
    bool undone = false;
    if (!text.n || !memchr(text.p, '%', text.n))
        return false;
    for (const char *p = text.p; p < end; p++) {
        int c = *p == '%' ? hex2(p + 1, end) : -1;
        undone = undone || c >= 0;
        sh_buf_addc(out, c >= 0 ? (char)c : *p == '+' ? ' ' : *p);
        p += c >= 0 ? 2 : 0;
    }
    return undone;
}

/* RFC 2045 section 6.7, and the Q of encoded words (RFC 2047). */
static bool undo_quoted(struct sh_slice text, struct sh_buf *out)
{
    const char *end = text.p + text.n;
    bool undone = false;
    if (!text.n || !memchr(text.p, '=', text.n))
        return false;
    for (const char *p = text.p; p < end; p++) {
        int c = *p == '=' ? hex2(p + 1, end) : -1;
        size_t soft = *p != '='                                     ? 0
                      : end - p > 1 && p[1] == '\n'                 ? 1
                      : end - p > 2 && p[1] == '\r' && p[2] == '\n' ? 2
                                                                    : 0;
        undone = undone || c >= 0 || soft;
        if (!soft)
            sh_buf_addc(out, c >= 0 ? (char)c : *p);
        p += soft ? soft : c >= 0 ? 2 : 0;
    }
    return undone;
}

static bool within(const struct sh_phone_number *n, struct sh_slice bytes, int depth);

static bool is_base64(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '/' || c == '-' || c == '_';
}

static bool run_within(const struct sh_phone_number *n, struct sh_buf *run, int depth)
{
    struct sh_buf plain;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0;
    sh_buf_init(&plain, DECODED_BYTES);
    for (size_t i = 0; i < run->len; i++) {
        char c = run->data[i] == '-' ? '+' : run->data[i] == '_' ? '/' : run->data[i];
        bits = bits << 6 | (uint32_t)(strchr(alphabet, c) - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            sh_buf_addc(&plain, (char)(bits >> have & 0xff));
        }
    }
    bool found = within(n, sh_slice(plain.data ? plain.data : "", plain.len), depth);
    sh_buf_free(&plain);
    return found;
}

/* Each run of letters that may be base64, also over the line ends of mail. */
static bool base64_within(const struct sh_phone_number *n, struct sh_slice text, int depth)
{
    const char *end = text.p + text.n;
    struct sh_buf run;
    bool found = false;
    sh_buf_init(&run, DECODED_BYTES);
    for (const char *p = text.p; p < end && !found;) {
        size_t line = 0;
        sh_buf_reset(&run);
        while (p < end) {
            size_t brk = *p == '\n' ? 1 : *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 0;
            if (brk && line >= BASE64_LINE) {
                p += brk;
                line = 0;
            } else if (is_base64(*p)) {
                sh_buf_addc(&run, *p++);
                line++;
            } else {
                break;
            }
        }
        found = run.len >= BASE64_BYTES && run_within(n, &run, depth);
        while (p < end && !is_base64(*p))
            p++;
    }
    sh_buf_free(&run);
    return found;
}

static bool within(const struct sh_phone_number *n, struct sh_slice bytes, int depth)
{
    static bool (*const undo[])(struct sh_slice text,
                                struct sh_buf * out) = {undo_json, undo_percent, undo_quoted};
    if (sh_phone_number_in(n, bytes))
        return true;
    if (depth == 0)
        return false;
    bool found = false;
    for (size_t i = 0; i < COUNT(undo) && !found; i++) {
        struct sh_buf plain;
        sh_buf_init(&plain, DECODED_BYTES);
        found = undo[i](bytes, &plain) &&
                within(n, sh_slice(plain.data ? plain.data : "", plain.len), depth - 1);
        sh_buf_free(&plain);
    }
    return found || base64_within(n, bytes, depth - 1);
}

bool sh_phone_number_within(const struct sh_phone_number *n, struct sh_slice bytes)
{
    return bytes.n > 0 && within(n, bytes, DEPTH);
}
