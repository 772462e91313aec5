/* SPDX-License-Identifier: MIT
 * http_request.c: a request as the handler sees it, and its answer. */
#include "svc/http_conn.h"

#include "base/log.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

const char *sh_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

const char *sh_http_date(struct sh_http_server *s)
{
    const time_t now = time(NULL);
    struct tm tm;
    if (now != s->date_at) {
        gmtime_r(&now, &tm);
        strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        s->date_at = now;
    }
    return s->date;
}

/* --- Making ----------------------------------------------------------------------------------- */

static enum sh_http_method method_of(struct evhttp_request *evreq)
{
    switch (evhttp_request_get_command(evreq)) {
    case EVHTTP_REQ_GET:
        return SH_HTTP_GET;
    case EVHTTP_REQ_HEAD:
        return SH_HTTP_HEAD;
    case EVHTTP_REQ_POST:
        return SH_HTTP_POST;
    case EVHTTP_REQ_PUT:
        return SH_HTTP_PUT;
    case EVHTTP_REQ_DELETE:
        return SH_HTTP_DELETE;
    case EVHTTP_REQ_PATCH:
        return SH_HTTP_PATCH;
    case EVHTTP_REQ_OPTIONS:
        return SH_HTTP_OPTIONS;
    default:
        return SH_HTTP_OTHER;
    }
}

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The guard has seen that two hex digits follow each %, and that they are not 00. */
static void decode(char *path)
{
    char *out = strchr(path, '%');
    if (!out)
        return;
    for (const char *in = out; *in; in++) {
        if (*in == '%') {
            *out++ = (char)(hex(in[1]) << 4 | hex(in[2]));
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/* The target without the scheme and host that it may begin with; "?..." where the path is empty. */
static const char *origin_form(const char *target)
{
    const char *host = *target != '/' ? strstr(target, "://") : NULL;
    if (!host)
        return target;
    target = host + 3 + strcspn(host + 3, "/?");
    return *target ? target : "/";
}

/* Path and query out of the target as sent; evhttp's reading of it takes "//a/b" for a host. */
static struct sh_http_request *request_new(struct sh_http_server *s, struct sh_http_conn *c,
                                           struct evhttp_request *evreq)
{
    const char *target = origin_form(evhttp_request_get_uri(evreq));
    const size_t n = strlen(target), path_len = strcspn(target, "?");
    const bool bare = *target == '?'; /* http://host?query: the path is "/" */
    struct sh_http_request *req = sh_alloc(1, sizeof(*req) + n + 3);
    memcpy(req->path + bare, target, n);
    if (bare)
        req->path[0] = '/';
    req->path[path_len + bare] = '\0';
    if (path_len == n)
        req->query = "";
    else
        req->query = req->path + bare + path_len + 1;
    decode(req->path);
    req->server = s;
    req->conn = c;
    req->evreq = evreq;
    req->method = method_of(evreq);
    memcpy(req->peer, c->peer, sizeof(req->peer));
    TAILQ_INSERT_TAIL(&s->requests, req, link);
    s->n_requests++;
    c->request = req;
    return req;
}

static struct sh_http_conn *conn_of(struct sh_http_server *s, struct evhttp_connection *evcon)
{
    const int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
    struct sh_http_conn *c = fd >= 0 && fd < s->n_by_fd ? s->by_fd[fd] : NULL;
    return c && c->evcon == evcon ? c : NULL;
}

/* The last line of defence: evhttp must have found the same request that the guard let through, to
 * the byte. Everything it has left over would be read as another request. */
static bool same_framing(struct sh_http_conn *c, struct evhttp_request *evreq)
{
    return c->state == CONN_FED && evhttp_request_get_uri(evreq) &&
           evbuffer_get_length(bufferevent_get_input(c->bev)) == 0 &&
           evbuffer_get_length(evhttp_request_get_input_buffer(evreq)) == c->guard.body_bytes;
}

void sh_http_on_request(struct evhttp_request *evreq, void *server)
{
    struct sh_http_server *s = server;
    struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);
    struct sh_http_conn *c = evcon ? conn_of(s, evcon) : NULL;
    if (!c || !same_framing(c, evreq)) {
        sh_err("request framing read in two ways, closing its connection", "peer",
               c ? c->peer : "");
        evhttp_add_header(evhttp_request_get_output_headers(evreq), "Connection", "close");
        evhttp_send_error(evreq, 400, NULL);
        return;
    }
    c->state = CONN_OWED;
    c->deadline_ms = 0;
    s->handler(s->arg, request_new(s, c, evreq));
}

/* --- Reading ---------------------------------------------------------------------------------- */

enum sh_http_method sh_http_method(const struct sh_http_request *req)
{
    return req->method;
}

const char *sh_http_path(const struct sh_http_request *req)
{
    return req->path;
}

struct sh_slice sh_http_raw_path(const struct sh_http_request *req)
{
    if (!req->evreq)
        return sh_slice("", 0);
    const char *target = origin_form(evhttp_request_get_uri(req->evreq));
    return *target == '?' ? SH_SLICE("/") : sh_slice(target, strcspn(target, "?"));
}

const char *sh_http_query(const struct sh_http_request *req)
{
    return req->query;
}

const char *sh_http_header(const struct sh_http_request *req, const char *name)
{
    return req->evreq ? evhttp_find_header(evhttp_request_get_input_headers(req->evreq), name)
                      : NULL;
}

const char *sh_http_header_at(const struct sh_http_request *req, const char *name, size_t n)
{
    const struct evkeyval *h;
    if (!req->evreq)
        return NULL;
    TAILQ_FOREACH(h, evhttp_request_get_input_headers(req->evreq), next)
    {
        if (strcasecmp(h->key, name) == 0 && n-- == 0)
            return h->value;
    }
    return NULL;
}

bool sh_http_is_1_0(const struct sh_http_request *req)
{
    return req->conn && req->conn->guard.http10;
}

const char *sh_http_peer(const struct sh_http_request *req)
{
    return req->peer;
}

bool sh_http_peer_uid(const struct sh_http_request *req, unsigned *uid)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    if (!req->conn || req->conn->fd < 0 || req->peer[0] ||
        getsockopt(req->conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    *uid = who.uid;
    return true;
}

struct sh_slice sh_http_body(struct sh_http_request *req)
{
    if (!req->evreq)
        return sh_slice("", 0);
    struct evbuffer *in = evhttp_request_get_input_buffer(req->evreq);
    if (!req->body_joined) {
        sh_require(evbuffer_add(in, "", 1) == 0);
        req->body_joined = true;
    }
    const char *p = (const char *)evbuffer_pullup(in, -1);
    sh_require(p);
    return sh_slice(p, evbuffer_get_length(in) - 1);
}

char *sh_http_body_copy(struct sh_http_request *req, size_t *len)
{
    struct evbuffer *in = req->evreq ? evhttp_request_get_input_buffer(req->evreq) : NULL;
    const size_t n = in ? evbuffer_get_length(in) - (req->body_joined ? 1 : 0) : 0;
    char *copy = malloc(n + 1);
    sh_require(copy);
    if (n)
        sh_require(evbuffer_copyout(in, copy, n) == (ev_ssize_t)n);
    copy[n] = '\0';
    *len = n;
    return copy;
}

/* --- Answering -------------------------------------------------------------------------------- */

void sh_http_add_header(struct sh_http_request *req, const char *name, const char *value)
{
    if (strpbrk(name, "\r\n") || strpbrk(value, "\r\n")) {
        sh_warn("answer header with a line end dropped", "path", req->path);
        return;
    }
    if (req->evreq)
        evhttp_add_header(evhttp_request_get_output_headers(req->evreq), name, value);
}

void sh_http_request_done(struct sh_http_request *req)
{
    struct sh_http_server *s = req->server;
    TAILQ_REMOVE(&s->requests, req, link);
    s->n_requests--;
    if (req->conn)
        req->conn->request = NULL;
    free(req);
}

static void on_complete(struct evhttp_request *evreq, void *arg)
{
    (void)evreq;
    sh_http_conn_answered(arg);
}

void sh_http_reply(struct sh_http_request *req, int status, const char *content_type,
                   struct sh_slice body)
{
    struct sh_http_server *s = req->server;
    struct sh_http_conn *c = req->conn;
    struct evhttp_request *evreq = req->evreq;
    sh_http_request_done(req);
    if (!evreq || !c)
        return;
    struct evkeyvalq *out = evhttp_request_get_output_headers(evreq);
    if (body.n || content_type)
        evhttp_add_header(out, "Content-Type", content_type ? content_type : "application/json");
    evhttp_add_header(out, "Date", sh_http_date(s));
    if (s->stopping && !sh_http_conn_has_more(c)) /* what came before it knew is answered too */
        evhttp_add_header(out, "Connection", "close");
    /* evhttp gives no length to HTTP/1.0 and HEAD, and a body to HEAD. */
    if (status != 204 && status != 304) {
        char length[24];
        snprintf(length, sizeof(length), "%zu", body.n);
        evhttp_add_header(out, "Content-Length", length);
    }
    sh_require(body.n == 0 || evhttp_request_get_command(evreq) == EVHTTP_REQ_HEAD ||
               evbuffer_add(evhttp_request_get_output_buffer(evreq), body.p, body.n) == 0);
    c->state = CONN_WRITING;
    s->n_writing++;
    c->deadline_ms = s->now_ms + s->limits.body_timeout_ms;
    evhttp_request_set_on_complete_cb(evreq, on_complete, c);
    evhttp_send_reply(evreq, status, sh_http_status_text(status), NULL);
}

void sh_http_request_orphan(struct sh_http_conn *c)
{
    struct sh_http_request *req = c->request;
    if (!req)
        return;
    /* A connection with an answer owed neither reads nor writes: it ends with the server only, and
     * evhttp has freed its requests. */
    req->evreq = NULL;
    req->conn = NULL;
    c->request = NULL;
}

void sh_http_requests_free(struct sh_http_server *s)
{
    while (!TAILQ_EMPTY(&s->requests))
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        sh_http_request_done(TAILQ_FIRST(&s->requests));
    free(s->by_fd);
    s->by_fd = NULL;
    s->n_by_fd = 0;
}
