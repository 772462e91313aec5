/* SPDX-License-Identifier: MIT
 * http_conn.h: what the parts of the HTTP server share; for http_*.c of this folder alone. */
#ifndef SH_SVC_HTTP_CONN_H
#define SH_SVC_HTTP_CONN_H

#include "svc/http_guard.h"
#include "svc/loop.h"

#include <netinet/in.h>
#include <time.h>
#include <sys/queue.h>

struct bufferevent;
struct evbuffer;
struct evconnlistener;
struct evhttp;
struct evhttp_connection;
struct evhttp_bound_socket;
struct evhttp_request;
struct sh_http_linger;
struct ssl_st;

enum conn_state {
    CONN_READING, /* a request or nothing is being read */
    CONN_FED,     /* evhttp has a whole request, the handler not yet */
    CONN_OWED,    /* the handler has it */
    CONN_WRITING, /* the answer is on its way */
    CONN_STREAM,  /* the answer stays open: what comes meanwhile is thrown away */
    CONN_ENDING,  /* the last of it is on its way */
    CONN_LINGER   /* refused and answered: what still comes is thrown away, then it ends */
};

struct sh_http_conn {
    struct sh_http_server *server;
    struct bufferevent *bev;             /* a reference of ours until adopted */
    struct ssl_st *ssl;                  /* of the bufferevent; NULL: no TLS */
    struct evhttp_connection *evcon;     /* NULL until adopted */
    TAILQ_ENTRY(sh_http_conn) link;      /* order of the latest answer: the longest idle first */
    TAILQ_ENTRY(sh_http_conn) late_link; /* while late */
    enum conn_state state;
    struct sh_http_guard guard;
    struct evbuffer *held; /* bytes behind the request in work, NULL until there are any */
    int64_t deadline_ms;   /* on the server's clock; 0 = none */
    int64_t since_ms;      /* idle since */
    size_t waiting_bytes;  /* of an unfinished request */
    size_t thrown_bytes;   /* LINGER, STREAM: so far */
    bool moving;           /* the input changes by our own hand */
    bool asleep;           /* the low-water mark keeps evhttp from reading */
    bool answered;         /* a request on it, once */
    bool late;             /* something to do for it outside libevent's callbacks */
    struct in6_addr addr;  /* peer, IPv4 mapped */
    char peer[INET6_ADDRSTRLEN];
    int fd;
    struct sh_http_request *request; /* OWED: the one in work */
    struct sh_http_stream *stream;   /* STREAM */
    struct evhttp_request *ending;   /* ENDING: the stream's */
};

struct sh_http_request {
    struct sh_http_server *server;
    struct sh_http_conn *conn;    /* NULL once it is gone */
    struct evhttp_request *evreq; /* NULL once freed with its connection */
    TAILQ_ENTRY(sh_http_request) link;
    enum sh_http_method method;
    bool body_joined;
    const char *query;
    char peer[INET6_ADDRSTRLEN];
    char path[]; /* decoded, NUL, then the raw query, NUL */
};

struct sh_http_server {
    struct evhttp *http;
    struct evconnlistener *listeners[SH_HTTP_LISTENERS];
    struct evhttp_bound_socket *bound[SH_HTTP_LISTENERS]; /* the same to evhttp, which owns them */
    size_t n_listeners;
    struct sh_tls *tls; /* borrowed; NULL: plain HTTP */
    struct sh_http_limits limits;
    sh_http_handler_fn *handler;
    sh_http_refused_fn *refused;
    void *arg;
    struct sh_http_server *next;
    struct event *loose_ends; /* activated when there is a new connection or a late one */
    struct sh_timer *tick, *emfile_timer, *leave; /* leave: the last look at who has come */
    size_t waiting_bytes;                         /* of unfinished requests, all connections */
    int64_t now_ms;                               /* monotonic, as of the last tick */
    int64_t crowd_said_ms;
    int port, spare_fd, n_conns;
    char *unix_path; /* owned; NULL: TCP */
    bool listening, stopping, emfile;
    bool given;      /* the sockets are held by somebody else as well */
    bool held_back;  /* nothing is accepted yet */
    bool left;       /* nothing is accepted any more */
    int64_t stop_ms; /* stopping since, on the server's clock */
    LIST_HEAD(, sh_http_linger) lingering;
    int n_lingering;
    size_t n_requests;           /* owed */
    size_t n_writing;            /* answers that have not left whole */
    size_t n_streams;            /* answers that stay open */
    struct sh_http_conn **by_fd; /* connections by descriptor */
    int n_by_fd;
    time_t date_at; /* the second that date is for */
    char date[40];
    TAILQ_HEAD(, sh_http_conn) conns;
    TAILQ_HEAD(, sh_http_conn) late;
    TAILQ_HEAD(, sh_http_request) requests;
};

