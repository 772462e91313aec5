/* SPDX-License-Identifier: MIT
 * ingress.h: from a sender's request to a stored event: the HTTP server, the sources, admission.
 * On the loop thread only. What senders see is described in docs/webhooks.md. */
#ifndef SH_APP_INGRESS_H
#define SH_APP_INGRESS_H

#include "app/config.h"
#include "app/sender_gate.h"
#include "core/meter.h"
#include "core/store.h"
#include "svc/http_server.h"
#include "svc/service_manager.h"

struct event_base;
struct sh_ingress;

/* A new event is on disk (its sender has been answered 200). The event is the callee's. */
typedef void sh_ingress_accepted_fn(void *arg, struct sh_event *event);

/* Why a request got no 200. */
enum sh_refusal {
    SH_REFUSED_REQUEST,   /* malformed HTTP, time-out, header limits, unknown method */
    SH_REFUSED_NOT_FOUND, /* 404 */
    SH_REFUSED_METHOD,    /* 405 */
    SH_REFUSED_ORIGIN,    /* 403 */
    SH_REFUSED_AUTH,      /* 401, 403: sh_ingress_auth_refusals() has the reasons */
    SH_REFUSED_MEDIA,     /* 415 */
    SH_REFUSED_SIZE,      /* 413 */
    SH_REFUSED_JSON,      /* 400 */
    SH_REFUSED_ENVELOPE,  /* 422 */
    SH_REFUSED_OVERLOAD,  /* 503 before the store */
    SH_REFUSED_STORE,     /* 503 from the store */
    SH_N_REFUSALS
};

struct sh_ingress_stats { /* since the start */
    uint64_t accepted, duplicates;
    uint64_t refused[SH_N_REFUSALS];
};

/* Serve config's sources on the sockets that the service manager gave, which are taken; on none,
 * bind config's address. config and store are borrowed and must outlive the ingress. NULL and *err
 * when the address cannot be bound. */
struct sh_ingress *sh_ingress_new(struct event_base *base, const struct sh_config *config,
                                  struct sh_service *given, struct sh_store *store,
                                  sh_ingress_accepted_fn *accepted, void *arg,
                                  struct sh_error *err) SH_WARN_UNUSED;
/* From now on accept on sockets that were given: until then who connects waits, since an answer
 * that the engine is starting would be a worse one. On bound addresses that is what they hear. */
void sh_ingress_accept(struct sh_ingress *in);
/* The other way round: this process has nothing more to say to who comes now, the next one will. */
void sh_ingress_hold(struct sh_ingress *in);
/* Free once sh_ingress_pending() is 0, or after the store is closed: accepts still in the store
 * are then never reported, and their requests go unanswered. */
void sh_ingress_free(struct sh_ingress *in);

/* Speak TLS and nothing else; before the loop runs. Borrowed until freed; NULL: plain HTTP. */
void sh_ingress_set_tls(struct sh_ingress *in, struct sh_tls *tls);
int sh_ingress_port(const struct sh_ingress *in);
/* Listen no more; open connections end with their next answer, idle ones soon. Events that still
 * come on them are stored; whoever else asks hears that the engine is stopping. */
void sh_ingress_stop(struct sh_ingress *in);
/* Requests whose path is neither a source's nor /healthz, /readyz go to fn (calendar feeds); NULL:
 * 404. */
void sh_ingress_set_other(struct sh_ingress *in, sh_http_handler_fn *fn, void *arg);
/* fn has nothing for this path either: 404, counted as every refusal. */
void sh_ingress_not_found(struct sh_ingress *in, struct sh_http_request *req);

/* What is counted goes there too; borrowed. NULL: nowhere. */
void sh_ingress_set_meter(struct sh_ingress *in, struct sh_meter *meter);

/* From now on answer every event with 503 and Retry-After, storing nothing; reason is what the
 * sender is told ("the disk is nearly full"), and whoever asks for /readyz. NULL: accept again. The
 * text is copied. As long as there is a reason and no handler for other requests, the engine is
 * starting: whatever is not known yet is answered 503, not 404, and the store is not asked. */
void sh_ingress_set_refusing(struct sh_ingress *in, const char *reason);
/* Requests not answered yet, or whose answer has not left whole: 0 means that every sender that is
 * still there knows what became of its event. */
int sh_ingress_connections(const struct sh_ingress *in); /* open now */
size_t sh_ingress_pending(const struct sh_ingress *in);
void sh_ingress_stats(const struct sh_ingress *in, struct sh_ingress_stats *out);
/* Say how many refusals had no line of their own; call about twice a second. */
void sh_ingress_tick(struct sh_ingress *in);
/* Who stands behind a request, and who guesses: for what else is served here. */
struct sh_gate *sh_ingress_gate(struct sh_ingress *in);
/* Short name: "request", "not_found", ... */
const char *sh_refusal_name(enum sh_refusal why);

/* {"error":{"code":...,"message":...}} with its headers: the one shape of every error answer. */
void sh_ingress_reply_error(struct sh_http_request *req, int status, const char *code,
                            const char *message);

#endif
