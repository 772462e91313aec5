/* SPDX-License-Identifier: MIT
 * event.h: one accepted delivery: raw bytes plus envelope. */
#ifndef SH_CORE_EVENT_H
#define SH_CORE_EVENT_H

#include "base/buf.h"
#include "base/id.h"

/* Sources of events that come from within; a configured source may not be called so. */
#define SH_SOURCE_EMITTED "rules"  /* what rules emit, and their timers */
#define SH_SOURCE_CLOCK   "clock"  /* type "clock", key = the rule whose `every` it is */
#define SH_SOURCE_ENGINE  "engine" /* callback_due, delivery_failed, ... */

/* What the raw bytes are. Stored as its number: never change one. */
enum sh_body_format {
    SH_BODY_JSON = 0,
    SH_BODY_FORM = 1, /* application/x-www-form-urlencoded */
    SH_BODY_JWT = 2   /* a JSON Web Token, RFC 7519: the event is its payload */
};

/* All text is owned by the event and NUL-terminated. */
struct sh_event {
    struct sh_id id; /* given by the store when it accepts; zero before */
    char *source;    /* configured name */
    char *type;
    char *key;           /* order is kept per (source, key); "" = a key of its own */
    char *dedupe_id;     /* unique per source while the event is retained */
    int64_t received_ms; /* when the engine had read it whole */
    int64_t due_ms;      /* a timer's event: when it was due, late if before received_ms; else 0 */
    uint32_t depth;      /* 0 from outside; else how many steps away from there (store.h) */
    char *cause;         /* id text of the event whose run emitted this one, or NULL */
    int64_t occurred_ms; /* when the sender says it happened, Unix ms; 0 = it does not say */
    char *trace;         /* trace.h, or NULL */
    enum sh_body_format format;
    char *body; /* raw bytes, the truth; NUL added behind. Format JSON: passed sh_json_check() */
    size_t body_len;
};

/* An empty event; free with sh_event_free(). */
struct sh_event *sh_event_new(void) SH_WARN_UNUSED;
void sh_event_free(struct sh_event *e); /* NULL is a no-op */
/* Bytes of memory it takes, for the bound on undelivered work. */
size_t sh_event_bytes(const struct sh_event *e);
/* Does a rule's `on` pattern fit a type? * is any text, ? one byte. */
bool sh_event_glob(struct sh_slice pattern, struct sh_slice type) SH_WARN_UNUSED;

#endif
