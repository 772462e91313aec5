/* SPDX-License-Identifier: MIT
 * change.c: what a person asks for, as an operation of the store, and its answer. */
#include "app/change.h"

#include "app/config.h"
#include "app/units.h"
#include "base/clock.h"
#include "base/zone.h"
#include "core/callback.h"
#include "svc/base64.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_TEXT 64 /* "sh_", 43 letters, NUL */

struct sh_change {
    union {
        struct sh_op op;
        struct sh_op_callback callback;
        struct sh_op_redrive dead;
        struct sh_op_rule_set rule;
        struct sh_op_timer_cancel timer;
        struct sh_op_token_new token;
        struct sh_op_token_revoke revoke;
    } u;
    struct sh_audit audit;
    char *who, *role, *peer, *target, *zone; /* owned, as what is in body */
    cJSON *body;
    char local[SH_LOCAL_TEXT];
    char secret[TOKEN_TEXT]; /* a new token's text */
};

typedef bool read_fn(struct sh_change *c, const char **field, struct sh_error *err);

static const char *text_of(const struct sh_change *c, const char *name)
{
    return sh_json_string(c->body, name);
}

/* --- times -------------------------------------------------------------------------------------
 */

bool sh_change_time(const char *text, const char *zone, int64_t *ms, char local[SH_LOCAL_TEXT])
{
    int64_t span_ms;
    struct sh_civil c;
    local[0] = '\0';
    if (sh_time_parse(text, strlen(text), ms))
        return true;
    if (sh_parse_duration(text, &span_ms)) {
        *ms = sh_now_ms() + span_ms;
        return true;
    }
    const struct sh_zone *z = sh_zone_find(zone ? zone : "UTC");
    if (!z || !sh_civil_parse(text, &c))
        return false;
    *ms = sh_zone_moment(z, sh_civil_seconds(&c), NULL) * 1000;
    snprintf(local, SH_LOCAL_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c.year, c.month, c.day,
             c.hour, c.minute, c.second);
    return true;
}

/* --- callbacks ---------------------------------------------------------------------------------
 */

static bool read_due(struct sh_change *c, const char **field, struct sh_error *err)
{
    const char *due = text_of(c, "due"), *zone = text_of(c, "zone");
    *field = "due";
    if (!due)
        return sh_error_set(err, SH_EINVAL,
                            "due: until when? Expected a duration such as \"2h\", or a time such as"
                            " \"2026-06-12T14:00\" or \"2026-06-12T14:00:00+02:00\"");
    if (zone && !sh_zone_find(zone)) {
        *field = "zone";
        return sh_error_set(err, SH_EINVAL,
                            "zone \"%.64s\": expected the name of a time zone such as"
                            " \"Europe/Amsterdam\"",
                            zone);
    }
    if (zone) {
        free(c->zone);
        c->zone = sh_strdup(zone);
    }
    if (!sh_change_time(due, c->zone, &c->u.callback.due_ms, c->local))
        return sh_error_set(err, SH_EINVAL,
                            "due \"%.64s\": expected a duration such as \"2h\", or a time such as"
                            " \"2026-06-12T14:00\" or \"2026-06-12T14:00:00+02:00\"",
                            due);
    c->u.callback.due_local = c->local[0] ? c->local : NULL;
    c->u.callback.zone = c->zone;
    return true;
}

static bool callback(struct sh_change *c, int action)
{
    const char *by = text_of(c, "by");
    c->u.callback = (struct sh_op_callback){.op.kind = SH_OP_CALLBACK,
                                            .id = c->target,
                                            .action = action,
                                            .by = by ? by : c->who,
                                            .note = text_of(c, "note")};
    return true;
}

static bool read_done(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return callback(c, SH_CALLBACK_DONE);
}

static bool read_cancel(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return callback(c, SH_CALLBACK_CANCEL);
}

static bool read_snooze(struct sh_change *c, const char **field, struct sh_error *err)
{
    return callback(c, SH_CALLBACK_SNOOZE) && read_due(c, field, err);
}

