/* SPDX-License-Identifier: MIT
 * callback.h: a phone call that a person should make, and its life.
 *
 *   scheduled --due--> due --missed_after--> missed
 *   scheduled, snoozed, due, missed --done--> done      (closed)
 *   scheduled, snoozed, due, missed --cancel--> cancelled (closed)
 *   scheduled, snoozed, due, missed --snooze--> snoozed --due--> due ..
 *   reassign: another assignee, the same status
 * Every change is kept with its time and who made it (a rule's name, "person" or a given name).
 *
 * The id is the effect's key, or, with the author's own key, a hash of that key alone, so that it
 * names the same callback from any event. A callback{} with the author's own key, or else with the
 * number (its digits) and reason of one that is open (scheduled, snoozed or due), changes that one
 * in place of adding another. By key it takes the new values as they are; by number and reason it
 * is never put off: it keeps the earlier due time, and one that is due stays due.
 *
 * The document of SH_FX_CALLBACK: {"number","name","due_at"(ms),"due_local","zone","assignee",
 * "reason","completes":"answered","minutes":n,"email":false} (all but number and due_at optional;
 * due_local "2026-10-25T09:00:00" with zone where a time of day was asked for).
 * The document of SH_FX_CALLBACK_DO: {"do":"done"|"cancel"|"snooze"|"reassign", and one of "id" (as
 * events and the command line show it), "key" (the author's own) or "number" (all that are open or
 * missed), "due_at":ms, "due_local", "zone" (snooze), "assignee":.. (reassign), "note":..}, or
 * {"do":"answered", "number"} which completes what is open or missed for the number with completes
 * = "answered". None found is no error. */
#ifndef SH_CORE_CALLBACK_H
#define SH_CORE_CALLBACK_H

#include "base/buf.h"

#include <cjson/cJSON.h>

enum sh_callback_action {
    SH_CALLBACK_DONE = 1,
    SH_CALLBACK_CANCEL,
    SH_CALLBACK_SNOOZE,
    SH_CALLBACK_REASSIGN
};

struct sh_callback { /* texts borrowed; NULL = absent */
    const char *id, *number, *name, *assignee, *reason, *status, *note;
    const char *zone; /* for times in texts */
    int64_t due_ms;
    int64_t minutes;  /* how long it is thought to take; default 15 */
    int64_t sequence; /* RFC 5545 SEQUENCE */
    int64_t created_ms, updated_ms;
};

/* A number as it is compared: digits alone, a leading + or 00 as "+", after which a "(0)" is left
 * out. Into out, at least as long as number. */
void sh_callback_number(const char *number, char *out);

/* The email document (mime.h) that tells the assignee: method "REQUEST" or "CANCEL", with the
 * invitation in it. NULL when the assignee is no mail address. Caller deletes. */
cJSON *sh_callback_email(const struct sh_callback *c, const char *method) SH_WARN_UNUSED;
/* The same callback as an invitation object (mime.h's "invitation"), for the feed. */
cJSON *sh_callback_invitation(const struct sh_callback *c, const char *method) SH_WARN_UNUSED;

#endif
