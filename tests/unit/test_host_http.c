/* SPDX-License-Identifier: MIT
 * test_host_http.c: calls that a run asks for, and secrets. */
#include "test_host.h"

/* --- calls ----------------------------------------------------------------------------------- */

static void test_calls(void **state)
{
    (void)state;
    kit_done("http.post { url = 'https://crm.example.org/calls', json = { n = 1, list = {1,2} } }",
             "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"https://crm.example.org/calls\","
             "\"headers\":{\"Content-Type\":\"application/json\"},"
             "\"body\":\"{\\\"list\\\":[1,2],\\\"n\\\":1}\"}\n");
    kit_done("http.put { url = 'https://x.nl/?a=1', query = { z = 'é &', b = {1, true, 'c'} },\n"
             "  body = 'hi', headers = { ['content-type'] = 'text/csv', ['X-A'] = {'1', 2} },\n"
             "  timeout = '10s', notify = 'crm' }",
             "{\"kind\":\"http\",\"method\":\"PUT\",\"url\":\"https://x.nl/"
             "?a=1&b=1&b=true&b=c&z=%C3%A9%20%26\",\"headers\":{\"X-A\":[\"1\",\"2\"],"
             "\"content-type\":\"text/csv\"},\"body\":\"hi\",\"timeout_ms\":10000,"
             "\"notify\":\"crm\"}\n");
    kit_done("http.patch { url = 'http://x.nl/a', form = { b = 'x y&*~', a = {'1', 2.5} } }",
             "{\"kind\":\"http\",\"method\":\"PATCH\",\"url\":\"http://x.nl/a\","
             "\"headers\":{\"Content-Type\":\"application/x-www-form-urlencoded\"},"
             "\"body\":\"a=1&a=2.5&b=x+y%26*%7E\"}\n");
    kit_done("http.delete { url = 'http://x.nl/a?', query = { q = 1 }, timeout = 1.5 }",
             "{\"kind\":\"http\",\"method\":\"DELETE\",\"url\":\"http://x.nl/a?q=1\","
             "\"headers\":{},\"timeout_ms\":1500}\n");
    kit_done("http.post { url = 'http://x.nl', json = json.null }",
             "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl\",\"headers\":{"
             "\"Content-Type\":\"application/json\"},\"body\":\"null\"}\n");
    kit_done("http.post { url = 'http://x.nl', json = false, body = json.null, query = {} }",
             "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl\",\"headers\":{"
             "\"Content-Type\":\"application/json\"},\"body\":\"false\"}\n");
    kit_done("http.post { url = 'http://x.nl', body = 'é\\n' }",
             "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl\",\"headers\":{"
             "\"Content-Type\":\"text/plain; charset=utf-8\"},\"body\":\"é\\n\"}\n");
    kit_says("http.escape('a b/é~') .. http.escape(5)", "a%20b%2F%C3%A9~5");
}

/* The event's tables reach a call as they are, in `run` and in the read-only form. */
static void test_calls_with_event(void **state)
{
    (void)state;
    kit_must_load("local base = { url = 'http://x.nl/', headers = { A = 'b' } }\n"
                  "rule 'r' { on = '*', run = function(ev)\n"
                  "http.post { url = base.url, headers = base.headers, json = ev, form = nil }\n"
                  "http.post(base) end }");
    struct kit_run *r = kit_job("t", "{\"a\":[],\"b\":{},\"n\":9007199254740993}");
    assert_string_equal(r->error, "");
    assert_string_equal(
        r->effects,
        "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl/\",\"headers\":{\"A\":"
        "\"b\",\"Content-Type\":\"application/json\"},\"body\":"
        "\"{\\\"a\\\":[],\\\"b\\\":{},\\\"n\\\":9007199254740993}\"}\n"
        "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl/\",\"headers\":{\"A\":\"b\"}"
        "}\n");
}

