/* SPDX-License-Identifier: MIT
 * trace.h: the trace that an event belongs to, W3C Trace Context level 1
 * (https://www.w3.org/TR/trace-context-1/).
 *
 * A trace as it is kept: "00-<trace id, 32 hex>-<parent id, 16 hex>-<flags, 2 hex>", version 00, of
 * the flags only `sampled`. The engine starts none of its own: an event that came without one, or
 * with one that is malformed (section 3.2: then it is ignored), has none. tracestate is dropped,
 * as section 3.5 allows. */
#ifndef SH_CORE_TRACE_H
#define SH_CORE_TRACE_H

#include "base/buf.h"

#define SH_TRACE_TEXT     56 /* with its NUL */
#define SH_TRACE_ID_BYTES 32

/* Read a traceparent header's value (NULL: none). Version 00 exactly as written above, lower case;
 * a later one if it begins like that and goes on with "-" (section 4.3 of level 1: what is behind
 * is not for us); ff, and ids of zeros alone, are refused. False: out is "". */
bool sh_trace_read(const char *header, char out[SH_TRACE_TEXT]) SH_WARN_UNUSED;
/* What a call of that trace sends on: same trace id and flags, and a parent id that is made of the
 * seed: the same for the same seed, so that a retry says again what the first attempt said. */
void sh_trace_next(const char *trace, struct sh_slice seed, char out[SH_TRACE_TEXT]);
/* The trace id within, for people; empty if trace is NULL. */
struct sh_slice sh_trace_id(const char *trace);

#endif
