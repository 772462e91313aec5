/* SPDX-License-Identifier: MIT
 * cmd_init.c: a folder that an operations team can put into git. */
#include "app/app.h"

#include "app/options.h"
#include "app/skeleton.h"
#include "app/write_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sh_option options[] = {
    {"force", NULL, "also in a folder that is not empty: add what is missing, change nothing"},
};
static const struct sh_command command = {
    .name = "init",
    .args = "DIR",
    .summary = "Make a folder with configuration, rules, their specs, sample events and a README.",
    .details = "The rules are the shipped ones. Nothing that is there is ever overwritten.",
    .example = "  switchhook init call-rules && cd call-rules && switchhook test",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 1,
    .max_args = 1,
};

/* 1: nothing but hidden names (a fresh git repository) or not there; 0: not empty; -1: *err. */
static int is_empty(const char *dir, struct sh_error *err)
{
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return 1;
    if (!d) {
        sh_error_set(err, SH_ESYS, "%s: %s", dir, strerror(errno));
        return -1;
    }
    int empty = 1;
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = e->d_name[0] == '.';
    closedir(d);
    return empty;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool write_all(const char *dir, size_t *n_written, size_t *n_kept, struct sh_error *err)
{
    size_t n;
    const struct sh_skeleton_file *files = sh_skeleton(&n);
    for (size_t i = 0; i < n; i++) {
        const struct sh_skeleton_file *f = &files[i];
        if (strncmp(f->path, "new/", 4) == 0)
            continue;
        char *path = sh_strf("%s/%s", dir, f->path);
        bool ok = sh_write_new_file(path, sh_slice(f->data, f->size),
                                    ends_with(f->path, ".sh") ? 0777 : 0666, err);
        free(path);
        if (!ok && err->code != SH_EBUSY)
            return false;
        *(ok ? n_written : n_kept) += 1;
    }
    return true;
}

static int make_folder(const char *dir, bool force)
{
    struct sh_error err;
    size_t n_written = 0, n_kept = 0;
    int empty = is_empty(dir, &err);
    if (empty == 0 && !force) {
        fprintf(stderr,
                "switchhook init: %s: the folder is not empty; --force adds what is missing and "
                "changes nothing that is there\n",
                dir);
        return SH_EXIT_BAD;
    }
    if (empty < 0 || !write_all(dir, &n_written, &n_kept, &err)) {
        fprintf(stderr, "switchhook init: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    printf("%s: %zu files written", dir, n_written);
    if (n_kept)
        printf(", %zu were there and are as they were", n_kept);
    printf("\n\nNext:\n  cd %s\n  switchhook check\n  switchhook test\n  switchhook serve\n", dir);
    return 0;
}

int sh_cmd_init(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = make_folder(o.args[0], sh_options_get(&o, "force") != NULL);
    sh_options_clear(&o);
    return code;
}
