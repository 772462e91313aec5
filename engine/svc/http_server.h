/* SPDX-License-Identifier: MIT
 * http_server.h: evhttp with guards around its known holes. On the loop thread only.
 *
 * Guards (libevent 2.1.12 has none of them): total input per request capped whatever its framing
 * (an endless chunk-size line costs at most body + headers + 64 KiB, no quadratic rescans);
 * absolute deadlines for headers and body, however steadily bytes trickle; connection caps in
 * total and per peer address; no more than about 64 KiB is read of what comes behind an answer that
 * has not left; two or differing Content-Length, any Transfer-Encoding but exactly
 * `chunked`, TE together with CL, odd chunk sizes, empty or spaced header names, NUL or bare CR
 * in a value, obs-fold, missing or doubled Host on HTTP/1.1: 400 and close; EMFILE pauses the
 * listener instead of spinning. */
#ifndef SH_SVC_HTTP_SERVER_H
#define SH_SVC_HTTP_SERVER_H

#include "base/buf.h"

struct event_base;
struct sh_http_server;
struct sh_tls;
struct sh_http_request; /* one request; lives until its reply is sent or the server is freed */

struct sh_http_limits {
    size_t body_bytes, header_bytes;
    int connections, connections_per_peer; /* per_peer 0 = no separate cap */
    int header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int stall_timeout_ms; /* of an answer that stays open, below; 0 = 60 s */
};

enum sh_http_method {
    SH_HTTP_GET,
    SH_HTTP_HEAD,
    SH_HTTP_POST,
    SH_HTTP_PUT,
    SH_HTTP_DELETE,
    SH_HTTP_PATCH,
    SH_HTTP_OPTIONS,
    SH_HTTP_OTHER
};

/* A whole, well-formed request has arrived. The handler replies now or later, exactly once, with
 * sh_http_reply(). */
typedef void sh_http_handler_fn(void *arg, struct sh_http_request *req);
/* A request that was refused before it reached the handler (400, 408, 413, 431, 501 ...). */
struct sh_http_refusal {
    int status;
    const char *reason; /* constant text */
    const char *path;   /* as sent, without query; "" if its head was not read whole */
    const char *origin; /* its Origin header, NULL if none */
};
/* Fill body with the error's JSON; headers may get whole lines ("Name: value\r\n"). */
typedef void sh_http_refused_fn(void *arg, const struct sh_http_refusal *refusal,
                                struct sh_buf *headers, struct sh_buf *body);

/* Bind host (numeric IPv4 or IPv6) and port (0 = any) and serve on base. NULL and *err if the
 * address cannot be bound (message names address and cause). */
struct sh_http_server *sh_http_server_new(struct event_base *base, const char *host, int port,
                                          const struct sh_http_limits *limits,
                                          sh_http_handler_fn *handler, sh_http_refused_fn *refused,
                                          void *arg, struct sh_error *err) SH_WARN_UNUSED;
#define SH_HTTP_LISTENERS 8
/* The same on sockets that listen already (1 to SH_HTTP_LISTENERS of them, TCP, non-blocking),
 * which somebody else holds too: what is not accepted before this server ends waits in the kernel
 * for whoever accepts next. They are the server's now. Nothing is accepted before
 * sh_http_server_accept(): who comes early waits, and is not turned away. Never NULL. */
struct sh_http_server *sh_http_server_new_given(struct event_base *base, const int *sockets,
                                                size_t n, const struct sh_http_limits *limits,
                                                sh_http_handler_fn *handler,
                                                sh_http_refused_fn *refused,
                                                void *arg) SH_WARN_UNUSED;
void sh_http_server_accept(struct sh_http_server *s);
/* Accept no more on sockets that were given; on bound ones nothing changes. */
void sh_http_server_hold(struct sh_http_server *s);
/* The same on a Unix socket dir/name, for this machine's owner alone (mode 0600). A file of that
 * name is replaced: the caller sees to it that no other process serves there. Removed by stop. */
struct sh_http_server *sh_http_server_new_unix(struct event_base *base, const char *dir,
                                               const char *name,
                                               const struct sh_http_limits *limits,
                                               sh_http_handler_fn *handler,
                                               sh_http_refused_fn *refused, void *arg,
                                               struct sh_error *err) SH_WARN_UNUSED;
/* From now on new connections speak TLS (tls.h) and nothing else: call before the loop runs. The
 * handshake is under the deadline for headers. Borrowed until the server is freed; NULL: plain. */
