/* SPDX-License-Identifier: MIT
 * api_live.h: GET /api/v1/live, server-sent events (docs/http-api.md, "Live"): what sort of thing
 * has changed, and a few figures, never what a sender sent. On the loop.
 *
 * While nobody listens it does nothing. While somebody does it looks four times a second at what
 * the store says it has written, and tells all; the status is asked for once for all of them. */
#ifndef SH_APP_API_LIVE_H
#define SH_APP_API_LIVE_H

#include <stddef.h>

struct sh_api;
struct sh_api_live;

struct sh_api_live *sh_api_live_new(struct sh_api *api);
/* End every stream and open no other. */
void sh_api_live_stop(struct sh_api_live *l);
void sh_api_live_free(struct sh_api_live *l); /* before the servers are freed; NULL is a no-op */

#endif