static bool read_reassign(struct sh_change *c, const char **field, struct sh_error *err)
{
    const char *to = text_of(c, "to");
    *field = "to";
    callback(c, SH_CALLBACK_REASSIGN);
    c->u.callback.assignee = to;
    return (to && *to) || sh_error_set(err, SH_EINVAL,
                                       "to: to whom? Expected an assignee such as"
                                       " \"desk@example.org\"");
}

/* --- dead letters ------------------------------------------------------------------------------
 */

static bool one_dead(struct sh_change *c, enum sh_op_kind kind)
{
    c->u.dead =
        (struct sh_op_redrive){.op.kind = kind, .id = c->target, .rule = text_of(c, "rule")};
    return true;
}

/* All is never what an empty body means. */
static bool many_dead(struct sh_change *c, enum sh_op_kind kind, const char **field,
                      struct sh_error *err)
{
    const char *which = text_of(c, "kind"), *rule = text_of(c, "rule");
    const bool all = cJSON_IsTrue(sh_json_member(c->body, "all"));
    *field = "kind";
    if (which && strcmp(which, "run") != 0 && strcmp(which, "email") != 0 &&
        strcmp(which, "http") != 0)
        return sh_error_set(err, SH_EINVAL, "kind \"%.40s\": expected run, email or http", which);
    *field = "all";
    if (!which && !rule && !all)
        return sh_error_set(err, SH_EINVAL,
                            "which dead letters? Expected \"rule\", \"kind\", or \"all\": true");
    c->u.dead = (struct sh_op_redrive){.op.kind = kind, .rule = rule, .kind = which};
    return true;
}

static bool read_one_redrive(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return one_dead(c, SH_OP_REDRIVE);
}

static bool read_one_drop(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return one_dead(c, SH_OP_DROP);
}

static bool read_many_redrive(struct sh_change *c, const char **field, struct sh_error *err)
{
    return many_dead(c, SH_OP_REDRIVE, field, err);
}

static bool read_many_drop(struct sh_change *c, const char **field, struct sh_error *err)
{
    return many_dead(c, SH_OP_DROP, field, err);
}

/* An event's path takes events alone: an item's id there would be an item brought back. */
static bool read_event(struct sh_change *c, enum sh_op_kind kind, const char **field,
                       struct sh_error *err)
{
    struct sh_id id;
    *field = NULL;
    return (sh_id_parse(c->target, strlen(c->target), &id) && one_dead(c, kind)) ||
           sh_error_set(err, SH_ENOTFOUND, "there is no event \"%.64s\"", c->target);
}

static bool read_event_redrive(struct sh_change *c, const char **field, struct sh_error *err)
{
    return read_event(c, SH_OP_REDRIVE, field, err);
}

static bool read_event_drop(struct sh_change *c, const char **field, struct sh_error *err)
{
    return read_event(c, SH_OP_DROP, field, err);
}

/* --- rules, timers -----------------------------------------------------------------------------
 */

static bool rule(struct sh_change *c, bool pause)
{
    const char *by = text_of(c, "by");
    c->u.rule = (struct sh_op_rule_set){
        .op.kind = SH_OP_RULE_SET, .rule = c->target, .pause = pause, .by = by ? by : c->who};
    return true;
}

static bool read_pause(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return rule(c, true);
}

static bool read_resume(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    return rule(c, false);
}

static bool read_timer(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    c->u.timer = (struct sh_op_timer_cancel){.op.kind = SH_OP_TIMER_CANCEL, .name = c->target};
    return true;
}

/* --- tokens ------------------------------------------------------------------------------------
 */

/* 256 random bits: nobody finds it by trying, so a plain hash of it gives nothing away. */
static void make_token(struct sh_change *c)
{
    uint8_t bytes[32];
    struct sh_buf text;
    sh_random(bytes, sizeof(bytes));
    sh_buf_init(&text, TOKEN_TEXT);
    sh_buf_adds(&text, "sh_");
    sh_base64_write(&text, sh_slice((const char *)bytes, sizeof(bytes)), SH_BASE64_URL);
    sh_require(sh_buf_ok(&text) && text.len < TOKEN_TEXT);
    memcpy(c->secret, text.data, text.len);
    const struct sh_slice part = sh_slice_str(c->secret);
    sh_sha256(&part, 1, c->u.token.hash);
    sh_buf_free(&text);
}

