/* SPDX-License-Identifier: MIT
 * fields.c: the fields of every table that a function of the rule API takes. Checked when the
 * function is called (l_args.c) and when the file loads (lint.c); described in api_*.lua. */
#include "lua/internal.h"

#include <string.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct sh_fields sh_fields_rule = {NAMES("on", "every", "zone", "when", "run"), NULL, NULL};
const struct sh_fields sh_fields_callback = {NAMES("number", "name", "due", "zone", "assignee",
                                                   "reason", "completes", "minutes", "email",
                                                   "key"),
                                             NULL, NULL};
const struct sh_fields sh_fields_which = {NAMES("id", "key", "number", "note"), NULL, NULL};
const struct sh_fields sh_fields_snooze = {NAMES("id", "key", "number", "note", "due", "zone"),
                                           NULL, NULL};
const struct sh_fields sh_fields_reassign = {NAMES("id", "key", "number", "note", "assignee"), NULL,
                                             NULL};
const struct sh_fields sh_fields_attachment = {NAMES("name", "type", "text", "base64"), NULL, NULL};
const struct sh_fields sh_fields_invitation = {
    NAMES("start", "finish", "minutes", "zone", "summary", "description", "location", "uid",
          "sequence", "method", "organizer", "attendees", "alarm_minutes", "status", "url"),
    NULL, NULL};
static const struct sh_field_inner email_inner[] = {{"attachments", true, &sh_fields_attachment},
                                                    {"invitation", false, &sh_fields_invitation},
                                                    {NULL, false, NULL}};
const struct sh_fields sh_fields_email = {NAMES("to", "cc", "bcc", "reply_to", "subject", "text",
                                                "html", "with", "attachments", "invitation", "key",
                                                "notify"),
                                          email_inner, NULL};
const struct sh_fields sh_fields_http = {NAMES("url", "headers", "json", "body", "form", "query",
                                               "key", "notify", "timeout", "redirects"),
                                         NULL, NULL};
const struct sh_fields sh_fields_http_get = {
    NAMES("url", "headers", "query", "timeout", "cache", "redirects"), NULL, NULL};
const struct sh_fields sh_fields_after = {NAMES("name", "zone"), NULL, NULL};
const struct sh_fields sh_fields_find = {NAMES("limit", "order"), NULL,
                                         "limit or order"}; /* read in prelude.lua */
/* What time.parts() gives is allowed in time.of(), so that it can be changed and given back. */
const struct sh_fields sh_fields_time = {NAMES("year", "month", "day", "hour", "min", "sec", "zone",
                                               "wday", "yday", "offset", "dst", "abbr"),
                                         NULL, "year, month, day, hour, min, sec, zone"};

static const struct {
    const char *function;
    int arg;
    const struct sh_fields *fields;
} all[] = {
    {"rule", 2, &sh_fields_rule},
    {"callback", 1, &sh_fields_callback},
    {"callbacks.done", 1, &sh_fields_which},
    {"callbacks.cancel", 1, &sh_fields_which},
    {"callbacks.snooze", 1, &sh_fields_snooze},
    {"callbacks.reassign", 1, &sh_fields_reassign},
    {"email", 1, &sh_fields_email},
    {"http.post", 1, &sh_fields_http},
    {"http.put", 1, &sh_fields_http},
    {"http.patch", 1, &sh_fields_http},
    {"http.delete", 1, &sh_fields_http},
    {"http.get", 1, &sh_fields_http_get},
    {"after", 4, &sh_fields_after},
    {"records.find", 3, &sh_fields_find},
    {"time.of", 1, &sh_fields_time},
};

const struct sh_fields *sh_fields_of(const char *function, int arg)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (all[i].arg == arg && strcmp(all[i].function, function) == 0)
            return all[i].fields;
    return NULL;
}

const struct sh_fields *sh_fields_at(size_t i, const char **function, int *arg)
{
    if (i >= sizeof(all) / sizeof(*all))
        return NULL;
    *function = all[i].function;
    *arg = all[i].arg;
    return all[i].fields;
}

bool sh_fields_has(const struct sh_fields *f, const char *name)
{
    for (size_t i = 0; f->names[i]; i++)
        if (strcmp(f->names[i], name) == 0)
            return true;
    return false;
}
