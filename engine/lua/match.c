/* SPDX-License-Identifier: MIT
 * match.c: which rules an event type concerns. */
#include "lua/internal.h"

#include <stdlib.h>

#define MAX_MATCHES 1024 /* event types whose rules are remembered */

const struct sh_rule *sh_lua_rule_of(const struct sh_host *h, const struct sh_lua_run *r)
{
    return r->rule < h->n_rules ? &h->rules[r->rule] : &h->normals[r->rule - h->n_rules];
}

void sh_lua_rule_clear(struct sh_rule *r)
{
    for (size_t i = 0; i < r->n_on; i++)
        free(r->on[i]);
    free(r->on);
    free(r->name);
    free(r->file);
    free(r->when_file);
    free(r->every);
    free(r->zone);
    free(r->watch);
}

static void forget_matches(struct sh_host *h)
{
    struct sh_match *m, *next;
    HASH_ITER(hh, h->matches, m, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        HASH_DEL(h->matches, m);
        free(m->type);
        free(m->rules);
        free(m);
    }
}

const struct sh_match *sh_lua_match(struct sh_host *h, struct sh_slice type)
{
    struct sh_match *m = NULL;
    HASH_FIND(hh, h->matches, type.p ? type.p : "", type.n, m);
    if (m)
        return m;
    if (HASH_COUNT(h->matches) >= MAX_MATCHES) /* types come from senders */
        forget_matches(h);
    m = sh_alloc(1, sizeof(*m));
    m->type = sh_slice_dup(type);
    m->rules = sh_alloc(h->n_rules, sizeof(*m->rules));
    for (size_t i = 0; i < h->n_rules; i++)
        for (size_t k = 0; k < h->rules[i].n_on; k++)
            if (sh_event_glob(sh_slice_str(h->rules[i].on[k]), type)) {
                m->rules[m->n++] = i;
                break;
            }
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    HASH_ADD_KEYPTR(hh, h->matches, m->type, type.n, m);
    return m;
}

void sh_lua_rules_free(struct sh_host *h)
{
    forget_matches(h);
    for (size_t i = 0; i < h->n_rules; i++)
        sh_lua_rule_clear(&h->rules[i]);
    free(h->rules);
    for (size_t i = 0; i < h->n_normals; i++)
        sh_lua_rule_clear(&h->normals[i]);
    free(h->normals);
    for (size_t i = 0; i < h->n_watch; i++) {
        free(h->watch[i].name);
        free(h->watch[i].file);
    }
    free(h->watch);
}
