/* SPDX-License-Identifier: MIT
 * limits.h: every built-in maximum, with its unit. What an operator may change is a default here
 * (SH_DEF_*) and a field of struct sh_config; the rest are hard. */
#ifndef SH_BASE_LIMITS_H
#define SH_BASE_LIMITS_H

/* Names and ids */
#define SH_MAX_NAME_BYTES       128  /* source and rule names */
#define SH_MAX_TYPE_BYTES       256  /* event type */
#define SH_MAX_KEY_BYTES        1024 /* event key */
#define SH_MAX_DEDUPE_BYTES     1024 /* dedupe id */
#define SH_MAX_COLLECTION_BYTES 64
#define SH_MAX_RECORD_ID_BYTES  1024
/* Steps from an event that came in to what is emitted in the end: one for each emit in a chain, and
 * one for each doubling of the number that one event's rules emit. */
#define SH_MAX_EMIT_DEPTH 16

/* JSON */
#define SH_JSON_MAX_DEPTH 64
#define SH_JSON_MAX_NODES 200000

/* Forms: name=value pairs in a body */
#define SH_MAX_FORM_FIELDS 1000

/* Frames between engine and worker */
#define SH_MAX_FRAME_BYTES (64U * 1024 * 1024)

/* Records */
#define SH_MAX_DOC_BYTES    (1024 * 1024)
#define SH_MAX_FIND_ROWS    1000
#define SH_DEF_FIND_ROWS    100
#define SH_MAX_VIEW_COLUMNS 256 /* columns of a collection's typed view */

/* Run budgets: defaults */
#define SH_DEF_CPU_MS           200
#define SH_DEF_WALL_MS          5000
#define SH_DEF_MEMORY_BYTES     (64 * 1024 * 1024)
#define SH_DEF_MAX_EFFECTS      1000
#define SH_DEF_MAX_EFFECT_BYTES (1024 * 1024)
#define SH_MAX_LOG_LINES        100
#define SH_MAX_LOG_LINE_BYTES   2000
#define SH_MAX_ERROR_BYTES      4000

/* Ingress: defaults */
#define SH_DEF_BODY_BYTES        (1024 * 1024)
#define SH_DEF_HEADER_BYTES      (16 * 1024)
#define SH_DEF_CONNECTIONS       1024
#define SH_DEF_HEADER_TIMEOUT_MS 10000
#define SH_DEF_BODY_TIMEOUT_MS   30000
#define SH_DEF_IDLE_TIMEOUT_MS   60000
#define SH_DEF_AUTH_FAILURES     20 /* wrong secrets of one address in a minute */

/* Rules: defaults */
#define SH_DEF_QUARANTINE 20 /* failures in a row that pause a rule */

/* Dispatch: defaults */
#define SH_DEF_BACKLOG        1000000            /* events stored and not yet run, then 503 */
#define SH_DEF_MEMORY_EVENTS  10000              /* of those, kept in memory */
#define SH_DEF_MEMORY_BODIES  (24 * 1024 * 1024) /* bytes of them */
#define SH_DEF_MIN_FREE_BYTES (64LL * 1024 * 1024)

#endif
