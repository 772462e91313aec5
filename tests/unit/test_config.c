/* SPDX-License-Identifier: MIT
 * test_config.c: configuration files, good and bad; units; suggestions; lines of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_kit.h"

#include "app/deb_version.h"
#include "app/suggest.h"
#include "app/units.h"
#include "base/zone.h"
#include "lua/config_file.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t sum(const int64_t *ms, size_t n)
{
    int64_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += ms[i];
    return all;
}

static void assert_default_calls(const struct sh_config *c)
{
    assert_null(c->http.allow);
    assert_null(c->http.ca_file);
    assert_int_equal(c->http.timeout_ms, 30000);
    assert_int_equal(c->http.lookup_timeout_ms, 5000);
    assert_int_equal(c->http.answer_bytes, 256 * 1024);
    assert_int_equal(c->http.per_host, 4);
    assert_int_equal(c->http.connections, 64);
    assert_int_equal(c->http.pause_max_ms, 60000);
    assert_int_equal(c->http.n_retry, 10);
    assert_int_equal(c->http.retry_ms[0], 10000);
    assert_int_equal(c->http.retry_ms[9], 12 * 3600 * 1000);
    assert_true(sum(c->http.retry_ms, c->http.n_retry) >= 24 * 3600 * 1000LL);
    assert_string_equal(c->settings.zone,
                        sh_zone_find(sh_zone_system()) ? sh_zone_system() : "UTC");
    assert_null(c->settings.secrets);
    assert_null(c->public_url);
    assert_true(c->callback_email);
    assert_int_equal(c->callback_missed_ms, 24 * 3600 * 1000);
}

static void test_defaults(void **state)
{
    (void)state;
    struct sh_config c;
    cJSON *faults;
    unlink(path);
    assert_true(sh_config_load(NULL, &c, &faults));
    assert_int_equal(cJSON_GetArraySize(faults), 0);
    assert_null(c.file);
    assert_string_equal(c.listen_host, "127.0.0.1");
    assert_int_equal(c.listen_port, 8080);
    assert_string_equal(c.data, "var");
    assert_string_equal(c.rules, "rules");
    assert_string_equal(c.scripts, "scripts");
    assert_int_equal(c.n_sources, 1);
    assert_string_equal(c.sources[0].source.name, "webphone");
    assert_string_equal(c.sources[0].path, "/hooks/webphone");
    assert_string_equal(c.sources[0].source.type.field, "event");
    assert_string_equal(c.sources[0].source.key.field, "call_id");
    assert_null(c.sources[0].source.dedupe.fields);
    assert_int_equal(c.sources[0].auth.kind, SH_AUTH_UNSET);
    assert_int_equal(c.n_retry, 6);
    assert_int_equal(c.retry_ms[5], 6 * 3600 * 1000);
    assert_int_equal(c.n_mail_retry, 8);
    assert_true(sum(c.mail_retry_ms, c.n_mail_retry) >= 24 * 3600 * 1000LL);
    assert_string_equal(c.mail.from, "switchhook <switchhook@localhost>");
    assert_int_equal(c.budgets.cpu_ms, 200);
    assert_int_equal(c.retain.events_ms, 90LL * 86400000);
    assert_int_equal(c.quarantine, 20);
    assert_default_calls(&c);
    cJSON_Delete(faults);
    sh_config_clear(&c);
}

static const char whole[] =
    "local minute = 60\n"
    "return {\n"
    "  listen = \"[::1]:9000\", data = \"/srv/data\", rules = \"my/rules\", workers = 3,\n"
    "  sources = {\n"
    "    webphone = {\n"
    "      path = \"/hooks/webphone\", type = { field = \"event\" },\n"
    "      key = { field = \"call.id\" }, dedupe = { fields = { \"a\", \"b.c\" } },\n"
    "      auth = { bearer = env \"SH_TEST_TOKEN\" }, cors = { \"https://p.example.org:8443\" },\n"
    "    },\n"
    "    other = { path = \"/hooks/other\", type = { value = \"ping\" }, auth = \"none\" },\n"
    "  },\n"
    "  mail = { smtp = \"smtp://127.0.0.1:2525\", from = \"Hook <hook@example.org>\",\n"
    "           username = \"u\", password = \"p\", connections = 2, timeout = \"90s\",\n"
    "           retry = { \"1s\" } },\n"
    "  retry = { \"200ms\", 2 * minute, \"1.5h\" },\n"
    "  limits = { body = \"64 KiB\", headers = 8192, connections = 10, header_timeout = \"2s\",\n"
    "             body_timeout = 3, idle_timeout = 0.5, backlog = 1000, memory_events = 100,\n"
    "             memory_bodies = \"2MiB\" },\n"
    "  budgets = { cpu = \"50ms\", wall = \"1s\", memory = \"16MiB\", effects = 10,\n"
    "              effect_bytes = \"64KiB\" },\n"
    "  min_free = 0, retain = \"30d\",\n"
    "}\n";

static void test_whole(void **state)
{
    (void)state;
    struct sh_config c;
    setenv("SH_TEST_TOKEN", "s3cret", 1);
    expect_ok(whole, &c);
    assert_string_equal(c.file, path);
    assert_string_equal(c.listen_host, "::1");
    assert_int_equal(c.listen_port, 9000);
    assert_string_equal(c.data, "/srv/data");
    char *rules = sh_strf("%s/my/rules", folder), *scripts = sh_strf("%s/scripts", folder);
    assert_string_equal(c.rules, rules);     /* relative to the file */
    assert_string_equal(c.scripts, scripts); /* the default too */
    free(rules);
    free(scripts);
    assert_int_equal(c.workers, 3);
    assert_int_equal(c.n_sources, 2);
    const struct sh_source_config *w = sh_config_source(&c, "webphone");
    assert_non_null(w);
    assert_int_equal(w->auth.kind, SH_AUTH_BEARER);
    assert_string_equal(w->auth.secrets[0], "s3cret");
    assert_string_equal(w->source.key.field, "call.id");
    assert_string_equal(w->source.dedupe.fields[1], "b.c");
    assert_null(w->source.dedupe.fields[2]);
    assert_string_equal(w->cors[0], "https://p.example.org:8443");
    const struct sh_source_config *o = sh_config_source(&c, "other");
    assert_string_equal(o->source.type.value, "ping");
    assert_null(o->source.key.field);
    assert_int_equal(o->auth.kind, SH_AUTH_NONE);
    assert_null(sh_config_source(&c, "third"));
    sh_config_clear(&c);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    struct sh_config c;
    setenv("SH_TEST_TOKEN", "s3cret", 1);
    expect_ok(whole, &c);
    assert_false(c.mail.require_tls); /* a loopback server */
    assert_int_equal(c.mail.connections, 2);
    assert_int_equal(c.mail.timeout_ms, 90000);
    assert_int_equal(c.n_mail_retry, 1);
    assert_int_equal(c.n_retry, 3);
    assert_int_equal(c.retry_ms[0], 200);
    assert_int_equal(c.retry_ms[1], 120000);
    assert_int_equal(c.retry_ms[2], 5400000);
    assert_int_equal(c.body_bytes, 65536);
    assert_int_equal(c.header_bytes, 8192);
    assert_int_equal(c.connections, 10);
    assert_int_equal(c.header_timeout_ms, 2000);
    assert_int_equal(c.body_timeout_ms, 3000);
    assert_int_equal(c.idle_timeout_ms, 500);
    assert_int_equal(c.backlog, 1000);
    assert_int_equal(c.memory_events, 100);
    assert_int_equal(c.memory_body_bytes, 2 * 1024 * 1024);
    assert_int_equal(c.budgets.cpu_ms, 50);
    assert_int_equal(c.budgets.wall_ms, 1000);
    assert_int_equal(c.budgets.memory_bytes, 16 * 1024 * 1024);
    assert_int_equal(c.budgets.max_effects, 10);
    assert_int_equal(c.budgets.max_effect_bytes, 65536);
    assert_int_equal(c.min_free_bytes, 0);
    assert_int_equal(c.retain.callbacks_ms, 30LL * 86400000);
    sh_config_clear(&c);
}

