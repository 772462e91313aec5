/* SPDX-License-Identifier: MIT
 * test_api_changes.c: the changes of change.h and the API's routes are the same ones. */
#include "app/api_impl.h"
#include "app/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

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

/* One's own log-in and log-out are everybody's. */
static bool is_own(const struct sh_api_route *r)
{
    return strcmp(r->pattern, "/api/v1/session") == 0;
}

/* What changes something needs more than a viewer, and takes the fields that change.h reads. */
static void test_changes(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL};
    for (size_t t = 0; sh_api_all[t]; t++)
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            assert_true(r->method == SH_HTTP_GET || r->role >= SH_ROLE_OPERATOR || is_own(r));
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
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
