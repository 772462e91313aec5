/* SPDX-License-Identifier: MIT
 * mime_build.c: the text of a message from a checked email effect.
 *
 * Headers are written word by word and folded at 76 columns; a word that is not plain ASCII goes
 * out as encoded words (RFC 2047). The same effect and key always give the same bytes. */
#include "core/ical.h"
#include "core/mime_impl.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LINE           76 /* columns of a header or body line */
#define ENCODED_WORD   75 /* RFC 2047 section 2 */
#define WORD_FRAME     12 /* =?UTF-8?Q?...?= */
#define PLAIN_NAME     60 /* a longer name is written in pieces, encoded */
#define PLAIN_WORD     67 /* as a longer word of a subject */
#define MAX_KEY_BYTES  60 /* RFC 2046 5.1.1: a boundary has at most 70 */
#define MAX_ICAL_BYTES ((size_t)8 << 20)

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
        sh_mime_base64_group(p + i, n - i < 3 ? n - i : 3, out + i / 3 * 4);
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

/* --- The invitation ------------------------------------------------------------------------ */

struct invite {
    struct sh_buf ics; /* no data: none */
    char type[48];
};

static void add_attendees(cJSON *list, const cJSON *addresses)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, addresses)
        cJSON_AddItemToArray(list, cJSON_CreateString(node->valuestring));
}

/* What the author left out comes from the email: the sender organizes, those in To and Cc (Bcc is
 * nobody's business) attend, and the stamp is the email's date. */
static void complete(cJSON *full, const cJSON *doc, const char *from, int64_t date_ms)
{
    static const char *const defaults[] = {"organizer", "stamp", "method", "attendees"};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++) {
        if (!sh_mime_member(full, defaults[i])) /* also one that is null */
            cJSON_DeleteItemFromObjectCaseSensitive(full, defaults[i]);
    }
    if (!sh_mime_member(full, "organizer"))
        cJSON_AddStringToObject(full, "organizer", from);
    if (!sh_mime_member(full, "stamp"))
        cJSON_AddItemToObject(full, "stamp", sh_json_int(date_ms));
    if (!sh_mime_member(full, "attendees")) {
        cJSON *list = cJSON_AddArrayToObject(full, "attendees");
        add_attendees(list, sh_mime_member(doc, "to"));
        add_attendees(list, sh_mime_member(doc, "cc"));
    }
    if (!sh_mime_member(full, "method")) /* nobody to ask: tell */
        cJSON_AddStringToObject(full, "method",
                                cJSON_GetArraySize(sh_mime_member(full, "attendees")) ? "REQUEST"
                                                                                      : "PUBLISH");
}

static bool write_invite(struct invite *out, const cJSON *doc, const char *from, int64_t date_ms,
                         struct sh_error *err)
{
    const cJSON *given = sh_mime_member(doc, "invitation");
    sh_buf_init(&out->ics, MAX_ICAL_BYTES);
    if (!given)
        return true;
    cJSON *full = cJSON_Duplicate(given, true);
    sh_require(full);
    complete(full, doc, from, date_ms);
    const cJSON *list[1] = {full};
    snprintf(out->type, sizeof(out->type), "text/calendar; method=%s",
             sh_mime_member(full, "method")->valuestring);
    bool ok = sh_ical_write(&out->ics, list, 1, NULL, NULL, err);
    cJSON_Delete(full);
    return ok;
}

/* --- Bodies -------------------------------------------------------------------------------- */

/* The two boundaries start with "=_", which neither encoding of a body can produce, and go on
 * differently, as no key has a dot: no content can contain one, and none is the start of the
 * other. */
static void boundary(char out[MAX_KEY_BYTES + 8], const char *key, bool mixed)
{
    snprintf(out, MAX_KEY_BYTES + 8, "=_%s%s", mixed ? "." : "", key);
}

