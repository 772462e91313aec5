/* SPDX-License-Identifier: MIT
 * fuzz_mime.c: whatever texts an email effect holds, what passes the check becomes a message whose
 * lines, headers and parts are those that were asked for, and a calendar of one event. The input is
 * the texts, one behind the other, separated by 0xff (which no UTF-8 has). */
#include "base/utf8.h"
#include "core/ical.h"
#include "core/mime_impl.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OUT ((size_t)64 << 20)

/* The next text, NULL when it is empty or there is none. Owned. */
static char *next_text(struct sh_slice *rest)
{
    const char *stop = rest->n ? memchr(rest->p, 0xff, rest->n) : NULL;
    size_t n = stop ? (size_t)(stop - rest->p) : rest->n;
    char *text = n ? sh_slice_dup(sh_slice(rest->p, n)) : NULL;
    n += stop != NULL;
    *rest = sh_slice(rest->p + n, rest->n - n);
    return text;
}

static void add_text(cJSON *doc, const char *name, struct sh_slice *rest)
{
    char *text = next_text(rest);
    if (text)
        cJSON_AddStringToObject(doc, name, text);
    free(text);
}

static void add_list(cJSON *doc, const char *name, struct sh_slice *rest)
{
    char *text = next_text(rest);
    if (text)
        cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, name), cJSON_CreateString(text));
    free(text);
}

static cJSON *read_invitation(struct sh_slice *rest)
{
    static const char *const names[] = {"uid", "summary",   "description", "location",
                                        "url", "organizer", "method"};
    cJSON *invitation = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        add_text(invitation, names[i], rest);
    add_list(invitation, "attendees", rest);
    if (!invitation->child) {
        cJSON_Delete(invitation);
        return NULL;
    }
    cJSON_AddNumberToObject(invitation, "start_at", 1781258661903.0);
    cJSON_AddNumberToObject(invitation, "alarm_minutes", 5);
    return invitation;
}

static cJSON *read_email(struct sh_slice rest)
{
    static const char *const file_names[] = {"name", "type", "text", "base64"};
    cJSON *doc = cJSON_CreateObject();
    add_list(doc, "to", &rest);
    add_list(doc, "bcc", &rest);
    add_text(doc, "reply_to", &rest);
    add_text(doc, "subject", &rest);
    add_text(doc, "text", &rest);
    add_text(doc, "html", &rest);
    cJSON *file = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(file_names) / sizeof(*file_names); i++)
        add_text(file, file_names[i], &rest);
    if (file->child)
        cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, "attachments"), file);
    else
        cJSON_Delete(file);
    cJSON *invitation = read_invitation(&rest);
    if (invitation)
        cJSON_AddItemToObject(doc, "invitation", invitation);
    return doc;
}

/* The next line without its CR LF; it must have one, and no other of either. */
static struct sh_slice next_line(struct sh_slice *rest)
{
    const char *eol = memchr(rest->p, '\n', rest->n);
    sh_require(eol && eol > rest->p && eol[-1] == '\r');
    struct sh_slice line = sh_slice(rest->p, (size_t)(eol - rest->p) - 1);
    sh_require(!line.n || !memchr(line.p, '\r', line.n));
    *rest = sh_slice(eol + 1, rest->n - line.n - 2);
    return line;
}

static bool starts(struct sh_slice line, const char *word)
{
    return line.n >= strlen(word) && memcmp(line.p, word, strlen(word)) == 0;
}

static size_t has(const cJSON *doc, const char *name)
{
    return cJSON_GetObjectItem(doc, name) ? 1 : 0;
}

static size_t boundaries_of(const cJSON *doc)
{
    size_t invitation = has(doc, "invitation"), files = has(doc, "attachments");
    size_t choices = invitation + has(doc, "text") + has(doc, "html");
    return (choices > 1 ? choices + 1 : 0) + (files || invitation ? 2 + files + invitation : 0);
}

static void check_message(const cJSON *doc, struct sh_slice message)
{
    size_t names = 0, boundaries = 0; /* of headers; lines that separate parts */
    for (bool head = true; message.n;) {
        struct sh_slice line = next_line(&message);
        for (size_t i = 0; i < line.n; i++)
            sh_require((line.p[i] >= 0x20 && line.p[i] < 0x7f) || line.p[i] == '\t');
        sh_require(line.n <= 998 && !starts(line, "."));
        head = head && line.n;
        names += head && line.p[0] != ' ';
        sh_require(!head || !starts(line, "Bcc"));
        boundaries += starts(line, "--=_");
    }
    /* Date, From, To, Subject, Message-ID, Auto-Submitted, MIME-Version, Content-Type */
    size_t single = boundaries_of(doc) ? 0 : 1;
    sh_require(names == 8 + single + has(doc, "reply_to"));
    sh_require(boundaries == boundaries_of(doc));
}

static void check_calendar(struct sh_slice text)
{
    static const char *const once[] = {
        "BEGIN:VCALENDAR", "METHOD:", "BEGIN:VEVENT", "UID:",
        "DTSTART:",        "STATUS:", "END:VEVENT",   "END:VCALENDAR"};
    size_t seen[sizeof(once) / sizeof(*once)] = {0};
    while (text.n) {
        struct sh_slice line = next_line(&text);
        sh_require(line.n > 0 && line.n <= 75 && sh_utf8_ok(line));
        for (size_t i = 0; i < line.n; i++)
            sh_require((uint8_t)line.p[i] >= 0x20 || line.p[i] == '\t');
        for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
            seen[i] += starts(line, once[i]);
    }
    for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
        sh_require(seen[i] == 1);
}

/* What is read from base64 and written again gives the same bytes. */
static void check_base64(struct sh_slice input)
{
    struct sh_buf bytes, text, again;
    size_t n, at, n_again;
    sh_buf_init(&bytes, input.n + 1);
    sh_buf_init(&text, 2 * input.n + 8);
    sh_buf_init(&again, input.n + 1);
    if (sh_mime_unbase64(input, &bytes, &n, &at)) {
        sh_require(n == bytes.len && sh_buf_ok(&bytes));
        sh_mime_base64(sh_slice(bytes.data, n), &text);
        sh_require(sh_mime_unbase64(sh_slice(text.data, text.len), &again, &n_again, &at));
        sh_require(sh_slice_eq(sh_slice(bytes.data, n), sh_slice(again.data, n_again)));
    } else {
        sh_require(at <= input.n);
    }
    sh_buf_free(&bytes);
    sh_buf_free(&text);
    sh_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_slice input = sh_slice(data, size);
    struct sh_buf out;
    struct sh_error err;
    cJSON *doc = read_email(input);
    const cJSON *invitation = cJSON_GetObjectItem(doc, "invitation");
    sh_buf_init(&out, MAX_OUT);
    bool sound = sh_email_check(doc, &err);
    if (sound) {
        sh_require(sh_email_build(doc, "Hook <h@e.org>", "0123abcd", 1781258661903, &out, &err));
        check_message(doc, sh_slice(out.data, out.len));
    } else {
        sh_require(err.code == SH_EINVAL && err.msg[0]);
    }
    sh_buf_reset(&out);
    if (invitation && sh_ical_check(invitation, &err)) {
        sh_require(sh_ical_write(&out, &invitation, 1, NULL, NULL, &err));
        check_calendar(sh_slice(out.data, out.len));
    }
    sh_require(!sound || !invitation || out.len);
    check_base64(input);
    sh_buf_free(&out);
    cJSON_Delete(doc);
    return 0;
}
