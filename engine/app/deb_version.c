/* SPDX-License-Identifier: MIT
 * deb_version.c: Debian package versions. */
#include "app/deb_version.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* '~' before the end, the end before letters, letters before everything else. */
static int weight(char c)
{
    if (c == '~')
        return -1;
    if (c == '\0' || isdigit((unsigned char)c))
        return 0;
    return isalpha((unsigned char)c) ? c : c + 256;
}

static int compare_digits(const char **a, const char **b)
{
    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    size_t n = strspn(*a, "0123456789"), m = strspn(*b, "0123456789");
    int order = n != m ? (n < m ? -1 : 1) : strncmp(*a, *b, n);
    *a += n;
    *b += m;
    return order;
}

/* Stretches without digits and stretches of digits, in turn. */
static int compare_part(const char *a, const char *b)
{
    while (*a || *b) {
        while ((*a && !isdigit((unsigned char)*a)) || (*b && !isdigit((unsigned char)*b))) {
            if (weight(*a) != weight(*b))
                return weight(*a) < weight(*b) ? -1 : 1;
            a += *a != '\0';
            b += *b != '\0';
        }
        int order = compare_digits(&a, &b);
        if (order)
            return order;
    }
    return 0;
}

/* [epoch:]upstream[-revision] */
static void split(const char *version, long *epoch, char upstream[128], const char **revision)
{
    const char *colon = strchr(version, ':');
    *epoch = colon ? strtol(version, NULL, 10) : 0;
    version = colon ? colon + 1 : version;
    const char *dash = strrchr(version, '-');
    *revision = dash ? dash + 1 : "";
    snprintf(upstream, 128, "%.*s", dash ? (int)(dash - version) : (int)strlen(version), version);
}

bool sh_deb_earlier(const char *a, const char *b)
{
    long epoch_a, epoch_b;
    char upstream_a[128], upstream_b[128];
    const char *revision_a, *revision_b;
    split(a, &epoch_a, upstream_a, &revision_a);
    split(b, &epoch_b, upstream_b, &revision_b);
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b;
    int order = compare_part(upstream_a, upstream_b);
    return order ? order < 0 : compare_part(revision_a, revision_b) < 0;
}

static const char *value_of(const char *line, const char *field)
{
    size_t n = strlen(field);
    return strncmp(line, field, n) == 0 && strncmp(line + n, ": ", 2) == 0 ? line + n + 2 : NULL;
}

char *sh_deb_installed(const char *status_file, const char *package)
{
    FILE *f = fopen(status_file, "re");
    char *line = NULL, *found = NULL;
    size_t room = 0;
    bool here = false, installed = false;
    while (f && !found && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = value_of(line, "Package"), *status = value_of(line, "Status");
        if (name)
            here = strcmp(name, package) == 0;
        if (status)
            installed = strstr(status, " installed") != NULL;
        if (here && installed && value_of(line, "Version"))
            found = sh_strdup(value_of(line, "Version"));
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}
