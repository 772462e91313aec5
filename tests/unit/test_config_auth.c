/* SPDX-License-Identifier: MIT
 * test_config_auth.c: how senders prove who they are, as configured; no fault repeats a secret. */
#include "config_kit.h"

#define SOURCE(text)                                                                               \
    "return { sources = {\n s = { path = \"/x\", type = { value = \"t\" },\n" text "}}}"

static void test_schemes(void **state)
{
    (void)state;
    struct sh_config c;
    expect_ok(SOURCE("auth = { hmac = { \"a\", \"b\" }, header = \"X-Sig\", prefix = \"p=\", "
                     "encoding = \"base64\", hash = \"sha512\", key = \"text\" }, "
                     "from = { \"192.0.2.0/24\", \"::1\" }, echo = { header = \"X-Echo\" }"),
              &c);
    const struct sh_source_config *s = &c.sources[0];
    assert_int_equal(s->auth.kind, SH_AUTH_HMAC);
    assert_string_equal(s->auth.secrets[0], "a");
    assert_string_equal(s->auth.secrets[1], "b");
    assert_null(s->auth.secrets[2]);
    assert_string_equal(s->auth.header, "X-Sig");
    assert_string_equal(s->auth.prefix, "p=");
    assert_int_equal(s->auth.signature, SH_AUTH_BASE64);
    assert_int_equal(s->auth.hash, SH_HASH_SHA512);
    assert_int_equal(s->n_from, 2);
    assert_string_equal(s->echo, "X-Echo");
    assert_string_equal(c.plain_secrets[0], "sources.s.auth");
    sh_config_clear(&c);
    expect_ok(SOURCE("auth = { jwt = string.rep(\"k\", 9), location = \"bearer\" }"), &c);
    assert_true(c.sources[0].auth.jwt_bearer);
    assert_int_equal(c.sources[0].auth.tolerance_ms, 60000);
    assert_null(c.plain_secrets);
    assert_int_equal(c.auth_failures, 20);
    sh_config_clear(&c);
}

static void test_schemes_wrong(void **state)
{
    (void)state;
    static const char *const at = "sources.s.auth";
    static const struct {
        const char *text, *key, *part;
    } wrong[] = {
        {"auth = { bearer = \"x\", path = \"y\", segment = \"s\" }", "",
         "two schemes, bearer and path"},
        {"auth = { bearr = \"x\" }", ".bearr", "did you mean \"bearer\"?"},
        {"auth = { \"t0ken\" }", "", "expected \"none\" or a scheme"},
        {"auth = { bearer = {} }", ".bearer", "expected env"},
        {"auth = { bearer = { \"a\", \"b\", \"c\", \"d\", \"e\" } }", ".bearer",
         "has 5 secrets; expected 1 to 4"},
        {"auth = { bearer = { \"a\", \"\" } }", ".bearer.2", "is empty"},
        {"auth = { hmac = \"t0ken\" }", "", "needs header"},
        {"auth = { timestamped = \"t0ken\" }", "", "needs header"},
        {"auth = { token = \"t0ken\" }", "", "needs one of field"},
        {"auth = { token = \"t0ken\", field = \"a\", header = \"b\" }", "", "needs only one of"},
        {"auth = { path = \"t0ken\" }", "", "needs segment"},
        {"auth = { path = \"t0ken\", segment = \"x\" }", "", "has no segment {x}"},
        {"auth = { standard_webhooks = \"whsec_t0ken!\" }", ".standard_webhooks",
         "is not whsec_ and base64 behind it"},
        {"auth = { jwt = \"t0ken!\", key = \"base64\" }", ".jwt", "is not base64"},
        {"auth = { jwt = \"t0ken!\", key = \"hex\" }", ".jwt", "is not hex"},
        {"auth = { jwt = \"t0ken\", location = \"query\" }", ".location",
         "expected \"body\" or \"bearer\""},
        {"auth = { hmac = \"t0ken\", header = \"X\", hash = \"md5\" }", ".hash",
         "expected \"sha256\", \"sha1\" or \"sha512\""},
        {"auth = { hmac = \"t0ken\", header = \"X Y\" }", ".header", "is not the name of a header"},
        {"auth = { bearer = \"t0ken\", header = \"X\" }", ".header", "does not go with bearer"},
        {"auth = { basic = \"t0ken\" }", ".basic", "expected { user"},
        {"auth = { basic = { user = \"a:b\", password = \"t0ken\" } }", ".basic", "colon"},
        {"auth = { basic = { password = \"t0ken\" } }", ".basic", "needs user beside it"},
        {"auth = { basic = { user = \"t0ken\" } }", ".basic", "needs password beside it"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char key[64], text[1024];
        struct sh_config c;
        cJSON *faults;
        snprintf(key, sizeof(key), "%s%s", at, wrong[i].key);
        snprintf(text, sizeof(text), SOURCE("%s"), wrong[i].text);
        expect_fault(text, 3, key, wrong[i].part);
        assert_false(load(text, &c, &faults));
        char *all = cJSON_Print(faults);
        assert_null(strstr(all, "t0ken"));
        cJSON_free(all);
        cJSON_Delete(faults);
        sh_config_clear(&c);
    }
    expect_fault("return { sources = { s = { path = \"/x/{a}\", type = { value = \"t\" },\n"
                 "key = { path = \"a\" },\n auth = { path = \"t0ken\", segment = \"a\" } } } }",
                 2, "sources.s.key", "{a} is the secret of auth");
    expect_fault(SOURCE("from = {}"), 3, "sources.s.from", "the list is empty");
    expect_fault(SOURCE("from = { \"192.0.2.1/24\" }"), 3, "sources.s.from.1",
                 "write 192.0.2.0/24");
    expect_fault(SOURCE("echo = {}"), 3, "sources.s.echo", "needs header");
    expect_fault("return { trusted_proxies = { \"proxy\" } }", 1, "trusted_proxies.1",
                 "neither an address nor a network");
    expect_fault("return { forwarded_header = \"Via\" }", 1, "forwarded_header",
                 "expected \"X-Forwarded-For\" or \"Forwarded\"");
    expect_fault("return { limits = { auth_failures = -1 } }", 1, "limits.auth_failures",
                 "out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_schemes_wrong),
    };
    return cmocka_run_group_tests_name("config_auth", tests, make_folder, remove_folder);
}
