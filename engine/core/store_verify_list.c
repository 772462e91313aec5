/* SPDX-License-Identifier: MIT
 * store_verify_list.c: what the engine relies on, one check each. A row of an answer: is it bad,
 * and how a person finds it. docs/store.md has the list for people. */
#include "core/store_verify_impl.h"

#define GO_BACK                                                                                    \
    "put back the newest backup that verifies (switchhook restore), and keep this file: what came" \
    " since can be read from it"
#define TELL    "a fault in switchhook itself: keep a backup of the store, and report it"
#define BY_HAND "stop the engine, make a backup, and mend or remove these rows with sqlite3"

#define EVENT(seq)  "EXISTS(SELECT 1 FROM sh_events e WHERE e.seq = " seq ")"
#define MOST_DEPTH  "16"              /* SH_MAX_EMIT_DEPTH */
#define LAST_MOMENT "253402300799999" /* 9999-12-31T23:59:59.999Z */
#define D           "[0-9]"
#define LOCAL_TIME  D D D D "-" D D "-" D D "T" D D ":" D D ":" D D
/* local, zone: of timers and callbacks */
#define LOCAL_OK        "(local IS NULL OR (zone IS NOT NULL AND local GLOB '" LOCAL_TIME "'))"
#define LANE_OK         "(lane = 'email' OR lane GLOB 'http:?*')"
#define JSON_OK(column) "(" column " IS NULL OR json_valid(" column "))"
/* It may have been pruned; but no other event has its place. */
#define NAMES_EVENT(table, what)                                                                   \
    "SELECT sh_seq_of(event_id) IS NULL OR EXISTS(SELECT 1 FROM sh_events e WHERE e.seq ="         \
    " sh_seq_of(event_id) AND e.id <> event_id), '" what " names event ' || event_id"              \
    " FROM " table " WHERE event_id IS NOT NULL"
#define NUMBERED(table)                                                                            \
    "SELECT (SELECT coalesce(max(seq), 0) FROM " table ") > coalesce((SELECT seq FROM"             \
    " sqlite_sequence WHERE name = '" table "'), 0), '" table "'"

