/* SPDX-License-Identifier: MIT
 * id.c: UUID version 7. */
#include "base/id.h"

#include <string.h>

void sh_id_maker_init(struct sh_id_maker *m, int64_t after_order, const uint8_t seed[16])
{
    m->last = after_order > 0 ? (uint64_t)after_order : 0;
    memcpy(m->seed, seed, 16);
    if (!(m->seed[0] | m->seed[1]))
        m->seed[0] = 1;
}

/* xoroshiro128+: uniqueness beside other nodes, not secrecy, is what these bits are for. */
static uint64_t next_random(uint64_t s[2])
{
    uint64_t a = s[0], b = s[1], out = a + b;
    b ^= a;
    s[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
    s[1] = b << 37 | b >> 27;
    return out;
}

struct sh_id sh_id_next(struct sh_id_maker *m, int64_t now_ms)
{
    uint64_t order = (uint64_t)now_ms << 12;
    if (order <= m->last)
        order = m->last + 1;
    m->last = order;
    return (struct sh_id){
        .hi = (order >> 12) << 16 | 0x7000U | (order & 0xfff),
        .lo = UINT64_C(1) << 63 | next_random(m->seed) >> 2,
    };
}

int64_t sh_id_order(struct sh_id id)
{
    return (int64_t)((id.hi >> 16) << 12 | (id.hi & 0xfff));
}

int64_t sh_id_ms(struct sh_id id)
{
    return (int64_t)(id.hi >> 16);
}

const char *sh_id_text(struct sh_id id, char out[SH_ID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (int i = 0; i < 32; i++) {
        uint64_t half = i < 16 ? id.hi : id.lo;
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *p++ = '-';
        *p++ = hex[half >> (60 - 4 * (i % 16)) & 15];
    }
    *p = '\0';
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sh_id_parse(const char *text, size_t len, struct sh_id *id)
{
    if (len != SH_ID_TEXT - 1)
        return false;
    uint64_t half[2] = {0, 0};
    int digit = 0;
    for (size_t i = 0; i < len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int v = hex_value(text[i]);
        if (v < 0)
            return false;
        half[digit / 16] = half[digit / 16] << 4 | (uint64_t)v;
        digit++;
    }
    *id = (struct sh_id){half[0], half[1]};
    return (id->hi & 0xf000) == 0x7000 && id->lo >> 62 == 2;
}
