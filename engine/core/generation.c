/* SPDX-License-Identifier: MIT
 * generation.c: read rule and script folders into one immutable set. */
#include "core/generation.h"

#include "base/utf8.h"
#include "svc/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES      1000
#define MAX_FILE_BYTES (1024 * 1024)
#define MAX_SET_MIB    16    /* all texts together; they go to a worker in one frame */
#define MAX_DEPTH      8     /* folders in folders */
#define MAX_ENTRIES    20000 /* looked at, so that links to folders do not multiply for ever */
#define SHOWN_BYTES    400   /* of a path, in a message: two must leave room for the reason */

struct list {
    struct sh_file *files;
    size_t n, bytes, entries;
    bool is_rule;
    char *roots[2];  /* real paths of the folders, owned: what is read is inside them */
    uint64_t *stamp; /* not NULL: look at the files only, and mix what they look like into it */
};

/* A folder on the way down, and those it is in. */
struct place {
    const struct place *up;
    int depth;
    dev_t dev;
    ino_t ino;
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Bytes at p up to end that a log, JSON and a terminal take as they are; 0: p is none of those.
 * Not: bytes that are no UTF-8, C0, DEL, C1, ends of lines, marks that turn or hide text. */
static size_t plain(const char *p, const char *end)
{
    static const char *const marks[] = {
        "\xd8\x9c",     "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xa9",
        "\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
        "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf"};
    const uint8_t c = (uint8_t)p[0];
    const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c < 0x20 || c == 0x7f || (size_t)(end - p) < n || !sh_utf8_ok(sh_slice(p, n)) ||
        (c == 0xc2 && (uint8_t)p[1] < 0xa0))
        return 0;
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (strlen(marks[i]) == n && memcmp(p, marks[i], n) == 0)
            return 0;
    return n;
}

static bool is_plain(const char *name)
{
    const char *p = name, *end = name + strlen(name);
    for (size_t n = 1; p < end && n > 0; p += n)
        n = plain(p, end);
    return p == end;
}

/* The end of a path, with what is not plain as \x1b. The caller's. */
static char *shown(const char *path)
{
    struct sh_buf out;
    const char *end = path + strlen(path), *p = path;
    sh_buf_init(&out, SHOWN_BYTES + SHOWN_BYTES / 8);
    if (end - p > SHOWN_BYTES) {
        sh_buf_adds(&out, "...");
        for (p = end - SHOWN_BYTES; p < end && ((uint8_t)*p & 0xc0) == 0x80;)
            p++;
    }
    while (p < end) {
        const size_t n = plain(p, end);
        if (n)
            sh_buf_add(&out, p, n);
        else
            sh_buf_addf(&out, "\\x%02x", (unsigned)(uint8_t)*p);
        p += n ? n : 1;
    }
    return sh_buf_take(&out, NULL);
}

/* Always false, as sh_error_set(). */
static bool fault(struct sh_error *err, enum sh_code code, const char *path, const char *what)
{
    char *at = shown(path);
    sh_error_set(err, code, "%s: %s", at, what);
    free(at);
    return false;
}

/* The same for a limit; takes what. */
static bool over(struct sh_error *err, const char *path, char *what)
{
    fault(err, SH_ELIMIT, path, what);
    free(what);
    return false;
}

static bool check_name(const char *path, const char *entry, struct sh_error *err)
{
    return is_plain(entry) ||
           fault(err, SH_EINVAL, path,
                 "the name must be UTF-8 without control characters and marks of direction");
}

/* --- what is read ---------------------------------------------------------------------------- */

/* Does the path lead to a place in one of the folders? *real: where, or NULL; the caller's. */
static bool is_inside(const struct list *l, const char *path, char **real)
{
    *real = realpath(path, NULL);
    for (size_t i = 0; *real && i < 2; i++) {
        const size_t n = l->roots[i] ? strlen(l->roots[i]) : 0;
        if (n && strncmp(l->roots[i], *real, n) == 0 &&
            ((*real)[n] == '/' || (*real)[n] == '\0' || l->roots[i][n - 1] == '/'))
            return true;
    }
    return false;
}

