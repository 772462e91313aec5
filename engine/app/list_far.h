/* SPDX-License-Identifier: MIT
 * list_far.h: the rows of an engine elsewhere, page by page through its API. */
#ifndef SH_APP_LIST_FAR_H
#define SH_APP_LIST_FAR_H

#include "app/steer.h"
#include "core/store.h"

/* As sh_store_view_list(), of the engine at s->url: q's what, collection (RECORDS; NULL: the
 * collections), id, event_id, state, type, since_ms and limit, and callbacks of an assignee (NULL =
 * any). Oldest first. Rows have the members that docs/openapi.json says. */
bool sh_list_far(struct sh_steer *s, const struct sh_list_query *q, const char *assignee,
                 sh_list_fn *fn, void *arg, struct sh_error *err) SH_WARN_UNUSED;

#endif
