/* SPDX-License-Identifier: MIT
 * http_hidden.c: secrets are blanked in what comes back.
 *
 * In all four forms, and as JSON with \/, not only in the one that was sent: a service that echoes
 * a header within its JSON answer writes it as JSON. */
#include "core/http_part.h"

#include <stdlib.h>
#include <string.h>

#define MIN_HIDDEN_BYTES 4
#define MIN_PREFIX_BYTES 8 /* of a hidden text that an answer's cut-off end shows in part */

struct form { /* one way to write a secret */
    char *text;
    size_t len;
    const char *name;
};

struct sh_hidden {
    struct form *forms; /* longest first: of two that begin alike the longer one is the whole */
    size_t n, room;
    char **names;    /* owned; NULL-terminated */
    bool first[256]; /* a form begins with this byte */
};

static void hide(struct sh_hidden *h, const struct sh_buf *form, const char *name)
{
    if (form->len < MIN_HIDDEN_BYTES)
        return;
    for (size_t i = 0; i < h->n; i++)
        if (h->forms[i].len == form->len && memcmp(h->forms[i].text, form->data, form->len) == 0)
            return;
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 16;
        h->forms = sh_realloc(h->forms, h->room * sizeof(*h->forms));
    }
    h->forms[h->n++] = (struct form){sh_memdup(form->data, form->len), form->len, name};
    h->first[(unsigned char)form->data[0]] = true;
}

/* As JSON of those who write a slash as \/ (PHP). */
static void put_slashed(struct sh_buf *out, const char *text, size_t room)
{
    struct sh_buf json;
    sh_buf_init(&json, room);
    sh_http_put_as(&json, text, SH_AS_JSON);
    for (size_t i = 0; i < json.len; i++) {
        if (json.data[i] == '/')
            sh_buf_addc(out, '\\');
        sh_buf_addc(out, json.data[i]);
    }
    sh_buf_free(&json);
}

static void hide_all_forms(struct sh_hidden *h, const char *text, const char *name)
{
    size_t room = 8 * strlen(text) + 16;
    for (int as = 0; as <= SH_HTTP_N_AS; as++) {
        struct sh_buf form;
        sh_buf_init(&form, room);
        if (as < SH_HTTP_N_AS)
            sh_http_put_as(&form, text, (enum sh_http_as)as);
        else
            put_slashed(&form, text, room);
        hide(h, &form, name);
        sh_buf_free(&form);
    }
}

static int longer_first(const void *a, const void *b)
{
    const struct form *x = a, *y = b;
    return (x->len < y->len) - (x->len > y->len);
}

struct sh_hidden *sh_hidden_new(const char *const *names, sh_secret_fn *secret, void *arg)
{
    struct sh_hidden *h = sh_alloc(1, sizeof(*h));
    size_t n = 0;
    while (names && names[n])
        n++;
    h->names = sh_alloc(n + 1, sizeof(*h->names));
    for (size_t i = 0; i < n; i++) {
        const char *text = secret(arg, names[i]);
        h->names[i] = sh_strdup(names[i]);
        if (text)
            hide_all_forms(h, text, h->names[i]);
    }
    if (h->n)
        qsort(h->forms, h->n, sizeof(*h->forms), longer_first);
    return h;
}

void sh_hidden_free(struct sh_hidden *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        sh_http_wipe(h->forms[i].text);
    for (size_t i = 0; h->names[i]; i++)
        free(h->names[i]);
    free(h->names);
    free(h->forms);
    free(h);
}

/* The form that stands at the start of s, or the beginning of one that s ends in the middle of (an
 * answer that was cut off); NULL if there is none. */
static const char *hidden_at(const struct sh_hidden *h, struct sh_slice s, size_t *len)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct form *f = &h->forms[i];
        size_t m = f->len <= s.n ? f->len : s.n;
        if ((f->len > s.n && s.n < MIN_PREFIX_BYTES) || memcmp(s.p, f->text, m) != 0)
            continue;
        *len = m;
        return f->name;
    }
    return NULL;
}

void sh_hidden_blank(const struct sh_hidden *h, struct sh_slice text, struct sh_buf *out)
{
    size_t from = 0, len = 0;
    for (size_t i = 0; h && i < text.n; i++) {
        if (!h->first[(unsigned char)text.p[i]])
            continue;
        const char *name = hidden_at(h, sh_slice(text.p + i, text.n - i), &len);
        if (!name)
            continue;
        sh_buf_add(out, text.p + from, i - from);
        sh_buf_addf(out, "(secret %s)", name);
        from = i + len;
        i = from - 1;
    }
    if (from < text.n)
        sh_buf_add(out, text.p + from, text.n - from);
}
