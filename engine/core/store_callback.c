/* SPDX-License-Identifier: MIT
 * store_callback.c: callbacks and their life (callback.h).
 *
 * Every change goes the same way: the row, its history, the calendar of whoever was invited, and an
 * event for the rules. Closing, putting off and handing over are events as well as falling due, so
 * that a rule can hear of what a person did. */
#include "base/utf8.h"
#include "core/store_call.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEF_MINUTES      15
#define MAX_MINUTES      (24 * 60)
#define MAX_PERSON_BYTES (16 << 10)        /* of a text that a person gives */
#define MAX_TIME_MS      253402300799999LL /* 9999-12-31T23:59:59.999Z */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* --- what the calendar must know ---------------------------------------------- */

static bool wants_email(const struct sh_store *s, const struct sh_store_call *c)
{
    return c->email && s->config.callback_email;
}

/* CANCEL to whoever was invited. */
static bool uninvite(struct sh_store *s, struct sh_store_call *c, const char *what,
                     const struct sh_store_hand *h, struct sh_error *err)
{
    char *assignee = c->text[SH_CALL_ASSIGNEE];
    if (!c->text[SH_CALL_INVITED_TO])
        return true;
    c->text[SH_CALL_ASSIGNEE] = sh_strdup(c->text[SH_CALL_INVITED_TO]);
    bool ok = sh_store_call_mail(s, c, "CANCEL", what, h, err);
    free(c->text[SH_CALL_ASSIGNEE]);
    c->text[SH_CALL_ASSIGNEE] = assignee;
    return ok;
}

/* After a change of an open or missed one: who was invited gets the new state; who no longer has it
 * is told so, and the next one invited. */
static bool reinvite(struct sh_store *s, struct sh_store_call *c, const char *what,
                     const struct sh_store_hand *h, struct sh_error *err)
{
    const char *invited = c->text[SH_CALL_INVITED_TO];
    const bool due = sh_store_call_is(c, "due") || sh_store_call_is(c, "missed");
    const bool invite = invited || (due && wants_email(s, c));
    if (invited && same_text(invited, c->text[SH_CALL_ASSIGNEE]))
        return sh_store_call_mail(s, c, "REQUEST", what, h, err);
    return uninvite(s, c, what, h, err) &&
           (!invite || sh_store_call_mail(s, c, "REQUEST", what, h, err));
}

/* Write it down, with its history. */
static bool keep(struct sh_store *s, struct sh_store_call *c, const char *what, const char *detail,
                 const struct sh_store_hand *h, int64_t *place, struct sh_error *err)
{
    c->updated_ms = h->now_ms;
    if (h->n_timed)
        ++*h->n_timed;
    return sh_store_call_put(s, c, err) && sh_store_call_note(s, c, what, h, detail, place, err);
}

/* --- done, cancelled, snoozed, reassigned --------------------------------------- */

struct act {
    int action; /* enum sh_callback_action */
    const char *note, *assignee;
    int64_t due_ms;
    const char *local, *zone; /* a time of day that was asked for, or NULL */
};

static const char *act_name(int action)
{
    static const char *const names[] = {[SH_CALLBACK_DONE] = "done",
                                        [SH_CALLBACK_CANCEL] = "cancelled",
                                        [SH_CALLBACK_SNOOZE] = "snoozed",
                                        [SH_CALLBACK_REASSIGN] = "reassigned"};
    return names[action];
}

static void change_row(struct sh_store_call *c, const struct act *a, int64_t now_ms)
{
    c->sequence++;
    if (a->note)
        sh_store_call_set(c, SH_CALL_NOTE, a->note);
    if (a->action == SH_CALLBACK_REASSIGN) {
        sh_store_call_set(c, SH_CALL_ASSIGNEE, a->assignee);
        return;
    }
    sh_store_call_set(c, SH_CALL_STATUS, act_name(a->action));
    if (a->action == SH_CALLBACK_SNOOZE) {
        c->due_ms = a->due_ms;
        c->told_ms = 0;
        sh_store_call_set(c, SH_CALL_LOCAL, a->local);
        if (a->zone)
            sh_store_call_set(c, SH_CALL_ZONE, a->zone);
    } else {
        c->closed_ms = now_ms;
    }
}