/* A bufferevent for a connection about to be accepted, with its guard. */
struct bufferevent *sh_http_conn_new(struct sh_http_server *s);
/* Take up what was left for later: new connections, refusals found while answering. */
void sh_http_conns_adopt(struct sh_http_server *s);
/* How long nothing has been going on, or -1 if something is. */
int64_t sh_http_conn_idle_ms(const struct sh_http_conn *c);
/* The deadline has passed: answer 408 where a request was begun, then end. */
void sh_http_conn_expire(struct sh_http_conn *c);
/* http_crowd.c: connections have run out and somebody waits, with none idle: those of the address
 * that has most of them make room, if their requests take long. */
void sh_http_crowd_make_room(struct sh_http_server *s);
/* Close and free, now. Not from within a callback of its own buffers. */
void sh_http_conn_finish(struct sh_http_conn *c);
/* Throw away what has come, and from now on what comes (STREAM). */
void sh_http_conn_drop_input(struct sh_http_conn *c);
/* The answer of the request in work has left whole: go on with the next. */
void sh_http_conn_answered(struct sh_http_conn *c);
/* http_tls.c: the bufferevent of a new connection that speaks TLS. */
struct bufferevent *sh_http_tls_new(struct sh_http_conn *c, struct event_base *base);
/* Send now, past evhttp; nothing before the handshake is done. */
void sh_http_tls_send(const struct sh_http_conn *c, const char *p, size_t n);
/* Say that nothing more comes. */
void sh_http_tls_end(const struct sh_http_conn *c);
/* The connection is about to be closed. */
void sh_http_tls_closing(struct sh_http_conn *c);
/* The number of connections fell. */
void sh_http_conns_changed(struct sh_http_server *s);

/* evhttp's general callback. */
void sh_http_on_request(struct evhttp_request *evreq, void *server);
/* The connection of this request is gone. */
void sh_http_request_orphan(struct sh_http_conn *c);
void sh_http_requests_free(struct sh_http_server *s);
/* The request is no longer its handler's. */
void sh_http_request_done(struct sh_http_request *req);
/* http_stop.c: a connection of a server that is stopping: is it time for it to go? */
void sh_http_stop_tick(struct sh_http_conn *c);
/* It is about to be closed: hold its socket until the peer has seen so. */
void sh_http_stop_closing(struct sh_http_conn *c);
void sh_http_lingers_free(struct sh_http_server *s);
/* Answer in place of evhttp, which has seen nothing of the request, and end. */
void sh_http_conn_refuse(struct sh_http_conn *c, int status, const char *reason);
/* Has something come behind the request in work? */
bool sh_http_conn_has_more(const struct sh_http_conn *c);
/* http_stream.c: keep the deadline of a connection in STREAM or ENDING. */
void sh_http_stream_tick(struct sh_http_conn *c);
/* Its connection is about to be freed. */
void sh_http_stream_closing(struct sh_http_conn *c);
/* End all, and tell whose they are. */
void sh_http_streams_end(struct sh_http_server *s);
/* Close up to n, those of the oldest connections first. False: there is none. */
bool sh_http_streams_shed(struct sh_http_server *s, int n);
/* "HTTP date" of the current second, kept. */
const char *sh_http_date(struct sh_http_server *s);
const char *sh_http_status_text(int status);

#endif
