/* SPDX-License-Identifier: MIT
 * cmd_manual.c: `switchhook manual DIR`: the manual pages, for who builds and packs. Not listed. */
#include "app/app.h"

#include "app/commands.h"
#include "app/manual.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_PAGE ((size_t)256 * 1024)

static const struct sh_command command = {
    .name = "manual",
    .args = "DIR",
    .summary = "Write the manual pages into a folder.",
    .details =
        "They are dated with SOURCE_DATE_EPOCH, if that is set: the same program then writes\n"
        "the same pages.",
    .example = "  switchhook manual man && man -l man/switchhook.1",
    .min_args = 1,
    .max_args = 1,
};

struct writing {
    const char *dir;
    char date[16];
    bool ok;
};

/* Today, or the day that whoever builds has set. */
static void set_date(struct writing *w)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const time_t t = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(w->date, sizeof(w->date), "%Y-%m-%d", &tm);
}

static void write_page(struct writing *w, const char *name, const struct sh_buf *page)
{
    char *path = sh_strf("%s/%s.1", w->dir, name);
    FILE *f = w->ok ? fopen(path, "w") : NULL;
    bool ok = f && sh_buf_ok(page) && fwrite(page->data, 1, page->len, f) == page->len;
    if (f && fclose(f) != 0)
        ok = false;
    if (w->ok && !ok)
        fprintf(stderr, "switchhook: cannot write %s: %s\n", path, strerror(errno));
    w->ok = ok;
    free(path);
}

static void write_command(void *arg, const char *path, const char *brief,
                          const struct sh_command *table)
{
    struct writing *w = arg;
    char name[SH_MANUAL_NAME];
    struct sh_buf page;
    (void)brief;
    sh_buf_init(&page, MAX_PAGE);
    sh_manual_name(path, name);
    sh_manual_command(&page, table, w->date);
    write_page(w, name, &page);
    sh_buf_free(&page);
}

static int write_all(const char *dir)
{
    struct writing w = {.dir = dir, .ok = true};
    struct sh_buf page;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "switchhook: cannot make the folder %s: %s\n", dir, strerror(errno));
        return SH_EXIT_BAD;
    }
    set_date(&w);
    sh_buf_init(&page, MAX_PAGE);
    sh_manual_overview(&page, w.date);
    write_page(&w, "switchhook", &page);
    sh_buf_free(&page);
    sh_commands_each(write_command, &w);
    return w.ok ? 0 : SH_EXIT_BAD;
}

int sh_cmd_manual(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = write_all(o.args[0]);
    sh_options_clear(&o);
    return code;
}
