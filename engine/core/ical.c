/* SPDX-License-Identifier: MIT
 * ical.c: invitations checked, and written as iCalendar text.
 *
 * Texts may come from a stranger's event. What is written character by character through put_text()
 * cannot end its line: every kind of line break becomes the two characters \n, other control bytes
 * a space. Values that are no TEXT (addresses, URL) are refused by the check when they hold any. */
#include "core/ical.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "core/mime.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_BYTES    75                  /* RFC 5545 3.1, without the line end */
#define MAX_TIME_MS   253402300799999LL   /* 9999-12-31T23:59:59.999Z */
#define MAX_SEQUENCE  2147483647LL        /* RFC 5545 3.3.8 */
#define MAX_ALARM     (4LL * 7 * 24 * 60) /* minutes: four weeks */
#define MAX_UID_BYTES 255
#define MAX_URL_BYTES 2000
#define MAX_ATTENDEES 300 /* to, cc and bcc of one email */
#define DEF_LENGTH_MS (15LL * 60 * 1000)

/* --- The check ----------------------------------------------------------------------------- */

/* A member that is there: JSON null counts as absent. */
static const cJSON *member(const cJSON *doc, const char *name)
{
    const cJSON *node = sh_json_member(doc, name);
    return cJSON_IsNull(node) ? NULL : node;
}

static bool is_one_of(const char *s, const char *const *list)
{
    while (*list && strcmp(*list, s) != 0)
        list++;
    return *list != NULL;
}

static bool check_members(const cJSON *invitation, struct sh_error *err)
{
    static const char *const known[] = {"method",        "uid",       "sequence",    "start_at",
                                        "end_at",        "summary",   "description", "location",
                                        "url",           "organizer", "attendees",   "stamp",
                                        "alarm_minutes", "status",    NULL};
    const cJSON *node;
    cJSON_ArrayForEach(node, invitation)
    {
        if (!is_one_of(node->string, known))
            return sh_error_set(
                err, SH_EINVAL,
                "unknown field; an invitation has method, uid, sequence, start_at, end_at, "
                "summary, description, location, url, organizer, attendees, stamp, "
                "alarm_minutes and status");
    }
    return true;
}

/* Absent is fine unless needed. */
static bool check_text(const cJSON *invitation, const char *field, bool needed,
                       struct sh_error *err)
{
    const cJSON *node = member(invitation, field);
    if (!node)
        return !needed || sh_error_set(err, SH_EINVAL, "%s is missing", field);
    if (!cJSON_IsString(node))
        return sh_error_set(err, SH_EINVAL, "%s must be a string", field);
    if (!sh_utf8_ok(sh_slice_str(node->valuestring)))
        return sh_error_set(err, SH_EINVAL, "%s is not valid UTF-8", field);
    return true;
}

/* A text that is written as it is or that programs compare: one line, no control bytes. */
static bool check_token(const cJSON *invitation, const char *field, bool needed, size_t max_bytes,
                        bool spaces, struct sh_error *err)
{
    if (!check_text(invitation, field, needed, err))
        return false;
    const char *s = sh_json_string(invitation, field);
    if (!s)
        return true;
    size_t n = strlen(s);
    if (n == 0 || n > max_bytes)
        return sh_error_set(err, SH_EINVAL, "%s has %zu bytes, expected 1 to %zu", field, n,
                            max_bytes);
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)s[i] < (spaces ? 0x20 : 0x21) || s[i] == 0x7f)
            return sh_error_set(err, SH_EINVAL, "%s contains a %scontrol character at byte %zu",
                                field, spaces ? "" : "space or ", i + 1);
    }
    return true;
}

static bool check_url(const cJSON *invitation, struct sh_error *err)
{
    if (!check_token(invitation, "url", false, MAX_URL_BYTES, false, err))
        return false;
    const char *s = sh_json_string(invitation, "url");
    size_t scheme = s ? strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789+-.")
                      : 0;
    return !s || (scheme && s[scheme] == ':' && s[scheme + 1]) ||
           sh_error_set(err, SH_EINVAL, "url must start with its scheme, such as https: or tel:");
}

