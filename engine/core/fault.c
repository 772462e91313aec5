/* SPDX-License-Identifier: MIT
 * fault.c: position, rule, message, hint and traceback of an error, in this order. */
#include "core/fault.h"

#include "base/error.h"

#include <string.h>

#define MAX_HINT 1000

static bool starts(struct sh_slice s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p, with, n) == 0;
}

/* Where `what` begins in s, s.n if nowhere. */
static size_t find(struct sh_slice s, const char *what)
{
    const char *p = s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
    return p ? (size_t)(p - s.p) : s.n;
}

static struct sh_slice rest(struct sh_slice s, size_t from)
{
    return sh_slice(s.p + from, s.n - from);
}

size_t sh_fault_position(struct sh_slice text)
{
    if (!starts(text, "rules/") && !starts(text, "scripts/"))
        return 0;
    size_t at = find(text, ".lua:") + strlen(".lua:"), digits = at;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    bool ends = digits > at && digits + 1 < text.n && memcmp(text.p + digits, ": ", 2) == 0;
    return ends ? digits + 2 : 0;
}

/* Does the text begin with rule "NAME": of that rule? */
static bool names(struct sh_slice text, struct sh_slice rule)
{
    const size_t before = strlen("rule \""), after = strlen("\": ");
    return starts(text, "rule \"") && text.n >= before + rule.n + after &&
           memcmp(text.p + before, rule.p, rule.n) == 0 &&
           memcmp(text.p + before + rule.n, "\": ", after) == 0;
}

static void write_of(struct sh_buf *out, const char *what, struct sh_slice name,
                     struct sh_slice text)
{
    size_t position = sh_fault_position(text);
    struct sh_slice body = rest(text, position);
    struct sh_slice head = sh_slice(body.p, find(body, SH_FAULT_AT));
    sh_buf_add(out, text.p, position);
    if (name.n && !names(body, name))
        sh_buf_addf(out, "%s \"%.*s\": ", what, (int)name.n, name.p);
    sh_buf_add(out, head.p, head.n);
    struct sh_buf hint;
    sh_buf_init(&hint, MAX_HINT);
    if (find(head, SH_FAULT_HINT) == head.n && sh_fault_hint(&hint, head)) {
        sh_buf_adds(out, SH_FAULT_HINT);
        sh_buf_add(out, hint.data, hint.len);
    }
    sh_buf_free(&hint);
    sh_buf_add(out, body.p + head.n, body.n - head.n);
}

void sh_fault_write(struct sh_buf *out, struct sh_slice rule, struct sh_slice text)
{
    write_of(out, "rule", rule, text);
}

char *sh_fault_text_of(const char *what, struct sh_slice name, struct sh_slice text)
{
    struct sh_buf out;
    sh_buf_init(&out, text.n + name.n + strlen(what) + MAX_HINT + 64);
    write_of(&out, what, name, text);
    return sh_buf_take(&out, NULL);
}

char *sh_fault_text(struct sh_slice rule, struct sh_slice text)
{
    return sh_fault_text_of("rule", rule, text);
}

/* The line that begins with mark, without it. */
static struct sh_slice marked_line(struct sh_slice text, const char *mark)
{
    size_t at = find(text, mark);
    struct sh_slice from = at < text.n ? rest(text, at + strlen(mark)) : sh_slice(NULL, 0);
    return sh_slice(from.p, find(from, "\n"));
}

struct sh_fault_parts sh_fault_split(struct sh_slice text)
{
    return (struct sh_fault_parts){.line = sh_slice(text.p, find(text, "\n")),
                                   .hint = marked_line(text, SH_FAULT_HINT),
                                   .trace = marked_line(text, SH_FAULT_AT)};
}
