/* SPDX-License-Identifier: MIT
 * channel.c: byte stream to a child on the loop. */
#include "svc/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024) /* room offered to one read(2) */

struct sh_channel {
    struct sh_channel_calls calls;
    int fd;
    struct event *readable, *writable, *fail;
    struct sh_buf in, out;
    size_t sent;     /* bytes of out that the peer has */
    const char *why; /* set: given up */
};

static void give_up(struct sh_channel *c, const char *why)
{
    if (c->why)
        return;
    c->why = why;
    event_del(c->readable);
    event_del(c->writable);
    event_active(c->fail, 0, 0); /* closed() runs from the loop, not from within our caller */
}

static void on_fail(evutil_socket_t fd, short what, void *arg)
{
    struct sh_channel *c = arg;
    (void)fd;
    (void)what;
    c->calls.closed(c->calls.arg, c->why);
}

/* Drop the used front of the input; what is left is a partial frame, short as a rule. */
static void consume(struct sh_channel *c, size_t used)
{
    c->in.len -= used;
    memmove(c->in.data, c->in.data + used, c->in.len);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct sh_channel *c = arg;
    (void)what;
    char *room = sh_buf_room(&c->in, READ_BYTES);
    if (!room) {
        give_up(c, "sent more than the input buffer holds without a whole frame");
        return;
    }
    ssize_t n = read(fd, room, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        give_up(c, n == 0 ? "end of stream" : strerror(errno));
        return;
    }
    c->in.len += (size_t)n;
    ssize_t used = c->calls.data(c->calls.arg, sh_slice(c->in.data, c->in.len));
    if (used < 0)
        give_up(c, "broke the frame protocol");
    else if (!c->why)
        consume(c, (size_t)used);
}

void sh_channel_flush(struct sh_channel *c)
{
    if (!sh_buf_ok(&c->out))
        give_up(c, "did not take its input: output buffer full");
    while (!c->why && c->sent < c->out.len) {
        ssize_t n = write(c->fd, c->out.data + c->sent, c->out.len - c->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            event_add(c->writable, NULL);
            return;
        }
        if (n < 0) {
            give_up(c, strerror(errno));
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.len) {
        sh_buf_reset(&c->out);
        c->sent = 0;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sh_channel_flush(arg);
}

struct sh_buf *sh_channel_out(struct sh_channel *c)
{
    /* Move what is unsent to the front before more is added, so that out stays bounded. */
    if (c->sent > c->out.len / 2) {
        c->out.len -= c->sent;
        memmove(c->out.data, c->out.data + c->sent, c->out.len);
        c->sent = 0;
    }
    return &c->out;
}

struct sh_channel *sh_channel_new(struct event_base *base, int fd, size_t max_in, size_t max_out,
                                  const struct sh_channel_calls *calls)
{
    struct sh_channel *c = sh_alloc(1, sizeof(*c));
    c->calls = *calls;
    c->fd = fd;
    sh_buf_init(&c->in, max_in + READ_BYTES);
    sh_buf_init(&c->out, max_out);
    sh_require(evutil_make_socket_nonblocking(fd) == 0);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    c->fail = event_new(base, -1, 0, on_fail, c);
    sh_require(c->readable && c->writable && c->fail && event_add(c->readable, NULL) == 0);
    return c;
}

void sh_channel_free(struct sh_channel *c)
{
    if (!c)
        return;
    event_free(c->readable);
    event_free(c->writable);
    event_free(c->fail);
    close(c->fd);
    sh_buf_free(&c->in);
    sh_buf_free(&c->out);
    free(c);
}
