/* SPDX-License-Identifier: MIT
 * metrics.c: a status as Prometheus text, format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). */
#include "app/status.h"

#include "core/fault.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

static void head(struct sh_buf *out, const char *name, const char *type, const char *help)
{
    sh_buf_addf(out, "# HELP switchhook_%s %s\n# TYPE switchhook_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void label(struct sh_buf *out, const char *s)
{
    for (; s && *s; s++) {
        if (*s == '\\' || *s == '"')
            sh_buf_addc(out, '\\');
        if (*s == '\n')
            sh_buf_adds(out, "\\n");
        else
            sh_buf_addc(out, *s);
    }
}

static const struct {
    const char *name, *type, *help, *path;
} plain[] = {
    {"accepted_total", "counter", "Events stored since the start.", "totals.accepted"},
    {"duplicates_total", "counter", "Deliveries that were known already.", "totals.duplicates"},
    {"refused_total", "counter", "Requests that were not answered 200.", "totals.refused"},
    {"settled_total", "counter", "Events whose rules have all had their turn.", "totals.settled"},
    {"runs_done_total", "counter", "Runs that ended well.", "totals.runs_done"},
    {"runs_failed_total", "counter", "Runs that failed and go again.", "totals.runs_failed"},
    {"runs_dead_total", "counter", "Runs that failed for good.", "totals.runs_dead"},
    {"backlog_events", "gauge", "Events that wait for their rules.", "backlog.events"},
    {"backlog_retries", "gauge", "Runs that wait for their retry.", "backlog.retries"},
    {"backlog_outbox", "gauge", "Emails and calls that wait to leave.", "backlog.outbox"},
    {"backlog_timers", "gauge", "Timers that wait for their time.", "backlog.timers"},
    {"dead_runs", "gauge", "Runs that are dead letters.", "dead.runs"},
    {"dead_outbox", "gauge", "Deliveries that are dead letters.", "dead.outbox"},
    {"paused_rules", "gauge", "Rules that are paused or being resumed.", "paused.rules"},
    {"kept_runs", "gauge", "Runs that are kept until their rule is resumed.", "paused.kept"},
    {"workers_up", "gauge", "Rule workers that take jobs.", "workers.up"},
    {"worker_restarts_total", "counter", "Rule workers that ended.", "workers.restarts"},
    {"reloads_total", "counter", "Generations that went live since the start.", "reload.live"},
    {"reload_failures_total", "counter", "Reloads that failed since the start.", "reload.failed"},
    {"oldest_event_seconds", "gauge", "Age of the oldest event that waits.", "oldest.event.age_s"},
    {"disk_free_bytes", "gauge", "Room on the data folder's disk.", "disk.free_bytes"},
    {"database_bytes", "gauge", "Size of the store's file.", "disk.database_bytes"},
    {"wal_bytes", "gauge", "Size of its write-ahead log.", "disk.wal_bytes"},
};

static void put_plain(struct sh_buf *out, const cJSON *status)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        int64_t n = 0;
        (void)!sh_json_get_int(at(status, plain[i].path), &n);
        head(out, plain[i].name, plain[i].type, plain[i].help);
        sh_buf_addf(out, "switchhook_%s %" PRId64 "\n", plain[i].name, n);
    }
}

/* 1 while the last reload has failed; then each error says where and what, as labels. */
static void put_reload(struct sh_buf *out, const cJSON *status)
{
    const cJSON *last = at(status, "reload.last"), *error;
    const bool failed = cJSON_IsFalse(sh_json_member(last, "ok"));
    head(out, "reload_failed", "gauge", "1 if the last reload failed: the rules before stay live.");
    sh_buf_addf(out, "switchhook_reload_failed %d\n", failed);
    head(out, "reload_error", "gauge", "What failed in the last reload, and where.");
    cJSON_ArrayForEach(error, sh_json_member(failed ? last : NULL, "errors"))
    {
        int64_t line = 0;
        (void)!sh_json_get_int(sh_json_member(error, "line"), &line);
        sh_buf_adds(out, "switchhook_reload_error{file=\"");
        label(out, sh_json_string(error, "file"));
        sh_buf_addf(out, "\",line=\"%" PRId64 "\",error=\"", line);
        const char *msg = sh_json_string(error, "msg");
        char *first = sh_slice_dup(sh_fault_split(sh_slice_str(msg)).line); /* no hint in a label */
        label(out, first);
        free(first);
        sh_buf_adds(out, "\"} 1\n");
    }
}

static void put_tls(struct sh_buf *out, const cJSON *tls)
{
    int64_t end = 0, failed = 0;
    if (!cJSON_IsObject(tls))
        return;
    (void)!sh_json_get_int(sh_json_member(tls, "not_after_s"), &end);
    (void)!sh_json_get_int(sh_json_member(tls, "handshakes_failed"), &failed);
    head(out, "tls_certificate_expiry_seconds", "gauge",
         "When the certificate in use ends, Unix time.");
    sh_buf_addf(out, "switchhook_tls_certificate_expiry_seconds %" PRId64 "\n", end);
    head(out, "tls_reload_failed", "gauge",
         "1 if the certificate in the files does not load: the one before stays in use.");
    sh_buf_addf(out, "switchhook_tls_reload_failed %d\n", sh_json_string(tls, "error") != NULL);
    head(out, "tls_handshakes_failed_total", "counter", "TLS handshakes that came to nothing.");
    sh_buf_addf(out, "switchhook_tls_handshakes_failed_total %" PRId64 "\n", failed);
}

void sh_status_metrics(const cJSON *status, struct sh_buf *out)
{
    head(out, "info", "gauge", "The version and the live generation.");
    sh_buf_adds(out, "switchhook_info{version=\"");
    label(out, sh_json_string(status, "version"));
    sh_buf_adds(out, "\",generation=\"");
    label(out, sh_json_string(sh_json_member(status, "generation"), "id"));
    sh_buf_adds(out, "\"} 1\n");
    put_plain(out, status);
    put_reload(out, status);
    put_tls(out, sh_json_member(status, "tls"));
}
