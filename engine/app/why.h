/* SPDX-License-Identifier: MIT
 * why.h: what a rule's condition looked at (run.h: `seen`), for people. */
#ifndef SH_APP_WHY_H
#define SH_APP_WHY_H

#include "core/generation.h"
#include "core/mask_json.h"

#include <cjson/cJSON.h>

/* `when returned false (rules/a.lua:10): analysis.sentiment = "neutral"`: base, and what `when`
 * (NULL: nothing is known) says, in short: at most 8 values of at most 60 bytes. Caller frees. */
char *sh_why_text(const char *base, const cJSON *when) SH_WARN_UNUSED;
/* Add "source" to `when`: the text of its lines in the generation, at most 4 KiB. */
void sh_why_source(cJSON *when, const struct sh_generation *g);
/* Blank what of the values may not be seen, each by its own path: in place. */
void sh_why_mask(const struct sh_masking *m, cJSON *when);
/* Did the condition ask for a record, or over HTTP? */
bool sh_why_has_read(const cJSON *when) SH_WARN_UNUSED;

#endif
