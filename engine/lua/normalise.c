/* SPDX-License-Identifier: MIT
 * normalise.c: a source's script that turns the sender's body into the event that rules see.
 *
 * It is run once for a job, before the rules are chosen, as a run of its own: in a coroutine,
 * within the budgets of a run, watched as one. It can ask for nothing and read nothing. Its result
 * goes through JSON, so that rules get what they would get of a sender that posted it. */
#include "lua/internal.h"

#include "core/fault.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- loading --------------------------------------------------------------------------------- */

static const struct sh_normaliser *loading(const struct sh_host *h)
{
    return &h->calls.settings->normalisers[h->load->normaliser];
}

/* The function on top of L as the source's normaliser. */
static void define(struct sh_host *h, lua_State *L, const struct sh_file *f)
{
    lua_Debug ar;
    struct sh_rule *normal = &h->normals[h->n_normals];
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">uS", &ar);
    bool is_lua = ar.source[0] == '@' && ar.linedefined > 0;
    *normal = (struct sh_rule){.name = sh_strdup(loading(h)->source),
                               .file = sh_strdup(is_lua ? ar.source + 1 : f->name),
                               .line = is_lua ? ar.linedefined : 1,
                               .when = LUA_NOREF,
                               .run_envelope = ar.nparams >= 2 || ar.isvararg};
    normal->run = luaL_ref(L, LUA_REGISTRYINDEX);
    h->n_normals++;
}

/* lua_CFunction: the script, light userdata at 1. */
static int load_one(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const struct sh_file *f = lua_touserdata(L, 1);
    lua_pushcfunction(L, sh_lua_require);
    lua_pushstring(L, loading(h)->module);
    lua_call(L, 1, 1);
    if (lua_isfunction(L, -1))
        define(h, L, f);
    else
        sh_load_error(h, 1,
                      "source \"%.100s\" normalises with this script: it must return a "
                      "function(body, envelope), got %s",
                      loading(h)->source, sh_lua_kind(L, -1));
    return 0;
}

