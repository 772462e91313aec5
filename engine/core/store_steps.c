/* SPDX-License-Identifier: MIT
 * store_steps.c: the schema's steps, one a version: the SQL text that makes it of the one before,
 * and the one that takes it back for an older switchhook, with what an older one cannot hold.
 *
 * A text in `up` that has been released is never changed: add a step. (That of schema 1 once was:
 * sh_store_first_release brings stores of before that up to it.) Each has a way down, and a store
 * made by it in tests/schema. */
#include "core/store_steps.h"

/* The parts of schema 1 that its first release had otherwise, or that a way down makes again. */
#define EVENTS                                                                                     \
    "CREATE TABLE sh_events("                                                                      \
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL,"        \
    " key TEXT NOT NULL, dedupe_id TEXT NOT NULL, received_ms INTEGER NOT NULL,"                   \
    " depth INTEGER NOT NULL, cause TEXT, due_ms INTEGER, body BLOB NOT NULL) STRICT;"

/* sh_callbacks: own_key: the author's; digits: the number as it is compared; local: where a time of
 * day was asked for; told_ms: when it fell due; invited_to: who was last sent an invitation; depth:
 * of the event when it falls due.
 * sh_outbox: next_ms: 0 = never tried, or back in its place in line: by seq. Else when its retry is
 * due. payload is last: what is long is not in the way of the others. sh_outbox_later: <> 0: with
 * > 0 a search for what is later than now would start there.
 * sh_timers: name: "n:" an author's name, "k:" an effect's key, "c:" a clock rule's name, "p:" a
 * callback and the place of its change. local and zone: where a time of day was asked for; every:
 * of a clock rule, with its zone. A seq is never given twice: dedupe ids are made of it. */
#define LEAVING                                                                                    \
    "CREATE TABLE sh_callbacks("                                                                   \
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, own_key TEXT, number TEXT,"                \
    " digits TEXT NOT NULL, name TEXT, due_ms INTEGER NOT NULL, local TEXT, zone TEXT,"            \
    " assignee TEXT, reason TEXT, status TEXT NOT NULL, note TEXT, completes TEXT,"                \
    " minutes INTEGER NOT NULL, email INTEGER NOT NULL, sequence INTEGER NOT NULL,"                \
    " invited_to TEXT, event_id TEXT NOT NULL, event_key TEXT NOT NULL, rule TEXT NOT NULL,"       \
    " depth INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"           \
    " told_ms INTEGER, closed_ms INTEGER) STRICT;"                                                 \
    "CREATE INDEX sh_callbacks_event ON sh_callbacks(event_id);"                                   \
    "CREATE INDEX sh_callbacks_open ON sh_callbacks(digits)"                                       \
    " WHERE status IN ('scheduled', 'snoozed', 'due', 'missed');"                                  \
    "CREATE INDEX sh_callbacks_waiting ON sh_callbacks(due_ms)"                                    \
    " WHERE status IN ('scheduled', 'snoozed');"                                                   \
    "CREATE INDEX sh_callbacks_due ON sh_callbacks(told_ms) WHERE status = 'due';"                 \
    "CREATE INDEX sh_callbacks_local ON sh_callbacks(zone, local, due_ms)"                         \
    " WHERE local IS NOT NULL AND status IN ('scheduled', 'snoozed');"                             \
    "CREATE INDEX sh_callbacks_assignee ON sh_callbacks(assignee COLLATE NOCASE, due_ms);"         \
    "CREATE TABLE sh_callback_changes("                                                            \
    " id TEXT NOT NULL, place INTEGER NOT NULL, at_ms INTEGER NOT NULL, what TEXT NOT NULL,"       \
    " by TEXT NOT NULL, detail TEXT, PRIMARY KEY(id, place)) STRICT, WITHOUT ROWID;"               \
    "CREATE TABLE sh_feeds("                                                                       \
    " assignee TEXT PRIMARY KEY COLLATE NOCASE, token TEXT NOT NULL UNIQUE, created_ms INTEGER "   \
    "NOT "                                                                                         \
    "NULL) STRICT;"                                                                                \
    "CREATE TABLE sh_outbox("                                                                      \
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"         \
    " lane TEXT NOT NULL, recipient TEXT NOT NULL, key TEXT NOT NULL, event_id TEXT NOT NULL,"     \
    " event_key TEXT NOT NULL, depth INTEGER NOT NULL, rule TEXT NOT NULL, notify TEXT,"           \
    " state TEXT NOT NULL, attempts INTEGER NOT NULL, next_ms INTEGER, status INTEGER, error "     \
    "TEXT,"                                                                                        \
    " answer TEXT, recipients TEXT, sent_to TEXT, created_ms INTEGER NOT NULL, sent_ms INTEGER,"   \
    " redriven_ms INTEGER,"                                                                        \
    " payload TEXT NOT NULL) STRICT;"                                                              \
    "CREATE INDEX sh_outbox_due ON sh_outbox(lane, next_ms, seq) WHERE state = 'queued';"          \
    "CREATE INDEX sh_outbox_later ON sh_outbox(next_ms) WHERE state = 'queued' AND next_ms <> 0;"  \
    "CREATE INDEX sh_outbox_dead ON sh_outbox(id) WHERE state = 'dead';"                           \
    "CREATE INDEX sh_outbox_sent ON sh_outbox(sent_ms) WHERE state = 'sent';"                      \
    "CREATE INDEX sh_outbox_event ON sh_outbox(event_id);"                                         \
    "CREATE TABLE sh_lanes(lane TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, why TEXT)"            \
    " STRICT, WITHOUT ROWID;"                                                                      \
    "CREATE TABLE sh_timers("                                                                      \
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, due_ms INTEGER NOT NULL, " \
    "local TEXT, zone TEXT, every TEXT,"                                                           \
    " source TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,"            \
    " depth INTEGER NOT NULL, event_id TEXT, rule TEXT, created_ms INTEGER NOT NULL) STRICT;"      \
    "CREATE INDEX sh_timers_due ON sh_timers(due_ms);"                                             \
    "CREATE INDEX sh_timers_local ON sh_timers(zone, local, due_ms) WHERE local IS NOT NULL;"

