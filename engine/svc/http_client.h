/* SPDX-License-Identifier: MIT
 * http_client.h: HTTP calls out, many at once, through curl_multi on the event loop.
 *
 * Nothing here blocks the loop: names are resolved on libcurl's threads, and a call that is given
 * up does not wait for its resolver (CURLOPT_QUICK_EXIT). HTTP and HTTPS alone, certificates and
 * host names always verified, no proxy, no netrc, no cookies, no decompression. */
#ifndef SH_SVC_HTTP_CLIENT_H
#define SH_SVC_HTTP_CLIENT_H

#include "base/buf.h"
#include "svc/reach.h"

struct event_base;
struct sh_http_client;
struct sh_http_call; /* one under way */

struct sh_http_client_config {
    const struct sh_reach *reach; /* borrowed; checked for the URL, each redirect, each connect */
    const char *ca_file;          /* NULL = the system's certificates */
    const char *user_agent;
    long connections;           /* kept and open, over all hosts; 0 = 64 */
    int64_t connect_timeout_ms; /* 0 = 10000 */
};
struct sh_http_client *sh_http_client_new(struct event_base *base,
                                          const struct sh_http_client_config *config,
                                          struct sh_error *err) SH_WARN_UNUSED;
/* Calls under way are dropped without done(). */
void sh_http_client_free(struct sh_http_client *c);

struct sh_http_request_out { /* borrowed for the call of sh_http_client_start() */
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-terminated; no Expect is ever sent */
    const char *body;           /* NULL = none */
    size_t body_len;
    int64_t timeout_ms;      /* whole call; 0 = 30000 */
    size_t max_answer_bytes; /* of the body; what is beyond is not read, cut = true */
    int redirects;           /* 3xx followed at most; 0 = a 3xx is the answer. GET: to
                                another scheme, host or port go Accept, Accept-Language and
                                User-Agent alone, no other header: it might be a key. Others:
                                307 and 308, the same call once more, to the same host alone */
};
enum sh_http_end {
    SH_HTTP_ANSWERED = 1, /* status holds */
    SH_HTTP_REFUSED,      /* by reach or a bad URL: never again */
    SH_HTTP_NO_ANSWER     /* could not resolve, connect, TLS, time-out, cut off: perhaps later */
};
struct sh_http_answer { /* borrowed for the callback */
    enum sh_http_end end;
    int status;
    char error[300];         /* REFUSED, NO_ANSWER: for people, with host and reason */
    bool sent;               /* NO_ANSWER: the request may have reached the other side */
    struct sh_slice headers; /* lines "name: value\n", names in lower case, of the last answer */
    struct sh_slice body;
    bool cut;
    int64_t retry_after_ms; /* from now, Retry-After in either form (RFC 9110 10.2.3), at most
                               24 h; -1 = none */
    int64_t took_ms;
};
typedef void sh_http_done_fn(void *arg, const struct sh_http_answer *a);
/* Start a call. done(arg) once, on the loop, later, never from within this call. It may start
 * others and cancel others, but not free the client. More calls than connections wait their turn,
 * within their time. */
struct sh_http_call *sh_http_client_start(struct sh_http_client *c,
                                          const struct sh_http_request_out *r,
                                          sh_http_done_fn *done, void *arg);
/* Drop it; done() is not called. */
void sh_http_call_cancel(struct sh_http_call *call);
size_t sh_http_client_open(const struct sh_http_client *c); /* calls under way */

#endif
