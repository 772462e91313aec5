/* SPDX-License-Identifier: MIT
 * mime_check.c: the document of an email effect, checked field by field. */
#include "core/mime_impl.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "core/ical.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ADDRESSES        100 /* of each of to, cc and bcc */
#define MAX_SUBJECT_BYTES    998
#define MAX_ATTACHMENTS      20
#define MAX_ATTACHED_BYTES   ((size_t)700 * 1024) /* as base64 it must fit an effect of 1 MiB */
#define MAX_FILE_NAME_BYTES  255
#define MAX_MEDIA_TYPE_BYTES 127

const cJSON *sh_mime_member(const cJSON *doc, const char *name)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(doc, name);
    return cJSON_IsNull(node) ? NULL : node;
}

static const char *kind_name(const cJSON *node)
{
    if (cJSON_IsString(node))
        return "a string";
    if (cJSON_IsNumber(node) || cJSON_IsRaw(node))
        return "a number";
    if (cJSON_IsBool(node))
        return "a boolean";
    if (cJSON_IsArray(node))
        return "an array";
    return cJSON_IsObject(node) ? "an object" : "nothing";
}

/* A misspelt or unsupported member would be lost in silence: mail without its Bcc, say. known ends
 * with NULL; field: what stands before the message, "" for the email itself. */
static bool check_members(const cJSON *doc, const char *field, const char *const *known,
                          const char *expected, struct sh_error *err)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, doc)
    {
        size_t i = 0;
        while (known[i] && strcmp(node->string, known[i]) != 0)
            i++;
        struct sh_mime_quoted q;
        if (!known[i])
            return sh_error_set(err, SH_EINVAL, "%sunknown field %s; %s", field,
                                sh_mime_quote(&q, sh_slice_str(node->string)), expected);
    }
    return true;
}

static bool check_text(const cJSON *node, const char *field, struct sh_error *err)
{
    if (!cJSON_IsString(node))
        return sh_error_set(err, SH_EINVAL, "%s must be a string, not %s", field, kind_name(node));
    if (!sh_utf8_ok(sh_slice_str(node->valuestring)))
        return sh_error_set(err, SH_EINVAL, "%s is not valid UTF-8", field);
    return true;
}

/* --- Who --------------------------------------------------------------------------------- */

static bool check_address(const cJSON *node, const char *field, struct sh_error *err)
{
    if (!cJSON_IsString(node))
        return sh_error_set(err, SH_EINVAL, "%s must be a mail address, a string, not %s", field,
                            kind_name(node));
    struct sh_address a;
    struct sh_error why;
    if (sh_address_parse(sh_slice_str(node->valuestring), &a, &why))
        return true;
    return sh_error_set(err, SH_EINVAL, "%s: %s", field, why.msg);
}

static bool check_list(const cJSON *list, const char *field, int *n, struct sh_error *err)
{
    if (!list)
        return true;
    if (!cJSON_IsArray(list))
        return sh_error_set(err, SH_EINVAL, "%s must be a list of mail addresses, not %s", field,
                            kind_name(list));
    int size = cJSON_GetArraySize(list);
    if (size > MAX_ADDRESSES)
        return sh_error_set(err, SH_EINVAL, "%s has %d addresses, expected at most %d", field, size,
                            MAX_ADDRESSES);
    *n += size;
    int at = 1; /* as Lua counts */
    const cJSON *node;
    cJSON_ArrayForEach(node, list)
    {
        char name[32];
        snprintf(name, sizeof(name), "%s[%d]", field, at++);
        if (!check_address(node, size > 1 ? name : field, err))
            return false;
    }
    return true;
}

static bool check_recipients(const cJSON *doc, struct sh_error *err)
{
    static const char *const fields[] = {"to", "cc", "bcc"};
    int n = 0;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        if (!check_list(sh_mime_member(doc, fields[i]), fields[i], &n, err))
            return false;
    }
    return n > 0 || sh_error_set(err, SH_EINVAL,
                                 "there is no recipient: expected an address in to, cc or bcc");
}

/* --- What is attached ---------------------------------------------------------------------- */

/* Why it cannot be a file's name at the reader's end, or NULL. */
static const char *name_fault(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > MAX_FILE_NAME_BYTES)
        return "it must have 1 to 255 bytes";
    if (strpbrk(s, "/\\"))
        return "it must not hold / or \\: a name without a folder is expected";
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f)
            return "it holds a control character (line break, tab or the like)";
    }
    return strcmp(s, ".") == 0 || strcmp(s, "..") == 0 ? "that is a folder" : NULL;
}

static size_t token_bytes(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                     "!#$&^_.+-");
}

/* RFC 6838 4.2; a multipart or message must not be base64 (RFC 2045 6.4). */
static const char *type_fault(const char *s)
{
    size_t n = token_bytes(s);
    size_t sub = s[n] == '/' ? token_bytes(s + n + 1) : 0;
    if (!n || !sub || s[n + 1 + sub] || strlen(s) > MAX_MEDIA_TYPE_BYTES)
        return "expected a media type such as application/pdf, without parameters";
    return strncasecmp(s, "multipart/", 10) == 0 || strncasecmp(s, "message/", 8) == 0
               ? "a multipart or message cannot be attached"
               : NULL;
}

static bool check_named(const cJSON *file, const char *field, const char *member,
                        const char *(*fault)(const char *), struct sh_error *err)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", field, member);
    const cJSON *node = sh_mime_member(file, member);
    if (!check_text(node, name, err))
        return false;
    const char *why = fault(node->valuestring);
    struct sh_mime_quoted q;
    return !why || sh_error_set(err, SH_EINVAL, "%s \"%s\": %s", name,
                                sh_mime_quote(&q, sh_slice_str(node->valuestring)), why);
}

