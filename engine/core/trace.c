/* SPDX-License-Identifier: MIT
 * trace.c: traceparent. */
#include "core/trace.h"

#include "svc/crypto.h"

#include <string.h>

#define PARENT_BYTES 8
#define PARENT_AT    36 /* in the text */
#define FLAGS_AT     53
#define TEXT_BYTES   (SH_TRACE_TEXT - 1)

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool all_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_hex(s[i]))
            return false;
    return true;
}

static bool all_zero(const char *s, size_t n)
{
    return strspn(s, "0") >= n;
}

static bool well_formed(const char *s)
{
    const size_t n = strlen(s);
    if (n < TEXT_BYTES || s[2] != '-' || s[35] != '-' || s[52] != '-' || !all_hex(s, 2) ||
        !all_hex(s + 3, SH_TRACE_ID_BYTES) || !all_hex(s + PARENT_AT, 2 * PARENT_BYTES) ||
        !all_hex(s + FLAGS_AT, 2))
        return false;
    if (memcmp(s, "ff", 2) == 0 || all_zero(s + 3, SH_TRACE_ID_BYTES) ||
        all_zero(s + PARENT_AT, 2 * PARENT_BYTES))
        return false;
    return n == TEXT_BYTES || (memcmp(s, "00", 2) != 0 && s[TEXT_BYTES] == '-');
}

/* Of the last hex digit. */
static bool is_sampled(const char *s)
{
    const char c = s[FLAGS_AT + 1];
    return (c <= '9' ? c - '0' : c - 'a' + 10) & 1;
}

bool sh_trace_read(const char *header, char out[SH_TRACE_TEXT])
{
    out[0] = '\0';
    if (!header || !well_formed(header))
        return false;
    memcpy(out, header, TEXT_BYTES);
    memcpy(out, "00", 2);
    memcpy(out + FLAGS_AT, is_sampled(header) ? "01" : "00", 3);
    return true;
}

void sh_trace_next(const char *trace, struct sh_slice seed, char out[SH_TRACE_TEXT])
{
    uint8_t hash[SH_SHA256_BYTES];
    char parent[2 * PARENT_BYTES + 1];
    const struct sh_slice parts[] = {SH_SLICE("traceparent\n"), sh_slice_str(trace), SH_SLICE("\n"),
                                     seed};
    sh_sha256(parts, sizeof(parts) / sizeof(*parts), hash);
    sh_hex(hash, PARENT_BYTES, parent);
    if (all_zero(parent, 2 * PARENT_BYTES))
        parent[0] = '1';
    memcpy(out, trace, SH_TRACE_TEXT);
    memcpy(out + PARENT_AT, parent, 2 * PARENT_BYTES);
}

struct sh_slice sh_trace_id(const char *trace)
{
    return trace ? sh_slice(trace + 3, SH_TRACE_ID_BYTES) : SH_SLICE("");
}
