/* SPDX-License-Identifier: MIT
 * mask_json.h: what of a JSON tree people may not see is blanked, its shape kept: objects, lists
 * and their members stay, only texts and numbers become others. The same tree gives the same
 * result.
 *
 * Numbers of telephones (base/mask.h) are blanked in every text but ids, times and the like:
 * members named id, key, hash, version and so on, or ending in _id, _at, _ms; an id or key that is
 * a whole telephone number itself ("+31612345678", "0612345678") is blanked all the same. A JSON
 * number is one where its member's name says so (number, phone, tel, mobile, caller, callee, from,
 * to).
 *
 * A JSON Web Token is blanked whole; other base64 is not looked into.
 *
 * Fields are named by the end of their path, without the places in lists: "remote_number" wherever
 * it is; "analysis.transcript" within an analysis; "analysis.*" everything in one. Every text and
 * number in such a field becomes "***". */
#ifndef SH_CORE_MASK_JSON_H
#define SH_CORE_MASK_JSON_H

#include "base/mask.h"

#include <cjson/cJSON.h>

struct sh_masking {
    bool numbers;
    char **fields; /* NULL-terminated, or NULL */
};

/* In place. */
void sh_mask_json(const struct sh_masking *m, cJSON *tree);
/* A field of that form? "a.b", "*.b"; no empty part. */
bool sh_mask_field_ok(const char *field) SH_WARN_UNUSED;

#endif
