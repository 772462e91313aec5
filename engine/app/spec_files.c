/* SPDX-License-Identifier: MIT
 * spec_files.c: find specs. */
#include "app/spec_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 8

static bool is_kind(const char *path, mode_t kind)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

bool sh_is_project(const char *dir)
{
    char *config = sh_strf("%s/switchhook.lua", dir), *rules = sh_strf("%s/rules", dir);
    bool is = is_kind(config, S_IFREG) || is_kind(rules, S_IFDIR);
    free(config);
    free(rules);
    return is;
}

static bool is_spec(const char *name)
{
    static const char end[] = "_spec.lua";
    size_t n = strlen(name);
    return n >= sizeof(end) - 1 && strcmp(name + n - (sizeof(end) - 1), end) == 0;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool walk(cJSON *paths, const char *dir, int depth, struct sh_error *err)
{
    struct dirent **names;
    int n = scandir(dir, &names, visible, alphasort);
    if (n < 0)
        return sh_error_set(err, SH_ESYS, "%s: %s", dir, strerror(errno));
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char *path = strcmp(dir, ".") == 0 ? sh_strdup(names[i]->d_name)
                                           : sh_strf("%s/%s", dir, names[i]->d_name);
        if (ok && is_kind(path, S_IFDIR) && depth < MAX_DEPTH && !sh_is_project(path))
            ok = walk(paths, path, depth + 1, err);
        else if (is_spec(names[i]->d_name) && is_kind(path, S_IFREG))
            cJSON_AddItemToArray(paths, cJSON_CreateString(path));
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

bool sh_spec_files_add(cJSON *paths, const char *dir, struct sh_error *err)
{
    if (is_kind(dir, S_IFREG)) {
        cJSON_AddItemToArray(paths, cJSON_CreateString(dir));
        return true;
    }
    if (!is_kind(dir, S_IFDIR))
        return sh_error_set(err, SH_ENOTFOUND, "%s: no such file or folder", dir);
    return walk(paths, dir, 0, err);
}
