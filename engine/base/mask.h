/* SPDX-License-Identifier: MIT
 * mask.h: phone numbers, and values of named fields, blanked in text that people will see.
 *
 * A phone number is what looks like one: 7 or more digits, with `+`, blanks, `-`, `.`, `/`, `(` and
 * `)` between them, one or two at a time. It keeps its last two digits: "+31 6 1234 5678" becomes
 * "+** * **** **78". These are not phone numbers, and stay: UUIDs, times (RFC 3339), IPv4
 * addresses, hexadecimal words of 16 or more digits with a letter in them, and numbers followed by
 * " bytes" or " ms". In doubt it is a number. */
#ifndef SH_BASE_MASK_H
#define SH_BASE_MASK_H

#include "base/buf.h"

#define SH_MASK_MIN_DIGITS 7
#define SH_MASKED          "***" /* what stands in the place of a named field's value */

/* Append text with its phone numbers blanked. */
void sh_mask_numbers(struct sh_buf *out, struct sh_slice text);
/* Append text with the value behind each of the names blanked: `name: value`, `name=value`,
 * `"name":"value"`; a quoted value to its end, another to the next blank, comma, semicolon or
 * closing bracket. names: NULL-terminated, compared without regard to case; NULL = none. */
void sh_mask_fields(struct sh_buf *out, struct sh_slice text, const char *const *names);
/* Is name one of names? Without regard to case. */
bool sh_mask_has(const char *const *names, struct sh_slice name) SH_WARN_UNUSED;

#endif
