/* SPDX-License-Identifier: MIT
 * api.h: the HTTP API under /api/v1 (docs/http-api.md): routing, who may do what, strict reading of
 * requests, one shape of answers. The same routes serve the engine's own address and the control
 * socket; only who the caller is differs. On the loop. */
#ifndef SH_APP_API_H
#define SH_APP_API_H

#include "app/config.h"
#include "app/eraser.h"
#include "app/live.h"
#include "app/sampler.h"
#include "app/sender_gate.h"
#include "app/status.h"
#include "core/meter.h"
#include "core/store_token.h"
#include "svc/http_server.h"

#define SH_API_PREFIX "/api/"

/* What a caller may do; each includes those before it. */
enum sh_role {
    SH_ROLE_NONE,     /* nothing: nobody knows who that is */
    SH_ROLE_VIEWER,   /* read */
    SH_ROLE_OPERATOR, /* callbacks, dead letters, rules, timers */
    SH_ROLE_ADMIN     /* reload, tokens, the audit table */
};
const char *sh_role_name(enum sh_role role); /* "none", "viewer", "operator", "admin" */
/* False: no such role ("none" is no role that one can have). */
bool sh_role_parse(const char *name, enum sh_role *role) SH_WARN_UNUSED;

/* By what a caller is known. */
enum sh_caller_way {
    SH_CALLER_SOCKET,  /* the control socket */
    SH_CALLER_OPEN,    /* there is no token, and it asks straight from this machine */
    SH_CALLER_TOKEN,   /* Authorization: Bearer */
    SH_CALLER_SESSION, /* the cookie of a session */
};

/* Who asks. Texts borrowed; a call under way has its own copies. */
struct sh_api_caller {
    const char *who; /* a token's name, or the login of this machine */
    enum sh_role role;
    const char *peer; /* numeric address; NULL: the control socket */
    enum sh_caller_way way;
    uint8_t token[SH_TOKEN_BYTES];   /* TOKEN, SESSION: hash of the token */
    uint8_t session[SH_TOKEN_BYTES]; /* SESSION: its hash */
    int64_t expires_ms;              /* TOKEN, SESSION: when that ends; 0 = never */
};

struct sh_api_config { /* all borrowed; they outlive the API */
    struct event_base *base;
    const struct sh_config *config;
    struct sh_store *store;
    struct sh_live *live;
    struct sh_dispatch *dispatch;
    struct sh_outbox *outbox;
    struct sh_timekeeper *timekeeper;
    struct sh_status *status;
    struct sh_gate *gate;
    struct sh_eraser *eraser;
    struct sh_sampler *sampler;
    struct sh_meter *meter; /* NULL: nothing is counted */
    /* Who may ask is known from here on: until then the answer is 503 `starting`. Once; or NULL. */
    void (*known)(void *arg);
    void *arg;
};

struct sh_api;

/* Starts the API's own thread. NULL and *err (SH_ESYS): no thread is to be had. */
struct sh_api *sh_api_new(const struct sh_api_config *config, struct sh_error *err) SH_WARN_UNUSED;
/* A request on the engine's own address: true if its path is the API's, and it is answered, now or
 * later. Whoever sh_api_identify() does not know is refused. */
bool sh_api_public(struct sh_api *api, struct sh_http_request *req) SH_WARN_UNUSED;
/* Would a caller who was let in before be let in now? Not after its token was revoked or has
 * expired, after it has logged out, or, where nobody needed one, after the first token was made.
 * For answers that go on for long. */
bool sh_api_is_still_in(const struct sh_api *api, const struct sh_api_caller *caller);
/* May whoever sent a request on the engine's own address read: straight from this machine, or with
 * the token or the session of a viewer? For what is not under SH_API_PREFIX. */
bool sh_api_may_read(struct sh_api *api, struct sh_http_request *req) SH_WARN_UNUSED;
/* Answer a request of a known caller. caller is borrowed for the call. */
void sh_api_handle(struct sh_api *api, struct sh_http_request *req,
                   const struct sh_api_caller *caller);
/* Requests not answered yet. */
size_t sh_api_pending(const struct sh_api *api);
/* The engine begins to stop: what is being tried is ended, and answered 503 `stopping`. */
void sh_api_leave(struct sh_api *api);
/* Stop the thread: what it has not begun is answered 503. Before the store is closed. */
void sh_api_stop(struct sh_api *api);
/* After the store is closed and before the servers are freed: what is still open goes unanswered.
 * NULL is a no-op. */
void sh_api_free(struct sh_api *api);

#endif