static void test_call_errors(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 1000; /* a MiB is written, in a build that may be slow */
    static const char *const bad[][2] = {
        {"http.post('x')", "http.post: a table {...} expected, got a string"},
        {"http.post {}",
         "http.post: 'url' must be a text such as \"https://crm.example.org/calls\", got nil"},
        {"http.post { uri = 'x' }", "http.post: unknown field 'uri' (did you mean 'url'?)"},
        {"http.post { url = 'http://x.nl/a b' }",
         "http.post: 'url' has a space at byte 14, which a URL holds percent-encoded: put values "
         "into query = {name = value}, or through http.escape(text)"},
        {"http.post { url = 'http://x.nl/é' }",
         "http.post: 'url' has a byte that is not ASCII at byte 13, which a URL holds "
         "percent-encoded: put values into query = {name = value}, or through http.escape(text)"},
        {"http.post { url = 'http://x.nl/\\r\\nX: y' }",
         "http.post: 'url' has a control byte at byte 13, which a URL holds percent-encoded: put "
         "values into query = {name = value}, or through http.escape(text)"},
        {"http.post { url = 'http://x.nl/#a', query = { b = 1 } }",
         "http.post: 'url' has a # part, which is never sent: leave it out"},
        {"http.post { url = 'ftp://x.nl/' }", NULL},
        {"http.post { url = '' }", NULL},
        {"http.post { url = 'http://x.nl', headers = 'x' }",
         "http.post: 'headers' must be a table {name = value}, got a string"},
        {"http.post { url = 'http://x.nl', headers = { 'x' } }",
         "http.post: 'headers' must have named fields (name = value), not list items"},
        {"http.post { url = 'http://x.nl', headers = { A = true } }",
         "http.post: 'headers.A' must be a text, a number, a secret, or a list of them, got a "
         "boolean"},
        {"http.post { url = 'http://x.nl', headers = { A = { b = 1 } } }",
         "http.post: 'headers.A' must be a value or a list of them, got a table with fields"},
        {"http.post { url = 'http://x.nl', headers = { A = 'b\\r\\nC: d' } }", NULL},
        {"http.post { url = 'http://x.nl', headers = { ['A B'] = 'b' } }", NULL},
        {"http.post { url = 'http://x.nl', headers = { ['Idempotency-Key'] = 'b' } }", NULL},
        {"http.post { url = 'http://x.nl', headers = { A = '\\xff' } }",
         "http.post: 'headers.A' is not valid UTF-8 text, or contains a NUL byte"},
        {"http.post { url = 'http://x.nl', query = { a = print } }",
         "http.post: 'query.a' must be a text, a number, a boolean, a secret, or a list of them, "
         "got a function"},
        {"http.post { url = 'http://x.nl', form = { a = { 1, {} } } }",
         "http.post: 'form.a' must be a text, a number, a boolean, a secret, or a list of them, "
         "got "
         "a table"},
        {"http.post { url = 'http://x.nl', form = { a = 0/0 } }",
         "http.post: 'form.a' must be a text, a number, a boolean, a secret, or a list of them, "
         "got "
         "a number"},
        {"http.post { url = 'http://x.nl', json = {}, form = {} }",
         "http.post: 'json' and 'form' are both given, expected one of json, form, body"},
        {"http.post { url = 'http://x.nl', body = {} }",
         "http.post: 'body' must be a text (json = for a table), got a table"},
        {"http.post { url = 'http://x.nl', json = { a = print } }",
         "http.post: json.a is a function, which JSON cannot hold"},
        {"http.post { url = 'http://x.nl', json = { a = 'x\\0' } }",
         "http.post: json.a contains a NUL byte"},
        {"http.post { url = 'http://x.nl', timeout = 'soon' }",
         "http.post: 'timeout' must be a duration such as \"10s\", or seconds, got \"soon\""},
        {"http.post { url = 'http://x.nl', timeout = 0 }",
         "http.post: 'timeout' must be from 0.001 to 60 seconds, got 0"},
        {"http.post { url = 'http://x.nl', timeout = '2m' }",
         "http.post: 'timeout' must be from 0.001 to 60 seconds, got 120"},
        {"http.post { url = 'http://x.nl', redirects = 9 }",
         "http.post: 'redirects' must be a whole number from 0 to 5, got 9"},
        {"http.post { url = 'http://x.nl', notify = '' }", NULL},
        {"http.post { url = 'http://x.nl', notify = 5 }",
         "http.post: 'notify' must be a text, got a number"},
        {"http.post { url = 'http://x.nl', cache = 5 }",
         "http.post: unknown field 'cache' (expected url, headers, json, body, form, query, key, "
         "notify, timeout or redirects)"},
        {"http.post { url = 'http://x.nl', key = 'k' } http.put { url = 'http://x.nl', key = 'k' }",
         "http.put: the key 'k' was used already in this run"},
        {"http.post { url = 'http://x.nl', body = ('x'):rep(1100000) }",
         "http.post: it is over 1048576 bytes in all"},
        {"http.post { url = 'http://x.nl', json = { ('x'):rep(5000000) } }",
         "http.post: it is over 1048576 bytes in all"},
        {"http.get { url = 'http://x.nl', json = {} }",
         "http.get: unknown field 'json' (expected url, headers, query, timeout, cache or "
         "redirects)"},
        {"http.get(5)", "http.get: a table {...} expected, got a number"},
        {"http.get { url = 'http://x.nl', cache = -1 }",
         "http.get: 'cache' must be from 0 to 86400 seconds, got -1"},
        {"http.head {}", "http.head is not available here"},
        {"local t = { url = 'http://x.nl', jsn = {} } http.post(t)",
         "http.post: unknown field 'jsn' (did you mean 'json'?)"},
        {"http.escape({})", "http.escape: a text or a number expected, got a table"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (bad[i][1]) {
            char *want = sh_strf("rules/x.lua:2: %s", bad[i][1]);
            kit_wrong(bad[i][0], want);
            free(want);
        } else { /* the reason is another module's; the line is ours */
            struct kit_run *r = kit_run(bad[i][0]);
            if (r->outcome != SH_RUN_FAILED)
                print_message("%s\n", bad[i][0]);
            assert_int_equal(r->outcome, SH_RUN_FAILED);
            kit_starts(r->error, "rules/x.lua:2: http");
        }
    }
    kit_must_load("rule 'w' { on = '*', when = function() http.post { url = 'http://x.nl' } end,\n"
                  "run = function() end }");
    kit_job("t", "{}");
    assert_string_equal(kit.runs[0].error,
                        "rules/x.lua:1: when only looks: http.post belongs in run");
    assert_false(kit_load("rules/x.lua", "http.post { url = 'http://x.nl' }", NULL));
    kit_reported("errors", "rules/x.lua", 1,
                 "http.post: not while the file loads, only inside a rule's run");
}

/* --- secrets --------------------------------------------------------------------------------- */

/* The document of the only effect, as it travels. */
static char *first_doc(const char *body, const char *event)
{
    static char doc[100000];
    struct kit_run *r = kit_run_with(body, event);
    if (r->outcome != SH_RUN_DONE)
        print_message("%s\n -> %s\n", body, r->error);
    assert_int_equal(r->outcome, SH_RUN_DONE);
    struct sh_reader reader = sh_reader_of(sh_slice(kit.raw.data, kit.raw.len));
    struct sh_effect fx;
    assert_true(sh_effect_read(&reader, &fx));
    snprintf(doc, sizeof(doc), "%.*s", (int)fx.doc.n, fx.doc.p);
    return doc;
}

static void test_secrets_in_calls(void **state)
{
    (void)state;
    assert_string_equal(
        first_doc("local s = secret 'CRM_TOKEN'\n"
                  "http.post { url = 'http://x.nl/' .. s .. '/y', query = { k = s, t = 'a b' .. s "
                  "},\n  headers = { Authorization = 'Bearer ' .. s, X = { 1 .. s, 'p' } },\n"
                  "  json = { a = s, b = { 'say \"' .. s .. '\" ' .. secret 'SMS_KEY', 'c' } } }",
                  "{}"),
        "{\"method\":\"POST\",\"url\":[\"http://x.nl/\",{\"secret\":\"CRM_TOKEN\",\"as\":\"url\"},"
        "\"/y?k=\",{\"secret\":\"CRM_TOKEN\",\"as\":\"url\"},\"&t=a%20b\",{\"secret\":"
        "\"CRM_TOKEN\",\"as\":\"url\"}],\"headers\":[[\"Authorization\",[\"Bearer \",{\"secret\":"
        "\"CRM_TOKEN\",\"as\":\"plain\"}]],[\"X\",[\"1\",{\"secret\":\"CRM_TOKEN\",\"as\":"
        "\"plain\"}]],[\"X\",\"p\"],[\"Content-Type\",\"application/"
        "json\"]],\"body\":[\"{\\\"a\\\":"
        "\\\"\",{\"secret\":\"CRM_TOKEN\",\"as\":\"json\"},\"\\\",\\\"b\\\":[\\\"say \\\\\\\"\","
        "{\"secret\":\"CRM_TOKEN\",\"as\":\"json\"},\"\\\\\\\" \",{\"secret\":\"SMS_KEY\",\"as\":"
        "\"json\"},\"\\\",\\\"c\\\"]}\"]}");
    assert_string_equal(
        first_doc("local s = secret 'CRM_TOKEN'\n"
                  "http.post { url = 'http://x.nl/', form = { a = s, b = '&' .. s .. 'é ' } }",
                  "{}"),
        "{\"method\":\"POST\",\"url\":\"http://x.nl/\",\"headers\":[[\"Content-Type\","
        "\"application/x-www-form-urlencoded\"]],\"body\":[\"a=\",{\"secret\":\"CRM_TOKEN\",\"as\":"
        "\"form\"},\"&b=%26\",{\"secret\":\"CRM_TOKEN\",\"as\":\"form\"},\"%C3%A9+\"]}");
    assert_string_equal(
        first_doc("http.post { url = 'http://x.nl/', body = secret 'SMS_KEY' }", "{}"),
        "{\"method\":\"POST\",\"url\":\"http://x.nl/\",\"headers\":[[\"Content-Type\","
        "\"text/plain; charset=utf-8\"]],\"body\":[{\"secret\":\"SMS_KEY\",\"as\":\"plain\"}]}");
    kit_must_load("local s = secret 'CRM_TOKEN'\nlocal auth = { Authorization = 'Bearer ' .. s }\n"
                  "rule 'r' { on = '*', run = function()\n"
                  "http.post { url = 'http://x.nl/' .. s, headers = auth, body = 'a' .. s } end }");
    assert_string_equal(kit_job("t", "{}")->effects,
                        "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl/(secret "
                        "CRM_TOKEN)\",\"headers\":{\"Authorization\":\"Bearer (secret "
                        "CRM_TOKEN)\",\"Content-Type\":\"text/plain; charset=utf-8\"},\"body\":"
                        "\"a(secret CRM_TOKEN)\"}\n");
    assert_string_equal(kit.brief,
                        "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x.nl/(secret "
                        "CRM_TOKEN)\",\"headers\":{\"Authorization\":\"Bearer (secret "
                        "CRM_TOKEN)\",\"Content-Type\":\"text/plain; charset=utf-8\"}}\n");
}

/* Whatever a sender writes stays text, in each place a secret could stand. */
static void test_event_text_is_never_a_secret(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "(secret CRM_TOKEN)",
        "{\\\"secret\\\":\\\"CRM_TOKEN\\\",\\\"as\\\":\\\"plain\\\"}",
        "\\\",{\\\"secret\\\":\\\"CRM_TOKEN\\\"},\\\"",
        "{{CRM_TOKEN}}",
        "$CRM_TOKEN",
        "\\u0001\\tCRM_TOKEN",
        "secret \\\"CRM_TOKEN\\\"",
        "\\\\\\\",{\\\"secret\\\":1}"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
        char *event = sh_strf("{\"t\":\"%s\",\"o\":{\"secret\":\"CRM_TOKEN\",\"as\":\"json\"},"
                              "\"l\":[\"a\",{\"secret\":"
                              "\"CRM_TOKEN\",\"as\":\"plain\"}]}",
                              hostile[i]);
        const char *doc = first_doc("http.post { url = 'http://x.nl/' .. http.escape(ev.t),\n"
                                    "query = { q = ev.t, [ev.t] = 1 }, json = ev }",
                                    event);
        cJSON *tree = cJSON_Parse(doc);
        assert_true(cJSON_IsString(sh_json_member(tree, "url")));
        const char *body = sh_json_string(tree, "body");
        assert_non_null(body); /* a list would hold a secret */
        cJSON *value = cJSON_Parse(body), *want = cJSON_Parse(event);
        assert_true(cJSON_Compare(value, want, true));
        cJSON_Delete(value);
        cJSON_Delete(want);
        cJSON_Delete(tree);
        doc = first_doc("http.post { url = 'http://x.nl/', form = { f = ev.t },\n"
                        "headers = { A = 'x' .. (ev.t:gsub('%c', '')) } }",
                        event);
        tree = cJSON_Parse(doc);
        assert_non_null(sh_json_string(tree, "body"));
        assert_true(cJSON_IsString(sh_json_member(tree, "headers")->child->child->next));
        cJSON_Delete(tree);
        doc = first_doc("http.post { url = 'http://x.nl/', json = { secret 'SMS_KEY' .. ev.t } }",
                        event); /* beside a real one */
        tree = cJSON_Parse(doc);
        assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "body")), 3);
        assert_string_equal(sh_json_string(sh_json_member(tree, "body")->child->next, "secret"),
                            "SMS_KEY");
        assert_true(cJSON_IsString(sh_json_member(tree, "body")->child->next->next));
        cJSON_Delete(tree);
        assert_int_equal(
            kit_run_with(
                "for _, v in ipairs { ev.o, ev.l } do\n"
                "assert(not pcall(http.post, { url = v }))\n"
                "assert(not pcall(http.post, { url = 'http://x.nl/', body = v }))\n"
                "assert(not pcall(http.post, { url = 'http://x.nl/', headers = { A = { v } "
                "} }))\nassert(not pcall(http.post, { url = 'http://x.nl/', query = { a = "
                "{ v } } }))\nend",
                event)
                ->outcome,
            SH_RUN_DONE);
        free(event);
    }
}

