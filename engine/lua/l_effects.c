/* SPDX-License-Identifier: MIT
 * l_effects.c: what a run asks for, within its budgets; and emit(). */
#include "lua/internal.h"

#include <stdio.h>

struct sh_lua_run *sh_lua_any_run(lua_State *L, const char *what)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->run)
        sh_lua_raise(L, "%s: not while the file loads, only inside a rule's when or run", what);
    return h->run;
}

static void not_in_normaliser(lua_State *L, const struct sh_lua_run *r, const char *what)
{
    if (r->phase == SH_PHASE_NORMALISE)
        sh_lua_raise(L, "a normaliser only makes the event: %s belongs in a rule", what);
}

struct sh_lua_run *sh_lua_rule_run(lua_State *L, const char *what)
{
    struct sh_lua_run *r = sh_lua_any_run(L, what);
    not_in_normaliser(L, r, what);
    return r;
}

struct sh_lua_run *sh_lua_effect_run(lua_State *L, const char *what)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->run) { /* noted as well: a pcall around it must not hide it */
        char where[200], text[400];
        int line;
        const char *why = "not while the file loads, only inside a rule's run";
        if (h->load && sh_lua_where(L, where, sizeof(where), &line)) {
            snprintf(text, sizeof(text), "%s: %s: %s", where, what, why);
            sh_load_note_text(h, text);
        }
        sh_lua_raise(L, "%s: %s", what, why);
    }
    not_in_normaliser(L, h->run, what);
    if (h->run->phase != SH_PHASE_RUN)
        sh_lua_raise(L, "when only looks: %s belongs in run", what);
    return h->run;
}

void sh_lua_add_effect(lua_State *L, struct sh_lua_run *r, const struct sh_effect *fx)
{
    struct sh_host *h = sh_lua_host(L);
    char why[100];
    if (r->n_effects >= h->budgets.max_effects) {
        snprintf(why, sizeof(why), "budget of %lld effects exceeded",
                 (long long)h->budgets.max_effects);
        sh_lua_kill(L, why);
    }
    struct sh_effect whole = *fx;
    char where[200];
    int line;
    if (sh_effect_may_be_refused(fx->kind) && sh_lua_where(L, where, sizeof(where), &line))
        whole.at = sh_slice_str(where);
    sh_effect_write(&r->effects, &whole);
    if (!sh_buf_ok(&r->effects)) {
        snprintf(why, sizeof(why), "budget of %lld bytes of effects exceeded",
                 (long long)h->budgets.max_effect_bytes);
        sh_lua_kill(L, why);
    }
    r->n_effects++;
}

/* --- emit ------------------------------------------------------------------------------------ */

static int l_emit(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, "emit");
    struct sh_effect fx = {.kind = SH_FX_EMIT, .collection = sh_arg_type(L, 1, "emit")};
    lua_insert(L, 1); /* the type stays on the stack */
    lua_settop(L, 3);
    fx.doc = sh_arg_data(L, 3, "emit");
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

void sh_lua_open_effects(lua_State *L)
{
    lua_pushcfunction(L, l_emit);
    lua_setfield(L, -2, "emit");
}
