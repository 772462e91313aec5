/* SPDX-License-Identifier: MIT
 * utf8.c: UTF-8 validation. */
#include "base/utf8.h"

#include <string.h>

/* Bytes of the well-formed sequence at p (Unicode 15, table 3-7), or 0. */
static size_t sequence(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return p[0] != 0;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* All eight bytes in 0x01..0x7f? */
static bool plain8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return ((w | (w - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0;
}

bool sh_utf8_ok(struct sh_slice s)
{
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    while (p < end) {
        if (end - p >= 8 && plain8(p)) {
            p += 8;
            continue;
        }
        size_t n = sequence(p, (size_t)(end - p));
        if (!n)
            return false;
        p += n;
    }
    return true;
}