void sh_http_server_set_tls(struct sh_http_server *s, struct sh_tls *tls);
int sh_http_server_port(const struct sh_http_server *s);
/* Those that are being closed included. */
int sh_http_server_open_connections(const struct sh_http_server *s);
/* Stop listening (on sockets that were given: accept no more). Connections that are open get
 * `Connection: close` with their next answer; who is idle has half a second to ask once more, who
 * is in the middle of a request a few; answers that stay open end. Then each is closed in such a
 * way that what the peer has sent meanwhile does not take the last answer away. All is over when
 * sh_http_server_open_connections() is 0. */
void sh_http_server_stop(struct sh_http_server *s);
/* Requests whose reply is still owed or on its way out. */
size_t sh_http_server_pending(const struct sh_http_server *s);
void sh_http_server_free(struct sh_http_server *s);

enum sh_http_method sh_http_method(const struct sh_http_request *req);
const char *sh_http_path(const struct sh_http_request *req); /* percent-decoded, without query;
                                                                bad escapes and %00 were refused */
/* The path as sent, its escapes as they are: "/a%2Fb" is one segment. Borrowed until reply. */
struct sh_slice sh_http_raw_path(const struct sh_http_request *req);
const char *sh_http_query(const struct sh_http_request *req); /* raw, "" if none */
const char *sh_http_header(const struct sh_http_request *req, const char *name); /* or NULL */
bool sh_http_is_1_0(const struct sh_http_request *req);      /* sent as HTTP/1.0? */
const char *sh_http_peer(const struct sh_http_request *req); /* numeric address, "" on Unix */
/* The value of the n-th header of that name, from 0, in the order in which they came; or NULL. */
const char *sh_http_header_at(const struct sh_http_request *req, const char *name, size_t n);
/* On a Unix socket: whose process asks (unix(7), SO_PEERCRED). False: that is not known. */
bool sh_http_peer_uid(const struct sh_http_request *req, unsigned *uid) SH_WARN_UNUSED;
/* The body, contiguous, with a NUL behind. Borrowed until reply. */
struct sh_slice sh_http_body(struct sh_http_request *req);
/* The same as a copy of the caller's own (free()), NUL behind: one copy, however it arrived. */
char *sh_http_body_copy(struct sh_http_request *req, size_t *len) SH_WARN_UNUSED;
/* Add a header to the answer to come. CR or LF in either: dropped, with a log line. */
void sh_http_add_header(struct sh_http_request *req, const char *name, const char *value);
/* Answer. body is copied; content_type NULL = application/json. If the client went away meanwhile
 * nothing is sent. req is gone afterwards. */
void sh_http_reply(struct sh_http_request *req, int status, const char *content_type,
                   struct sh_slice body);

/* --- Answers that stay open ---------------------------------------------------------------------
 * For server-sent events. The answer comes in pieces, as long as both sides want; its connection
 * ends with it. HTTP/1.1 has it in chunks, HTTP/1.0 as it is, up to the end. What the client sends
 * meanwhile is thrown away (after 256 KiB of it the connection ends). One that reads nothing for
 * that long while there is something for it is closed; the kernel holds 32 KiB for it, not
 * megabytes. A stream counts as a connection of its peer, and is the first to make room, after idle
 * connections, when they have run out. It is no pending answer until it has been ended. */
struct sh_http_stream;
/* The client has gone, or the server has ended the stream: the handle is no more. From the loop or
 * from within sh_http_server_stop() and _free(), not from within the functions below. */
typedef void sh_http_gone_fn(void *arg);
/* Answer with a head and leave it open; not to HEAD. req is gone afterwards. NULL: the client has
 * gone or the server is stopping; req is still to be replied to. */
struct sh_http_stream *sh_http_stream_begin(struct sh_http_request *req, int status,
                                            const char *content_type, sh_http_gone_fn *gone,
                                            void *arg) SH_WARN_UNUSED;
/* Copied; leaves in the order given. Nobody but the caller bounds it: look at what is unsent. */
void sh_http_stream_send(struct sh_http_stream *st, struct sh_slice bytes);
/* Bytes that the kernel has not taken yet, head and framing included. */
size_t sh_http_stream_unsent(const struct sh_http_stream *st);
/* No more comes. The handle is gone; gone() is not called. What is unsent has a second
 * to leave; a client that does not take it sees that it was cut off. NULL is a no-op. */
void sh_http_stream_end(struct sh_http_stream *st);
size_t sh_http_server_streams(const struct sh_http_server *s);

#endif
