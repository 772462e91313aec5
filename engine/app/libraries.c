/* SPDX-License-Identifier: MIT
 * libraries.c: versions of the libraries, as loaded and as built with; missing fixes. */
#include "app/libraries.h"

#include "app/deb_version.h"
#include "base/log.h"
#include "lua/config_file.h"
#include "svc/json.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <pthread.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_(x)        #x
#define TEXT(x)         TEXT_(x)
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

/* --- what is there ---------------------------------------------------------------------------- */

static void add(cJSON *all, const char *name, const char *loaded, const char *built_with)
{
    cJSON *o = cJSON_AddObjectToObject(all, name);
    cJSON_AddStringToObject(o, "loaded", loaded);
    cJSON_AddStringToObject(o, "built_with", built_with);
}

cJSON *sh_libraries(void)
{
    cJSON *o = cJSON_CreateObject();
    char seccomp[40], lua[32];
    const struct scmp_version *v = seccomp_version();
    snprintf(seccomp, sizeof(seccomp), "%u.%u.%u", v->major, v->minor, v->micro);
    sh_config_lua_loaded(lua);
    add(o, "lua", lua, sh_config_lua_release());
    add(o, "libevent", event_get_version(), LIBEVENT_VERSION);
    add(o, "sqlite", sqlite3_libversion(), SQLITE_VERSION);
    add(o, "curl", curl_version_info(CURLVERSION_NOW)->version, LIBCURL_VERSION);
    add(o, "cjson", cJSON_Version(),
        DOTTED(CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH));
    add(o, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING), OPENSSL_VERSION_STR);
    add(o, "seccomp", seccomp, DOTTED(SCMP_VER_MAJOR, SCMP_VER_MINOR, SCMP_VER_MICRO));
    return o;
}

/* --- what is missing -------------------------------------------------------------------------- */

/* Packages of the system of which a fix is relied on. Not here: libseccomp, whose filter is a list
 * of what is allowed; a system call that it does not know yet is refused as it is. */
const struct sh_relied sh_relied[] = {
    {"libevent", "libevent-2.1-7", "libevent-2.1-7t64", "2.1.12-stable-8+deb12u1", "2.1.13",
     "holes of its HTTP server, among them request smuggling and header injection "
     "(CVE-2026-63379 and seven more)"},
    {"cjson", "libcjson1", NULL, "1.7.15-1+deb12u4", "1.7.19",
     "memory errors in cJSON (CVE-2023-53154, CVE-2025-57052)"},
    {"lua", "liblua5.4-0", NULL, "5.4.4-3", "5.4.6",
     "memory errors in Lua (CVE-2022-28805, CVE-2022-33099)"},
    {"curl", "libcurl4", "libcurl4t64", "7.88.1-10+deb12u15", "8.20.0",
     "holes of libcurl (CVE-2026-7168 and six more)"},
    {"sqlite", "libsqlite3-0", NULL, "3.40.1-2+deb12u2", "3.50.2",
     "a memory error in SQLite (CVE-2025-6965)"},
    {"openssl", "libssl3", "libssl3t64", "3.0.22-1~deb12u2", NULL,
     "holes of OpenSSL (CVE-2026-35189, CVE-2026-54872 and four more)"},
};
const size_t sh_n_relied = sizeof(sh_relied) / sizeof(sh_relied[0]);

/* "2.1.12-stable-8" of "2.1.12-stable-8+deb12u1" */
static size_t base_length(const char *version)
{
    const char *release = strstr(version, "deb12");
    return release ? (size_t)(release - version) - 1 : strlen(version);
}

/* Is it Debian 12's package, with or without updates? */
static bool is_same_base(const char *have, const char *ours)
{
    const size_t n = base_length(ours);
    return strncmp(have, ours, n) == 0 && strchr("+~", have[n]);
}

static enum sh_fixes by_upstream(const struct sh_relied *r, const char *version,
                                 enum sh_fixes if_older)
{
    if (!r->upstream || !*version)
        return SH_FIXES_UNKNOWN;
    return sh_deb_upstream_earlier(version, r->upstream) ? if_older : SH_FIXES_THERE;
}

