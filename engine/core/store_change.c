/* SPDX-License-Identifier: MIT
 * store_change.c: which topics were written to.
 *
 * SQLite itself says which tables a statement writes, when it is prepared (sqlite3_set_authorizer):
 * nobody has to remember it where a statement is added, and running one costs nothing but an OR.
 * The update hook would not do: it says nothing of tables without rowid, such as sh_runs. */
#include "core/store_impl.h"

#include <string.h>

static const struct {
    const char *table;
    unsigned topics;
} tables[] = {
    {"sh_events", SH_TOPIC_EVENTS},
    {"sh_unfinished", SH_TOPIC_EVENTS}, /* an event's state */
    {"sh_runs", SH_TOPIC_RUNS},
    {"sh_records", SH_TOPIC_RECORDS},
    {"sh_callbacks", SH_TOPIC_CALLBACKS},
    {"sh_callback_changes", SH_TOPIC_CALLBACKS},
    {"sh_outbox", SH_TOPIC_OUTBOX},
    {"sh_lanes", SH_TOPIC_OUTBOX},
    {"sh_timers", SH_TOPIC_TIMERS},
    {"sh_rules", SH_TOPIC_RULES},
    {"sh_generations", SH_TOPIC_GENERATIONS},
    {"sh_generation_lives", SH_TOPIC_GENERATIONS},
    {"sh_generation_parts", SH_TOPIC_GENERATIONS},
    {"sh_generation_texts", SH_TOPIC_GENERATIONS},
    /* of no topic */
    {"sh_audit", 0},
    {"sh_dedupe", 0},
    {"sh_dedupe_new", 0},
    {"sh_feeds", 0},
    {"sh_fields", 0},
    {"sh_forgotten", 0},
    {"sh_meta", 0},
    {"sh_migrations", 0},
    {"sh_series", 0},
    {"sh_sessions", 0},
    {"sh_tokens", 0},
};

bool sh_store_topics_of(const char *table, unsigned *topics)
{
    *topics = 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        if (strcmp(tables[i].table, table) == 0) {
            *topics = tables[i].topics;
            return true;
        }
    }
    return false;
}

static int on_prepare(void *conn, int action, const char *table, const char *column, const char *db,
                      const char *trigger)
{
    struct sh_store_conn *c = conn;
    unsigned topics = 0;
    (void)column;
    (void)db;
    (void)trigger;
    if (table && (action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE) &&
        sh_store_topics_of(table, &topics))
        c->touched |= topics;
    return SQLITE_OK;
}

void sh_store_changes_watch(struct sh_store_conn *c)
{
    sqlite3_set_authorizer(c->db, on_prepare, c);
}

void sh_store_changes_begin(struct sh_store *s)
{
    s->w.touched = 0;
    s->changes_before = sqlite3_total_changes(s->w.db);
}

void sh_store_changes_committed(struct sh_store *s)
{
    unsigned topics = s->changes_elsewhere;
    s->changes_elsewhere = 0;
    if (sqlite3_total_changes(s->w.db) != s->changes_before)
        topics |= s->w.touched;
    if (topics)
        atomic_fetch_or_explicit(&s->changes, topics, memory_order_release);
}

unsigned sh_store_changes(struct sh_store *s)
{
    if (!atomic_load_explicit(&s->changes, memory_order_relaxed))
        return 0;
    return atomic_exchange_explicit(&s->changes, 0, memory_order_acquire);
}
