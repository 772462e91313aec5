/* SPDX-License-Identifier: MIT
 * api_reader.h: a thread that reads the store for the API, with a connection of its own and at low
 * priority: however much is asked, the loop only hands questions over and sends what comes back. */
#ifndef SH_APP_API_READER_H
#define SH_APP_API_READER_H

#include "core/store.h"

#include <sys/queue.h>

#define SH_API_READS    256 /* questions that wait or are being answered */
#define SH_API_READS_OF 192 /* of these, by one asker: others find a place */

struct event_base;
struct sh_api_reader;

/* A question, the caller's until done. */
struct sh_api_job {
    /* On the thread. v NULL: the store cannot be read, err says why. */
    void (*work)(struct sh_api_job *job, struct sh_store_view *v, const struct sh_error *err);
    /* On the loop, once; from then on the job is the caller's again. begun: work has been called.
     */
    void (*done)(struct sh_api_job *job, bool begun);
    uint64_t whose; /* who asks: of several, each is answered in turn */
    /* the reader's */
    bool begun;
    int64_t round;
    STAILQ_ENTRY(sh_api_job) link;
    LIST_ENTRY(sh_api_job) open;
};

struct sh_api_reader_config {
    struct event_base *base;
    const char *dir; /* of the store; copied */
    struct sh_store
        *store; /* the one that senders wait for: while it is busy the thread rests three
                   times as long as it works. NULL: it does not. Closed after the stop */
};
/* Start the thread. NULL and *err (SH_ESYS). */
struct sh_api_reader *sh_api_reader_new(const struct sh_api_reader_config *config,
                                        struct sh_error *err) SH_WARN_UNUSED;
/* Hand over a question. Those of one asker are answered in order, and one of each before the next
 * of any. False: too many wait, or it has stopped; the job stays the caller's. */
bool sh_api_reader_add(struct sh_api_reader *r, struct sh_api_job *job) SH_WARN_UNUSED;
/* Wait for the thread's end. Questions not begun are done with begun = false, those answered as
 * ever, within the call. */
void sh_api_reader_stop(struct sh_api_reader *r);
void sh_api_reader_free(struct sh_api_reader *r); /* stops first; NULL is a no-op */

#endif