static bool read_token(struct sh_change *c, const char **field, struct sh_error *err)
{
    char local[SH_LOCAL_TEXT];
    const char *expires = text_of(c, "expires");
    c->u.token = (struct sh_op_token_new){
        .op.kind = SH_OP_TOKEN_NEW, .name = text_of(c, "name"), .role = text_of(c, "role")};
    *field = "name";
    if (!sh_token_name_ok(c->u.token.name))
        return sh_error_set(err, SH_EINVAL,
                            "name \"%.80s\": expected 1 to %d letters, digits and . _ - @, not"
                            " beginning with a dot",
                            c->u.token.name ? c->u.token.name : "", SH_MAX_TOKEN_NAME);
    *field = "role";
    if (!c->u.token.role)
        return sh_error_set(err, SH_EINVAL, "role: expected viewer, operator or admin");
    *field = "expires";
    if (expires && !sh_change_time(expires, c->zone, &c->u.token.expires_ms, local))
        return sh_error_set(err, SH_EINVAL,
                            "expires \"%.64s\": expected a duration such as \"90d\", or a time such"
                            " as \"2027-01-01T00:00:00Z\"",
                            expires);
    *field = NULL;
    make_token(c);
    return true;
}

static bool read_revoke(struct sh_change *c, const char **field, struct sh_error *err)
{
    (void)field;
    (void)err;
    c->u.revoke = (struct sh_op_token_revoke){.op.kind = SH_OP_TOKEN_REVOKE, .name = c->target};
    return true;
}

/* --- which there are ---------------------------------------------------------------------------
 */

static const char *const none[] = {NULL};
static const char *const note[] = {"note", "by", NULL};
static const char *const snooze[] = {"due", "zone", "note", "by", NULL};
static const char *const reassign[] = {"to", "note", "by", NULL};
static const char *const of_event[] = {"rule", NULL};
static const char *const filter[] = {"rule", "kind", "all", NULL};
static const char *const by[] = {"by", NULL};
static const char *const token[] = {"name", "role", "expires", NULL};

const struct sh_change_kind sh_change_kinds[] = {
    {"callback.done", SH_HTTP_POST, "/api/v1/callbacks/{id}/done", note},
    {"callback.cancel", SH_HTTP_POST, "/api/v1/callbacks/{id}/cancel", note},
    {"callback.snooze", SH_HTTP_POST, "/api/v1/callbacks/{id}/snooze", snooze},
    {"callback.reassign", SH_HTTP_POST, "/api/v1/callbacks/{id}/reassign", reassign},
    {"outbox.redrive", SH_HTTP_POST, "/api/v1/outbox/{id}/redrive", none},
    {"outbox.drop", SH_HTTP_POST, "/api/v1/outbox/{id}/drop", none},
    {"event.redrive", SH_HTTP_POST, "/api/v1/events/{id}/redrive", of_event},
    {"event.drop", SH_HTTP_POST, "/api/v1/events/{id}/drop", of_event},
    {"dead.redrive", SH_HTTP_POST, "/api/v1/dead/redrive", filter},
    {"dead.drop", SH_HTTP_POST, "/api/v1/dead/drop", filter},
    {"rule.pause", SH_HTTP_POST, "/api/v1/rules/{name}/pause", by},
    {"rule.resume", SH_HTTP_POST, "/api/v1/rules/{name}/resume", by},
    {"timer.cancel", SH_HTTP_DELETE, "/api/v1/timers/{name}", none},
    {"token.new", SH_HTTP_POST, "/api/v1/tokens", token},
    {"token.revoke", SH_HTTP_DELETE, "/api/v1/tokens/{name}", none},
    {NULL, SH_HTTP_POST, NULL, NULL},
};
static read_fn *const readers[] = {
    read_done,     read_cancel,        read_snooze,     read_reassign,     read_one_redrive,
    read_one_drop, read_event_redrive, read_event_drop, read_many_redrive, read_many_drop,
    read_pause,    read_resume,        read_timer,      read_token,        read_revoke};
