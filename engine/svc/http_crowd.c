/* SPDX-License-Identifier: MIT
 * http_crowd.c: one address with all the connections, and a request begun on each of them.
 *
 * Idle connections make room by themselves. Those in the middle of a request are left alone for as
 * long as the time limits allow, unless the connections have run out, somebody waits, and one
 * address has most of them: then its own that take long make room, the others' do not. */
#include "svc/http_conn.h"

#include "base/log.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 2000  /* an honest request is whole by then */
#define QUIET_MS    60000 /* between two lines about it */
#define SHARE       16    /* of all connections: with fewer, an address is no crowd */
#define AT_ONCE     8     /* this part of all connections is closed in one tick, at most */

/* An IPv6 address counts by its /64, of which anybody has as many addresses as one wants. */
static struct in6_addr group_of(const struct sh_http_conn *c)
{
    struct in6_addr a = c->addr;
    if (!IN6_IS_ADDR_V4MAPPED(&a))
        memset(a.s6_addr + 8, 0, 8);
    return a;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct in6_addr));
}

/* The group with most connections, and how many. */
static size_t largest(const struct sh_http_server *s, struct in6_addr *group)
{
    struct in6_addr *all = sh_alloc((size_t)s->n_conns + 1, sizeof(*all));
    const struct sh_http_conn *c;
    size_t n = 0, most = 0, same = 0;
    TAILQ_FOREACH(c, &s->conns, link)
    if (c->evcon && n < (size_t)s->n_conns)
        all[n++] = group_of(c);
    qsort(all, n, sizeof(*all), compare);
    for (size_t i = 0; i < n; i++) {
        same = i && compare(&all[i], &all[i - 1]) == 0 ? same + 1 : 1;
        if (same > most) {
            most = same;
            *group = all[i];
        }
    }
    free(all);
    return most;
}

/* In the middle of a request, and for long? */
static bool is_slow(const struct sh_http_conn *c)
{
    const struct sh_http_server *s = c->server;
    if (c->state != CONN_READING || c->guard.phase == SH_GUARD_IDLE || !c->deadline_ms)
        return false;
    const int limit_ms =
        c->guard.phase == SH_GUARD_HEAD ? s->limits.header_timeout_ms : s->limits.body_timeout_ms;
    return s->now_ms - (c->deadline_ms - limit_ms) >= PATIENCE_MS;
}

static void say(struct sh_http_server *s, const char *peer, size_t n)
{
    if (s->crowd_said_ms && s->now_ms - s->crowd_said_ms < QUIET_MS)
        return;
    s->crowd_said_ms = s->now_ms;
    sh_warn("connections have run out: those of one address with unfinished requests are closed",
            "peer", peer, "connections", SH_NUM((long long)n));
}

void sh_http_crowd_make_room(struct sh_http_server *s)
{
    struct sh_http_conn *c, *next;
    struct in6_addr group, of;
    const size_t n = largest(s, &group), few = (size_t)s->limits.connections / SHARE;
    int left = s->limits.connections / AT_ONCE + 1;
    if (n < 2 || n < few)
        return;
    for (c = TAILQ_FIRST(&s->conns); c && left; c = next) {
        next = TAILQ_NEXT(c, link);
        of = group_of(c);
        if (!c->evcon || compare(&of, &group) != 0 || !is_slow(c))
            continue;
        say(s, c->peer, n);
        sh_http_conn_finish(c);
        left--;
    }
}
