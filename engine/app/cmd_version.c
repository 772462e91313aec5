/* SPDX-License-Identifier: MIT
 * cmd_version.c: what this binary is: version, commit, build, store schema, API, libraries. */
#include "app/app.h"

#include "app/build_info.h"
#include "app/deb_version.h"
#include "app/libraries.h"
#include "app/options.h"
#include "app/print.h"
#include "core/store.h"
#include "svc/json.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "v1" /* of the paths under /api/; docs/openapi.json says the same */

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#define MAX_HARDENING 256

static const struct sh_option options[] = {{"json", NULL, "one JSON object on one line"}};
static const struct sh_command command = {
    .name = "version",
    .summary = "Say what this binary is: version, commit, build, store schema, API, libraries.",
    .details = "Warns of libraries that are older than the fixes the engine relies on.",
    .example = "  switchhook version",
    .options = options,
    .n_options = 1,
};

/* --- hardening: what is in the binary, not what was asked for ----------------------------------
 */

struct linked { /* of the program that runs */
    bool pie, relro, now;
};

static void read_dynamic(const ElfW(Dyn) * d, struct linked *l)
{
    for (; d->d_tag != DT_NULL; d++) {
        l->now = l->now || d->d_tag == DT_BIND_NOW ||
                 (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_BIND_NOW)) ||
                 (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_NOW));
    }
}

/* The program itself comes first: the others are no matter of ours. */
static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct linked *l = arg;
    (void)size;
    l->pie = info->dlpi_addr != 0; /* it was not where it was linked for */
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        l->relro = l->relro || p->p_type == PT_GNU_RELRO;
        if (p->p_type == PT_DYNAMIC)
            // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is what it is
            read_dynamic((const ElfW(Dyn) *)(info->dlpi_addr + p->p_vaddr), l);
    }
    return 1;
}

static void hardening(char out[MAX_HARDENING])
{
    struct linked l = {0};
    (void)dl_iterate_phdr(look_at, &l);
    const char *const parts[] = {
        l.pie ? "pie" : NULL,
#if defined(__SSP_STRONG__)
        "stack-protector-strong",
#elif defined(__SSP__)
        "stack-protector",
#endif
#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE > 0
        "fortify-source",
#endif
#ifdef __CET__
        "cf-protection",
#endif
        l.relro ? "relro" : NULL,
        l.now ? "bind-now" : NULL,
    };
    size_t len = 0;
    *out = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        if (parts[i])
            len +=
                (size_t)snprintf(out + len, MAX_HARDENING - len, "%s%s", len ? ", " : "", parts[i]);
    }
}

/* --- printing -----------------------------------------------------------------------------------
 */

static cJSON *tree(void)
{
    char hard[MAX_HARDENING];
    char *file = sh_deb_status_file();
    cJSON *all = cJSON_CreateObject();
    hardening(hard);
    cJSON_AddStringToObject(all, "version", SH_VERSION);
    cJSON_AddStringToObject(all, "commit", sh_build_info.commit);
    cJSON_AddStringToObject(all, "date", sh_build_info.date);
    cJSON_AddStringToObject(all, "api", API_VERSION);
    cJSON_AddNumberToObject(all, "schema", SH_STORE_SCHEMA);
    cJSON *build = cJSON_AddObjectToObject(all, "build");
    cJSON_AddStringToObject(build, "compiler", COMPILER);
    cJSON_AddStringToObject(build, "type", sh_build_info.type);
    cJSON_AddStringToObject(build, "flags", sh_build_info.flags);
    cJSON_AddStringToObject(build, "hardening", hard);
    cJSON_AddStringToObject(build, "sanitizers", sh_build_info.sanitize);
    cJSON_AddItemToObject(all, "libraries", sh_libraries());
    cJSON_AddItemToObject(all, "outdated", sh_libraries_outdated(file));
    free(file);
    return all;
}

static void print_libraries(const cJSON *libraries)
{
    const cJSON *item;
    printf("libraries\n");
    cJSON_ArrayForEach(item, libraries)
    {
        const char *loaded = sh_json_string(item, "loaded");
        const char *built = sh_json_string(item, "built_with");
        const bool same = strcmp(loaded, built) == 0;
        printf("  %-9s %s%s%s%s\n", item->string, loaded, same ? "" : " (built with ",
               same ? "" : built, same ? "" : ")");
    }
}

static void print_text(const cJSON *all)
{
    const cJSON *build = sh_json_member(all, "build"), *item;
    const char *sanitizers = sh_json_string(build, "sanitizers");
    printf("switchhook %s (commit %s of %s)\n", SH_VERSION, sh_build_info.commit,
           sh_build_info.date);
    printf("API        %s\n", API_VERSION);
    printf("schema     %d of the store\n", SH_STORE_SCHEMA);
    printf("compiler   %s\n", sh_json_string(build, "compiler"));
    printf("build      %s: %s\n", sh_json_string(build, "type"), sh_json_string(build, "flags"));
    printf("hardening  %s\n", sh_json_string(build, "hardening"));
    if (*sanitizers)
        printf("sanitizers %s\n", sanitizers);
    print_libraries(sh_json_member(all, "libraries"));
    cJSON_ArrayForEach(item, sh_json_member(all, "outdated")) fprintf(
        stderr, "warning: %s %s is older than %s: %s. %s.\n", sh_json_string(item, "library"),
        sh_json_string(item, "version"), sh_json_string(item, "fixed_in"),
        sh_json_string(item, "why"), sh_json_string(item, "next"));
}

int sh_cmd_version(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0) {
        cJSON *all = tree();
        if (sh_options_get(&o, "json"))
            sh_print_json(all);
        else
            print_text(all);
        cJSON_Delete(all);
        code = 0;
    }
    sh_options_clear(&o);
    return code;
}
