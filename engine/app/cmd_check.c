/* SPDX-License-Identifier: MIT
 * cmd_check.c: configuration and rules, everything wrong with them at once. */
#include "app/app.h"

#include "app/config.h"
#include "app/options.h"
#include "app/print.h"
#include "app/rules.h"
#include "svc/json.h"
#include "svc/owner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct sh_option options[] = {
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"rules", "DIR", "rules folder (default: as configured, rules/)"},
    {"scripts", "DIR", "scripts folder (default: as configured, scripts/)"},
    {"json", NULL, "one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "check",
    .summary = "Read configuration and rules as serve would, and say everything that is wrong.",
    .details =
        "Prints each error and warning as file:line: message. Run by root it reads everything\n"
        "as the user whose the data folder is: what this user may not read is an error, as it\n"
        "is one for the service. Exit code 1 if there is an\n"
        "error. A running engine then keeps the rules it has; one that starts takes up those\n"
        "that were live last, and starts not at all if there were none or if it is the\n"
        "configuration.",
    .example = "  switchhook check --config switchhook.lua",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
};

struct check {
    struct sh_config config;
    cJSON *faults;             /* of the configuration */
    cJSON *report;             /* of the rules, or NULL */
    struct sh_error rules_err; /* when there is no report */
    const char *scripts;       /* NULL: none there */
    char *reader;              /* the user that root has become to read; NULL: nobody else */
};

/* asked: the command line names the scripts folder, so it must be there. */
static bool load_rules(struct check *k, bool asked)
{
    struct stat st;
    bool there = stat(k->config.scripts, &st) == 0 && S_ISDIR(st.st_mode);
    if (asked && !there)
        return sh_error_set(&k->rules_err, SH_ENOTFOUND, "%s: no such folder (scripts)",
                            k->config.scripts);
    k->scripts = there ? k->config.scripts : NULL;
    struct sh_generation *g = sh_generation_read(k->config.rules, k->scripts, &k->rules_err);
    if (!g)
        return false;
    bool ok = sh_rules_load(g, &k->config.budgets, &k->config.settings, &k->report);
    sh_generation_free(g);
    return ok;
}

static const char *auth_text(const struct sh_source_config *s)
{
    return s->auth.kind == SH_AUTH_UNSET    ? "not set (loopback only)"
           : s->auth.kind == SH_AUTH_BEARER ? "bearer token"
                                            : sh_auth_kind_name(s->auth.kind);
}

static cJSON *source_json(const struct sh_source_config *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", s->source.name);
    cJSON_AddStringToObject(o, "path", s->path ? s->path : "");
    cJSON_AddStringToObject(o, "auth", sh_auth_kind_name(s->auth.kind));
    return o;
}

/* Move a list of the report, or the configuration's faults, behind the others in out. */
static void append(cJSON *out, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) cJSON_AddItemToArray(out, cJSON_Duplicate(item, true));
}

/* The message, whose place stands beside it. */
static const char *without_place(const char *msg, const char *place)
{
    size_t n = strlen(place);
    bool named = strncmp(msg, place, n) == 0 && strncmp(msg + n, ": ", 2) == 0;
    return named ? msg + n + 2 : msg;
}

static void print_json(const struct check *k, bool ok)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", ok);
    cJSON *errors = cJSON_AddArrayToObject(o, "errors");
    append(errors, k->faults);
    append(errors, sh_json_member(k->report, "errors"));
    if (!k->report) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "file", k->config.rules);
        cJSON_AddStringToObject(e, "msg", without_place(k->rules_err.msg, k->config.rules));
        cJSON_AddItemToArray(errors, e);
    }
    append(cJSON_AddArrayToObject(o, "warnings"), sh_json_member(k->report, "warnings"));
    cJSON *sources = cJSON_AddArrayToObject(o, "sources");
    for (size_t i = 0; i < k->config.n_sources; i++)
        cJSON_AddItemToArray(sources, source_json(&k->config.sources[i]));
    append(cJSON_AddArrayToObject(o, "rules"), sh_json_member(k->report, "rules"));
    sh_print_json(o);
    cJSON_Delete(o);
}

