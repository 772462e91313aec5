/* SPDX-License-Identifier: MIT
 * http_part.h: within http_call.c, http_ready.c and http_hidden.c: the pieces of a text T of a
 * call, and how a secret is written in its place. */
#ifndef SH_CORE_HTTP_PART_H
#define SH_CORE_HTTP_PART_H

#include "core/http_call.h"

enum sh_http_as { SH_AS_PLAIN, SH_AS_JSON, SH_AS_FORM, SH_AS_URL };
#define SH_HTTP_N_AS 4

struct sh_http_part {
    const char *text;   /* of a literal piece, else NULL */
    const char *secret; /* its name, else NULL */
    enum sh_http_as as;
};

/* The first piece of a T: for a plain string the string itself. NULL when there is none. */
const cJSON *sh_http_part_first(const cJSON *t);
/* The piece after it, or NULL. */
const cJSON *sh_http_part_next(const cJSON *t, const cJSON *piece);
/* What the piece is. False: neither a string nor a sound {"secret":..,"as":..}. */
bool sh_http_part_read(const cJSON *piece, struct sh_http_part *out) SH_WARN_UNUSED;

/* Append a secret's text as it is written there. */
void sh_http_put_as(struct sh_buf *out, const char *text, enum sh_http_as as);
/* Free a text, and leave nothing of it in memory. */
void sh_http_wipe(char *text);

#endif
