/* SPDX-License-Identifier: MIT
 * test_api_roles.c: the least role of every route of the API, written down a second time: a route
 * that is added, or opened to others, must be so here too. tests/e2e/api_write_spec.lua tries them.
 */
#include "app/api_impl.h"
#include "app/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    enum sh_http_method method;
    const char *pattern;
    enum sh_role role;
} routes[] = {
    {SH_HTTP_GET, "/api/v1/status", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/events", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/events/{id}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/events/{id}/raw", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/runs", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/records", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/records/{collection}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/records/{collection}/{id}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/callbacks", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/callbacks/{id}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/outbox", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/outbox/{id}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/dead", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/timers", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/rules", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/rules/{name}", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/generations", SH_ROLE_VIEWER},
    {SH_HTTP_GET, "/api/v1/generations/{id}", SH_ROLE_VIEWER},
    {SH_HTTP_POST, "/api/v1/callbacks/{id}/done", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/callbacks/{id}/cancel", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/callbacks/{id}/snooze", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/callbacks/{id}/reassign", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/outbox/{id}/redrive", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/outbox/{id}/drop", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/events/{id}/redrive", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/events/{id}/drop", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/dead/redrive", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/dead/drop", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/rules/{name}/pause", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/rules/{name}/resume", SH_ROLE_OPERATOR},
    {SH_HTTP_DELETE, "/api/v1/timers/{name}", SH_ROLE_OPERATOR},
    {SH_HTTP_POST, "/api/v1/reload", SH_ROLE_ADMIN},
    {SH_HTTP_GET, "/api/v1/tokens", SH_ROLE_ADMIN},
    {SH_HTTP_POST, "/api/v1/tokens", SH_ROLE_ADMIN},
    {SH_HTTP_DELETE, "/api/v1/tokens/{name}", SH_ROLE_ADMIN},
    {SH_HTTP_GET, "/api/v1/audit", SH_ROLE_ADMIN},
};

static const struct sh_api_route *find(enum sh_http_method method, const char *pattern)
{
    for (size_t t = 0; sh_api_all[t]; t++)
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            if (r->method == method && strcmp(r->pattern, pattern) == 0)
                return r;
        }
    return NULL;
}

static void test_roles(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(routes); i++) {
        const struct sh_api_route *r = find(routes[i].method, routes[i].pattern);
        if (!r || r->role != routes[i].role)
            fail_msg("%s: %s", routes[i].pattern, r ? sh_role_name(r->role) : "no such route");
    }
    for (size_t t = 0; sh_api_all[t]; t++)
        n += sh_api_all[t]->n;
    assert_int_equal(n, COUNT(routes)); /* a new route must be added above */
}

/* What changes something needs more than a viewer, and takes the fields that change.h reads. */
static void test_changes(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL};
    for (size_t t = 0; sh_api_all[t]; t++)
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            assert_true(r->method == SH_HTTP_GET || r->role >= SH_ROLE_OPERATOR);
        }
    for (const struct sh_change_kind *k = sh_change_kinds; k->action; k++) {
        const struct sh_api_route *r = find(k->method, k->pattern);
        assert_non_null(r);
        const char *const *fields = r->fields ? r->fields : nothing;
        for (size_t i = 0; k->fields[i] || fields[i]; i++)
            assert_string_equal(k->fields[i], fields[i]);
    }
}

static void test_paths(void **state)
{
    (void)state;
    char *path = sh_change_path(sh_change_kind("rule.pause"), "Call \xc3\xa9/../x?");
    assert_string_equal(path, "/api/v1/rules/Call%20%C3%A9%2F%2E%2E%2Fx%3F/pause");
    free(path);
    path = sh_change_path(sh_change_kind("dead.drop"), NULL);
    assert_string_equal(path, "/api/v1/dead/drop");
    free(path);
    assert_null(sh_change_kind("dead.raise"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
