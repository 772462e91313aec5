/* SPDX-License-Identifier: MIT
 * forwarded.c: X-Forwarded-For and Forwarded, from the right. */
#include "core/forwarded.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ADDRESS 64 /* bytes, with brackets and port */

bool sh_forwarded_is_proxy(const struct sh_forwarded *f, const struct sh_ip *ip)
{
    return sh_ip_in(ip, f->proxies, f->n_proxies);
}

/* "192.0.2.7", "192.0.2.7:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711" */
static bool read_address(struct sh_slice s, struct sh_ip *out)
{
    char text[MAX_ADDRESS];
    if (!s.n || s.n >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)s.n, s.p);
    char *port = NULL, *start = text, *colon = strchr(text, ':');
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (!end || !colon || colon > end || (end[1] && end[1] != ':'))
            return false;
        *end = '\0';
        port = end[1] ? end + 2 : NULL;
        start = text + 1;
    } else if (colon && colon == strrchr(text, ':')) {
        port = colon + 1;
        *colon = '\0';
    }
    if (port && (!*port || strlen(port) > 5 || port[strspn(port, "0123456789")]))
        return false;
    return sh_ip_parse(start, out);
}

/* --- from the right ------------------------------------------------------------------------- */

/* A list is a slice whose p becomes NULL when its first element has been taken. */

static void trim_end(struct sh_slice *s)
{
    while (s->n && (s->p[s->n - 1] == ' ' || s->p[s->n - 1] == '\t'))
        s->n--;
}

static struct sh_slice trimmed(struct sh_slice s)
{
    trim_end(&s);
    while (s.n && (*s.p == ' ' || *s.p == '\t'))
        s = sh_slice(s.p + 1, s.n - 1);
    return s;
}

/* The last element of an X-Forwarded-For. False: the list is over. */
static bool last_plain(struct sh_slice *list, struct sh_slice *element)
{
    if (!list->p)
        return false;
    size_t at = list->n;
    while (at && list->p[at - 1] != ',')
        at--;
    *element = trimmed(sh_slice(list->p + at, list->n - at));
    *list = at ? sh_slice(list->p, at - 1) : sh_slice(NULL, 0);
    return true;
}

static bool ends_token(char c)
{
    return strchr("\",;= \t", c) != NULL;
}

/* Take the token at the end; false: there is none. */
static bool take_token(struct sh_slice *s, struct sh_slice *token)
{
    size_t at = s->n;
    while (at && !ends_token(s->p[at - 1]))
        at--;
    *token = sh_slice(s->p + at, s->n - at);
    s->n = at;
    return token->n > 0;
}

/* Take the quoted string that ends s: its content, escapes as they are. A quote with an odd number
 * of backslashes before it belongs to the content. */
static bool take_quoted(struct sh_slice *s, struct sh_slice *content)
{
    const size_t end = s->n - 1;
    for (size_t at = end; at > 0; at--) {
        size_t slashes = 0;
        while (slashes < at - 1 && s->p[at - 2 - slashes] == '\\')
            slashes++;
        if (s->p[at - 1] != '"' || slashes % 2)
            continue;
        *content = sh_slice(s->p + at, end - at);
        s->n = at - 1;
        return true;
    }
    return false;
}

/* Take `name=value` from the end. */
static bool take_pair(struct sh_slice *s, struct sh_slice *name, struct sh_slice *value)
{
    trim_end(s);
    const bool quoted = s->n && s->p[s->n - 1] == '"';
    if (!(quoted ? take_quoted(s, value) : take_token(s, value)))
        return false;
    if (!s->n || s->p[s->n - 1] != '=')
        return false;
    s->n--;
    return take_token(s, name);
}

struct element { /* of a Forwarded; empty: it has none, or is not of the grammar */
    struct sh_slice from, proto;
};

/* The last element. False: the list is over. */
static bool last_element(struct sh_slice *list, struct element *e)
{
    if (!list->p)
        return false;
    *e = (struct element){{0}, {0}};
    for (;;) {
        struct sh_slice name, value;
        if (!take_pair(list, &name, &value)) {
            *e = (struct element){{0}, {0}};
            return true;
        }
        if (name.n == 3 && strncasecmp(name.p, "for", 3) == 0)
            e->from = value;
        if (name.n == 5 && strncasecmp(name.p, "proto", 5) == 0)
            e->proto = value;
        trim_end(list);
        if (list->n && list->p[list->n - 1] == ';') {
            list->n--;
            continue;
        }
        if (list->n && list->p[list->n - 1] == ',')
            list->n--;
        else if (list->n)
            *e = (struct element){{0}, {0}}; /* something else before the name */
        else
            list->p = NULL;
        return true;
    }
}

static bool last_standard(struct sh_slice *list, struct sh_slice *element)
{
    struct element e;
    if (!last_element(list, &e))
        return false;
    *element = e.from;
    return true;
}

/* Through one header as long as *ip is a proxy of ours. False: the walk is over. */
static bool walk(const struct sh_forwarded *f, const char *value, struct sh_ip *ip)
{
    struct sh_slice list = sh_slice_str(value), element;
    while (f->standard ? last_standard(&list, &element) : last_plain(&list, &element)) {
        if (!read_address(element, ip))
            return false; /* "unknown", "_hidden", or a lie: the proxy is all that is known */
        if (!sh_forwarded_is_proxy(f, ip))
            return false;
    }
    return true;
}

static size_t count(sh_forwarded_header_fn *header, void *arg, const char *name)
{
    size_t n = 0;
    while (header(arg, name, n))
        n++;
    return n;
}

struct sh_ip sh_forwarded_address(const struct sh_forwarded *f, struct sh_ip peer,
                                  sh_forwarded_header_fn *header, void *arg)
{
    const char *name = f->standard ? "Forwarded" : "X-Forwarded-For";
    if (!sh_forwarded_is_proxy(f, &peer))
        return peer;
    size_t n = count(header, arg, name);
    while (n > 0 && walk(f, header(arg, name, n - 1), &peer))
        n--;
    return peer;
}

static bool is_https(struct sh_slice proto)
{
    return proto.n == 5 && strncasecmp(proto.p, "https", 5) == 0;
}

/* Of the element at which the walk to the address ends. */
static bool is_standard_https(const struct sh_forwarded *f, sh_forwarded_header_fn *header,
                              void *arg)
{
    static const char name[] = "Forwarded";
    struct element e = {{0}, {0}};
    struct sh_ip ip;
    for (size_t n = count(header, arg, name); n > 0; n--) {
        struct sh_slice list = sh_slice_str(header(arg, name, n - 1));
        while (last_element(&list, &e))
            if (!read_address(e.from, &ip) || !sh_forwarded_is_proxy(f, &ip))
                return is_https(e.proto);
    }
    return is_https(e.proto);
}

bool sh_forwarded_is_https(const struct sh_forwarded *f, struct sh_ip peer,
                           sh_forwarded_header_fn *header, void *arg)
{
    static const char name[] = "X-Forwarded-Proto";
    struct sh_slice last;
    if (!sh_forwarded_is_proxy(f, &peer))
        return false;
    if (f->standard)
        return is_standard_https(f, header, arg);
    const size_t n = count(header, arg, name);
    struct sh_slice list = n ? sh_slice_str(header(arg, name, n - 1)) : sh_slice(NULL, 0);
    return last_plain(&list, &last) && is_https(last);
}
