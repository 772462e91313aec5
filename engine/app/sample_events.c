/* SPDX-License-Identifier: MIT
 * sample_events.c: a project's own sample events before those in the binary. */
#include "app/sample_events.h"

#include "app/input.h"
#include "app/skeleton.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static cJSON *parse(const char *where, struct sh_slice text, struct sh_error *err)
{
    struct sh_json_fault fault;
    if (sh_json_check(text.p, text.n, &fault))
        return sh_json_parse(text.p, text.n, err);
    sh_error_set(err, SH_EINVAL, "%s:%zu: no JSON: %s", where, fault.line, fault.msg);
    return NULL;
}

static cJSON *read_file(const char *path, struct sh_error *err)
{
    struct sh_inputs in = {0};
    cJSON *tree = NULL;
    if (sh_inputs_add(&in, path, err) && in.n == 1)
        tree = parse(path, in.items[0].sent.body, err);
    sh_inputs_clear(&in);
    return tree;
}

static void none(const char *name, struct sh_error *err)
{
    char known[400] = "";
    size_t n;
    const struct sh_skeleton_file *files = sh_skeleton(&n);
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(known), len = strlen(files[i].path);
        if (strncmp(files[i].path, "events/", 7) == 0 && len > 12)
            snprintf(known + at, sizeof(known) - at, "%s%.*s", at ? ", " : "", (int)(len - 12),
                     files[i].path + 7);
    }
    sh_error_set(err, SH_ENOTFOUND,
                 "hook.payload: no sample event \"%.80s\": no file events/%.80s.json, and those "
                 "that come with the engine are %s",
                 name, name, known);
}

cJSON *sh_sample_event(const char *root, const char *name, struct sh_error *err)
{
    static const char *const folders[] = {"events", "examples/webphone"};
    if (!*name || strstr(name, "..")) {
        none(name, err);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *path = sh_strf("%s/%s/%s.json", root, folders[i], name);
        bool there = access(path, F_OK) == 0;
        cJSON *tree = there ? read_file(path, err) : NULL;
        free(path);
        if (there)
            return tree;
    }
    char *path = sh_strf("events/%s.json", name);
    const struct sh_skeleton_file *f = sh_skeleton_find(path);
    free(path);
    if (f)
        return parse(name, sh_slice(f->data, f->size), err);
    none(name, err);
    return NULL;
}