static bool tell_calendar(struct sh_store *s, struct sh_store_call *c, const struct act *a,
                          const struct sh_store_hand *h, struct sh_error *err)
{
    const char *what = act_name(a->action);
    if (a->action == SH_CALLBACK_DONE && c->due_ms <= h->now_ms)
        return true; /* it was to take place, and did */
    if (a->action == SH_CALLBACK_DONE || a->action == SH_CALLBACK_CANCEL)
        return uninvite(s, c, what, h, err);
    return reinvite(s, c, what, h, err);
}

static bool act(struct sh_store *s, struct sh_store_call *c, const struct act *a,
                const struct sh_store_hand *h, struct sh_error *err)
{
    int64_t place;
    struct sh_buf detail;
    char when[SH_TIME_TEXT];
    change_row(c, a, h->now_ms);
    c->updated_ms = h->now_ms;
    sh_buf_init(&detail, SH_MAX_DOC_BYTES);
    if (a->action == SH_CALLBACK_SNOOZE)
        sh_buf_addf(&detail, "due %s", sh_time_text(a->due_ms, when));
    if (a->action == SH_CALLBACK_REASSIGN)
        sh_buf_addf(&detail, "to %s", a->assignee);
    if (a->note) {
        if (detail.len)
            sh_buf_adds(&detail, "; ");
        sh_buf_adds(&detail, a->note);
    }
    bool ok = tell_calendar(s, c, a, h, err) &&
              keep(s, c, act_name(a->action), detail.data, h, &place, err) &&
              sh_store_call_tell(s, c, act_name(a->action), h, place, err);
    sh_buf_free(&detail);
    return ok;
}

/* --- callback{} ------------------------------------------------------------------ */

struct wanted { /* the document; texts borrowed from it */
    const char *number, *digits, *name, *assignee, *reason, *completes, *local, *zone;
    int64_t due_ms, minutes; /* minutes 0 = not said */
    int email;               /* -1 = not said */
    uint32_t depth;
};

static bool read_wanted(const cJSON *doc, struct wanted *w, struct sh_error *err)
{
    const cJSON *email = sh_json_member(doc, "email"), *minutes = sh_json_member(doc, "minutes");
    *w = (struct wanted){.number = sh_json_string(doc, "number"),
                         .name = sh_json_string(doc, "name"),
                         .assignee = sh_json_string(doc, "assignee"),
                         .reason = sh_json_string(doc, "reason"),
                         .completes = sh_json_string(doc, "completes"),
                         .local = sh_json_string(doc, "due_local"),
                         .zone = sh_json_string(doc, "zone"),
                         .email = cJSON_IsBool(email) ? cJSON_IsTrue(email) : -1};
    if (!w->number || !*w->number)
        return sh_error_set(err, SH_EINVAL, "callback: 'number' expected a text with the number");
    if (!sh_json_get_int(sh_json_member(doc, "due_at"), &w->due_ms) || w->due_ms < 0 ||
        w->due_ms > MAX_TIME_MS)
        return sh_error_set(err, SH_EINVAL,
                            "callback: 'due' expected a time between 1970 and 9999, in Unix"
                            " milliseconds");
    if (minutes && !cJSON_IsNull(minutes) &&
        (!sh_json_get_int(minutes, &w->minutes) || w->minutes < 1 || w->minutes > MAX_MINUTES))
        return sh_error_set(err, SH_EINVAL,
                            "callback: 'minutes' expected a whole number from 1 to %d",
                            MAX_MINUTES);
    if (w->completes && strcmp(w->completes, "answered") != 0)
        return sh_error_set(err, SH_EINVAL,
                            "callback: 'completes' expected \"answered\", got"
                            " \"%.40s\"",
                            w->completes);
    if (!w->local || !*w->local)
        w->local = NULL;
    return true;
}

static bool near_due(const struct sh_store_call *c, const struct wanted *w)
{
    return c->due_ms == w->due_ms && same_text(c->text[SH_CALL_LOCAL], w->local);
}

static void set_due(struct sh_store_call *c, const struct wanted *w)
{
    c->due_ms = w->due_ms;
    c->depth = w->depth;
    sh_store_call_set(c, SH_CALL_LOCAL, w->local);
    if (w->zone)
        sh_store_call_set(c, SH_CALL_ZONE, w->zone);
}