/* A row of the table: its event types as people read them. */
static void add_row(struct sh_table *t, const cJSON *rule)
{
    struct sh_buf types;
    const cJSON *one;
    cJSON *row = cJSON_Duplicate(rule, true);
    sh_buf_init(&types, 65536);
    cJSON_ArrayForEach(one, sh_json_member(rule, "on")) sh_buf_addf(
        &types, "%s%s", types.len ? ", " : "", cJSON_IsString(one) ? one->valuestring : "?");
    cJSON_AddStringToObject(row, "types", types.data ? types.data : "");
    sh_table_add(t, row);
    cJSON_Delete(row);
    sh_buf_free(&types);
}

static void print_summary(const struct check *k)
{
    static const struct sh_column columns[] = {{"RULE", "name", false, true},
                                               {"ON", "types", false, true},
                                               {"EVERY", "every", false, true},
                                               {"FILE", "file", false, false},
                                               {"LINE", "line", true, false}};
    const struct sh_config *c = &k->config;
    printf("Configuration: %s\n", c->file ? c->file : "none, defaults");
    if (k->reader)
        printf("Read as the user %s, whose the data folder is\n", k->reader);
    printf("Listens on %s port %d, data in %s\n\n", c->listen_host, c->listen_port, c->data);
    for (size_t i = 0; i < c->n_sources; i++)
        printf("Source %s: POST %s, auth %s\n", c->sources[i].source.name, c->sources[i].path,
               auth_text(&c->sources[i]));
    struct sh_table *t = sh_table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const cJSON *rule;
    cJSON_ArrayForEach(rule, sh_json_member(k->report, "rules")) add_row(t, rule);
    printf("\n");
    sh_table_print(t);
    printf("\n%zu rules, no errors.\n", sh_table_rows(t));
    sh_table_free(t);
}

static void print_text(const struct check *k, bool ok)
{
    if (!ok && k->reader)
        fprintf(stderr, "Read as the user %s, whose the data folder is:\n", k->reader);
    sh_config_print_faults(k->faults);
    if (k->report)
        sh_rules_print_faults(stderr, k->report, k->config.rules, k->scripts);
    else
        fprintf(stderr, "%s\n", k->rules_err.msg);
    if (ok)
        print_summary(k);
}

/* What serve refuses too, as one more fault. */
static void check_exposure(struct check *k)
{
    struct sh_error err;
    if (sh_config_check_exposure(&k->config, &err))
        return;
    cJSON *fault = cJSON_CreateObject();
    cJSON_AddStringToObject(fault, "file", k->config.file ? k->config.file : "");
    cJSON_AddItemToObject(fault, "line", sh_json_int(0));
    cJSON_AddStringToObject(fault, "key", "listen");
    cJSON_AddStringToObject(fault, "msg", err.msg);
    cJSON_AddItemToArray(k->faults, fault);
}

/* Root may read everything, and so would find nothing wrong with a file that the service's user may
 * not: it goes on as that user, and reads anew. What root itself cannot read is said as it is. */
static bool load_config(struct check *k, const struct sh_options *o)
{
    struct sh_error err;
    const char *file = sh_options_get(o, "config");
    if (!sh_config_load(file, &k->config, &k->faults))
        return false;
    if (!sh_owner_become(k->config.data, &k->reader, &err)) {
        fprintf(stderr, "switchhook check: %s\n", err.msg);
        return false;
    }
    if (!k->reader)
        return true;
    char *found = sh_strdup(k->config.file ? k->config.file : "");
    cJSON_Delete(k->faults);
    sh_config_clear(&k->config);
    const bool ok = sh_config_load(found, &k->config, &k->faults);
    free(found);
    return ok;
}

int sh_cmd_check(int argc, char **argv)
{
    struct sh_options o;
    struct check k = {0};
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code >= 0) {
        sh_options_clear(&o);
        return code;
    }
    bool ok = load_config(&k, &o);
    sh_config_override(&k.config.rules, sh_options_get(&o, "rules"));
    sh_config_override(&k.config.scripts, sh_options_get(&o, "scripts"));
    if (ok) {
        sh_config_check_tls(&k.config, k.faults);
        check_exposure(&k);
    }
    bool rules_ok = load_rules(&k, sh_options_get(&o, "scripts") != NULL);
    ok = ok && rules_ok && cJSON_GetArraySize(k.faults) == 0;
    if (sh_options_get(&o, "json"))
        print_json(&k, ok);
    else
        print_text(&k, ok);
    cJSON_Delete(k.faults);
    cJSON_Delete(k.report);
    sh_config_clear(&k.config);
    free(k.reader);
    sh_options_clear(&o);
    return ok ? 0 : SH_EXIT_BAD;
}