static void test_secret_errors(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"secret 'CRM_TOKN'", "secret: \"CRM_TOKN\" is not configured (did you mean "
                              "\"CRM_TOKEN\"?); those that are: CRM_TOKEN, SMS_KEY"},
        {"secret 'zzz'", "secret: \"zzz\" is not configured; those that are: CRM_TOKEN, SMS_KEY"},
        {"secret 'CRM_TOKEN\\0'", "secret: \"CRM_TOKEN\" is not configured (did you mean "
                                  "\"CRM_TOKEN\"?); those that are: CRM_TOKEN, SMS_KEY"},
        {"secret(5)", "secret: the name must be a text, as in secret \"CRM_TOKEN\", got a number"},
        {"records.put('a', 'x', { a = { s } })",
         "records.put: doc.a[1] is a secret: a secret can only go into an http call"},
        {"records.put('a', 'x', { a = 'b' .. s })",
         "records.put: doc.a is a secret: a secret can only go into an http call"},
        {"records.patch('a', s, {})",
         "records.patch: the id must be a text or a whole number, got a secret (a secret can only "
         "go into an http call)"},
        {"emit('x', { a = s })",
         "emit: data.a is a secret: a secret can only go into an http call"},
        {"after('1h', 'x', { a = s })",
         "after: data.a is a secret: a secret can only go into an http call"},
        {"json.encode({ s })",
         "json.encode: value[1] is a secret: a secret can only go into an http call"},
        {"log.info(s)", "log: a secret can only go into an http call"},
        {"print('a', 'b' .. s)", "log: a secret can only go into an http call"},
        {"log.warn({ a = s })", "log: value.a is a secret: a secret can only go into an http call"},
        {"email { to = 'a@b.nl', subject = s, text = 't' }",
         "email: 'subject' must be a text, got a secret (a secret can only go into an http call)"},
        {"email { to = 'a@b.nl', subject = 's', text = '{{a}}', with = { a = s } }",
         "email: 'text': a secret (a secret can only go into an http call) cannot be filled into a "
         "text"},
        {"template('{{a}}', { a = { b = s } })",
         "template.b is a secret: a secret can only go into an http call"},
        {"callback { number = '1', due = '1h', reason = s }",
         "callback: 'reason' must be a text, got a secret (a secret can only go into an http "
         "call)"},
        {"http.post { url = 'http://x.nl/', json = { [s] = 1 } }",
         "a table with a secret (a secret can only go into an http call) as a key has no defined "
         "order (use text or numbers)"},
        {"http.post { url = 'http://x.nl/', notify = s }", NULL},
        {"http.post { url = 'http://x.nl/', key = s }", NULL},
        {"http.post { url = 'http://' .. s .. '/' }", NULL},
        {"http.post { url = s }", NULL},
        {"http.post { url = 'http://x.nl' .. s .. '/' }", NULL},
        {"http.post { url = 'http://u:' .. s .. '@x.nl/' }", NULL},
        {"http.escape(s)", "http.escape: a secret is escaped for the place it stands in when the "
                           "call is sent: join it as it is"},
        {"return s:upper()",
         "a secret has no fields or methods: its text is not here. It can be joined with .. and "
         "handed to an http call (url, query, headers, json, form, body), which the engine fills "
         "in"},
        {"return #s", NULL},
        {"return s < 'a'", NULL},
        {"return s == secret 'SMS_KEY'", NULL},
        {"return s + 1", NULL},
        {"s.x = 1", NULL},
        {"return s()", NULL},
        {"for k in pairs(s) do end", NULL},
        {"return s .. {}", "a secret is joined with texts, numbers and secrets, got a table"},
        {"return nil .. s", "a secret is joined with texts, numbers and secrets, got nil"},
        {"http.post { url = 'http://x.nl/', body = s .. '\\xff' }",
         "http.post: 'body' is not valid UTF-8 text, or contains a NUL byte"},
        {"error(s)", "error with a secret (a secret can only go into an http call) as its value "
                     "(give error() a text)"},
        {"error('x' .. s)", NULL},
        {"local t = s for i = 1, 30 do t = t .. t end", NULL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *body = sh_strf("local s = secret 'CRM_TOKEN'\n%s", bad[i][0]),
             *want = sh_strf("rules/x.lua:3: %s", bad[i][1] ? bad[i][1] : "");
        if (bad[i][1]) {
            kit_fails(body, want);
        } else {
            struct kit_run *r = kit_run(body);
            if (r->outcome != SH_RUN_FAILED || strncmp(r->error, want, strlen(want)) != 0)
                print_message("%s\n -> %s\n", body, r->error);
            assert_int_equal(r->outcome, SH_RUN_FAILED);
            kit_starts(r->error, want);
        }
        free(body);
        free(want);
    }
    assert_false(kit_load("rules/x.lua", "\nlocal s = secret 'SMS'", NULL));
    kit_reported("errors", "rules/x.lua", 2,
                 "secret: \"SMS\" is not configured; those that are: CRM_TOKEN, SMS_KEY");
}

