/* SPDX-License-Identifier: MIT
 * test_errors_page.c: the messages of docs/errors.md that take a store or another system that does
 * not answer, made as the page says; and the form of an error. Run from the root of the sources. */
#include "test_host.h"

#include <unistd.h>

static char *page;

/* --- the page -------------------------------------------------------------------------------- */

static int read_page(void **state)
{
    (void)state;
    FILE *f = fopen("docs/errors.md", "rb");
    assert_non_null(f);
    page = calloc(1, 1 << 20);
    assert_true(fread(page, 1, (1 << 20) - 1, f) > 1000);
    fclose(f);
    return 0;
}

static int free_page(void **state)
{
    (void)state;
    free(page);
    return 0;
}

/* The example of a ```lua unit block whose message holds `part`: its file's text in *code and the
 * message without the marks in *message, both owned. */
static void find_example(const char *part, char **code, char **message)
{
    struct sh_buf text, said;
    sh_buf_init(&text, 10000);
    sh_buf_init(&said, 10000);
    const char *at = strstr(page, "\n```lua unit\n");
    for (const char *line = at ? at + 13 : "", *end; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        bool says = strncmp(line, "--> ", 4) == 0;
        bool over = line == end || strncmp(line, "```", 3) == 0;
        if (over && said.len && strstr(said.data, part))
            break;
        if (over) {
            sh_buf_reset(&text);
            sh_buf_reset(&said);
        } else if (says) {
            sh_buf_adds(&said, said.len ? "\n" : "");
            sh_buf_add(&said, line + 4, (size_t)(end - line) - 4);
        } else {
            sh_buf_add(&text, line, (size_t)(end - line) + 1);
        }
        if (strncmp(line, "```\n", 4) == 0)
            break;
    }
    if (!said.len)
        fail_msg("docs/errors.md has no such example: %s", part);
    *code = sh_buf_take(&text, NULL);
    *message = sh_buf_take(&said, NULL);
}

static char *said; /* what the page says of the example that runs */

static void start_example(const char *part)
{
    char *code;
    find_example(part, &code, &said);
    kit_must_load(code);
    free(code);
}

static void must_have_failed(void)
{
    assert_int_equal(kit.n_runs, 1);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_string_equal(kit.runs[0].whole, said);
    free(said);
    said = NULL;
}

/* --- its examples ----------------------------------------------------------------------------- */

static void test_late_record(void **state)
{
    (void)state;
    kit.later = true;
    kit.budgets = kit_budgets;
    kit.budgets.wall_ms = 100;
    start_example("waiting for records.get");
    kit_job("t", "{\"call_id\":\"c\"}");
    usleep(120000);
    sh_host_expire(kit.host);
    must_have_failed();
}

static void test_store_that_fails(void **state)
{
    (void)state;
    struct sh_buf b;
    kit.later = true;
    start_example("reading records failed");
    kit_job("t", "{}");
    sh_buf_init(&b, 1000);
    sh_buf_u8(&b, 0);
    sh_buf_bytes(&b, SH_SLICE("the disk is gone"));
    assert_true(sh_host_answer(kit.host, kit.open[0], sh_slice(b.data, b.len)));
    sh_buf_free(&b);
    must_have_failed();
}

static void test_late_lookup(void **state)
{
    (void)state;
    kit.later = true;
    start_example("waiting for http.get");
    kit_job("t", "{}");
    usleep(2050000);
    sh_host_expire(kit.host);
    must_have_failed();
}

static void test_much_held_while_it_waits(void **state)
{
    (void)state;
    kit.later = true;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 3000;
    start_example("while it waits for http.get");
    kit_job("t", "{}");
    assert_true(sh_lua_make_room(kit.host, 1024));
    must_have_failed();
}

static void test_large_answers(void **state)
{
    (void)state;
    static const char head[] = "{\"status\":200,\"headers\":{},\"body\":\"";
    char *big = malloc(1200000);
    memset(big, 'x', 1199999);
    memcpy(big, head, strlen(head));
    memcpy(big + 1199990, "\"}", 3);
    kit.reply = big;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 5000; /* it is the answers that are too many, on a slow machine too */
    start_example("of answers to http.get");
    kit_job("t", "{}");
    free(big);
    kit.reply = NULL;
    must_have_failed();
}

