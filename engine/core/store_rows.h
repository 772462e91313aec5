/* SPDX-License-Identifier: MIT
 * store_rows.h: rows as people and programs see them, for the files of the store that list them
 * (store_list.c, store_page.c); nobody else includes it. */
#ifndef SH_CORE_STORE_ROWS_H
#define SH_CORE_STORE_ROWS_H

#include "core/store_impl.h"

#define SH_STORE_RAW_BYTES ((size_t)1 << 20) /* of one JSON text in a row for the API */

/* A row that is being read. */
struct sh_store_row {
    sqlite3_stmt *st;
    bool whole; /* with the columns of `whole` */
    bool raw;   /* for the API: JSON stays the text it is; a text over SH_STORE_RAW_BYTES is null,
                   and the row has "cut": true */
};

/* What a kind of row is made of. Parameters: ?1 ?2 key, ?3 id, ?4 order number of an event's id,
 * ?5 state, ?6 type, ?7 since, ?8 limit or offset, ?9 an event's id. */
struct sh_store_kind {
    const char *columns; /* the key's two, then those of each row */
    const char *whole;   /* those of a row that is shown whole, or "" */
    const char *more;    /* those that the API shows beside them, last, or "" */
    const char *from, *key, *key_down;
    const char *by_id, *by_event, *by_since;
    cJSON *(*row)(const struct sh_store_row *r);
    void (*add_more)(cJSON *row, sqlite3_stmt *st, int i); /* i: the first column of `more` */
    int n_more;
};
/* NULL: there is no such kind, or it has no table of its own (RECORDS). */
const struct sh_store_kind *sh_store_kind(enum sh_list_what what);
/* id, doc, updated_ms from column i on. */
cJSON *sh_store_record_row(const struct sh_store_row *r, int i) SH_WARN_UNUSED;

/* Is the event e ... ? */
#define SH_EVENT_STORED                                                                            \
    "(e.seq IN (SELECT seq FROM sh_unfinished) OR"                                                 \
    " EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'retry') OR"              \
    " EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'paused'))"
#define SH_EVENT_DEAD    "EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'dead')"
#define SH_CALLBACK_OPEN "status IN ('scheduled', 'snoozed', 'due', 'missed')"

#endif