const struct sh_store_check_of sh_store_check_list[] = {
    {.name = "pages",
     .says = "SQLite finds the file, its indexes and the types of columns in order",
     .advice = "the disk or the memory of this machine may be failing. " GO_BACK,
     .since = 0,
     .damage = true},
    {.name = "tables",
     .says = "tables and indexes are those of this schema, and there is no trigger",
     .advice = "somebody changed them by hand. " GO_BACK,
     .since = 1,
     .damage = true},
    {.name = "migrations",
     .says = "every step of the schema was applied, in order",
     .advice = GO_BACK,
     .sql = "SELECT version <> (SELECT count(*) FROM sh_migrations n WHERE n.version <="
            " m.version), 'step ' || version FROM sh_migrations m",
     .since = 0,
     .damage = true},

    {.name = "event-ids",
     .says = "an event's id says where in the journal it lies",
     .advice = BY_HAND,
     .sql = "SELECT coalesce(sh_seq_of(id) <> seq, 1), 'event ' || id || ', seq ' || seq"
            " FROM sh_events",
     .since = 0},
    {.name = "events",
     .says =
         "events have a source, a time, and are at most " MOST_DEPTH " steps from one that came in",
     .advice = BY_HAND,
     .sql = "SELECT source = '' OR received_ms <= 0 OR depth NOT BETWEEN 0 AND " MOST_DEPTH
            ", 'event ' || id FROM sh_events",
     .since = 0},
    {.name = "event-bodies",
     .says = "an event's bytes are what its format says: JSON, a form, a JSON Web Token",
     .advice = "its rules cannot run on it: " BY_HAND,
     .sql = "SELECT NOT sh_body_is(format, body), 'event ' || id FROM sh_events",
     .since = 3},
    {.name = "event-names",
     .says = "what names an event names the one that lies there, or one that was pruned",
     .advice = BY_HAND,
     .sql = NAMES_EVENT("sh_outbox", "delivery ' || id || '") " UNION ALL " NAMES_EVENT(
         "sh_callbacks",
         "callback ' || id || '") " UNION ALL " NAMES_EVENT("sh_timers",
                                                            "timer ' || seq || '") " UNION ALL "
                                                                                   "SELECT "
                                                                                   "sh_seq_of("
                                                                                   "cause) IS NULL "
                                                                                   "OR "
                                                                                   "EXISTS(SELECT "
                                                                                   "1 FROM "
                                                                                   "sh_events e "
                                                                                   "WHERE"
                                                                                   " e.seq = "
                                                                                   "sh_seq_of(c."
                                                                                   "cause) AND "
                                                                                   "e.id <> "
                                                                                   "c.cause), "
                                                                                   "'event ' || id "
                                                                                   "|| ' names "
                                                                                   "event ' ||"
                                                                                   " cause FROM "
                                                                                   "sh_events c "
                                                                                   "WHERE cause IS "
                                                                                   "NOT NULL",
     .since = 1},
    {.name = "dedupe",
     .says = "every event is found by its dedupe id",
     .advice = "a repeat of these events would be taken for a new one. " TELL,
     .sql =
         "SELECT NOT EXISTS(SELECT 1 FROM sh_dedupe d WHERE d.hash = h AND d.seq = x.seq) AND NOT"
         " EXISTS(SELECT 1 FROM sh_dedupe_new n WHERE n.seq = x.seq AND n.hash = h), 'event ' ||"
         " id FROM (SELECT seq, id, sh_dedupe_of(source, dedupe_id) AS h FROM sh_events WHERE"
         " dedupe_id <> 'forgotten-' || seq) x",
     .since = 0},
    {.name = "dedupe-new",
     .says = "dedupe ids that wait to be sorted in are those of events",
     .advice = BY_HAND,
     .sql =
         "SELECT length(hash) <> 16 OR NOT " EVENT("n.seq") ", 'seq ' || seq FROM sh_dedupe_new n",
     .since = 0},
    {.name = "dedupe-sorted",
     .says = "dedupe ids have 16 bytes and a seq",
     .advice = BY_HAND,
     .sql = "SELECT length(hash) <> 16 OR seq <= 0, 'hash ' || hex(hash) FROM sh_dedupe",
     .since = 0},
    {.name = "unfinished",
     .says = "what rules have still to run on is in the journal",
     .advice = BY_HAND,
     .sql = "SELECT NOT " EVENT("u.seq") ", 'seq ' || seq FROM sh_unfinished u",
     .since = 0},
    {.name = "forgotten",
     .says = "events that are forgotten while their rules run are unfinished",
     .advice = BY_HAND,
     .sql = "SELECT NOT EXISTS(SELECT 1 FROM sh_unfinished u WHERE u.seq = f.seq), 'seq ' || seq"
            " FROM sh_forgotten f",
     .since = 3},

    {.name = "runs",
     .says = "a run has its event and its rule",
     .advice = BY_HAND,
     .sql =
         "SELECT rule = '' OR NOT " EVENT("r.seq") ", 'run of ' || quote(rule) || ' on seq ' || seq"
                                                   " FROM sh_runs r",
     .since = 0},
    {.name = "run-states",
     .says = "a run's outcome is known, and one that waits for a retry has its time",
     .advice = BY_HAND,
     .sql = "SELECT outcome NOT IN ('done', 'retry', 'paused', 'dead', 'dropped') OR"
            " (outcome = 'retry') <> (next_ms IS NOT NULL) OR attempts < 0 OR duration_us < 0,"
            " 'run of ' || quote(rule) || ' on seq ' || seq FROM sh_runs",
     .since = 0},
    {.name = "run-texts",
     .says = "a run's effects, log lines and look-ups are JSON",
     .advice = BY_HAND,
     .sql = "SELECT NOT json_valid(effects) OR NOT " JSON_OK("logs") " OR NOT " JSON_OK(
         "lookups") ", 'run of ' || quote(rule) || ' on seq ' || seq FROM sh_runs",
     .since = 1},
    {.name = "run-generations",
     .says = "the rule set of a run that waits or is a dead letter is kept",
     .advice = TELL,
     .sql = "SELECT generation <> '' AND NOT EXISTS(SELECT 1 FROM sh_generations g WHERE g.id ="
            " r.generation), 'run of ' || quote(rule) || ' on seq ' || seq || ', generation ' ||"
            " generation FROM sh_runs r WHERE outcome IN ('retry', 'paused', 'dead')",
     .since = 0},
    {.name = "run-pauses",
     .says = "a run that is kept for a paused rule has such a rule",
     .advice = "pause the rule and resume it: switchhook rules pause RULE, then resume",
     .sql = "SELECT NOT EXISTS(SELECT 1 FROM sh_rules s WHERE s.rule = r.rule AND s.state IN"
            " ('paused', 'resuming')), 'run of ' || quote(rule) || ' on seq ' || seq FROM sh_runs r"
            " WHERE outcome = 'paused'",
     .since = 2},
    {.name = "rules",
     .says = "a rule's state is known",
     .advice = BY_HAND,
     .sql =
         "SELECT rule = '' OR state NOT IN ('on', 'paused', 'resuming') OR failures < 0 OR pauses"
         " < 0, 'rule ' || quote(rule) FROM sh_rules",
     .since = 2},

    {.name = "records",
     .says = "a record is a JSON object, in a collection, under an id",
     .advice = BY_HAND,
     .sql =
         "SELECT NOT sh_object_is(doc) OR id = '' OR collection GLOB '*[^a-z0-9_]*' OR collection"
         " NOT GLOB '[a-z]*', collection || '/' || id FROM sh_records",
     .since = 0},
    {.name = "record-versions",
     .says = "no record's version is one that is still to be given",
     .advice = "set value of record_versions in sh_meta to more than the largest version",
     .sql = "SELECT version < 1 OR version > coalesce((SELECT value FROM sh_meta WHERE name ="
            " 'record_versions'), -1), collection || '/' || id || ', version ' || version FROM"
            " sh_records",
     .since = 0},
    {.name = "counters",
     .says = "the counter of record versions is there",
     .advice = GO_BACK,
     .sql = "SELECT count(*) <> 1, 'record_versions' FROM sh_meta WHERE name = 'record_versions'"
            " AND value >= 0",
     .since = 0,
     .damage = true},
    {.name = "numbers",
     .says = "no number of a delivery or a timer can be given twice",
     .advice = "set seq of the table in sqlite_sequence to its largest",
     .sql = NUMBERED("sh_outbox") " UNION ALL " NUMBERED("sh_timers"),
     .since = 1},
    {.name = "views",
     .says = "a collection's typed view has the columns that were seen",
     .advice = "drop the view and its rows in sh_fields: the next write of a record makes it anew",
     .sql =
         "SELECT NOT EXISTS(SELECT 1 FROM sqlite_schema s WHERE lower(s.name) = collection AND NOT"
         " (s.type = 'view' AND s.sql LIKE '%FROM sh_records WHERE collection = ''' || collection"
         " || '''')) AND NOT EXISTS(SELECT 1 FROM sqlite_schema s WHERE s.name = collection AND"
         " substr(s.sql, 1, length(head)) = head), 'view ' || collection FROM (SELECT collection,"
         " 'CREATE VIEW \"' || collection || '\"(\"id\",' || group_concat('\"' || replace(field,"
         " '\"', '\"\"') || '\"') || ',\"updated_at\") AS SELECT id' AS head FROM (SELECT"
         " collection, field FROM sh_fields ORDER BY collection, place) GROUP BY collection)",
     .since = 0},

    {.name = "timers",
     .says = "a timer's name says of what kind it is, and a clock rule's has its times",
     .advice = BY_HAND,
     .sql =
         "SELECT NOT coalesce(length(name) > 2 AND CASE substr(name, 1, 2) WHEN 'c:' THEN every IS"
         " NOT NULL AND zone IS NOT NULL AND rule = substr(name, 3) WHEN 'n:' THEN every IS NULL"
         " WHEN 'k:' THEN every IS NULL WHEN 'p:' THEN every IS NULL ELSE 0 END, 0),"
         " 'timer ' || seq FROM sh_timers",
     .since = 1},
    {.name = "timer-events",
     .says = "a timer has a time, and the body of the event that it will be",
     .advice = BY_HAND,
     .sql = "SELECT NOT (due_ms BETWEEN 0 AND " LAST_MOMENT " AND depth BETWEEN 0 AND " MOST_DEPTH
            " AND source <> '' AND type <> '' AND sh_body_is(0, body) AND " LOCAL_OK
            "), 'timer ' || seq FROM sh_timers",
     .since = 1},

    {.name = "outbox",
     .says = "a delivery has a kind, a key, a lane, and what is to be delivered",
     .advice = BY_HAND,
     .sql = "SELECT NOT (kind IN ('email', 'http') AND key <> '' AND id = kind || '-' || key AND"
            " (kind = 'email') = (lane = 'email') AND " LANE_OK " AND sh_object_is(payload)"
            " AND " JSON_OK("recipients") "), 'delivery ' || id FROM"
                                          " sh_outbox",
     .since = 1},
    {.name = "outbox-states",
     .says = "a delivery that waits has a place or a time, one that ended has not",
     .advice = BY_HAND,
     .sql = "SELECT NOT CASE state WHEN 'queued' THEN coalesce(next_ms >= 0, 0) AND sent_ms IS NULL"
            " WHEN 'sent' THEN next_ms IS NULL AND sent_ms IS NOT NULL WHEN 'dead' THEN next_ms IS"
            " NULL AND sent_ms IS NULL WHEN 'dropped' THEN next_ms IS NULL ELSE 0 END OR attempts <"
            " 0, 'delivery ' || id FROM sh_outbox",
     .since = 1},
    {.name = "lanes",
     .says = "a pause has a target and an end",
     .advice = "remove these rows of sh_lanes: deliveries to the target go on",
     .sql = "SELECT NOT " LANE_OK " OR until_ms <= 0, 'lane ' || quote(lane) FROM sh_lanes",
     .since = 1},

    {.name = "callbacks",
     .says = "a callback's status is known and fits its times",
     .advice = BY_HAND,
     .sql =
         "SELECT id = '' OR minutes < 1 OR NOT " LOCAL_OK
         " OR NOT CASE WHEN status IN ('scheduled',"
         " 'snoozed') THEN told_ms IS NULL AND closed_ms IS NULL WHEN status IN ('due', 'missed')"
         " THEN told_ms IS NOT NULL AND closed_ms IS NULL WHEN status IN ('done', 'cancelled')"
         " THEN closed_ms IS NOT NULL ELSE 0 END, 'callback ' || id FROM sh_callbacks",
     .since = 1},
    {.name = "callback-digits",
     .says = "a callback is found by its number",
     .advice = BY_HAND,
     .sql = "SELECT digits <> sh_digits(coalesce(number, '')), 'callback ' || id FROM sh_callbacks",
     .since = 1},
    {.name = "callback-histories",
     .says = "a callback has a history",
     .advice = BY_HAND,
     .sql =
         "SELECT NOT EXISTS(SELECT 1 FROM sh_callback_changes h WHERE h.id = c.id), 'callback ' ||"
         " id FROM sh_callbacks c",
     .since = 1},
    {.name = "callback-changes",
     .says = "histories are of callbacks, and whole",
     .advice = BY_HAND,
     .sql =
         "SELECT NOT EXISTS(SELECT 1 FROM sh_callbacks c WHERE c.id = h.id) OR place < 1 OR (place"
         " > 1 AND NOT EXISTS(SELECT 1 FROM sh_callback_changes b WHERE b.id = h.id AND b.place ="
         " h.place - 1)), 'callback ' || id || ', change ' || place FROM sh_callback_changes h",
     .since = 1},
    {.name = "feeds",
     .says = "a calendar address belongs to somebody and cannot be guessed",
     .advice = "remove these rows of sh_feeds: the address is made anew when it is asked for",
     .sql = "SELECT assignee = '' OR length(token) < 20, 'calendar of ' || assignee FROM sh_feeds",
     .since = 1},

    {.name = "generations",
     .says = "a rule set's name is the hash of its texts, and all of them are there",
     .advice = "the live one goes live anew at the next start, from its folders. " TELL,
     .sql =
         "SELECT coalesce(sh_generation_of(id) <> id, 1), 'generation ' || id FROM sh_generations",
     .since = 2},
    {.name = "generation-files",
     .says = "a file of a rule set has its rule set and its text",
     .advice = BY_HAND,
     .sql = "SELECT NOT EXISTS(SELECT 1 FROM sh_generations g WHERE g.id = p.generation) OR NOT"
            " EXISTS(SELECT 1 FROM sh_generation_texts t WHERE t.id = p.text), generation || ' ' ||"
            " name FROM sh_generation_parts p",
     .since = 2},
    {.name = "generation-texts",
     .says = "every text is of a rule set",
     .advice = "remove these rows of sh_generation_texts",
     .sql = "SELECT id NOT IN (SELECT text FROM sh_generation_parts), 'text ' || id FROM"
            " sh_generation_texts",
     .since = 2},
    {.name = "generation-lives",
     .says = "what went live is kept, and one rule set is live",
     .advice = "start the engine: its rules go live anew",
     .sql =
         "SELECT NOT json_valid(changes) OR NOT EXISTS(SELECT 1 FROM sh_generations g WHERE g.id ="
         " l.generation), 'going live ' || seq || ' of generation ' || generation FROM"
         " sh_generation_lives l UNION ALL SELECT 1, 'no generation is live' WHERE EXISTS(SELECT 1"
         " FROM sh_generations) AND NOT EXISTS(SELECT 1 FROM sh_generation_lives)",
     .since = 2},

    {.name = "tokens",
     .says = "a token of the API has a name, a role and a hash",
     .advice = "revoke them: switchhook token revoke NAME",
     .sql = "SELECT name = '' OR role NOT IN ('viewer', 'operator', 'admin') OR length(hash) <> 32,"
            " 'token ' || quote(name) FROM sh_tokens",
     .since = 3},
    {.name = "sessions",
     .says = "a session of the console has its token",
     .advice = "remove these rows of sh_sessions: whoever it was logs in again",
     .sql = "SELECT length(hash) <> 32 OR NOT EXISTS(SELECT 1 FROM sh_tokens t WHERE t.hash ="
            " s.token), 'session ' || id FROM sh_sessions s",
     .since = 4},
    {.name = "audit",
     .says = "a line of the audit table says what was done",
     .advice = TELL,
     .sql = "SELECT action = '' OR NOT " JSON_OK("detail") ", 'line ' || seq FROM sh_audit",
     .since = 3},
    {.name = "series",
     .says = "minutes of plots are counts",
     .advice = "remove these rows of sh_series: only plots miss them",
     .sql = "SELECT NOT sh_object_is(counts), 'minute ' || at_ms FROM sh_series",
     .since = 4},
};
const size_t sh_store_n_checks = sizeof(sh_store_check_list) / sizeof(sh_store_check_list[0]);