enum sh_fixes sh_library_fixes(const struct sh_relied *r, const char *package_version,
                               const char *loaded)
{
    if (!package_version)
        return by_upstream(r, loaded, SH_FIXES_MISSING);
    if (strstr(package_version, "ubuntu"))
        return by_upstream(r, package_version, SH_FIXES_UNKNOWN);
    if (is_same_base(package_version, r->debian))
        return sh_deb_earlier(package_version, r->debian) ? SH_FIXES_MISSING : SH_FIXES_THERE;
    if (sh_deb_earlier(package_version, r->debian))
        return SH_FIXES_MISSING;
    return by_upstream(r, package_version, SH_FIXES_UNKNOWN);
}

static void add_outdated(cJSON *list, const struct sh_relied *r, const char *package,
                         const char *version)
{
    char *next = package ? sh_strf("apt-get install --only-upgrade %s, then restart", package)
                         : sh_strf("upgrade it, unless whoever built it has mended it in place");
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "library", r->library);
    cJSON_AddStringToObject(o, "version", version);
    cJSON_AddItemToObject(o, "package", package ? cJSON_CreateString(package) : cJSON_CreateNull());
    cJSON_AddStringToObject(o, "fixed_in", package ? r->debian : r->upstream);
    cJSON_AddStringToObject(o, "why", r->why);
    cJSON_AddStringToObject(o, "next", next);
    cJSON_AddItemToArray(list, o);
    free(next);
}

cJSON *sh_libraries_outdated(const char *status_file)
{
    const size_t n = sh_n_relied;
    const char *packages[2 * sizeof(sh_relied) / sizeof(sh_relied[0])];
    char *versions[2 * sizeof(sh_relied) / sizeof(sh_relied[0])] = {0};
    cJSON *list = cJSON_CreateArray(), *there = sh_libraries();
    for (size_t i = 0; i < n; i++) {
        packages[i] = sh_relied[i].package;
        packages[n + i] = sh_relied[i].renamed;
    }
    if (status_file)
        (void)sh_deb_installed(status_file, packages, 2 * n, versions);
    for (size_t i = 0; i < n; i++) {
        const struct sh_relied *r = &sh_relied[i];
        const size_t at = versions[i] ? i : n + i;
        const char *loaded = sh_json_string(sh_json_member(there, r->library), "loaded");
        if (sh_library_fixes(r, versions[at], loaded) == SH_FIXES_MISSING)
            add_outdated(list, r, versions[at] ? packages[at] : NULL,
                         versions[at] ? versions[at] : loaded);
    }
    for (size_t i = 0; i < 2 * n; i++)
        free(versions[i]);
    cJSON_Delete(there);
    return list;
}

/* --- at the start ----------------------------------------------------------------------------- */

struct sh_libraries_check {
    pthread_t thread;
    cJSON *list; /* the thread's until it is done */
    atomic_bool done;
};

static void *look(void *arg)
{
    struct sh_libraries_check *c = arg;
    char *file = sh_deb_status_file();
    cJSON *list = sh_libraries_outdated(file);
    const cJSON *o;
    cJSON_ArrayForEach(o, list)
    {
        const char *package = sh_json_string(o, "package");
        sh_warn("a library lacks fixes that the engine relies on", "library",
                sh_json_string(o, "library"), "version", sh_json_string(o, "version"), "fixed_in",
                sh_json_string(o, "fixed_in"), "fixes", sh_json_string(o, "why"), "next",
                sh_json_string(o, "next"), package ? "package" : NULL, package);
    }
    free(file);
    c->list = list;
    atomic_store(&c->done, true);
    return NULL;
}

struct sh_libraries_check *sh_libraries_check_start(void)
{
    struct sh_libraries_check *c = sh_alloc(1, sizeof(*c));
    if (pthread_create(&c->thread, NULL, look, c) == 0)
        return c;
    free(c);
    return NULL;
}

const cJSON *sh_libraries_found(const struct sh_libraries_check *c)
{
    return c && atomic_load(&c->done) ? c->list : NULL;
}

void sh_libraries_check_end(struct sh_libraries_check *c)
{
    if (!c)
        return;
    pthread_join(c->thread, NULL);
    cJSON_Delete(c->list);
    free(c);
}
