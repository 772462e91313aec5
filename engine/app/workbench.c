/* SPDX-License-Identifier: MIT
 * workbench.c: one function for each thing that the kit asks for. */
#include "app/workbench.h"

#include "app/sample_events.h"
#include "app/sim_replies.h"
#include "app/simulator.h"
#include "base/clock.h"
#include "base/zone.h"
#include "lua/cover.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COVER_FACTOR 4

struct sh_workbench {
    struct sh_workbench_config config;
    struct sh_simulator *base;  /* of the project's rules */
    struct sh_simulator *other; /* of what a spec put in their place, or NULL */
    char *other_is;             /* what that is, to know it again; owned */
    struct sh_settings other_settings;
    struct sh_simulator *sim; /* of the test that runs: one of the two */
    cJSON *replies;
    struct sh_cover *cover; /* NULL: nobody asks */
};

/* --- simulators ------------------------------------------------------------------------------ */

static struct sh_simulator *simulator_of(const struct sh_workbench *w,
                                         const struct sh_generation *g,
                                         const struct sh_settings *settings, cJSON **report,
                                         struct sh_error *err)
{
    const struct sh_config *c = w->config.config;
    struct sh_budgets budgets = c->budgets;
    if (w->cover) { /* the hook that counts lines is not the author's time */
        budgets.cpu_ms *= COVER_FACTOR;
        budgets.wall_ms *= COVER_FACTOR;
    }
    const struct sh_simulator_config config = {.generation = g,
                                               .budgets = budgets,
                                               .start_ms = w->config.now_ms,
                                               .retry_ms = c->retry_ms,
                                               .n_retry = c->n_retry,
                                               .settings = settings,
                                               .cover = w->cover,
                                               .callback_email = c->callback_email,
                                               .callback_missed_ms = c->callback_missed_ms};
    return sh_simulator_new(&config, report, err);
}

/* The first error of a report in err. */
static void first_error(const cJSON *report, struct sh_error *err)
{
    const cJSON *errors = sh_json_member(report, "errors");
    const cJSON *fault = errors ? errors->child : NULL;
    const char *file = sh_json_string(fault, "file"), *msg = sh_json_string(fault, "msg");
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(fault, "line"), &line);
    if (file && msg)
        sh_error_set(err, SH_EINVAL, "the rules do not load: %s:%d: %.700s", file, (int)line, msg);
}

/* --- rules that a spec puts in place of the project's ----------------------------------------- */

struct files {
    struct sh_file *items; /* borrows texts; names owned */
    size_t n;
};

static void put_file(struct files *f, const char *name, const char *text, size_t len, bool is_rule)
{
    size_t i = 0;
    while (i < f->n && strcmp(f->items[i].name, name) != 0)
        i++;
    if (i == f->n) {
        f->items = sh_realloc(f->items, (f->n + 1) * sizeof(*f->items));
        f->items[f->n++] = (struct sh_file){.name = sh_strdup(name), .is_rule = is_rule};
    }
    f->items[i].text = (char *)(uintptr_t)text;
    f->items[i].len = len;
}

static bool put_texts(struct files *f, const cJSON *texts, const char *folder, struct sh_error *err)
{
    const cJSON *text;
    cJSON_ArrayForEach(text, texts)
    {
        if (!cJSON_IsString(text) || !text->string)
            return sh_error_set(err, SH_EINVAL, "hook.reset: %s: expected { name = text }", folder);
        size_t n = strlen(text->string);
        bool lua = n > 4 && strcmp(text->string + n - 4, ".lua") == 0;
        char *name = sh_strf("%s/%s%s", folder, text->string, lua ? "" : ".lua");
        put_file(f, name, text->valuestring, strlen(text->valuestring), *folder == 'r');
        free(name);
    }
    return true;
}

static struct sh_generation *changed_generation(const struct sh_workbench *w, const cJSON *args,
                                                struct sh_error *err)
{
    const cJSON *rules = sh_json_member(args, "rules"), *scripts = sh_json_member(args, "scripts");
    struct files f = {0};
    for (size_t i = 0; i < w->config.generation->n_files; i++) {
        const struct sh_file *file = &w->config.generation->files[i];
        if (!rules || !file->is_rule)
            put_file(&f, file->name, file->text, file->len, file->is_rule);
    }
    bool ok = put_texts(&f, rules, "rules", err) && put_texts(&f, scripts, "scripts", err);
    struct sh_generation *g = ok ? sh_generation_new(f.items, f.n) : NULL;
    for (size_t i = 0; i < f.n; i++)
        free(f.items[i].name);
    free(f.items);
    return g;
}

static size_t count(char *const *names)
{
    size_t n = 0;
    while (names && names[n])
        n++;
    return n;
}