#define GENERATION_FILES                                                                           \
    "CREATE TABLE sh_generation_files("                                                            \
    " generation TEXT NOT NULL, name TEXT NOT NULL, is_rule INTEGER NOT NULL, text BLOB NOT NULL," \
    " PRIMARY KEY(generation, name)) STRICT;"

static const char up_1[] = EVENTS
    "CREATE TABLE sh_dedupe("
    " hash BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sh_dedupe_new(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE sh_unfinished(seq INTEGER PRIMARY KEY) STRICT;"
    "CREATE TABLE sh_runs("
    " seq INTEGER NOT NULL, rule TEXT NOT NULL, generation TEXT NOT NULL, outcome TEXT NOT NULL,"
    " attempts INTEGER NOT NULL, effects TEXT NOT NULL, error TEXT, duration_us INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, next_ms INTEGER, logs TEXT, lookups TEXT,"
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
    " PRIMARY KEY(collection, place)) STRICT, WITHOUT ROWID;" LEAVING "CREATE TABLE sh_generations("
    " id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, live_ms INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;" GENERATION_FILES
    "CREATE TABLE sh_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO sh_meta VALUES('record_versions', 0);";

/* what went live when and why; rules that fail. cause: start, files, signal, api;
 * changes: [{"file","change"}] against the one before. state: on, paused, resuming; by: engine,
 * or who asked; since_ms: of that state; pauses: so far; error, event_id: of the failure that
 * made it so */