_Static_assert(sizeof(readers) / sizeof(readers[0]) + 1 ==
                   sizeof(sh_change_kinds) / sizeof(sh_change_kinds[0]),
               "each kind has its reader");

const struct sh_change_kind *sh_change_kind(const char *action)
{
    for (const struct sh_change_kind *k = sh_change_kinds; k->action; k++)
        if (strcmp(k->action, action) == 0)
            return k;
    return NULL;
}

char *sh_change_path(const struct sh_change_kind *kind, const char *target)
{
    struct sh_buf out;
    const char *open = strchr(kind->pattern, '{');
    const char *rest = open ? strchr(open, '}') + 1 : "";
    sh_buf_init(&out, strlen(kind->pattern) + (target ? 3 * strlen(target) : 0) + 1);
    sh_buf_add(&out, kind->pattern, open ? (size_t)(open - kind->pattern) : strlen(kind->pattern));
    for (const char *p = target; open && p && *p; p++) {
        const bool plain = (unsigned char)*p < 0x80 && (isalnum((unsigned char)*p) || *p == '-');
        if (plain)
            sh_buf_addc(&out, *p);
        else
            sh_buf_addf(&out, "%%%02X", (unsigned)(unsigned char)*p);
    }
    sh_buf_adds(&out, rest);
    return sh_buf_take(&out, NULL);
}

/* --- life --------------------------------------------------------------------------------------
 */

static bool check_body(const struct sh_change *c, const struct sh_change_kind *kind,
                       const char **field, struct sh_error *err)
{
    const cJSON *m;
    cJSON_ArrayForEach(m, c->body)
    {
        const char *const *f = kind->fields;
        while (*f && strcmp(*f, m->string) != 0)
            f++;
        *field = *f;
        if (!*f)
            return sh_error_set(err, SH_EINVAL, "there is no field \"%.64s\" here", m->string);
        const bool flag = strcmp(*f, "all") == 0;
        if (flag ? !cJSON_IsBool(m) : !cJSON_IsString(m))
            return sh_error_set(err, SH_EINVAL, "%s: expected %s", *f,
                                flag ? "true or false" : "a text");
    }
    *field = NULL;
    return true;
}

struct sh_change *sh_change_new(const struct sh_change_ask *ask, const char **field,
                                struct sh_error *err)
{
    struct sh_change *c = sh_alloc(1, sizeof(*c));
    const char *unused;
    if (!field)
        field = &unused;
    *field = NULL;
    c->who = sh_strdup(ask->who ? ask->who : "");
    c->role = sh_strdup(ask->role);
    c->peer = sh_strdup(ask->peer);
    c->target = sh_strdup(ask->target ? ask->target : "");
    c->zone = sh_strdup(ask->zone ? ask->zone : "UTC");
    c->body = ask->body ? cJSON_Duplicate(ask->body, true) : cJSON_CreateObject();
    c->audit = (struct sh_audit){.who = c->who, .role = c->role, .peer = c->peer};
    if (!check_body(c, ask->kind, field, err) ||
        !readers[ask->kind - sh_change_kinds](c, field, err)) {
        sh_change_free(c);
        return NULL;
    }
    c->u.op.audit = &c->audit;
    return c;
}

struct sh_op *sh_change_op(struct sh_change *c)
{
    return &c->u.op;
}

