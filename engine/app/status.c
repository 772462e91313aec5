/* SPDX-License-Identifier: MIT
 * status.c: the engine's state, gathered. */
#include "app/status.h"

#include "app/metrics.h"
#include "app/rates.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/json.h"
#include "svc/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_METRICS ((size_t)64 << 20)
#define FRESH_US    1000000 /* what the store said is good for so long */

struct question {
    void (*fn)(void *arg, const cJSON *status); /* NULL: text */
    void (*text)(void *arg, struct sh_slice metrics);
    void *arg;
    struct question *next;
};

struct sh_status {
    struct sh_status_config config;
    struct sh_rates rates;
    int64_t started_ms, started_us;
    struct question *questions;
    int out;          /* operations with the store */
    int64_t fresh_us; /* when they came back; 0 = never */
    struct sh_op_count count;
    struct sh_op_oldest oldest;
};

/* --- parts of the tree -------------------------------------------------------------------------
 */

static void add_int(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddItemToObject(o, name, sh_json_int(n));
}

static void add_time(cJSON *o, const char *name, int64_t ms)
{
    char text[SH_TIME_TEXT];
    cJSON_AddItemToObject(o, name,
                          ms ? cJSON_CreateString(sh_time_text(ms, text)) : cJSON_CreateNull());
}

static void add_generation(const struct sh_status *s, cJSON *root)
{
    cJSON *o = cJSON_AddObjectToObject(root, "generation");
    cJSON_AddStringToObject(o, "id", sh_live_generation(s->config.live)->id);
    add_time(o, "since", sh_live_since_ms(s->config.live));
    add_int(o, "rules", cJSON_GetArraySize(sh_live_rules(s->config.live)));
    add_int(o, "files", (int64_t)sh_live_generation(s->config.live)->n_files);
    add_int(o, "finishing", (int64_t)sh_live_retired(s->config.live));
}

static void add_reload(const struct sh_status *s, cJSON *root)
{
    struct sh_reload *r = sh_live_reload(s->config.live);
    struct sh_reload_stats stats = {0};
    cJSON *o = cJSON_AddObjectToObject(root, "reload");
    const cJSON *last = r ? sh_reload_last(r) : NULL;
    if (r)
        sh_reload_stats(r, &stats);
    cJSON_AddBoolToObject(o, "watching", stats.watching);
    cJSON_AddBoolToObject(o, "busy", stats.busy);
    add_int(o, "live", stats.live);
    add_int(o, "failed", stats.failed);
    cJSON_AddItemToObject(o, "last", last ? cJSON_Duplicate(last, true) : cJSON_CreateNull());
}

static void add_workers(const struct sh_status *s, cJSON *root)
{
    const struct sh_crew *crew = sh_live_crew(s->config.live);
    cJSON *o = cJSON_AddObjectToObject(root, "workers");
    add_int(o, "up", (int64_t)sh_crew_ready(crew));
    add_int(o, "restarts", sh_live_restarts(s->config.live));
    cJSON_AddItemToObject(o, "list", sh_crew_json(crew));
}

static void add_backlog(const struct sh_status *s, cJSON *root)
{
    struct sh_dispatch_stats d;
    sh_dispatch_stats(s->config.dispatch, &d);
    cJSON *o = cJSON_AddObjectToObject(root, "backlog");
    add_int(o, "events", d.unfinished);
    add_int(o, "in_memory", d.in_memory);
    add_int(o, "running", d.active);
    add_int(o, "retries", s->count.retries);
    add_int(o, "outbox", s->count.queued);
    add_int(o, "timers", s->count.timers);
}

static void add_rates(const struct sh_status *s, cJSON *root)
{
    static const char *const names[] = {"accepted", "settled", "runs", "failed"};
    cJSON *all = cJSON_AddObjectToObject(root, "rates");
    for (int i = 0; i < SH_N_RATES; i++) {
        cJSON *o = cJSON_AddObjectToObject(all, names[i]);
        cJSON_AddNumberToObject(o, "1m", sh_rates_of(&s->rates, (enum sh_rate)i, 60));
        cJSON_AddNumberToObject(o, "5m", sh_rates_of(&s->rates, (enum sh_rate)i, 300));
    }
}

static void add_totals(const struct sh_status *s, cJSON *root)
{
    struct sh_ingress_stats in;
    struct sh_dispatch_stats d;
    uint64_t refused = 0;
    sh_ingress_stats(s->config.ingress, &in);
    sh_dispatch_stats(s->config.dispatch, &d);
    for (int i = 0; i < SH_N_REFUSALS; i++)
        refused += in.refused[i];
    cJSON *o = cJSON_AddObjectToObject(root, "totals");
    add_int(o, "accepted", (int64_t)in.accepted);
    add_int(o, "duplicates", (int64_t)in.duplicates);
    add_int(o, "refused", (int64_t)refused);
    add_int(o, "settled", d.settled);
    add_int(o, "runs_done", d.runs_done);
    add_int(o, "runs_failed", d.runs_failed);
    add_int(o, "runs_dead", d.runs_dead);
    add_int(o, "conflicts", d.conflicts);
}

