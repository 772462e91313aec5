/* SPDX-License-Identifier: MIT
 * http_client_impl.h: what the files of the HTTP client share. Not for others.
 *
 * http_client.c: the client, its queue and its place on the loop. http_send.c: from a request to an
 * easy handle. http_answer.c: from what comes back to an answer. */
#ifndef SH_SVC_HTTP_CLIENT_IMPL_H
#define SH_SVC_HTTP_CLIENT_IMPL_H

#include "svc/http_client.h"

#include "base/limits.h"

#include <curl/curl.h>
#include <sys/queue.h>

#define SH_HTTP_MAX_ANSWER_HEADERS (64 * 1024) /* bytes, with interim answers and trailers */
#define SH_HTTP_POOL               64          /* idle handles */
#define SH_HTTP_ORIGIN_TEXT        300         /* "https://host:port" */

TAILQ_HEAD(sh_http_calls, sh_http_call);

enum sh_http_state {
    SH_HTTP_WAITING, /* for its turn, in client->waiting */
    SH_HTTP_RUNNING, /* libcurl has it, in client->running */
    SH_HTTP_READY    /* ended before it began: told of on the next turn, in client->ready */
};

struct sh_http_call {
    struct sh_http_client *client;
    TAILQ_ENTRY(sh_http_call) at;
    enum sh_http_state state;
    uint64_t seq; /* READY: when it became so */
    sh_http_done_fn *done;
    void *arg;
    int64_t begun_us, deadline_us;
    struct sh_timer *wait; /* WAITING: its deadline */

    /* what is asked */
    char method[16];
    char *body; /* NULL = none */
    size_t body_len;
    int redirects; /* that may still be followed */
    CURLU *url;
    char host[256]; /* without brackets */
    int port;
    char origin[SH_HTTP_ORIGIN_TEXT];
    struct curl_slist *headers;
    CURL *easy; /* RUNNING: from the pool */

    /* what reach said at connect */
    unsigned opened; /* sockets */
    int open_errno;  /* why the last one was not */
    bool refused;
    char refusal[300];

    /* what came back, of this hop */
    int status; /* 0 = no status line yet */
    bool head_done, head_too_long, cut;
    size_t head_bytes, max_body;
    struct sh_buf head, answer;
    char curl_error[CURL_ERROR_SIZE];
    bool sent; /* of any hop */
};

struct sh_http_client {
    struct event_base *base;
    struct sh_http_client_config config; /* with defaults */
    char *ca_file, *user_agent;          /* the copies config points to */
    CURLM *multi;
    struct sh_timer *timer; /* libcurl's */
    struct sh_timer *soon;  /* for what is ready */
    struct sh_http_calls waiting, running, ready;
    long n_running;
    size_t n_open;
    uint64_t seq;
    CURL *pool[SH_HTTP_POOL];
    size_t n_pool;
};

/* --- http_send.c ---------------------------------------------------------------------------- */

/* Take the request into the call, checked, reach included. False: *err says why not, for people. */
bool sh_http_send_prepare(struct sh_http_call *call, const struct sh_http_request_out *r,
                          struct sh_error *err) SH_WARN_UNUSED;
/* Point the call to where the answer redirected it, with what may go there. False: refused. */
bool sh_http_send_redirect(struct sh_http_call *call, struct sh_slice location,
                           struct sh_error *err) SH_WARN_UNUSED;
/* A new handle with everything that is the same for each call. Never NULL. */
CURL *sh_http_send_handle(const struct sh_http_client_config *config) SH_WARN_UNUSED;
/* Everything of this call into its handle. left_ms: until its deadline, at least 1. */
void sh_http_send_load(struct sh_http_call *call, int64_t left_ms);

/* --- http_answer.c -------------------------------------------------------------------------- */

/* CURLOPT_HEADERFUNCTION, CURLOPT_WRITEFUNCTION; arg is the call. */
size_t sh_http_answer_on_header(char *p, size_t size, size_t n, void *arg);
size_t sh_http_answer_on_body(char *p, size_t size, size_t n, void *arg);
/* Forget what came, for the next hop. */
void sh_http_answer_reset(struct sh_http_call *call);
/* The value of the first header of that (lower-case) name, empty if there is none. Borrowed. */
struct sh_slice sh_http_answer_header(const struct sh_http_call *call, const char *name);
/* The transfer ended with rc: fill a. */
void sh_http_answer_fill(struct sh_http_call *call, CURLcode rc, struct sh_http_answer *a);

#endif
