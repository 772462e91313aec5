/* SPDX-License-Identifier: MIT
 * mask_json.c: a tree, blanked in place. */
#include "core/mask_json.h"

#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PATH      64 /* names that are looked at, from the end */
#define NUMBER_DIGITS 8  /* of a JSON number that is a telephone's */
#define MOST_DIGITS   17 /* of a number that is a text, or a part of one */
#define BETWEEN_IDS   ":/@|,;= "
#define TEXT_BYTES    ((size_t)64 << 20)

struct walk {
    const struct sh_masking *m;
    const char *path[MAX_PATH]; /* the last ones, in a ring */
    size_t depth;
};

bool sh_mask_field_ok(const char *field)
{
    if (!*field || *field == '.')
        return false;
    for (const char *p = field; *p; p++)
        if (*p == '.' && (p[1] == '.' || !p[1]))
            return false;
    return true;
}

/* --- which ------------------------------------------------------------------------ */

static bool part_fits(const char *part, size_t n, const char *name)
{
    return (n == 1 && *part == '*') || (strlen(name) == n && memcmp(part, name, n) == 0);
}

/* From the last part to the first. */
static bool path_fits(const struct walk *w, const char *field)
{
    const char *end = field + strlen(field);
    for (size_t at = w->depth; end > field; at--) {
        const char *part = end;
        while (part > field && part[-1] != '.')
            part--;
        if (at == 0 || w->depth - at >= MAX_PATH ||
            !part_fits(part, (size_t)(end - part), w->path[(at - 1) % MAX_PATH]))
            return false;
        end = part > field ? part - 1 : part;
    }
    return true;
}

static bool is_field(const struct walk *w)
{
    for (char **f = w->m->fields; f && *f; f++)
        if (path_fits(w, *f))
            return true;
    return false;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcasecmp(name + n - m, end) == 0;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

/* Does the value name a caller, whatever else the name looks like? */
static bool is_caller(const char *name)
{
    static const char *const names[] = {"caller_id", "callerid", "cli", "msisdn", "ani", NULL};
    return name && is_one_of(name, names);
}

/* Does the value name a thing, or a time, and no person? */
static bool is_id(const char *name)
{
    static const char *const names[] = {"id",    "key",      "uuid",       "hash",        "digest",
                                        "etag",  "token",    "generation", "version",     "time",
                                        "trace", "date",     "cursor",     "next_cursor", "before",
                                        "cause", "short_id", NULL};
    return name && !is_caller(name) &&
           (is_one_of(name, names) || ends_in(name, "_id") || ends_in(name, "_at") ||
            ends_in(name, "_ms") || ends_in(name, "_key") || ends_in(name, "_time"));
}

static bool is_phone(const char *name)
{
    static const char *const names[] = {"from", "to", "caller", "callee", "phone", "tel", NULL};
    return name && (is_caller(name) || is_one_of(name, names) || ends_in(name, "number") ||
                    ends_in(name, "phone") || ends_in(name, "_tel") || ends_in(name, "mobile") ||
                    ends_in(name, "digits"));
}

/* A whole text that is a number as one is written with its code or its 0. */
static bool is_number(const char *text)
{
    size_t digits = 0;
    if (*text != '+' && *text != '0')
        return false;
    for (const char *p = text; *p; p++) {
        if (*p >= '0' && *p <= '9')
            digits++;
        else if (!strchr("+ -./()", *p))
            return false;
    }
    return digits >= SH_MASK_MIN_DIGITS && digits <= MOST_DIGITS;
}

/* --- how ------------------------------------------------------------------------------ */

static void set_text(cJSON *node, const char *text)
{
    cJSON *with = cJSON_CreateString(text);
    free(node->valuestring);
    node->type = (node->type & ~0xff) | cJSON_String;
    node->valuestring = with->valuestring;
    with->valuestring = NULL;
    cJSON_Delete(with);
}

static char *masked(const char *text)
{
    struct sh_buf out;
    sh_buf_init(&out, TEXT_BYTES);
    sh_mask_numbers(&out, sh_slice_str(text));
    return sh_buf_take(&out, NULL);
}

/* Bytes of a number within an id, from its + or 0 on: "call:+31612345678:4", "0612345678@pbx". A
 * part of a UUID or of a date is between dashes. */
static size_t number_in_id(const char *text, size_t at)
{
    const char before = at ? text[at - 1] : ':';
    const bool sign = text[at] == '+';
    if (!sign && (text[at] != '0' || !strchr(BETWEEN_IDS, before)))
        return 0;
    const size_t n = strspn(text + at + sign, "0123456789");
    const bool whole = sign || strchr(BETWEEN_IDS, text[at + n]); /* finds the end, too */
    return whole && n >= SH_MASK_MIN_DIGITS && n <= MOST_DIGITS ? sign + n : 0;
}

/* An id as it is, but for the numbers in it. */
static char *masked_id(const char *text)
{
    struct sh_buf out;
    sh_buf_init(&out, TEXT_BYTES);
    for (size_t i = 0, n; text[i]; i += n) {
        n = number_in_id(text, i);
        if (n)
            sh_mask_numbers(&out, sh_slice(text + i, n));
        else
            sh_buf_add(&out, text + i, n = 1);
    }
    return sh_buf_take(&out, NULL);
}

/* A JSON Web Token, whose number cannot be seen: its parts begin as {" does in base64. */
static bool is_token(const char *text)
{
    return strncmp(text, "eyJ", 3) == 0 && strstr(text, ".eyJ") != NULL;
}

static void mask_text(cJSON *node)
{
    const bool id = is_id(node->string) && !is_number(node->valuestring);
    if (!id && is_token(node->valuestring)) {
        set_text(node, SH_MASKED);
        return;
    }
    char *text = id ? masked_id(node->valuestring) : masked(node->valuestring);
    if (strcmp(text, node->valuestring) != 0)
        set_text(node, text);
    free(text);
}

static void mask_number(cJSON *node)
{
    int64_t n;
    char text[24];
    if (!is_phone(node->string) || !sh_json_get_int(node, &n) || n <= 0)
        return;
    int digits = snprintf(text, sizeof(text), "%lld", (long long)n);
    if (digits < NUMBER_DIGITS)
        return;
    char *blank = masked(text);
    set_text(node, blank);
    free(blank);
}

/* A name with a number in it, blanked: a number, an address ("31612345678@sms.example.org"), or an
 * id. NULL: there is none in it. */
static char *masked_name(const char *name)
{
    if (!strpbrk(name, "0123456789"))
        return NULL;
    char *text = is_number(name) || strchr(name, '@') ? masked(name) : masked_id(name);
    if (strcmp(text, name) != 0)
        return text;
    free(text);
    return NULL;
}

/* A member whose name has a number in it. */
struct named {
    cJSON *node;
    size_t at;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    const int order = strcmp(x->node->string, y->node->string);
    return order ? order : x->at < y->at ? -1 : 1;
}

/* Several may come to look alike, and are told apart: "~2" is the second. A sender may have sent
 * thousands of them, so they are sorted, not looked for. */
static void tell_apart(struct named *all, size_t n)
{
    size_t same = 0;
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 1; i < n; i++) {
        cJSON *node = all[i].node;
        same = strcmp(node->string, all[i - 1 - same].node->string) == 0 ? same + 1 : 0;
        if (!same)
            continue;
        char *name = sh_strf("%s~%zu", node->string, same + 1);
        free(node->string);
        node->string = name;
    }
}

