/* SPDX-License-Identifier: MIT
 * envelope.h: from a checked body to type, key and dedupe id, as the source is configured. */
#ifndef SH_CORE_ENVELOPE_H
#define SH_CORE_ENVELOPE_H

#include "core/event.h"

/* Where a value of the envelope is found. Exactly one is set, or neither for "not configured". */
struct sh_field_spec {
    char *value; /* a fixed value */
    char *field; /* a path in the body, may be dotted */
};

/* The part of a configured source that concerns its events. Strings owned by the holder. */
struct sh_source {
    char *name;
    struct sh_field_spec type; /* required */
    struct sh_field_spec key;  /* optional: without it each event has a key of its own */
    char **dedupe_fields;      /* NULL-terminated paths, or NULL */
};

/* Why a body has no envelope: answered as 422. */
struct sh_envelope_fault {
    char field[160]; /* the configured path at fault, "" if it is not about a field */
    char msg[300];   /* what was expected there and what was found */
};

/* Fill e->source, type, key, dedupe_id from a body that passed sh_json_check().
 * A type or key is a non-empty string without control bytes, or an integer (taken as its digits);
 * within SH_MAX_TYPE_BYTES / SH_MAX_KEY_BYTES. Dedupe id: webhook_id (the `webhook-id` header,
 * printable ASCII) if not NULL ("id:" + it), else the configured fields ("f:" + SHA-256 of each
 * value's kind, length and raw text; a missing field or null is 422), else "h:" + SHA-256 of the
 * body, in hex.
 * False fills *fault; e may then be partly filled and is still the caller's. */
bool sh_envelope_read(const struct sh_source *source, struct sh_slice body, const char *webhook_id,
                      struct sh_event *e, struct sh_envelope_fault *fault) SH_WARN_UNUSED;

#endif
