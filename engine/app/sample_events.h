/* SPDX-License-Identifier: MIT
 * sample_events.h: sample events by name, for specs. */
#ifndef SH_APP_SAMPLE_EVENTS_H
#define SH_APP_SAMPLE_EVENTS_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* The event in <root>/events/NAME.json, else in <root>/examples/webphone/NAME.json, else of that
 * name in the binary ("call_start", "call_stop", "call_postprocess", "missed", "negative"). NULL:
 * there is none (err names those there are), or it is no JSON. */
cJSON *sh_sample_event(const char *root, const char *name, struct sh_error *err) SH_WARN_UNUSED;

#endif
