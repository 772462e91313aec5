/* SPDX-License-Identifier: MIT
 * generation.c: read rule and script folders into one immutable set. */
#include "core/generation.h"

#include "svc/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES      1000
#define MAX_FILE_BYTES (1024 * 1024)
#define MAX_DEPTH      8 /* folders in folders */

struct list {
    struct sh_file *files;
    size_t n;
    bool is_rule;
    uint64_t *stamp; /* not NULL: look at the files only, and mix what they look like into it */
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static char *read_text(const char *path, size_t *len, struct sh_error *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        sh_error_set(err, SH_ESYS, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = sh_realloc(NULL, MAX_FILE_BYTES + 2);
    *len = fread(text, 1, MAX_FILE_BYTES + 1, f);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed || *len > MAX_FILE_BYTES) {
        sh_error_set(err, failed ? SH_ESYS : SH_ELIMIT, "%s: %s", path,
                     failed ? "cannot be read"
                            : "larger than 1 MiB, the most a rule file may have");
        free(text);
        return NULL;
    }
    text[*len] = '\0';
    return sh_realloc(text, *len + 1);
}

static bool add_file(struct list *l, const char *path, const char *name, struct sh_error *err)
{
    if (l->n == MAX_FILES)
        return sh_error_set(err, SH_ELIMIT, "%s: more than %d files", path, MAX_FILES);
    size_t len;
    char *text = read_text(path, &len, err);
    if (!text)
        return false;
    l->files = sh_realloc(l->files, (l->n + 1) * sizeof(*l->files));
    l->files[l->n++] =
        (struct sh_file){.name = sh_strdup(name), .text = text, .len = len, .is_rule = l->is_rule};
    return true;
}

/* FNV-1a, 64 bits. */
static void mix(uint64_t *hash, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): they are set
        *hash = (*hash ^ bytes[i]) * 0x100000001b3;
}

static bool look_at(struct list *l, const char *name, const struct stat *st)
{
    const int64_t signs[] = {(int64_t)st->st_ino, (int64_t)st->st_dev, st->st_size,
                             st->st_mtim.tv_sec, st->st_mtim.tv_nsec};
    mix(l->stamp, name, strlen(name) + 1);
    mix(l->stamp, signs, sizeof(signs));
    return true;
}

static bool walk(struct list *l, const char *dir, const char *prefix, int depth,
                 struct sh_error *err);

static bool visit(struct list *l, const char *dir, const char *prefix, const char *entry, int depth,
                  struct sh_error *err)
{
    if (entry[0] == '.')
        return true;
    char *path = sh_strf("%s/%s", dir, entry), *name = sh_strf("%s/%s", prefix, entry);
    struct stat st = {0};
    bool ok = true;
    if (stat(path, &st) != 0)
        ok = errno == ENOENT || sh_error_set(err, SH_ESYS, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        ok = walk(l, path, name, depth + 1, err);
    else if (l->stamp && S_ISREG(st.st_mode) && ends_with(entry, ".lua"))
        ok = look_at(l, name, &st);
    else if (!l->stamp && S_ISREG(st.st_mode) && ends_with(entry, ".lua") &&
             !ends_with(entry, "_spec.lua"))
        ok = add_file(l, path, name, err);
    free(path);
    free(name);
    return ok;
}

static bool walk(struct list *l, const char *dir, const char *prefix, int depth,
                 struct sh_error *err)
{
    if (depth > MAX_DEPTH)
        return sh_error_set(err, SH_ELIMIT, "%s: folders nest deeper than %d", dir, MAX_DEPTH);
    DIR *d = opendir(dir);
    if (!d)
        return sh_error_set(err, errno == ENOENT ? SH_ENOTFOUND : SH_ESYS, "%s: %s", dir,
                            strerror(errno));
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d));)
        ok = visit(l, dir, prefix, e->d_name, depth, err);
    closedir(d);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sh_file *)a)->name, ((const struct sh_file *)b)->name);
}

