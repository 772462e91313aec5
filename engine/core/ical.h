/* SPDX-License-Identifier: MIT
 * ical.h: calendar objects as text (RFC 5545; RFC 5546 for methods). */
#ifndef SH_CORE_ICAL_H
#define SH_CORE_ICAL_H

#include "base/buf.h"

#include <cjson/cJSON.h>

/* An invitation, as rules write it in email{} (with times in ms) and callbacks make it:
 *   {"method":"REQUEST"|"CANCEL"|"PUBLISH", "uid":"..", "sequence":n,
 *    "start_at":ms, "end_at":ms, "summary":"..", "description":"..", "location":"..",
 *    "url":"..", "organizer":"a@b", "attendees":["a@b"], "stamp":ms, "alarm_minutes":n,
 *    "status":"CONFIRMED"|"CANCELLED"|"TENTATIVE"}
 * uid, start_at and summary are needed; the rest has defaults. Checked at the author's line. */
bool sh_ical_check(const cJSON *invitation, struct sh_error *err) SH_WARN_UNUSED;
/* One VCALENDAR with one VEVENT each. name: X-WR-CALNAME, NULL = none. method NULL = that of the
 * first, or PUBLISH. Lines folded at 75 octets between characters, CR LF, texts escaped, times UTC.
 * False: *err. */
bool sh_ical_write(struct sh_buf *out, const cJSON *const *invitations, size_t n,
                   const char *method, const char *name, struct sh_error *err) SH_WARN_UNUSED;

#endif
