/* SPDX-License-Identifier: MIT
 * verify_print.c: what backup, restore and verify say. */
#include "app/verify_print.h"

#include "app/print.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>

int64_t sh_verify_int(const cJSON *object, const char *name)
{
    int64_t n = 0;
    const cJSON *m = sh_json_member(object, name);
    if (m)
        (void)!sh_json_get_int(m, &n);
    return n;
}

void sh_verify_print_facts(const cJSON *report)
{
    const cJSON *newest = sh_json_member(report, "newest_event");
    const char *id = sh_json_string(newest, "id"), *at = sh_json_string(newest, "received_at");
    printf("%.1f MiB, schema %" PRId64 ", %" PRId64 " events",
           (double)sh_verify_int(report, "bytes") / 1048576, sh_verify_int(report, "schema"),
           sh_verify_int(report, "events"));
    if (id && at) {
        printf(", the newest ");
        sh_print_text(stdout, id, NULL);
        printf(" of %s", at);
    }
    putchar('\n');
}

int sh_verify_count(const cJSON *verify, int *bad)
{
    const cJSON *checks = sh_json_member(verify, "checks"), *c;
    *bad = cJSON_GetArraySize(sh_json_member(verify, "bad"));
    cJSON_ArrayForEach(c, checks) *bad += !cJSON_IsTrue(sh_json_member(c, "ok"));
    return cJSON_IsArray(checks) ? cJSON_GetArraySize(checks)
                                 : (int)sh_verify_int(verify, "checks");
}

static void print_bad(const cJSON *check)
{
    const int64_t bad = sh_verify_int(check, "bad");
    const cJSON *examples = sh_json_member(check, "examples"), *example;
    printf("\n%s%s%s: %" PRId64 " bad. What holds: %s\n", sh_style(stdout, SH_RED),
           sh_json_string(check, "check"), sh_style(stdout, SH_PLAIN), bad,
           sh_json_string(check, "says"));
    cJSON_ArrayForEach(example, examples)
    {
        printf("  ");
        sh_print_text(stdout, example->valuestring, "  ");
        putchar('\n');
    }
    if (bad > cJSON_GetArraySize(examples))
        printf("  and %" PRId64 " more\n", bad - cJSON_GetArraySize(examples));
    printf("  what to do: %s\n", sh_json_string(check, "advice"));
}

void sh_verify_print_bad(const cJSON *verify)
{
    const cJSON *list = sh_json_member(verify, "bad"), *c;
    if (!list)
        list = sh_json_member(verify, "checks");
    cJSON_ArrayForEach(c, list)
    {
        if (!cJSON_IsTrue(sh_json_member(c, "ok")))
            print_bad(c);
    }
}

void sh_verify_print_all(const cJSON *verify)
{
    static const struct sh_column columns[] = {
        {.title = "CHECK", .key = "check"},
        {.title = "RESULT", .key = "result"},
        {.title = "ROWS", .key = "rows", .right = true},
        {.title = "BAD", .key = "bad", .right = true},
        {.title = "WHAT HOLDS", .key = "says", .stretch = true}};
    struct sh_table *table = sh_table_new(columns, sizeof(columns) / sizeof(*columns));
    const cJSON *c;
    cJSON_ArrayForEach(c, sh_json_member(verify, "checks"))
    {
        cJSON *row = cJSON_Duplicate(c, true);
        cJSON_AddStringToObject(row, "result",
                                cJSON_IsTrue(sh_json_member(c, "ok")) ? "ok" : "BAD");
        sh_table_add(table, row);
        cJSON_Delete(row);
    }
    sh_table_print(table);
    sh_table_free(table);
}
