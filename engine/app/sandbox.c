/* SPDX-License-Identifier: MIT
 * sandbox.c: the workers' locks, in the log. */
#include "app/sandbox.h"

#include "base/log.h"
#include "svc/json.h"

static const char *yes_no(const cJSON *sandbox, const char *name)
{
    return cJSON_IsTrue(sh_json_member(sandbox, name)) ? "yes" : "no";
}

static void log_sandbox(const cJSON *s)
{
    const cJSON *missing;
    int64_t landlock = 0, took_us = 0;
    if (!sh_json_get_int(sh_json_member(s, "landlock"), &landlock))
        landlock = 0;
    if (!sh_json_get_int(sh_json_member(s, "took_us"), &took_us))
        took_us = 0;
    sh_info("rule workers are locked up, and have tried it", "seccomp", yes_no(s, "seccomp"),
            "landlock", SH_NUM(landlock), "no_new_privs", yes_no(s, "no_new_privs"), "limits",
            yes_no(s, "limits"), "tried", SH_NUM(cJSON_GetArraySize(sh_json_member(s, "verified"))),
            "took_us", SH_NUM(took_us));
    cJSON_ArrayForEach(missing, sh_json_member(s, "missing"))
        sh_warn("a part of the rule workers' sandbox is missing (docs/sandbox.md)", "part",
                cJSON_IsString(missing) ? missing->valuestring : "?");
}

void sh_sandbox_note(cJSON **kept, const cJSON *sandbox)
{
    static bool said; /* of the process: the kernel is the same for every worker and every crew */
    const char *error = sh_json_string(sandbox, "error");
    if (error)
        sh_err("a rule worker's sandbox does not hold; it runs no rule", "why", error);
    if (error || !sandbox || *kept)
        return;
    *kept = cJSON_Duplicate(sandbox, true);
    if (!said)
        log_sandbox(sandbox);
    said = true;
}
