/* SPDX-License-Identifier: MIT
 * serve_stop.c: how the live engine ends: in order, in time, and with nothing lost.
 *
 * The time: what is under way has DRAIN_MS to finish; then workers are ended, the store's last
 * commit made and its log folded in; and whatever may hang meanwhile (a disk, a name server),
 * END_MS after the signal the process is gone: the store takes that as it takes kill -9. Service
 * managers and people count on less than five seconds. */
#include "app/serve_impl.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/last_end.h"
#include "svc/tls.h"

#include <signal.h>

#define DRAIN_MS      2500
#define END_MS        4500
#define FOLD_BY_MS    3800 /* later than this the store's log is left as it is */
#define WORKER_END_MS 400  /* for all of them together, when nothing hangs */
#define HANG_END_MS   50
#define AT_ONCE_MS    1000 /* the second signal */
#define LOOK_MS       10

static int64_t ms_since(int64_t us)
{
    return (sh_mono_us() - us) / 1000;
}

void sh_serve_end_within(const struct server *s, int64_t ms)
{
    const int64_t left_ms = s->stop_us ? END_MS - ms_since(s->stop_us) : ms;
    ms = ms < left_ms ? ms : left_ms;
    sh_last_end_within(ms > 1 ? ms : 1,
                       "the end took too long: ended as it stands; the next start recovers",
                       s->exit_code);
}

/* --- what is under way ------------------------------------------------------------------------ */

static void take_counts(const struct server *s, struct stop_counts *c)
{
    struct sh_dispatch_stats d;
    struct sh_outbox_stats o;
    struct sh_ingress_stats in;
    sh_dispatch_stats(s->dispatch, &d);
    sh_outbox_stats(s->outbox, &o);
    sh_ingress_stats(s->ingress, &in);
    *c = (struct stop_counts){.events = (int64_t)(in.accepted + in.duplicates),
                              .runs = d.settled,
                              .deliveries = o.sent + o.failed + o.dead};
}

static bool is_drained(const struct server *s)
{
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(s->dispatch, &stats);
    return sh_ingress_pending(s->ingress) == 0 && sh_ingress_connections(s->ingress) == 0 &&
           sh_control_pending(s->control) == 0 && stats.active == 0 &&
           sh_outbox_in_flight(s->outbox) == 0 && !sh_timekeeper_busy(s->timekeeper);
}

static void on_drain(void *arg)
{
    struct server *s = arg;
    if (is_drained(s))
        sh_loop_stop(s->base);
    else
        sh_timer_set(s->tick, LOOK_MS);
}

static void begin(struct server *s)
{
    s->stopping = true;
    s->stop_us = sh_mono_us();
    sh_info("stopping");
    take_counts(s, &s->at_stop);
    sh_serve_end_within(s, END_MS);
    sh_serve_say_stopping(s);
    sh_ingress_stop(s->ingress);
    sh_api_leave(s->api);
    sh_reload_stop(sh_live_reload(s->rules));
    sh_control_stop(s->control);
    sh_timekeeper_stop(s->timekeeper);
    sh_dispatch_stop(s->dispatch);
    sh_outbox_stop(s->outbox);
    sh_timer_free(s->tick);
    s->tick = sh_timer_new(s->base, on_drain, s);
    sh_timer_set(s->tick, 1);
    sh_timer_set(s->deadline, DRAIN_MS);
}

static void on_signal(void *arg)
{
    struct server *s = arg;
    if (s->live && !s->stopping) {
        begin(s);
        return;
    }
    s->at_once = s->stopping;
    s->stopping = true;
    s->stop_us = s->stop_us ? s->stop_us : sh_mono_us();
    sh_serve_end_within(s, s->at_once ? AT_ONCE_MS : END_MS);
    sh_loop_stop(s->base);
}

