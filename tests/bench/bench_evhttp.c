/* SPDX-License-Identifier: MIT
 * bench_evhttp.c: the bare evhttp peer of the benchmark. One thread and one loop; each POST body is
 * decoded with cJSON, `call_id` is answered as the id, nothing is stored. What libevent and cJSON
 * cost by themselves, and so the most that an engine with one HTTP thread could reach.
 *
 *   bench_evhttp    listens on a free port of 127.0.0.1, prints its URL, ends on SIGTERM */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX_BYTES = 1 << 20, HEADERS_MAX_BYTES = 16 << 10, BACKLOG = 1024 };

static void answer(struct evhttp_request *req, int status, const char *reason,
                   struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    evhttp_add_header(headers, "Content-Type", "application/json");
    evhttp_send_reply(req, status, reason, body);
    evbuffer_free(body);
}

/* What the sender's body says under `name`, or NULL. */
static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static void on_post(struct evhttp_request *req, void *arg)
{
    (void)arg;
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t n = evbuffer_get_length(in);
    const char *bytes = (const char *)evbuffer_pullup(in, -1);
    cJSON *json = bytes ? cJSON_ParseWithLength(bytes, n) : NULL;
    const char *type = text_of(json, "event");
    const char *id = text_of(json, "call_id");
    struct evbuffer *out = evbuffer_new();
    if (!out)
        abort();
    if (type && id) {
        evbuffer_add_printf(out, "{\"id\":\"%s\"}", id);
        answer(req, HTTP_OK, "OK", out);
    } else {
        evbuffer_add_printf(out, "{\"error\":{\"code\":\"invalid_json\"}}");
        answer(req, HTTP_BADREQUEST, "Bad Request", out);
    }
    cJSON_Delete(json);
}

static void on_term(evutil_socket_t sig, short what, void *base)
{
    (void)sig;
    (void)what;
    event_base_loopbreak(base);
}

static struct evconnlistener *listen_anywhere(struct event_base *base)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                   BACKLOG, (struct sockaddr *)&at, sizeof(at));
}

static void print_url(struct evconnlistener *listener)
{
    struct sockaddr_in at = {0};
    socklen_t len = sizeof(at);
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&at, &len);
    printf("bench_evhttp ready on http://127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    struct evhttp *http = base ? evhttp_new(base) : NULL;
    struct event *term = base ? evsignal_new(base, SIGTERM, on_term, base) : NULL;
    struct evconnlistener *listener = base ? listen_anywhere(base) : NULL;
    if (!http || !term || !listener || !evhttp_bind_listener(http, listener)) {
        perror("bench_evhttp");
        return 1;
    }
    evhttp_set_max_body_size(http, BODY_MAX_BYTES);
    evhttp_set_max_headers_size(http, HEADERS_MAX_BYTES);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_POST);
    evhttp_set_gencb(http, on_post, NULL);
    event_add(term, NULL);
    print_url(listener);
    event_base_dispatch(base);
    event_free(term);
    evhttp_free(http);
    event_base_free(base);
    return 0;
}
