/* SPDX-License-Identifier: MIT
 * test_config_calls.c: the configuration of calls, secrets, zone and callbacks; no text of a secret
 * is ever told. */
#include "config_kit.h"

/* --- calls, secrets, zone, callbacks --------------------------------------------------------- */

static void test_http(void **state)
{
    (void)state;
    struct sh_config c;
    expect_ok("return { http = { allow = { \"crm.example.org\", \"*.example.net:8443\",\n"
              " \"10.0.0.0/8\" }, timeout = \"10s\", lookup_timeout = 1, answer = \"1MiB\",\n"
              " per_host = 1, connections = 8, pause_max = \"5m\", retry = { 1, \"2s\" } } }",
              &c);
    assert_string_equal(c.http.allow[1], "*.example.net:8443");
    assert_null(c.http.allow[3]);
    assert_int_equal(c.http.timeout_ms, 10000);
    assert_int_equal(c.http.lookup_timeout_ms, 1000);
    assert_int_equal(c.http.answer_bytes, 1024 * 1024);
    assert_int_equal(c.http.per_host, 1);
    assert_int_equal(c.http.connections, 8);
    assert_int_equal(c.http.pause_max_ms, 300000);
    assert_int_equal(c.http.n_retry, 2);
    assert_int_equal(c.http.retry_ms[1], 2000);
    sh_config_clear(&c);
    expect_ok("return { http = { allow = {}, retry = {} } }", &c);
    assert_non_null(c.http.allow); /* nothing is allowed, which is not the same as not said */
    assert_null(c.http.allow[0]);
    assert_int_equal(c.http.n_retry, 0);
    sh_config_clear(&c);
}

static void test_http_faults(void **state)
{
    (void)state;
    expect_fault("return { http = {\n alow = {} } }", 2, "http.alow", "did you mean \"allow\"?");
    expect_fault("return { http = { allow = { \"a.example.org\",\n\n \"http://b.org/x\" } } }", 3,
                 "http.allow.2", "http://b.org/x");
    expect_fault("return { http = { allow = \"*\" } }", 1, "http.allow",
                 "expected a list of hosts");
    expect_fault("return { http = { per_host = 0 } }", 1, "http.per_host", "expected 1 to 1000");
    expect_fault("return { http = { lookup_timeout = \"2m\" } }", 1, "http.lookup_timeout",
                 "out of range; expected 100ms to 1m");
    expect_fault("return { http = { answer = \"1GiB\" } }", 1, "http.answer", "1 KiB to 4 MiB");
    expect_fault("return { http = {\n ca_file = \"nope.pem\" } }", 2, "http.ca_file",
                 "cannot be read");
    expect_fault("return { http = { retry = { \"x\" } } }", 1, "http.retry.1", "a duration");
}

static void test_zone_url_callbacks(void **state)
{
    (void)state;
    struct sh_config c;
    expect_ok("return { zone = \"Australia/Lord_Howe\", url = \"https://hook.example.org/x//\",\n"
              " callbacks = { email = false, missed_after = 0 } }",
              &c);
    assert_string_equal(c.settings.zone, "Australia/Lord_Howe");
    assert_string_equal(c.public_url, "https://hook.example.org/x");
    assert_false(c.callback_email);
    assert_int_equal(c.callback_missed_ms, 0);
    sh_config_clear(&c);
    expect_fault("return {\n zone = \"Europe/Amsterdm\" }", 2, "zone",
                 "there is no time zone \"Europe/Amsterdm\"; did you mean \"Europe/Amsterdam\"?");
    expect_fault("return { zone = \"CEST!!!!\" }", 1, "zone", "there is no time zone");
    expect_fault("return { zone = 2 }", 1, "zone", "expected a time zone");
    static const char *const bad[] = {"hook.example.org",      "ftp://a.org",     "https://",
                                      "https://a.org?x",       "https://u@a.org", "https://a b",
                                      "https://a.org/\\\"<x>", "https:///x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[128];
        snprintf(text, sizeof(text), "return { url = [[%s]] }", bad[i]);
        expect_fault(text, 1, "url", "is not the engine's address");
    }
    expect_fault("return { callbacks = { emial = true } }", 1, "callbacks.emial", "\"email\"");
    expect_fault("return { callbacks = { missed_after = \"x\" } }", 1, "callbacks.missed_after",
                 "a duration");
}

