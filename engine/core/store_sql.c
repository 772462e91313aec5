/* SPDX-License-Identifier: MIT
 * store_sql.c: every fixed statement of the store. What changes its schema is in store_steps.c. */
#include "core/store_impl.h"

/* In the order of struct sh_store_call, store_call.h. */
#define CALLBACK_COLUMNS                                                                           \
    "id, own_key, number, digits, name, local, zone, assignee, reason, status, note, completes, "  \
    "invited_to, event_id, event_key, rule, trace, due_ms, minutes, email, sequence, depth, "      \
    "created_ms, "                                                                                 \
    "updated_ms, told_ms, closed_ms"
/* As in the index sh_callbacks_open. */
#define CALLBACK_LIVE "status IN ('scheduled', 'snoozed', 'due', 'missed')"

#define RUN_COLUMNS                                                                                \
    "seq, rule, generation, outcome, attempts, effects, error, duration_us, started_ms, next_ms, " \
    "logs, lookups"
/* Dead letters: ?2 a rule, ?3 an event's seq with ?4 its id, or ?4 an item's id; ?5 a kind. What an
 * erasure has made blank is left to it: there is nothing to deliver */
#define DEAD_RUNS                                                                                  \
    "outcome = 'dead' AND (?2 IS NULL OR rule = ?2)"                                               \
    " AND (?4 IS NULL OR seq = (SELECT seq FROM sh_events WHERE seq = ?3 AND id = ?4))"
#define DEAD_ITEMS                                                                                 \
    "state = 'dead' AND (?2 IS NULL OR rule = ?2) AND (?4 IS NULL OR id = ?4)"                     \
    " AND (?5 IS NULL OR kind = ?5) AND payload <> '" SH_FORGOTTEN "'"