static const char up_2[] =
    "CREATE TABLE sh_generation_lives("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, generation TEXT NOT NULL, live_ms INTEGER NOT NULL,"
    " cause TEXT NOT NULL, changes TEXT NOT NULL) STRICT;"
    "INSERT INTO sh_generation_lives(generation, live_ms, cause, changes)"
    " SELECT id, live_ms, 'start', '[]' FROM sh_generations ORDER BY live_ms;"
    /* a file that stays as it was from one generation to the next is kept once */
    "CREATE TABLE sh_generation_texts(id INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;"
    "CREATE TABLE sh_generation_parts("
    " generation TEXT NOT NULL, name TEXT NOT NULL, is_rule INTEGER NOT NULL,"
    " text INTEGER NOT NULL, PRIMARY KEY(generation, name)) STRICT, WITHOUT ROWID;"
    "INSERT INTO sh_generation_texts(id, text) SELECT rowid, text FROM sh_generation_files;"
    "INSERT INTO sh_generation_parts(generation, name, is_rule, text)"
    " SELECT generation, name, is_rule, rowid FROM sh_generation_files;"
    "DROP TABLE sh_generation_files;"
    "CREATE TABLE sh_rules("
    " rule TEXT PRIMARY KEY, failures INTEGER NOT NULL, state TEXT NOT NULL, pauses INTEGER NOT "
    "NULL,"
    " since_ms INTEGER NOT NULL, by TEXT, error TEXT, event_id TEXT) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sh_runs_paused ON sh_runs(rule, seq) WHERE outcome = 'paused';";

/* senders of other kinds, the API. format: enum sh_body_format; occurred_ms: by the sender;
 * trace: traceparent. role: viewer, operator, admin; hash: SHA-256 of the token */
static const char up_3[] =
    "ALTER TABLE sh_events ADD COLUMN format INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sh_events ADD COLUMN occurred_ms INTEGER;"
    "ALTER TABLE sh_events ADD COLUMN trace TEXT;"
    "ALTER TABLE sh_outbox ADD COLUMN trace TEXT;"
    "ALTER TABLE sh_timers ADD COLUMN trace TEXT;"
    "ALTER TABLE sh_callbacks ADD COLUMN trace TEXT;"
    "DROP INDEX sh_outbox_sent;" /* what ended, to be pruned; sent_ms of what was dropped: when */
    "CREATE INDEX sh_outbox_ended ON sh_outbox(sent_ms) WHERE state IN ('sent', 'dropped');"
    "CREATE TABLE sh_tokens("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL,"
    " hash BLOB NOT NULL UNIQUE, created_ms INTEGER NOT NULL, created_by TEXT NOT NULL,"
    " expires_ms INTEGER) STRICT;"
    "CREATE INDEX sh_callbacks_closed ON sh_callbacks(closed_ms) WHERE closed_ms IS NOT NULL;"
    /* forgotten while their runs were under way: finished at the latest by the next start */
    "CREATE TABLE sh_forgotten(seq INTEGER PRIMARY KEY) STRICT;"
    "CREATE TABLE sh_audit("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,"
    " role TEXT NOT NULL, peer TEXT, action TEXT NOT NULL, target TEXT, detail TEXT) STRICT;";

/* the console. id: in the order of log-in; hash: SHA-256 of what the browser holds; token:
 * sh_tokens.hash of the one it was opened with. at_ms: when the minute, or the part of one,
 * began; ring: which series of an engine it was taken from; counts: sh_series_write() */