static bool check_number(const cJSON *invitation, const char *field, bool needed, int64_t least,
                         int64_t most, const char *what, struct sh_error *err)
{
    const cJSON *node = member(invitation, field);
    int64_t n;
    if (!node)
        return !needed || sh_error_set(err, SH_EINVAL, "%s is missing", field);
    if (!sh_json_get_int(node, &n))
        return sh_error_set(err, SH_EINVAL, "%s must be a whole number, %s", field, what);
    return (n >= least && n <= most) ||
           sh_error_set(err, SH_EINVAL,
                        "%s is %" PRId64 ", expected %s from %" PRId64 " to %" PRId64, field, n,
                        what, least, most);
}

static int64_t number(const cJSON *invitation, const char *field, int64_t otherwise)
{
    int64_t n;
    return sh_json_get_int(member(invitation, field), &n) ? n : otherwise;
}

static bool check_times(const cJSON *invitation, struct sh_error *err)
{
    static const char ms[] = "milliseconds since 1970";
    if (!check_number(invitation, "start_at", true, 0, MAX_TIME_MS - DEF_LENGTH_MS, ms, err) ||
        !check_number(invitation, "end_at", false, 0, MAX_TIME_MS, ms, err) ||
        !check_number(invitation, "stamp", false, 0, MAX_TIME_MS, ms, err))
        return false;
    int64_t start = number(invitation, "start_at", 0);
    return number(invitation, "end_at", start + DEF_LENGTH_MS) / 1000 > start / 1000 ||
           sh_error_set(err, SH_EINVAL, "end_at must be later than start_at, by a second or more");
}

static bool check_choice(const cJSON *invitation, const char *field, const char *const *list,
                         const char *expected, struct sh_error *err)
{
    const cJSON *node = member(invitation, field);
    return !node || (cJSON_IsString(node) && is_one_of(node->valuestring, list)) ||
           sh_error_set(err, SH_EINVAL, "%s must be %s", field, expected);
}

static bool check_address(const cJSON *node, const char *field, struct sh_error *err)
{
    struct sh_address a;
    struct sh_error why;
    if (!cJSON_IsString(node))
        return sh_error_set(err, SH_EINVAL, "%s must be a mail address, a string", field);
    return sh_address_parse(sh_slice_str(node->valuestring), &a, &why) ||
           sh_error_set(err, SH_EINVAL, "%s: %s", field, why.msg);
}

static bool check_people(const cJSON *invitation, struct sh_error *err)
{
    const cJSON *organizer = member(invitation, "organizer");
    const cJSON *list = member(invitation, "attendees"), *node;
    if (organizer && !check_address(organizer, "organizer", err))
        return false;
    if (list && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MAX_ATTENDEES))
        return sh_error_set(err, SH_EINVAL, "attendees must be a list of at most %d mail addresses",
                            MAX_ATTENDEES);
    int at = 1; /* as Lua counts */
    cJSON_ArrayForEach(node, list)
    {
        char name[32];
        snprintf(name, sizeof(name), "attendees[%d]", at++);
        if (!check_address(node, name, err))
            return false;
    }
    return true;
}

bool sh_ical_check(const cJSON *invitation, struct sh_error *err)
{
    static const char *const methods[] = {"REQUEST", "CANCEL", "PUBLISH", NULL};
    static const char *const statuses[] = {"CONFIRMED", "CANCELLED", "TENTATIVE", NULL};
    if (!cJSON_IsObject(invitation))
        return sh_error_set(err, SH_EINVAL, "an invitation must be a table");
    return check_members(invitation, err) &&
           check_choice(invitation, "method", methods, "REQUEST, CANCEL or PUBLISH", err) &&
           check_choice(invitation, "status", statuses, "CONFIRMED, CANCELLED or TENTATIVE", err) &&
           check_token(invitation, "uid", true, MAX_UID_BYTES, true, err) &&
           check_text(invitation, "summary", true, err) &&
           check_text(invitation, "description", false, err) &&
           check_text(invitation, "location", false, err) && check_url(invitation, err) &&
           check_times(invitation, err) &&
           check_number(invitation, "sequence", false, 0, MAX_SEQUENCE, "a count", err) &&
           check_number(invitation, "alarm_minutes", false, 0, MAX_ALARM, "minutes", err) &&
           check_people(invitation, err);
}

