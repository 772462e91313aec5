/* SPDX-License-Identifier: MIT
 * callback_day.h: the phone calls of a day, as those who make them work through them. */
#ifndef SH_CORE_CALLBACK_DAY_H
#define SH_CORE_CALLBACK_DAY_H

#include "core/store.h"

#define SH_DAY_ROWS      200   /* of one group */
#define SH_DAY_LOOKS     10000 /* open callbacks, and closed ones of the day, that are looked at */
#define SH_DAY_ASSIGNEES 200

struct sh_day_query {
    int64_t now_ms;
    int64_t today_ms, tomorrow_ms, after_ms; /* where these days begin */
    const char *assignee;                    /* theirs alone, in whatever case; "": nobody's;
                                                NULL: all */
};

/* {"overdue": due or missed, or its time is past, longest first; "today": still to come today, and
 *  "tomorrow", by time; "later": how many; "done_today": the last first (rows as a page of
 *  SH_LIST_CALLBACKS has them, SH_DAY_ROWS at most); "counts": {"overdue","today","tomorrow",
 *  "done_today"} of all, shown or not; "assignees": [{"assignee": or null, "overdue", "today",
 *  "open"}] whoever is asked for, the most overdue first; "more": names of groups that have more
 *  rows than are shown; "incomplete": true: there are more callbacks than were looked at}.
 * Caller deletes. NULL and *err. */
cJSON *sh_store_view_day(struct sh_store_view *v, const struct sh_day_query *q,
                         struct sh_error *err) SH_WARN_UNUSED;

#endif