static void missing(struct sh_host *h, const char *near)
{
    const struct sh_normaliser *n = loading(h);
    char path[300], msg[700];
    snprintf(path, sizeof(path), "scripts/%.200s.lua", n->module);
    for (char *p = path + strlen("scripts/"); p < path + strlen(path) - 4; p++)
        if (*p == '.')
            *p = '/';
    snprintf(msg, sizeof(msg),
             "source \"%.100s\" normalises with this script, and there is none%s%s%s", n->source,
             near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    sh_load_note(h->load->errors, path, 0, msg);
}

void sh_load_normalisers(struct sh_host *h)
{
    const struct sh_settings *s = h->calls.settings;
    if (!s || !s->n_normalisers)
        return;
    h->normals = sh_alloc(s->n_normalisers, sizeof(*h->normals));
    for (size_t i = 0; i < s->n_normalisers; i++) {
        const char *near;
        h->load->normaliser = i;
        size_t file = sh_load_find_script(h->load->g, s->normalisers[i].module, &near);
        if (file == SIZE_MAX)
            missing(h, near);
        else
            sh_load_guarded(h, load_one, &h->load->g->files[file]);
    }
}

/* --- the result ------------------------------------------------------------------------------ */

/* The function has returned: no line of it is on the stack any more. */
static int bad_result(lua_State *L, const struct sh_rule *normal, const char *fmt, ...)
    __attribute__((noreturn)) SH_PRINTF(3, 4);
static int bad_result(lua_State *L, const struct sh_rule *normal, const char *fmt, ...)
{
    char msg[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    lua_pushfstring(L, "%s:%d: %s", normal->file, normal->line, msg);
    lua_error(L);
    abort(); /* not reached */
}

static void take_type(lua_State *L, struct sh_lua_run *r, const struct sh_rule *normal)
{
    size_t n;
    if (lua_isnil(L, 2))
        return;
    if (lua_type(L, 2) != LUA_TSTRING)
        bad_result(L, normal, "expected the event's type, a text, as the second result, got %s",
                   sh_lua_kind(L, 2));
    const char *type = lua_tolstring(L, 2, &n);
    bool sound = n > 0 && n <= SH_MAX_TYPE_BYTES && sh_lua_utf8(type, n);
    for (size_t i = 0; sound && i < n; i++)
        sound = (unsigned char)type[i] >= 0x20 && type[i] != 0x7f;
    if (!sound)
        bad_result(L, normal,
                   "expected the event's type as the second result: 1 to %d bytes of printable "
                   "text",
                   SH_MAX_TYPE_BYTES);
    free(r->new_type);
    r->new_type = sh_memdup(type, n);
}

/* The event is at 1, its type at 2. */
static int take_result(lua_State *L, int status, lua_KContext context)
{
    struct sh_lua_run *r = sh_lua_host(L)->run;
    const struct sh_rule *normal = sh_lua_rule_of(sh_lua_host(L), r);
    char why[600];
    (void)status;
    (void)context;
    if (lua_isnil(L, 1)) {
        r->outcome = SH_RUN_SKIPPED_WHEN;
        return 0;
    }
    if (!lua_istable(L, 1))
        bad_result(L, normal, "expected the event, a table, or nil for none, got %s",
                   sh_lua_kind(L, 1));
    sh_buf_reset(&r->answer);
    if (!sh_lua_try_json(L, 1, &r->answer, why, sizeof(why), "the event"))
        bad_result(L, normal, "%s", why);
    if (r->answer.len == 0 || r->answer.data[0] != '{')
        bad_result(L, normal, "expected the event, a table of names and values, got a list");
    take_type(L, r, normal);
    return 0;
}

int sh_lua_normalise_body(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_lua_run *r = h->run;
    const struct sh_rule *normal = sh_lua_rule_of(h, r);
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, normal->run);
    sh_lua_push_own(L, r->job->event_ref);
    if (normal->run_envelope)
        sh_lua_push_own(L, r->job->envelope_ref);
    lua_callk(L, normal->run_envelope ? 2 : 1, 2, 0, take_result);
    return take_result(L, LUA_OK, 0);
}

/* --- one job --------------------------------------------------------------------------------- */

static size_t find(const struct sh_host *h, struct sh_slice source)
{
    size_t i = 0;
    while (i < h->n_normals && !sh_slice_eq(source, sh_slice_str(h->normals[i].name)))
        i++;
    return i;
}

/* Its run ends with the job's open ones: the rules' runs are counted anew. */
static void run_it(struct sh_host *h, struct sh_job_state *js, struct sh_lua_run *r,
                   const struct sh_job *job)
{
    struct sh_error err = {0};
    cJSON *tree = sh_lua_event_tree(job, &err);
    js->open = 1;
    if (!tree) {
        char why[1100];
        snprintf(why, sizeof(why), "the event's body: %s", err.msg);
        sh_lua_fail_all(js, why);
    } else if (sh_lua_make_event(h, js, job, tree, job->body.n)) {
        if (sh_lua_take_coroutine(h, r)) {
            sh_lua_drive(h, r, true);
        } else {
            sh_lua_fail_all(js, "no memory is left for a coroutine");
        }
    }
    cJSON_Delete(tree);
    js->open = 0;
}

/* A rule that was asked for fails in its own name; the event's other rules are not known, since its
 * type is not: all of them fail as one, and are tried again as one. */
static void fail_runs(struct sh_host *h, struct sh_job_state *js, const struct sh_rule *normal,
                      const char *error, const struct sh_job *job)
{
    char *told = sh_fault_text_of("normaliser of", sh_slice_str(normal->name), sh_slice_str(error));
    for (size_t i = 0; i < (job->n_only ? job->n_only : 1); i++) {
        size_t k = job->n_only ? 0 : SIZE_MAX;
        while (k < h->n_rules && !sh_slice_eq(job->only[i], sh_slice_str(h->rules[k].name)))
            k++;
        struct sh_lua_run *r = sh_lua_run_new(h, js, k < h->n_rules ? k : SIZE_MAX);
        if (r->rule == SIZE_MAX)
            r->gone = job->n_only ? sh_slice_dup(job->only[i]) : sh_strdup(SH_RULE_ALL);
        sh_lua_run_fail(r);
        if (job->n_only && r->rule == SIZE_MAX)
            r->outcome = SH_RUN_GONE;
        sh_buf_adds(&r->error, r->outcome == SH_RUN_GONE
                                   ? "the rule is not in this generation any more"
                                   : told);
    }
    free(told);
}

static void forget_event(struct sh_host *h, struct sh_job_state *js)
{
    luaL_unref(h->L, LUA_REGISTRYINDEX, js->event_ref);
    luaL_unref(h->L, LUA_REGISTRYINDEX, js->envelope_ref);
    js->event_ref = js->envelope_ref = LUA_NOREF;
}

/* The result in the place of the event. False: error, of the run, says why not. */
static bool replace_event(struct sh_host *h, struct sh_job_state *js, struct sh_lua_run *r,
                          struct sh_job *seen)
{
    struct sh_error err = {0};
    forget_event(h, js);
    if (r->new_type) {
        js->type = r->new_type;
        seen->type = sh_slice_str(js->type);
        r->new_type = NULL;
    }
    cJSON *tree = sh_json_parse(r->answer.data, r->answer.len, &err);
    bool ok = tree != NULL;
    if (ok) {
        r->outcome = 0; /* so that it fails for want of memory */
        js->open = 1;
        ok = sh_lua_make_event(h, js, seen, tree, r->answer.len);
        js->open = 0;
    } else {
        const struct sh_rule *normal = sh_lua_rule_of(h, r);
        sh_buf_addf(&r->error, "%s:%d: the event that it made: %s", normal->file, normal->line,
                    err.msg);
    }
    cJSON_Delete(tree);
    return ok;
}

enum sh_normal sh_lua_normalise(struct sh_host *h, struct sh_job_state *js, struct sh_job *seen)
{
    size_t i = find(h, seen->source);
    if (i == h->n_normals)
        return SH_NORMAL_NONE;
    const struct sh_job job = *seen;
    struct sh_lua_run *r = sh_lua_run_new(h, js, h->n_rules + i);
    r->phase = SH_PHASE_NORMALISE;
    run_it(h, js, r, &job);
    enum sh_normal end = r->outcome == SH_RUN_DONE           ? SH_NORMAL_MADE
                         : r->outcome == SH_RUN_SKIPPED_WHEN ? SH_NORMAL_NOTHING
                                                             : SH_NORMAL_FAILED;
    if (end == SH_NORMAL_MADE && !replace_event(h, js, r, seen))
        end = SH_NORMAL_FAILED;
    js->n_runs = 0; /* it has no row of its own */
    if (end == SH_NORMAL_FAILED) {
        sh_buf_addc(&r->error, '\0');
        fail_runs(h, js, &h->normals[i], r->error.data ? r->error.data : "", &job);
    }
    sh_lua_run_release(h, r);
    return end;
}