void sh_change_free(struct sh_change *c)
{
    if (!c)
        return;
    free(c->who);
    free(c->role);
    free(c->peer);
    free(c->target);
    free(c->zone);
    cJSON_Delete(c->body);
    explicit_bzero(c->secret, sizeof(c->secret));
    free(c);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void add_time(cJSON *o, const char *name, int64_t ms)
{
    char text[SH_TIME_TEXT];
    if (ms)
        cJSON_AddStringToObject(o, name, sh_time_text(ms, text));
    else
        cJSON_AddNullToObject(o, name);
}

static void answer_dead(const struct sh_op_redrive *op, cJSON *o)
{
    cJSON_AddItemToObject(o, "runs", sh_json_int((int64_t)op->n_runs));
    cJSON_AddItemToObject(o, "items", sh_json_int((int64_t)op->n_items));
}

static void answer_rule(const struct sh_op_rule_set *op, cJSON *o)
{
    cJSON_AddStringToObject(o, "rule", op->rule);
    cJSON_AddStringToObject(o, "was", sh_rule_state_name(op->was));
    cJSON_AddStringToObject(o, "state", sh_rule_state_name(op->state));
    cJSON_AddItemToObject(o, "kept", sh_json_int(op->kept));
}

static void answer_token(const struct sh_change *c, cJSON *o)
{
    cJSON_AddStringToObject(o, "name", c->u.token.name);
    cJSON_AddStringToObject(o, "role", c->u.token.role);
    add_time(o, "expires_at", c->u.token.expires_ms);
    cJSON_AddStringToObject(o, "token", c->secret);
}

static cJSON *answer(const struct sh_change *c)
{
    cJSON *o = cJSON_CreateObject();
    switch (c->u.op.kind) {
    case SH_OP_CALLBACK:
        cJSON_AddStringToObject(o, "id", c->u.callback.found);
        cJSON_AddStringToObject(o, "status", c->u.callback.status);
        break;
    case SH_OP_REDRIVE:
    case SH_OP_DROP:
        answer_dead(&c->u.dead, o);
        break;
    case SH_OP_RULE_SET:
        answer_rule(&c->u.rule, o);
        break;
    case SH_OP_TIMER_CANCEL:
        cJSON_AddStringToObject(o, "name", c->u.timer.name);
        add_time(o, "due_at", c->u.timer.due_ms);
        break;
    case SH_OP_TOKEN_NEW:
        answer_token(c, o);
        break;
    default:
        cJSON_AddStringToObject(o, "name", c->target);
    }
    return o;
}

/* How that stands which a refusal is about; NULL: nothing to say. */
static const char *state_of(const struct sh_change *c)
{
    if (c->u.op.kind == SH_OP_CALLBACK && c->u.callback.status[0])
        return c->u.callback.status;
    return c->u.op.kind == SH_OP_RULE_SET ? sh_rule_state_name(c->u.rule.state) : NULL;
}

cJSON *sh_change_answer(struct sh_change *c, const char **state, struct sh_error *err)
{
    const struct sh_op *op = &c->u.op;
    const bool dead = op->kind == SH_OP_REDRIVE || op->kind == SH_OP_DROP;
    if (state)
        *state = NULL;
    if (op->ok && dead && c->u.dead.id && c->u.dead.n_runs + c->u.dead.n_items == 0) {
        sh_error_set(err, SH_ENOTFOUND, "there is no dead letter of \"%.80s\"", c->u.dead.id);
        return NULL;
    }
    if (op->ok)
        return answer(c);
    *err = op->err;
    if (state && err->code == SH_ECONFLICT)
        *state = state_of(c);
    return NULL;
}

/* --- without an engine -------------------------------------------------------------------------
 */

static void note_done(struct sh_op *op)
{
    *(bool *)op->arg = true;
}

bool sh_change_carry_out(const char *dir, const struct sh_config *c, struct sh_op *op,
                         struct sh_error *err)
{
    struct sh_store_config config = {.dir = dir,
                                     .shared = true,
                                     .callback_email = c->callback_email,
                                     .callback_missed_ms = c->callback_missed_ms,
                                     .zone = c->settings.zone};
    bool done = false;
    struct sh_store *s = sh_store_open(&config, err);
    if (!s && err->code == SH_ENOTFOUND && op->kind == SH_OP_TOKEN_NEW) {
        config.shared = false; /* before the first start: so that it never is without one */
        s = sh_store_open(&config, err);
    }
    if (!s)
        return false;
    op->done = note_done;
    op->arg = &done;
    sh_store_submit(s, op);
    sh_store_reap(s);
    sh_require(done);
    sh_store_close(s);
    if (!op->ok)
        *err = op->err;
    return op->ok;
}

const char *sh_change_login(void)
{
    static char name[64];
    const struct passwd *p = getpwuid(geteuid());
    if (p && p->pw_name && *p->pw_name)
        snprintf(name, sizeof(name), "%s", p->pw_name);
    else
        snprintf(name, sizeof(name), "uid %u", (unsigned)geteuid());
    return name;
}
