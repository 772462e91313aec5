/* SPDX-License-Identifier: MIT
 * cmd_version.c: versions of the engine and of the libraries it runs on. */
#include "app/app.h"

#include "app/deb_version.h"
#include "app/options.h"
#include "app/print.h"
#include "lua/config_file.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define DPKG_STATUS "/var/lib/dpkg/status"

#ifndef SH_COMMIT
#define SH_COMMIT ""
#endif

/* Packages whose fixes the engine relies on; older ones work, with known holes. */
struct relied_on {
    const char *package, *version, *why;
};
static const struct relied_on relied[] = {
    {"libevent-2.1-7", "2.1.12-stable-8+deb12u1",
     "request smuggling and header injection in the HTTP server (CVE-2026-63379 and seven more)"},
    {"libcjson1", "1.7.15-1+deb12u4", "memory errors in cJSON (CVE-2023-26819, CVE-2025-57052)"},
    {"liblua5.4-0", "5.4.4-3+deb12u1", "memory errors in Lua (CVE-2022-28805, CVE-2022-33099)"},
    {"libcurl4", "7.88.1-10+deb12u15", "security fixes of libcurl"},
};

static const struct sh_option options[] = {{"json", NULL, "one JSON object on one line"}};
static const struct sh_command command = {
    .name = "version",
    .summary = "Say the version, and those of the libraries; warn about libraries without fixes.",
    .example = "  switchhook version",
    .options = options,
    .n_options = 1,
};

/* The warnings, as strings in an array. */
static cJSON *warnings(void)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < sizeof(relied) / sizeof(relied[0]); i++) {
        const struct relied_on *r = &relied[i];
        char *have = sh_deb_installed(DPKG_STATUS, r->package);
        if (have && sh_deb_earlier(have, r->version)) {
            char *text =
                sh_strf("%s is %s; %s fixes %s. Upgrade it.", r->package, have, r->version, r->why);
            cJSON_AddItemToArray(list, cJSON_CreateString(text));
            free(text);
        }
        free(have);
    }
    return list;
}

static cJSON *libraries(void)
{
    cJSON *o = cJSON_CreateObject();
    char seccomp[32];
    const struct scmp_version *v = seccomp_version();
    snprintf(seccomp, sizeof(seccomp), "%u.%u.%u", v->major, v->minor, v->micro);
    cJSON_AddStringToObject(o, "lua", sh_config_lua_release());
    cJSON_AddStringToObject(o, "libevent", event_get_version());
    cJSON_AddStringToObject(o, "sqlite", sqlite3_libversion());
    cJSON_AddStringToObject(o, "curl", curl_version_info(CURLVERSION_NOW)->version);
    cJSON_AddStringToObject(o, "cjson", cJSON_Version());
    cJSON_AddStringToObject(o, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    cJSON_AddStringToObject(o, "seccomp", seccomp);
    return o;
}

static void print_text(const cJSON *libs, const cJSON *warned)
{
    printf("switchhook %s%s%s%s\n", SH_VERSION, *SH_COMMIT ? " (" : "", SH_COMMIT,
           *SH_COMMIT ? ")" : "");
    const cJSON *item;
    cJSON_ArrayForEach(item, libs) printf("  %-9s %s\n", item->string, item->valuestring);
    cJSON_ArrayForEach(item, warned) fprintf(stderr, "warning: %s\n", item->valuestring);
}

int sh_cmd_version(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0) {
        cJSON *all = cJSON_CreateObject(), *libs = libraries(), *warned = warnings();
        cJSON_AddStringToObject(all, "version", SH_VERSION);
        cJSON_AddStringToObject(all, "commit", SH_COMMIT);
        cJSON_AddItemToObject(all, "libraries", libs);
        cJSON_AddItemToObject(all, "warnings", warned);
        if (sh_options_get(&o, "json"))
            sh_print_json(all);
        else
            print_text(libs, warned);
        cJSON_Delete(all);
        code = 0;
    }
    sh_options_clear(&o);
    return code;
}
