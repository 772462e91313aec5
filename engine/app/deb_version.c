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

bool sh_deb_upstream_earlier(const char *a, const char *b)
{
    long epoch_a, epoch_b;
    char upstream_a[128], upstream_b[128];
    const char *revision;
    split(a, &epoch_a, upstream_a, &revision);
    split(b, &epoch_b, upstream_b, &revision);
    return compare_part(upstream_a, upstream_b) < 0;
}

static const char *value_of(const char *line, const char *field)
{
    size_t n = strlen(field);
    return strncmp(line, field, n) == 0 && strncmp(line + n, ": ", 2) == 0 ? line + n + 2 : NULL;
}

static size_t index_of(const char *const *packages, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && (!packages[i] || strcmp(packages[i], name) != 0))
        i++;
    return i;
}

struct stanza {     /* of the status file: a package */
    size_t package; /* n: none that is asked for */
    bool installed;
};

static void take_line(struct stanza *at, const char *line, const char *const *packages, size_t n,
                      char **versions)
{
    const char *name = value_of(line, "Package"), *status = value_of(line, "Status");
    const char *version = value_of(line, "Version");
    if (!*line)
        *at = (struct stanza){.package = n};
    else if (name)
        at->package = index_of(packages, n, name);
    else if (status)
        at->installed = strstr(status, " installed") != NULL;
    else if (version && at->package < n && at->installed && !versions[at->package])
        versions[at->package] = sh_strdup(version);
}

bool sh_deb_installed(const char *status_file, const char *const *packages, size_t n,
                      char **versions)
{
    struct stanza at = {.package = n};
    char *line = NULL;
    size_t room = 0;
    memset(versions, 0, n * sizeof(*versions));
    FILE *f = fopen(status_file, "re");
    if (!f)
        return false;
    while (getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        take_line(&at, line, packages, n, versions);
    }
    free(line);
    fclose(f);
    return true;
}

char *sh_deb_status_file(void)
{
    const char *dir = getenv("DPKG_ADMINDIR");
    return sh_strf("%s/status", dir && *dir ? dir : "/var/lib/dpkg");
}