void sh_serve_await_stop(struct server *s)
{
    s->term = sh_signal_new(s->base, SIGTERM, on_signal, s);
    s->interrupt = sh_signal_new(s->base, SIGINT, on_signal, s);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* What became of what: finished since the signal, and parked: it goes on after the next start. */
static void look_back(struct server *s, struct stop_report *r)
{
    struct sh_dispatch_stats d;
    struct stop_counts now;
    sh_dispatch_stats(s->dispatch, &d);
    sh_ingress_stats(s->ingress, &r->in);
    take_counts(s, &now);
    *r = (struct stop_report){.in = r->in,
                              .d = d,
                              .events = now.events - s->at_stop.events,
                              .runs = now.runs - s->at_stop.runs,
                              .deliveries = now.deliveries - s->at_stop.deliveries,
                              .parked_deliveries = (int64_t)sh_outbox_in_flight(s->outbox),
                              .cut = (int64_t)sh_ingress_pending(s->ingress),
                              .commits = sh_store_commits(s->store),
                              .restarts = sh_live_restarts(s->rules)};
}

static void say_end(const struct server *s, const struct stop_report *r)
{
    sh_info("stopped", "took_ms", SH_NUM(s->stop_us ? ms_since(s->stop_us) : 0), "events_stored",
            SH_NUM(r->events), "events_run", SH_NUM(r->runs), "deliveries_ended",
            SH_NUM(r->deliveries), "parked_runs", SH_NUM(r->d.active), "parked_deliveries",
            SH_NUM(r->parked_deliveries), "answers_cut", SH_NUM(r->cut), "unfinished",
            SH_NUM(r->d.unfinished), "accepted", SH_NUM(r->in.accepted), "duplicates",
            SH_NUM(r->in.duplicates), "settled", SH_NUM(r->d.settled), "runs",
            SH_NUM(r->d.runs_done), "failed", SH_NUM(r->d.runs_failed), "dead",
            SH_NUM(r->d.runs_dead), "conflicts", SH_NUM(r->d.conflicts), "commits",
            SH_NUM(r->commits), "worker_restarts", SH_NUM(r->restarts));
}

/* Order: nothing may be told to a part that is already gone. What is on its way outside is dropped
 * without a word: deliveries stay queued, runs that wait for look-ups go again after the start. */
static void end_work(struct server *s)
{
    sh_libraries_check_end(s->libraries);
    sh_eraser_stop(s->eraser);
    sh_outbox_free(s->outbox);
    sh_outside_free(s->outside);
    const bool hangs = s->stop_us && ms_since(s->stop_us) >= DRAIN_MS;
    sh_live_stop(s->rules, s->at_once ? 0 : hangs ? HANG_END_MS : WORKER_END_MS);
    if (s->api)
        sh_api_stop(s->api);
    sh_sampler_stop(s->sampler);
    if (s->at_once || (s->stop_us && ms_since(s->stop_us) > FOLD_BY_MS))
        sh_store_leave_log(s->store);
    sh_store_close(s->store);
}

static void free_all(struct server *s)
{
    sh_api_free(s->api);
    sh_eraser_free(s->eraser);
    sh_ingress_free(s->ingress);
    sh_feed_free(s->feed);
    sh_control_free(s->control);
    sh_status_free(s->status);
    sh_sampler_free(s->sampler);
    sh_timekeeper_free(s->timekeeper);
    sh_dispatch_free(s->dispatch);
    sh_live_free(s->rules);
    sh_timer_free(s->tick);
    sh_timer_free(s->prune);
    sh_timer_free(s->deadline);
    sh_timer_free(s->alive);
    sh_signal_free(s->hangup);
    sh_waker_free(s->waker);
    sh_loop_free(s->base);
    sh_tls_free(s->tls);
    sh_meter_free(s->meter);
}

int sh_serve_finish(struct server *s)
{
    struct stop_report report;
    const bool was_live = s->live;
    sh_signal_free(s->term);
    sh_signal_free(s->interrupt);
    sh_last_end_on_signals(s->exit_code); /* one more: right now */
    if (was_live)
        look_back(s, &report);
    end_work(s);
    if (was_live)
        say_end(s, &report);
    free_all(s);
    sh_last_end_cancel();
    return s->exit_code;
}
