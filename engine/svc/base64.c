/* SPDX-License-Identifier: MIT
 * base64.c: base64 both ways, strict when reading. */
#include "svc/base64.h"

#include <string.h>

static const char digits[2][65] = {
    [SH_BASE64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [SH_BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

/* Value of a digit, or -1. */
static int value(char c, enum sh_base64 kind)
{
    const char *at = c ? strchr(digits[kind], c) : NULL;
    return at ? (int)(at - digits[kind]) : -1;
}

/* Digits without their padding; false: the padding is wrong. */
static bool unpad(struct sh_slice *text, enum sh_base64 kind)
{
    size_t pad = 0;
    while (pad < 2 && pad < text->n && text->p[text->n - 1 - pad] == '=')
        pad++;
    const size_t whole = text->n;
    text->n -= pad;
    if (text->n % 4 == 1)
        return false;
    return pad ? whole % 4 == 0 : kind == SH_BASE64_URL || whole % 4 == 0;
}

bool sh_base64_read(struct sh_buf *out, struct sh_slice text, enum sh_base64 kind)
{
    const size_t before = out->len;
    unsigned bits = 0, n = 0;
    bool ok = unpad(&text, kind);
    for (size_t i = 0; ok && i < text.n; i++) {
        const int v = value(text.p[i], kind);
        ok = v >= 0;
        bits = (bits << 6 | (unsigned)v) & 0xffffU;
        n += 6;
        if (ok && n >= 8) {
            n -= 8;
            sh_buf_addc(out, (char)(unsigned char)(bits >> n & 0xffU));
        }
    }
    if (ok && (bits & ((1U << n) - 1)) == 0)
        return true;
    out->len = before;
    if (out->data)
        out->data[before] = '\0';
    return false;
}

void sh_base64_write(struct sh_buf *out, struct sh_slice bytes, enum sh_base64 kind)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        const size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)bytes.p[i + k] : 0U);
        for (size_t k = 0; k < 4; k++) {
            if (k <= n)
                sh_buf_addc(out, digits[kind][v >> (18 - 6 * k) & 63U]);
            else if (kind == SH_BASE64)
                sh_buf_addc(out, '=');
        }
    }
}
