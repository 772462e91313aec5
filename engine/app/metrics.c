/* SPDX-License-Identifier: MIT
 * metrics.c: the engine's state as metrics: from its status, the store and the servers. */
#include "app/metrics.h"

#include "app/metrics_text.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

static const cJSON *at(const cJSON *tree, const char *path)
{
    char part[40];
    while (tree && *path) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof(part), "%.*s", (int)n, path);
        tree = sh_json_member(tree, part);
        path += n + (path[n] == '.');
    }
    return tree;
}

static int64_t number_at(const cJSON *tree, const char *path)
{
    int64_t n = 0;
    (void)!sh_json_get_int(at(tree, path), &n);
    return n;
}

static void one(struct sh_buf *out, const char *name, const char *type, const char *help,
                int64_t value)
{
    sh_metrics_head(out, name, type, help);
    sh_metrics_int(out, name, NULL, value);
}

static const struct {
    const char *name, *type, *help, *path;
} plain[] = {
    {"events_settled_total", "counter", "Events whose rules have all had their turn.",
     "totals.settled"},
    {"backlog_events", "gauge", "Events that wait for their rules.", "backlog.events"},
    {"backlog_events_running", "gauge", "Of those, events whose rules run now.", "backlog.running"},
    {"backlog_retries", "gauge", "Runs that wait for their retry.", "backlog.retries"},
    {"backlog_deliveries", "gauge", "Emails and calls that wait to leave.", "backlog.outbox"},
    {"backlog_timers", "gauge", "Timers that wait for their time.", "backlog.timers"},
    {"backlog_oldest_event_seconds", "gauge", "Age of the oldest event that waits.",
     "oldest.event.age_s"},
    {"backlog_oldest_retry_seconds", "gauge", "Age of the oldest event with a run that waits.",
     "oldest.retry.age_s"},
    {"backlog_oldest_delivery_seconds", "gauge", "Age of the oldest delivery that waits.",
     "oldest.outbox.age_s"},
    {"rules", "gauge", "Rules of the live generation.", "generation.rules"},
    {"rules_paused", "gauge", "Rules that are paused or being resumed.", "paused.rules"},
    {"runs_kept", "gauge", "Runs that are kept until their rule is resumed.", "paused.kept"},
    {"workers", "gauge", "Rule workers that take jobs.", "workers.up"},
    {"worker_restarts_total", "counter", "Rule workers that ended.", "workers.restarts"},
    {"disk_free_bytes", "gauge", "Room on the data folder's disk.", "disk.free_bytes"},
    {"disk_min_free_bytes", "gauge", "Room under which no event is taken.", "disk.min_free_bytes"},
    {"database_bytes", "gauge", "Size of the store's file.", "disk.database_bytes"},
    {"wal_bytes", "gauge", "Size of its write-ahead log.", "disk.wal_bytes"},
};

static void put_plain(struct sh_buf *out, const cJSON *status)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        one(out, plain[i].name, plain[i].type, plain[i].help, number_at(status, plain[i].path));
    one(out, "ready", "gauge", "1 while events are taken, as /readyz says.",
        !cJSON_IsString(sh_json_member(status, "refusing")));
}

/* No series while events are taken, so that an alert has nothing to tell then. */
static void put_refusing(struct sh_buf *out, const char *why)
{
    sh_metrics_head(out, "refusing", "gauge", "1 while no event is taken, and why.");
    if (why)
        sh_metrics_int(out, "refusing", SH_LABELS({"reason"}, {why}), 1);
}

static void put_build(struct sh_buf *out, const cJSON *status)
{
    sh_metrics_head(out, "build_info", "gauge", "The version that runs.");
    sh_metrics_int(out, "build_info", SH_LABELS({"version"}, {sh_json_string(status, "version")}),
                   1);
    sh_metrics_head(out, "generation_info", "gauge", "The rule set that is live.");
    sh_metrics_int(
        out, "generation_info",
        SH_LABELS({"generation"}, {sh_json_string(sh_json_member(status, "generation"), "id")}), 1);
}

/* 1 while the last reload has failed; then each error says where, as labels. What it says is in the
 * log and in `switchhook status`. */