/* A text that is given and other than what is there. */
static void set_text(struct sh_store_call *c, enum sh_call_text i, const char *name,
                     const char *text, struct sh_buf *changed)
{
    if (!text || same_text(c->text[i], text))
        return;
    sh_store_call_set(c, i, text);
    sh_buf_addf(changed, "%s%s %.200s", changed->len ? ", " : "", name, text);
}

static void set_details(struct sh_store_call *c, const struct wanted *w, struct sh_buf *changed)
{
    set_text(c, SH_CALL_NUMBER, "number", w->number, changed);
    sh_store_call_set(c, SH_CALL_DIGITS, w->digits);
    set_text(c, SH_CALL_NAME, "name", w->name, changed);
    set_text(c, SH_CALL_ASSIGNEE, "assignee", w->assignee, changed);
    set_text(c, SH_CALL_REASON, "reason", w->reason, changed);
    if (w->minutes && w->minutes != c->minutes) {
        c->minutes = w->minutes;
        sh_buf_addf(changed, "%sminutes %lld", changed->len ? ", " : "", (long long)w->minutes);
    }
    /* what the calendar does not show changes nothing there */
    if (w->completes)
        sh_store_call_set(c, SH_CALL_COMPLETES, w->completes);
    if (w->email >= 0)
        c->email = w->email;
}

/* By its key the new time holds; by number and reason it is never put off, and one that is due
 * stays due. */
static void move_due(struct sh_store_call *c, const struct wanted *w, bool by_key, int64_t now_ms,
                     struct sh_buf *changed)
{
    char when[SH_TIME_TEXT];
    const bool due = sh_store_call_is(c, "due");
    if (near_due(c, w) || (!by_key && (due || w->due_ms >= c->due_ms)))
        return;
    set_due(c, w);
    sh_buf_addf(changed, "%sdue %s", changed->len ? ", " : "", sh_time_text(w->due_ms, when));
    if (by_key && (!due || w->due_ms > now_ms)) {
        sh_store_call_set(c, SH_CALL_STATUS, "scheduled");
        c->told_ms = 0;
    }
}

static bool update(struct sh_store *s, struct sh_store_call *c, const struct wanted *w, bool by_key,
                   const struct sh_store_hand *h, struct sh_error *err)
{
    int64_t place;
    struct sh_buf changed;
    sh_buf_init(&changed, 4096);
    move_due(c, w, by_key, h->now_ms, &changed);
    set_details(c, w, &changed);
    bool ok = true;
    if (changed.len) {
        c->sequence++;
        c->updated_ms = h->now_ms;
        ok = reinvite(s, c, "updated", h, err) &&
             keep(s, c, "updated", changed.data, h, &place, err);
    } else {
        ok = sh_store_call_put(s, c, err);
    }
    sh_buf_free(&changed);
    return ok;
}

/* A new one, or one of the same key that was over and starts again: its calendar entry goes on. */
static bool schedule(struct sh_store *s, struct sh_leaving *l, struct sh_store_call *c,
                     const char *id, const struct wanted *w, const struct sh_store_hand *h,
                     struct sh_error *err)
{
    int64_t place;
    const bool again = c->text[SH_CALL_ID] != NULL;
    struct sh_buf changed;
    struct sh_store_call fresh = {.sequence = again ? c->sequence + 1 : 0,
                                  .minutes = DEF_MINUTES,
                                  .email = 1,
                                  .created_ms = h->now_ms};
    fresh.text[SH_CALL_INVITED_TO] = sh_strdup(c->text[SH_CALL_INVITED_TO]);
    sh_store_call_clear(c);
    *c = fresh;
    sh_store_call_set(c, SH_CALL_ID, id);
    if (l->fx->id.n)
        c->text[SH_CALL_OWN_KEY] = sh_slice_dup(l->fx->id);
    c->text[SH_CALL_RULE] = sh_slice_dup(l->run->rule);
    c->text[SH_CALL_EVENT_KEY] = sh_slice_dup(l->op->event_key);
    sh_store_call_set(c, SH_CALL_EVENT_ID, l->event_id);
    sh_store_call_set(c, SH_CALL_TRACE, l->op->event_trace);
    sh_store_call_set(c, SH_CALL_STATUS, "scheduled");
    set_due(c, w);
    sh_buf_init(&changed, 4096);
    set_details(c, w, &changed);
    sh_buf_free(&changed);
    c->updated_ms = h->now_ms;
    return (!c->text[SH_CALL_INVITED_TO] || reinvite(s, c, "scheduled", h, err)) &&
           keep(s, c, "scheduled", again ? "again" : NULL, h, &place, err);
}