/* Else a rule could show what another file holds: the configuration's secrets, say. st: of what is
 * read, or NULL. */
static bool check_inside(const struct list *l, const char *path, const struct stat *st,
                         struct sh_error *err)
{
    char *real;
    struct stat there;
    bool ok = is_inside(l, path, &real);
    if (!real) {
        fault(err, SH_ESYS, path, strerror(errno));
    } else if (!ok) {
        char *to = shown(real);
        char *what = sh_strf("links to a place outside of the folder: %s (copy it there)", to);
        fault(err, SH_EINVAL, path, what);
        free(what);
        free(to);
    } else if (st && (stat(real, &there) != 0 || there.st_ino != st->st_ino ||
                      there.st_dev != st->st_dev)) {
        ok = fault(err, SH_EBUSY, path, "was replaced while it was read");
    }
    free(real);
    return ok;
}

/* At most max bytes; -1 and errno. */
static ssize_t read_most(int fd, char *to, size_t max)
{
    size_t n = 0;
    while (n < max) {
        ssize_t got = read(fd, to + n, max - n);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)n;
}

static char *read_open(const struct list *l, int fd, const char *path, size_t *len,
                       struct sh_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        fault(err, SH_EINVAL, path, "is no plain file");
        return NULL;
    }
    if (!check_inside(l, path, &st, err))
        return NULL;
    char *text = sh_realloc(NULL, MAX_FILE_BYTES + 2);
    const ssize_t n = read_most(fd, text, MAX_FILE_BYTES + 1);
    if (n < 0 || n > MAX_FILE_BYTES) {
        fault(err, n < 0 ? SH_ESYS : SH_ELIMIT, path,
              n > 0             ? "larger than 1 MiB, the most a rule file may have"
              : errno == EAGAIN ? "is no plain file"
                                : strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *len = (size_t)n;
    return sh_realloc(text, *len + 1);
}

/* Never waits: what was a file a moment ago may be a pipe by now. */
static char *read_text(const struct list *l, const char *path, size_t *len, struct sh_error *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        fault(err, SH_ESYS, path, errno == ENXIO ? "is no plain file" : strerror(errno));
        return NULL;
    }
    char *text = read_open(l, fd, path, len, err);
    close(fd);
    return text;
}

static bool add_file(struct list *l, const char *path, const char *name, struct sh_error *err)
{
    if (l->n == MAX_FILES)
        return over(err, path, sh_strf("more than %d files", MAX_FILES));
    size_t len;
    char *text = read_text(l, path, &len, err);
    if (!text)
        return false;
    l->files = sh_realloc(l->files, (l->n + 1) * sizeof(*l->files));
    l->files[l->n++] =
        (struct sh_file){.name = sh_strdup(name), .text = text, .len = len, .is_rule = l->is_rule};
    l->bytes += len;
    return l->bytes <= (size_t)MAX_SET_MIB * 1024 * 1024 ||
           over(err, path, sh_strf("the rule set has more than %d MiB of text", MAX_SET_MIB));
}

/* FNV-1a, 64 bits. */
static void mix(uint64_t *hash, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): they are set
        *hash = (*hash ^ bytes[i]) * 0x100000001b3;
}

static void look_at(struct list *l, const char *name, const struct stat *st)
{
    const int64_t signs[] = {(int64_t)st->st_ino, (int64_t)st->st_dev, st->st_size,
                             st->st_mtim.tv_sec, st->st_mtim.tv_nsec};
    mix(l->stamp, name, strlen(name) + 1);
    mix(l->stamp, signs, sizeof(signs));
}

/* --- the folders ----------------------------------------------------------------------------- */

static bool walk(struct list *l, const char *dir, const char *prefix, const struct place *up,
                 struct sh_error *err);

