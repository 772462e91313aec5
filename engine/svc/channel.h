/* SPDX-License-Identifier: MIT
 * channel.h: a non-blocking byte stream to a child process, on the loop (libevent).
 *
 * Bytes in are collected and shown to on_data, which says how many it used; bytes out gather in a
 * bounded buffer and leave with sh_channel_flush(), or as the peer makes room. */
#ifndef SH_SVC_CHANNEL_H
#define SH_SVC_CHANNEL_H

#include "base/buf.h"

#include <sys/types.h>

struct event_base;
struct sh_channel;

struct sh_channel_calls {
    void *arg;
    /* Whole input so far; return the bytes used (0: need more), or -1 to give the peer up. */
    ssize_t (*data)(void *arg, struct sh_slice in);
    /* The peer is gone, broke the protocol, or did not take our bytes. Called once, never from
     * within another channel function; nothing is delivered afterwards. */
    void (*closed)(void *arg, const char *why);
};

/* Take fd (closed by free). max_in / max_out: bytes buffered at most in each direction. */
struct sh_channel *sh_channel_new(struct event_base *base, int fd, size_t max_in, size_t max_out,
                                  const struct sh_channel_calls *calls) SH_WARN_UNUSED;
/* Append to this, then flush. */
struct sh_buf *sh_channel_out(struct sh_channel *c);
void sh_channel_flush(struct sh_channel *c);
void sh_channel_free(struct sh_channel *c);

#endif
