/* SPDX-License-Identifier: MIT
 * suggest.h: the known word nearest to a mistyped one. */
#ifndef SH_APP_SUGGEST_H
#define SH_APP_SUGGEST_H

#include <stddef.h>

/* The one of n known words that word was most likely meant to be (edit distance, a swap of two
 * neighbours counts as one), or NULL when none is near. */
const char *sh_suggest(const char *word, const char *const *known, size_t n);

#endif
