/* SPDX-License-Identifier: MIT
 * buf.h: growable bytes with a maximum, borrowed slices, and a bounds-checked reader.
 *
 * A buffer never grows past the maximum it was made with: the write that would is dropped, and
 * `failed` stays set, so a run of writes is checked once at its end (sh_buf_ok). */
#ifndef SH_BASE_BUF_H
#define SH_BASE_BUF_H

#include "base/error.h"

#include <stdint.h>

/* Borrowed bytes: not NUL-terminated, valid as long as what they point into. p may be NULL when
 * n is 0. */
struct sh_slice {
    const char *p;
    size_t n;
};
#define SH_SLICE(lit) ((struct sh_slice){(lit), sizeof(lit) - 1})
static inline struct sh_slice sh_slice(const void *p, size_t n)
{
    return (struct sh_slice){(const char *)p, n};
}
struct sh_slice sh_slice_str(const char *s); /* NULL gives an empty slice */
bool sh_slice_eq(struct sh_slice a, struct sh_slice b);
char *sh_slice_dup(struct sh_slice s) SH_WARN_UNUSED; /* NUL-terminated copy, caller frees */

struct sh_buf {
    char *data; /* owned; NUL-terminated whenever not NULL */
    size_t len, cap, max;
    bool failed; /* a write did not fit max */
};

void sh_buf_init(struct sh_buf *b, size_t max_bytes);
void sh_buf_free(struct sh_buf *b);  /* frees the bytes; b may be used again after init */
void sh_buf_reset(struct sh_buf *b); /* empties, keeps the memory, clears failed */
static inline bool sh_buf_ok(const struct sh_buf *b)
{
    return !b->failed;
}
void sh_buf_add(struct sh_buf *b, const void *p, size_t n);
void sh_buf_adds(struct sh_buf *b, const char *s);
void sh_buf_addf(struct sh_buf *b, const char *fmt, ...) SH_PRINTF(2, 3);
void sh_buf_addc(struct sh_buf *b, char c);
/* Room for n more bytes at data + len (not yet counted in len), or NULL past max. */
char *sh_buf_room(struct sh_buf *b, size_t n) SH_WARN_UNUSED;
/* The bytes become the caller's (free()); b is empty afterwards. Never NULL. */
char *sh_buf_take(struct sh_buf *b, size_t *len) SH_WARN_UNUSED;

/* Binary writes: unsigned LEB128, 64-bit little-endian, and varint length + bytes. */
void sh_buf_u8(struct sh_buf *b, uint8_t v);
void sh_buf_uint(struct sh_buf *b, uint64_t v);
void sh_buf_u64(struct sh_buf *b, uint64_t v);
void sh_buf_f64(struct sh_buf *b, double v);
void sh_buf_bytes(struct sh_buf *b, struct sh_slice s);

/* Reads the same. Past the end or malformed: zero or empty is returned and `bad` stays set. */
struct sh_reader {
    const uint8_t *p, *end;
    bool bad;
};
struct sh_reader sh_reader_of(struct sh_slice s);
uint8_t sh_read_u8(struct sh_reader *r);
uint64_t sh_read_uint(struct sh_reader *r);
uint64_t sh_read_u64(struct sh_reader *r);
double sh_read_f64(struct sh_reader *r);
struct sh_slice sh_read_bytes(struct sh_reader *r);

#endif
