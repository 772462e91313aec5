/* SPDX-License-Identifier: MIT
 * watcher.c: inotify, debounced. */
#include "svc/watcher.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DIRS    8
#define MAX_DEPTH   8 /* folders in folders, as generation.c reads them */
#define MAX_FOLDERS 2000
#define SIGNS                                                                                      \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct sh_watcher {
    int fd;
    struct event *ready;
    struct sh_timer *timer;
    char **dirs;           /* owned, NULL-terminated */
    int parents[MAX_DIRS]; /* watch descriptors of their parents */
    size_t n_parents;
    pthread_mutex_t mu; /* over those: a scan is on another thread */
    char *suffix;
    int64_t quiet_ms, most_ms;
    int64_t first_us; /* of the burst that is not told yet; 0 = none */
    sh_loop_fn *fn;
    void *arg;
};

/* --- signs ----------------------------------------------------------------------------------- */

static void on_quiet(void *arg)
{
    struct sh_watcher *w = arg;
    w->first_us = 0;
    w->fn(w->arg);
}

void sh_watcher_touch(struct sh_watcher *w)
{
    const int64_t now_us = sh_mono_us();
    if (!w->first_us)
        w->first_us = now_us;
    int64_t left_ms = w->most_ms - (now_us - w->first_us) / 1000;
    sh_timer_set(w->timer, left_ms < w->quiet_ms ? left_ms : w->quiet_ms);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A change of one of the folders themselves, seen in its parent? */
static bool is_root(const struct sh_watcher *w, const char *name)
{
    for (size_t i = 0; w->dirs[i]; i++)
        if (strcmp(last_part(w->dirs[i]), name) == 0)
            return true;
    return false;
}

/* Is it of a parent, where only the folders themselves count? One that is inside a watched folder
 * too tells by its names. */
static bool of_parent(struct sh_watcher *w, int wd)
{
    bool yes = false;
    pthread_mutex_lock(&w->mu);
    for (size_t i = 0; i < w->n_parents; i++)
        yes = yes || w->parents[i] == wd;
    pthread_mutex_unlock(&w->mu);
    return yes;
}

static bool matters(struct sh_watcher *w, const struct inotify_event *e)
{
    if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
        return true;
    if (e->mask & IN_IGNORED || e->len == 0)
        return false;
    if (of_parent(w, e->wd))
        return is_root(w, e->name);
    if (e->mask & IN_ISDIR)
        return !(e->mask & IN_ATTRIB) && e->name[0] != '.';
    const size_t n = strlen(e->name), m = strlen(w->suffix);
    return n >= m && strcmp(e->name + n - m, w->suffix) == 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct sh_watcher *w = arg;
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    (void)what;
    while ((n = read((int)fd, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)(buf + at);
            at += (ssize_t)(sizeof(*e) + e->len);
            if (matters(w, e))
                sh_watcher_touch(w);
        }
    }
}

/* --- what is watched -------------------------------------------------------------------------- */

static bool watch_one(struct sh_watcher *w, const char *dir, int *wd, struct sh_error *err)
{
    *wd = inotify_add_watch(w->fd, dir, SIGNS);
    if (*wd >= 0 || errno == ENOENT || errno == ENOTDIR)
        return true; /* one that is not there is seen through its parent when it comes */
    return sh_error_set(err, SH_ESYS, "%s: cannot be watched: %s", dir,
                        errno == ENOSPC ? "the limit of watches is reached "
                                          "(fs.inotify.max_user_watches)"
                                        : strerror(errno));
}

/* What a scan has met so far. */
struct scan {
    struct sh_watcher *w;
    size_t n; /* folders, one reached by two paths twice */
    struct {
        int wd, depth;
    } met[MAX_FOLDERS];
};

/* Note a folder. False: it was met before, no deeper down; what it holds is watched. Links that
 * lead back up would else be followed 8 folders deep in every combination. */
static bool is_new(struct scan *s, int wd, int depth)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->met[i].wd == wd && s->met[i].depth <= depth)
            return false;
    s->met[s->n].wd = wd;
    s->met[s->n++].depth = depth;
    return true;
}

