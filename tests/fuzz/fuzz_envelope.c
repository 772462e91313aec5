/* SPDX-License-Identifier: MIT
 * fuzz_envelope.c: any body that passed the check gives an envelope within its limits, the same one
 * each time, or a fault in clean words.
 *
 * An input that begins with '#' has the `webhook-id` header on its first line. */
#include "base/limits.h"
#include "base/utf8.h"
#include "core/envelope.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *const fields[] = {"event", "from.number", "actions.0", NULL};
static const struct sh_source sources[] = {
    {.name = "phone", .type = {.field = "event"}, .key = {.field = "call_id"}},
    {.name = "fixed", .type = {.value = "ping"}, .dedupe.fields = (char **)fields},
    {.name = "dotted", .type = {.field = "a.b"}, .key = {.field = "analysis.sentiment"}},
    {.name = "array", .type = {.field = "0"}, .key = {.value = "all"}},
    {.name = "timed", .type = {.value = "t"}, .time = {.field = "event"}},
    {.name = "outside",
     .type = {.header = "X-Time"},
     .time = {.field = "at"},
     .dedupe = {.header = "webhook-id"}},
};

static void check_text(const char *s, size_t max)
{
    sh_require(s);
    size_t n = strlen(s);
    sh_require(n <= max && sh_utf8_ok(sh_slice(s, n)));
    for (size_t i = 0; i < n; i++)
        sh_require((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
}

static void check_event(const struct sh_source *source, const struct sh_event *e)
{
    sh_require(strcmp(e->source, source->name) == 0);
    check_text(e->type, SH_MAX_TYPE_BYTES);
    sh_require(e->type[0]);
    check_text(e->key, SH_MAX_KEY_BYTES);
    sh_require(e->key[0] || (!source->key.field && !source->key.value));
    check_text(e->dedupe_id, SH_MAX_DEDUPE_BYTES);
    sh_require(strchr(e->dedupe_id, ':'));
}

static void check_fault(const struct sh_envelope_fault *f)
{
    sh_require(memchr(f->field, '\0', sizeof(f->field)) && memchr(f->msg, '\0', sizeof(f->msg)));
    check_text(f->msg, sizeof(f->msg) - 1);
    sh_require(f->msg[0]);
}

static const char *header_of(const void *arg, const char *name)
{
    return strcmp(name, "webhook-id") == 0 || strcmp(name, "X-Time") == 0 ? arg : NULL;
}

static void read_one(const struct sh_source *source, struct sh_slice body, const char *webhook_id)
{
    struct sh_event *e = sh_event_new(), *again = sh_event_new();
    struct sh_envelope_fault fault;
    const struct sh_envelope_in in = {.json = body, .header = header_of, .arg = webhook_id};
    memset(&fault, 'x', sizeof(fault));
    if (sh_envelope_read(source, &in, e, &fault)) {
        check_event(source, e);
        sh_require(sh_envelope_read(source, &in, again, &fault));
        sh_require(strcmp(e->type, again->type) == 0 && strcmp(e->key, again->key) == 0 &&
                   strcmp(e->dedupe_id, again->dedupe_id) == 0);
    } else {
        check_fault(&fault);
    }
    sh_event_free(e);
    sh_event_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_slice body = sh_slice(data, size);
    char *webhook_id = NULL;
    const char *newline = size && *data == '#' ? memchr(body.p, '\n', size) : NULL;
    if (newline) {
        webhook_id = sh_memdup(body.p + 1, (size_t)(newline - body.p - 1));
        body = sh_slice(newline + 1, size - (size_t)(newline + 1 - body.p));
    }
    if (sh_json_check(body.p, body.n, NULL))
        for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
            read_one(&sources[i], body, webhook_id);
    free(webhook_id);
    return 0;
}