/* The configured settings with a spec's zone, and its secrets beside the configured ones. */
static bool changed_settings(const struct sh_workbench *w, const cJSON *args,
                             struct sh_settings *out, struct sh_error *err)
{
    const struct sh_settings *is = &w->config.config->settings;
    const cJSON *secrets = sh_json_member(args, "secrets"), *name;
    const char *zone = sh_json_string(args, "zone");
    size_t n = count(is->secrets);
    if (zone && !sh_zone_find(zone))
        return sh_error_set(err, SH_EINVAL, "hook.reset: there is no time zone \"%.60s\"", zone);
    out->zone = sh_strdup(zone ? zone : is->zone);
    out->secrets = sh_alloc(n + (size_t)cJSON_GetArraySize(secrets) + 1, sizeof(char *));
    for (size_t i = 0; i < n; i++)
        out->secrets[i] = sh_strdup(is->secrets[i]);
    cJSON_ArrayForEach(name, secrets)
    {
        if (!cJSON_IsString(name))
            return sh_error_set(err, SH_EINVAL, "hook.reset: secrets: expected a list of names");
        out->secrets[n++] = sh_strdup(name->valuestring);
    }
    out->normalisers = sh_alloc(is->n_normalisers, sizeof(*out->normalisers));
    for (; out->n_normalisers < is->n_normalisers; out->n_normalisers++)
        out->normalisers[out->n_normalisers] =
            (struct sh_normaliser){.source = sh_strdup(is->normalisers[out->n_normalisers].source),
                                   .module = sh_strdup(is->normalisers[out->n_normalisers].module)};
    return true;
}

/* What tells one set of rules and settings from another. */
static char *identity(const struct sh_generation *g, const cJSON *args)
{
    struct sh_buf b;
    sh_buf_init(&b, (size_t)64 * 1024);
    sh_buf_adds(&b, g->id);
    const char *zone = sh_json_string(args, "zone");
    sh_buf_addf(&b, " %s ", zone ? zone : "");
    const cJSON *secrets = sh_json_member(args, "secrets");
    if (secrets)
        (void)!sh_json_print(secrets, &b);
    sh_buf_addc(&b, '\0');
    return sh_buf_take(&b, NULL);
}

static void forget_other(struct sh_workbench *w)
{
    if (w->sim == w->other)
        w->sim = w->base;
    sh_simulator_free(w->other);
    w->other = NULL;
    sh_settings_clear(&w->other_settings);
    free(w->other_is);
    w->other_is = NULL;
}

static bool use_other(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    struct sh_generation *g = changed_generation(w, args, err);
    if (!g)
        return false;
    char *is = identity(g, args);
    if (!w->other || strcmp(w->other_is, is) != 0) {
        cJSON *report = NULL;
        forget_other(w);
        if (changed_settings(w, args, &w->other_settings, err))
            w->other = simulator_of(w, g, &w->other_settings, &report, err);
        if (report && !w->other)
            first_error(report, err);
        w->other_is = sh_strdup(is);
        cJSON_Delete(report);
    }
    free(is);
    sh_generation_free(g);
    if (w->other)
        w->sim = w->other;
    return w->other != NULL;
}

/* --- what is asked for ----------------------------------------------------------------------- */

static cJSON *number(int64_t n)
{
    return sh_json_int(n);
}

static int64_t int_of(const cJSON *args, const char *name, int64_t otherwise)
{
    int64_t n = otherwise;
    (void)!sh_json_get_int(sh_json_member(args, name), &n);
    return n;
}

static cJSON *ask_reset(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    bool changed = sh_json_member(args, "rules") || sh_json_member(args, "scripts") ||
                   sh_json_member(args, "secrets") || sh_json_member(args, "zone");
    w->sim = w->base;
    if (changed && !use_other(w, args, err))
        return NULL;
    sh_simulator_set_replies(w->sim, NULL);
    cJSON_Delete(w->replies);
    w->replies = NULL;
    int64_t now_ms = int_of(args, "now", w->config.now_ms);
    return sh_simulator_reset(w->sim, now_ms, err) ? number(now_ms) : NULL;
}

/* Of hook.eval: any object is an event. */
static const struct sh_source_config *eval_source(void)
{
    static char name[] = "spec", type[] = "eval";
    static const struct sh_source_config source = {
        .source = {.name = name, .type = {.value = type}}};
    return &source;
}