static void mask_names(cJSON *object)
{
    const size_t most = (size_t)cJSON_GetArraySize(object);
    struct named *all = NULL;
    size_t n = 0;
    for (cJSON *child = object->child; child; child = child->next) {
        char *name = child->string ? masked_name(child->string) : NULL;
        if (!name)
            continue;
        free(child->string);
        child->string = name;
        all = all ? all : sh_alloc(most, sizeof(*all));
        all[n] = (struct named){child, n};
        n++;
    }
    if (n)
        tell_apart(all, n);
    free(all);
}

static void walk(struct walk *w, cJSON *node, bool hidden);

/* Text that is put out as it is: a number, or a whole value, such as an event's body as it came. */
static bool is_whole(const cJSON *node)
{
    return cJSON_IsRaw(node) && node->valuestring && strchr("{[\"", node->valuestring[0]) &&
           node->valuestring[0];
}

// NOLINTNEXTLINE(misc-no-recursion)
static void mask_whole(struct walk *w, cJSON *node, bool hidden)
{
    cJSON *tree = sh_json_parse(node->valuestring, strlen(node->valuestring), NULL);
    struct sh_buf out;
    sh_buf_init(&out, TEXT_BYTES);
    if (tree)
        walk(w, tree, hidden);
    if (!tree || !sh_json_print(tree, &out)) {
        set_text(node, SH_MASKED); /* what cannot be read cannot be shown */
    } else {
        free(node->valuestring);
        node->valuestring = sh_buf_take(&out, NULL);
    }
    sh_buf_free(&out);
    cJSON_Delete(tree);
}

/* Nesting is bounded by sh_json_check(). */
// NOLINTNEXTLINE(misc-no-recursion)
static void walk(struct walk *w, cJSON *node, bool hidden)
{
    const bool named = node->string != NULL;
    if (named)
        w->path[w->depth++ % MAX_PATH] = node->string;
    hidden = hidden || (named && is_field(w));
    for (cJSON *child = cJSON_IsRaw(node) ? NULL : node->child; child; child = child->next)
        walk(w, child, hidden);
    if (cJSON_IsObject(node) && w->m->numbers)
        mask_names(node);
    if (is_whole(node))
        mask_whole(w, node, hidden);
    else if (hidden && (cJSON_IsString(node) || sh_json_is_number(node)))
        set_text(node, SH_MASKED);
    else if (w->m->numbers && cJSON_IsString(node))
        mask_text(node);
    else if (w->m->numbers && sh_json_is_number(node))
        mask_number(node);
    w->depth -= named;
}

void sh_mask_json(const struct sh_masking *m, cJSON *tree)
{
    struct walk w = {.m = m};
    if (tree && (m->numbers || m->fields))
        walk(&w, tree, false);
}
