/* SPDX-License-Identifier: MIT
 * api_show.h: what a person recognises an event by: a few fields of its body, which its source
 * names (`show`), or those that senders of calls and others have. On the reader's thread. */
#ifndef SH_APP_API_SHOW_H
#define SH_APP_API_SHOW_H

#include "app/config.h"

#define SH_SHOW_BODY_BYTES ((size_t)256 << 10) /* a longer body is not looked into */
#define SH_SHOW_PAGE_BYTES ((size_t)4 << 20)   /* of the bodies that a page looks into */
#define SH_SHOW_CHARS      200                 /* of one text */

/* The paths of that source, in order; NULL-terminated. Borrowed. */
const char *const *sh_show_paths(const struct sh_config *c, const char *source);
/* {path: value} of what there is in body: texts, numbers and booleans alone; of the built-in list
 * the first SH_SHOW_DEFAULT that are there. What the mask (NULL: none) blanks in the body, by its
 * place there, is blanked. body NULL: {}. Caller deletes. */
#define SH_SHOW_DEFAULT 10
cJSON *sh_show(const struct sh_config *c, const struct sh_masking *mask, const char *source,
               const cJSON *body) SH_WARN_UNUSED;

/* Is the text q in one of the values? Letters of ASCII are alike in both cases. A q that is written
 * as a number is ("+31 30-987", three digits at least) is also looked for among the digits alone of
 * each, without zeros or the country's own code before it. */
bool sh_show_has(const struct sh_config *c, const char *q, const cJSON *show);
/* The same in the type and key of an event, as they are seen with that mask; or is q its id? */
bool sh_show_names(const struct sh_config *c, const struct sh_masking *mask, const char *q,
                   const char *id, const char *type, const char *key);
/* A quick look into a text of JSON: false: sh_show_has() finds nothing, whatever is shown of it. */
bool sh_show_may_have(const struct sh_config *c, const struct sh_masking *mask, const char *q,
                      struct sh_slice json);

#endif