static const struct sh_source_config *source_of(const struct sh_workbench *w, const cJSON *args,
                                                struct sh_error *err)
{
    const struct sh_config *c = w->config.config;
    const char *name = sh_json_string(args, "source");
    if (!name && c->n_sources == 1)
        return &c->sources[0];
    if (name && strcmp(name, "=eval") == 0)
        return eval_source();
    const struct sh_source_config *s = sh_config_source(c, name ? name : "webphone");
    if (!s && name)
        sh_error_set(err, SH_ENOTFOUND, "hook.send: no source \"%s\" is configured", name);
    else if (!s)
        sh_error_set(err, SH_EINVAL, "hook.send: say from which source: { source = \"name\" }");
    return s;
}

/* The path and the headers that a spec gives. */
static bool read_sent(const cJSON *args, struct sh_sent *sent, struct sh_error *err)
{
    const char *path = sh_json_string(args, "path");
    const cJSON *header;
    sent->path = path ? sh_strdup(path) : NULL;
    cJSON_ArrayForEach(header, sh_json_member(args, "headers"))
    {
        if (!header->string || !cJSON_IsString(header) ||
            !sh_sent_add(sent, sh_slice_str(header->string), sh_slice_str(header->valuestring)))
            return sh_error_set(err, SH_EINVAL,
                                "hook.send: headers: expected { [\"X-Name\"] = \"value\" }");
    }
    return true;
}

/* A table is the event's JSON, whatever the source's bodies are; a text is a body. */
static cJSON *send_to(struct sh_workbench *w, const struct sh_source_config *source,
                      struct sh_sent *sent, bool is_text)
{
    struct sh_source_config as_json = *source;
    if (!is_text)
        as_json.source.format = SH_BODY_JSON;
    return sh_simulator_send(w->sim, &as_json, sent, w->config.config->body_bytes);
}

static cJSON *ask_send(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    const struct sh_source_config *source = source_of(w, args, err);
    const cJSON *event = sh_json_member(args, "event");
    const char *text = sh_json_string(args, "body");
    struct sh_sent sent = {0};
    if (!source || !read_sent(args, &sent, err)) {
        sh_sent_clear(&sent);
        return NULL;
    }
    struct sh_buf body;
    sh_buf_init(&body, (size_t)64 << 20);
    bool ok = true;
    if (text)
        sh_buf_adds(&body, text);
    else
        ok = sh_json_print(event, &body);
    sh_buf_addc(&body, '\0');
    cJSON *entries = NULL;
    sent.body = sh_slice(body.data, body.len ? body.len - 1 : 0);
    if (ok && sh_buf_ok(&body))
        entries = send_to(w, source, &sent, text != NULL);
    else
        sh_error_set(err, SH_ELIMIT, "hook.send: the event is too large");
    sh_sent_clear(&sent);
    sh_buf_free(&body);
    return entries;
}

static cJSON *ask_advance(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)err;
    return sh_simulator_advance_ms(w->sim, int_of(args, "ms", 0));
}

static cJSON *ask_now(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    (void)err;
    return number(sh_simulator_now_ms(w->sim));
}

/* Of the test that runs. */
static const struct sh_zone *zone_of(const struct sh_workbench *w)
{
    const char *zone =
        w->sim == w->other ? w->other_settings.zone : w->config.config->settings.zone;
    const struct sh_zone *z = sh_zone_find(zone ? zone : "UTC");
    return z ? z : sh_zone_find("UTC");
}

/* A moment as a local time, to the minute if it is a whole one. */
static cJSON *ask_local(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    struct sh_zone_info info;
    struct sh_civil c;
    char text[40];
    int64_t s = int_of(args, "ms", 0) / 1000;
    (void)err;
    sh_zone_at(zone_of(w), s, &info);
    sh_civil_of(s + info.offset_s, &c);
    int n = snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d", (int)c.year, c.month, c.day,
                     c.hour, c.minute);
    if (c.second)
        snprintf(text + n, sizeof(text) - (size_t)n, ":%02d", c.second);
    return cJSON_CreateString(text);
}

/* RFC 3339, or a local time. */
static cJSON *ask_time(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    const char *text = sh_json_string(args, "text");
    const struct sh_zone *z = zone_of(w);
    struct sh_civil c;
    int64_t ms;
    if (!text)
        text = "";
    if (sh_time_parse(text, strlen(text), &ms))
        return number(ms);
    if (sh_civil_parse(text, &c))
        return number(sh_zone_moment(z, sh_civil_seconds(&c), NULL) * 1000);
    sh_error_set(err, SH_EINVAL,
                 "\"%.100s\" is no time; expected 2026-06-12T10:04:21Z, or 2026-06-12 12:04 for a "
                 "local time",
                 text);
    return NULL;
}

static cJSON *ask_replies(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    cJSON *replies = cJSON_IsArray(args) ? cJSON_Duplicate(args, true) : cJSON_CreateArray();
    if (!sh_sim_replies_check(replies, err)) {
        struct sh_error why = *err;
        sh_error_set(err, SH_EINVAL, "hook.http_reply: %s", why.msg);
        cJSON_Delete(replies);
        return NULL;
    }
    sh_simulator_set_replies(w->sim, replies);
    cJSON_Delete(w->replies);
    w->replies = replies;
    return cJSON_CreateTrue();
}

