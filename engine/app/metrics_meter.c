/* SPDX-License-Identifier: MIT
 * metrics_meter.c: what the meter has counted. */
#include "app/metrics.h"
#include "app/metrics_text.h"

#include <stdio.h>

static void put_event(void *arg, const struct sh_meter_row *row)
{
    static const char *const outcomes[] = {"accepted", "duplicate"};
    for (int i = 0; i < 2; i++)
        if (i == 0 || row->counts[i])
            sh_metrics_int(arg, "events_total",
                           SH_LABELS({"source", "type", "outcome"}, {row->a, row->b, outcomes[i]}),
                           (int64_t)row->counts[i]);
}

static void put_refusal(void *arg, const struct sh_meter_row *row)
{
    sh_metrics_int(arg, "requests_refused_total", SH_LABELS({"source", "reason"}, {row->a, row->b}),
                   (int64_t)row->counts[0]);
}

static void put_run(void *arg, const struct sh_meter_row *row)
{
    for (int i = 0; i < SH_METER_RUNS; i++)
        sh_metrics_int(
            arg, "runs_total",
            SH_LABELS({"rule", "outcome"}, {row->a, sh_meter_run_name((enum sh_meter_run)i)}),
            (int64_t)row->counts[i]);
}

static void put_run_time(void *arg, const struct sh_meter_row *row)
{
    if (row->times)
        sh_metrics_histogram(arg, "run_cpu_seconds", SH_LABELS({"rule"}, {row->a}), &sh_bounds_cpu,
                             row->times);
}

static void put_delivery(void *arg, const struct sh_meter_row *row)
{
    for (int i = 0; i < SH_METER_SENTS; i++)
        sh_metrics_int(
            arg, "delivery_attempts_total",
            SH_LABELS({"kind", "outcome"}, {row->a, sh_meter_sent_name((enum sh_meter_sent)i)}),
            (int64_t)row->counts[i]);
}

static void put_delivery_time(void *arg, const struct sh_meter_row *row)
{
    if (row->times)
        sh_metrics_histogram(arg, "delivery_seconds", SH_LABELS({"kind"}, {row->a}),
                             &sh_bounds_wait, row->times);
}

static void put_answer(void *arg, const struct sh_meter_row *row)
{
    char status[16];
    snprintf(status, sizeof(status), "%d", row->status);
    sh_metrics_int(arg, "api_requests_total", SH_LABELS({"route", "status"}, {row->a, status}),
                   (int64_t)row->counts[0]);
}

static void put_waits(const struct sh_meter_waits *w, struct sh_buf *out)
{
    const struct {
        const char *name, *help;
        const struct sh_histogram *h;
    } all[] = {
        {"acknowledgement_seconds", "From a request read whole until the answer to its event.",
         &w->acknowledged},
        {"queue_wait_seconds", "From an event's arrival until its rules begin.", &w->started},
        {"event_seconds", "From an event's arrival until all its rules have had their turn.",
         &w->settled},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        sh_metrics_head(out, all[i].name, "histogram", all[i].help);
        sh_metrics_histogram(out, all[i].name, NULL, &sh_bounds_wait, all[i].h);
    }
}

void sh_metrics_write_meter(const struct sh_meter *m, struct sh_buf *out)
{
    sh_metrics_head(out, "events_total", "counter", "Events, by what became of their delivery.");
    sh_meter_events(m, put_event, out);
    sh_metrics_head(out, "requests_refused_total", "counter",
                    "Requests that were not taken, by source (empty: of none) and reason.");
    sh_meter_refusals(m, put_refusal, out);
    put_waits(sh_meter_waits(m), out);
    sh_metrics_head(out, "runs_total", "counter", "Runs of rules, by how they ended.");
    sh_meter_runs(m, put_run, out);
    sh_metrics_head(out, "run_cpu_seconds", "histogram", "Processor time of runs.");
    sh_meter_runs(m, put_run_time, out);
    sh_metrics_head(out, "delivery_attempts_total", "counter",
                    "Attempts to deliver emails and calls, by how they ended.");
    sh_meter_deliveries(m, put_delivery, out);
    sh_metrics_head(out, "delivery_seconds", "histogram",
                    "From the moment a delivery was asked for until it was made.");
    sh_meter_deliveries(m, put_delivery_time, out);
    sh_metrics_head(out, "api_requests_total", "counter", "Answers of the API.");
    sh_meter_answers(m, put_answer, out);
}
