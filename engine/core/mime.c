/* SPDX-License-Identifier: MIT
 * mime.c: mail addresses, checked. mime_check.c does it with a whole effect, mime_build.c makes the
 * message, mime_part.c the parts of it. */
#include "core/mime_impl.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_ADDR_BYTES 254 /* RFC 5321 4.5.3.1.3, less the angle brackets */
#define QUOTE_BYTES    80  /* of a refused text that a message repeats */

/* Length of the UTF-8 sequence at p (RFC 3629: nothing overlong, no surrogates), 0 if none. */
static size_t utf8_step(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    uint32_t c = p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : len;
}

const char *sh_mime_quote(struct sh_mime_quoted *q, struct sh_slice s)
{
    size_t n = 0;
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_step(p + i, s.n - i);
        if (n + (step ? step : 1) > QUOTE_BYTES) {
            memcpy(q->text + n, "...", 4);
            return q->text;
        }
        bool plain = step > 1 || (step == 1 && p[i] >= 0x20 && p[i] != 0x7f);
        if (plain)
            memcpy(q->text + n, p + i, step);
        else
            q->text[n] = '?';
        n += plain ? step : 1;
        i += step ? step : 1;
    }
    q->text[n] = '\0';
    return q->text;
}

static bool refuse(struct sh_error *err, struct sh_slice s, const char *why)
{
    struct sh_mime_quoted q;
    return sh_error_set(err, SH_EINVAL, "\"%s\" is not a mail address: %s", sh_mime_quote(&q, s),
                        why);
}

static bool has_control(struct sh_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

static struct sh_slice trim(struct sh_slice s)
{
    while (s.n && s.p[0] == ' ')
        s = sh_slice(s.p + 1, s.n - 1);
    while (s.n && s.p[s.n - 1] == ' ')
        s.n--;
    return s;
}

static bool holds(struct sh_slice s, char c)
{
    return s.n && memchr(s.p, c, s.n) != NULL;
}

static const char *domain_fault(struct sh_slice d)
{
    if (!d.n)
        return "there is no domain after the @";
    for (size_t i = 0, label = 0; i <= d.n; i++) {
        if (i < d.n && d.p[i] != '.') {
            label++;
            continue;
        }
        if (!label)
            return "its domain has an empty part between dots";
        label = 0;
    }
    return NULL;
}

/* Why a bare address cannot be one, or NULL. Nothing that passes can end an SMTP command, open
 * another one, or be taken for an option by a program that mail goes through. */
static const char *bare_fault(struct sh_slice a)
{
    if (!a.n)
        return "it is empty";
    if (a.n > MAX_ADDR_BYTES)
        return "it is longer than 254 bytes";
    if (a.p[0] == '-')
        return "it must not start with '-'";
    for (size_t i = 0; i < a.n; i++) {
        uint8_t c = (uint8_t)a.p[i];
        if (c > 0x7e)
            return "letters outside ASCII are not supported in an address (write the domain in "
                   "its xn-- form)";
        if (c < 0x21)
            return "there is a space in the address (expected \"local@domain\" or "
                   "\"Name <local@domain>\")";
        if (strchr("<>()[]\\,;:\"", c))
            return "one of <>()[]\\,;:\" in the address (expected \"local@domain\" or "
                   "\"Name <local@domain>\")";
    }
    const char *at = memchr(a.p, '@', a.n);
    if (!at)
        return "it has no @";
    size_t local = (size_t)(at - a.p);
    struct sh_slice domain = sh_slice(at + 1, a.n - local - 1);
    if (holds(domain, '@'))
        return "it has more than one @";
    return local ? domain_fault(domain) : "there is nothing before the @";
}

/* "Na\"me" without its quotes into out. False: not closed, or text behind the closing quote. */
static bool unquote(struct sh_slice s, char *out, size_t *len)
{
    size_t n = 0, i = 1;
    for (; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\' && ++i >= s.n)
            return false;
        out[n++] = s.p[i];
    }
    *len = n;
    return i + 1 == s.n;
}

static const char *read_name(struct sh_slice text, struct sh_address *out)
{
    struct sh_slice s = trim(text);
    /* An unquoted name is at most as long as its text, and unquoting only shortens. */
    if (s.n > sizeof(out->name) - 1)
        return "the name is longer than 255 bytes";
    size_t n = s.n;
    if (n && s.p[0] == '"') {
        if (!unquote(s, out->name, &n))
            return "the quoted name has no end, or text behind it";
    } else {
        if (holds(s, '<') || holds(s, '>') || holds(s, '@'))
            return "more than one address, or < > @ in a name without quotes";
        if (n)
            memcpy(out->name, s.p, n);
    }
    out->name[n] = '\0';
    return NULL;
}

static const char *parse(struct sh_slice text, struct sh_address *out)
{
    if (has_control(text))
        return "it contains a control character (line break, tab or NUL)";
    if (!sh_utf8_ok(text))
        return "it is not valid UTF-8";
    struct sh_slice s = trim(text);
    struct sh_slice addr = s;
    if (s.n && s.p[s.n - 1] == '>') {
        const char *open = memrchr(s.p, '<', s.n);
        if (!open)
            return "there is a > without a <";
        size_t before = (size_t)(open - s.p);
        addr = sh_slice(open + 1, s.n - before - 2);
        const char *why = read_name(sh_slice(s.p, before), out);
        if (why)
            return why;
    }
    const char *why = bare_fault(addr);
    if (!why)
        memcpy(out->addr, addr.p, addr.n);
    return why;
}

bool sh_address_parse(struct sh_slice text, struct sh_address *out, struct sh_error *err)
{
    memset(out, 0, sizeof(*out));
    const char *why = parse(text, out);
    return why ? refuse(err, text, why) : true;
}