/* The row that callback{} means. 1: *c is it; 0: there is none. */
static int find_row(struct sh_store *s, const char *id, const struct wanted *w, bool by_key,
                    struct sh_store_call *c, struct sh_error *err)
{
    const bool comparable = w->digits[0] && strcmp(w->digits, "+") != 0;
    if (!by_key && !comparable)
        return 0; /* callers without a number are not one caller */
    sqlite3_stmt *st =
        sh_store_stmt(&s->w, by_key ? SH_ST_CALLBACK_BY_ID : SH_ST_CALLBACK_SAME, err);
    int64_t seq = 0;
    if (!st)
        return -1;
    sh_sqlite_bind_str(st, 1, by_key ? id : w->digits);
    if (!by_key)
        sh_sqlite_bind_str(st, 2, w->reason);
    bool ok = sh_sqlite_int(st, &seq, err);
    return !ok ? -1 : seq == 0 ? 0 : sh_store_call_get(s, seq, c, err);
}

static struct sh_store_hand hand_of(struct sh_leaving *l, char *by)
{
    return (struct sh_store_hand){.by = by,
                                  .now_ms = l->run->now_ms,
                                  .n_queued = &l->op->n_queued,
                                  .n_timed = &l->op->n_timed};
}

static bool add(struct sh_store *s, struct sh_leaving *l, const struct wanted *w,
                struct sh_error *err)
{
    char key_id[SH_EFFECT_KEY_TEXT];
    const bool by_key = l->fx->id.n > 0;
    struct sh_store_call c = {0};
    char *by = sh_slice_dup(l->run->rule);
    const struct sh_store_hand h = hand_of(l, by);
    const char *id = by_key ? key_id : l->key;
    if (by_key)
        sh_store_call_key_id(l->fx->id, key_id);
    int got = find_row(s, id, w, by_key, &c, err);
    bool ok = got >= 0;
    bool over = got == 1 && (sh_store_call_closed(&c) || sh_store_call_is(&c, "missed"));
    if (ok)
        ok = got == 1 && !over ? update(s, &c, w, by_key, &h, err)
                               : schedule(s, l, &c, id, w, &h, err);
    sh_store_call_clear(&c);
    free(by);
    return ok;
}

bool sh_store_callback_add(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    struct wanted w;
    cJSON *doc = sh_store_parse_doc(l->fx, err);
    if (!doc)
        return false;
    bool ok = read_wanted(doc, &w, err) && sh_store_depth_at(s, l, w.due_ms, &w.depth, err);
    if (ok) {
        char *digits = sh_alloc(1, strlen(w.number) + 1);
        sh_callback_number(w.number, digits);
        w.digits = digits;
        ok = add(s, l, &w, err);
        free(digits);
    }
    cJSON_Delete(doc);
    return ok;
}

/* --- callbacks.done{} and its like --------------------------------------------- */

/* *answered: {"do":"answered"}, a done of some. */
static bool read_act(const cJSON *doc, struct act *a, bool *answered, struct sh_error *err)
{
    static const char *const names[] = {"", "done", "cancel", "snooze", "reassign"};
    const char *what = sh_json_string(doc, "do");
    *answered = what && strcmp(what, "answered") == 0;
    *a = (struct act){.action = *answered ? SH_CALLBACK_DONE : 0,
                      .note = sh_json_string(doc, "note"),
                      .assignee = sh_json_string(doc, "assignee"),
                      .local = sh_json_string(doc, "due_local"),
                      .zone = sh_json_string(doc, "zone")};
    for (int i = SH_CALLBACK_DONE; what && i <= SH_CALLBACK_REASSIGN; i++)
        if (strcmp(what, names[i]) == 0)
            a->action = i;
    if (!a->action)
        return sh_error_set(err, SH_EINVAL,
                            "callbacks: \"%.40s\": expected done, cancel, snooze, reassign or"
                            " answered",
                            what ? what : "");
    if (a->action == SH_CALLBACK_SNOOZE &&
        (!sh_json_get_int(sh_json_member(doc, "due_at"), &a->due_ms) || a->due_ms < 0 ||
         a->due_ms > MAX_TIME_MS))
        return sh_error_set(err, SH_EINVAL, "callbacks.snooze: 'due' expected a time");
    if (a->action == SH_CALLBACK_REASSIGN && (!a->assignee || !*a->assignee))
        return sh_error_set(err, SH_EINVAL, "callbacks.reassign: 'assignee' expected a text");
    return true;
}

