/* SPDX-License-Identifier: MIT
 * test_api.c: the description of the rule API says what is there: every name, every field. */
#include "test_host.h"

#include "app/api_docs.h"
#include "lua/api.h"
#include "lua/internal.h"

static char *printed; /* of a format with one file */

static bool keep(void *arg, const char *name, const char *text)
{
    (void)arg;
    (void)name;
    free(printed);
    printed = sh_strdup(text);
    return true;
}

static cJSON *described(void)
{
    assert_true(sh_api_print("json", keep, NULL));
    cJSON *all = cJSON_Parse(printed);
    assert_non_null(all);
    free(printed);
    printed = NULL;
    return all;
}

/* Is the line in the text? */
static bool has_line(const char *text, const char *line)
{
    size_t n = strlen(line);
    for (const char *p = text; *p; p += strcspn(p, "\n") + 1)
        if (strncmp(p, line, n) == 0 && p[n] == '\n')
            return true;
    return false;
}

static const cJSON *find_entry(const cJSON *all, const char *name)
{
    const cJSON *topic, *entry;
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(entry, sh_json_member(topic, "entries"))
        {
            if (!sh_json_member(entry, "module") &&
                strcmp(sh_json_string(entry, "name"), name) == 0)
                return entry;
        }
    }
    return NULL;
}

static void every_name_is_described(void **state)
{
    (void)state;
    kit_must_load("rule 'r' { on = '*', run = function() end }");
    cJSON *all = described();
    char *names = sh_host_names(kit.host), *rest = names, *name;
    int n = 0, missing = 0;
    assert_true(has_line(names, "email") && has_line(names, "http.post") &&
                has_line(names, "json.null") && has_line(names, "string.rep"));
    while ((name = strsep(&rest, "\n")) && *name) {
        char lib[SH_LUA_NAME];
        n++;
        snprintf(lib, sizeof(lib), "%s.", name);
        bool is_table = rest && strncmp(rest, lib, strlen(lib)) == 0; /* sorted: members follow */
        if (!is_table && !find_entry(all, name)) {
            print_message("no entry in engine/lua/api_*.lua: %s\n", name);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_true(n > 120);
    free(names);
    cJSON_Delete(all);
}

static void every_entry_is_there(void **state)
{
    (void)state;
    kit_must_load("rule 'r' { on = '*', run = function() end }");
    cJSON *all = described();
    char *names = sh_host_names(kit.host);
    const cJSON *topic, *entry;
    int gone = 0;
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(entry, sh_json_member(topic, "entries"))
        {
            const char *name = sh_json_string(entry, "name");
            if (!sh_json_member(entry, "module") && !has_line(names, name)) {
                print_message("described, and not there: %s\n", name);
                gone++;
            }
            assert_true(*sh_json_string(entry, "summary") && *sh_json_string(entry, "use"));
            if (find_entry(all, name) && find_entry(all, name) != entry) {
                print_message("described twice: %s\n", name);
                gone++;
            }
        }
    }
    assert_int_equal(gone, 0);
    free(names);
    cJSON_Delete(all);
}

/* The class whose table is that argument of the function, or within that field. */
static const cJSON *find_class(const cJSON *all, const char *function, int arg, const char *within)
{
    const cJSON *topic, *class, *a;
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(class, sh_json_member(topic, "classes"))
        {
            const char *in = sh_json_string(class, "within");
            if (within && in && strcmp(in, within) == 0)
                return class;
            cJSON_ArrayForEach(a, sh_json_member(class, "args"))
            {
                if (function && strcmp(sh_json_string(a, "function"), function) == 0 &&
                    sh_json_member(a, "number")->valueint == arg)
                    return class;
            }
        }
    }
    return NULL;
}

static void compare_fields(const cJSON *all, const cJSON *class, const char *what,
                           const struct sh_fields *fields)
{
    const cJSON *f;
    size_t n = 0;
    if (!class)
        fail_msg("no class in engine/lua/api_*.lua for the fields of %s", what);
    cJSON_ArrayForEach(f, sh_json_member(class, "fields"))
    {
        if (!sh_fields_has(fields, sh_json_string(f, "name")))
            fail_msg("%s: '%s' is described, and fields.c has it not", what,
                     sh_json_string(f, "name"));
    }
    for (; fields->names[n]; n++) {
        bool found = false;
        cJSON_ArrayForEach(f, sh_json_member(class, "fields")) found =
            found || strcmp(sh_json_string(f, "name"), fields->names[n]) == 0;
        if (!found)
            fail_msg("%s: '%s' is not described", what, fields->names[n]);
    }
    assert_int_equal(cJSON_GetArraySize(sh_json_member(class, "fields")), n);
    for (const struct sh_field_inner *in = fields->inner; in && in->name; in++) {
        char *within = sh_strf("%s.%s", what, in->name);
        compare_fields(all, find_class(all, NULL, 0, within), within, in->fields);
        free(within);
    }
}

