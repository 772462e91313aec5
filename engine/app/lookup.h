/* SPDX-License-Identifier: MIT
 * lookup.h: answers http.get of runs: look-ups over HTTP, a few at a time, some from a cache. On
 * the loop thread. */
#ifndef SH_APP_LOOKUP_H
#define SH_APP_LOOKUP_H

#include "core/http_call.h"
#include "svc/http_client.h"

struct sh_lookups;

struct sh_lookups_config {
    struct event_base *base;
    struct sh_http_client *client; /* borrowed */
    const struct sh_reach *reach;  /* borrowed */
    sh_secret_fn *secret;
    void *secret_arg;
    const struct sh_hidden *hidden; /* borrowed: what is blanked in answers; NULL = nothing */
    int64_t timeout_ms;             /* when the call says none; also the most it may say is 60 s */
    size_t answer_bytes;
    size_t in_flight, per_host; /* at once; the others wait their turn, within their time-out */
    size_t cache_entries, cache_bytes;
};
struct sh_lookups *sh_lookups_new(const struct sh_lookups_config *config) SH_WARN_UNUSED;
void sh_lookups_free(struct sh_lookups *l); /* waiting ones are dropped, not answered */
/* Look up. call: the document (http_call.h), already valid JSON. answer(arg, doc) once, later,
 * never from within: the document of run.h, borrowed. Whatever goes wrong is an answer with status
 * 0 and an error. Two look-ups for the same thing with a cache time share one call, and the trace
 * (trace.h; NULL = none) of the first. */
void sh_lookups_ask(struct sh_lookups *l, struct sh_slice call, const char *trace,
                    void (*answer)(void *arg, struct sh_slice doc), void *arg);

#endif
