/* SPDX-License-Identifier: MIT
 * why.c: values that a condition looked at: in a sentence, masked, and the lines of the condition.
 */
#include "app/why.h"

#include "base/buf.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN        8  /* values in a sentence */
#define SHOWN_BYTES  60 /* of each */
#define TEXT_BYTES   ((size_t)8192)
#define SOURCE_BYTES ((size_t)4096)

/* --- a sentence ------------------------------------------------------------------------------ */

/* The beginning of a text of n bytes, max of it at most, in whole characters. */
static size_t cut_at(const char *s, size_t n, size_t max)
{
    if (n <= max)
        return n;
    while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void add_value(struct sh_buf *out, const cJSON *look)
{
    struct sh_buf text;
    const cJSON *value = sh_json_member(look, "value");
    const bool cut = cJSON_IsTrue(sh_json_member(look, "cut"));
    const bool quoted = cJSON_IsString(value) && !sh_json_member(look, "json");
    sh_buf_init(&text, TEXT_BYTES);
    if (cJSON_IsString(value))
        sh_buf_adds(&text, value->valuestring);
    else if (!sh_json_print(value, &text))
        sh_buf_adds(&text, "(not shown: too large)");
    const char *s = text.data ? text.data : "";
    const size_t kept = cut_at(s, text.len, SHOWN_BYTES);
    if (quoted)
        sh_json_quote(out, sh_slice(s, kept));
    else
        sh_buf_add(out, s, kept);
    if (cut || kept < text.len)
        sh_buf_adds(out, "..");
    sh_buf_free(&text);
}

static void add_look(struct sh_buf *out, const cJSON *look)
{
    const char *path = sh_json_string(look, "path");
    sh_buf_adds(out, path ? path : "?");
    if (sh_json_member(look, "absent")) {
        sh_buf_adds(out, " is absent");
        return;
    }
    sh_buf_adds(out, " = ");
    add_value(out, look);
}

/* Those that are tables, or that are none: a table is seldom what said no. */
static void add_looks(struct sh_buf *out, const cJSON *looks, bool tables, int *n)
{
    const cJSON *look;
    cJSON_ArrayForEach(look, looks)
    {
        const cJSON *value = sh_json_member(look, "value");
        const bool table =
            cJSON_IsObject(value) || cJSON_IsArray(value) || sh_json_member(look, "json") != NULL;
        if (table != tables || *n == SHOWN)
            continue;
        sh_buf_adds(out, (*n)++ ? ", " : ": ");
        add_look(out, look);
    }
}

char *sh_why_text(const char *base, const cJSON *when)
{
    struct sh_buf out;
    const cJSON *looks = sh_json_member(when, "looked_at");
    int n = 0;
    sh_buf_init(&out, TEXT_BYTES);
    sh_buf_adds(&out, base);
    add_looks(&out, looks, false, &n);
    add_looks(&out, looks, true, &n);
    if (cJSON_GetArraySize(looks) > SHOWN || sh_json_member(when, "more"))
        sh_buf_adds(&out, ", and more");
    return sh_buf_take(&out, &(size_t){0});
}

/* --- its lines ------------------------------------------------------------------------------- */

/* Lines first..last of a file. */
static struct sh_slice lines_of(const struct sh_file *f, int64_t first, int64_t last)
{
    const char *p = f->text, *end = f->text + f->len, *from = NULL;
    for (int64_t line = 1; p < end && line <= last; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (line == first)
            from = p;
        p = nl ? nl + 1 : end;
    }
    size_t n = from ? (size_t)(p - from) : 0;
    while (n > 0 && (from[n - 1] == '\n' || from[n - 1] == '\r'))
        n--;
    return sh_slice(from, n);
}

void sh_why_source(cJSON *when, const struct sh_generation *g)
{
    int64_t first = 0, last = 0;
    const char *name = sh_json_string(when, "file");
    if (!name || !sh_json_get_int(sh_json_member(when, "line"), &first) ||
        !sh_json_get_int(sh_json_member(when, "last_line"), &last))
        return;
    for (size_t i = 0; i < g->n_files; i++) {
        if (strcmp(g->files[i].name, name) != 0)
            continue;
        struct sh_slice text = lines_of(&g->files[i], first, last);
        if (text.n > SOURCE_BYTES)
            text.n = cut_at(text.p, text.n, SOURCE_BYTES);
        char *copy = sh_slice_dup(text);
        cJSON_AddStringToObject(when, "source", copy);
        free(copy);
        return;
    }
}

/* --- masks ----------------------------------------------------------------------------------- */

/* The next name of a path such as a.b[1]["c d"], or false at its end. Places in lists are passed
 * over, as the mask does. */
static bool next_name(const char **path, struct sh_slice *name)
{
    const char *p = *path + strspn(*path, ".");
    while (*p == '[' && p[1] != '"')
        p += strcspn(p, "]") + (strchr(p, ']') != NULL);
    p += strspn(p, ".");
    if (!*p)
        return false;
    if (*p == '[') {
        const char *end = strstr(p + 2, "\"]");
        *name = sh_slice(p + 2, end ? (size_t)(end - p - 2) : strlen(p + 2));
        *path = end ? end + 2 : p + strlen(p);
    } else {
        *name = sh_slice(p, strcspn(p, ".["));
        *path = p + name->n;
    }
    return true;
}

/* A text that is cut may end within a number, of which the mask would see too little. */
static void drop_digits(cJSON *value)
{
    size_t n = strlen(value->valuestring);
    while (n > 0 && strchr("0123456789+-./() ", value->valuestring[n - 1]))
        n--;
    value->valuestring[n] = '\0';
}

/* The value within objects as its path has them, so that the mask knows what it is. */
static cJSON *wrap(const char *path, cJSON *value)
{
    cJSON *root = cJSON_CreateObject(), *at = root;
    struct sh_slice name;
    bool more = next_name(&path, &name);
    while (more) {
        char *text = sh_slice_dup(name);
        more = next_name(&path, &name);
        if (more)
            at = cJSON_AddObjectToObject(at, text);
        else
            cJSON_AddItemToObject(at, text, value);
        free(text);
    }
    return root;
}

static cJSON *unwrap(cJSON *root, const cJSON *value)
{
    cJSON *at = root;
    while (at->child && at->child != value)
        at = at->child;
    return cJSON_DetachItemViaPointer(at, at->child);
}

static void mask_look(const struct sh_masking *m, cJSON *look)
{
    const bool read = sh_json_member(look, "read") != NULL;
    const char *path = sh_json_string(look, "path");
    if (sh_json_member(look, "json") && sh_json_member(look, "cut")) { /* half of a tree */
        cJSON_ReplaceItemInObjectCaseSensitive(look, "value", cJSON_CreateString(SH_MASKED));
        return;
    }
    cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(look, "value");
    if (!value)
        return;
    if (cJSON_IsString(value) && sh_json_member(look, "cut"))
        drop_digits(value);
    cJSON *root = wrap(read || !path || *path == '(' || *path == '#' ? "value" : path, value);
    sh_mask_json(m, root);
    cJSON_AddItemToObject(look, "value", unwrap(root, value));
    cJSON_Delete(root);
}

void sh_why_mask(const struct sh_masking *m, cJSON *when)
{
    cJSON *look;
    cJSON_ArrayForEach(look, cJSON_GetObjectItemCaseSensitive(when, "looked_at"))
        mask_look(m, look);
}

bool sh_why_has_read(const cJSON *when)
{
    const cJSON *look;
    cJSON_ArrayForEach(look, sh_json_member(when, "looked_at"))
    {
        if (sh_json_member(look, "read"))
            return true;
    }
    return false;
}
