/* SPDX-License-Identifier: MIT
 * session.c: cookies of the console, and the sessions in memory. */
#include "app/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/base64.h"
#include "svc/crypto.h"
#include "svc/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 500
#define BYTES   32
#define NAME    "switchhook_session"
#define HOST    "__Host-" /* RFC 6265bis 4.1.3.2 */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* --- what a browser holds ----------------------------------------------------------------------
 */

static void to_text(const uint8_t bytes[BYTES], char text[SH_SESSION_TEXT])
{
    struct sh_buf b;
    sh_buf_init(&b, SH_SESSION_TEXT);
    sh_base64_write(&b, sh_slice(bytes, BYTES), SH_BASE64_URL);
    sh_require(sh_buf_ok(&b) && b.len == SH_SESSION_TEXT - 1);
    memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    sh_wipe(b.data, b.len);
    sh_buf_free(&b);
}

void sh_session_make(char text[SH_SESSION_TEXT])
{
    uint8_t bytes[BYTES];
    sh_random(bytes, sizeof(bytes));
    to_text(bytes, text);
    sh_wipe(bytes, sizeof(bytes));
}

void sh_session_hash(struct sh_slice text, uint8_t hash[SH_TOKEN_BYTES])
{
    sh_sha256(&text, 1, hash);
}

void sh_session_csrf(struct sh_slice text, char csrf[SH_SESSION_TEXT])
{
    uint8_t sum[SH_MAX_HASH_BYTES];
    const struct sh_slice what = SH_SLICE("switchhook csrf 1");
    struct sh_hmac *h = sh_hmac_new(SH_HASH_SHA256, text);
    sh_hmac_sign(h, &what, 1, sum);
    sh_hmac_free(h);
    to_text(sum, csrf);
}

static bool is_session_text(struct sh_slice text)
{
    if (text.n != SH_SESSION_TEXT - 1)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!text.p[i] || !strchr(alphabet, text.p[i]))
            return false;
    return true;
}

static struct sh_slice trimmed(const char *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return sh_slice(p, n);
}

enum sh_session_cookie sh_session_read_cookie(const char *header, const char *name, size_t *found,
                                              struct sh_slice *text)
{
    const size_t len = strlen(name);
    while (*header) {
        const size_t n = strcspn(header, ";");
        const struct sh_slice pair = trimmed(header, n);
        header += n + (header[n] == ';');
        if (pair.n <= len || memcmp(pair.p, name, len) != 0 || pair.p[len] != '=')
            continue;
        ++*found;
        *text = sh_slice(pair.p + len + 1, pair.n - len - 1);
    }
    if (*found == 0)
        return SH_COOKIE_NONE;
    return *found == 1 && is_session_text(*text) ? SH_COOKIE_ONE : SH_COOKIE_BAD;
}

enum sh_session_cookie sh_session_cookie(const struct sh_http_request *req, bool secure,
                                         struct sh_slice *text)
{
    const char *header;
    enum sh_session_cookie what = SH_COOKIE_NONE;
    size_t found = 0;
    *text = sh_slice("", 0);
    for (size_t i = 0; (header = sh_http_header_at(req, "Cookie", i)) != NULL; i++)
        what = sh_session_read_cookie(header, secure ? HOST NAME : NAME, &found, text);
    return what;
}

void sh_session_set_cookie(const char *text, bool secure, char out[SH_SESSION_COOKIE])
{
    snprintf(out, SH_SESSION_COOKIE, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
             secure ? HOST NAME : NAME, text ? text : "", secure ? "; Secure" : "",
             text ? "" : "; Max-Age=0");
}

/* --- in memory ---------------------------------------------------------------------------------
 */

struct sh_sessions {
    struct sh_store *store;
    struct sh_timer *timer;
    struct sh_op_sessions look;
    bool known, stopped;
    size_t n;
    struct sh_stored_session items[SH_MAX_SESSIONS]; /* those opened first in front */
};

static void on_read(struct sh_op *op)
{
    struct sh_sessions *s = op->arg;
    if (!op->ok) {
        sh_warn("cannot read the sessions of the console, will be tried again", "error",
                op->err.msg);
        if (!s->stopped)
            sh_timer_set(s->timer, LOOK_MS);
        return;
    }
    const size_t n = s->look.n_items;
    s->n = n < SH_MAX_SESSIONS ? n : SH_MAX_SESSIONS;
    if (s->n)
        memcpy(s->items, s->look.items + (n - s->n), s->n * sizeof(*s->items));
    free(s->look.items);
    s->known = true;
}

