/* SPDX-License-Identifier: MIT
 * envelope.h: from a request to type, key, time and dedupe id, as the source is configured. */
#ifndef SH_CORE_ENVELOPE_H
#define SH_CORE_ENVELOPE_H

#include "core/event.h"
#include "core/path_pattern.h"

/* Where a value of the envelope is found. Exactly one is set, or none for "not configured". */
struct sh_field_spec {
    char *value;   /* a fixed value */
    char *field;   /* a path in the event's JSON, may be dotted */
    char *header;  /* of the request */
    char *segment; /* a named segment of the source's path */
};

/* What tells repeats apart: all that is set, together. */
struct sh_dedupe_spec {
    char **fields; /* NULL-terminated paths, or NULL */
    char *header, *segment;
};

/* The part of a configured source that concerns its events. Strings owned by the holder. */
struct sh_source {
    char *name;
    struct sh_field_spec type; /* required */
    struct sh_field_spec key;  /* optional: without it each event has a key of its own */
    struct sh_field_spec time; /* optional: when the sender says it happened */
    struct sh_dedupe_spec dedupe;
    enum sh_body_format format; /* of the bodies it takes */
};

/* What an event is read from. Borrowed. */
struct sh_envelope_in {
    struct sh_slice json;            /* the event's: event_body.h */
    const struct sh_path_args *path; /* named segments, or NULL */
    /* A header's value as sent, NULL if there is none. NULL: there are no headers. */
    const char *(*header)(const void *arg, const char *name);
    const void *arg;
    /* The webhook-id header is nobody's word: where it is not signed, whoever has got hold of a
     * signed body could send it again and again with another id. */
    bool no_id;
};

/* Why a body has no envelope: answered as 422. */
struct sh_envelope_fault {
    char field[160]; /* the configured path at fault, "" if it is not about a field of the body */
    char msg[300];   /* what was expected there and what was found */
};

/* Fill e->source, type, key, occurred_ms, dedupe_id and format.
 * A type or key is, in JSON, a non-empty string without control bytes, or an integer (taken as its
 * digits); in a header, 1 or more bytes of printable ASCII; in a path segment, a text without
 * control bytes; within SH_MAX_TYPE_BYTES / SH_MAX_KEY_BYTES. A time is RFC 3339 text, or Unix
 * seconds, or (from 1e11 on) Unix milliseconds, as a number or digits, with or without a fraction;
 * one that is absent, null or empty is not known (0).
 * Dedupe id: where the source names a header or segment, what it has there ("id:" + it); else the
 * `webhook-id` header if there is one (likewise); else the source's fields ("f:" + SHA-256 of each
 * value's kind, length and raw text; a missing field or null is 422), else "h:" + SHA-256 of the
 * JSON, in hex. Named header, segment and fields together are hashed as fields are. Where type or
 * key come from a header or the path, they are hashed with the JSON ("o:"): the same body in
 * another place is another event.
 * False fills *fault; e may then be partly filled and is still the caller's. */
bool sh_envelope_read(const struct sh_source *source, const struct sh_envelope_in *in,
                      struct sh_event *e, struct sh_envelope_fault *fault) SH_WARN_UNUSED;

#endif
