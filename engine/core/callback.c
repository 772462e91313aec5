/* SPDX-License-Identifier: MIT
 * callback.c: what a callback looks like to people: its number, its email, its calendar entry. */
#include "core/callback.h"

#include "base/zone.h"
#include "core/mime.h"
#include "svc/json.h"

#include <string.h>

#define MINUTE_MS     60000
#define SUBJECT_BYTES 160 /* of a name or number in a subject or summary */
#define REASON_BYTES  (16 << 10)
#define ALARM_MINUTES 5

void sh_callback_number(const char *number, char *out)
{
    const char *p = number;
    size_t n = 0;
    while (*p && *p != '+' && (*p < '0' || *p > '9'))
        p++;
    if (*p == '+' || strncmp(p, "00", 2) == 0) {
        out[n++] = '+';
        p += *p == '+' ? 1 : 2;
    }
    for (; *p; p++) {
        if (n > 0 && out[0] == '+' && strncmp(p, "(0)", 3) == 0)
            p += 2; /* "+31 (0)30": the 0 is for calls from within the country */
        else if (*p >= '0' && *p <= '9')
            out[n++] = *p;
    }
    out[n] = '\0';
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* s on one line, of at most max bytes, cut between characters. */
static void add_line(struct sh_buf *out, const char *s, size_t max)
{
    size_t n = strlen(s);
    bool cut = n > max;
    if (cut)
        for (n = max; n > 0 && is_tail(s[n]); n--) {
        }
    for (size_t i = 0; i < n; i++)
        sh_buf_addc(out, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? ' ' : s[i]);
    if (cut)
        sh_buf_adds(out, "...");
}

static bool given(const char *s)
{
    return s && *s;
}

/* "Laura (0301234567)", "Laura", "0301234567" or "an unknown number". */
static void add_who(struct sh_buf *out, const struct sh_callback *c)
{
    if (given(c->name))
        add_line(out, c->name, SUBJECT_BYTES);
    if (given(c->name) && given(c->number))
        sh_buf_adds(out, " (");
    if (given(c->number))
        add_line(out, c->number, SUBJECT_BYTES);
    if (given(c->name) && given(c->number))
        sh_buf_addc(out, ')');
    if (!given(c->name) && !given(c->number))
        sh_buf_adds(out, "an unknown number");
}

/* "Friday 2026-06-12 14:00 (Europe/Amsterdam)" */
static void add_when(struct sh_buf *out, const struct sh_callback *c)
{
    static const char *const days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};
    const struct sh_zone *z = c->zone ? sh_zone_find(c->zone) : NULL;
    struct sh_zone_info info = {0};
    struct sh_civil t;
    int64_t unix_s = c->due_ms / 1000;
    if (z)
        sh_zone_at(z, unix_s, &info);
    sh_civil_of(unix_s + info.offset_s, &t);
    sh_buf_addf(out, "%s %04lld-%02d-%02d %02d:%02d (%s)", days[t.weekday - 1], (long long)t.year,
                t.month, t.day, t.hour, t.minute, z ? sh_zone_name(z) : "UTC");
}

static void add_field(struct sh_buf *out, const char *label, const char *value)
{
    if (!given(value))
        return;
    sh_buf_addf(out, "%s: ", label);
    add_line(out, value, REASON_BYTES);
    sh_buf_addc(out, '\n');
}

static void add_details(struct sh_buf *out, const struct sh_callback *c)
{
    sh_buf_adds(out, "Due: ");
    add_when(out, c);
    sh_buf_addc(out, '\n');
    add_field(out, "Reason", c->reason);
    add_field(out, "Note", c->note);
    add_field(out, "Callback", c->id);
}

static void add_text(cJSON *o, const char *name, struct sh_buf *text)
{
    cJSON_AddItemToObject(o, name, cJSON_CreateString(text->data ? text->data : ""));
    sh_buf_reset(text);
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static void add_summary(struct sh_buf *out, const struct sh_callback *c)
{
    if (is(c->status, "done"))
        sh_buf_adds(out, "Done: call ");
    else if (is(c->status, "missed"))
        sh_buf_adds(out, "Missed: call ");
    else
        sh_buf_adds(out, "Call ");
    add_who(out, c);
}

cJSON *sh_callback_invitation(const struct sh_callback *c, const char *method)
{
    struct sh_buf text;
    struct sh_address to;
    const bool cancelled = is(method, "CANCEL") || is(c->status, "cancelled");
    const bool over = cancelled || is(c->status, "done") || is(c->status, "missed");
    cJSON *o = cJSON_CreateObject();
    sh_buf_init(&text, (size_t)3 * REASON_BYTES);
    cJSON_AddItemToObject(o, "method", cJSON_CreateString(method));
    sh_buf_addf(&text, "%s@switchhook", c->id);
    add_text(o, "uid", &text);
    cJSON_AddItemToObject(o, "sequence", sh_json_int(c->sequence));
    cJSON_AddItemToObject(o, "start_at", sh_json_int(c->due_ms));
    cJSON_AddItemToObject(o, "end_at", sh_json_int(c->due_ms + c->minutes * MINUTE_MS));
    cJSON_AddItemToObject(o, "stamp", sh_json_int(c->updated_ms));
    add_summary(&text, c);
    add_text(o, "summary", &text);
    add_details(&text, c);
    add_text(o, "description", &text);
    cJSON_AddItemToObject(o, "status", cJSON_CreateString(cancelled ? "CANCELLED" : "CONFIRMED"));
    if (c->assignee && sh_address_parse(sh_slice_str(c->assignee), &to, NULL)) {
        cJSON *list = cJSON_AddArrayToObject(o, "attendees");
        cJSON_AddItemToArray(list, cJSON_CreateString(to.addr));
    }
    if (!over)
        cJSON_AddItemToObject(o, "alarm_minutes", sh_json_int(ALARM_MINUTES));
    sh_buf_free(&text);
    return o;
}

static void add_subject(struct sh_buf *out, const struct sh_callback *c, bool cancel)
{
    if (cancel)
        sh_buf_adds(out, is(c->status, "done")        ? "Done: call "
                         : is(c->status, "cancelled") ? "Cancelled: call "
                                                      : "No longer yours: call ");
    else
        sh_buf_adds(out, is(c->status, "snoozed") ? "Later: call " : "Please call ");
    add_who(out, c);
}

static void add_opening(struct sh_buf *out, const struct sh_callback *c, bool cancel)
{
    const bool closed = is(c->status, "done") || is(c->status, "cancelled");
    sh_buf_adds(out, !cancel  ? "Please call "
                     : closed ? "There is no need any more to call "
                              : "Somebody else is now to call ");
    add_who(out, c);
    sh_buf_adds(out, ".\n\n");
}

cJSON *sh_callback_email(const struct sh_callback *c, const char *method)
{
    struct sh_address to;
    struct sh_buf text;
    const bool cancel = is(method, "CANCEL");
    if (!c->assignee || !sh_address_parse(sh_slice_str(c->assignee), &to, NULL))
        return NULL;
    cJSON *doc = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(doc, "to");
    cJSON_AddItemToArray(list, cJSON_CreateString(c->assignee));
    sh_buf_init(&text, (size_t)3 * REASON_BYTES);
    add_subject(&text, c, cancel);
    add_text(doc, "subject", &text);
    add_opening(&text, c, cancel);
    add_details(&text, c);
    add_text(doc, "text", &text);
    cJSON_AddItemToObject(doc, "invitation", sh_callback_invitation(c, method));
    sh_buf_free(&text);
    return doc;
}