static void test_keys(void **state)
{
    (void)state;
    expect_fault("return {\n  lisen = \"127.0.0.1:1\"\n}", 2, "lisen", "did you mean \"listen\"?");
    expect_fault("return {\n\n zzzzzzzzz = 1 }", 3, "zzzzzzzzz", "known here: listen, data");
    expect_fault("return { limits = {\n bdoy = 1 } }", 2, "limits.bdoy", "\"body\"");
    expect_fault("return {\n workers = \"four\" }", 2, "workers",
                 "expected a whole number, got the string \"four\"");
    expect_fault("return { workers = 1.5 }", 1, "workers", "the number 1.5");
    expect_fault("return { workers = 0 }", 1, "workers", "0 is out of range; expected 1 to 64");
    expect_fault("return { retain = \"5 weeks\" }", 1, "retain", "expected a duration");
    expect_fault("return {\n retain = { evnts = 1 } }", 2, "retain.evnts",
                 "did you mean \"events\"");
    expect_fault("return { retain = {\n records = { Calls = 1 } } }", 2, "retain.records.Calls",
                 "no collection");
    expect_fault("return { retain = { events = \"30d\",\n runs = \"31d\" } }", 2, "retain.runs",
                 "at most retain.events");
    expect_fault("return { retain = { events = 1, runs = 0 } }", 1, "retain.runs", "at most");
    expect_fault("return { mask = {\n feilds = {} } }", 2, "mask.feilds",
                 "did you mean \"fields\"");
    expect_fault("return { mask = { fields = { \"a..b\" } } }", 1, "mask.fields", "a field's name");
    expect_fault("return { country = \"+31\" }", 1, "country", "calling code");
    expect_fault("return { retain = -1 }", 1, "retain", "expected a duration");
    struct sh_config c;
    expect_ok("return { quarantine = false }", &c);
    assert_int_equal(c.quarantine, 0);
    sh_config_clear(&c);
    expect_ok("return { quarantine = 5 }", &c);
    assert_int_equal(c.quarantine, 5);
    sh_config_clear(&c);
    expect_fault("return { quarantine = true }", 1, "quarantine", "or false for never");
    expect_fault("return { quarantine = -1 }", 1, "quarantine", "expected");
    expect_fault("return { min_free = \"1 Mb\" }", 1, "min_free", "expected a size");
    expect_fault("return { limits = { headers = 10 } }", 1, "limits.headers",
                 "10 B is out of range; expected 1 KiB to 1 MiB");
    expect_fault("return { retry = {\n \"5s\",\n \"soon\" } }", 3, "retry.2", "\"soon\"");
    expect_fault("return { retry = \"5s\" }", 1, "retry", "expected a list of durations");
    expect_fault("return { data = 5 }", 1, "data", "expected a path, got the number 5");
    expect_fault("return { data = \"\" }", 1, "data", "is empty");
    expect_fault("return { mail = { tls = \"yes\" } }", 1, "mail.tls", "expected true or false");
    expect_fault("return { budgets = {\ncpu = \"10s\" } }", 1, "budgets.wall", "less than");
    expect_fault("return { \"x\" }", 1, "", "got a list");
}

