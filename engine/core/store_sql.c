/* SPDX-License-Identifier: MIT
 * store_sql.c: every fixed SQL text of the store: migrations and statements. */
#include "core/store_impl.h"

/* Applied in order, each once, in one transaction with its note in sh_migrations. Never change one
 * that has been released: add another. */
const char *const sh_store_migrations[SH_STORE_SCHEMA] = {
    "CREATE TABLE sh_events("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL,"
    " key TEXT NOT NULL, dedupe_id TEXT NOT NULL, received_ms INTEGER NOT NULL,"
    " depth INTEGER NOT NULL, cause TEXT, body BLOB NOT NULL) STRICT;"
    "CREATE TABLE sh_dedupe("
    " hash BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sh_dedupe_new(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE sh_unfinished(seq INTEGER PRIMARY KEY) STRICT;"
    "CREATE TABLE sh_runs("
    " seq INTEGER NOT NULL, rule TEXT NOT NULL, generation TEXT NOT NULL, outcome TEXT NOT NULL,"
    " attempts INTEGER NOT NULL, effects TEXT NOT NULL, error TEXT, duration_us INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, next_ms INTEGER, logs TEXT,"
    " PRIMARY KEY(seq, rule)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sh_runs_due ON sh_runs(next_ms) WHERE outcome = 'retry';"
    "CREATE INDEX sh_runs_retry ON sh_runs(seq) WHERE outcome = 'retry';"
    "CREATE INDEX sh_runs_dead ON sh_runs(seq) WHERE outcome = 'dead';"
    /* With a rowid: documents are long, and as keys of a b-tree (WITHOUT ROWID keeps whole rows in
     * its inner pages too) seven would fill a page. */
    "CREATE TABLE sh_records("
    " collection TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY(collection, id)) STRICT;"
    "CREATE TABLE sh_fields("
    " collection TEXT NOT NULL, place INTEGER NOT NULL, field TEXT NOT NULL,"
    " PRIMARY KEY(collection, place)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sh_callbacks("
    " id TEXT NOT NULL UNIQUE, number TEXT, name TEXT, due_ms INTEGER, assignee TEXT, reason TEXT,"
    " status TEXT NOT NULL, event_id TEXT NOT NULL, rule TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX sh_callbacks_event ON sh_callbacks(event_id);"
    "CREATE TABLE sh_outbox("
    " id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, recipient TEXT NOT NULL, key TEXT NOT NULL,"
    " event_id TEXT NOT NULL, rule TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL,"
    " attempts INTEGER NOT NULL, next_ms INTEGER, error TEXT, sent_to TEXT,"
    " created_ms INTEGER NOT NULL, sent_ms INTEGER) STRICT;"
    "CREATE INDEX sh_outbox_due ON sh_outbox(next_ms) WHERE state = 'queued';"
    "CREATE INDEX sh_outbox_dead ON sh_outbox(id) WHERE state = 'dead';"
    "CREATE INDEX sh_outbox_sent ON sh_outbox(sent_ms) WHERE state = 'sent';"
    "CREATE INDEX sh_outbox_event ON sh_outbox(event_id);"
    "CREATE TABLE sh_generations("
    " id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, live_ms INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE sh_generation_files("
    " generation TEXT NOT NULL, name TEXT NOT NULL, is_rule INTEGER NOT NULL, text BLOB NOT NULL,"
    " PRIMARY KEY(generation, name)) STRICT;"
    "CREATE TABLE sh_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO sh_meta VALUES('record_versions', 0);",
};

#define RUN_COLUMNS                                                                                \
    "seq, rule, generation, outcome, attempts, effects, error, duration_us, started_ms, next_ms, " \
    "logs"