/* What a secret looks like from every side: its name, and no way in. */
static void test_secret_is_closed(void **state)
{
    (void)state;
    kit_says("tostring(secret 'CRM_TOKEN')", "(secret CRM_TOKEN)");
    kit_says("tostring('a' .. secret 'CRM_TOKEN' .. 1 .. secret 'SMS_KEY')",
             "a(secret CRM_TOKEN)1(secret SMS_KEY)");
    kit_says("string.format('%s|%5.3s', secret 'CRM_TOKEN', secret 'SMS_KEY')",
             "(secret CRM_TOKEN)|  (se");
    kit_says("type(secret 'CRM_TOKEN')", "userdata");
    kit_says("getmetatable(secret 'CRM_TOKEN')", "nil");
    kit_says("pcall(setmetatable, secret 'CRM_TOKEN', {}) and 'set' or 'refused'", "refused");
    kit_says("pcall(table.concat, { secret 'CRM_TOKEN' }) and 'joined' or 'refused'", "refused");
    kit_says("pcall(string.rep, secret 'CRM_TOKEN', 2) and 'rep' or 'refused'", "refused");
    kit_says("rawequal(secret 'CRM_TOKEN', secret 'CRM_TOKEN')", "false");
    kit_says("secret 'CRM_TOKEN' == '(secret CRM_TOKEN)'", "false");
    kit_says("select(2, pcall(error, secret 'CRM_TOKEN')) ~= nil", "true");
    kit_says("coroutine.wrap(function(s) return tostring(coroutine.yield() or s) end)(secret "
             "'CRM_TOKEN') or 'nothing'",
             "nothing");
    kit_done(
        "local seen\nlocal t = setmetatable({}, { __concat = function(a, b) seen = b return 'x' "
        "end, __index = secret 'CRM_TOKEN' })\n"
        "assert(t .. secret 'CRM_TOKEN' == 'x' and type(seen) == 'userdata')\n"
        "assert(not pcall(function() return t.x end))\n"
        "local co = coroutine.create(function(s) return s end)\n"
        "local _, s = coroutine.resume(co, secret 'SMS_KEY')\n"
        "assert(tostring(s) == '(secret SMS_KEY)')\n"
        "assert(tostring(copy({ s })[1]) == '(secret SMS_KEY)')",
        "");
    assert_false(kit_load("rules/x.lua", "tostring = nil", NULL));
    kit_reported("errors", "rules/x.lua", 1,
                 "'tostring' is part of the rule API: choose another name");
}