static cJSON *ask_deliver(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    const char *pattern = sh_json_string(args, "pattern");
    const struct sh_sim_delivery d = {.status = (int)int_of(args, "status", 200),
                                      .answer = sh_json_string(args, "answer"),
                                      .error = sh_json_string(args, "error")};
    size_t n;
    cJSON *entries = sh_simulator_deliver(w->sim, pattern ? pattern : "", &d, &n);
    if (n > 0)
        return entries;
    cJSON_Delete(entries);
    sh_error_set(err, SH_ENOTFOUND, "hook.deliver: nothing waits in the outbox for \"%s\"",
                 pattern ? pattern : "");
    return NULL;
}

static cJSON *ask_records(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    const char *collection = sh_json_string(args, "collection");
    if (collection)
        return sh_simulator_list(w->sim, SH_LIST_RECORDS, collection);
    sh_error_set(err, SH_EINVAL, "hook.records: which collection?");
    return NULL;
}

static cJSON *ask_callbacks(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    (void)err;
    return sh_simulator_list(w->sim, SH_LIST_CALLBACKS, NULL);
}

static cJSON *ask_outbox(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    (void)err;
    return sh_simulator_list(w->sim, SH_LIST_OUTBOX, NULL);
}

static cJSON *ask_timers(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    (void)err;
    return sh_simulator_list(w->sim, SH_LIST_TIMERS, NULL);
}

static cJSON *ask_rules(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    (void)err;
    cJSON *names = cJSON_CreateArray();
    const cJSON *rule;
    cJSON_ArrayForEach(rule, sh_json_member(sh_simulator_report(w->sim), "rules"))
        cJSON_AddItemToArray(names, cJSON_Duplicate(sh_json_member(rule, "name"), true));
    return names;
}

static cJSON *ask_payload(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    const char *name = sh_json_string(args, "name");
    return sh_sample_event(w->config.root, name ? name : "", err);
}

/* "rules/a.lua" of a generation as the path that a person can open. */
static char *path_of(const struct sh_config *c, const char *name)
{
    bool rule = strncmp(name, "rules/", 6) == 0;
    return sh_strf("%s%s", rule ? c->rules : c->scripts, strchr(name, '/'));
}

static cJSON *ask_coverage(struct sh_workbench *w, const cJSON *args, struct sh_error *err)
{
    (void)args;
    if (!w->cover) {
        sh_error_set(err, SH_EINVAL, "coverage was not asked for");
        return NULL;
    }
    cJSON *report = sh_cover_report(w->cover), *file;
    cJSON_ArrayForEach(file, report)
    {
        char *path = path_of(w->config.config, sh_json_string(file, "name"));
        cJSON_AddStringToObject(file, "path", path);
        free(path);
    }
    return report;
}

static const struct {
    const char *what;
    cJSON *(*answer)(struct sh_workbench *w, const cJSON *args, struct sh_error *err);
} questions[] = {
    {"reset", ask_reset},         {"send", ask_send},       {"advance", ask_advance},
    {"local", ask_local},         {"now", ask_now},         {"time", ask_time},
    {"replies", ask_replies},     {"deliver", ask_deliver}, {"records", ask_records},
    {"callbacks", ask_callbacks}, {"outbox", ask_outbox},   {"timers", ask_timers},
    {"rules", ask_rules},         {"payload", ask_payload}, {"coverage", ask_coverage},
};

cJSON *sh_workbench_ask(void *arg, const char *what, const cJSON *args, struct sh_error *err)
{
    struct sh_workbench *w = arg;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (strcmp(questions[i].what, what) == 0)
            return questions[i].answer(w, args, err);
    sh_error_set(err, SH_EINVAL, "the workbench does not know \"%s\"", what);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

struct sh_workbench *sh_workbench_new(const struct sh_workbench_config *config, cJSON **report,
                                      struct sh_error *err)
{
    struct sh_workbench *w = sh_alloc(1, sizeof(*w));
    w->config = *config;
    if (config->coverage)
        w->cover = sh_cover_new(config->generation);
    w->base = w->sim = simulator_of(w, config->generation, &config->config->settings, report, err);
    if (w->base)
        return w;
    sh_cover_free(w->cover);
    free(w);
    return NULL;
}

void sh_workbench_free(struct sh_workbench *w)
{
    if (!w)
        return;
    forget_other(w);
    sh_simulator_free(w->base);
    sh_cover_free(w->cover);
    cJSON_Delete(w->replies);
    free(w);
}
