/* SPDX-License-Identifier: MIT
 * http_client.c: many HTTP calls at once: curl_multi's sockets and time-outs on the event loop.
 *
 * As many calls as there are connections are with libcurl, the others wait here: libcurl would
 * count their wait as time to connect. Handles are taken from libcurl only outside its callbacks,
 * after each of its actions; done() runs there too. Redirects are followed here, so that each hop
 * is a request like the first, asked about and checked. */
#include "svc/http_client_impl.h"

#include "base/clock.h"
#include "svc/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEF_CONNECTIONS 64
#define MAX_CONNECTIONS 1024
#define DEF_TIMEOUT_MS  30000
#define MAX_TIMEOUT_MS  (24LL * 3600 * 1000)

/* --- libcurl's sockets and time-out on the loop --------------------------------------------- */

struct watch { /* one socket of libcurl */
    struct event ev;
    struct sh_http_client *client;
};

static void drain(struct sh_http_client *c);

static void act(struct sh_http_client *c, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(c->multi, fd, what, &running);
    drain(c);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    const struct watch *w = arg; /* gone after libcurl has acted */
    act(w->client, fd,
        (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_time(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void unwatch(struct sh_http_client *c, struct watch *w, curl_socket_t fd)
{
    if (!w)
        return;
    curl_multi_assign(c->multi, fd, NULL);
    event_del(&w->ev);
    free(w);
}

/* CURLMOPT_SOCKETFUNCTION: libcurl says REMOVE before it closes a socket. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct sh_http_client *c = arg;
    struct watch *w = known;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        unwatch(c, w, fd);
        return 0;
    }
    if (w) {
        event_del(&w->ev);
    } else {
        w = sh_alloc(1, sizeof(*w));
        w->client = c;
        curl_multi_assign(c->multi, fd, w);
    }
    short want = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                         (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
    sh_require(event_assign(&w->ev, c->base, fd, want, on_ready, w) == 0);
    sh_require(event_add(&w->ev, NULL) == 0);
    return 0;
}

/* CURLMOPT_TIMERFUNCTION: may not act on the multi handle from in here. */
static int on_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct sh_http_client *c = arg;
    (void)multi;
    if (delay_ms < 0)
        sh_timer_cancel(c->timer);
    else
        sh_timer_set(c->timer, delay_ms);
    return 0;
}

/* --- Handles and calls ---------------------------------------------------------------------- */

static CURL *take_handle(struct sh_http_client *c)
{
    return c->n_pool ? c->pool[--c->n_pool] : sh_http_send_handle(&c->config);
}

static void give_handle(struct sh_http_client *c, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL); /* the call's, which goes */
    if (c->n_pool < SH_HTTP_POOL)
        c->pool[c->n_pool++] = easy;
    else
        curl_easy_cleanup(easy);
}

static struct sh_http_calls *list_of(struct sh_http_call *call)
{
    struct sh_http_client *c = call->client;
    return call->state == SH_HTTP_RUNNING   ? &c->running
           : call->state == SH_HTTP_WAITING ? &c->waiting
                                            : &c->ready;
}

static void put(struct sh_http_call *call, enum sh_http_state state)
{
    call->state = state;
    TAILQ_INSERT_TAIL(list_of(call), call, at);
    call->client->n_running += state == SH_HTTP_RUNNING;
}

/* Out of its list, its handle back in the pool. */
static void detach(struct sh_http_call *call)
{
    struct sh_http_client *c = call->client;
    TAILQ_REMOVE(list_of(call), call, at);
    c->n_running -= call->state == SH_HTTP_RUNNING;
    c->n_open--;
    sh_timer_free(call->wait);
    call->wait = NULL;
    if (!call->easy)
        return;
    curl_multi_remove_handle(c->multi, call->easy);
    give_handle(c, call->easy);
    call->easy = NULL;
}

static void free_call(struct sh_http_call *call)
{
    if (call->url)
        curl_url_cleanup(call->url);
    curl_slist_free_all(call->headers);
    free(call->body);
    sh_buf_free(&call->head);
    sh_buf_free(&call->answer);
    free(call);
}

/* The end of a call. */
static void tell(struct sh_http_call *call, struct sh_http_answer *a)
{
    a->took_ms = (sh_mono_us() - call->begun_us) / 1000;
    detach(call);
    call->done(call->arg, a);
    free_call(call);
}

static void launch(struct sh_http_call *call)
{
    int64_t left_ms = (call->deadline_us - sh_mono_us()) / 1000;
    call->easy = call->easy ? call->easy : take_handle(call->client);
    sh_http_answer_reset(call);
    sh_http_send_load(call, left_ms > 0 ? left_ms : 1);
    sh_require(curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK);
}

/* --- Calls that wait, and calls that never began -------------------------------------------- */

static void on_waited(void *arg)
{
    struct sh_http_call *call = arg;
    struct sh_http_answer a = {.end = SH_HTTP_NO_ANSWER, .retry_after_ms = -1};
    snprintf(a.error, sizeof(a.error),
             "%.120s: not called in time: all %ld connections were busy with other calls",
             call->origin, call->client->config.connections);
    tell(call, &a);
}

static void start_or_wait(struct sh_http_call *call)
{
    struct sh_http_client *c = call->client;
    if (c->n_running < c->config.connections && TAILQ_EMPTY(&c->waiting)) {
        put(call, SH_HTTP_RUNNING);
        launch(call);
        return;
    }
    put(call, SH_HTTP_WAITING);
    call->wait = sh_timer_new(c->base, on_waited, call);
    sh_timer_set(call->wait, (call->deadline_us - call->begun_us) / 1000);
}

static void start_waiting(struct sh_http_client *c)
{
    struct sh_http_call *call;
    while (c->n_running < c->config.connections && (call = TAILQ_FIRST(&c->waiting))) {
        TAILQ_REMOVE(&c->waiting, call, at);
        sh_timer_free(call->wait);
        call->wait = NULL;
        put(call, SH_HTTP_RUNNING);
        launch(call);
    }
}

static void refuse_later(struct sh_http_call *call, const struct sh_error *err)
{
    struct sh_http_client *c = call->client;
    snprintf(call->refusal, sizeof(call->refusal), "%.*s", (int)sizeof(call->refusal) - 1,
             err->msg);
    call->seq = ++c->seq;
    put(call, SH_HTTP_READY);
    sh_timer_set(c->soon, 0);
}

static void tell_refused(struct sh_http_call *call, const char *why)
{
    struct sh_http_answer a = {.end = SH_HTTP_REFUSED, .retry_after_ms = -1};
    snprintf(a.error, sizeof(a.error), "%s", why);
    tell(call, &a);
}

static void on_soon(void *arg)
{
    struct sh_http_client *c = arg;
    const uint64_t last = c->seq; /* what is refused meanwhile has its own turn */
    struct sh_http_call *call;
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    while ((call = TAILQ_FIRST(&c->ready)) && call->seq <= last)
        tell_refused(call, call->refusal);
    start_waiting(c);
}

/* --- Calls that end ------------------------------------------------------------------------- */

static bool is_redirect(const struct sh_http_call *call)
{
    int s = call->status;
    bool same_method = s == 307 || s == 308; /* RFC 9110 15.4.8, 15.4.9: sent again as it is */
    bool get = strcmp(call->method, "GET") == 0;
    return call->redirects > 0 && (same_method || (get && (s == 301 || s == 302 || s == 303))) &&
           sh_http_answer_header(call, "location").n > 0;
}

static void follow(struct sh_http_call *call)
{
    struct sh_error err;
    char why[sizeof(((struct sh_http_answer *)0)->error)];
    call->redirects--;
    curl_multi_remove_handle(call->client->multi, call->easy);
    if (sh_http_send_redirect(call, sh_http_answer_header(call, "location"), &err)) {
        launch(call);
        return;
    }
    snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, err.msg);
    tell_refused(call, why);
}

static void on_ended(CURL *easy, CURLcode rc)
{
    void *private = NULL;
    struct sh_http_answer a = {.end = SH_HTTP_NO_ANSWER};
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct sh_http_call *call = private;
    sh_http_answer_fill(call, rc, &a);
    if (a.end == SH_HTTP_ANSWERED && is_redirect(call))
        follow(call);
    else
        tell(call, &a);
}

static void drain(struct sh_http_client *c)
{
    const CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left))) {
        if (m->msg == CURLMSG_DONE)
            on_ended(m->easy_handle, m->data.result);
    }
    start_waiting(c);
}