static void test_listen(void **state)
{
    (void)state;
    static const char *const bad[] = {"8080",         ":8080",         "127.0.0.1",
                                      "127.0.0.1:",   "127.0.0.1:x",   "127.0.0.1:65536",
                                      "::1:8080",     "[127.0.0.1]:1", "example.org:80",
                                      "127.0.0.1:-1", "[::1]",         "127.0.0.1:1 "};
    struct sh_config c = {0};
    struct sh_error err;
    assert_true(sh_config_set_listen(&c, "localhost:0", &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (sh_config_set_listen(&c, bad[i], &err) || !strstr(err.msg, bad[i]))
            fail_msg("\"%s\": %s", bad[i], err.msg);
    assert_string_equal(c.listen_host, "127.0.0.1"); /* unchanged by what was refused */
    assert_int_equal(c.listen_port, 0);
    assert_true(sh_config_is_loopback(&c));
    assert_true(sh_config_set_listen(&c, "[::]:1", &err));
    assert_false(sh_config_is_loopback(&c));
    assert_true(sh_config_set_listen(&c, "[::1]:1", &err));
    assert_true(sh_config_is_loopback(&c));
    assert_true(sh_config_set_listen(&c, "127.8.0.1:1", &err));
    assert_true(sh_config_is_loopback(&c));
    sh_config_clear(&c);
    expect_fault("return {\n listen = \"8080\" }", 2, "listen", "expected an address and a port");
}

#define SOURCE(text)                                                                               \
    "return { sources = {\n s = { path = \"/x\", type = { value = \"t\" },\n" text "}}}"

static void test_sources(void **state)
{
    (void)state;
    struct sh_config c;
    expect_fault("return { sources = {} }", 1, "sources", "expected a table of sources");
    expect_fault("return { sources = { s = 5 } }", 1, "sources.s", "got the number 5");
    expect_fault("return { sources = { s = { type = { value = \"t\" } } } }", 1, "sources.s",
                 "needs path = \"/hooks/s\"");
    expect_fault("return { sources = { s = { path = \"/x\" } } }", 1, "sources.s", "needs type");
    expect_fault("return { sources = { s = { path = \"x\", type = { value = \"t\" } } } }", 1,
                 "sources.s.path", "does not begin with /");
    expect_fault("return { sources = { s = { path = \"/a?b\", type = { value = \"t\" } } } }", 1,
                 "sources.s.path", "0x3f");
    expect_fault(SOURCE("type = {}"), 3, "sources.s.type",
                 "needs one of field, header, path and value");
    expect_fault(SOURCE("type = { field = \"a\", value = \"b\" }"), 3, "sources.s.type",
                 "only one of");
    expect_fault(SOURCE("key = \"id\""), 3, "sources.s.key",
                 "expected { field = \"name\" }, { header = \"X-Name\" }");
    expect_fault(SOURCE("dedupe = { fields = {} }"), 3, "sources.s.dedupe.fields", "empty");
    expect_fault(SOURCE("dedupe = {}"), 3, "sources.s.dedupe", "needs fields");
    expect_fault(SOURCE("cors = { \"https://a.example/\" }"), 3, "sources.s.cors",
                 "is not an origin");
    expect_fault(SOURCE("pth = 1"), 3, "sources.s.pth", "did you mean \"path\"?");
    expect_ok(SOURCE("cors = { \"*\", \"null://x\" }"), &c);
    sh_config_clear(&c);
}

static void test_source_names_and_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"rules", "clock", "engine", "A", "1a", "a b", "_a", "a.b"};
    static const char *const kept[] = {"/healthz", "/api",      "/api/x",     "/console",
                                       "/metrics", "/calendar", "/calendar/x"};
    char text[256];
    struct sh_config c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cJSON *faults;
        snprintf(text, sizeof(text),
                 "return { sources = { [\"%s\"] = { path = \"/x\", type = { value = \"t\" } } } }",
                 bad[i]);
        assert_false(load(text, &c, &faults));
        cJSON_Delete(faults);
        sh_config_clear(&c);
    }
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        snprintf(text, sizeof(text),
                 "return { sources = { s = { path = \"%s\", type = { value = \"t\" } } } }",
                 kept[i]);
        expect_fault(text, 1, "sources.s.path", "is kept for the engine");
    }
    expect_ok("return { sources = { [\"a-b_1\"] = { path = \"/apiary\", type = { value = \"t\" } "
              "} } }",
              &c);
    sh_config_clear(&c);
    expect_fault("return { sources = {\n"
                 " a = { path = \"/x\", type = { value = \"t\" } },\n"
                 " b = { path = \"/x\", type = { value = \"t\" } } } }",
                 3, "sources.b.path", "source \"a\" has the path /x already");
}