/* ?1: the lane */
#define OUTBOX_OF_LANE                                                                             \
    "SELECT id, kind, key, event_id, rule, payload, recipients, seq, attempts, created_ms,"        \
    " coalesce(redriven_ms, created_ms), trace FROM sh_outbox INDEXED BY sh_outbox_due WHERE "     \
    "state = "                                                                                     \
    "'queued' AND lane = ?1 AND "

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
        " body, due_ms, format, occurred_ms, trace)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SH_ST_AUDIT_ADD] = "INSERT INTO sh_audit(at_ms, who, role, peer, action, target, detail)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SH_ST_UNFINISHED_ADD] = "INSERT INTO sh_unfinished(seq) VALUES(?1)",
    [SH_ST_UNFINISHED_DEL] = "DELETE FROM sh_unfinished WHERE seq = ?1",
    /* a row that says done stays: a late second result must not have effects again */
    [SH_ST_RUN_PUT] =
        "INSERT INTO sh_runs(" RUN_COLUMNS ")"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        " ON CONFLICT(seq, rule) DO UPDATE SET generation = ?3, outcome = ?4, attempts = ?5,"
        " effects = ?6, error = ?7, duration_us = ?8, started_ms = ?9, next_ms = ?10, logs = ?11,"
        " lookups = ?12 WHERE outcome NOT IN ('done', 'dropped')",
    [SH_ST_RECORD_GET] = "SELECT doc, version FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_RECORD_VERSION] = "SELECT version FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_RECORD_PUT] =
        "INSERT INTO sh_records(collection, id, doc, version, updated_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(collection, id) DO UPDATE SET doc = ?3,"
        " version = ?4, updated_ms = ?5",
    [SH_ST_RECORD_DEL] = "DELETE FROM sh_records WHERE collection = ?1 AND id = ?2",
    [SH_ST_VERSIONS_SET] = "UPDATE sh_meta SET value = ?1 WHERE name = 'record_versions'",
    [SH_ST_CALLBACK_PUT] =
        "INSERT INTO sh_callbacks(" CALLBACK_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
        " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)"
        " ON CONFLICT(id) DO UPDATE SET own_key = ?2, number = ?3, digits = ?4, name = ?5,"
        " local = ?6, zone = ?7, assignee = ?8, reason = ?9, status = ?10, note = ?11,"
        " completes = ?12, invited_to = ?13, event_id = ?14, event_key = ?15, rule = ?16,"
        " trace = ?17, due_ms = ?18, minutes = ?19, email = ?20, sequence = ?21, depth = ?22,"
        " created_ms = ?23, updated_ms = ?24, told_ms = ?25, closed_ms = ?26",
    [SH_ST_CALLBACK_GET] = "SELECT " CALLBACK_COLUMNS " FROM sh_callbacks WHERE seq = ?1",
    [SH_ST_CALLBACK_BY_ID] = "SELECT seq FROM sh_callbacks WHERE id = ?1",
    /* ids are hex digits: 'g' is behind them all */
    [SH_ST_CALLBACK_BY_PREFIX] =
        "SELECT seq, id FROM sh_callbacks WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 3",
    [SH_ST_CALLBACK_SAME] = "SELECT seq FROM sh_callbacks WHERE digits = ?1 AND reason IS ?2"
                            " AND " CALLBACK_LIVE " AND status <> 'missed' ORDER BY seq LIMIT 1",
    [SH_ST_CALLBACK_OF_NUMBER] = "SELECT seq FROM sh_callbacks WHERE digits = ?1 AND " CALLBACK_LIVE
                                 " AND (?2 IS NULL OR completes = ?2) ORDER BY seq",
    [SH_ST_CALLBACK_LOCALS] =
        "SELECT seq, due_ms, local, zone FROM sh_callbacks WHERE local IS NOT NULL"
        " AND status IN ('scheduled', 'snoozed') AND due_ms > ?1 ORDER BY zone, local",
    [SH_ST_CALLBACK_CHANGE] =
        "INSERT INTO sh_callback_changes(id, place, at_ms, what, by, detail) SELECT ?1,"
        " coalesce((SELECT max(place) FROM sh_callback_changes WHERE id = ?1), 0) + 1, ?2, ?3, ?4,"
        " ?5 RETURNING place",
    [SH_ST_FEED_ADD] = "INSERT INTO sh_feeds(assignee, token, created_ms) VALUES(?1, ?2, ?3)"
                       " ON CONFLICT(assignee) DO NOTHING",
    [SH_ST_FEED_RENEW] = "UPDATE sh_feeds SET token = ?2, created_ms = ?3 WHERE assignee = ?1",
    [SH_ST_FEED_TOKEN] = "SELECT token FROM sh_feeds WHERE assignee = ?1",
    [SH_ST_FEED_ASSIGNEE] = "SELECT assignee FROM sh_feeds WHERE token = ?1",
    [SH_ST_FEED_ROWS] =
        "SELECT " CALLBACK_COLUMNS " FROM sh_callbacks WHERE assignee = ?1 COLLATE NOCASE"
        " AND (closed_ms IS NULL OR closed_ms > ?2) ORDER BY due_ms DESC LIMIT ?3",
    [SH_ST_TIMER_PUT] =
        "INSERT INTO sh_timers(name, due_ms, local, zone, every, source, type, key, body, depth,"
        " event_id, rule, created_ms, trace) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
        " ?12, ?13, ?14) ON CONFLICT(name) DO UPDATE SET due_ms = ?2, local = ?3, zone = ?4,"
        " every = ?5, source = ?6, type = ?7, key = ?8, body = ?9, depth = ?10, event_id = ?11,"
        " rule = ?12, created_ms = ?13, trace = ?14",
    [SH_ST_TIMER_DEL] = "DELETE FROM sh_timers WHERE name = ?1",
    [SH_ST_TIMER_GET] = "SELECT name, due_ms, zone, every, source, type, key, body, depth,"
                        " event_id, trace FROM sh_timers WHERE seq = ?1",
    [SH_ST_TIMER_CANCEL] = "DELETE FROM sh_timers WHERE name = 'n:' || ?1 RETURNING due_ms",
    [SH_ST_TIMER_IS_CLOCK] = "SELECT count(*) FROM sh_timers WHERE name = 'c:' || ?1",
    [SH_ST_TIMER_GONE] = "DELETE FROM sh_timers WHERE seq = ?1",
    [SH_ST_TIMER_LOCALS] =
        "SELECT DISTINCT zone, local, due_ms FROM sh_timers WHERE local IS NOT NULL"
        " AND due_ms > ?1 ORDER BY zone, local, due_ms",
    [SH_ST_TIMER_MOVE] =
        "UPDATE sh_timers SET due_ms = ?4 WHERE zone = ?1 AND local = ?2 AND due_ms = ?3"
        " AND local IS NOT NULL",
    [SH_ST_CLOCK_ROWS] = "SELECT seq, name, due_ms, every, zone FROM sh_timers"
                         " WHERE name >= 'c:' AND name < 'c;'",
    [SH_ST_CLOCK_NEXT] = "UPDATE sh_timers SET due_ms = ?2 WHERE seq = ?1",
    /* what is due, of three kinds, oldest first: each by its own index, none read past its share */
    [SH_ST_DUE] =
        "SELECT kind, seq FROM (SELECT * FROM (SELECT 1 AS kind, due_ms AS at, seq FROM sh_timers"
        " WHERE due_ms <= ?1 ORDER BY due_ms, seq LIMIT ?3)"
        " UNION ALL SELECT * FROM (SELECT 2, due_ms, seq FROM sh_callbacks"
        " WHERE status IN ('scheduled', 'snoozed') AND due_ms <= ?1 ORDER BY due_ms, seq LIMIT ?3)"
        " UNION ALL SELECT * FROM (SELECT 3, told_ms + ?2, seq FROM sh_callbacks"
        " WHERE status = 'due' AND told_ms <= ?1 - ?2 AND ?2 > 0 ORDER BY told_ms, seq LIMIT ?3))"
        " ORDER BY at, kind, seq LIMIT ?3",
    [SH_ST_DUE_NEXT] =
        "SELECT min(at) FROM (SELECT min(due_ms) AS at FROM sh_timers WHERE due_ms > ?1"
        " UNION ALL SELECT min(due_ms) FROM sh_callbacks"
        " WHERE status IN ('scheduled', 'snoozed') AND due_ms > ?1"
        " UNION ALL SELECT min(told_ms) + ?2 FROM sh_callbacks"
        " WHERE status = 'due' AND told_ms > ?1 - ?2 AND ?2 > 0)",
    [SH_ST_OUTBOX_ADD] =
        "INSERT INTO sh_outbox(id, kind, recipient, key, event_id, rule, payload, state, attempts,"
        " next_ms, created_ms, lane, event_key, depth, notify, trace)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', 0, 0, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT(id) DO NOTHING",
    [SH_ST_DELIVERY] =
        "UPDATE sh_outbox SET state = ?2, attempts = attempts + ?3, next_ms = ?4, error = ?5,"
        " sent_to = ?6, sent_ms = ?7, status = ?8, answer = ?9,"
        " recipients = coalesce(?10, recipients) WHERE id = ?1 AND state = 'queued'"
        " RETURNING notify IS NOT NULL",
    [SH_ST_DELIVERY_NOTIFY] = "SELECT notify, kind, recipient, attempts, key, event_id, rule,"
                              " event_key, depth, trace FROM sh_outbox WHERE id = ?1",
    [SH_ST_LANE_SET] = "INSERT INTO sh_lanes(lane, until_ms, why) VALUES(?1, ?2, ?3)"
                       " ON CONFLICT(lane) DO UPDATE SET until_ms = ?2, why = ?3",
    [SH_ST_LANE_DEL] = "DELETE FROM sh_lanes WHERE lane = ?1",
    [SH_ST_GENERATION_ADD] = "INSERT INTO sh_generations(id, created_ms, live_ms)"
                             " VALUES(?1, ?2, ?2) ON CONFLICT(id) DO UPDATE SET live_ms = ?2"
                             " RETURNING (SELECT count(*) FROM sh_generation_parts"
                             " WHERE generation = ?1)",
    /* as in the generation ?5, if it has the same text there */
    [SH_ST_GENERATION_SAME] =
        "INSERT INTO sh_generation_parts(generation, name, is_rule, text)"
        " SELECT ?1, ?2, ?3, t.id FROM sh_generation_parts p JOIN sh_generation_texts t"
        " ON t.id = p.text WHERE p.generation = ?5 AND p.name = ?2 AND t.text = ?4",
    [SH_ST_GENERATION_KEEP] = "INSERT INTO sh_generation_texts(text) VALUES(?1)",
    [SH_ST_GENERATION_FILE] = "INSERT INTO sh_generation_parts(generation, name, is_rule, text)"
                              " VALUES(?1, ?2, ?3, last_insert_rowid())",
    [SH_ST_GENERATION_LIVE] =
        "SELECT generation FROM sh_generation_lives ORDER BY seq DESC LIMIT 1",
    [SH_ST_GENERATION_NOTE] = "INSERT INTO sh_generation_lives(generation, live_ms, cause, changes)"
                              " VALUES(?1, ?2, ?3, ?4)",
    [SH_ST_GENERATION_TEXT] = "SELECT p.name, p.is_rule, t.text FROM sh_generation_parts p"
                              " JOIN sh_generation_texts t ON t.id = p.text"
                              " WHERE p.generation = ?1 ORDER BY p.name",
    [SH_ST_DATA_VERSION] = "PRAGMA data_version",
    [SH_ST_RULES_LOAD] = "SELECT rule, failures, state, pauses FROM sh_rules",
    [SH_ST_RULE_COUNT] =
        "INSERT INTO sh_rules(rule, failures, state, pauses, since_ms, error, event_id)"
        " VALUES(?1, ?2, 'on', 0, ?3, ?4, ?5)"
        " ON CONFLICT(rule) DO UPDATE SET failures = ?2, error = ?4, event_id = ?5",
    [SH_ST_RULE_STATE] =
        "INSERT INTO sh_rules(rule, failures, state, pauses, since_ms, by)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(rule) DO UPDATE SET failures = ?2,"
        " state = ?3, pauses = ?4, since_ms = ?5, by = ?6",
    [SH_ST_RULE_KEPT] = "SELECT count(*) FROM sh_runs WHERE outcome = 'paused' AND rule = ?1",
    [SH_ST_RULE_KEEP_RETRIES] = "UPDATE sh_runs SET outcome = 'paused', next_ms = NULL"
                                " WHERE outcome = 'retry' AND rule = ?1",
    /* what is done or dead stays so; of a retry, its last error stays */
    [SH_ST_RUN_KEEP] = "INSERT INTO sh_runs(" RUN_COLUMNS ")"
                       " VALUES(?1, ?2, ?3, 'paused', 0, '[]', NULL, 0, ?4, NULL, NULL, NULL)"
                       " ON CONFLICT(seq, rule) DO UPDATE SET outcome = 'paused', next_ms = NULL"
                       " WHERE outcome = 'retry'",
    [SH_ST_RUN_RELEASED] =
        "SELECT count(*) FROM sh_runs WHERE seq = ?1 AND rule = ?2 AND outcome = 'retry'",
    [SH_ST_RESUME_FIND] =
        "SELECT e.seq, e.id, e.source, e.type, e.key, e.dedupe_id, e.received_ms, e.depth, e.cause,"
        " e.body, e.due_ms, e.format, e.occurred_ms, e.trace FROM sh_runs r JOIN sh_events e ON "
        "e.seq = r.seq"
        " WHERE r.outcome = 'paused' AND r.rule = ?1 ORDER BY r.seq LIMIT ?2",
    [SH_ST_RESUME_RUN] = "UPDATE sh_runs SET outcome = 'retry', attempts = 0, next_ms = ?3"
                         " WHERE seq = ?1 AND rule = ?2 AND outcome = 'paused'",
    [SH_ST_REDRIVE_RUNS] = "UPDATE sh_runs SET outcome = 'retry', attempts = 0, next_ms = ?1"
                           " WHERE " DEAD_RUNS,
    /* recipients stay: who got the message is not sent it again */
    [SH_ST_REDRIVE_ITEMS] = "UPDATE sh_outbox SET state = 'queued', attempts = 0, next_ms = 0,"
                            " redriven_ms = ?1 WHERE " DEAD_ITEMS,
    [SH_ST_DROP_RUNS] = "UPDATE sh_runs SET outcome = 'dropped' WHERE ?1 AND " DEAD_RUNS,
    [SH_ST_DROP_ITEMS] = "UPDATE sh_outbox SET state = 'dropped', sent_ms = ?1 WHERE " DEAD_ITEMS,
    [SH_ST_TOKEN_NAMED] = "SELECT (SELECT count(*) FROM sh_tokens WHERE name = ?1),"
                          " (SELECT count(*) FROM sh_tokens)",
    [SH_ST_TOKEN_ADD] =
        "INSERT INTO sh_tokens(name, role, hash, created_ms, created_by, expires_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SH_ST_TOKEN_DEL] = "DELETE FROM sh_tokens WHERE name = ?1",
    [SH_ST_TOKENS] = "SELECT name, role, hash, created_ms, created_by, coalesce(expires_ms, 0)"
                     " FROM sh_tokens ORDER BY name",
    /* a token that was revoked in the same batch is none */
    [SH_ST_SESSION_ADD] = "INSERT INTO sh_sessions(hash, token, created_ms, expires_ms)"
                          " SELECT ?1, hash, ?3, ?4 FROM sh_tokens WHERE hash = ?2"
                          " AND (expires_ms IS NULL OR expires_ms > ?3)",
    [SH_ST_SESSION_EXPIRE] = "DELETE FROM sh_sessions WHERE expires_ms <= ?1",
    [SH_ST_SESSION_CAP_TOKEN] =
        "DELETE FROM sh_sessions WHERE id IN (SELECT id FROM sh_sessions WHERE token = ?1"
        " ORDER BY id DESC LIMIT -1 OFFSET ?2)",
    [SH_ST_SESSION_CAP] = "DELETE FROM sh_sessions WHERE id IN (SELECT id FROM sh_sessions"
                          " ORDER BY id DESC LIMIT -1 OFFSET ?1)",
    [SH_ST_SESSION_DEL] = "DELETE FROM sh_sessions WHERE hash = ?1",
    [SH_ST_SESSION_DEL_TOKEN] = "DELETE FROM sh_sessions WHERE token ="
                                " (SELECT hash FROM sh_tokens WHERE name = ?1)",
    [SH_ST_SESSIONS] = "SELECT hash, token, expires_ms FROM sh_sessions ORDER BY id",
    [SH_ST_PRUNE_FIND] =
        "SELECT seq, source, dedupe_id FROM sh_events e WHERE seq < ?1 AND received_ms < ?2"
        " AND NOT EXISTS(SELECT 1 FROM sh_unfinished u WHERE u.seq = e.seq)"
        " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'retry')"
        " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'dead')"
        " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'paused')"
        " ORDER BY seq LIMIT ?3",
    [SH_ST_PRUNE_EVENT] = "DELETE FROM sh_events WHERE seq = ?1",
    [SH_ST_PRUNE_DEDUPE] = "DELETE FROM sh_dedupe WHERE hash = ?1 AND seq = ?2",
    [SH_ST_PRUNE_DEDUPE_NEW] = "DELETE FROM sh_dedupe_new WHERE seq = ?1",
    [SH_ST_PRUNE_RUNS] = "DELETE FROM sh_runs WHERE seq = ?1",
    [SH_ST_PRUNE_OUTBOX] =
        "DELETE FROM sh_outbox WHERE rowid IN (SELECT rowid FROM sh_outbox"
        " WHERE state IN ('sent', 'dropped') AND sent_ms < ?1 ORDER BY sent_ms LIMIT ?2)",
    [SH_ST_PRUNE_LANES] = "DELETE FROM sh_lanes WHERE until_ms < ?1",
    [SH_ST_FIELD_ADD] = "INSERT OR REPLACE INTO sh_fields(collection, place, field)"
                        " VALUES(?1, ?2, ?3)",
    [SH_ST_PENDING] =
        "SELECT e.seq, e.id, e.source, e.type, e.key, e.dedupe_id, e.received_ms, e.depth, e.cause,"
        " e.body, e.due_ms, e.format, e.occurred_ms, e.trace FROM sh_unfinished u JOIN sh_events e "
        "ON e.seq = u.seq WHERE u.seq > ?1"
        " ORDER BY u.seq LIMIT ?2",
    [SH_ST_RULES_OF] = "SELECT rule FROM sh_runs WHERE seq = ?1",
    [SH_ST_RETRIES] =
        "SELECT e.seq, e.id, e.source, e.type, e.key, e.dedupe_id, e.received_ms, e.depth, e.cause,"
        " e.body, e.due_ms, e.format, e.occurred_ms, e.trace, r.rule, r.attempts FROM sh_runs r "
        "JOIN sh_events e ON e.seq = r.seq"
        " WHERE r.outcome = 'retry' AND r.next_ms <= ?1 ORDER BY r.next_ms, r.seq LIMIT ?2",
    [SH_ST_RETRIES_NEXT] =
        "SELECT min(next_ms) FROM sh_runs WHERE outcome = 'retry' AND next_ms > ?1",
    [SH_ST_READ_BEGIN] = "BEGIN",
    /* from lane to lane by one probe each, however many items lie between */
    [SH_ST_OUTBOX_LANE] =
        "SELECT o.lane, (SELECT until_ms FROM sh_lanes l WHERE l.lane = o.lane)"
        " FROM sh_outbox o INDEXED BY sh_outbox_due WHERE o.state = 'queued' AND o.lane > ?1"
        " ORDER BY o.lane LIMIT 1",
    [SH_ST_OUTBOX_RETRIES] =
        OUTBOX_OF_LANE "next_ms > 0 AND next_ms <= ?2 ORDER BY next_ms, seq LIMIT ?3",
    [SH_ST_OUTBOX_FRESH] = OUTBOX_OF_LANE "next_ms = 0 AND seq > ?2 ORDER BY seq LIMIT ?3",
    [SH_ST_OUTBOX_NEXT] =
        "SELECT next_ms FROM sh_outbox INDEXED BY sh_outbox_later WHERE state = 'queued'"
        " AND next_ms <> 0 AND next_ms > ?1 ORDER BY next_ms LIMIT 1",
    [SH_ST_OLDEST] =
        "SELECT 1, received_ms, id FROM sh_events WHERE seq = (SELECT min(seq) FROM sh_unfinished)"
        " UNION ALL SELECT 2, received_ms, id FROM sh_events WHERE seq ="
        " (SELECT min(seq) FROM sh_runs INDEXED BY sh_runs_retry WHERE outcome = 'retry')"
        " UNION ALL SELECT 3, created_ms, id FROM sh_outbox WHERE seq ="
        " (SELECT min(seq) FROM sh_outbox INDEXED BY sh_outbox_due WHERE state = 'queued')",
    [SH_ST_CALLBACK_COUNTS] =
        "SELECT status, count(*) FROM sh_callbacks WHERE " CALLBACK_LIVE " GROUP BY status",
    [SH_ST_COUNTS] = "SELECT (SELECT count(*) FROM sh_unfinished),"
                     " (SELECT count(*) FROM sh_runs WHERE outcome = 'retry'),"
                     " (SELECT count(*) FROM sh_runs WHERE outcome = 'dead'),"
                     " (SELECT count(*) FROM sh_outbox WHERE state = 'queued'),"
                     " (SELECT count(*) FROM sh_outbox WHERE state = 'dead'),"
                     /* without the clock rules */
                     " (SELECT count(*) FROM sh_timers) - (SELECT count(*) FROM sh_timers"
                     " WHERE name >= 'c:' AND name < 'c;'),"
                     " (SELECT count(*) FROM sh_rules WHERE state = 'paused'),"
                     " (SELECT count(*) FROM sh_runs WHERE outcome = 'paused')",
};