static void every_field_is_described(void **state)
{
    (void)state;
    cJSON *all = described();
    const struct sh_fields *fields;
    const char *function;
    int arg;
    size_t n = 0;
    for (; (fields = sh_fields_at(n, &function, &arg)); n++)
        compare_fields(all, find_class(all, function, arg, NULL), function, fields);
    assert_true(n >= 15);
    cJSON_Delete(all);
}

/* And every class that says it is an argument is one. */
static void every_class_is_taken(void **state)
{
    (void)state;
    cJSON *all = described();
    const cJSON *topic, *class, *a;
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(class, sh_json_member(topic, "classes"))
        {
            cJSON_ArrayForEach(a, sh_json_member(class, "args"))
            {
                const char *function = sh_json_string(a, "function");
                int arg = sh_json_member(a, "number")->valueint;
                if (!sh_fields_of(function, arg))
                    fail_msg("%s: argument %d takes no such table", function, arg);
                const cJSON *entry = find_entry(all, function);
                if (!entry)
                    fail_msg("no entry for %s", function);
                const cJSON *p = cJSON_GetArrayItem(sh_json_member(entry, "params"), arg - 1);
                char *type = sh_strf("switchhook.%s", sh_json_string(class, "name"));
                if (strcmp(function, "rule") != 0 && !strstr(sh_json_string(p, "type"), type))
                    fail_msg("%s: argument %d is no %s", function, arg, type);
                free(type);
            }
        }
    }
    cJSON_Delete(all);
}

/* In a run the value of the expression has the fields of the class: all that are required, and no
 * others. */
static void holds(const cJSON *all, const char *name, const char *expression)
{
    const cJSON *topic, *class, *f;
    struct sh_buf body;
    sh_buf_init(&body, 10000);
    sh_buf_addf(&body, "local value, known = %s, {", expression);
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(class, sh_json_member(topic, "classes"))
        {
            if (strcmp(sh_json_string(class, "name"), name) != 0)
                continue;
            cJSON_ArrayForEach(f, sh_json_member(class, "fields"))
                sh_buf_addf(&body, "%s = %s,", sh_json_string(f, "name"),
                            sh_json_member(f, "required") ? "'needed'" : "'maybe'");
        }
    }
    sh_buf_adds(&body,
                "}\nfor k in pairs(value) do assert(known[k], k) end\nfor k, v in pairs(known) "
                "do assert(v == 'maybe' or value[k] ~= nil, k) end\nassert(next(known))");
    assert_string_equal(kit_run(body.data)->error, "");
    sh_buf_free(&body);
}

static void tables_that_are_given(void **state)
{
    (void)state;
    cJSON *all = described();
    holds(all, "Envelope", "env");
    holds(all, "TimeParts", "time.parts(now(), 'Europe/Amsterdam')");
    holds(all, "HttpAnswer", "http.get 'https://x.nl'");
    kit.reply = "{\"status\":0,\"error\":\"no answer\",\"headers\":{},\"body\":\"\"}";
    holds(all, "HttpAnswer", "http.get 'https://x.nl'");
    cJSON_Delete(all);
}

static void make_error(const cJSON *entry, const cJSON *e)
{
    const char *code = sh_json_string(e, "code"), *message = sh_json_string(e, "message");
    if (strcmp(sh_json_string(entry, "use"), "load") == 0) {
        assert_false(kit_load("rules/x.lua", code, NULL));
        kit_reported("errors", "rules/x.lua", 1, message);
        return;
    }
    char *want = sh_strf("rules/x.lua:2: %s", message);
    kit_wrong(code, want);
    free(want);
}

static void every_error_is_made(void **state)
{
    (void)state;
    cJSON *all = described();
    const cJSON *topic, *entry, *e;
    int n = 0;
    cJSON_ArrayForEach(topic, sh_json_member(all, "topics"))
    {
        cJSON_ArrayForEach(entry, sh_json_member(topic, "entries"))
        {
            cJSON_ArrayForEach(e, sh_json_member(entry, "errors"))
            {
                make_error(entry, e);
                n++;
            }
        }
    }
    assert_true(n > 20);
    cJSON_Delete(all);
}

static void texts_for_a_project(void **state)
{
    (void)state;
    char *hints = sh_api_luals(), *std = sh_api_luacheck();
    assert_non_null(strstr(hints, "\n---@param mail switchhook.Email"));
    assert_non_null(strstr(hints, "\nfunction email(mail) end\n"));
    assert_non_null(strstr(std, "\n    records = { fields = {\n"));
    free(hints);
    free(std);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_name_is_described, kit_teardown),
        cmocka_unit_test_teardown(every_entry_is_there, kit_teardown),
        cmocka_unit_test_teardown(every_field_is_described, kit_teardown),
        cmocka_unit_test_teardown(every_class_is_taken, kit_teardown),
        cmocka_unit_test_teardown(tables_that_are_given, kit_teardown),
        cmocka_unit_test_teardown(every_error_is_made, kit_teardown),
        cmocka_unit_test_teardown(texts_for_a_project, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