static void open_multipart(struct sh_buf *out, const char *kind, const char *bound)
{
    sh_buf_addf(out, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n", kind, bound);
}

/* What the reader's program chooses from: the last one it understands (RFC 2046 5.1.4), so the
 * invitation comes last. ics NULL: none. */
static void body(struct sh_buf *out, const cJSON *doc, const struct invite *i, const char *key)
{
    const char *texts[3] = {cJSON_GetStringValue(sh_mime_member(doc, "text")),
                            cJSON_GetStringValue(sh_mime_member(doc, "html")), i->ics.data};
    const char *types[3] = {"text/plain", "text/html", i->type};
    size_t n = (size_t)(texts[0] != NULL) + (texts[1] != NULL) + (texts[2] != NULL);
    char bound[MAX_KEY_BYTES + 8];
    boundary(bound, key, false);
    if (n > 1)
        open_multipart(out, "alternative", bound);
    for (size_t k = 0; k < 3; k++) {
        if (!texts[k])
            continue;
        if (n > 1)
            sh_buf_addf(out, "\r\n--%s\r\n", bound);
        sh_mime_text_part(out, types[k], texts[k]);
    }
    if (n > 1)
        sh_buf_addf(out, "\r\n--%s--\r\n", bound);
}

static void attach(struct sh_buf *out, const cJSON *file)
{
    const char *type = cJSON_GetStringValue(sh_mime_member(file, "type"));
    const char *name = cJSON_GetStringValue(sh_mime_member(file, "name"));
    const char *text = cJSON_GetStringValue(sh_mime_member(file, "text"));
    const char *coded = cJSON_GetStringValue(sh_mime_member(file, "base64"));
    struct sh_slice bytes = sh_slice_str(text ? text : coded);
    struct sh_buf decoded;
    size_t n, at;
    sh_buf_init(&decoded, bytes.n);
    if (!text) { /* checked before */
        sh_require(sh_mime_unbase64(bytes, &decoded, &n, &at));
        bytes = sh_slice(decoded.data, decoded.len);
    }
    sh_mime_file_part(out, type, name, strncasecmp(type, "text/", 5) == 0, bytes);
    sh_buf_free(&decoded);
}

static void content(struct sh_buf *out, const cJSON *doc, const struct invite *i, const char *key)
{
    const cJSON *files = sh_mime_member(doc, "attachments"), *file;
    char bound[MAX_KEY_BYTES + 8];
    boundary(bound, key, true);
    if (!cJSON_GetArraySize(files) && !i->ics.data) {
        body(out, doc, i, key);
        return;
    }
    open_multipart(out, "mixed", bound);
    sh_buf_addf(out, "\r\n--%s\r\n", bound);
    body(out, doc, i, key);
    cJSON_ArrayForEach(file, files)
    {
        sh_buf_addf(out, "\r\n--%s\r\n", bound);
        attach(out, file);
    }
    if (i->ics.data) { /* for programs that do not look into the alternatives */
        sh_buf_addf(out, "\r\n--%s\r\n", bound);
        sh_mime_file_part(out, "application/ics", "invite.ics", false,
                          sh_slice(i->ics.data, i->ics.len));
    }
    sh_buf_addf(out, "\r\n--%s--\r\n", bound);
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

static bool recipient_headers(struct sh_buf *out, const cJSON *doc, struct sh_error *err)
{
    const cJSON *to = sh_mime_member(doc, "to");
    if (!cJSON_GetArraySize(to))
        sh_buf_adds(out, "To: undisclosed-recipients:;\r\n"); /* RFC 5322 A.1.3 */
    return address_header(out, "To", to, err) &&
           address_header(out, "Cc", sh_mime_member(doc, "cc"), err) &&
           address_header(out, "Reply-To", sh_mime_member(doc, "reply_to"), err);
}

bool sh_email_build(const cJSON *doc, const char *from, const char *key, int64_t date_ms,
                    struct sh_buf *out, struct sh_error *err)
{
    struct sh_address sender;
    struct invite invite;
    if (!sh_email_check(doc, err) || !key_ok(key, err))
        return false;
    if (!sh_address_parse(sh_slice_str(from), &sender, err) || !date(out, date_ms, err))
        return false;
    struct header h = begin(out, "From");
    put_address(&h, &sender, false);
    end(&h);
    if (!recipient_headers(out, doc, err))
        return false;
    subject(out, sh_mime_member(doc, "subject")->valuestring);
    sh_buf_addf(out, "Message-ID: <%s@%s>\r\n", key, strchr(sender.addr, '@') + 1);
    sh_buf_adds(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    bool ok = write_invite(&invite, doc, from, date_ms, err);
    if (ok)
        content(out, doc, &invite, key);
    sh_buf_free(&invite.ics);
    if (!ok)
        return false;
    return sh_buf_ok(out) ||
           sh_error_set(err, SH_ELIMIT, "the message is larger than %zu bytes", out->max);
}