const char *const sh_store_sql[SH_ST_COUNT] = {
    [SH_ST_BEGIN] = "BEGIN IMMEDIATE",
    [SH_ST_COMMIT] = "COMMIT",
    [SH_ST_SAVE_OP] = "SAVEPOINT op",
    [SH_ST_BACK_OP] = "ROLLBACK TO op",
    [SH_ST_FREE_OP] = "RELEASE op",
    [SH_ST_SAVE_RUN] = "SAVEPOINT run",
    [SH_ST_BACK_RUN] = "ROLLBACK TO run",
    [SH_ST_FREE_RUN] = "RELEASE run",
    [SH_ST_DEDUPE_ADD] = "INSERT INTO sh_dedupe_new(seq, hash) VALUES(?1, ?2)",
    [SH_ST_DEDUPE_MOVE] = "INSERT OR REPLACE INTO sh_dedupe(hash, seq) VALUES(?1, ?2)",
    [SH_ST_DEDUPE_CLEAR] = "DELETE FROM sh_dedupe_new WHERE seq IN (SELECT seq FROM sh_dedupe_new"
                           " WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
    [SH_ST_EVENT_ID] = "SELECT id FROM sh_events WHERE seq = ?1",
    [SH_ST_DEDUPE_FIRST] = "SELECT e.id FROM sh_dedupe d JOIN sh_events e ON e.seq = d.seq"
                           " WHERE d.hash = ?1",
    [SH_ST_EVENT_ADD] =
        "INSERT INTO sh_events(seq, id, source, type, key, dedupe_id, received_ms, depth, cause,"
        " body) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SH_ST_UNFINISHED_ADD] = "INSERT INTO sh_unfinished(seq) VALUES(?1)",
    [SH_ST_UNFINISHED_DEL] = "DELETE FROM sh_unfinished WHERE seq = ?1",
    /* a row that says done stays: a late second result must not have effects again */
    [SH_ST_RUN_PUT] =
        "INSERT INTO sh_runs(" RUN_COLUMNS ")"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        " ON CONFLICT(seq, rule) DO UPDATE SET generation = ?3, outcome = ?4, attempts = ?5,"
        " effects = ?6, error = ?7, duration_us = ?8, started_ms = ?9, next_ms = ?10, logs = ?11"
        " WHERE outcome <> 'done'",
    [SH_ST_RECORD_GET] = "SELECT doc, version FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_RECORD_VERSION] = "SELECT version FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_RECORD_PUT] =
        "INSERT INTO sh_records(collection, id, doc, version, updated_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(collection, id) DO UPDATE SET doc = ?3,"
        " version = ?4, updated_ms = ?5",
    [SH_ST_RECORD_DEL] = "DELETE FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_VERSIONS_SET] = "UPDATE sh_meta SET value = ?1 WHERE name = 'record_versions'",
    [SH_ST_CALLBACK_ADD] =
        "INSERT INTO sh_callbacks(id, number, name, due_ms, assignee, reason, status, event_id,"
        " rule, created_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 'scheduled', ?7, ?8, ?9)"
        " ON CONFLICT(id) DO NOTHING",
    [SH_ST_OUTBOX_ADD] =
        "INSERT INTO sh_outbox(id, kind, recipient, key, event_id, rule, payload, state, attempts,"
        " next_ms, created_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', 0, ?8, ?8)"
        " ON CONFLICT(id) DO NOTHING",
    [SH_ST_DELIVERY] =
        "UPDATE sh_outbox SET state = ?2, attempts = attempts + 1, next_ms = ?3, error = ?4,"
        " sent_to = ?5, sent_ms = ?6 WHERE id = ?1 AND state = 'queued'",
    [SH_ST_GENERATION_ADD] = "INSERT INTO sh_generations(id, created_ms, live_ms)"
                             " VALUES(?1, ?2, ?2) ON CONFLICT(id) DO UPDATE SET live_ms = ?2",
    [SH_ST_GENERATION_FILE] = "INSERT INTO sh_generation_files(generation, name, is_rule, text)"
                              " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(generation, name) DO NOTHING",
    [SH_ST_REDRIVE_RUNS] =
        "UPDATE sh_runs SET outcome = 'retry', attempts = 0, next_ms = ?1"
        " WHERE outcome = 'dead' AND (?3 IS NULL OR rule = ?3)"
        " AND (?2 IS NULL OR seq = (SELECT seq FROM sh_events WHERE seq = ?2 AND id = ?4))",
    [SH_ST_REDRIVE_ITEMS] = "UPDATE sh_outbox SET state = 'queued', attempts = 0, next_ms = ?1"
                            " WHERE state = 'dead' AND (?2 IS NULL OR id = ?2)",
    [SH_ST_PRUNE_FIND] =
        "SELECT seq, source, dedupe_id FROM sh_events e WHERE seq < ?1 AND received_ms < ?2"
        " AND NOT EXISTS(SELECT 1 FROM sh_unfinished u WHERE u.seq = e.seq)"
        " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'retry')"
        " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'dead')"
        " ORDER BY seq LIMIT ?3",
    [SH_ST_PRUNE_EVENT] = "DELETE FROM sh_events WHERE seq = ?1",
    [SH_ST_PRUNE_DEDUPE] = "DELETE FROM sh_dedupe WHERE hash = ?1 AND seq = ?2",
    [SH_ST_PRUNE_DEDUPE_NEW] = "DELETE FROM sh_dedupe_new WHERE seq = ?1",
    [SH_ST_PRUNE_RUNS] = "DELETE FROM sh_runs WHERE seq = ?1",
    [SH_ST_PRUNE_OUTBOX] = "DELETE FROM sh_outbox WHERE rowid IN (SELECT rowid FROM sh_outbox"
                           " WHERE state = 'sent' AND sent_ms < ?1 ORDER BY sent_ms LIMIT ?2)",
    [SH_ST_FIELD_ADD] = "INSERT OR REPLACE INTO sh_fields(collection, place, field)"
                        " VALUES(?1, ?2, ?3)",
    [SH_ST_PENDING] =
        "SELECT e.seq, e.id, e.source, e.type, e.key, e.dedupe_id, e.received_ms, e.depth, e.cause,"
        " e.body FROM sh_unfinished u JOIN sh_events e ON e.seq = u.seq WHERE u.seq > ?1"
        " ORDER BY u.seq LIMIT ?2",
    [SH_ST_RULES_OF] = "SELECT rule FROM sh_runs WHERE seq = ?1",
    [SH_ST_RETRIES] =
        "SELECT e.seq, e.id, e.source, e.type, e.key, e.dedupe_id, e.received_ms, e.depth, e.cause,"
        " e.body, r.rule, r.attempts FROM sh_runs r JOIN sh_events e ON e.seq = r.seq"
        " WHERE r.outcome = 'retry' AND r.next_ms <= ?1 ORDER BY r.next_ms LIMIT ?2",
    [SH_ST_RETRIES_NEXT] =
        "SELECT min(next_ms) FROM sh_runs WHERE outcome = 'retry' AND next_ms > ?1",
    [SH_ST_OUTBOX_DUE] =
        "SELECT id, kind, key, event_id, rule, payload, attempts, created_ms FROM sh_outbox"
        " WHERE state = 'queued' AND next_ms <= ?1 ORDER BY next_ms LIMIT ?2",
    [SH_ST_OUTBOX_NEXT] =
        "SELECT min(next_ms) FROM sh_outbox WHERE state = 'queued' AND next_ms > ?1",
    [SH_ST_COUNTS] = "SELECT (SELECT count(*) FROM sh_unfinished),"
                     " (SELECT count(*) FROM sh_runs WHERE outcome = 'retry'),"
                     " (SELECT count(*) FROM sh_runs WHERE outcome = 'dead'),"
                     " (SELECT count(*) FROM sh_outbox WHERE state = 'queued'),"
                     " (SELECT count(*) FROM sh_outbox WHERE state = 'dead')",
};
