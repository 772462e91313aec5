/* SPDX-License-Identifier: MIT
 * diff.c: two texts in two files in memory, and diff(1) between them. */
#include "app/diff.h"

#include "app/print.h"
#include "svc/capture.h"
#include "svc/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROGRAM    "/usr/bin/diff"
#define MAX_DIFF   ((size_t)16 << 20) /* a file has 1 MiB at most */
#define TIMEOUT_MS 60000

static const struct sh_file *file_of(const struct sh_generation *g, const char *name)
{
    for (size_t i = 0; i < g->n_files; i++)
        if (strcmp(g->files[i].name, name) == 0)
            return &g->files[i];
    return NULL;
}

/* A file in memory with the text; its path for other processes in path. -1: none to be had. */
static int in_memory(const struct sh_file *f, char path[64])
{
    int fd = memfd_create("switchhook-diff", 0);
    size_t len = f ? f->len : 0;
    if (fd < 0 || (len && write(fd, f->text, len) != (ssize_t)len)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    snprintf(path, 64, "/proc/%d/fd/%d", (int)getpid(), fd);
    return fd;
}

static bool run_diff(const char *a, const char *b, char *label_a, char *label_b, struct sh_buf *out,
                     struct sh_error *err)
{
    char *argv[] = {"diff",
                    "-u",
                    "--label",
                    label_a,
                    "--label",
                    label_b,
                    (char *)(uintptr_t)a,
                    (char *)(uintptr_t)b,
                    NULL};
    int code = 0;
    if (!sh_capture(PROGRAM, argv, TIMEOUT_MS, NULL, out, &code, err))
        return false;
    return code <= 1 ||
           sh_error_set(err, SH_ESYS, "diff: %.200s", out->data && out->len ? out->data : "failed");
}

static bool diff_file(const struct sh_generation *from, const struct sh_generation *to,
                      const char *name, struct sh_buf *out, struct sh_error *err)
{
    const struct sh_file *a = file_of(from, name), *b = file_of(to, name);
    char path_a[64], path_b[64];
    char *label_a = a ? sh_strf("%s (%s)", name, from->id) : sh_strdup("/dev/null");
    char *label_b = b ? sh_strf("%s (%s)", name, to->id) : sh_strdup("/dev/null");
    int fd_a = in_memory(a, path_a), fd_b = in_memory(b, path_b);
    bool ok = fd_a >= 0 && fd_b >= 0
                  ? run_diff(path_a, path_b, label_a, label_b, out, err)
                  : sh_error_set(err, SH_ESYS, "no file in memory: %s", strerror(errno));
    if (fd_a >= 0)
        close(fd_a);
    if (fd_b >= 0)
        close(fd_b);
    free(label_a);
    free(label_b);
    return ok;
}

/* A line in the colour of its first character. */
static void print_line(const char *line, size_t n)
{
    const bool header = n >= 3 && (strncmp(line, "---", 3) == 0 || strncmp(line, "+++", 3) == 0);
    const enum sh_style style = header         ? SH_BOLD
                                : *line == '+' ? SH_GREEN
                                : *line == '-' ? SH_RED
                                : *line == '@' ? SH_DIM
                                               : SH_PLAIN;
    struct sh_buf safe;
    sh_buf_init(&safe, n * 8 + 64);
    char *copy = sh_memdup(line, n);
    for (char *tab = copy; (tab = strchr(tab, '\t')) != NULL; tab++)
        *tab = ' '; /* else it is escaped, and a rule would be hard to read */
    sh_print_escape(&safe, sh_slice(copy, n));
    printf("%s%s%s\n", style == SH_PLAIN ? "" : sh_style(stdout, style), safe.data ? safe.data : "",
           style == SH_PLAIN ? "" : sh_style(stdout, SH_PLAIN));
    free(copy);
    sh_buf_free(&safe);
}

static void print_diff(const struct sh_buf *diff)
{
    for (const char *p = diff->data; p && *p;) {
        size_t n = strcspn(p, "\n");
        print_line(p, n);
        p += n + (p[n] == '\n');
    }
}

bool sh_diff_print(const struct sh_generation *from, const struct sh_generation *to, bool json,
                   bool *same, struct sh_error *err)
{
    cJSON *changes = sh_generation_changes(from, to), *c;
    bool ok = true;
    *same = changes->child == NULL;
    cJSON_ArrayForEach(c, changes)
    {
        struct sh_buf out;
        sh_buf_init(&out, MAX_DIFF);
        ok = ok && diff_file(from, to, sh_json_string(c, "file"), &out, err);
        if (ok && json) {
            cJSON_AddStringToObject(c, "diff", out.data ? out.data : "");
            sh_print_json(c);
        } else if (ok) {
            print_diff(&out);
        }
        sh_buf_free(&out);
    }
    cJSON_Delete(changes);
    return ok;
}