/* --- Public --------------------------------------------------------------------------------- */

struct sh_http_call *sh_http_client_start(struct sh_http_client *c,
                                          const struct sh_http_request_out *r,
                                          sh_http_done_fn *done, void *arg)
{
    struct sh_http_call *call = sh_alloc(1, sizeof(*call));
    struct sh_error err;
    int64_t timeout_ms = r->timeout_ms > 0 ? r->timeout_ms : DEF_TIMEOUT_MS;
    if (timeout_ms > MAX_TIMEOUT_MS)
        timeout_ms = MAX_TIMEOUT_MS;
    call->client = c;
    call->done = done;
    call->arg = arg;
    call->begun_us = sh_mono_us();
    call->deadline_us = call->begun_us + timeout_ms * 1000;
    call->max_body = r->max_answer_bytes;
    sh_buf_init(&call->head, 2 * SH_HTTP_MAX_ANSWER_HEADERS);
    sh_buf_init(&call->answer, r->max_answer_bytes);
    c->n_open++;
    if (sh_http_send_prepare(call, r, &err))
        start_or_wait(call);
    else
        refuse_later(call, &err);
    return call;
}

void sh_http_call_cancel(struct sh_http_call *call)
{
    struct sh_http_client *c = call->client;
    detach(call);
    free_call(call);
    /* Not start_waiting(): this may be within done(), and whoever cancels may cancel more. */
    if (!TAILQ_EMPTY(&c->waiting))
        sh_timer_set(c->soon, 0);
}

