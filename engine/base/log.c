/* SPDX-License-Identifier: MIT
 * log.c: lines of logfmt or JSON, masked. */
#include "base/log.h"

#include "base/clock.h"
#include "base/mask.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384 /* a longer line is cut */
#define NUMBER_MARK    '\x01'

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"logfmt", "json"};

static atomic_int min_level = SH_LOG_INFO;
static atomic_int line_format = SH_LOG_LOGFMT;
static struct sh_log_mask masked = {.numbers = true};

/* Keys whose values come from the engine itself: ids, times, addresses, files, libraries. */
static const char *const plain_keys[] = {
    "event", "item", "generation", "live",   "before", "trace",   "until",    "since", "peer",
    "file",  "dir",  "zone",       "listen", "token",  "version", "fixed_in", "fixes", NULL};

/* --- settings ----------------------------------------------------------------------------------
 */

void sh_log_set_level(enum sh_log_level level)
{
    atomic_store(&min_level, (int)level);
}

void sh_log_set_format(enum sh_log_format format)
{
    atomic_store(&line_format, (int)format);
}

void sh_log_set_mask(const struct sh_log_mask *mask)
{
    masked = *mask;
}

enum sh_log_level sh_log_level(void)
{
    return (enum sh_log_level)atomic_load(&min_level);
}

enum sh_log_format sh_log_format(void)
{
    return (enum sh_log_format)atomic_load(&line_format);
}

const char *sh_log_level_name(enum sh_log_level level)
{
    return level_names[level];
}

const char *sh_log_format_name(enum sh_log_format format)
{
    return format_names[format];
}

static bool find(const char *const *names, size_t n, const char *name, int *out)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (int)i;
            return true;
        }
    return false;
}

bool sh_log_level_of(const char *name, enum sh_log_level *out)
{
    int i;
    if (!find(level_names, sizeof(level_names) / sizeof(*level_names), name, &i))
        return false;
    *out = (enum sh_log_level)i;
    return true;
}

bool sh_log_format_of(const char *name, enum sh_log_format *out)
{
    int i;
    if (!find(format_names, sizeof(format_names) / sizeof(*format_names), name, &i))
        return false;
    *out = (enum sh_log_format)i;
    return true;
}

/* --- values ------------------------------------------------------------------------------------
 */

/* Bytes of the UTF-8 character at p; 0: there is none. */
static size_t character(struct sh_slice s, size_t at)
{
    const unsigned char c = (unsigned char)s.p[at];
    const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return at + n <= s.n && sh_utf8_ok(sh_slice(s.p + at, n)) ? n : 0;
}

/* A character that is a control (C1, U+0080 to U+009F), which a terminal may obey? */
static bool is_c1(struct sh_slice s, size_t at, size_t n)
{
    return n == 2 && s.p[at] == '\xc2' && (unsigned char)s.p[at + 1] < 0xa0;
}

static bool is_plain(struct sh_slice s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        const unsigned char c = (unsigned char)s.p[i];
        n = character(s, i);
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f || !n || is_c1(s, i, n))
            return false;
    }
    return s.n > 0;
}

static void add_logfmt(struct sh_buf *b, struct sh_slice s)
{
    if (is_plain(s)) {
        sh_buf_add(b, s.p, s.n);
        return;
    }
    sh_buf_addc(b, '"');
    for (size_t i = 0, n; i < s.n; i += n) {
        const unsigned char c = (unsigned char)s.p[i];
        n = character(s, i);
        if (c == '"' || c == '\\')
            sh_buf_addf(b, "\\%c", c);
        else if (c == '\n')
            sh_buf_adds(b, "\\n");
        else if (c < ' ' || c == 0x7f || !n)
            sh_buf_addf(b, "\\x%02x", c);
        else if (is_c1(s, i, n))
            sh_buf_addf(b, "\\x%02x", (unsigned char)s.p[i + 1]);
        else
            sh_buf_add(b, s.p + i, n);
        n = n ? n : 1;
    }
    sh_buf_addc(b, '"');
}

