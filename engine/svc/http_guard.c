/* SPDX-License-Identifier: MIT
 * http_guard.c: strict framing, one pass, no memory of its own. */
#include "svc/http_guard.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHUNK_DIGITS 8 /* hex digits of a chunk size: 4 GiB, more than any body limit */

/* RFC 9110 section 5.6.2: 1 for the characters of a token. */
static const char is_token[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
    ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
    ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
    ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

/* Headers that may come once: a second one means that two readers could see two requests. */
enum {
    ONCE_HOST,
    ONCE_LENGTH,
    ONCE_TRANSFER,
    ONCE_EXPECT,
    ONCE_TYPE,
    ONCE_AUTH,
    ONCE_ORIGIN,
    ONCE_ENCODING,
    ONCE_WEBHOOK_ID,
    N_ONCE
};
static const struct {
    struct sh_slice name;
    const char *twice;
} once[N_ONCE] = {
    [ONCE_HOST] = {{"host", 4}, "more than one Host header"},
    [ONCE_LENGTH] = {{"content-length", 14}, "more than one Content-Length header"},
    [ONCE_TRANSFER] = {{"transfer-encoding", 17}, "more than one Transfer-Encoding header"},
    [ONCE_EXPECT] = {{"expect", 6}, "more than one Expect header"},
    [ONCE_TYPE] = {{"content-type", 12}, "more than one Content-Type header"},
    [ONCE_AUTH] = {{"authorization", 13}, "more than one Authorization header"},
    [ONCE_ORIGIN] = {{"origin", 6}, "more than one Origin header"},
    [ONCE_ENCODING] = {{"content-encoding", 16}, "more than one Content-Encoding header"},
    [ONCE_WEBHOOK_ID] = {{"webhook-id", 10}, "more than one webhook-id header"},
};
#define HAS(g, which) (((g)->once & 1U << (which)) != 0)

static enum sh_guard_phase bad(struct sh_http_guard *g, int status, const char *reason)
{
    g->status = status;
    g->reason = reason;
    return g->phase = SH_GUARD_BAD;
}

static bool fail(struct sh_http_guard *g, int status, const char *reason)
{
    bad(g, status, reason);
    return false;
}

void sh_http_guard_reset(struct sh_http_guard *g)
{
    *g = (struct sh_http_guard){.phase = SH_GUARD_IDLE};
}

/* --- Request line ---------------------------------------------------------------------------- */

static bool is_word(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

static bool read_method(struct sh_http_guard *g, const char *p, size_t n)
{
    static const char *const known[] = {"GET", "HEAD", "DELETE", "OPTIONS"};
    if (is_word(p, n, "POST") || is_word(p, n, "PUT") || is_word(p, n, "PATCH"))
        return g->has_body_method = true;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (is_word(p, n, known[i]))
            return true;
    for (size_t i = 0; i < n; i++)
        if (!is_token[(unsigned char)p[i]])
            return fail(g, 400, "request line does not start with a method");
    return n ? fail(g, 501, "unknown request method")
             : fail(g, 400, "request line does not start with a method");
}

/* A target that evhttp reads as a URL with a host: would it? */
static bool is_url(const char *p, size_t n)
{
    char *text = sh_memdup(p, n);
    struct evhttp_uri *uri = evhttp_uri_parse_with_flags(text, EVHTTP_URI_NONCONFORMANT);
    const bool ok = uri != NULL;
    if (uri)
        evhttp_uri_free(uri);
    free(text);
    return ok;
}

static bool read_target(struct sh_http_guard *g, const char *p, size_t n, bool options)
{
    if (n == 1 && p[0] == '*' && options)
        return true;
    if (!(n && p[0] == '/') && !(n > 7 && strncasecmp(p, "http://", 7) == 0) &&
        !(n > 8 && strncasecmp(p, "https://", 8) == 0))
        return fail(g, 400, "request target is neither a path nor an http URL");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return fail(g, 400, "request target holds a character that must be percent-encoded");
        if (c == '%' &&
            !(n - i > 2 && isxdigit((unsigned char)p[i + 1]) && isxdigit((unsigned char)p[i + 2])))
            return fail(g, 400, "request target holds a % that two hex digits do not follow");
        if (c == '%' && p[i + 1] == '0' && p[i + 2] == '0')
            return fail(g, 400, "request target holds %00");
    }
    if ((p[0] != '/' || (n > 1 && p[1] == '/')) && !is_url(p, n))
        return fail(g, 400, "request target is not a URL");
    return true;
}

static bool read_version(struct sh_http_guard *g, const char *p, size_t n)
{
    if (is_word(p, n, "HTTP/1.1"))
        return true;
    if (is_word(p, n, "HTTP/1.0"))
        return g->http10 = true;
    if (n == 8 && memcmp(p, "HTTP/", 5) == 0 && isdigit((unsigned char)p[5]) && p[6] == '.' &&
        isdigit((unsigned char)p[7]))
        return fail(g, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return fail(g, 400, "request line does not end in an HTTP version");
}

static bool read_request_line(struct sh_http_guard *g, const char *p, size_t n)
{
    const char *sp = memchr(p, ' ', n), *end = p + n;
    const char *sp2 = sp ? memchr(sp + 1, ' ', (size_t)(end - sp - 1)) : NULL;
    if (!sp2)
        return fail(g, 400, "request line is not: method, target, version");
    return read_version(g, sp2 + 1, (size_t)(end - sp2 - 1)) &&
           read_method(g, p, (size_t)(sp - p)) &&
           read_target(g, sp + 1, (size_t)(sp2 - sp - 1), is_word(p, (size_t)(sp - p), "OPTIONS"));
}

/* --- Headers --------------------------------------------------------------------------------- */

static bool read_length(struct sh_http_guard *g, const char *p, size_t n)
{
    size_t value = 0;
    if (n == 0 || n > 18)
        return fail(g, 400, "Content-Length is not a number of at most 18 digits");
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return fail(g, 400, "Content-Length is not a plain decimal number");
        value = value * 10 + (size_t)(p[i] - '0');
    }
    g->body_bytes = value;
    return true;
}

static bool read_host(struct sh_http_guard *g, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] <= ' ' || (unsigned char)p[i] >= 0x7f || strchr("/?#@\\,", p[i]))
            return fail(g, 400, "Host is not a host name with an optional port");
    return true;
}

