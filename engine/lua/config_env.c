/* SPDX-License-Identifier: MIT
 * config_env.c: environment variables, and the service's file of them. */
#include "lua/config_env.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define SPACE " \t\r\n"

/* What a line gives to name, a part of the line that is cut; NULL: it is of something else. */
static char *value_of(char *line, const char *name)
{
    const size_t n = strlen(name);
    char *p = line + strspn(line, SPACE);
    if (strncmp(p, name, n) != 0 || p[n] != '=')
        return NULL;
    p += n + 1;
    p += strspn(p, SPACE);
    size_t len = strlen(p);
    while (len && strchr(SPACE, p[len - 1]))
        len--;
    if (len >= 2 && (*p == '"' || *p == '\'') && p[len - 1] == *p) {
        p++;
        len -= 2;
    }
    p[len] = '\0';
    return p;
}

static char *in_file(const char *path, const char *name)
{
    FILE *f = fopen(path, "rbe");
    char *line = NULL, *found = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0) {
        const char *value = value_of(line, name);
        if (!value)
            continue;
        free(found);
        found = sh_strdup(value);
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

char *sh_config_env(const char *folder, size_t len, const char *name)
{
    const char *set = getenv(name);
    if (set)
        return sh_strdup(set);
    char *path = sh_strf("%.*senvironment", (int)len, folder);
    char *value = in_file(path, name);
    free(path);
    if (value) /* who reads the configuration anew, as another user, finds it there */
        (void)!setenv(name, value, 1);
    return value;
}
