/* SPDX-License-Identifier: MIT
 * input.c: event bodies from files and standard input. */
#include "app/input.h"

#include "svc/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct sh_inputs *in, char *name, struct sh_slice body, bool is_line)
{
    in->items = sh_realloc(in->items, (in->n + 1) * sizeof(*in->items));
    in->items[in->n++] = (struct sh_input){.name = name, .sent.body = body, .is_line = is_line};
}

static char *keep(struct sh_inputs *in, char *text)
{
    in->texts = sh_realloc(in->texts, (in->n_texts + 1) * sizeof(*in->texts));
    in->texts[in->n_texts++] = text;
    return text;
}

static bool read_all(FILE *f, const char *path, struct sh_buf *out, struct sh_error *err)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        sh_buf_add(out, chunk, n);
    if (ferror(f))
        return sh_error_set(err, SH_ESYS, "%s: cannot be read: %s", path, strerror(errno));
    if (!sh_buf_ok(out))
        return sh_error_set(err, SH_ELIMIT, "%s: larger than %zu bytes", path, SH_MAX_INPUT_BYTES);
    return true;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool blank(struct sh_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(" \t\r\n", s.p[i]) || !s.p[i])
            return false;
    return true;
}

/* Lines, unless the whole is one value, or not even the first line is one: then the fault is best
 * told in terms of the whole. */
static bool is_lines(struct sh_slice text)
{
    const char *end = memchr(text.p, '\n', text.n);
    if (!end || sh_json_check(text.p, text.n, NULL))
        return false;
    return sh_json_check(text.p, (size_t)(end - text.p), NULL);
}

static void add_lines(struct sh_inputs *in, const char *path, struct sh_slice text)
{
    const char *end = text.p + text.n;
    int number = 1;
    for (const char *p = text.p; p < end; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct sh_slice line = sh_slice(p, (size_t)((stop ? stop : end) - p));
        if (!blank(line))
            add(in, sh_strf("%s:%d", path, number), line, true);
        p = stop ? stop + 1 : end;
    }
}

static bool add_request(struct sh_inputs *in, const char *path, struct sh_slice text,
                        struct sh_error *err)
{
    struct sh_error why;
    add(in, sh_strdup(path), (struct sh_slice){0}, false);
    return sh_sent_read(text, &in->items[in->n - 1].sent, &why) ||
           sh_error_set(err, SH_EINVAL, "%s: %s", path, why.msg);
}

bool sh_inputs_add(struct sh_inputs *in, const char *path, struct sh_error *err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *f = from_stdin ? stdin : fopen(path, "rbe");
    if (!f)
        return sh_error_set(err, SH_ENOTFOUND, "%s: cannot open: %s", path, strerror(errno));
    struct sh_buf buf;
    sh_buf_init(&buf, SH_MAX_INPUT_BYTES);
    bool ok = read_all(f, path, &buf, err);
    if (!from_stdin)
        fclose(f);
    size_t len;
    char *text = keep(in, sh_buf_take(&buf, &len));
    bool lines = ends_with(path, ".jsonl") || ends_with(path, ".ndjson");
    if (ok && (lines || (from_stdin && is_lines(sh_slice(text, len)))))
        add_lines(in, path, sh_slice(text, len));
    else if (ok && ends_with(path, ".http"))
        ok = add_request(in, path, sh_slice(text, len), err);
    else if (ok)
        add(in, sh_strdup(path), sh_slice(text, len), false);
    return ok;
}

void sh_inputs_add_text(struct sh_inputs *in, const char *name, const char *body)
{
    size_t n = strlen(body);
    add(in, sh_strdup(name), sh_slice(keep(in, sh_memdup(body, n)), n), false);
}

void sh_inputs_clear(struct sh_inputs *in)
{
    for (size_t i = 0; i < in->n; i++) {
        free(in->items[i].name);
        sh_sent_clear(&in->items[i].sent);
    }
    for (size_t i = 0; i < in->n_texts; i++)
        free(in->texts[i]);
    free(in->items);
    free(in->texts);
    *in = (struct sh_inputs){0};
}