static bool act_on(struct sh_store *s, int64_t seq, const struct act *a,
                   const struct sh_store_hand *h, uint32_t due_depth, struct sh_error *err)
{
    struct sh_store_call c = {0};
    int got = sh_store_call_get(s, seq, &c, err);
    bool ok = got >= 0;
    if (got == 1 && !sh_store_call_closed(&c)) {
        if (a->action == SH_CALLBACK_SNOOZE)
            c.depth = due_depth;
        ok = act(s, &c, a, h, err);
    }
    sh_store_call_clear(&c);
    return ok;
}

bool sh_store_callback_do(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    struct act a;
    bool answered;
    size_t n = 0;
    uint32_t due_depth = 0;
    cJSON *doc = sh_store_parse_doc(l->fx, err);
    if (!doc)
        return false;
    int64_t *seqs = sh_alloc(SH_CALLS_AT_ONCE, sizeof(*seqs));
    char *by = sh_slice_dup(l->run->rule);
    struct sh_store_hand h = hand_of(l, by);
    bool ok =
        read_act(doc, &a, &answered, err) && sh_store_call_find(s, doc, answered, seqs, &n, err);
    if (ok && n) {
        s->n_emits += n - 1; /* one was counted */
        ok = sh_store_depth_at(s, l, h.now_ms, &h.depth, err) &&
             (a.action != SH_CALLBACK_SNOOZE || sh_store_depth_at(s, l, a.due_ms, &due_depth, err));
    }
    for (size_t i = 0; ok && i < n; i++)
        ok = act_on(s, seqs[i], &a, &h, due_depth, err);
    free(by);
    free(seqs);
    cJSON_Delete(doc);
    return ok;
}

/* --- what a person does ----------------------------------------------------------- */

/* They go into events, emails and calendars, all of which must be UTF-8. */
static bool check_texts(const struct sh_op_callback *op, struct sh_error *err)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"note", op->note}, {"assignee", op->assignee}, {"name of who does it", op->by}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const struct sh_slice text = sh_slice_str(texts[i].text);
        if (text.n > MAX_PERSON_BYTES)
            return sh_error_set(err, SH_EINVAL, "callbacks: the %s has %zu bytes, the most is %d",
                                texts[i].name, text.n, MAX_PERSON_BYTES);
        if (!sh_utf8_ok(text))
            return sh_error_set(err, SH_EINVAL, "callbacks: the %s is not valid UTF-8",
                                texts[i].name);
    }
    return true;
}

static bool check_op(const struct sh_op_callback *op, int64_t now_ms, struct sh_error *err)
{
    if (op->action < SH_CALLBACK_DONE || op->action > SH_CALLBACK_REASSIGN || !op->id)
        return sh_error_set(err, SH_EINVAL, "callbacks: no action %d", op->action);
    if (op->action == SH_CALLBACK_REASSIGN && (!op->assignee || !*op->assignee))
        return sh_error_set(err, SH_EINVAL, "callback \"%.64s\": reassign to whom?", op->id);
    if (op->action == SH_CALLBACK_SNOOZE && (op->due_ms <= now_ms || op->due_ms > MAX_TIME_MS)) {
        char due[SH_TIME_TEXT], now[SH_TIME_TEXT];
        return sh_error_set(err, SH_EINVAL,
                            "callback \"%.64s\": snooze until %s: expected a time after now (%s)",
                            op->id, sh_time_text(op->due_ms, due), sh_time_text(now_ms, now));
    }
    return check_texts(op, err);
}

static void note_found(struct sh_op_callback *op, const struct sh_store_call *c)
{
    snprintf(op->found, sizeof(op->found), "%s", c->text[SH_CALL_ID]);
    snprintf(op->status, sizeof(op->status), "%s", c->text[SH_CALL_STATUS]);
}