static void put_reload(struct sh_buf *out, const cJSON *status)
{
    const cJSON *last = at(status, "reload.last"), *error;
    const bool failed = cJSON_IsFalse(sh_json_member(last, "ok"));
    sh_metrics_head(out, "reloads_total", "counter", "Reloads of the rules.");
    sh_metrics_int(out, "reloads_total", SH_LABELS({"outcome"}, {"live"}),
                   number_at(status, "reload.live"));
    sh_metrics_int(out, "reloads_total", SH_LABELS({"outcome"}, {"failed"}),
                   number_at(status, "reload.failed"));
    one(out, "reload_failed", "gauge", "1 if the last reload failed: the rules before stay live.",
        failed);
    sh_metrics_head(out, "reload_error", "gauge", "Errors of the last reload, by file and line.");
    char before[512] = "";
    cJSON_ArrayForEach(error, sh_json_member(failed ? last : NULL, "errors"))
    {
        char line[24], here[512];
        const char *file = sh_json_string(error, "file");
        snprintf(line, sizeof(line), "%lld", (long long)number_at(error, "line"));
        snprintf(here, sizeof(here), "%s:%s", line, file ? file : "");
        if (strcmp(here, before) != 0) /* sorted: two of one line are neighbours */
            sh_metrics_int(out, "reload_error", SH_LABELS({"file", "line"}, {file, line}), 1);
        memcpy(before, here, sizeof(before));
    }
}

static void put_tls(struct sh_buf *out, const cJSON *tls)
{
    if (!cJSON_IsObject(tls))
        return;
    one(out, "tls_certificate_expiry_seconds", "gauge",
        "When the certificate in use ends, Unix time.", number_at(tls, "not_after_s"));
    one(out, "tls_reload_failed", "gauge",
        "1 if the certificate in the files does not load: the one before stays in use.",
        sh_json_string(tls, "error") != NULL);
    one(out, "tls_handshakes_failed_total", "counter", "TLS handshakes that came to nothing.",
        number_at(tls, "handshakes_failed"));
}

static void put_counts(struct sh_buf *out, const struct sh_op_count *count)
{
    static const char *const statuses[] = {"scheduled", "snoozed", "due", "missed"};
    const int64_t callbacks[] = {count->callbacks.scheduled, count->callbacks.snoozed,
                                 count->callbacks.due, count->callbacks.missed};
    sh_metrics_head(out, "dead_letters", "gauge", "What was given up, and waits for a person.");
    sh_metrics_int(out, "dead_letters", SH_LABELS({"kind"}, {"run"}), count->dead_runs);
    sh_metrics_int(out, "dead_letters", SH_LABELS({"kind"}, {"delivery"}), count->dead_items);
    sh_metrics_head(out, "callbacks", "gauge", "Callbacks that are not closed, by status.");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
        sh_metrics_int(out, "callbacks", SH_LABELS({"status"}, {statuses[i]}), callbacks[i]);
}

static void put_store(struct sh_buf *out, struct sh_store *store)
{
    struct sh_store_stats stats;
    sh_store_stats(store, &stats);
    one(out, "store_waiting_operations", "gauge", "Operations that wait for the writer.",
        (int64_t)sh_store_waiting(store));
    sh_metrics_head(out, "store_commit_seconds", "histogram",
                    "Time of a write transaction, its fsync included.");
    sh_metrics_histogram(out, "store_commit_seconds", NULL, &sh_bounds_wait, &stats.commit);
    sh_metrics_head(out, "store_batch_operations", "histogram",
                    "Operations that one write transaction carried.");
    sh_metrics_histogram(out, "store_batch_operations", NULL, &sh_bounds_size, &stats.batch);
}

static void put_targets(struct sh_buf *out, const struct sh_outbox *outbox)
{
    struct sh_outbox_stats stats;
    sh_outbox_stats(outbox, &stats);
    one(out, "delivery_targets", "gauge", "Targets with deliveries in hand.", (int64_t)stats.lanes);
    one(out, "delivery_targets_paused", "gauge", "Of those, targets that do not answer.",
        (int64_t)stats.paused);
}

void sh_metrics_write(const struct sh_metrics *m, struct sh_buf *out)
{
    put_build(out, m->status);
    sh_metrics_write_meter(m->meter, out);
    put_plain(out, m->status);
    put_refusing(out, sh_json_string(m->status, "refusing"));
    put_counts(out, m->count);
    put_targets(out, m->outbox);
    put_reload(out, m->status);
    put_tls(out, sh_json_member(m->status, "tls"));
    put_store(out, m->store);
    one(out, "connections_open", "gauge", "Connections to the engine's address.",
        sh_ingress_connections(m->ingress));
    one(out, "live_streams", "gauge", "Open streams of /api/v1/live.",
        (int64_t)sh_meter_live(m->meter));
    one(out, "clock_steady", "gauge", "0 for a day after the machine's clock has jumped.",
        m->steady);
    sh_metrics_write_process(m->started_ms, out);
}