static bool watch_tree(struct scan *s, const char *dir, int depth, struct sh_error *err)
{
    int wd;
    if (s->n == MAX_FOLDERS)
        return sh_error_set(err, SH_ELIMIT, "%s: cannot be watched: more than %d folders", dir,
                            MAX_FOLDERS);
    bool ok = watch_one(s->w, dir, &wd, err);
    DIR *d = ok && wd >= 0 && is_new(s, wd, depth) && depth < MAX_DEPTH ? opendir(dir) : NULL;
    for (struct dirent *e; d && ok && (e = readdir(d));) {
        if (e->d_name[0] == '.' ||
            (e->d_type != DT_DIR && e->d_type != DT_LNK && e->d_type != DT_UNKNOWN))
            continue;
        char *inner = sh_strf("%s/%s", dir, e->d_name);
        struct stat st;
        if (stat(inner, &st) == 0 && S_ISDIR(st.st_mode))
            ok = watch_tree(s, inner, depth + 1, err);
        free(inner);
    }
    if (d)
        closedir(d);
    return ok;
}

/* Is it one of the folders, or inside one? */
static bool is_watched(const struct sh_watcher *w, const char *dir)
{
    for (size_t i = 0; w->dirs[i]; i++) {
        size_t n = strlen(w->dirs[i]);
        if (strncmp(w->dirs[i], dir, n) == 0 && (dir[n] == '\0' || dir[n] == '/'))
            return true;
    }
    return false;
}

static bool watch_parent(struct sh_watcher *w, const char *dir, struct sh_error *err)
{
    const char *name = last_part(dir);
    char *parent = name == dir       ? sh_strdup(".")
                   : name == dir + 1 ? sh_strdup("/")
                                     : sh_memdup(dir, (size_t)(name - dir) - 1);
    int wd;
    bool ok = watch_one(w, parent, &wd, err);
    if (wd >= 0 && !is_watched(w, parent)) {
        pthread_mutex_lock(&w->mu);
        if (w->n_parents < MAX_DIRS)
            w->parents[w->n_parents++] = wd;
        pthread_mutex_unlock(&w->mu);
    }
    free(parent);
    return ok;
}

bool sh_watcher_scan(struct sh_watcher *w, struct sh_error *err)
{
    bool ok = true;
    struct scan *scan = sh_alloc(1, sizeof(*scan));
    scan->w = w;
    pthread_mutex_lock(&w->mu);
    w->n_parents = 0;
    pthread_mutex_unlock(&w->mu);
    for (size_t i = 0; w->dirs[i]; i++) {
        ok = watch_parent(w, w->dirs[i], err) && ok;
        ok = watch_tree(scan, w->dirs[i], 0, err) && ok;
    }
    free(scan);
    return ok;
}

/* --- life ------------------------------------------------------------------------------------ */

/* Without slashes at the end. */
static char *tidy(const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return sh_memdup(dir, n);
}

struct sh_watcher *sh_watcher_new(struct event_base *base, const char *const *dirs,
                                  const char *suffix, int64_t quiet_ms, int64_t most_ms,
                                  sh_loop_fn *fn, void *arg, struct sh_error *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    size_t n = 0;
    if (fd < 0) {
        sh_error_set(err, SH_ESYS, "folders cannot be watched: inotify: %s", strerror(errno));
        return NULL;
    }
    struct sh_watcher *w = sh_alloc(1, sizeof(*w));
    while (dirs[n])
        n++;
    *w = (struct sh_watcher){.fd = fd,
                             .suffix = sh_strdup(suffix),
                             .dirs = sh_alloc(n + 1, sizeof(*w->dirs)),
                             .quiet_ms = quiet_ms,
                             .most_ms = most_ms,
                             .fn = fn,
                             .arg = arg};
    sh_require(n <= MAX_DIRS);
    pthread_mutex_init(&w->mu, NULL);
    for (size_t i = 0; i < n; i++)
        w->dirs[i] = tidy(dirs[i]);
    w->timer = sh_timer_new(base, on_quiet, w);
    w->ready = event_new(base, fd, EV_READ | EV_PERSIST, on_ready, w);
    sh_require(w->ready && event_add(w->ready, NULL) == 0);
    return w;
}

void sh_watcher_free(struct sh_watcher *w)
{
    if (!w)
        return;
    event_free(w->ready);
    sh_timer_free(w->timer);
    close(w->fd);
    for (size_t i = 0; w->dirs[i]; i++)
        free(w->dirs[i]);
    pthread_mutex_destroy(&w->mu);
    free(w->dirs);
    free(w->suffix);
    free(w);
}