static void add_old(cJSON *root, const char *name, const struct sh_oldest *o)
{
    if (!o->since_ms) {
        cJSON_AddNullToObject(root, name);
        return;
    }
    cJSON *one = cJSON_AddObjectToObject(root, name);
    cJSON_AddStringToObject(one, "id", o->id);
    add_time(one, "since", o->since_ms);
    add_int(one, "age_s", (sh_now_ms() - o->since_ms) / 1000);
}

static int64_t size_of(const char *dir, const char *name)
{
    struct stat st;
    char *path = sh_strf("%s/%s", dir, name);
    int64_t n = stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
    free(path);
    return n;
}

static void add_rule(void *list, const char *rule, enum sh_rule_state state)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "rule", rule);
    cJSON_AddStringToObject(o, "state", sh_rule_state_name(state));
    cJSON_AddItemToArray(list, o);
}

static void add_paused(const struct sh_status *s, cJSON *root)
{
    cJSON *o = cJSON_AddObjectToObject(root, "paused");
    cJSON *list = cJSON_AddArrayToObject(o, "list");
    sh_dispatch_held(s->config.dispatch, add_rule, list);
    add_int(o, "rules", cJSON_GetArraySize(list));
    add_int(o, "kept", s->count.kept_runs);
}

static void add_callbacks(const struct sh_status *s, cJSON *root)
{
    cJSON *o = cJSON_AddObjectToObject(root, "callbacks");
    add_int(o, "scheduled", s->count.callbacks.scheduled);
    add_int(o, "snoozed", s->count.callbacks.snoozed);
    add_int(o, "due", s->count.callbacks.due);
    add_int(o, "missed", s->count.callbacks.missed);
}

static void add_disk(const struct sh_status *s, cJSON *root)
{
    const char *dir = s->config.config->data;
    struct statvfs fs;
    cJSON *o = cJSON_AddObjectToObject(root, "disk");
    if (statvfs(dir, &fs) == 0)
        add_int(o, "free_bytes", (int64_t)(fs.f_bavail * fs.f_frsize));
    add_int(o, "min_free_bytes", s->config.config->min_free_bytes);
    add_int(o, "database_bytes", size_of(dir, "switchhook.db"));
    add_int(o, "wal_bytes", size_of(dir, "switchhook.db-wal"));
}

static void add_tls(const struct sh_status *s, cJSON *root)
{
    if (!s->config.tls) {
        cJSON_AddNullToObject(root, "tls");
        return;
    }
    const struct sh_tls_info *info = sh_tls_info(s->config.tls);
    cJSON *o = cJSON_AddObjectToObject(root, "tls");
    cJSON_AddStringToObject(o, "cert", info->cert);
    cJSON_AddStringToObject(o, "subject", info->subject);
    add_time(o, "not_after", info->not_after_ms);
    add_int(o, "not_after_s", info->not_after_ms / 1000);
    add_int(o, "expires_in_s", (info->not_after_ms - sh_now_ms()) / 1000);
    add_time(o, "loaded_at", info->loaded_ms);
    add_int(o, "handshakes_failed", info->handshakes_failed);
    cJSON_AddItemToObject(o, "error",
                          info->failed ? cJSON_CreateString(info->error.msg) : cJSON_CreateNull());
}

static void add_refusal(void *list, const struct sh_meter_row *row)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "source", row->a[0] ? cJSON_CreateString(row->a) : cJSON_CreateNull());
    cJSON_AddStringToObject(o, "reason", row->b);
    add_int(o, "count", (int64_t)row->counts[0]);
    add_time(o, "last_at", row->last_ms);
    add_int(o, "last_s", (sh_now_ms() - row->last_ms) / 1000);
    cJSON_AddItemToArray(list, o);
}

