/* SPDX-License-Identifier: MIT
 * cmd_status.c: how the running engine is. */
#include "app/app.h"

#include "app/options.h"
#include "app/print.h"
#include "app/steer.h"
#include "base/clock.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000

static const struct sh_option options[] = {
    SH_STEER_OPTIONS,
    {"json", NULL, "one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "status",
    .summary = "Say how the running engine is.",
    .details =
        "The live generation and the last reload, workers and what holds them, backlog and\n"
        "rates, the oldest unfinished work, paused rules, dead letters, whose requests were\n"
        "refused in the last hour and why, the disk, the certificate. Exit code 0 if all is\n"
        "well; 1 if no engine runs, or something needs a person: a reload that failed, a paused\n"
        "rule, a dead letter, no worker, no new events taken, a certificate that has expired or\n"
        "whose successor does not load.",
    .example = "  switchhook status\n  switchhook status --json | jq .backlog",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
};

/* --- small things --------------------------------------------------------------------------------
 */

#define CERTIFICATE_SOON_S (14 * 86400)
#define REFUSED_S          3600 /* what was refused longer ago is no news */

static int64_t number(const cJSON *tree, const char *group, const char *name)
{
    int64_t n = 0;
    (void)!sh_json_get_int(sh_json_member(group ? sh_json_member(tree, group) : tree, name), &n);
    return n;
}

static const char *text(const cJSON *o, const char *name)
{
    const char *s = sh_json_string(o, name);
    return s ? s : "?";
}

static void title(const char *name)
{
    printf("%-12s ", name);
}

/* "3d 4h", "5m 12s" */
static void age(int64_t s, char out[32])
{
    if (s >= 86400)
        snprintf(out, 32, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(out, 32, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(out, 32, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
    else
        snprintf(out, 32, "%" PRId64 "s", s);
}

static void size(int64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t i = 0;
    while (n >= 1024 && i < 4) {
        n /= 1024;
        i++;
    }
    snprintf(out, 32, i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

static const char *warn_style(bool bad)
{
    return bad ? sh_style(stdout, SH_RED) : "";
}

static const char *warn_end(bool bad)
{
    return bad ? sh_style(stdout, SH_PLAIN) : "";
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void print_engine(const cJSON *s)
{
    char up[32];
    const char *refusing = sh_json_string(s, "refusing");
    age(number(s, NULL, "uptime_s"), up);
    title("engine");
    printf("switchhook %s, pid %" PRId64 ", up %s, %s%s%s%s\n", text(s, "version"),
           number(s, NULL, "pid"), up, warn_style(refusing != NULL),
           refusing ? "takes no new events: " : "takes events", refusing ? refusing : "",
           warn_end(refusing != NULL));
}

static void print_generation(const cJSON *s)
{
    const cJSON *g = sh_json_member(s, "generation");
    title("generation");
    printf("%s, live since %s, %" PRId64 " rules", text(g, "id"), text(g, "since"),
           number(s, "generation", "rules"));
    int64_t finishing = number(s, "generation", "finishing");
    if (finishing)
        printf(", %" PRId64 " before it still finish", finishing);
    printf("\n");
}

/* kind: in front of the text. A fault that is no file's has only its text. */
static void print_fault(const cJSON *e, const char *kind, enum sh_style style)
{
    const char *file = sh_json_string(e, "file");
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(e, "line"), &line);
    printf("%-12s   %s", "", sh_style(stdout, style));
    if (file && *file) {
        sh_print_text(stdout, file, "");
        if (line)
            printf(":%" PRId64, line);
        printf(": ");
    }
    printf("%s", kind);
    sh_print_text(stdout, text(e, "msg"), "                 ");
    printf("%s\n", sh_style(stdout, SH_PLAIN));
}

static void print_reload(const cJSON *s)
{
    const cJSON *r = sh_json_member(s, "reload"), *last = sh_json_member(r, "last"), *e;
    const bool bad = cJSON_IsFalse(sh_json_member(last, "ok"));
    title("reload");
    if (!cJSON_IsObject(last))
        printf("none since the start");
    else
        printf("%s%s%s at %s by %s", warn_style(bad),
               bad                                             ? "FAILED"
               : cJSON_IsTrue(sh_json_member(last, "changed")) ? "went live"
                                                               : "nothing new",
               warn_end(bad), text(last, "at"), text(last, "cause"));
    printf("%s%s\n", cJSON_IsTrue(sh_json_member(r, "watching")) ? "" : ", files are not watched",
           cJSON_IsTrue(sh_json_member(r, "busy")) ? ", one is under way" : "");
    cJSON_ArrayForEach(e, sh_json_member(bad ? last : NULL, "errors")) print_fault(e, "", SH_PLAIN);
    cJSON_ArrayForEach(e, sh_json_member(last, "warnings")) print_fault(e, "warning: ", SH_YELLOW);
}

static void print_workers(const cJSON *s)
{
    const cJSON *w;
    const int64_t up = number(s, "workers", "up");
    title("workers");
    printf("%s%" PRId64 " up%s", warn_style(up == 0), up, warn_end(up == 0));
    cJSON_ArrayForEach(w, sh_json_member(sh_json_member(s, "workers"), "list"))
    {
        printf(", %" PRId64 " %s (%" PRId64 " jobs)", number(w, NULL, "pid"), text(w, "state"),
               number(w, NULL, "jobs"));
    }
    printf(", %" PRId64 " restarts\n", number(s, "workers", "restarts"));
}

static void print_backlog(const cJSON *s)
{
    title("backlog");
    printf("%" PRId64 " events, %" PRId64 " retries, %" PRId64 " to deliver, %" PRId64
           " timers; running now: %" PRId64 "\n",
           number(s, "backlog", "events"), number(s, "backlog", "retries"),
           number(s, "backlog", "outbox"), number(s, "backlog", "timers"),
           number(s, "backlog", "running"));
}

static void print_rates(const cJSON *s)
{
    static const char *const names[] = {"accepted", "settled", "runs", "failed"};
    title("rates");
    for (size_t i = 0; i < 4; i++) {
        const cJSON *r = sh_json_member(sh_json_member(s, "rates"), names[i]),
                    *one = sh_json_member(r, "1m"), *five = sh_json_member(r, "5m");
        printf("%s%s %.1f/s (%.1f)", i ? ", " : "", names[i], one ? one->valuedouble : 0,
               five ? five->valuedouble : 0);
    }
    printf(", over 1 minute (5)\n");
}

static void print_oldest(const cJSON *s)
{
    static const char *const names[] = {"event", "retry", "outbox"};
    bool any = false;
    title("oldest");
    for (size_t i = 0; i < 3; i++) {
        char old[32];
        const cJSON *o = sh_json_member(sh_json_member(s, "oldest"), names[i]);
        if (!cJSON_IsObject(o))
            continue;
        age(number(o, NULL, "age_s"), old);
        printf("%s%s %s (%s)", any ? ", " : "", names[i], old, text(o, "id"));
        any = true;
    }
    printf("%s\n", any ? "" : "nothing is unfinished");
}

static void print_dead(const cJSON *s)
{
    const int64_t runs = number(s, "dead", "runs"), items = number(s, "dead", "outbox");
    const bool bad = runs + items > 0;
    title("dead letters");
    printf("%s%" PRId64 " runs, %" PRId64 " deliveries%s%s\n", warn_style(bad), runs, items,
           warn_end(bad),
           bad ? " (switchhook runs --state dead, outbox --state dead; redrive)" : "");
}

static void print_paused(const cJSON *s)
{
    const cJSON *r;
    const bool bad = number(s, "paused", "rules") > 0;
    title("paused rules");
    printf("%s%s", warn_style(bad), bad ? "" : "none");
    cJSON_ArrayForEach(r, sh_json_member(sh_json_member(s, "paused"), "list"))
    {
        printf("%s\"", r->prev && r->prev->next ? ", " : "");
        sh_print_text(stdout, text(r, "rule"), NULL);
        printf("\"%s", strcmp(text(r, "state"), "paused") == 0 ? "" : " (being resumed)");
    }
    printf("%s", warn_end(bad));
    if (bad)
        printf(", %" PRId64 " runs kept (switchhook rules resume NAME)",
               number(s, "paused", "kept"));
    printf("\n");
}

/* The reasons of one source in a line, those of the last hour. */
static void print_refused_of(const cJSON *list, const char *source, bool first)
{
    const cJSON *r;
    bool any = false;
    if (first)
        title("refused");
    else
        printf("%-12s ", "");
    sh_print_text(stdout, source ? source : "(no source)", NULL);
    cJSON_ArrayForEach(r, list)
    {
        char ago[32];
        const char *of = sh_json_string(r, "source");
        if (strcmp(of ? of : "", source ? source : "") != 0 ||
            number(r, NULL, "last_s") >= REFUSED_S)
            continue;
        age(number(r, NULL, "last_s"), ago);
        printf("%s %s %" PRId64 " (last %s ago)", any ? "," : ":", text(r, "reason"),
               number(r, NULL, "count"), ago);
        any = true;
    }
    printf("\n");
}

/* Was the source of this row met in a row before it? */
static bool seen_before(const cJSON *list, const cJSON *row)
{
    const char *source = sh_json_string(row, "source");
    const cJSON *r;
    cJSON_ArrayForEach(r, list)
    {
        const char *of = sh_json_string(r, "source");
        if (r == row)
            return false;
        if (number(r, NULL, "last_s") < REFUSED_S &&
            strcmp(of ? of : "", source ? source : "") == 0)
            return true;
    }
    return false;
}

static void print_refused(const cJSON *s)
{
    const cJSON *list = sh_json_member(s, "refused"), *r;
    bool any = false;
    cJSON_ArrayForEach(r, list)
    {
        if (number(r, NULL, "last_s") >= REFUSED_S || seen_before(list, r))
            continue;
        print_refused_of(list, sh_json_string(r, "source"), !any);
        any = true;
    }
    if (!any) {
        title("refused");
        printf("nothing in the last hour\n");
    }
}

static void print_disk(const cJSON *s)
{
    char free_text[32], db[32], wal[32];
    const int64_t left = number(s, "disk", "free_bytes");
    const bool bad = left < number(s, "disk", "min_free_bytes");
    size(left, free_text);
    size(number(s, "disk", "database_bytes"), db);
    size(number(s, "disk", "wal_bytes"), wal);
    title("disk");
    printf("%s%s free%s, database %s, log %s\n", warn_style(bad), free_text, warn_end(bad), db,
           wal);
}

static void print_tls(const cJSON *s)
{
    const cJSON *tls = sh_json_member(s, "tls");
    const char *error = sh_json_string(tls, "error");
    const int64_t left = number(s, "tls", "expires_in_s");
    if (!cJSON_IsObject(tls))
        return;
    char left_text[32];
    title("certificate");
    sh_print_text(stdout, text(tls, "subject"), NULL);
    age(left, left_text);
    if (left <= 0)
        printf(", %sexpired at %s%s", warn_style(true), text(tls, "not_after"), warn_end(true));
    else
        printf(", %suntil %s (%s)%s", warn_style(left < CERTIFICATE_SOON_S), text(tls, "not_after"),
               left_text, warn_end(left < CERTIFICATE_SOON_S));
    if (error) {
        printf("\n             %sthe new one does not load: ", warn_style(true));
        sh_print_text(stdout, error, NULL);
        printf("%s", warn_end(true));
    }
    printf("\n");
}

static void print_libraries(const cJSON *s)
{
    const cJSON *list = sh_json_member(s, "outdated"), *o;
    const char *before = "";
    if (!cJSON_GetArraySize(list))
        return;
    title("libraries");
    printf("%swithout fixes that the engine relies on: ", warn_style(true));
    cJSON_ArrayForEach(o, list)
    {
        printf("%s%s %s", before, text(o, "library"), text(o, "version"));
        before = ", ";
    }
    printf("%s (switchhook version says more)\n", warn_end(true));
}

static void print_sandbox(const cJSON *s)
{
    const cJSON *box = sh_json_member(s, "sandbox"), *missing = sh_json_member(box, "missing"), *m;
    title("sandbox");
    if (!cJSON_IsObject(box)) {
        printf("not known yet\n");
        return;
    }
    if (!missing || !missing->child)
        printf("seccomp, Landlock %" PRId64 ", no new privileges, limits: all hold\n",
               number(s, "sandbox", "landlock"));
    cJSON_ArrayForEach(m, missing)
    {
        printf("%s%s%s%s", m == missing->child ? "" : "             ", warn_style(true),
               m == missing->child ? "missing: " : "and ", warn_end(true));
        sh_print_text(stdout, cJSON_IsString(m) ? m->valuestring : "?", "");
        printf("\n");
    }
}

/* Does something need a person? */
static bool needs_someone(const cJSON *s)
{
    const cJSON *last = sh_json_member(sh_json_member(s, "reload"), "last");
    return cJSON_IsFalse(sh_json_member(last, "ok")) || sh_json_string(s, "refusing") ||
           number(s, "workers", "up") == 0 || number(s, "dead", "runs") > 0 ||
           number(s, "dead", "outbox") > 0 || number(s, "paused", "rules") > 0 ||
           sh_json_string(sh_json_member(s, "tls"), "error") ||
           (cJSON_IsObject(sh_json_member(s, "tls")) && number(s, "tls", "expires_in_s") <= 0);
}

static int go(const struct sh_options *o, struct sh_steer *steer)
{
    struct sh_error err;
    cJSON *s;
    if (!sh_steer_ask(steer, "GET", "/api/v1/status", NULL, PATIENCE_MS, &s, &err)) {
        fprintf(stderr, "switchhook status: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    if (sh_options_get(o, "json")) {
        sh_print_json(s);
    } else {
        static void (*const lines[])(const cJSON *) = {
            print_engine, print_generation, print_reload,  print_workers,  print_backlog,
            print_rates,  print_oldest,     print_dead,    print_paused,   print_refused,
            print_disk,   print_tls,        print_sandbox, print_libraries};
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
            lines[i](s);
    }
    bool bad = needs_someone(s);
    cJSON_Delete(s);
    return bad ? SH_EXIT_BAD : 0;
}

int sh_cmd_status(int argc, char **argv)
{
    struct sh_options o;
    struct sh_steer steer = {0};
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0 && sh_steer_open(&steer, &o, &code))
        code = go(&o, &steer);
    sh_steer_close(&steer);
    sh_options_clear(&o);
    return code;
}