static void test_auth(void **state)
{
    (void)state;
    struct sh_config c;
    struct sh_error err;
    unsetenv("SH_TEST_NOT_SET");
    expect_fault(SOURCE("auth = \"token\""), 3, "sources.s.auth",
                 "expected \"none\" or a scheme such as { bearer");
    expect_fault(SOURCE("auth = {}"), 3, "sources.s.auth", "needs a scheme");
    expect_fault(SOURCE("auth = { bearer = \"\" }"), 3, "sources.s.auth.bearer", "is empty");
    expect_fault(SOURCE("auth = { bearer = \"a b\" }"), 3, "sources.s.auth.bearer", "blank");
    expect_fault(SOURCE("auth = { bearer = env \"SH_TEST_NOT_SET\" }"), 3, "",
                 "environment variable SH_TEST_NOT_SET is not set");
    expect_ok(SOURCE(""), &c);
    assert_true(sh_config_check_exposure(&c, &err)); /* loopback */
    assert_true(sh_config_set_listen(&c, "0.0.0.0:80", &err));
    assert_false(sh_config_check_exposure(&c, &err));
    assert_non_null(strstr(err.msg, "auth = { bearer = env \"S_TOKEN\" } in sources.s"));
    assert_non_null(strstr(err.msg, "auth = \"none\""));
    sh_config_clear(&c);
    expect_ok(SOURCE("auth = \"none\""), &c);
    assert_true(sh_config_set_listen(&c, "0.0.0.0:80", &err));
    assert_true(sh_config_check_exposure(&c, &err));
    sh_config_clear(&c);
}

