/* SPDX-License-Identifier: MIT
 * api_show.c: a few fields of a body, blanked as the body would be, and what is found in them. */
#include "app/api_show.h"

#include "svc/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MIN_DIGITS  3
#define DIGITS_TEXT 64

/* The webphone's, then other senders' (docs/senders.md), then what the engine's own events have. */
static const char *const default_paths[] = {
    "remote_name",
    "remote_number",
    "user_email",
    "local_name",
    "direction",
    "call_result",
    "duration_sec",
    "analysis.sentiment", /* Dialpad */
    "contact.name",
    "external_number",
    "target.name", /* Aircall */
    "data.contact.first_name",
    "data.contact.last_name",
    "data.raw_digits",
    "data.user.name",
    "data.direction",
    "data.duration", /* Twilio, and whoever names two ends */
    "From",
    "To",
    "Direction",
    "CallDuration",
    "from",
    "to",
    "data.from",
    "data.to", /* GitHub */
    "repository.full_name",
    "action",
    "sender.login",
    "issue.title",
    "pull_request.title",
    "ref", /* callback_due, delivery_failed, and others */
    "name",
    "number",
    "assignee",
    "reason",
    "rule",
    "title",
    "subject",
    "message",
    "error",
    NULL};

const char *const *sh_show_paths(const struct sh_config *c, const char *source)
{
    const struct sh_source_config *s = sh_config_source(c, source);
    return s && s->show ? (const char *const *)s->show : default_paths;
}

/* --- finding ------------------------------------------------------------------------------------
 */

static bool is_scalar(const cJSON *node)
{
    return (cJSON_IsString(node) && node->valuestring[0]) || cJSON_IsBool(node) ||
           sh_json_is_number(node);
}

static cJSON *scalar(const cJSON *node)
{
    return is_scalar(node) ? cJSON_Duplicate(node, true) : NULL;
}

static const cJSON *at_place(const cJSON *array, const char *part, size_t n)
{
    int place = 0;
    if (n == 0 || n > 6 || strspn(part, "0123456789") < n)
        return NULL;
    for (size_t i = 0; i < n; i++)
        place = place * 10 + (part[i] - '0');
    return cJSON_GetArrayItem(array, place);
}

/* A copy of node with the one value at path alone: {"a":[{"b":1}]} of "a.0.b"; NULL: there is none.
 * The names and lists around it are what the mask goes by. Paths are short (configuration.md). */
// NOLINTNEXTLINE(misc-no-recursion)
static cJSON *only(const cJSON *node, const char *path)
{
    const size_t n = strcspn(path, ".");
    const char *rest = path[n] ? path + n + 1 : NULL;
    char *name = sh_slice_dup(sh_slice(path, n));
    const cJSON *child = cJSON_IsArray(node) ? at_place(node, path, n) : sh_json_member(node, name);
    cJSON *inner = !child ? NULL : rest ? only(child, rest) : scalar(child), *outer = NULL;
    if (inner) {
        outer = cJSON_IsArray(node) ? cJSON_CreateArray() : cJSON_CreateObject();
        if (cJSON_IsArray(outer))
            cJSON_AddItemToArray(outer, inner);
        else
            cJSON_AddItemToObject(outer, name, inner);
    }
    free(name);
    return outer;
}

/* The same with a member whose name is the path itself before it, as sh_json_find() has it. */
static cJSON *only_at(const cJSON *body, const char *path)
{
    cJSON *value = strchr(path, '.') ? scalar(sh_json_member(body, path)) : NULL;
    if (!value)
        return only(body, path);
    cJSON *outer = cJSON_CreateObject();
    cJSON_AddItemToObject(outer, path, value);
    return outer;
}

/* --- showing ------------------------------------------------------------------------------------
 */

/* So many characters, and a sign that there were more. */
static void cut(cJSON *node)
{
    size_t chars = 0, i = 0;
    if (!cJSON_IsString(node))
        return;
    for (; node->valuestring[i]; i++)
        if ((node->valuestring[i] & 0xc0) != 0x80 && ++chars > SH_SHOW_CHARS)
            break;
    if (!node->valuestring[i])
        return;
    char *text = sh_strf("%.*s…", (int)i, node->valuestring);
    cJSON_SetValuestring(node, text);
    free(text);
}

/* Blanked before it is cut: half a number would not look like one. */
static bool add(cJSON *show, const struct sh_masking *mask, const cJSON *body, const char *path)
{
    cJSON *found = only_at(body, path), *whole, *outer, *leaf;
    if (!found)
        return false;
    whole = cJSON_CreateObject();
    cJSON_AddItemToObject(whole, "body", found);
    if (mask)
        sh_mask_json(mask, whole);
    for (outer = whole, leaf = whole->child; leaf->child; leaf = leaf->child)
        outer = leaf;
    leaf = cJSON_DetachItemViaPointer(outer, leaf);
    cut(leaf);
    cJSON_AddItemToObject(show, path, leaf);
    cJSON_Delete(whole);
    return true;
}

