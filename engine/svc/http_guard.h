/* SPDX-License-Identifier: MIT
 * http_guard.h: a strict reader of HTTP/1.x framing that stands in front of evhttp.
 *
 * evhttp sees a request only after this reader has found it whole and well-formed, and sees
 * nothing behind it until its answer has left: what evhttp reads laxly (RFC 9112 sections 2.2,
 * 5.1, 5.2, 6.1, 6.3, 7.1) therefore never reaches it. The reader takes each byte once, whatever
 * the portions in which they come, and builds nothing. */
#ifndef SH_SVC_HTTP_GUARD_H
#define SH_SVC_HTTP_GUARD_H

#include "svc/http_server.h"

#define SH_HTTP_MAX_HEADERS      100          /* lines of a request's head, then 431 */
#define SH_HTTP_MAX_CHUNK_FRAMES (64U * 1024) /* bytes of chunk framing in one body, then 400 */
/* Bytes of unfinished requests over all connections; past it, the one that adds gets 503. */
#define SH_HTTP_MAX_WAITING_BYTES (32U * 1024 * 1024)

struct evbuffer;

enum sh_guard_phase {
    SH_GUARD_IDLE, /* no byte of the next request is there */
    SH_GUARD_HEAD,
    SH_GUARD_LENGTH, /* body with Content-Length */
    SH_GUARD_CHUNK_SIZE,
    SH_GUARD_CHUNK_DATA,
    SH_GUARD_CHUNK_LAST,
    SH_GUARD_WHOLE,
    SH_GUARD_BAD
};

/* One request being read. The offsets count from the first byte of the buffer given to scan. */
struct sh_http_guard {
    enum sh_guard_phase phase;
    size_t pos, seen;   /* start of the line being read; bytes of it searched already */
    size_t head_bytes;  /* when the head is whole */
    size_t total_bytes; /* WHOLE: of the request with its framing */
    size_t body_bytes;  /* announced or, of chunks, so far */
    size_t chunk_bytes; /* of the chunk being read */
    int lines;
    unsigned once; /* bits of the headers seen that may come once only */
    bool http10, has_body_method;
    bool expects;       /* Expect: 100-continue */
    int status;         /* BAD: what to answer; 0 otherwise */
    const char *reason; /* BAD: constant text for people */
};

void sh_http_guard_reset(struct sh_http_guard *g);
/* Read on in buf, which holds the request from its first byte; returns the phase reached. An empty
 * line before a request is drained from buf (RFC 9112 section 2.2). */
enum sh_guard_phase sh_http_guard_scan(struct sh_http_guard *g, const struct sh_http_limits *limits,
                                       struct evbuffer *buf);

#endif
