/* SPDX-License-Identifier: MIT
 * cmd_token.c: `switchhook token`: who may come in through the API. */
#include "app/app.h"

#include "app/api_token.h"
#include "app/change.h"
#include "app/options.h"
#include "app/print.h"
#include "app/steer.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 30000

#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", NULL, "one JSON object a line"                                                     \
    }
static const struct sh_option new_options[] = {
    {"role", "viewer|operator|admin", "what its bearer may do"},
    {"expires", "WHEN", "90d from now, or 2027-01-01T00:00:00Z (default: never)"},
    {"quiet", NULL, "the token alone"},
    SH_STEER_OPTIONS,
    JSON_OPTION};
static const struct sh_option other_options[] = {SH_STEER_OPTIONS, JSON_OPTION};

#define SET(array) array, sizeof(array) / sizeof((array)[0])

static const struct sh_command commands[] = {
    {"token", "[list | new NAME --role ROLE | revoke NAME]",
     "List the tokens of the API: names, roles, since when, until when.",
     "As long as there is none, the API answers direct requests of this machine alone, without a\n"
     "token. Once there is one, everybody needs one, also after it has expired: until it is\n"
     "revoked. The commands here need none: they use the control socket of the data folder.",
     "  switchhook token\n"
     "  switchhook token new ci --role operator --expires 90d\n"
     "  switchhook token revoke ci",
     SET(other_options), 0, 0},
    {"token new", "NAME", "Make a token, and print it: this once, it is kept nowhere.",
     "A viewer reads. An operator also works callbacks, brings dead letters back or drops them,\n"
     "pauses and resumes rules and cancels timers. An admin also reloads, makes and revokes\n"
     "tokens, reads the audit table and forgets callers. Only a hash of the token is stored.",
     "  switchhook token new ci --role operator --expires 90d", SET(new_options), 1, 1},
    {"token revoke", "NAME", "Let this token in no more, from now on.", NULL,
     "  switchhook token revoke ci", SET(other_options), 1, 1},
};

static const struct sh_column columns[] = {
    {"NAME", "name", false, true},           {"ROLE", "role", false, false},
    {"CREATED", "created_at", false, false}, {"BY", "created_by", false, true},
    {"EXPIRES", "expires_at", false, false}, {"", "note", false, false}};

static int complain(const struct sh_error *err)
{
    fprintf(stderr, "switchhook token: %s\n", err->msg);
    return SH_EXIT_BAD;
}

/* --- the list ----------------------------------------------------------------------------------
 */

/* Without an engine that answers. */
static bool read_here(struct sh_steer *s, cJSON **rows, struct sh_error *err)
{
    struct sh_op_tokens op = {.op.kind = SH_OP_TOKENS};
    if (!sh_change_carry_out(s->dir, &s->config, &op.op, err))
        return false;
    *rows = sh_api_tokens_list(op.items, op.n_items);
    sh_tokens_free(op.items, op.n_items);
    return true;
}

static bool read_rows(struct sh_steer *s, cJSON **rows, struct sh_error *err)
{
    cJSON *answer;
    if (sh_steer_ask(s, "GET", "/api/v1/tokens", NULL, PATIENCE_MS, &answer, err)) {
        *rows = cJSON_DetachItemFromObject(answer, "items");
        cJSON_Delete(answer);
        return *rows != NULL || sh_error_set(err, SH_ESYS, "the engine's answer has no items");
    }
    return !s->url && err->code == SH_ENOTFOUND && read_here(s, rows, err);
}

static void print_rows(cJSON *rows, bool json)
{
    cJSON *row;
    struct sh_table *t = sh_table_new(SET(columns));
    cJSON_ArrayForEach(row, rows)
    {
        if (json) {
            sh_print_json(row);
            continue;
        }
        cJSON_AddStringToObject(row, "note",
                                cJSON_IsTrue(sh_json_member(row, "expired")) ? "expired" : "");
        sh_table_add(t, row);
    }
    sh_table_print(t);
    if (!json && sh_table_rows(t) == 0)
        printf("No tokens: the API answers direct requests of this machine alone.\n");
    sh_table_free(t);
}

static int list(struct sh_steer *s, const struct sh_options *o)
{
    struct sh_error err;
    cJSON *rows = NULL;
    if (!read_rows(s, &rows, &err))
        return complain(&err);
    print_rows(rows, sh_options_get(o, "json") != NULL);
    cJSON_Delete(rows);
    return 0;
}

/* --- changes -----------------------------------------------------------------------------------
 */

static void print_new(const cJSON *answer, const struct sh_options *o)
{
    const char *text = sh_json_string(answer, "token");
    if (sh_options_get(o, "json")) {
        sh_print_json(answer);
        return;
    }
    printf("%s\n", text ? text : "?");
    if (!sh_options_get(o, "quiet"))
        fprintf(stderr, "Keep it now: it is shown only this once. To use it: Authorization: Bearer"
                        " TOKEN\n");
}

static int make(struct sh_steer *s, const struct sh_options *o)
{
    struct sh_error err;
    cJSON *answer, *body = cJSON_CreateObject();
    const char *expires = sh_options_get(o, "expires");
    cJSON_AddStringToObject(body, "name", o->args[0]);
    cJSON_AddStringToObject(body, "role", sh_options_get(o, "role"));
    if (expires)
        cJSON_AddStringToObject(body, "expires", expires);
    bool ok = sh_steer_change(s, "token.new", NULL, body, &answer, &err);
    cJSON_Delete(body);
    if (!ok)
        return complain(&err);
    print_new(answer, o);
    cJSON_Delete(answer);
    return 0;
}

static int revoke(struct sh_steer *s, const struct sh_options *o)
{
    struct sh_error err;
    cJSON *answer;
    if (!sh_steer_change(s, "token.revoke", o->args[0], NULL, &answer, &err))
        return complain(&err);
    if (sh_options_get(o, "json"))
        sh_print_json(answer);
    else
        printf("%s: revoked.\n", o->args[0]);
    cJSON_Delete(answer);
    return 0;
}

static int go(const struct sh_options *o, size_t which)
{
    static int (*const fns[])(struct sh_steer *, const struct sh_options *) = {list, make, revoke};
    struct sh_steer s;
    int code;
    if (which == 1 && !sh_options_get(o, "role"))
        return sh_usage_error(o->command, "say what it may do: --role viewer, operator or admin");
    if (sh_steer_open(&s, o, &code))
        code = fns[which](&s, o);
    sh_steer_close(&s);
    return code;
}

int sh_cmd_token(int argc, char **argv)
{
    static const char *const words[] = {"list", "new", "revoke"};
    size_t which = 0;
    int skip = 0;
    for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(argv[1], words[i]) == 0) {
            which = i;
            skip = 1;
        }
    struct sh_options o;
    int code = sh_options_parse(&commands[which], argc - skip, argv + skip, &o);
    if (code < 0)
        code = go(&o, which);
    sh_options_clear(&o);
    return code;
}
