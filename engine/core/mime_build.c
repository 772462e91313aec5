/* SPDX-License-Identifier: MIT
 * mime_build.c: the text of a message from a checked email effect.
 *
 * Headers are written word by word and folded at 76 columns; a word that is not plain ASCII goes
 * out as encoded words (RFC 2047), a body as quoted-printable or base64 (RFC 2045), whichever is
 * shorter. The same effect and key always give the same bytes. */
#include "core/mime.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE           76 /* columns of a header or body line */
#define ENCODED_WORD   75 /* RFC 2047 section 2 */
#define WORD_FRAME     12 /* =?UTF-8?Q?...?= */
#define PLAIN_NAME     60 /* a longer name is written in pieces, encoded */
#define PLAIN_WORD     67 /* as a longer word of a subject */
#define MAX_KEY_BYTES  60 /* RFC 2046 5.1.1: a boundary has at most 70 */
#define BASE64_IN_LINE 57 /* 76 columns */

/* --- Folded header lines ------------------------------------------------------------------- */

struct header {
    struct sh_buf *out;
    size_t col; /* columns used on this line */
    bool empty; /* nothing behind the colon yet */
};

static struct header begin(struct sh_buf *out, const char *name)
{
    sh_buf_adds(out, name);
    sh_buf_addc(out, ':');
    return (struct header){.out = out, .col = strlen(name) + 1, .empty = true};
}

/* One word that must not be broken, behind a space or a fold. A line never consists of the header
 * name alone: some receivers take that for an empty header. */
static void put(struct header *h, const char *word, size_t n)
{
    if (!h->empty && h->col + 1 + n > LINE) {
        sh_buf_adds(h->out, "\r\n");
        h->col = 0;
    }
    sh_buf_addc(h->out, ' ');
    sh_buf_add(h->out, word, n);
    h->col += 1 + n;
    h->empty = false;
}

static void end(struct header *h)
{
    sh_buf_adds(h->out, "\r\n");
}

/* --- Encoded words ------------------------------------------------------------------------- */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Four columns for 1 to 3 bytes. */
static void base64_group(const uint8_t *p, size_t n, char out[4])
{
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    for (size_t i = 0; i < 4; i++)
        out[i] = i <= n ? digits64[v >> (18 - 6 * i) & 63] : '=';
}

/* Bytes that stand for themselves in an encoded word, also within a phrase (RFC 2047 5.3). */
static bool word_plain(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!*+-/", c));
}

static size_t q_columns(const uint8_t *p, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++)
        columns += word_plain(p[i]) || p[i] == ' ' ? 1 : 3;
    return columns;
}

static size_t b_columns(size_t n)
{
    return (n + 2) / 3 * 4;
}

static size_t q_write(const uint8_t *p, size_t n, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = out;
    for (size_t i = 0; i < n; i++) {
        if (word_plain(p[i]))
            *to++ = (char)p[i];
        else if (p[i] == ' ')
            *to++ = '_';
        else {
            *to++ = '=';
            *to++ = hex[p[i] >> 4];
            *to++ = hex[p[i] & 15];
        }
    }
    return (size_t)(to - out);
}

static size_t b_write(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3)
        base64_group(p + i, n - i < 3 ? n - i : 3, out + i / 3 * 4);
    return b_columns(n);
}