/* Something is at the path that stat(2) does not reach. */
static bool visit_broken(struct list *l, const char *path, const char *name, bool matters,
                         struct sh_error *err)
{
    const int why = errno;
    struct stat st;
    if (why != ENOENT && why != ELOOP)
        return fault(err, SH_ESYS, path, strerror(why));
    if (!matters || lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
        return true; /* gone since the folder was read */
    if (!l->stamp)
        return fault(err, SH_ENOTFOUND, path, "links to a file that is not there");
    look_at(l, name, &st);
    return true;
}

static bool visit_folder(struct list *l, const char *path, const char *name, const char *entry,
                         const struct place *up, struct sh_error *err)
{
    if (l->stamp) /* of a folder the name alone: what it holds comes next */
        mix(l->stamp, name, strlen(name) + 1);
    else if (!check_name(path, entry, err) || !check_inside(l, path, NULL, err))
        return false;
    return walk(l, path, name, up, err);
}

static bool visit(struct list *l, const char *dir, const char *prefix, const char *entry,
                  const struct place *up, struct sh_error *err)
{
    char *path = sh_strf("%s/%s", dir, entry), *name = sh_strf("%s/%s", prefix, entry);
    struct stat st = {0};
    /* the stamp is for specs too */
    const bool matters = ends_with(entry, ".lua") && (l->stamp || !ends_with(entry, "_spec.lua"));
    bool ok = true;
    if (stat(path, &st) != 0)
        ok = visit_broken(l, path, name, matters, err);
    else if (S_ISDIR(st.st_mode))
        ok = visit_folder(l, path, name, entry, up, err);
    else if (matters && l->stamp)
        look_at(l, name, &st);
    else if (matters && !S_ISREG(st.st_mode))
        ok = fault(err, SH_EINVAL, path, "is no plain file");
    else if (matters)
        ok = check_name(path, entry, err) && check_inside(l, path, &st, err) &&
             add_file(l, path, name, err);
    free(path);
    free(name);
    return ok;
}

static bool walk_open(struct list *l, DIR *d, const char *dir, const char *prefix,
                      const struct place *up, struct sh_error *err)
{
    struct place here = {.up = up, .depth = up ? up->depth + 1 : 0};
    struct stat st;
    if (fstat(dirfd(d), &st) != 0)
        return fault(err, SH_ESYS, dir, strerror(errno));
    here.dev = st.st_dev;
    here.ino = st.st_ino;
    for (; up; up = up->up)
        if (up->dev == here.dev && up->ino == here.ino)
            return fault(err, SH_EINVAL, dir, "links to a folder that it is in itself");
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d));) {
        if (l->entries++ >= MAX_ENTRIES)
            return over(
                err, dir,
                sh_strf("more than %d files and folders, those behind links counted", MAX_ENTRIES));
        ok = e->d_name[0] == '.' || visit(l, dir, prefix, e->d_name, &here, err);
    }
    return ok;
}

static bool walk(struct list *l, const char *dir, const char *prefix, const struct place *up,
                 struct sh_error *err)
{
    if (up && up->depth == MAX_DEPTH)
        return over(err, dir, sh_strf("folders nest deeper than %d", MAX_DEPTH));
    DIR *d = opendir(dir);
    if (!d)
        return fault(err, errno == ENOENT ? SH_ENOTFOUND : SH_ESYS, dir, strerror(errno));
    bool ok = walk_open(l, d, dir, prefix, up, err);
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
    l.roots[0] = realpath(rules_dir, NULL);
    l.roots[1] = scripts_dir ? realpath(scripts_dir, NULL) : NULL;
    bool ok = walk(&l, rules_dir, "rules", NULL, err);
    if (ok && l.n == 0)
        ok = sh_error_set(err, SH_ENOTFOUND, "%s: no .lua file: at least one rule is expected",
                          rules_dir);
    l.is_rule = false;
    if (ok && scripts_dir && (access(scripts_dir, F_OK) == 0 || errno != ENOENT))
        ok = walk(&l, scripts_dir, "scripts", NULL, err);
    free(l.roots[0]);
    free(l.roots[1]);
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
    bool there = walk(&l, rules_dir, "rules", NULL, &err);
    mix(&stamp, &there, sizeof(there));
    there = scripts_dir && walk(&l, scripts_dir, "scripts", NULL, &err);
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