static bool check_content(const cJSON *file, const char *field, size_t *bytes, struct sh_error *err)
{
    char name[64];
    const cJSON *text = sh_mime_member(file, "text"), *coded = sh_mime_member(file, "base64");
    if (!text == !coded)
        return sh_error_set(err, SH_EINVAL, "%s needs its content as text or as base64, %s", field,
                            text ? "not both" : "it has neither");
    snprintf(name, sizeof(name), "%s.%s", field, text ? "text" : "base64");
    if (!check_text(text ? text : coded, name, err))
        return false;
    size_t n = 0, at = 0;
    if (text)
        n = strlen(text->valuestring);
    else if (!sh_mime_unbase64(sh_slice_str(coded->valuestring), NULL, &n, &at))
        return sh_error_set(err, SH_EINVAL,
                            "%s is not base64 at byte %zu (expected A-Z, a-z, 0-9, +, / and = "
                            "at the end)",
                            name, at + 1);
    *bytes += n;
    return true;
}

static bool check_file(const cJSON *file, const char *field, size_t *bytes, struct sh_error *err)
{
    static const char *const known[] = {"name", "type", "text", "base64", NULL};
    char prefix[40];
    snprintf(prefix, sizeof(prefix), "%s: ", field);
    if (!cJSON_IsObject(file))
        return sh_error_set(err, SH_EINVAL, "%s must be a table, not %s", field, kind_name(file));
    return check_members(file, prefix, known, "an attachment has name, type, and text or base64",
                         err) &&
           check_named(file, field, "name", name_fault, err) &&
           check_named(file, field, "type", type_fault, err) &&
           check_content(file, field, bytes, err);
}

static bool check_attachments(const cJSON *list, struct sh_error *err)
{
    if (!list)
        return true;
    if (!cJSON_IsArray(list))
        return sh_error_set(err, SH_EINVAL, "attachments must be a list of tables, not %s",
                            kind_name(list));
    int size = cJSON_GetArraySize(list), at = 1; /* as Lua counts */
    if (size > MAX_ATTACHMENTS)
        return sh_error_set(err, SH_EINVAL, "attachments has %d items, expected at most %d", size,
                            MAX_ATTACHMENTS);
    size_t bytes = 0;
    const cJSON *file;
    cJSON_ArrayForEach(file, list)
    {
        char field[32];
        snprintf(field, sizeof(field), "attachments[%d]", at++);
        if (!check_file(file, field, &bytes, err))
            return false;
    }
    return bytes <= MAX_ATTACHED_BYTES ||
           sh_error_set(err, SH_EINVAL, "attachments have %zu bytes together, expected at most %zu",
                        bytes, MAX_ATTACHED_BYTES);
}

static bool check_invitation(const cJSON *invitation, struct sh_error *err)
{
    struct sh_error why;
    return !invitation || sh_ical_check(invitation, &why) ||
           sh_error_set(err, SH_EINVAL, "invitation: %s", why.msg);
}

/* --- The effect --------------------------------------------------------------------------- */

static bool check_subject(const cJSON *node, struct sh_error *err)
{
    if (!check_text(node, "subject", err))
        return false;
    const char *s = node->valuestring;
    size_t n = strlen(s);
    if (n > MAX_SUBJECT_BYTES)
        return sh_error_set(err, SH_EINVAL, "subject has %zu bytes, expected at most %d", n,
                            MAX_SUBJECT_BYTES);
    size_t at = strcspn(s, "\r\n");
    if (s[at])
        return sh_error_set(err, SH_EINVAL,
                            "subject contains a line break (%s at byte %zu); "
                            "it must be one line",
                            s[at] == '\r' ? "CR" : "LF", at + 1);
    return true;
}

static bool check_notify(const cJSON *node, struct sh_error *err)
{
    if (!node)
        return true;
    if (!check_text(node, "notify", err))
        return false;
    size_t n = strlen(node->valuestring);
    return (n > 0 && n <= SH_MAX_NAME_BYTES) ||
           sh_error_set(err, SH_EINVAL, "notify has %zu bytes, expected a name of 1 to %d", n,
                        SH_MAX_NAME_BYTES);
}

bool sh_email_check(const cJSON *doc, struct sh_error *err)
{
    static const char *const known[] = {"to",          "cc",         "bcc",  "reply_to",
                                        "subject",     "text",       "html", "notify",
                                        "attachments", "invitation", NULL};
    if (!cJSON_IsObject(doc))
        return sh_error_set(err, SH_EINVAL, "an email must be a table, not %s", kind_name(doc));
    const cJSON *reply_to = sh_mime_member(doc, "reply_to");
    const cJSON *text = sh_mime_member(doc, "text"), *html = sh_mime_member(doc, "html");
    if (!check_members(doc, "", known,
                       "an email has to, cc, bcc, reply_to, subject, text, html, attachments, "
                       "invitation and notify",
                       err) ||
        !check_recipients(doc, err) || (reply_to && !check_address(reply_to, "reply_to", err)) ||
        !check_subject(sh_mime_member(doc, "subject"), err))
        return false;
    if (!text && !html)
        return sh_error_set(err, SH_EINVAL, "text or html is missing: an email needs a body");
    return (!text || check_text(text, "text", err)) && (!html || check_text(html, "html", err)) &&
           check_attachments(sh_mime_member(doc, "attachments"), err) &&
           check_invitation(sh_mime_member(doc, "invitation"), err) &&
           check_notify(sh_mime_member(doc, "notify"), err);
}
