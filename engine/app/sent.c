/* SPDX-License-Identifier: MIT
 * sent.c: requests as texts. */
#include "app/sent.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct sh_slice cut_blanks(struct sh_slice s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

/* The next line, without its end; false: there is none. */
static bool next_line(struct sh_slice *rest, struct sh_slice *line)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    if (!end)
        return false;
    *line = sh_slice(rest->p, (size_t)(end - rest->p));
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    rest->n -= (size_t)(end + 1 - rest->p);
    rest->p = end + 1;
    return true;
}

bool sh_sent_add(struct sh_sent *s, struct sh_slice name, struct sh_slice value)
{
    if (s->n_headers == SH_SENT_HEADERS || name.n == 0)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
            return false;
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
            return false;
    s->headers = sh_realloc(s->headers, (s->n_headers + 1) * sizeof(*s->headers));
    s->headers[s->n_headers++] =
        (struct sh_sent_header){.name = sh_slice_dup(name), .value = sh_slice_dup(value)};
    return true;
}

/* `POST /path` or `POST /path HTTP/1.1`. */
static bool first_line(struct sh_slice line, struct sh_sent *out)
{
    const size_t before = strlen("POST ");
    if (line.n <= before || memcmp(line.p, "POST ", before) != 0)
        return false;
    const char *from = line.p + before;
    const char *end = memchr(from, ' ', line.n - before);
    out->path = sh_slice_dup(sh_slice(from, end ? (size_t)(end - from) : line.n - before));
    return true;
}

bool sh_sent_read(struct sh_slice text, struct sh_sent *out, struct sh_error *err)
{
    struct sh_slice rest = text, line;
    *out = (struct sh_sent){0};
    for (int number = 1; next_line(&rest, &line); number++) {
        if (line.n == 0) {
            if (rest.n && rest.p[rest.n - 1] == '\n')
                rest.n -= rest.n > 1 && rest.p[rest.n - 2] == '\r' ? 2 : 1;
            out->body = rest;
            return true;
        }
        if (number == 1 && first_line(line, out))
            continue;
        const char *colon = memchr(line.p, ':', line.n);
        size_t n = colon ? (size_t)(colon - line.p) : 0;
        if (!colon ||
            !sh_sent_add(out, sh_slice(line.p, n), cut_blanks(sh_slice(colon + 1, line.n - n - 1))))
            return sh_error_set(err, SH_EINVAL,
                                "line %d: expected a header such as \"X-Name: value\", or an empty "
                                "line before the body",
                                number);
    }
    return sh_error_set(err, SH_EINVAL, "expected an empty line between the headers and the body");
}

void sh_sent_clear(struct sh_sent *s)
{
    for (size_t i = 0; i < s->n_headers; i++) {
        free(s->headers[i].name);
        free(s->headers[i].value);
    }
    free(s->headers);
    free(s->path);
    *s = (struct sh_sent){0};
}

const char *sh_sent_header(const void *sent, const char *name)
{
    const struct sh_sent *s = sent;
    for (size_t i = 0; i < s->n_headers; i++)
        if (strcasecmp(s->headers[i].name, name) == 0)
            return s->headers[i].value;
    return NULL;
}

const struct sh_source_config *sh_sent_source(const struct sh_sent *s, const struct sh_config *c)
{
    for (size_t i = 0; s->path && i < c->n_sources; i++)
        if (c->sources[i].path && sh_path_match(c->sources[i].path, s->path, NULL))
            return &c->sources[i];
    return NULL;
}
