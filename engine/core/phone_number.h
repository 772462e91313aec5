/* SPDX-License-Identifier: MIT
 * phone_number.h: is one phone number mentioned in a text, however it is written?
 *
 * A number is known by its country code and what follows it (E.164, ITU-T). It is found in the
 * writings people and senders use:
 *   +31612345678  0031612345678  31612345678  +31 (0)6 12 34 56 78   international
 *   0612345678  06-12345678  (06) 1234 5678                          as within its country
 *   612345678                                                        without the leading 0
 * with blanks, dashes, dots, slashes and brackets between the digits, and within JSON escapes,
 * percent-encoding, quoted-printable and base64 (so within a JSON Web Token too), in each other up
 * to three deep.
 *
 * Only the whole number counts, never its last digits alone: what follows or precedes it without a
 * break makes it another one, and so does another country's code before it ("+49 612345678"). */
#ifndef SH_CORE_PHONE_NUMBER_H
#define SH_CORE_PHONE_NUMBER_H

#include "base/buf.h"

#define SH_PHONE_DIGITS 15 /* of an international number, E.164 */
#define SH_PHONE_FORMS  8

struct sh_phone_number {
    char digits[SH_PHONE_DIGITS + 1]; /* with the country code, as "31612345678" */
    struct {
        char digits[SH_PHONE_DIGITS + 8];
        size_t n;
        enum sh_phone_kind { SH_PHONE_WHOLE, SH_PHONE_TRUNK, SH_PHONE_BARE } kind;
    } forms[SH_PHONE_FORMS];
    size_t n_forms;
};

/* From any writing. country: the code of the country, as "31", where a number without one is from;
 * NULL = none is known: then the number must have its own. SH_EINVAL: *err says what is missing. */
bool sh_phone_number_parse(struct sh_phone_number *n, const char *text, const char *country,
                           struct sh_error *err) SH_WARN_UNUSED;
/* Is it there in plain text? Linear time. */
bool sh_phone_number_in(const struct sh_phone_number *n, struct sh_slice text) SH_WARN_UNUSED;
/* Is it there, encoded or not? */
bool sh_phone_number_within(const struct sh_phone_number *n, struct sh_slice bytes) SH_WARN_UNUSED;

/* Bytes of a mark that people put between the digits of a number at p < end (a blank, also a
 * no-break one, a dash of any length, a dot, a slash, a bracket), or 0. */
size_t sh_phone_mark(const char *p, const char *end);

#endif