static const char up_4[] =
    "CREATE TABLE sh_sessions("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, token BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE sh_series("
    " at_ms INTEGER PRIMARY KEY, ring INTEGER NOT NULL, counts TEXT NOT NULL) STRICT;";

/* --- the first release ------------------------------------------------------------------------ */

/* It had emails alone, and callbacks that nobody was told of: for those that are overdue no
 * invitation is sent now. */
const char sh_store_first_release[] =
    "ALTER TABLE sh_events RENAME TO first_events;" EVENTS
    "INSERT INTO sh_events(seq, id, source, type, key, dedupe_id, received_ms, depth, cause, body)"
    " SELECT seq, id, source, type, key, dedupe_id, received_ms, depth, cause, body"
    " FROM first_events;"
    "DROP TABLE first_events;"
    "ALTER TABLE sh_runs ADD COLUMN lookups TEXT;"
    "ALTER TABLE sh_callbacks RENAME TO first_callbacks;"
    "ALTER TABLE sh_outbox RENAME TO first_outbox;"
    "DROP INDEX sh_callbacks_event;"
    "DROP INDEX sh_outbox_due;"
    "DROP INDEX sh_outbox_dead;"
    "DROP INDEX sh_outbox_sent;"
    "DROP INDEX sh_outbox_event;" LEAVING
    "INSERT INTO sh_callbacks(id, number, digits, name, due_ms, assignee, reason, status, minutes,"
    " email, sequence, event_id, event_key, rule, depth, created_ms, updated_ms)"
    " SELECT c.id, c.number, sh_digits(c.number), c.name, coalesce(c.due_ms, c.created_ms),"
    " c.assignee, c.reason, c.status, 15, coalesce(c.due_ms, 0) > unixepoch() * 1000, 0,"
    " c.event_id, coalesce(e.key, ''), c.rule, coalesce(e.depth, 0), c.created_ms, c.created_ms"
    " FROM first_callbacks c LEFT JOIN sh_events e ON e.seq = sh_seq(c.event_id)"
    " ORDER BY c.rowid;"
    "INSERT INTO sh_callback_changes(id, place, at_ms, what, by)"
    " SELECT id, 1, created_ms, 'scheduled', rule FROM sh_callbacks;"
    "DROP TABLE first_callbacks;"
    "INSERT INTO sh_outbox(id, kind, lane, recipient, key, event_id, event_key, depth, rule, state,"
    " attempts, next_ms, error, sent_to, created_ms, sent_ms, payload)"
    " SELECT o.id, o.kind, o.kind, o.recipient, o.key, o.event_id, coalesce(e.key, ''),"
    " coalesce(e.depth, 0), o.rule, o.state, o.attempts,"
    " CASE WHEN o.state <> 'queued' THEN NULL WHEN o.attempts = 0 THEN 0 ELSE o.next_ms END,"
    " o.error, o.sent_to, o.created_ms, o.sent_ms, o.payload"
    " FROM first_outbox o LEFT JOIN sh_events e ON e.seq = sh_seq(o.event_id) ORDER BY o.rowid;"
    "DROP TABLE first_outbox;";

/* --- the ways down ---------------------------------------------------------------------------- */

static const char down_4[] = "DROP TABLE sh_sessions; DROP TABLE sh_series;";
static const struct sh_store_rows rows_4[] = {
    {"sessions: who is logged in to the console has to log in again", NULL,
     "SELECT count(*) FROM sh_sessions"},
    {"minutes of the history that plots show", NULL, "SELECT count(*) FROM sh_series"},
};

/* An event's format is put aside under a name that older ones do not look at. The table of events
 * is copied: each DROP COLUMN would write all of it once. */
#define ASIDE "name >= 'format:' AND name < 'format;'"
static const char down_3[] =
    "DELETE FROM sh_unfinished WHERE seq IN (SELECT seq FROM sh_forgotten);"
    "DROP TABLE sh_forgotten;"
    "INSERT OR REPLACE INTO sh_meta(name, value)"
    " SELECT 'format:' || seq, format FROM sh_events WHERE format <> 0;"
    "ALTER TABLE sh_events RENAME TO newer_events;" EVENTS
    "INSERT INTO sh_events(seq, id, source, type, key, dedupe_id, received_ms, depth, cause,"
    " due_ms, body) SELECT seq, id, source, type, key, dedupe_id, received_ms, depth, cause,"
    " due_ms, body FROM newer_events;"
    "DROP TABLE newer_events;"
    "ALTER TABLE sh_outbox DROP COLUMN trace;"
    "ALTER TABLE sh_timers DROP COLUMN trace;"
    "ALTER TABLE sh_callbacks DROP COLUMN trace;"
    "DROP INDEX sh_outbox_ended;"
    "CREATE INDEX sh_outbox_sent ON sh_outbox(sent_ms) WHERE state = 'sent';"
    "DROP INDEX sh_callbacks_closed;"
    "DROP TABLE sh_tokens;"
    "DROP TABLE sh_audit;";
static const char after_3[] =
    "UPDATE sh_events SET format ="
    " (SELECT value FROM sh_meta WHERE name = 'format:' || sh_events.seq)"
    " WHERE seq IN (SELECT CAST(substr(name, 8) AS INTEGER) FROM sh_meta WHERE " ASIDE ");"
    "DELETE FROM sh_meta WHERE " ASIDE ";";
static const struct sh_store_rows rows_3[] = {
    {"events that are a form or a token, which an older one cannot read, and that rules have still"
     " to run on",
     "let their rules finish: resume those that are paused, start the engine, and wait until"
     " `switchhook events --state stored` lists none of them",
     "SELECT count(*) FROM sh_events WHERE format <> 0 AND seq IN"
     " (SELECT seq FROM sh_unfinished UNION SELECT seq FROM sh_runs WHERE outcome = 'retry'"
     " UNION SELECT seq FROM sh_runs WHERE outcome = 'paused')"
     " AND seq NOT IN (SELECT seq FROM sh_forgotten)"},
    {"lines of the audit table: who changed what", NULL, "SELECT count(*) FROM sh_audit"},
    {"tokens of the API: they have to be made anew", NULL, "SELECT count(*) FROM sh_tokens"},
    {"times at which an event happened, as its sender said", NULL,
     "SELECT count(*) FROM sh_events WHERE occurred_ms IS NOT NULL"},
    {"traces that events, deliveries, timers and callbacks belong to", NULL,
     "SELECT (SELECT count(*) FROM sh_events WHERE trace IS NOT NULL) +"
     " (SELECT count(*) FROM sh_outbox WHERE trace IS NOT NULL) +"
     " (SELECT count(*) FROM sh_timers WHERE trace IS NOT NULL) +"
     " (SELECT count(*) FROM sh_callbacks WHERE trace IS NOT NULL)"},
};

static const char down_2[] =
    GENERATION_FILES "INSERT INTO sh_generation_files(generation, name, is_rule, text)"
                     " SELECT p.generation, p.name, p.is_rule, t.text FROM sh_generation_parts p"
                     " JOIN sh_generation_texts t ON t.id = p.text;"
                     "DROP TABLE sh_generation_parts;"
                     "DROP TABLE sh_generation_texts;"
                     "DROP TABLE sh_generation_lives;"
                     "DROP INDEX sh_runs_paused;"
                     "DROP TABLE sh_rules;";
static const struct sh_store_rows rows_2[] = {
    {"runs that are kept for a paused rule, which an older one would never make",
     "resume the rule with `switchhook rules resume RULE`, start the engine, and wait until they"
     " are done",
     "SELECT count(*) FROM sh_runs WHERE outcome = 'paused'"},
    {"rules that are paused, which an older one would run",
     "resume them with `switchhook rules resume RULE`, or take them out of the rules folder first",
     "SELECT count(*) FROM sh_rules WHERE state <> 'on'"},
    {"counts of how often a rule failed", NULL, "SELECT count(*) FROM sh_rules"},
    {"notes of when a rule set went live, why, and what it changed", NULL,
     "SELECT count(*) FROM sh_generation_lives"},
};

#define ROWS(a) a, sizeof(a) / sizeof(*(a))
const struct sh_store_step sh_store_steps[SH_STORE_SCHEMA] = {
    {"events, runs, records, callbacks, timers, deliveries", up_1, NULL, NULL, NULL, 0},
    {"the history of rule sets, paused rules", up_2, NULL, down_2, ROWS(rows_2)},
    {"forms and tokens as events, traces, the API's tokens, audit, forgetting", up_3, after_3,
     down_3, ROWS(rows_3)},
    {"sessions of the console, the history of plots", up_4, NULL, down_4, ROWS(rows_4)},
};
