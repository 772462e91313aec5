/* SPDX-License-Identifier: MIT
 * store_audit.c: who changed what, when: one row a change, in the change's own transaction. */
#include "core/store_impl.h"

bool sh_store_audit(struct sh_store *s, const struct sh_audit *a, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_AUDIT_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_now_ms());
    sh_sqlite_bind_str(st, 2, a->who ? a->who : "");
    sh_sqlite_bind_str(st, 3, a->role ? a->role : "local");
    sh_sqlite_bind_str(st, 4, a->peer);
    sh_sqlite_bind_str(st, 5, a->action);
    sh_sqlite_bind_str(st, 6, a->target);
    sh_sqlite_bind_str(st, 7, a->detail);
    return sh_sqlite_run(st, err);
}
