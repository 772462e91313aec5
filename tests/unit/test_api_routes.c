/* SPDX-License-Identifier: MIT
 * test_api_routes.c: the tables of routes against docs/openapi.json, both ways. */
#include "app/api_impl.h"
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cJSON *doc;

static int load(void **state)
{
    (void)state;
    struct sh_error err;
    doc = sh_json_parse((const char *)sh_embed_openapi, sh_embed_openapi_size, &err);
    return doc ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    cJSON_Delete(doc);
    return 0;
}

static const char *name_of(enum sh_http_method method)
{
    switch (method) {
    case SH_HTTP_GET:
        return "get";
    case SH_HTTP_POST:
        return "post";
    case SH_HTTP_PUT:
        return "put";
    case SH_HTTP_DELETE:
        return "delete";
    case SH_HTTP_PATCH:
        return "patch";
    default:
        fail();
        return "";
    }
}

/* What a {"$ref": "#/a/b"} stands for. */
static const cJSON *resolve(const cJSON *node)
{
    const char *path = sh_json_string(node, "$ref");
    char *copy, *rest, *word;
    if (!path)
        return node;
    node = doc;
    rest = copy = sh_strdup(path + 2);
    while ((word = strsep(&rest, "/")) != NULL)
        node = sh_json_member(node, word);
    free(copy);
    assert_non_null(node);
    return node;
}

static size_t count(const char *const *words)
{
    size_t n = 0;
    while (words && words[n])
        n++;
    return n;
}

static bool has(const char *const *words, const char *word)
{
    for (; words && *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* Parameters in `where` of an operation: as many as there should be, each known. */
static void check_params(const cJSON *op, const struct sh_api_route *r)
{
    const cJSON *one;
    size_t in_query = 0, in_path = 0, braces = 0;
    for (const char *p = r->pattern; *p; p++)
        braces += *p == '{';
    cJSON_ArrayForEach(one, sh_json_member(op, "parameters"))
    {
        const cJSON *p = resolve(one);
        const char *name = sh_json_string(p, "name"), *in = sh_json_string(p, "in");
        if (strcmp(in, "query") == 0) {
            in_query++;
            if (!has(r->params, name))
                fail_msg("%s: the document has a parameter %s, the table has not", r->pattern,
                         name);
        } else {
            char *mark = sh_strf("{%s}", name);
            in_path++;
            assert_string_equal(in, "path");
            if (!strstr(r->pattern, mark))
                fail_msg("%s: no segment %s", r->pattern, mark);
            free(mark);
        }
    }
    if (in_query != count(r->params) || in_path != braces)
        fail_msg("%s: %zu parameters in the document, %zu in the table", r->pattern,
                 in_query + in_path, count(r->params) + braces);
}

static void check_body(const cJSON *op, const struct sh_api_route *r)
{
    const cJSON *content = sh_json_member(sh_json_member(op, "requestBody"), "content");
    const cJSON *schema = sh_json_member(sh_json_member(content, "application/json"), "schema");
    const cJSON *fields = sh_json_member(resolve(schema), "properties"), *field;
    size_t n = 0;
    if ((schema != NULL) != (r->fields != NULL))
        fail_msg("%s: a body in the %s alone", r->pattern, schema ? "document" : "table");
    cJSON_ArrayForEach(field, fields)
    {
        n++;
        if (!has(r->fields, field->string))
            fail_msg("%s: the table has no field %s", r->pattern, field->string);
    }
    if (n != count(r->fields))
        fail_msg("%s: %zu fields in the document, %zu in the table", r->pattern, n,
                 count(r->fields));
}

static const cJSON *operation(const struct sh_api_route *r)
{
    const cJSON *path = sh_json_member(sh_json_member(doc, "paths"), r->pattern);
    return sh_json_member(path, name_of(r->method));
}

static void test_every_route_is_in_the_document(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t t = 0; sh_api_all[t]; t++) {
        for (size_t i = 0; i < sh_api_all[t]->n; i++, n++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            const cJSON *op = operation(r);
            if (!op)
                fail_msg("%s %s is not in docs/openapi.json", name_of(r->method), r->pattern);
            assert_string_equal(sh_json_string(op, "summary"), r->summary);
            if (strcmp(sh_json_string(op, "x-role"), sh_role_name(r->role)) != 0)
                fail_msg("%s %s: x-role is %s, the table says %s", name_of(r->method), r->pattern,
                         sh_json_string(op, "x-role"), sh_role_name(r->role));
            check_params(op, r);
            check_body(op, r);
        }
    }
    assert_true(n > 15);
}

static bool is_routed(const char *path, const char *method)
{
    for (size_t t = 0; sh_api_all[t]; t++) {
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            if (strcmp(r->pattern, path) == 0 && strcmp(name_of(r->method), method) == 0)
                return true;
        }
    }
    return false;
}

static void test_every_operation_is_routed(void **state)
{
    (void)state;
    const cJSON *path, *op;
    size_t n = 0;
    cJSON_ArrayForEach(path, sh_json_member(doc, "paths"))
    {
        cJSON_ArrayForEach(op, path)
        {
            n++;
            if (!is_routed(path->string, op->string))
                fail_msg("docs/openapi.json has %s %s, the engine has not", op->string,
                         path->string);
        }
    }
    assert_true(n > 15);
}

static void test_no_two_routes_are_the_same(void **state)
{
    (void)state;
    for (size_t t = 0; sh_api_all[t]; t++) {
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *a = &sh_api_all[t]->list[i];
            size_t same = 0;
            for (size_t u = 0; sh_api_all[u]; u++)
                for (size_t k = 0; k < sh_api_all[u]->n; k++)
                    same += sh_api_all[u]->list[k].method == a->method &&
                            strcmp(sh_api_all[u]->list[k].pattern, a->pattern) == 0;
            assert_int_equal(same, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_in_the_document),
        cmocka_unit_test(test_every_operation_is_routed),
        cmocka_unit_test(test_no_two_routes_are_the_same),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