/* --- Content lines ------------------------------------------------------------------------- */

struct line {
    struct sh_buf *out;
    size_t col; /* bytes on this line */
};

/* n bytes that stay together, on the next line if this one is full. */
static void put(struct line *l, const char *p, size_t n)
{
    if (l->col + n > LINE_BYTES) {
        sh_buf_adds(l->out, "\r\n ");
        l->col = 1;
    }
    sh_buf_add(l->out, p, n);
    l->col += n;
}

static size_t char_bytes(char first)
{
    uint8_t c = (uint8_t)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* As it is: names, addresses, numbers. */
static void put_plain(struct line *l, const char *s)
{
    for (size_t n; *s; s += n) {
        n = char_bytes(*s);
        put(l, s, n);
    }
}

/* Bytes of the line break at s, 0 if there is none. NEL and the two separators are no line ends in
 * RFC 5545, but some readers split at them. */
static size_t break_bytes(const char *s)
{
    if (s[0] == '\r')
        return s[1] == '\n' ? 2 : 1;
    if (s[0] == '\n')
        return 1;
    if (memcmp(s, "\xc2\x85", 2) == 0)
        return 2;
    return strncmp(s, "\xe2\x80\xa8", 3) == 0 || strncmp(s, "\xe2\x80\xa9", 3) == 0 ? 3 : 0;
}

/* RFC 5545 3.3.11. */
static void put_text(struct line *l, const char *s)
{
    for (size_t n; *s; s += n) {
        n = break_bytes(s);
        char pair[2] = {'\\', *s};
        if (n) {
            put(l, "\\n", 2);
            continue;
        }
        n = char_bytes(*s);
        if (*s == '\\' || *s == ';' || *s == ',')
            put(l, pair, 2);
        else if (((uint8_t)*s < 0x20 && *s != '\t') || *s == 0x7f)
            put(l, " ", 1);
        else
            put(l, s, n);
    }
}

static struct line begin(struct sh_buf *out, const char *name)
{
    struct line l = {.out = out};
    put_plain(&l, name);
    return l;
}

static void end(struct line *l)
{
    sh_buf_adds(l->out, "\r\n");
}

static void text_line(struct sh_buf *out, const char *name, const char *text)
{
    if (!text)
        return;
    struct line l = begin(out, name);
    put_plain(&l, ":");
    put_text(&l, text);
    end(&l);
}

static void time_line(struct sh_buf *out, const char *name, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    sh_require(gmtime_r(&t, &tm)); /* the range is checked */
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    sh_buf_addf(out, "%s:%s\r\n", name, text);
}

/* --- People -------------------------------------------------------------------------------- */

/* A quoted parameter value has no way to write a double quote (RFC 5545 3.2). */
static void put_name(struct line *l, const char *name)
{
    put_plain(l, ";CN=\"");
    for (size_t n; *name; name += n) {
        n = char_bytes(*name);
        put(l, *name == '"' ? "'" : break_bytes(name) ? " " : name, break_bytes(name) ? 1 : n);
    }
    put_plain(l, "\"");
}

/* "mailto:" and the address; what would end the URI's path or start an escape is escaped. */
static void put_mailto(struct line *l, const char *addr)
{
    put_plain(l, ":mailto:");
    for (; *addr; addr++) {
        char hex[4];
        if (strchr("%?#&^`{|}", *addr)) {
            snprintf(hex, sizeof(hex), "%%%02X", (uint8_t)*addr);
            put(l, hex, 3);
        } else {
            put(l, addr, 1);
        }
    }
}

static bool person(struct sh_buf *out, const char *start, const char *who, struct sh_error *err)
{
    struct sh_address a;
    if (!sh_address_parse(sh_slice_str(who), &a, err))
        return false;
    struct line l = begin(out, start);
    if (a.name[0])
        put_name(&l, a.name);
    put_mailto(&l, a.addr);
    end(&l);
    return true;
}

static bool people(struct sh_buf *out, const cJSON *invitation, const char *method,
                   struct sh_error *err)
{
    const char *organizer = sh_json_string(invitation, "organizer");
    if (organizer && !person(out, "ORGANIZER", organizer, err))
        return false;
    if (strcmp(method, "PUBLISH") == 0) /* has no ATTENDEE (RFC 5546 3.2.1) */
        return true;
    const cJSON *node;
    cJSON_ArrayForEach(node, member(invitation, "attendees"))
    {
        if (!person(out,
                    "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;"
                    "RSVP=TRUE",
                    node->valuestring, err))
            return false;
    }
    return true;
}

/* --- Components ---------------------------------------------------------------------------- */

static void alarm_of(struct sh_buf *out, const cJSON *invitation)
{
    int64_t minutes = number(invitation, "alarm_minutes", -1);
    if (minutes < 0)
        return;
    const char *summary = sh_json_string(invitation, "summary");
    sh_buf_addf(out, "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT%" PRId64 "M\r\n", minutes);
    text_line(out, "DESCRIPTION", *summary ? summary : "-"); /* RFC 5545 3.6.6 wants one */
    sh_buf_adds(out, "END:VALARM\r\n");
}

static bool event_of(struct sh_buf *out, const cJSON *invitation, const char *method,
                     struct sh_error *err)
{
    bool cancel = strcmp(method, "CANCEL") == 0;
    const char *status = sh_json_string(invitation, "status");
    const char *url = sh_json_string(invitation, "url");
    int64_t start = number(invitation, "start_at", 0);
    sh_buf_adds(out, "BEGIN:VEVENT\r\n");
    text_line(out, "UID", sh_json_string(invitation, "uid"));
    sh_buf_addf(out, "SEQUENCE:%" PRId64 "\r\n", number(invitation, "sequence", 0));
    time_line(out, "DTSTAMP", number(invitation, "stamp", sh_now_ms()));
    time_line(out, "DTSTART", start);
    time_line(out, "DTEND", number(invitation, "end_at", start + DEF_LENGTH_MS));
    text_line(out, "SUMMARY", sh_json_string(invitation, "summary"));
    text_line(out, "DESCRIPTION", sh_json_string(invitation, "description"));
    text_line(out, "LOCATION", sh_json_string(invitation, "location"));
    if (url) {
        struct line l = begin(out, "URL:");
        put_plain(&l, url);
        end(&l);
    }
    if (!people(out, invitation, method, err))
        return false;
    sh_buf_addf(out, "STATUS:%s\r\n", cancel ? "CANCELLED" : status ? status : "CONFIRMED");
    if (!cancel)
        alarm_of(out, invitation);
    sh_buf_adds(out, "END:VEVENT\r\n");
    return true;
}

bool sh_ical_write(struct sh_buf *out, const cJSON *const *invitations, size_t n,
                   const char *method, const char *name, struct sh_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!sh_ical_check(invitations[i], err))
            return false;
    }
    if (name && !sh_utf8_ok(sh_slice_str(name)))
        return sh_error_set(err, SH_EINVAL, "the calendar's name is not valid UTF-8");
    if (!method && n)
        method = sh_json_string(invitations[0], "method");
    if (!method)
        method = "PUBLISH";
    sh_buf_adds(out, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//switchhook//switchhook//EN\r\n"
                     "CALSCALE:GREGORIAN\r\n");
    sh_buf_addf(out, "METHOD:%s\r\n", method);
    text_line(out, "X-WR-CALNAME", name);
    for (size_t i = 0; i < n; i++) {
        if (!event_of(out, invitations[i], method, err))
            return false;
    }
    sh_buf_adds(out, "END:VCALENDAR\r\n");
    return sh_buf_ok(out) ||
           sh_error_set(err, SH_ELIMIT, "the calendar is larger than %zu bytes", out->max);
}
