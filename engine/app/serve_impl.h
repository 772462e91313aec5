/* SPDX-License-Identifier: MIT
 * serve_impl.h: what serve.c and serve_parts.c share; nobody else includes it. */
#ifndef SH_APP_SERVE_IMPL_H
#define SH_APP_SERVE_IMPL_H

#include "app/api.h"
#include "app/control.h"
#include "app/eraser.h"
#include "app/feed.h"
#include "app/ingress.h"
#include "app/libraries.h"
#include "app/live.h"
#include "app/outside.h"
#include "app/sampler.h"
#include "app/serve.h"
#include "app/timekeeper.h"
#include "core/outbox.h"
#include "svc/loop.h"

struct server {
    const struct sh_config *config;
    struct sh_service *service;
    struct event_base *base;
    struct sh_waker *waker;
    struct sh_timer *tick, *prune, *deadline;
    struct sh_timer *alive; /* NULL: no sign of life is asked for */
    struct sh_signal *term, *interrupt, *hangup;
    struct sh_store *store;
    struct sh_live *rules;
    struct sh_dispatch *dispatch;
    struct sh_outside *outside;
    struct sh_outbox *outbox;
    struct sh_timekeeper *timekeeper;
    struct sh_tls *tls; /* NULL: plain HTTP */
    struct sh_ingress *ingress;
    struct sh_feed *feed;
    struct sh_status *status;
    struct sh_eraser *eraser;
    struct sh_api *api;
    struct sh_meter *meter;
    struct sh_sampler *sampler;
    struct sh_control *control;
    struct sh_libraries_check *libraries;
    struct sh_op_count count;
    struct sh_op_generation keep;
    struct sh_op_prune prune_op;
    int64_t sweep_row,
        sweep_at_ms; /* of the sweep under way; when the next one begins, monotonic */
    bool sweeping;
    bool counted, kept, rules_ok, live, stopping, prune_out, hung_up;
    bool known;        /* who may ask the API */
    int reloads_asked; /* by SIGHUP, under way */
    int64_t unfinished, started_us;
    int64_t newest_ms; /* when the newest event had come, before the start */
    int exit_code;
};

/* --- serve.c --- */
/* The store can no longer be trusted: say so, refuse everything, end soon. arg: the server. */
void sh_serve_fail(void *arg, const struct sh_error *err);

/* --- serve_manager.c: what the service manager is told --- */
void sh_serve_say_ready(struct server *s);
/* The rules that are live are others now. */
void sh_serve_say_rules(const struct server *s);
/* A reload by SIGHUP begins; it has ended (arg: the server). */
void sh_serve_say_reloading(struct server *s);
void sh_serve_say_reloaded(void *arg, const cJSON *outcome);
void sh_serve_say_stopping(struct server *s);

/* --- serve_parts.c --- */
void sh_serve_start_dispatch(struct server *s);
void sh_serve_start_outbox(struct server *s);
void sh_serve_start_timekeeper(struct server *s);
/* A new event is on disk; it is taken. arg: the server. */
void sh_serve_on_event(void *arg, struct sh_event *event);
/* When the newest stored event came, into s->newest_ms; unknown is as good as none. */
void sh_serve_find_newest(struct server *s);

#endif
