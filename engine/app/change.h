/* SPDX-License-Identifier: MIT
 * change.h: every change that a person can ask for, however they ask: a request of the API, or a
 * command that writes the store itself because no engine runs. Both say it in the same way (an
 * action, what it is done to, a body in JSON), so that the same is checked, done, answered and
 * written to the audit table. */
#ifndef SH_APP_CHANGE_H
#define SH_APP_CHANGE_H

#include "core/store.h"
#include "core/store_token.h"
#include "svc/http_server.h"

#include <cjson/cJSON.h>

/* The changes, and how the API has them. */
struct sh_change_kind {
    const char *action;         /* "callback.done" */
    enum sh_http_method method; /* of the API */
    const char *pattern;        /* "/api/v1/callbacks/{id}/done": {..} is the target */
    const char *const *fields;  /* of the body, NULL-terminated */
};
extern const struct sh_change_kind sh_change_kinds[]; /* ends with action NULL */
/* NULL: there is none. */
const struct sh_change_kind *sh_change_kind(const char *action);
/* The path of a kind with this target, percent-encoded. Caller frees. */
char *sh_change_path(const struct sh_change_kind *kind, const char *target) SH_WARN_UNUSED;

struct sh_change_ask { /* borrowed for the call of sh_change_new() alone */
    const struct sh_change_kind *kind;
    const char *target;            /* an id or a name; NULL: the kind has none */
    const cJSON *body;             /* an object, or NULL */
    const char *who, *role, *peer; /* as of struct sh_audit */
    const char *zone;              /* for times of day; NULL = "UTC" */
};

struct sh_change;

/* Read what is asked. NULL: it cannot be, *err (SH_EINVAL) says what was expected; *field: the
 * member of the body that is at fault, static, or NULL. Caller frees. */
struct sh_change *sh_change_new(const struct sh_change_ask *ask, const char **field,
                                struct sh_error *err) SH_WARN_UNUSED;
/* The operation to submit; done and arg are the caller's to set. */
struct sh_op *sh_change_op(struct sh_change *c);
/* After it is done: the answer, an object (caller deletes); or NULL and *err: the store's error,
 * or SH_ENOTFOUND where a dead letter was named that is none. *state (NULL: nobody asks): with
 * SH_ECONFLICT how it stands, such as "done" of a closed callback, or NULL; borrowed. */
cJSON *sh_change_answer(struct sh_change *c, const char **state,
                        struct sh_error *err) SH_WARN_UNUSED;
void sh_change_free(struct sh_change *c); /* NULL is a no-op */

/* "2h" from now, "2026-06-12T14:00:00+02:00", or a time of day of the zone "2026-06-12T14:00": then
 * local gets it in full, else "". False: none of these. */
#define SH_LOCAL_TEXT 64
bool sh_change_time(const char *text, const char *zone, int64_t *ms,
                    char local[SH_LOCAL_TEXT]) SH_WARN_UNUSED;

/* On a folder's store, beside an engine if there is one: submit, wait, close. Only a
 * token is so early that the store is made for it. config: for callbacks' emails and the zone. */
struct sh_config;
bool sh_change_carry_out(const char *dir, const struct sh_config *config, struct sh_op *op,
                         struct sh_error *err) SH_WARN_UNUSED;
/* The login of this process, for the audit: never NULL. Static. */
const char *sh_change_login(void);

#endif
