/* SPDX-License-Identifier: MIT
 * api_reader.c: the thread, its queue, and the way back. */
#include "app/api_reader.h"

#include "base/clock.h"
#include "svc/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NICE          10
#define BUSY_LOOK_US  100000 /* how often it is seen whether senders are at work */
#define BUSY_COMMITS  5      /* transactions in that time: they are */
#define REST_FACTOR   3
#define REST_LEAST_US 1000
#define REST_MOST_US  20000 /* a stop waits for it */

STAILQ_HEAD(jobs, sh_api_job);

struct sh_api_reader {
    char *dir;
    struct sh_store *store;
    struct sh_waker *waker;
    pthread_t thread;
    bool up;
    size_t n_jobs;                /* the loop's count */
    LIST_HEAD(, sh_api_job) open; /* and its list of them */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock */
    struct jobs waiting, finished; /* waiting: by their rounds */
    int64_t round;                 /* of the one that was begun last */
    bool stopping;
};

/* --- the thread ----------------------------------------------------------------------------- */

static struct sh_api_job *next_job(struct sh_api_reader *r)
{
    struct sh_api_job *job = NULL;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping && STAILQ_EMPTY(&r->waiting))
        pthread_cond_wait(&r->wake, &r->lock);
    if (!r->stopping) {
        job = STAILQ_FIRST(&r->waiting);
        STAILQ_REMOVE_HEAD(&r->waiting, link);
        job->begun = true;
        r->round = job->round;
    }
    pthread_mutex_unlock(&r->lock);
    return job;
}

static void give_back(struct sh_api_reader *r, struct sh_api_job *job)
{
    pthread_mutex_lock(&r->lock);
    const bool first = STAILQ_EMPTY(&r->finished);
    STAILQ_INSERT_TAIL(&r->finished, job, link);
    pthread_mutex_unlock(&r->lock);
    if (first)
        sh_waker_ring(r->waker);
}

/* --- rest: what is read costs what senders wait for a quarter of a processor at most -----------
 */

struct pace {
    int64_t looked_us, commits, owed_us;
    bool busy;
};

static bool is_busy(const struct sh_api_reader *r, struct pace *p)
{
    const int64_t now_us = sh_mono_us();
    if (r->store && now_us - p->looked_us >= BUSY_LOOK_US) {
        const int64_t commits = sh_store_commits(r->store), per = now_us - p->looked_us;
        p->busy = (commits - p->commits) * BUSY_LOOK_US >= BUSY_COMMITS * per;
        p->commits = commits;
        p->looked_us = now_us;
    }
    return p->busy;
}

static void rest(const struct sh_api_reader *r, struct pace *p, int64_t worked_us)
{
    if (!is_busy(r, p)) {
        p->owed_us = 0;
        return;
    }
    p->owed_us += worked_us * REST_FACTOR;
    if (p->owed_us < REST_LEAST_US)
        return;
    const int64_t us = p->owed_us < REST_MOST_US ? p->owed_us : REST_MOST_US;
    const struct timespec nap = {.tv_nsec = us * 1000};
    nanosleep(&nap, NULL);
    p->owed_us -= us;
}

static void *run(void *arg)
{
    struct sh_api_reader *r = arg;
    struct sh_store_view *view = NULL;
    struct sh_api_job *job;
    struct pace pace = {0};
    /* Of this thread alone, on Linux: what senders wait for goes first. */
    (void)!setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    while ((job = next_job(r)) != NULL) {
        struct sh_error err = {0};
        const int64_t from_us = sh_mono_us();
        if (!view)
            view = sh_store_view_open(r->dir, &err);
        job->work(job, view, &err);
        const int64_t worked_us = sh_mono_us() - from_us;
        give_back(r, job);
        rest(r, &pace, worked_us);
    }
    sh_store_view_close(view);
    return NULL;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void on_finished(void *arg)
{
    struct sh_api_reader *r = arg;
    struct jobs finished = STAILQ_HEAD_INITIALIZER(finished);
    pthread_mutex_lock(&r->lock);
    STAILQ_CONCAT(&finished, &r->finished);
    pthread_mutex_unlock(&r->lock);
    struct sh_api_job *job;
    while ((job = STAILQ_FIRST(&finished)) != NULL) {
        STAILQ_REMOVE_HEAD(&finished, link);
        r->n_jobs--;
        LIST_REMOVE(job, open);
        job->done(job, job->begun);
    }
}

static size_t open_of(const struct sh_api_reader *r, uint64_t whose)
{
    const struct sh_api_job *job;
    size_t n = 0;
    LIST_FOREACH(job, &r->open, open)
    n += job->whose == whose;
    return n;
}

/* Under the lock. In the round after the last one that its asker has a question in; whoever asks
 * much waits for their own, and others for one of theirs at most. */
static void put_in_turn(struct sh_api_reader *r, struct sh_api_job *job)
{
    struct sh_api_job *one, *before = NULL;
    job->round = r->round;
    STAILQ_FOREACH(one, &r->waiting, link)
    if (one->whose == job->whose)
        job->round = one->round;
    job->round++;
    STAILQ_FOREACH(one, &r->waiting, link)
    if (one->round <= job->round)
        before = one;
    if (before)
        STAILQ_INSERT_AFTER(&r->waiting, before, job, link);
    else
        STAILQ_INSERT_HEAD(&r->waiting, job, link);
}

bool sh_api_reader_add(struct sh_api_reader *r, struct sh_api_job *job)
{
    if (!r->up || r->n_jobs >= SH_API_READS || open_of(r, job->whose) >= SH_API_READS_OF)
        return false;
    r->n_jobs++;
    LIST_INSERT_HEAD(&r->open, job, open);
    job->begun = false;
    pthread_mutex_lock(&r->lock);
    put_in_turn(r, job);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    return true;
}

static int start_thread(struct sh_api_reader *r)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct sh_api_reader *sh_api_reader_new(const struct sh_api_reader_config *config,
                                        struct sh_error *err)
{
    struct sh_api_reader *r = sh_alloc(1, sizeof(*r));
    r->dir = sh_strdup(config->dir);
    r->store = config->store;
    STAILQ_INIT(&r->waiting);
    STAILQ_INIT(&r->finished);
    LIST_INIT(&r->open);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    r->waker = sh_waker_try(config->base, on_finished, r);
    const int rc = r->waker ? start_thread(r) : errno;
    r->up = rc == 0;
    if (r->up)
        return r;
    sh_error_set(err, SH_ESYS, "cannot start the API's thread: %s", strerror(rc));
    sh_api_reader_free(r);
    return NULL;
}

void sh_api_reader_stop(struct sh_api_reader *r)
{
    if (!r->up)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->up = false;
    STAILQ_CONCAT(&r->finished, &r->waiting);
    on_finished(r);
}

void sh_api_reader_free(struct sh_api_reader *r)
{
    if (!r)
        return;
    sh_api_reader_stop(r);
    sh_waker_free(r->waker);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r->dir);
    free(r);
}