static void test_mail(void **state)
{
    (void)state;
    struct sh_config c;
    expect_fault("return { mail = {\n smtp = \"smtp://m.example.org\" } }", 2, "mail.smtp",
                 "needs mail.from");
    expect_fault("return { mail = { smtp = \"m.example.org:25\", from = \"a@b.org\" } }", 1,
                 "mail.smtp", "expected smtp://HOST");
    expect_fault("return { mail = { smtp = \"smtp://u:p@m\", from = \"a@b.org\" } }", 1,
                 "mail.smtp", "expected smtp://HOST");
    expect_fault("return { mail = { smtp = \"smtp://m:70000\", from = \"a@b.org\" } }", 1,
                 "mail.smtp", "expected smtp://HOST");
    expect_fault("return { mail = {\n from = \"nobody\" } }", 2, "mail.from", "");
    expect_fault("return { mail = { from = \"a@b.org\\r\\nBcc: x@y.org\" } }", 1, "mail.from", "");
    expect_fault("return { mail = { username = \"u\" } }", 1, "mail.username",
                 "needs mail.password");
    expect_fault("return { mail = { ca_file = \"nope.pem\" } }", 1, "mail.ca_file",
                 "cannot be read");
    expect_ok("return { mail = { smtp = \"smtps://m.example.org\", from = \"a@b.org\" } }", &c);
    assert_true(c.mail.require_tls);
    sh_config_clear(&c);
    expect_ok("return { mail = { smtp = \"smtp://[::1]:25\", from = \"a@b.org\" } }", &c);
    assert_false(c.mail.require_tls);
    sh_config_clear(&c);
    expect_ok("return { mail = { smtp = \"smtp://m.example.org\", from = \"a@b.org\", "
              "tls = false } }",
              &c);
    assert_false(c.mail.require_tls);
    sh_config_clear(&c);
}

static void test_all_at_once(void **state)
{
    (void)state;
    struct sh_config c;
    cJSON *faults;
    assert_false(load("return {\n  lisen = 1,\n  workers = {},\n  mail = { frm = \"x\" },\n"
                      "  sources = { a = { path = \"x\" } },\n}",
                      &c, &faults));
    assert_int_equal(cJSON_GetArraySize(faults), 5);
    assert_true(has_fault(faults, 2, "lisen", "unknown key"));
    assert_true(has_fault(faults, 3, "workers", "an empty table"));
    assert_true(has_fault(faults, 4, "mail.frm", "\"from\""));
    assert_true(has_fault(faults, 5, "sources.a.path", "begin"));
    assert_true(has_fault(faults, 5, "sources.a", "needs type"));
    int64_t last = 0, line = 0;
    const cJSON *f;
    cJSON_ArrayForEach(f, faults)
    {
        assert_true(sh_json_get_int(sh_json_member(f, "line"), &line));
        assert_true(line >= last);
        last = line;
    }
    cJSON_Delete(faults);
    sh_config_clear(&c);
}