static cJSON *tree(const struct sh_status *s)
{
    cJSON *root = cJSON_CreateObject();
    const char *refusing = s->config.refusing(s->config.arg);
    cJSON_AddStringToObject(root, "version", SH_VERSION);
    add_int(root, "pid", getpid());
    add_time(root, "started_at", s->started_ms);
    add_int(root, "uptime_s", (sh_mono_us() - s->started_us) / 1000000);
    cJSON_AddItemToObject(root, "refusing",
                          refusing ? cJSON_CreateString(refusing) : cJSON_CreateNull());
    add_generation(s, root);
    add_reload(s, root);
    add_workers(s, root);
    add_backlog(s, root);
    add_rates(s, root);
    add_totals(s, root);
    sh_meter_refusals(s->config.meter, add_refusal, cJSON_AddArrayToObject(root, "refused"));
    cJSON *oldest = cJSON_AddObjectToObject(root, "oldest");
    add_old(oldest, "event", &s->oldest.event);
    add_old(oldest, "retry", &s->oldest.retry);
    add_old(oldest, "outbox", &s->oldest.item);
    cJSON *dead = cJSON_AddObjectToObject(root, "dead");
    add_int(dead, "runs", s->count.dead_runs);
    add_int(dead, "outbox", s->count.dead_items);
    add_paused(s, root);
    add_callbacks(s, root);
    add_disk(s, root);
    add_tls(s, root);
    const cJSON *sandbox = sh_crew_sandbox(sh_live_crew(s->config.live));
    cJSON_AddItemToObject(root, "sandbox",
                          sandbox ? cJSON_Duplicate(sandbox, true) : cJSON_CreateNull());
    const cJSON *outdated = s->config.outdated(s->config.arg);
    cJSON_AddItemToObject(root, "outdated",
                          outdated ? cJSON_Duplicate(outdated, true) : cJSON_CreateNull());
    return root;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void tell_metrics(const struct sh_status *s, const struct question *q, const cJSON *status)
{
    const struct sh_metrics metrics = {.status = status,
                                       .count = &s->count,
                                       .meter = s->config.meter,
                                       .ingress = s->config.ingress,
                                       .outbox = s->config.outbox,
                                       .store = s->config.store,
                                       .started_ms = s->started_ms,
                                       .steady = s->config.steady(s->config.arg)};
    struct sh_buf out;
    sh_buf_init(&out, MAX_METRICS);
    sh_metrics_write(&metrics, &out);
    q->text(q->arg, sh_slice(out.data, out.len));
    sh_buf_free(&out);
}

static void answer(struct sh_status *s)
{
    struct question *list = s->questions;
    cJSON *status = tree(s);
    s->questions = NULL;
    for (struct question *q = list, *next; q; q = next) {
        next = q->next;
        if (q->fn)
            q->fn(q->arg, status);
        else
            tell_metrics(s, q, status);
        free(q);
    }
    cJSON_Delete(status);
}

static void on_known(struct sh_op *op)
{
    struct sh_status *s = op->arg;
    if (!op->ok)
        sh_warn("status: the store cannot be asked", "error", op->err.msg);
    if (--s->out > 0)
        return;
    s->fresh_us = sh_mono_us();
    answer(s);
}

static void ask(struct sh_status *s, const struct question *question)
{
    struct question *q = sh_alloc(1, sizeof(*q));
    *q = *question;
    q->next = s->questions;
    s->questions = q;
    if (s->out)
        return;
    if (s->fresh_us && sh_mono_us() - s->fresh_us < FRESH_US) {
        answer(s);
        return;
    }
    s->count = (struct sh_op_count){.op = {.kind = SH_OP_COUNT, .done = on_known, .arg = s}};
    s->oldest = (struct sh_op_oldest){.op = {.kind = SH_OP_OLDEST, .done = on_known, .arg = s}};
    s->out = 2;
    sh_store_submit(s->config.store, &s->count.op);
    sh_store_submit(s->config.store, &s->oldest.op);
}

void sh_status_ask(struct sh_status *s, void (*fn)(void *arg, const cJSON *status), void *arg)
{
    ask(s, &(const struct question){.fn = fn, .arg = arg});
}

void sh_status_ask_metrics(struct sh_status *s, void (*fn)(void *arg, struct sh_slice text),
                           void *arg)
{
    ask(s, &(const struct question){.text = fn, .arg = arg});
}

void sh_status_tick(struct sh_status *s)
{
    struct sh_dispatch_stats d;
    struct sh_ingress_stats in;
    sh_dispatch_stats(s->config.dispatch, &d);
    sh_ingress_stats(s->config.ingress, &in);
    const int64_t counts[SH_N_RATES] = {
        [SH_RATE_ACCEPTED] = (int64_t)in.accepted,
        [SH_RATE_SETTLED] = d.settled,
        [SH_RATE_RUNS] = d.runs_done,
        [SH_RATE_FAILED] = d.runs_failed + d.runs_dead,
    };
    sh_rates_note(&s->rates, sh_mono_us(), counts);
}

struct sh_status *sh_status_new(const struct sh_status_config *config)
{
    struct sh_status *s = sh_alloc(1, sizeof(*s));
    s->config = *config;
    s->started_ms = sh_now_ms();
    s->started_us = sh_mono_us();
    sh_status_tick(s);
    return s;
}

void sh_status_free(struct sh_status *s)
{
    if (!s)
        return;
    for (struct question *q = s->questions, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    free(s);
}
