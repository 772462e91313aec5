/* SPDX-License-Identifier: MIT
 * bench_evhttp.c: the peer that shows what evhttp alone can do: takes the same body, decodes it
 * with cJSON, looks at two fields, answers 200 and keeps nothing. One thread. Prints "ready on
 * http://127.0.0.1:PORT"; ends on SIGTERM. */
#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_BODY_BYTES (1024 * 1024)

static void on_post(struct evhttp_request *req, void *arg)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req), *out = evbuffer_new();
    size_t n = evbuffer_get_length(in);
    const char *body = n ? (const char *)evbuffer_pullup(in, -1) : "";
    cJSON *tree = cJSON_ParseWithLength(body, n);
    (void)arg;
    bool ok = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(tree, "event")) &&
              cJSON_IsString(cJSON_GetObjectItemCaseSensitive(tree, "call_id"));
    cJSON_Delete(tree);
    evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
    evbuffer_add_printf(out, ok ? "{\"ok\":true}\n" : "{\"ok\":false}\n");
    evhttp_send_reply(req, ok ? 200 : 400, ok ? "OK" : "Bad Request", out);
    evbuffer_free(out);
}

static void on_term(evutil_socket_t sig, short what, void *base)
{
    (void)sig;
    (void)what;
    event_base_loopbreak(base);
}

static int bound_port(struct evhttp_bound_socket *bound)
{
    struct sockaddr_in a = {0};
    socklen_t n = sizeof(a);
    if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&a, &n) != 0)
        return -1;
    return ntohs(a.sin_port);
}

int main(void)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = base ? evhttp_new(base) : NULL;
    struct evhttp_bound_socket *bound =
        http ? evhttp_bind_socket_with_handle(http, "127.0.0.1", 0) : NULL;
    struct event *term = base ? evsignal_new(base, SIGTERM, on_term, base) : NULL;
    if (!bound || !term || event_add(term, NULL) != 0) {
        fprintf(stderr, "bench_evhttp: cannot listen on 127.0.0.1\n");
        return 1;
    }
    evhttp_set_max_body_size(http, MAX_BODY_BYTES);
    evhttp_set_gencb(http, on_post, NULL);
    printf("ready on http://127.0.0.1:%d\n", bound_port(bound));
    fflush(stdout);
    event_base_dispatch(base);
    event_free(term);
    evhttp_free(http);
    event_base_free(base);
    return 0;
}
