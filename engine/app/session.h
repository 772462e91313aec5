/* SPDX-License-Identifier: MIT
 * session.h: who is logged in to the console (docs/http-api.md, "Sessions"): what a browser holds,
 * and the sessions in memory, as the store has them. On the loop.
 *
 * A browser holds 32 random bytes in a cookie that scripts cannot read; the engine keeps their
 * SHA-256, and the hash of the token they were got for. The CSRF token, which scripts of the
 * console send along with what changes something, is an HMAC under those bytes: it is kept nowhere
 * and says nothing of them. A session is worth what its token is worth: whoever looks one up looks
 * for its token as well. */
#ifndef SH_APP_SESSION_H
#define SH_APP_SESSION_H

#include "core/store_token.h"
#include "svc/http_server.h"

struct event_base;
struct sh_sessions;

#define SH_SESSION_MS     ((int64_t)12 * 3600 * 1000) /* how long one lasts, at most */
#define SH_SESSION_TEXT   44                          /* 32 bytes in base64url, and a NUL */
#define SH_SESSION_COOKIE 160                         /* a Set-Cookie */

/* --- what a browser holds ----------------------------------------------------------------------
 */

/* A new one, from the system's generator. */
void sh_session_make(char text[SH_SESSION_TEXT]);
void sh_session_hash(struct sh_slice text, uint8_t hash[SH_TOKEN_BYTES]);
void sh_session_csrf(struct sh_slice text, char csrf[SH_SESSION_TEXT]);

enum sh_session_cookie {
    SH_COOKIE_NONE, /* there is none of that name */
    SH_COOKIE_ONE,
    SH_COOKIE_BAD /* several, or not of the form that sh_session_make() gives */
};
/* The session in the Cookie headers of a request. secure: it came by HTTPS; then only the cookie
 * named __Host-... counts, which no plain page and no neighbouring name can set. Borrowed. */
enum sh_session_cookie sh_session_cookie(const struct sh_http_request *req, bool secure,
                                         struct sh_slice *text);
/* The same of one header's text; *found counts what was there of that name so far. */
enum sh_session_cookie sh_session_read_cookie(const char *header, const char *name, size_t *found,
                                              struct sh_slice *text);
/* A Set-Cookie's value. text NULL: the browser is to forget it. */
void sh_session_set_cookie(const char *text, bool secure, char out[SH_SESSION_COOKIE]);

/* --- in memory ---------------------------------------------------------------------------------
 */

/* Reads them at once; again until it has succeeded. */
struct sh_sessions *sh_sessions_new(struct event_base *base, struct sh_store *store) SH_WARN_UNUSED;
bool sh_sessions_known(const struct sh_sessions *s); /* they have been read */
/* The one of this text that has not expired at now_ms, or NULL. Time does not depend on how much of
 * it is right. Borrowed until the loop goes on. */
const struct sh_stored_session *sh_sessions_find(const struct sh_sessions *s, struct sh_slice text,
                                                 int64_t now_ms);
/* Is the one of this hash still there, and has not expired at now_ms? */
bool sh_sessions_has(const struct sh_sessions *s, const uint8_t hash[SH_TOKEN_BYTES],
                     int64_t now_ms);
size_t sh_sessions_count(const struct sh_sessions *s);
/* An operation of the store on sessions was carried out. Room is made as the store makes it. */
void sh_sessions_changed(struct sh_sessions *s, const struct sh_op *op);
void sh_sessions_stop(struct sh_sessions *s); /* ask the store no more */
void sh_sessions_free(struct sh_sessions *s); /* after the store is closed; NULL: no-op */

#endif
