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

struct stop_counts { /* since the start */
    int64_t events, runs, deliveries;
};

struct stop_report {
    struct sh_ingress_stats in;
    struct sh_dispatch_stats d;
    int64_t events, runs, deliveries; /* ended since the signal */
    int64_t parked_deliveries, cut;
    int64_t commits, restarts;
};

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
    int64_t stop_us;   /* when the first signal came, monotonic; 0: none did */
    struct stop_counts at_stop;
    bool at_once; /* there was a second one */
    int exit_code;
};

/* --- serve.c --- */
/* The store can no longer be trusted: say so, refuse everything, end soon. arg: the server. */
void sh_serve_fail(void *arg, const struct sh_error *err);

/* --- serve_stop.c --- */
/* SIGTERM and SIGINT stop the engine from now on. */
void sh_serve_await_stop(struct server *s);
/* Whatever hangs, the process ends in so many ms, with its exit code. */
void sh_serve_end_within(const struct server *s, int64_t ms);
/* The loop has ended, or never ran: end and free everything. Returns the exit code. */
int sh_serve_finish(struct server *s);

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