/* Length before each part, so that no two sets of names and texts hash alike. */
static void name_it(struct sh_generation *g)
{
    struct sh_slice *parts = sh_alloc(g->n_files * 4, sizeof(*parts));
    char(*lens)[2][24] = sh_alloc(g->n_files, sizeof(*lens));
    for (size_t i = 0; i < g->n_files; i++) {
        const struct sh_file *f = &g->files[i];
        size_t name_len = strlen(f->name);
        int a = snprintf(lens[i][0], 24, "%zu:", name_len);
        int b = snprintf(lens[i][1], 24, "%zu:", f->len);
        parts[4 * i] = sh_slice(lens[i][0], (size_t)a);
        parts[4 * i + 1] = sh_slice(f->name, name_len);
        parts[4 * i + 2] = sh_slice(lens[i][1], (size_t)b);
        parts[4 * i + 3] = sh_slice(f->text, f->len);
    }
    uint8_t digest[SH_SHA256_BYTES];
    sh_sha256(parts, g->n_files * 4, digest);
    sh_hex(digest, (SH_GENERATION_TEXT - 1) / 2, g->id);
    free(parts);
    free(lens);
}

static struct sh_generation *from_list(struct list *l)
{
    struct sh_generation *g = sh_alloc(1, sizeof(*g));
    g->files = l->files;
    g->n_files = l->n;
    if (g->n_files)
        qsort(g->files, g->n_files, sizeof(*g->files), by_name);
    name_it(g);
    return g;
}

struct sh_generation *sh_generation_read(const char *rules_dir, const char *scripts_dir,
                                         struct sh_error *err)
{
    struct list l = {.is_rule = true};
    struct sh_error missing = {0};
    bool ok = walk(&l, rules_dir, "rules", 0, err);
    if (ok && l.n == 0)
        ok = sh_error_set(err, SH_ENOTFOUND, "%s: no .lua file: at least one rule is expected",
                          rules_dir);
    l.is_rule = false;
    if (ok && scripts_dir && !walk(&l, scripts_dir, "scripts", 0, &missing)) {
        ok = missing.code == SH_ENOTFOUND;
        if (!ok && err)
            *err = missing;
    }
    struct sh_generation *g = from_list(&l);
    if (ok)
        return g;
    sh_generation_free(g);
    return NULL;
}

struct sh_generation *sh_generation_new(const struct sh_file *files, size_t n)
{
    struct list l = {.files = sh_alloc(n, sizeof(*files)), .n = n};
    for (size_t i = 0; i < n; i++)
        l.files[i] = (struct sh_file){.name = sh_strdup(files[i].name),
                                      .text = sh_memdup(files[i].text, files[i].len),
                                      .len = files[i].len,
                                      .is_rule = files[i].is_rule};
    return from_list(&l);
}

void sh_generation_free(struct sh_generation *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_files; i++) {
        free(g->files[i].name);
        free(g->files[i].text);
    }
    free(g->files);
    free(g);
}

uint64_t sh_generation_stamp(const char *rules_dir, const char *scripts_dir)
{
    uint64_t stamp = 0xcbf29ce484222325;
    struct list l = {.stamp = &stamp};
    struct sh_error err;
    bool there = walk(&l, rules_dir, "rules", 0, &err);
    mix(&stamp, &there, sizeof(there));
    there = scripts_dir && walk(&l, scripts_dir, "scripts", 0, &err);
    mix(&stamp, &there, sizeof(there));
    return stamp;
}

static void add_change(cJSON *list, const struct sh_file *f, const char *change)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", f->name);
    cJSON_AddStringToObject(o, "change", change);
    cJSON_AddItemToArray(list, o);
}

static bool same_text(const struct sh_file *a, const struct sh_file *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

cJSON *sh_generation_changes(const struct sh_generation *before, const struct sh_generation *after)
{
    cJSON *list = cJSON_CreateArray();
    size_t i = 0, j = 0, n = before ? before->n_files : 0;
    while (i < n || j < after->n_files) {
        const struct sh_file *a = i < n ? &before->files[i] : NULL,
                             *b = j < after->n_files ? &after->files[j] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        if (a && order < 0)
            add_change(list, a, "removed");
        else if (b && order > 0)
            add_change(list, b, "added");
        else if (a && b && !same_text(a, b))
            add_change(list, b, "changed");
        i += order <= 0;
        j += order >= 0;
    }
    return list;
}