/* Length of the character at p: the text has been checked to be UTF-8. */
static size_t char_bytes(uint8_t first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* As many whole characters from p as `room` columns of encoded text hold. */
static size_t fit(const uint8_t *p, size_t n, size_t room, bool use_q)
{
    size_t take = 0;
    while (take < n) {
        size_t next = take + char_bytes(p[take]);
        if ((use_q ? q_columns(p, next) : b_columns(next)) > room)
            break;
        take = next;
    }
    return take;
}

static void put_encoded(struct header *h, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t n = strlen(text);
    bool use_q = q_columns(p, n) <= b_columns(n);
    while (n) {
        size_t left = h->col + 1 < LINE ? LINE - h->col - 1 : 0;
        if (left < WORD_FRAME + 20 || left > ENCODED_WORD) /* next line, where 75 fit */
            left = ENCODED_WORD;
        size_t take = fit(p, n, left - WORD_FRAME, use_q);
        char word[ENCODED_WORD + 1];
        size_t len = (size_t)snprintf(word, sizeof(word), "=?UTF-8?%c?", use_q ? 'Q' : 'B');
        len += use_q ? q_write(p, take, word + len) : b_write(p, take, word + len);
        word[len++] = '?';
        word[len++] = '=';
        put(h, word, len);
        p += take;
        n -= take;
    }
}

static bool printable_ascii(const char *s)
{
    for (; *s; s++) {
        if (*s < 0x20 || *s > 0x7e)
            return false;
    }
    return true;
}

/* Does folding at its spaces, and unfolding by any reader, give the same text back? */
static bool folds_back(const char *s)
{
    if (!printable_ascii(s) || strstr(s, "=?") || *s == ' ' || (*s && s[strlen(s) - 1] == ' '))
        return false;
    for (size_t word = 0; *s; s++) {
        if (*s == ' ' && !word)
            return false; /* two spaces */
        word = *s == ' ' ? 0 : word + 1;
        if (word > PLAIN_WORD)
            return false;
    }
    return true;
}

static void subject(struct sh_buf *out, const char *text)
{
    struct header h = begin(out, "Subject");
    if (!folds_back(text)) {
        put_encoded(&h, text);
    } else {
        while (*text) {
            size_t n = strcspn(text, " ");
            put(&h, text, n);
            text += n + (text[n] == ' ');
        }
    }
    end(&h);
}

/* --- Addresses ----------------------------------------------------------------------------- */

static bool is_atoms(const char *s)
{
    for (; *s; s++) {
        if (*s != ' ' && !word_plain((uint8_t)*s) && !strchr("#$%&'=?^_`{|}~", *s))
            return false;
    }
    return true;
}

static void put_name(struct header *h, const char *name)
{
    if (!folds_back(name) || strlen(name) > PLAIN_NAME) {
        put_encoded(h, name);
        return;
    }
    char quoted[2 * PLAIN_NAME + 2];
    size_t n = 0;
    bool bare = is_atoms(name);
    if (!bare)
        quoted[n++] = '"';
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            quoted[n++] = '\\';
        quoted[n++] = *name;
    }
    if (!bare)
        quoted[n++] = '"';
    put(h, quoted, n);
}

static void put_address(struct header *h, const struct sh_address *a, bool more)
{
    char word[sizeof(a->addr) + 4];
    bool named = a->name[0] != '\0';
    if (named)
        put_name(h, a->name);
    int n = snprintf(word, sizeof(word), "%s%s%s%s", named ? "<" : "", a->addr, named ? ">" : "",
                     more ? "," : "");
    put(h, word, (size_t)n);
}

/* A string or an array of them, checked before. */
static bool address_header(struct sh_buf *out, const char *name, const cJSON *who,
                           struct sh_error *err)
{
    const cJSON *first = cJSON_IsArray(who) ? who->child : who;
    if (!first || cJSON_IsNull(first))
        return true;
    struct header h = begin(out, name);
    for (const cJSON *node = first; node; node = cJSON_IsArray(who) ? node->next : NULL) {
        struct sh_address a;
        if (!sh_address_parse(sh_slice_str(node->valuestring), &a, err))
            return false;
        put_address(&h, &a, cJSON_IsArray(who) && node->next);
    }
    end(&h);
    return true;
}

/* --- Bodies -------------------------------------------------------------------------------- */

/* Every line end (CR LF, CR, LF) as CR LF, and one at the end. */
static void normalise(const char *text, struct sh_buf *out)
{
    while (*text) {
        size_t n = strcspn(text, "\r\n");
        sh_buf_add(out, text, n);
        sh_buf_adds(out, "\r\n");
        text += n;
        text += text[0] == '\r' && text[1] == '\n' ? 2 : *text != '\0';
    }
}

/* May byte i of the line stand for itself? Not a space before the line's end (servers strip it),
 * not a dot or "From " at the start of an output line (a transfer or a mailbox file could take it
 * for its own). */
static bool body_plain(const uint8_t *line, size_t n, size_t i, bool at_start)
{
    uint8_t c = line[i];
    if (c == '=' || c > 0x7e || (c < 0x20 && c != '\t'))
        return false;
    if (c == ' ' || c == '\t')
        return i + 1 < n;
    return !at_start || (c != '.' && !(n - i >= 5 && memcmp(line + i, "From ", 5) == 0));
}

static void quoted_line(const uint8_t *line, size_t n, struct sh_buf *out)
{
    size_t col = 0;
    for (size_t i = 0; i < n; i++) {
        bool plain = body_plain(line, n, i, col == 0);
        size_t room = LINE - (i + 1 < n ? 1U : 0U); /* the = of a soft break must fit behind */
        if (col + (plain ? 1 : 3) > room) {
            sh_buf_adds(out, "=\r\n");
            col = 0;
            plain = body_plain(line, n, i, true);
        }
        if (plain)
            sh_buf_addc(out, (char)line[i]);
        else
            sh_buf_addf(out, "=%02X", line[i]);
        col += plain ? 1 : 3;
    }
    sh_buf_adds(out, "\r\n");
}

