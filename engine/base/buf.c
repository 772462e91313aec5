/* SPDX-License-Identifier: MIT
 * buf.c: growable bytes, slices, bounds-checked reader. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sh_slice sh_slice_str(const char *s)
{
    return (struct sh_slice){s, s ? strlen(s) : 0};
}

bool sh_slice_eq(struct sh_slice a, struct sh_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

char *sh_slice_dup(struct sh_slice s)
{
    return sh_memdup(s.p, s.n);
}

void sh_buf_init(struct sh_buf *b, size_t max_bytes)
{
    *b = (struct sh_buf){.max = max_bytes};
}

void sh_buf_free(struct sh_buf *b)
{
    free(b->data);
    *b = (struct sh_buf){.max = b->max};
}

void sh_buf_reset(struct sh_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

char *sh_buf_room(struct sh_buf *b, size_t n)
{
    if (b->failed || n > b->max || b->len > b->max - n) {
        b->failed = true;
        return NULL;
    }
    if (b->len + n + 1 > b->cap) {
        size_t want = b->cap ? b->cap * 2 : 128;
        if (want < b->len + n + 1)
            want = b->len + n + 1;
        b->data = sh_realloc(b->data, want);
        b->cap = want;
    }
    return b->data + b->len;
}

void sh_buf_add(struct sh_buf *b, const void *p, size_t n)
{
    char *to = sh_buf_room(b, n);
    if (!to)
        return;
    if (n)
        memcpy(to, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void sh_buf_adds(struct sh_buf *b, const char *s)
{
    sh_buf_add(b, s, strlen(s));
}

void sh_buf_addc(struct sh_buf *b, char c)
{
    sh_buf_add(b, &c, 1);
}

void sh_buf_addf(struct sh_buf *b, const char *fmt, ...)
{
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    sh_require(n >= 0);
    if ((size_t)n < sizeof(small)) {
        sh_buf_add(b, small, (size_t)n);
        return;
    }
    char *to = sh_buf_room(b, (size_t)n);
    if (!to)
        return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

char *sh_buf_take(struct sh_buf *b, size_t *len)
{
    if (len)
        *len = b->len;
    char *p = b->data ? b->data : sh_memdup("", 0);
    *b = (struct sh_buf){.max = b->max};
    return p;
}

void sh_buf_u8(struct sh_buf *b, uint8_t v)
{
    sh_buf_add(b, &v, 1);
}

void sh_buf_uint(struct sh_buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (uint8_t)(v & 0x7f);
        v >>= 7;
        if (v)
            bytes[n] |= 0x80;
        n++;
    } while (v);
    sh_buf_add(b, bytes, n);
}

void sh_buf_u64(struct sh_buf *b, uint64_t v)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    sh_buf_add(b, bytes, 8);
}

void sh_buf_f64(struct sh_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    sh_buf_u64(b, bits);
}

void sh_buf_bytes(struct sh_buf *b, struct sh_slice s)
{
    sh_buf_uint(b, s.n);
    sh_buf_add(b, s.p, s.n);
}

struct sh_reader sh_reader_of(struct sh_slice s)
{
    static const uint8_t none[1];
    const uint8_t *p = s.p ? (const uint8_t *)s.p : none;
    return (struct sh_reader){.p = p, .end = p + s.n};
}

static bool has(struct sh_reader *r, uint64_t n)
{
    if (r->bad || n > (uint64_t)(r->end - r->p))
        r->bad = true;
    return !r->bad;
}

uint8_t sh_read_u8(struct sh_reader *r)
{
    return has(r, 1) ? *r->p++ : 0;
}

uint64_t sh_read_uint(struct sh_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = sh_read_u8(r);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return r->bad ? 0 : v;
    }
    r->bad = true;
    return 0;
}

uint64_t sh_read_u64(struct sh_reader *r)
{
    if (!has(r, 8))
        return 0;
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v |= (uint64_t)r->p[i] << (8 * i);
    r->p += 8;
    return v;
}

double sh_read_f64(struct sh_reader *r)
{
    uint64_t bits = sh_read_u64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

struct sh_slice sh_read_bytes(struct sh_reader *r)
{
    uint64_t n = sh_read_uint(r);
    if (!has(r, n))
        return (struct sh_slice){0};
    struct sh_slice s = sh_slice(r->p, (size_t)n);
    r->p += n;
    return s;
}