/* --- the collector at its keenest ------------------------------------------------------------- */

/* All that this file does, with a collection begun at nearly every allocation: what is held by
 * pointer alone would be gone. */
static void test_eager_collector(void **state)
{
    (void)state;
    kit.reply =
        "{\"status\":200,\"headers\":{\"a\":\"b\"},\"body\":\"{\\\"n\\\":[1,{\\\"x\\\":2}]}\"}";
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 60000;
    kit_must_load(
        "local auth = 'Bearer ' .. secret 'CRM_TOKEN'\n"
        "rule 'r' { on = '*', when = function(ev) return http.get('http://x.nl/' .. "
        "http.escape(ev.t)).ok end,\nrun = function(ev)\n"
        "for i = 1, 3 do\n"
        "local key = tostring(i) .. 'k'\n"
        "local res = http.get { url = 'http://x.nl/' .. ev.t, headers = { A = auth }, query = { "
        "[ev.t .. i] = ev.t .. i } }\n"
        "http.post { url = 'http://x.nl/' .. i .. secret('SMS_' .. 'KEY'), json = { a = res.json, "
        "b "
        "= auth .. i, [ev.t .. i] = {} }, headers = { [ev.t .. i] = { i .. auth, i } }, key = key "
        "}\n"
        "http.put { url = 'http://x.nl/', form = { [ev.t .. i] = auth, z = { i, 'x' .. i } } }\n"
        "after(i .. 'h', ev.t .. i, { n = i }, { name = ev.t .. i, zone = 'Asia/' .. 'Kathmandu' "
        "})\n"
        "after('2026-06-15 0' .. i .. ':00', ev.t, nil, { zone = 'Asia/' .. 'Kathmandu' }) "
        "cancel(ev.t .. i)\n"
        "callback { number = 100 + i, due = '2026-06-15 0' .. i .. ':00', reason = ev.t .. i, key "
        "= "
        "key }\n"
        "callbacks.snooze { number = 100 + i, due = i .. 'h', note = ev.t .. i }\n"
        "email { to = { ev.t .. i .. '@x.nl' }, subject = ev.t .. '{{t}}', text = '{{l}}' .. i, "
        "with = ev,\n attachments = { { name = ev.t .. i, type = 'text/plain', text = ev.t .. i } "
        "},\n invitation = { start = i .. 'h', minutes = i, summary = '{{t}}' .. i, uid = ev.t .. "
        "i } }\nrecords.put('c', ev.t .. i, { s = tostring(auth) })\nend end }");
    const char *event = "{\"t\":\"ab\",\"l\":[1,2]}";
    char *calm = sh_strdup(kit_job("t", event)->effects);
    assert_string_equal(kit.runs[0].error, "");
    assert_int_equal(kit.runs[0].n_effects, 27);
    lua_gc(kit.host->L, LUA_GCINC, 1, 1000, 1);
    struct kit_run *r = kit_job("t", event);
    assert_string_equal(r->error, "");
    assert_string_equal(r->effects, calm);
    free(calm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_calls, kit_teardown),
        cmocka_unit_test_teardown(test_calls_with_event, kit_teardown),
        cmocka_unit_test_teardown(test_call_errors, kit_teardown),
        cmocka_unit_test_teardown(test_secrets_in_calls, kit_teardown),
        cmocka_unit_test_teardown(test_event_text_is_never_a_secret, kit_teardown),
        cmocka_unit_test_teardown(test_secret_errors, kit_teardown),
        cmocka_unit_test_teardown(test_secret_is_closed, kit_teardown),
        cmocka_unit_test_teardown(test_eager_collector, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
