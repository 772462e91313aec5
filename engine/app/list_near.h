/* SPDX-License-Identifier: MIT
 * list_near.h: the rows of the engine that runs on a data folder, through its API. */
#ifndef SH_APP_LIST_NEAR_H
#define SH_APP_LIST_NEAR_H

#include "app/steer.h"
#include "core/store.h"

/* As sh_store_view_list(), of s->dir: the same rows with the same members in the same order,
 * whoever gives them. *answered: false: no engine runs there, or it does not answer: nothing was
 * told, and the store is to be read. What the API cuts short, and the bytes of forms and tokens,
 * are read from the store all the same. */
bool sh_list_near(struct sh_steer *s, const struct sh_list_query *q, const char *assignee,
                  sh_list_fn *fn, void *arg, bool *answered, struct sh_error *err) SH_WARN_UNUSED;

#endif
