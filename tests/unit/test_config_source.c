/* SPDX-License-Identifier: MIT
 * test_config_source.c: where a source finds type, key, time and dedupe id; its bodies, its
 * normaliser, its path. */
#include "config_kit.h"

static void expect_source_fault(const char *inside, const char *key, const char *part)
{
    char *text = sh_strf("return { sources = { s = {\n path = \"/hooks/{tenant}/x\", %s\n %s } } }",
                         strstr(inside, "type =") ? "" : "type = { value = \"t\" },", inside);
    char *whole = sh_strf("sources.s%s%s", *key ? "." : "", key);
    expect_fault(text, 3, whole, part);
    free(whole);
    free(text);
}

static const char all_places[] =
    "return { sources = {\n"
    "  pbx = { path = \"/hooks/pbx/{tenant}/{kind}\", type = { path = \"kind\" },\n"
    "    key = { header = \"X-Call\" }, time = { field = \"at\" }, body = \"form\",\n"
    "    dedupe = { header = \"X-Id\", path = \"tenant\", fields = { \"a\" } },\n"
    "    normalise = \"lib.pbx\", show = { \"caller.name\", \"number\" } },\n"
    "  token = { path = \"/hooks/token\", type = { field = \"state\" }, body = \"jwt\",\n"
    "    dedupe = { field = \"id\" }, time = { header = \"X-At\" } } } }";

static void every_place(void **state)
{
    struct sh_config c;
    (void)state;
    expect_ok(all_places, &c);
    const struct sh_source_config *s = sh_config_source(&c, "pbx");
    assert_string_equal(s->source.type.segment, "kind");
    assert_string_equal(s->source.key.header, "X-Call");
    assert_string_equal(s->source.time.field, "at");
    assert_string_equal(s->source.dedupe.header, "X-Id");
    assert_string_equal(s->source.dedupe.segment, "tenant");
    assert_string_equal(s->source.dedupe.fields[0], "a");
    assert_int_equal(s->source.format, SH_BODY_FORM);
    assert_string_equal(s->normalise, "lib.pbx");
    assert_string_equal(s->show[0], "caller.name");
    assert_string_equal(s->show[1], "number");
    assert_null(s->show[2]);
    s = sh_config_source(&c, "token");
    assert_int_equal(s->source.format, SH_BODY_JWT);
    assert_string_equal(s->source.dedupe.fields[0], "id");
    assert_null(s->source.dedupe.fields[1]);
    assert_string_equal(s->source.time.header, "X-At");
    assert_int_equal(c.settings.n_normalisers, 1);
    assert_string_equal(c.settings.normalisers[0].source, "pbx");
    assert_string_equal(c.settings.normalisers[0].module, "lib.pbx");
    sh_config_clear(&c);
}

static void bad_places(void **state)
{
    (void)state;
    expect_source_fault("type = { header = \"X Event\" }", "type",
                        "\"X Event\" is not a header's name");
    expect_source_fault("key = { path = \"kind\" }", "key",
                        "the path /hooks/{tenant}/x has no segment {kind}");
    expect_source_fault("time = { path = \"when\" }", "time", "has no segment {when}");
    expect_source_fault("time = { value = \"now\" }", "time", "a fixed time is nobody's");
    expect_source_fault("key = { header = \"A\", path = \"tenant\" }", "key",
                        "needs only one of field, header, path and value");
    expect_source_fault("dedupe = { path = \"id\" }", "dedupe", "has no segment {id}");
    expect_source_fault("dedupe = { header = \"a:b\" }", "dedupe", "is not a header's name");
    expect_source_fault("dedupe = { value = \"x\" }", "dedupe",
                        "every event would be a repeat of the first");
    expect_source_fault("dedupe = { field = \"a\", fields = { \"b\" } }", "dedupe",
                        "needs only one of field and fields");
    expect_source_fault("dedupe = { feild = \"a\" }", "dedupe.feild", "did you mean \"field\"?");
    expect_source_fault("body = \"xml\"", "body", "expected \"json\", \"form\" or \"jwt\"");
    expect_source_fault("normalise = \"lib/pbx\"", "normalise",
                        "\"lib/pbx\" is not a script's name; expected one as for require");
    expect_source_fault("normalise = \"pbx.lua\"", "normalise", "is not a script's name");
    expect_source_fault("show = \"name\"", "show", "expected a list of fields such as");
    expect_source_fault("show = { \"a\", \"b..c\" }", "show.2",
                        "\"b..c\" is not a field of a body");
    expect_source_fault("show = { \"a.*\" }", "show.1", "\"a.*\" is not a field of a body");
    expect_source_fault("show = { \"a\", \"b\", \"a\" }", "show.3", "\"a\" is there twice");
    expect_source_fault("show = { '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12',"
                        " '13', '14', '15', '16', '17' }",
                        "show", "17 fields; at most 16");
}

static void paths(void **state)
{
    (void)state;
    expect_fault("return { sources = { s = { path = \"/{x}\", type = { value = \"t\" } } } }", 1,
                 "sources.s.path", "would take the engine's own paths");
    expect_fault("return { sources = { s = { path = \"/a/x{b}\", type = { value = \"t\" } } } }", 1,
                 "sources.s.path", "{b}");
    expect_fault("return { sources = {\n"
                 " a = { path = \"/h/{x}\", type = { value = \"t\" } },\n"
                 " b = { path = \"/h/y\", type = { value = \"t\" } } } }",
                 3, "sources.b.path", "a request may fit /h/y and /h/{x} of source \"a\" as well");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place),
        cmocka_unit_test(bad_places),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