static void ask(void *arg)
{
    struct sh_sessions *s = arg;
    if (s->stopped)
        return;
    s->look = (struct sh_op_sessions){.op = {.kind = SH_OP_SESSIONS, .done = on_read, .arg = s}};
    sh_store_submit(s->store, &s->look.op);
}

static void drop(struct sh_sessions *s, size_t at)
{
    memmove(s->items + at, s->items + at + 1, (s->n - at - 1) * sizeof(*s->items));
    s->n--;
}

static void drop_expired(struct sh_sessions *s, int64_t now_ms)
{
    for (size_t i = s->n; i > 0; i--)
        if (s->items[i - 1].expires_ms <= now_ms)
            drop(s, i - 1);
}

/* Room for one more of this token. */
static void make_room(struct sh_sessions *s, const uint8_t token[SH_TOKEN_BYTES])
{
    size_t same = 0, first = 0;
    for (size_t i = s->n; i > 0; i--) {
        if (memcmp(s->items[i - 1].token, token, SH_TOKEN_BYTES) != 0)
            continue;
        same++;
        first = i - 1;
    }
    if (same >= SH_MAX_SESSIONS_OF)
        drop(s, first);
    if (s->n >= SH_MAX_SESSIONS)
        drop(s, 0);
}

static void add(struct sh_sessions *s, const struct sh_op_session_new *op)
{
    drop_expired(s, sh_now_ms());
    make_room(s, op->token);
    struct sh_stored_session *one = &s->items[s->n++];
    memcpy(one->hash, op->hash, sizeof(one->hash));
    memcpy(one->token, op->token, sizeof(one->token));
    one->expires_ms = op->expires_ms;
}

/* All of them are looked at, whichever it is. */
static const struct sh_stored_session *find(const struct sh_sessions *s,
                                            const uint8_t hash[SH_TOKEN_BYTES])
{
    const struct sh_stored_session *found = NULL;
    for (size_t i = 0; i < s->n; i++)
        found = sh_bytes_eq(hash, s->items[i].hash, SH_TOKEN_BYTES) ? &s->items[i] : found;
    return found;
}

void sh_sessions_changed(struct sh_sessions *s, const struct sh_op *op)
{
    if (!op->ok)
        return;
    if (op->kind == SH_OP_SESSION_NEW)
        add(s, (const struct sh_op_session_new *)op);
    if (op->kind != SH_OP_SESSION_END)
        return;
    const struct sh_stored_session *gone = find(s, ((const struct sh_op_session_end *)op)->hash);
    if (gone)
        drop(s, (size_t)(gone - s->items));
}

bool sh_sessions_known(const struct sh_sessions *s)
{
    return s->known;
}

size_t sh_sessions_count(const struct sh_sessions *s)
{
    return s->n;
}

const struct sh_stored_session *sh_sessions_find(const struct sh_sessions *s, struct sh_slice text,
                                                 int64_t now_ms)
{
    uint8_t hash[SH_TOKEN_BYTES];
    sh_session_hash(text, hash);
    const struct sh_stored_session *found = find(s, hash);
    return found && found->expires_ms > now_ms ? found : NULL;
}

bool sh_sessions_has(const struct sh_sessions *s, const uint8_t hash[SH_TOKEN_BYTES],
                     int64_t now_ms)
{
    const struct sh_stored_session *found = find(s, hash);
    return found && found->expires_ms > now_ms;
}

/* --- life --------------------------------------------------------------------------------------
 */

struct sh_sessions *sh_sessions_new(struct event_base *base, struct sh_store *store)
{
    struct sh_sessions *s = sh_alloc(1, sizeof(*s));
    s->store = store;
    s->timer = sh_timer_new(base, ask, s);
    ask(s);
    return s;
}

void sh_sessions_stop(struct sh_sessions *s)
{
    s->stopped = true;
    sh_timer_cancel(s->timer);
}

void sh_sessions_free(struct sh_sessions *s)
{
    if (!s)
        return;
    sh_timer_free(s->timer);
    free(s);
}
