/* SPDX-License-Identifier: MIT
 * store_move.h: the schema of a store: what it is, and how it goes back for an older switchhook, or
 * forward without an engine. For commands: a process with one thread. Trees are the caller's to
 * delete. */
#ifndef SH_CORE_STORE_MOVE_H
#define SH_CORE_STORE_MOVE_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* {"file", "schema", "known": the newest that this binary knows, "steps": [{"schema", "brings",
 * "applied_at": text, or null when the store has not got so far}]}, also of a newer store (whose
 * steps have "brings": null) and beside a running engine. NULL: SH_ENOTFOUND no store there,
 * SH_EINVAL it is not one of ours, and others. */
cJSON *sh_store_schema_read(const char *dir, struct sh_error *err) SH_WARN_UNUSED;

struct sh_store_move;

/* Take the data folder, whose store is to go to schema `to`. NULL: SH_EBUSY an engine uses it,
 * SH_ENOTFOUND, SH_EINVAL no such schema, or the store is newer than this binary knows. */
struct sh_store_move *sh_store_move_open(const char *dir, int to,
                                         struct sh_error *err) SH_WARN_UNUSED;
void sh_store_move_close(struct sh_store_move *m); /* NULL is a no-op */
/* Called from time to time while something below is at work. */
void sh_store_move_watch(struct sh_store_move *m, void (*tick)(void *arg), void *arg);

/* What it means: {"file", "from", "to", "gives_up": [{"schema", "what", "rows"}], "in_the_way":
 * [{"schema", "what", "rows", "to_do"}]}; what has no rows is not in it. */
cJSON *sh_store_move_plan(struct sh_store_move *m, struct sh_error *err) SH_WARN_UNUSED;
/* A backup of the store as it is (sh_store_backup()). */
bool sh_store_move_copy(struct sh_store_move *m, const char *file,
                        struct sh_error *err) SH_WARN_UNUSED;
/* In one transaction; afterwards its tables are, text by text, those of the schema. SH_ECONFLICT:
 * something is in the way. False: the store is as it was. */
bool sh_store_move_go(struct sh_store_move *m, struct sh_error *err) SH_WARN_UNUSED;

#endif
