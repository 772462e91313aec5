/* SPDX-License-Identifier: MIT
 * bench_sink.c: a receiver of HTTP calls for the benchmark of deliveries. It answers 200 and
 * counts: calls, different Idempotency-Keys, and calls whose body {"n":N} is not above the one
 * before it at the same address and path. GET /stats tells.
 *
 *   bench_sink [ADDRESSES [PORT]]  listens on 127.0.0.1 .. 127.0.0.ADDRESSES (default 1), one port
 *                                  for all (0: a free one), prints its URL, ends on SIGTERM */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

enum { MAX_ADDRESSES = 200, BACKLOG = 1024 };

struct seen { /* a key, or the last number of a place */
    char *name;
    long last;
    UT_hash_handle hh;
};

static struct seen *keys, *places;
static long n_calls, n_keys, n_disorder;
static double first_s, last_s;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct seen *find(struct seen **table, const char *name, int *is_new)
{
    struct seen *s = NULL;
    HASH_FIND_STR(*table, name, s);
    *is_new = s == NULL;
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s || !(s->name = strdup(name)))
        abort();
    s->last = -1;
    HASH_ADD_KEYPTR(hh, *table, s->name, strlen(s->name), s);
    return s;
}

static void count(struct evhttp_request *req)
{
    char place[600], body[200] = "";
    int is_new;
    long n;
    struct evkeyvalq *in = evhttp_request_get_input_headers(req);
    const char *key = evhttp_find_header(in, "Idempotency-Key"),
               *host = evhttp_find_header(in, "Host");
    evbuffer_copyout(evhttp_request_get_input_buffer(req), body, sizeof(body) - 1);
    snprintf(place, sizeof(place), "%s%s", host ? host : "", evhttp_request_get_uri(req));
    n_calls++;
    last_s = now_s();
    if (n_calls == 1)
        first_s = last_s;
    (void)find(&keys, key ? key : "", &is_new);
    n_keys += is_new;
    const char *at = strstr(body, "\"n\":");
    if (!at || sscanf(at + 4, "%ld", &n) != 1)
        return;
    struct seen *s = find(&places, place, &is_new);
    n_disorder += n <= s->last;
    s->last = n;
}

static void on_request(struct evhttp_request *req, void *arg)
{
    (void)arg;
    struct evbuffer *out = evbuffer_new();
    if (!out)
        abort();
    if (strcmp(evhttp_request_get_uri(req), "/stats") == 0) {
        evbuffer_add_printf(out, "{\"calls\":%ld,\"keys\":%ld,\"disorder\":%ld,\"seconds\":%.6f}",
                            n_calls, n_keys, n_disorder, n_calls ? last_s - first_s : 0.0);
    } else {
        count(req);
        evbuffer_add_printf(out, "{}");
    }
    evhttp_send_reply(req, HTTP_OK, "OK", out);
    evbuffer_free(out);
}

static void on_term(evutil_socket_t sig, short what, void *base)
{
    (void)sig;
    (void)what;
    event_base_loopbreak(base);
}

/* Bind 127.0.0.number; port 0: any, and *port becomes it. */
static int bind_one(struct event_base *base, struct evhttp *http, unsigned number, int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl((127U << 24) + number),
                             .sin_port = htons((unsigned short)*port)};
    socklen_t len = sizeof(at);
    struct evconnlistener *l =
        evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                BACKLOG, (struct sockaddr *)&at, sizeof(at));
    if (!l || !evhttp_bind_listener(http, l))
        return 0;
    getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&at, &len);
    *port = ntohs(at.sin_port);
    return 1;
}

int main(int argc, char **argv)
{
    int addresses = argc > 1 ? atoi(argv[1]) : 1, port = argc > 2 ? atoi(argv[2]) : 0;
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    struct evhttp *http = base ? evhttp_new(base) : NULL;
    struct event *term = base ? evsignal_new(base, SIGTERM, on_term, base) : NULL;
    if (!http || !term || addresses < 1 || addresses > MAX_ADDRESSES)
        return 2;
    for (int i = 1; i <= addresses; i++)
        if (!bind_one(base, http, (unsigned)i, &port)) {
            perror("bench_sink");
            return 1;
        }
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    evhttp_set_gencb(http, on_request, NULL);
    event_add(term, NULL);
    printf("bench_sink ready on http://127.0.0.1:%d\n", port);
    fflush(stdout);
    event_base_dispatch(base);
    event_free(term);
    evhttp_free(http);
    event_base_free(base);
    return 0;
}