cJSON *sh_show(const struct sh_config *c, const struct sh_masking *mask, const char *source,
               const cJSON *body)
{
    const char *const *paths = sh_show_paths(c, source);
    const size_t most = paths == default_paths ? SH_SHOW_DEFAULT : SIZE_MAX;
    cJSON *show = cJSON_CreateObject();
    size_t n = 0;
    for (; body && *paths && n < most; paths++)
        n += add(show, mask, body, *paths);
    if (mask)
        sh_mask_json(mask, show); /* as the answer is, so that what is searched is what is seen */
    return show;
}

/* --- searching ----------------------------------------------------------------------------------
 */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins(const char *value, const char *text)
{
    for (; *text; value++, text++)
        if (lower(*value) != lower(*text))
            return false;
    return true;
}

/* Its digits, if it is written as a number is. */
static bool digits_of(const char *text, char out[DIGITS_TEXT])
{
    size_t n = 0;
    for (; *text; text++) {
        if (isdigit((unsigned char)*text) && n < DIGITS_TEXT - 1)
            out[n++] = *text;
        else if (!strchr("+ -./()", *text))
            return false;
    }
    out[n] = '\0';
    return n >= MIN_DIGITS;
}

/* What of q, if it is a number, is looked for: "612345678" of "+31 6-12345678"; false: it is none.
 */
static bool number_of(const char *q, const char *country, char out[DIGITS_TEXT])
{
    char digits[DIGITS_TEXT];
    if (!digits_of(q, digits))
        return false;
    const char *at = digits + strspn(digits, "0");
    const size_t n = country ? strlen(country) : 0;
    const bool whole = *q == '+' || strncmp(q, "00", 2) == 0;
    if (whole && n && strncmp(at, country, n) == 0)
        at += n;
    memcpy(out, at, strlen(at) + 1);
    return strlen(at) >= MIN_DIGITS;
}

/* The digits of the text one after the other, whatever is between them. */
static bool has_digits(struct sh_slice text, const char *digits)
{
    char *all = sh_alloc(text.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= '0' && text.p[i] <= '9')
            all[n++] = text.p[i];
    const bool has = strstr(all, digits) != NULL;
    free(all);
    return has;
}

static bool has_number(struct sh_slice text, const char *q, const char *country)
{
    char digits[DIGITS_TEXT];
    return number_of(q, country, digits) && has_digits(text, digits);
}

static bool has_letters(struct sh_slice text, const char *q)
{
    const size_t n = strlen(q);
    const char first = lower(*q);
    for (size_t i = 0; i + n <= text.n; i++)
        if (lower(text.p[i]) == first && begins(text.p + i, q))
            return true;
    return false;
}

static bool has_text(struct sh_slice text, const char *q, const char *country)
{
    return has_letters(text, q) || has_number(text, q, country);
}

bool sh_show_has(const struct sh_config *c, const char *q, const cJSON *show)
{
    const cJSON *value;
    cJSON_ArrayForEach(value, show)
    {
        if (cJSON_IsString(value) && has_text(sh_slice_str(value->valuestring), q, c->country))
            return true;
        char *number = sh_json_is_number(value) ? cJSON_PrintUnformatted(value) : NULL;
        const bool has = number && has_text(sh_slice_str(number), q, c->country);
        free(number);
        if (has)
            return true;
    }
    return false;
}

bool sh_show_names(const struct sh_config *c, const struct sh_masking *mask, const char *q,
                   const char *id, const char *type, const char *key)
{
    if (strcmp(id, q) == 0 || (!mask && (has_text(sh_slice_str(type), q, c->country) ||
                                         has_text(sh_slice_str(key), q, c->country))))
        return true;
    if (!mask)
        return false;
    cJSON *row = cJSON_CreateObject(); /* as a row of the answer has them */
    cJSON_AddStringToObject(row, "type", type);
    cJSON_AddStringToObject(row, "key", key);
    sh_mask_json(mask, row);
    const bool has = sh_show_has(c, q, row);
    cJSON_Delete(row);
    return has;
}

/* A text stands in JSON as it is, but for what is escaped: if q has nothing of that, nor of what is
 * put in the place of others (the mask's, the end of a cut), and no \u is there, which may be
 * anything, then q is there or in none of the values. What may be blanked is not looked for: by the
 * time that the answer takes, and the place where a page ends, it would be told after all. */
bool sh_show_may_have(const struct sh_config *c, const struct sh_masking *mask, const char *q,
                      struct sh_slice json)
{
    if (mask && ((mask->fields && *mask->fields) || strpbrk(q, "0123456789")))
        return true;
    for (const char *p = q; *p; p++)
        if ((unsigned char)*p < ' ' || strchr("\"\\/*", *p))
            return true;
    return strstr(q, "…") || memmem(json.p, json.n, "\\u", 2) || has_text(json, q, c->country);
}