/* RFC 8259; bytes that are no text become U+FFFD. */
static void add_json(struct sh_buf *b, struct sh_slice s)
{
    sh_buf_addc(b, '"');
    for (size_t i = 0, n; i < s.n; i += n) {
        const unsigned char c = (unsigned char)s.p[i];
        n = character(s, i);
        if (c == '"' || c == '\\')
            sh_buf_addf(b, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            sh_buf_addf(b, "\\u%04x", c);
        else if (is_c1(s, i, n))
            sh_buf_addf(b, "\\u00%02x", (unsigned char)s.p[i + 1]);
        else if (n)
            sh_buf_add(b, s.p + i, n);
        else
            sh_buf_adds(b, "\xef\xbf\xbd");
        n = n ? n : 1;
    }
    sh_buf_addc(b, '"');
}

static void add_text(struct sh_buf *b, struct sh_slice s)
{
    if (sh_log_format() == SH_LOG_JSON)
        add_json(b, s);
    else
        add_logfmt(b, s);
}

/* Marked as a number, and nothing else. */
static bool is_number(const char *s)
{
    if (*s++ != NUMBER_MARK)
        return false;
    s += *s == '-';
    return *s && s[strspn(s, "0123456789")] == '\0';
}

/* At most so many bytes, whole characters. */
static struct sh_slice cut(struct sh_slice s)
{
    if (s.n <= SH_LOG_VALUE_BYTES)
        return s;
    s.n = SH_LOG_VALUE_BYTES;
    while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

static void add_masked(struct sh_buf *b, struct sh_slice whole)
{
    struct sh_buf fields, numbers;
    sh_buf_init(&fields, LINE_MAX_BYTES);
    sh_buf_init(&numbers, LINE_MAX_BYTES);
    const struct sh_slice s = cut(whole);
    sh_mask_fields(&fields, s, masked.names);
    if (masked.numbers)
        sh_mask_numbers(&numbers, sh_slice(fields.data, fields.len));
    else
        sh_buf_add(&numbers, fields.data, fields.len);
    if (s.n < whole.n)
        sh_buf_addf(&numbers, "... (%zu bytes more)", whole.n - s.n);
    add_text(b, sh_slice(numbers.data, numbers.len));
    sh_buf_free(&fields);
    sh_buf_free(&numbers);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void add_key(struct sh_buf *b, const char *key)
{
    if (sh_log_format() == SH_LOG_JSON) {
        sh_buf_addc(b, b->len ? ',' : '{');
        add_json(b, sh_slice_str(key));
        sh_buf_addc(b, ':');
    } else {
        sh_buf_addf(b, "%s%s=", b->len ? " " : "", key);
    }
}

static void add_pair(struct sh_buf *b, const char *key, const char *value)
{
    const struct sh_slice name = sh_slice_str(key), s = sh_slice_str(value);
    add_key(b, key);
    if (value && is_number(value))
        sh_buf_adds(b, value + 1);
    else if (sh_mask_has(masked.names, name))
        add_text(b, SH_SLICE(SH_MASKED));
    else if (sh_mask_has(plain_keys, name))
        add_text(b, s);
    else
        add_masked(b, s);
}

/* A line that is too long loses its last pairs, and stays a line. */
static void put_line(struct sh_buf *b, size_t whole)
{
    if (!sh_buf_ok(b) || b->len > LINE_MAX_BYTES) {
        b->failed = false;
        b->len = whole;
    }
    if (sh_log_format() == SH_LOG_JSON)
        sh_buf_addc(b, '}');
    sh_buf_addc(b, '\n');
    ssize_t ignored = write(STDERR_FILENO, b->data, b->len);
    (void)ignored; /* nowhere left to say it */
}

void sh_log(enum sh_log_level level, const char *msg, ...)
{
    if ((int)level < atomic_load(&min_level))
        return;
    struct sh_buf b;
    char when[SH_TIME_TEXT];
    sh_buf_init(&b, LINE_MAX_BYTES + 2);
    add_key(&b, "time");
    add_text(&b, sh_slice_str(sh_time_text(sh_now_ms(), when)));
    add_key(&b, "level");
    add_text(&b, sh_slice_str(level_names[level]));
    add_key(&b, "msg");
    add_text(&b, cut(sh_slice_str(msg)));
    size_t whole = b.len; /* up to here every pair is whole */
    va_list ap;
    va_start(ap, msg);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        add_pair(&b, key, va_arg(ap, const char *));
        if (sh_buf_ok(&b) && b.len <= LINE_MAX_BYTES)
            whole = b.len;
    }
    va_end(ap);
    put_line(&b, whole);
    sh_buf_free(&b);
}

char *sh_log_number(char out[24], long long n)
{
    snprintf(out, 24, "%c%lld", NUMBER_MARK, n);
    return out;
}