static void write_file(const char *name, const char *text, size_t n)
{
    char at[160];
    snprintf(at, sizeof(at), "%s/%s", folder, name);
    FILE *f = fopen(at, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void test_secrets(void **state)
{
    (void)state;
    struct sh_config c;
    setenv("SH_TEST_CRM", "from the environment", 1);
    setenv("SWITCHHOOK_SECRET_EXTRA", "by itself", 1);
    setenv("SWITCHHOOK_SECRET_IN_TABLE", "not this one", 1);
    setenv("SWITCHHOOK_SECRET_bad-name", "x", 1); /* not a name: somebody else's variable */
    write_file("token.txt", "from a file\r\n", 13);
    expect_ok("return { secrets = {\n"
              " ZZ = env \"SH_TEST_CRM\", _a1 = file \"token.txt\", PLAIN = \"written out\",\n"
              " IN_TABLE = 'this one', BOTH = \"Bearer \" .. env \"SH_TEST_CRM\" } }",
              &c);
    static const char *const names[] = {"BOTH", "EXTRA", "IN_TABLE", "PLAIN", "ZZ", "_a1"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(c.settings.secrets[i], names[i]);
    assert_null(c.settings.secrets[6]);
    assert_string_equal(sh_config_secret(&c, "ZZ"), "from the environment");
    assert_string_equal(sh_config_secret(&c, "_a1"), "from a file");
    assert_string_equal(sh_config_secret(&c, "PLAIN"), "written out");
    assert_string_equal(sh_config_secret(&c, "IN_TABLE"), "this one");
    assert_string_equal(sh_config_secret(&c, "EXTRA"), "by itself");
    assert_string_equal(sh_config_secret(&c, "BOTH"), "Bearer from the environment");
    assert_null(sh_config_secret(&c, "NONE"));
    assert_string_equal(c.plain_secrets[0], "IN_TABLE");
    assert_string_equal(c.plain_secrets[1], "PLAIN");
    assert_null(c.plain_secrets[2]);
    sh_config_clear(&c);
    unlink(path);
    cJSON *faults;
    assert_true(sh_config_load(NULL, &c, &faults)); /* without a file, the environment alone */
    assert_string_equal(sh_config_secret(&c, "EXTRA"), "by itself");
    cJSON_Delete(faults);
    sh_config_clear(&c);
    unsetenv("SWITCHHOOK_SECRET_EXTRA");
    unsetenv("SWITCHHOOK_SECRET_IN_TABLE");
    unsetenv("SWITCHHOOK_SECRET_bad-name");
    unlink("token.txt");
}

static void test_secret_faults(void **state)
{
    (void)state;
    unsetenv("SH_TEST_NOT_SET");
    expect_fault("return { secrets = {\n A = env \"SH_TEST_NOT_SET\" } }", 2, "",
                 "environment variable SH_TEST_NOT_SET is not set");
    expect_fault("return { secrets = {\n\n A = file \"no-such\" } }", 3, "",
                 "no-such: No such file or directory");
    expect_fault("return { secrets = {\n A = file \".\" } }", 2, "", "is it a folder?");
    expect_fault("return { secrets = {\n A = file \"\" } }", 2, "", "a file's path expected");
    expect_fault("return { secrets = {\n [\"a-b\"] = \"x\" } }", 2, "secrets.a-b",
                 "is not a name for a secret");
    expect_fault("return { secrets = { [\"1a\"] = \"x\" } }", 1, "secrets.1a", "no digit first");
    expect_fault("return { secrets = {\n A = \"\" } }", 2, "secrets.A", "is empty");
    expect_fault("return { secrets = \"x\" }", 1, "secrets", "expected a table by name");
    char *big = sh_alloc(70000, 1);
    memset(big, 'x', 65537);
    write_file("big", big, 65537);
    expect_fault("return { secrets = {\n A = file \"big\" } }", 2, "", "larger than 65536 bytes");
    big[65536] = '\n';
    write_file("big", big, 65537);
    struct sh_config c;
    expect_ok("return { secrets = { A = file \"big\" } }", &c);
    assert_int_equal(strlen(sh_config_secret(&c, "A")), 65536);
    sh_config_clear(&c);
    big[3] = '\0';
    write_file("big", big, 10);
    expect_fault("return { secrets = {\n A = file \"big\" } }", 2, "", "zero byte");
    setenv("SWITCHHOOK_SECRET_E", "", 1);
    expect_fault("return {}", 0, "secrets.E", "SWITCHHOOK_SECRET_E is empty");
    unsetenv("SWITCHHOOK_SECRET_E");
    unlink("big");
    free(big);
}

/* Whatever is wrong around it, a secret's text is in no message. */
static void test_no_secret_in_a_message(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "return { secrets = { A = { \"hunter2hunter2\" } } }",
        "return { secrets = { \"hunter2hunter2\" } }",
        "return { secrets = \"hunter2hunter2\" }",
        "return { secrets = { A = \"hunter2hunter2\" \"x\" } }",
        "return { secrets = { A = x \"a\" \"hunter2hunter2\" } }",
        "return { secrets = { A = \"hunter2hunter2 } }",
        "return { secrets = { A = 'hunter2hunter2\n } }",
        "return { secrets = { A \"hunter2hunter2\" } }",
        "return { secrets = { A = [[hunter2hunter2]] [[hunter2hunter2]] .. 1 1 } }",
        "return { secrets = { A = [[hunter2hunter2 } }",
        "return { secrets = { A = \"hunter2hunter2\" + 1 } }",
        "return { secrets = { A = (\"hunter2hunter2\").x.y } }",
        "local s = \"hunter2hunter2\" return { secrets = { A = s() } }",
        "return { secrets = { A = -\"hunter2hunter2\" } }",
        "return { secrets = { [\"a b\"] = \"hunter2hunter2\" } }",
        "return { secrets = { A = \"hunter2hunter2\\0\" } }",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct sh_config c;
        cJSON *faults;
        assert_false(load(texts[i], &c, &faults));
        char *all = cJSON_PrintUnformatted(faults);
        if (strstr(all, "hunter2"))
            fail_msg("%s: %s", texts[i], all);
        cJSON_free(all);
        cJSON_Delete(faults);
        sh_config_clear(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_http_faults),
        cmocka_unit_test(test_zone_url_callbacks),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_secret_faults),
        cmocka_unit_test(test_no_secret_in_a_message),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
