/* SPDX-License-Identifier: MIT
 * feed.h: calendar feeds: GET /calendar/<token>.ics shows an assignee's callbacks to any calendar
 * program. The token is the only key to it, so it stands in no log line; an unknown one and one of
 * the wrong form get the same 404. */
#ifndef SH_APP_FEED_H
#define SH_APP_FEED_H

#include "core/store.h"
#include "svc/http_server.h"

struct sh_feed;

#define SH_FEED_AT_ONCE 8 /* questions to the store; beyond: 503 with Retry-After */

/* other(arg, req) gets every request whose path is not below /calendar/. store is borrowed. */
struct sh_feed *sh_feed_new(struct sh_store *store, sh_http_handler_fn *other,
                            void *arg) SH_WARN_UNUSED;
/* A request, as sh_ingress_set_other() hands it on. feed is a struct sh_feed. */
void sh_feed_request(void *feed, struct sh_http_request *req);
/* After the store is closed, or with no question open. The requests are the HTTP server's. NULL is
 * a no-op. */
void sh_feed_free(struct sh_feed *f);

#endif