/* Meaning of the headers that decide about framing. Spaces around the value are gone; a tab is
 * not, since evhttp would keep it. */
static bool read_known(struct sh_http_guard *g, int which, const char *p, size_t n)
{
    if (HAS(g, which))
        return fail(g, 400, once[which].twice);
    g->once |= 1U << which;
    if (which == ONCE_LENGTH)
        return read_length(g, p, n);
    if (which == ONCE_HOST)
        return read_host(g, p, n);
    if (which == ONCE_TRANSFER && (n != 7 || strncasecmp(p, "chunked", 7) != 0))
        return fail(g, 400, "Transfer-Encoding is not exactly: chunked");
    if (which == ONCE_EXPECT && (n != 12 || strncasecmp(p, "100-continue", 12) != 0))
        return fail(g, 417, "Expect is not exactly: 100-continue");
    if (which == ONCE_EXPECT)
        g->expects = true;
    return true;
}

static bool read_header(struct sh_http_guard *g, const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && is_token[(unsigned char)p[i]])
        i++;
    if (i == 0)
        return fail(g, 400,
                    p[0] == ' ' || p[0] == '\t' ? "folded header line" : "header without a name");
    if (i == n || p[i] != ':')
        return fail(g, 400, "header name is not followed by a colon at once");
    const size_t name_len = i;
    for (i++; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return fail(g, 400, "header value holds a control byte");
    }
    size_t from = name_len + 1, to = n;
    while (from < to && p[from] == ' ')
        from++;
    while (from < to && p[to - 1] == ' ')
        to--;
    for (int w = 0; w < N_ONCE; w++)
        if (once[w].name.n == name_len && strncasecmp(p, once[w].name.p, name_len) == 0)
            return read_known(g, w, p + from, to - from);
    return true;
}

/* The head is whole: which body follows? */
static enum sh_guard_phase end_head(struct sh_http_guard *g, const struct sh_http_limits *limits)
{
    const bool chunked = HAS(g, ONCE_TRANSFER);
    g->head_bytes = g->pos;
    if (!g->http10 && !HAS(g, ONCE_HOST))
        return bad(g, 400, "no Host header");
    if (chunked && HAS(g, ONCE_LENGTH))
        return bad(g, 400, "both Transfer-Encoding and Content-Length");
    if (chunked && g->http10)
        return bad(g, 400, "Transfer-Encoding in HTTP/1.0");
    if ((chunked || g->body_bytes) && !g->has_body_method)
        return bad(g, 400, "this method takes no body");
    if (g->body_bytes > limits->body_bytes)
        return bad(g, 413, "body is larger than the limit");
    g->total_bytes = g->head_bytes + g->body_bytes;
    return g->phase = chunked ? SH_GUARD_CHUNK_SIZE : SH_GUARD_LENGTH;
}

static enum sh_guard_phase read_line(struct sh_http_guard *g, const struct sh_http_limits *limits,
                                     const char *p, size_t n)
{
    if (n == 0 || p[n - 1] != '\r')
        return bad(g, 400, "line does not end in CR LF");
    n--;
    if (n == 0)
        return g->lines ? end_head(g, limits) : bad(g, 400, "empty request line");
    if (g->lines++ == 0)
        read_request_line(g, p, n);
    else if (g->lines > SH_HTTP_MAX_HEADERS + 1)
        bad(g, 431, "too many headers");
    else
        read_header(g, p, n);
    return g->phase;
}