static void test_bad_files(void **state)
{
    (void)state;
    expect_fault("return {\n listen = \n}", 3, "", "unexpected symbol near '}'");
    expect_fault("x = 1", 1, "", "must end with `return { ... }`; it returned nothing");
    expect_fault("return 5", 1, "", "it returned number");
    expect_fault("\n\nlocal x = nil + 1", 3, "", "attempt to perform arithmetic");
    expect_fault("while true do end", 1, "", "ran for more than 2 seconds");
    expect_fault("local t = {} for i = 1, 1e9 do t[i] = (\"x\"):rep(100000) .. i end", 1, "",
                 "not enough memory");
    expect_fault("return { retry = { 1, nil, 3 } }", 1, "", "has a hole");
    expect_fault("return {\n retry = { 1, a = 3 } }", 2, "", "both list items and named keys");
    expect_fault("return {\n data = function() end }", 2, "", "data: a function cannot be");
    expect_fault("local t = {} t.data = t return t", 1, "", "tables inside each other");
    expect_fault("return { data = \"a\\0b\" }", 1, "", "zero byte");
    expect_fault("return { retain = 0/0 }", 1, "", "retain: not a finite number");
    expect_fault("\x1bLua", 1, "", "attempt to load a binary chunk");
    expect_fault("return { data = os.getenv(\"HOME\") }", 1, "", "global 'os'");
    expect_fault("io.open(\"x\")", 1, "", "global 'io'");
    expect_fault("return { [5.5] = 1 }", 1, "", "keys are names or places in a list");
}

static void test_no_file(void **state)
{
    (void)state;
    struct sh_config c;
    cJSON *faults;
    assert_false(sh_config_load("nowhere.lua", &c, &faults));
    assert_string_equal(sh_json_string(cJSON_GetArrayItem(faults, 0), "file"), "nowhere.lua");
    assert_non_null(strstr(sh_json_string(cJSON_GetArrayItem(faults, 0), "msg"), "No such file"));
    cJSON_Delete(faults);
    sh_config_clear(&c);
    assert_false(sh_config_load("/", &c, &faults));
    cJSON_Delete(faults);
    sh_config_clear(&c);
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] = "-- listen = 1\n"                                     /* 1 */
                               "--[==[ data = { \n ]] ]==] local x = [[ } \n]]\n"    /* 2-4 */
                               "local helper = { listen = 0 }\n"                     /* 5 */
                               "return {\n"                                          /* 6 */
                               "  note = \"} listen = { \\\" \", other = 'a\\'}',\n" /* 7 */
                               "  listen = \"a\", data\n"                            /* 8 */
                               "   = \"b\",\n"                                       /* 9 */
                               "  [\"sources\"] = {\n"                               /* 10 */
                               "    web = { path = f(\"/x\", { path = 1 }),\n"       /* 11 */
                               "      key = a == b, type = {\n"                      /* 12 */
                               "        field = \"e\" } };\n"                        /* 13 */
                               "    ['two'] = { path = [=[\n]]}\n]=], type = 1 },\n" /* 14-16 */
                               "  },\n"                                              /* 17 */
                               "  retry = { \"1s\",\n"                               /* 18 */
                               "            { }, 3 },\n"                             /* 19 */
                               "}\n";
    assert_int_equal(sh_config_line(text, "listen"), 8);
    assert_int_equal(sh_config_line(text, "data"), 8);
    assert_int_equal(sh_config_line(text, "sources"), 10);
    assert_int_equal(sh_config_line(text, "sources.web.path"), 11);
    assert_int_equal(sh_config_line(text, "sources.web.key"), 12);
    assert_int_equal(sh_config_line(text, "sources.web.type.field"), 13);
    assert_int_equal(sh_config_line(text, "sources.two.path"), 14);
    assert_int_equal(sh_config_line(text, "sources.two.type"), 16);
    assert_int_equal(sh_config_line(text, "sources.two.nope"), 14); /* the nearest around it */
    assert_int_equal(sh_config_line(text, "retry.1"), 18);
    assert_int_equal(sh_config_line(text, "retry.3"), 19);
    assert_int_equal(sh_config_line(text, "nope"), 0);
    assert_int_equal(sh_config_line("", "a"), 0);
    assert_int_equal(sh_config_line("return { a = { b = [==[", "a.b"), 1);
    assert_int_equal(sh_config_line("return {{{{ = = }", "a"), 0);
}

