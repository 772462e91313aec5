/* SPDX-License-Identifier: MIT
 * config_kit.h: what the configuration's tests share: a folder with one file, and its faults. */
#ifndef CONFIG_KIT_H
#define CONFIG_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/config.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIT __attribute__((unused)) static

KIT char folder[] = "/tmp/switchhook-config-XXXXXX";
KIT char path[128];

KIT int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/switchhook.lua", folder);
    return chdir(folder);
}

KIT int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return chdir("/") || rmdir(folder);
}

/* Load text as the configuration file. */
KIT bool load(const char *text, struct sh_config *c, cJSON **faults)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    bool ok = sh_config_load(path, c, faults);
    if (ok && cJSON_GetArraySize(*faults) > 0)
        fail_msg("ok, and yet %d faults", cJSON_GetArraySize(*faults));
    return ok;
}

KIT void print_all(const cJSON *faults)
{
    char *text = cJSON_Print(faults);
    print_error("%s\n", text);
    cJSON_free(text);
}

KIT bool has_fault(const cJSON *faults, int line, const char *key, const char *part)
{
    const cJSON *f;
    cJSON_ArrayForEach(f, faults)
    {
        int64_t at = -1;
        if (sh_json_get_int(sh_json_member(f, "line"), &at) && at == line &&
            strcmp(sh_json_string(f, "key"), key) == 0 && strstr(sh_json_string(f, "msg"), part) &&
            strcmp(sh_json_string(f, "file"), path) == 0)
            return true;
    }
    print_all(faults);
    return false;
}

/* Exactly this one fault comes of text. */
KIT void expect_fault(const char *text, int line, const char *key, const char *part)
{
    struct sh_config c;
    cJSON *faults;
    assert_false(load(text, &c, &faults));
    if (!has_fault(faults, line, key, part))
        fail_msg("no fault at line %d, key \"%s\", with \"%s\"", line, key, part);
    assert_int_equal(cJSON_GetArraySize(faults), 1);
    cJSON_Delete(faults);
    sh_config_clear(&c);
}

KIT void expect_ok(const char *text, struct sh_config *c)
{
    cJSON *faults;
    bool ok = load(text, c, &faults);
    if (!ok)
        print_all(faults);
    assert_true(ok);
    cJSON_Delete(faults);
}

#endif