static enum sh_guard_phase too_long(struct sh_http_guard *g)
{
    return g->lines ? bad(g, 431, "headers are larger than the limit")
                    : bad(g, 414, "request line is larger than the limit");
}

static enum sh_guard_phase scan_head(struct sh_http_guard *g, const struct sh_http_limits *limits,
                                     struct evbuffer *buf)
{
    size_t len = evbuffer_get_length(buf);
    const size_t view = len < limits->header_bytes ? len : limits->header_bytes;
    const char *p = (const char *)evbuffer_pullup(buf, (ev_ssize_t)view);
    sh_require(p || view == 0);
    while (g->phase == SH_GUARD_HEAD) {
        const char *nl = view > g->seen ? memchr(p + g->seen, '\n', view - g->seen) : NULL;
        if (!nl) {
            g->seen = view;
            return len >= limits->header_bytes ? too_long(g) : g->phase;
        }
        const char *line = p + g->pos;
        g->pos = g->seen = (size_t)(nl - p) + 1;
        read_line(g, limits, line, (size_t)(nl - line));
    }
    return g->phase;
}

/* --- Chunks ---------------------------------------------------------------------------------- */

/* Copy up to n bytes from offset at; how many were there. */
static size_t look(struct evbuffer *buf, size_t at, char *out, size_t n)
{
    struct evbuffer_ptr ptr;
    if (at >= evbuffer_get_length(buf) || evbuffer_ptr_set(buf, &ptr, at, EVBUFFER_PTR_SET) != 0)
        return 0;
    ev_ssize_t got = evbuffer_copyout_from(buf, &ptr, out, n);
    return got > 0 ? (size_t)got : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 1 to 8 hex digits, CR, LF: no sign, prefix, space or extension. False: more is needed, or bad. */
static bool chunk_size(struct sh_http_guard *g, const struct sh_http_limits *limits,
                       struct evbuffer *buf)
{
    char line[CHUNK_DIGITS + 2];
    const size_t n = look(buf, g->pos, line, sizeof(line));
    size_t i = 0, size = 0;
    for (; i < n && i < CHUNK_DIGITS && hex_digit(line[i]) >= 0; i++)
        size = size << 4 | (size_t)hex_digit(line[i]);
    if ((i == 0 && n) || (i < n && line[i] != '\r') || (i + 1 < n && line[i + 1] != '\n'))
        return fail(g, 400, "chunk size is not 1 to 8 hex digits and CR LF");
    if (i + 1 >= n)
        return false;
    g->pos += i + 2;
    g->chunk_bytes = size;
    g->body_bytes += size;
    if (g->body_bytes > limits->body_bytes)
        return fail(g, 413, "body is larger than the limit");
    g->phase = size ? SH_GUARD_CHUNK_DATA : SH_GUARD_CHUNK_LAST;
    return true;
}

/* CR LF behind a chunk's data, or behind the last chunk: trailers are not taken. */
static bool chunk_end(struct sh_http_guard *g, struct evbuffer *buf)
{
    const bool last = g->phase == SH_GUARD_CHUNK_LAST;
    char end[2];
    const size_t at = g->pos + (last ? 0 : g->chunk_bytes), n = look(buf, at, end, 2);
    if ((n > 0 && end[0] != '\r') || (n > 1 && end[1] != '\n'))
        return fail(g, 400,
                    last ? "trailers after the last chunk are not accepted"
                         : "chunk data does not end in CR LF");
    if (n < 2)
        return false;
    g->pos = at + 2;
    if (g->pos - g->head_bytes - g->body_bytes > SH_HTTP_MAX_CHUNK_FRAMES)
        return fail(g, 400, "more than 64 KiB of chunk framing");
    g->total_bytes = g->pos;
    g->phase = last ? SH_GUARD_WHOLE : SH_GUARD_CHUNK_SIZE;
    return true;
}

enum sh_guard_phase sh_http_guard_scan(struct sh_http_guard *g, const struct sh_http_limits *limits,
                                       struct evbuffer *buf)
{
    if (g->phase == SH_GUARD_IDLE && evbuffer_get_length(buf) > 0) {
        char first[2];
        g->phase = SH_GUARD_HEAD;
        if (look(buf, 0, first, 2) == 2 && memcmp(first, "\r\n", 2) == 0)
            evbuffer_drain(buf, 2);
    }
    if (g->phase == SH_GUARD_HEAD)
        scan_head(g, limits, buf);
    if (g->phase == SH_GUARD_LENGTH && evbuffer_get_length(buf) >= g->total_bytes)
        g->phase = SH_GUARD_WHOLE;
    while (
        (g->phase == SH_GUARD_CHUNK_SIZE && chunk_size(g, limits, buf)) ||
        ((g->phase == SH_GUARD_CHUNK_DATA || g->phase == SH_GUARD_CHUNK_LAST) && chunk_end(g, buf)))
        ;
    return g->phase;
}