/* Any prefix of a file, cut anywhere, ends the scan within it. */
static void test_lines_of_rubbish(void **state)
{
    (void)state;
    for (size_t n = 0; n <= strlen(whole); n++) {
        char *cut = sh_memdup(whole, n);
        int line = sh_config_line(cut, "sources.webphone.dedupe.fields.2");
        assert_in_range(line, 0, 20);
        free(cut);
    }
}

static void test_units(void **state)
{
    (void)state;
    int64_t n;
    char text[SH_UNIT_TEXT];
    assert_true(sh_parse_duration("90 d", &n));
    assert_int_equal(n, 90LL * 86400000);
    assert_true(sh_parse_duration("30", &n));
    assert_int_equal(n, 30000);
    assert_true(sh_parse_size("1.5 MiB", &n));
    assert_int_equal(n, 1572864);
    assert_true(sh_parse_size("2GB", &n));
    assert_int_equal(n, 2000000000);
    static const char *const bad[] = {"",    "s",     "-1s", "1e3s", "0x10", "1 s ", " 1s",
                                      "1s2", "1..5s", ".5s", "1 S",  "inf",  "1,5s", "1h30m"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (sh_parse_duration(bad[i], &n))
            fail_msg("\"%s\" was taken as %lld ms", bad[i], (long long)n);
    assert_false(sh_parse_duration("999999999d", &n));
    assert_false(sh_parse_size("99999999999GiB", &n));
    assert_string_equal(sh_duration_text(5400000, text), "90m");
    assert_string_equal(sh_duration_text(0, text), "0ms");
    assert_string_equal(sh_size_text(1048576, text), "1 MiB");
    assert_string_equal(sh_size_text(1000, text), "1000 B");
}

static void test_suggest(void **state)
{
    (void)state;
    static const char *const known[] = {"listen", "data", "rules", "retain", "retry"};
    assert_string_equal(sh_suggest("lisen", known, 5), "listen");
    assert_string_equal(sh_suggest("lsiten", known, 5), "listen");
    assert_string_equal(sh_suggest("retian", known, 5), "retain");
    assert_string_equal(sh_suggest("rule", known, 5), "rules");
    assert_null(sh_suggest("completely", known, 5));
    assert_null(sh_suggest("", known, 5));
    assert_null(sh_suggest("x", known, 5));
}

static void test_deb_versions(void **state)
{
    (void)state;
    assert_true(sh_deb_earlier("2.1.12-stable-8", "2.1.12-stable-8+deb12u1"));
    assert_false(sh_deb_earlier("2.1.12-stable-8+deb12u1", "2.1.12-stable-8+deb12u1"));
    assert_false(sh_deb_earlier("2.1.12-stable-10", "2.1.12-stable-8+deb12u1"));
    assert_true(sh_deb_earlier("7.88.1-10+deb12u9", "7.88.1-10+deb12u15"));
    assert_true(sh_deb_earlier("1.0~rc1-1", "1.0-1"));
    assert_true(sh_deb_earlier("9.9-1", "1:0.1-1"));
    assert_true(sh_deb_earlier("1.0", "1.0a"));
    assert_false(sh_deb_earlier("1.10", "1.9"));
    assert_true(sh_deb_upstream_earlier("2.1.12-stable-9", "2.1.13"));
    assert_false(sh_deb_upstream_earlier("2.1.13-stable", "2.1.13"));
    assert_false(sh_deb_upstream_earlier("1:1.10-1", "1.9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_source_names_and_paths),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_lines_of_rubbish),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_suggest),
        cmocka_unit_test(test_deb_versions),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