bool sh_store_callback_op(struct sh_store *s, struct sh_op_callback *op, struct sh_error *err)
{
    int64_t seq = 0;
    struct sh_store_call c = {0};
    const struct sh_store_hand h = {
        .by = op->by ? op->by : "person", .now_ms = sh_now_ms(), .n_queued = &op->n_queued};
    const struct act a = {.action = op->action,
                          .note = op->note,
                          .assignee = op->assignee,
                          .due_ms = op->due_ms,
                          .local = op->due_local,
                          .zone = op->due_local ? op->zone : NULL};
    if (!check_op(op, h.now_ms, err) || !sh_store_call_named(s, op->id, &seq, err) ||
        sh_store_call_get(s, seq, &c, err) != 1)
        return false;
    note_found(op, &c);
    bool ok = !sh_store_call_closed(&c) ||
              sh_error_set(err, SH_ECONFLICT,
                           "callback %s is %s: it is closed, and cannot be %s; one that is"
                           " scheduled, due, snoozed or missed can be done, cancelled, snoozed or"
                           " reassigned",
                           c.text[SH_CALL_ID], c.text[SH_CALL_STATUS],
                           op->action == SH_CALLBACK_DONE ? "completed" : act_name(op->action));
    if (ok && op->action == SH_CALLBACK_SNOOZE)
        c.depth = 0;
    ok = ok && act(s, &c, &a, &h, err);
    note_found(op, &c);
    sh_store_call_clear(&c);
    return ok;
}

/* --- what time does ---------------------------------------------------------------- */

static bool emit(struct sh_store *s, struct sh_op_fire *op, const struct sh_store_call *c,
                 const char *type, int64_t due_ms, struct sh_error *err)
{
    struct sh_event *e = sh_event_new();
    *e = (struct sh_event){.source = sh_strdup(SH_SOURCE_ENGINE),
                           .type = sh_strdup(type),
                           .key = sh_strdup(c->text[SH_CALL_EVENT_KEY]),
                           .dedupe_id = sh_strf("%s:%s:%lld:%lld", type, c->text[SH_CALL_ID],
                                                (long long)c->sequence, (long long)due_ms),
                           .received_ms = op->now_ms,
                           .due_ms = due_ms,
                           .depth = (uint32_t)c->depth,
                           .cause = sh_strdup(c->text[SH_CALL_EVENT_ID]),
                           .trace = sh_strdup(c->text[SH_CALL_TRACE])};
    e->body = sh_store_call_body(c, NULL, &e->body_len);
    return sh_store_emit(s, e, &op->emitted, &op->n_emitted, err);
}

bool sh_store_call_due(struct sh_store *s, struct sh_op_fire *op, struct sh_store_call *c,
                       struct sh_error *err)
{
    int64_t place;
    const struct sh_store_hand h = {
        .by = SH_SOURCE_ENGINE, .now_ms = op->now_ms, .n_queued = &op->n_queued};
    sh_store_call_set(c, SH_CALL_STATUS, "due");
    c->told_ms = c->updated_ms = op->now_ms;
    if (wants_email(s, c) && !sh_store_call_mail(s, c, "REQUEST", "due", &h, err))
        return false;
    return keep(s, c, "due", NULL, &h, &place, err) &&
           emit(s, op, c, "callback_due", c->due_ms, err);
}

bool sh_store_call_missed(struct sh_store *s, struct sh_op_fire *op, struct sh_store_call *c,
                          struct sh_error *err)
{
    int64_t place, since = c->told_ms + s->config.callback_missed_ms;
    const struct sh_store_hand h = {
        .by = SH_SOURCE_ENGINE, .now_ms = op->now_ms, .n_queued = &op->n_queued};
    sh_store_call_set(c, SH_CALL_STATUS, "missed");
    return keep(s, c, "missed", NULL, &h, &place, err) &&
           emit(s, op, c, "callback_missed", since, err);
}

bool sh_store_call_moved(struct sh_store *s, struct sh_store_call *c, int64_t due_ms,
                         int64_t now_ms, struct sh_error *err)
{
    int64_t place;
    size_t n_queued = 0;
    char when[SH_TIME_TEXT];
    const struct sh_store_hand h = {
        .by = SH_SOURCE_ENGINE, .now_ms = now_ms, .n_queued = &n_queued};
    c->due_ms = due_ms;
    c->sequence++;
    c->updated_ms = now_ms;
    return reinvite(s, c, "moved", &h, err) &&
           keep(s, c, "updated", sh_time_text(due_ms, when), &h, &place, err);
}
