/* SPDX-License-Identifier: MIT
 * json.h: strict JSON in front of cJSON, exact numbers through it, and look-ups in raw text.
 *
 * What arrives is checked by sh_json_check() first: RFC 8259 to the letter, one value, UTF-8
 * (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF), no byte order mark, no
 * U+0000 (raw or escaped: neither SQLite text nor many receivers keep it), no lone surrogate
 * escape, no duplicate key in an object (compared after unescaping), no raw control byte in a
 * string, depth and node limits, integers within -2^63 .. 2^63-1 (a larger integer is refused: it
 * could not arrive exact), other numbers finite as a double. cJSON alone is lax in all of these.
 *
 * cJSON trees made here keep exact numbers: an integer that a double may not hold (beyond 2^53),
 * and any number that cJSON would print differently, is a cJSON_Raw node whose valuestring is the
 * number's text. sh_json_is_number() and the getters understand both forms. */
#ifndef SH_SVC_JSON_H
#define SH_SVC_JSON_H

#include "base/buf.h"

#include <cjson/cJSON.h>

/* A number with a fraction or exponent may be this long; the longest exact decimal of a double has
 * 1,079 bytes. */
#define SH_JSON_MAX_NUMBER_BYTES 1100

enum sh_json_kind {
    SH_JSON_NONE, /* no such field */
    SH_JSON_NULL,
    SH_JSON_FALSE,
    SH_JSON_TRUE,
    SH_JSON_NUMBER,
    SH_JSON_STRING,
    SH_JSON_ARRAY,
    SH_JSON_OBJECT
};
/* "nothing", "null", "a number", "an object", ... for messages. */
const char *sh_json_kind_name(enum sh_json_kind kind);

struct sh_json_fault {
    size_t byte;      /* offset from 0 of the byte at fault */
    size_t line, col; /* both from 1; col counts bytes */
    char msg[200];    /* what was found and what was expected; typographic quotes are named */
};

/* Is text[0..len) one JSON value as described above? Linear time, bounded memory.
 * False fills *fault (NULL: nobody asks). text needs no NUL. */
bool sh_json_check(const char *text, size_t len, struct sh_json_fault *fault) SH_WARN_UNUSED;

/* Tree of a text that passed sh_json_check(), exact as described above; NULL if it does not parse
 * (err says why; checks again only what safety needs). Caller frees with cJSON_Delete(). */
cJSON *sh_json_parse(const char *text, size_t len, struct sh_error *err) SH_WARN_UNUSED;

/* Compact text of a tree; numbers exact, round trip. False: past the buffer's maximum, nested
 * deeper than SH_JSON_MAX_DEPTH, or a number that JSON cannot say (NaN, infinity); out may then
 * hold a part. */
bool sh_json_print(const cJSON *tree, struct sh_buf *out) SH_WARN_UNUSED;

/* Nodes for numbers that print exactly. Never NULL. */
cJSON *sh_json_int(int64_t n) SH_WARN_UNUSED;
/* Printed as the shortest text that reads back equal; whole numbers below 2^53 as digits alone. */
cJSON *sh_json_double(double n) SH_WARN_UNUSED;

bool sh_json_is_number(const cJSON *node); /* either form */
/* Exact integer value; false if node is no number or not an integer of 64 bits (1.0 and 1e3
 * are). */
bool sh_json_get_int(const cJSON *node, int64_t *out) SH_WARN_UNUSED;
bool sh_json_get_double(const cJSON *node, double *out) SH_WARN_UNUSED;
/* Member of an object by case-sensitive name, or NULL. */
const cJSON *sh_json_member(const cJSON *object, const char *name);
/* String member, or NULL when absent or not a string. Borrowed. */
const char *sh_json_string(const cJSON *object, const char *name);

/* A JSON string literal with its quotes, escaped, appended to out. s must be UTF-8. */
void sh_json_quote(struct sh_buf *out, struct sh_slice s);

/* Find a dotted path ("a.b.c"; a literal member "a.b.c" at top level wins; a number indexes an
 * array from 0) in text that passed sh_json_check(), without building a tree. *value becomes the
 * raw token, for strings without the quotes but still escaped. */
enum sh_json_kind sh_json_find(struct sh_slice text, const char *path, struct sh_slice *value);
/* Unescape what sh_json_find() gave for a string, appended to out. */
void sh_json_unescape(struct sh_slice raw, struct sh_buf *out);

#endif
