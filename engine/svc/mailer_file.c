/* SPDX-License-Identifier: MIT
 * mailer_file.c: messages as <folder>/<name>.eml, written by a thread of its own.
 *
 * A file is complete or absent: it is written under a temporary name, synced, renamed, and the
 * folder synced before the message counts as sent. One sync of the folder serves all messages that
 * waited. The same name again replaces the file, so a repeated send leaves one file. */
#include "svc/mailer_way.h"

#include "svc/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_way {
    char *folder;
    sh_mail_finished_fn *finished;
    void *arg;
    struct sh_waker *waker;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct sh_mail_queue todo, ready;
    bool quit;
};

static SH_PRINTF(2, 3) void failed(struct sh_mail *mail, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(mail->result.detail, sizeof(mail->result.detail), fmt, ap);
    va_end(ap);
    mail->result.verdict = SH_MAIL_DOWN; /* a folder or a disk: the same for every message */
}

/* mkdir -p; false with errno. */
static bool make_folder(const char *path)
{
    char *p = sh_strdup(path);
    bool ok = true;
    for (char *s = p + 1; ok; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char end = *s;
        *s = '\0';
        ok = mkdir(p, 0700) == 0 || errno == EEXIST;
        *s = end;
        if (!end)
            break;
    }
    free(p);
    return ok;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t got = write(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_temp(const char *path, const struct sh_mail *mail)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, mail->text, mail->len) && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

/* The message in its place, not yet safe against a power cut: the folder is synced after it. */
static void place(const struct file_way *w, struct sh_mail *mail)
{
    char *temp = sh_strf("%s/.%s.tmp", w->folder, mail->name);
    char *path = sh_strf("%s/%s.eml", w->folder, mail->name);
    bool ok = write_temp(temp, mail);
    if (!ok && errno == ENOENT && make_folder(w->folder)) /* somebody removed the folder */
        ok = write_temp(temp, mail);
    if (!ok || rename(temp, path) != 0) {
        failed(mail, "cannot write %s: %s", path, strerror(errno));
        unlink(temp);
    } else {
        mail->result.verdict = SH_MAIL_SENT;
        snprintf(mail->result.detail, sizeof(mail->result.detail), "%s", path);
    }
    free(temp);
    free(path);
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return ok;
}

static void write_batch(const struct file_way *w, struct sh_mail *first)
{
    for (struct sh_mail *m = first; m; m = m->next)
        place(w, m);
    bool synced = sync_folder(w->folder);
    int why = errno;
    for (struct sh_mail *m = first; m; m = m->next) {
        if (m->result.verdict == SH_MAIL_SENT && !synced)
            failed(m, "cannot sync %s: %s", w->folder, strerror(why));
        bool sent = m->result.verdict == SH_MAIL_SENT;
        sh_mail_settle(m, sent ? SH_MAIL_TO_SENT : SH_MAIL_TO_LATER, 0, m->result.detail);
        if (!sent)
            m->result.verdict = SH_MAIL_DOWN;
    }
}

static void *run(void *arg)
{
    struct file_way *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->quit) {
        if (!w->todo.first) {
            pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        struct sh_mail *batch = w->todo.first;
        w->todo.first = NULL;
        pthread_mutex_unlock(&w->lock);
        write_batch(w, batch);
        pthread_mutex_lock(&w->lock);
        while (batch) {
            struct sh_mail *next = batch->next;
            sh_mail_push(&w->ready, batch);
            batch = next;
        }
        sh_waker_ring(w->waker);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void report(void *arg)
{
    struct file_way *w = arg;
    struct sh_mail *mail;
    do {
        pthread_mutex_lock(&w->lock);
        mail = sh_mail_pop(&w->ready);
        pthread_mutex_unlock(&w->lock);
        if (mail)
            w->finished(w->arg, mail);
    } while (mail);
}

static void take(void *self, struct sh_mail *mail)
{
    struct file_way *w = self;
    pthread_mutex_lock(&w->lock);
    sh_mail_push(&w->todo, mail);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

static void way_free(void *self)
{
    struct file_way *w = self;
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    sh_waker_free(w->waker);
    sh_mail_drop(&w->todo);
    sh_mail_drop(&w->ready);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w->folder);
    free(w);
}

bool sh_mail_way_file(struct sh_mail_way *way, struct event_base *base,
                      const struct sh_mailer_config *config, sh_mail_finished_fn *finished,
                      void *arg, struct sh_error *err)
{
    if (!config->folder || !*config->folder)
        return sh_error_set(err, SH_EINVAL, "no folder for mail");
    if (!make_folder(config->folder) || access(config->folder, W_OK | X_OK) != 0)
        return sh_error_set(err, SH_ESYS, "mail folder %s: %s", config->folder, strerror(errno));
    struct file_way *w = sh_alloc(1, sizeof(*w));
    w->folder = sh_strdup(config->folder);
    w->finished = finished;
    w->arg = arg;
    w->waker = sh_waker_new(base, report, w);
    sh_require(pthread_mutex_init(&w->lock, NULL) == 0);
    sh_require(pthread_cond_init(&w->work, NULL) == 0);
    sh_require(pthread_create(&w->thread, NULL, run, w) == 0);
    *way = (struct sh_mail_way){.self = w, .take = take, .free = way_free};
    return true;
}