size_t sh_http_client_open(const struct sh_http_client *c)
{
    return c->n_open;
}

static void set_up_multi(struct sh_http_client *c)
{
    c->multi = curl_multi_init();
    sh_require(c->multi);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, c->config.connections);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, c->config.connections);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
}

struct sh_http_client *sh_http_client_new(struct event_base *base,
                                          const struct sh_http_client_config *config,
                                          struct sh_error *err)
{
    if (config->ca_file && access(config->ca_file, R_OK) != 0) {
        sh_error_set(err, SH_EINVAL, "ca_file %.200s cannot be read", config->ca_file);
        return NULL;
    }
    sh_require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    struct sh_http_client *c = sh_alloc(1, sizeof(*c));
    c->base = base;
    c->config = *config;
    c->config.ca_file = c->ca_file = sh_strdup(config->ca_file);
    c->config.user_agent = c->user_agent = sh_strdup(config->user_agent);
    if (c->config.connections <= 0)
        c->config.connections = DEF_CONNECTIONS;
    if (c->config.connections > MAX_CONNECTIONS)
        c->config.connections = MAX_CONNECTIONS;
    TAILQ_INIT(&c->waiting);
    TAILQ_INIT(&c->running);
    TAILQ_INIT(&c->ready);
    c->timer = sh_timer_new(base, on_time, c);
    c->soon = sh_timer_new(base, on_soon, c);
    set_up_multi(c);
    return c;
}

static void drop_all(struct sh_http_calls *list)
{
    struct sh_http_call *call;
    while ((call = TAILQ_FIRST(list))) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        detach(call);
        free_call(call);
    }
}

void sh_http_client_free(struct sh_http_client *c)
{
    if (!c)
        return;
    drop_all(&c->waiting);
    drop_all(&c->ready);
    drop_all(&c->running);
    while (c->n_pool)
        curl_easy_cleanup(c->pool[--c->n_pool]);
    curl_multi_cleanup(c->multi); /* closes connections, with on_socket() and on_timer() */
    sh_timer_free(c->timer);
    sh_timer_free(c->soon);
    free(c->ca_file);
    free(c->user_agent);
    free(c);
    curl_global_cleanup();
}