static void test_large_event(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.memory_bytes = 4 << 20;
    start_example("does not fit the memory budget");
    struct sh_buf body;
    sh_buf_init(&body, 4 << 20);
    sh_buf_adds(&body, "{\"list\":[");
    for (int i = 0; i < 150000; i++)
        sh_buf_addf(&body, "%s{}", i ? "," : "");
    sh_buf_adds(&body, "]}");
    kit_job("t", body.data);
    sh_buf_free(&body);
    must_have_failed();
}

/* --- the form --------------------------------------------------------------------------------- */

static void has_form(const char *rule, const char *text, const char *want)
{
    char *told = sh_fault_text(sh_slice_str(rule), sh_slice_str(text));
    assert_string_equal(told, want);
    char *again =
        sh_fault_text(sh_slice_str(rule), sh_slice_str(told)); /* nothing is added twice */
    assert_string_equal(again, want);
    free(told);
    free(again);
}

#define HINT "\n  hint: error(\"what was wrong\") is shown as it is"
#define SAID "error with nil as its value (give error() a text)"

static void test_form(void **state)
{
    (void)state;
    has_form("R", "rules/a.lua:12: mine", "rules/a.lua:12: rule \"R\": mine");
    has_form("R", "scripts/a: b.lua:1: mine", "scripts/a: b.lua:1: rule \"R\": mine");
    has_form("R", "rules/a.lua:12: " SAID, "rules/a.lua:12: rule \"R\": " SAID HINT);
    has_form("R", "rules/a.lua:1: " SAID "\n  at rules/a.lua:1 in f\n  at rules/a.lua:9",
             "rules/a.lua:1: rule \"R\": " SAID HINT
             "\n  at rules/a.lua:1 in f\n  at rules/a.lua:9");
    has_form("R", "mine", "rule \"R\": mine");
    has_form("R", "", "rule \"R\": ");
    has_form("", "rules/a.lua:12: mine", "rules/a.lua:12: mine");
    has_form("", "", "");
    has_form("R", "rules/a.lua:x: mine", "rule \"R\": rules/a.lua:x: mine");
    has_form("R", "rules/a.lua:12:", "rule \"R\": rules/a.lua:12:");
    has_form("R", "rules/a.lua:1: two\nlines", "rules/a.lua:1: rule \"R\": two\nlines");
}

static void test_hints(void **state)
{
    (void)state;
    static const struct {
        const char *message, *hint;
    } known[] = {
        {"attempt to index a nil value (field 'a')",
         "there is no 'a' here: get(t, \"a.name\") is nil, not an error, when a part is missing"},
        {"records.get: the id must be a text or a whole number, got nil",
         "records.get(\"calls\", call.call_id, ..): is the field there in this event?"},
        {"", NULL},
        {"*", NULL},
        {"a text of the author's own", NULL},
    };
    struct sh_buf out;
    sh_buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        sh_buf_reset(&out);
        assert_int_equal(sh_fault_hint(&out, sh_slice_str(known[i].message)),
                         known[i].hint != NULL);
        if (known[i].hint)
            assert_string_equal(out.data, known[i].hint);
    }
    sh_buf_free(&out);
}

/* Comparing with every pattern takes no time that matters, whatever the author wrote. */
static void test_hints_are_quick(void **state)
{
    (void)state;
    static const char *const bad[] = {": '", "' must be ",      ": ", "'", "a",
                                      "\"",  " (did you mean '"};
    struct sh_buf text, out;
    sh_buf_init(&text, 100000);
    sh_buf_init(&out, 10000);
    int64_t t0 = sh_mono_us();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        sh_buf_reset(&text);
        for (int k = 0; k < 2000; k++)
            sh_buf_adds(&text, bad[i]);
        (void)sh_fault_hint(&out, sh_slice(text.data, text.len));
    }
    assert_true(sh_mono_us() - t0 < 2000000);
    sh_buf_free(&text);
    sh_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_late_record, kit_teardown),
        cmocka_unit_test_teardown(test_store_that_fails, kit_teardown),
        cmocka_unit_test_teardown(test_late_lookup, kit_teardown),
        cmocka_unit_test_teardown(test_much_held_while_it_waits, kit_teardown),
        cmocka_unit_test_teardown(test_large_answers, kit_teardown),
        cmocka_unit_test_teardown(test_large_event, kit_teardown),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_hints_are_quick),
    };
    return cmocka_run_group_tests(tests, read_page, free_page);
}