static void quoted_printable(struct sh_slice text, struct sh_buf *out)
{
    const char *p = text.p, *stop = text.p + text.n;
    while (p < stop) {
        const char *eol = memchr(p, '\r', (size_t)(stop - p));
        quoted_line((const uint8_t *)p, (size_t)(eol - p), out);
        p = eol + 2;
    }
}

static void base64(struct sh_slice text, struct sh_buf *out)
{
    for (size_t i = 0; i < text.n; i += BASE64_IN_LINE) {
        char line[LINE];
        size_t n = text.n - i < BASE64_IN_LINE ? text.n - i : BASE64_IN_LINE;
        sh_buf_add(out, line, b_write((const uint8_t *)text.p + i, n, line));
        sh_buf_adds(out, "\r\n");
    }
}

static bool mostly_ascii(struct sh_slice text)
{
    size_t other = 0;
    for (size_t i = 0; i < text.n; i++)
        other += (uint8_t)text.p[i] > 0x7e || text.p[i] == '=';
    return other * 6 <= text.n; /* 3 columns for each against 4/3 for every byte */
}

/* Content headers, empty line, content. */
static void part(struct sh_buf *out, const char *type, const char *content)
{
    struct sh_buf lines;
    sh_buf_init(&lines, 3 * strlen(content) + 2);
    normalise(content, &lines);
    struct sh_slice text = sh_slice(lines.data ? lines.data : "", lines.len);
    bool quoted = mostly_ascii(text);
    sh_buf_addf(out, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
                type, quoted ? "quoted-printable" : "base64");
    if (quoted)
        quoted_printable(text, out);
    else
        base64(text, out);
    sh_buf_free(&lines);
}

/* The boundary starts with "=_", which neither encoding can produce: no content can contain it. */
static void body(struct sh_buf *out, const char *text, const char *html, const char *key)
{
    if (!text || !html) {
        part(out, text ? "text/plain" : "text/html", text ? text : html);
        return;
    }
    sh_buf_addf(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n", key);
    sh_buf_addf(out, "\r\n--=_%s\r\n", key);
    part(out, "text/plain", text);
    sh_buf_addf(out, "\r\n--=_%s\r\n", key);
    part(out, "text/html", html);
    sh_buf_addf(out, "\r\n--=_%s--\r\n", key);
}

/* --- The message --------------------------------------------------------------------------- */

static bool date(struct sh_buf *out, int64_t date_ms, struct sh_error *err)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(date_ms / 1000);
    struct tm tm;
    if (date_ms < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 8099)
        return sh_error_set(err, SH_EINVAL, "date %" PRId64 " ms is not in the years 1970 to 9999",
                            date_ms);
    sh_buf_addf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday],
                tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return true;
}

static bool key_ok(const char *key, struct sh_error *err)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if (!word_plain((uint8_t)key[i]) || strchr("!*+/", key[i]))
            n = 0;
    }
    return (n && n <= MAX_KEY_BYTES) ||
           sh_error_set(err, SH_EINVAL, "the key of an email must be 1 to %d letters, digits or -",
                        MAX_KEY_BYTES);
}

static const cJSON *member(const cJSON *doc, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(doc, name);
}

bool sh_email_build(const cJSON *doc, const char *from, const char *key, int64_t date_ms,
                    struct sh_buf *out, struct sh_error *err)
{
    struct sh_address sender;
    if (!sh_email_check(doc, err) || !key_ok(key, err))
        return false;
    if (!sh_address_parse(sh_slice_str(from), &sender, err) || !date(out, date_ms, err))
        return false;
    struct header h = begin(out, "From");
    put_address(&h, &sender, false);
    end(&h);
    if (!address_header(out, "To", member(doc, "to"), err) ||
        !address_header(out, "Cc", member(doc, "cc"), err) ||
        !address_header(out, "Reply-To", member(doc, "reply_to"), err))
        return false;
    subject(out, member(doc, "subject")->valuestring);
    sh_buf_addf(out, "Message-ID: <%s@%s>\r\n", key, strchr(sender.addr, '@') + 1);
    sh_buf_adds(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    const cJSON *text = member(doc, "text"), *html = member(doc, "html");
    body(out, cJSON_GetStringValue(text), cJSON_GetStringValue(html), key);
    return sh_buf_ok(out) ||
           sh_error_set(err, SH_ELIMIT, "the message is larger than %zu bytes", out->max);
}
