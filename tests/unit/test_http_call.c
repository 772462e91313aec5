/* SPDX-License-Identifier: MIT
 * test_http_call.c: calls as data: what is taken, what is refused and how it is said, secrets put
 * in and blanked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/http_call.h"
#include "svc/json.h"
#include "svc/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *parse(const char *text)
{
    struct sh_error err = {0};
    cJSON *doc = sh_json_parse(text, strlen(text), &err);
    if (!doc)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

/* --- Taken and refused ----------------------------------------------------------------------- */

static void taken(const char *text, bool lookup, const char *lane)
{
    struct sh_error err = {0};
    char got[SH_HTTP_LANE_BYTES];
    cJSON *doc = parse(text);
    if (!sh_http_call_check(doc, lookup, &err))
        fail_msg("%s: %s", text, err.msg);
    assert_true(sh_http_call_lane(doc, got, &err));
    assert_string_equal(got, lane);
    cJSON_Delete(doc);
}

static void refused(const char *text, bool lookup, const char *because)
{
    struct sh_error err = {0};
    cJSON *doc = parse(text);
    if (sh_http_call_check(doc, lookup, &err))
        fail_msg("taken: %s", text);
    assert_int_equal(err.code, SH_EINVAL);
    if (!strstr(err.msg, because))
        fail_msg("%s: \"%s\", expected \"%s\"", text, err.msg, because);
    cJSON_Delete(doc);
}

#define URL(u)       "{\"method\":\"POST\",\"url\":" u "}"
#define WITH(more)   "{\"method\":\"POST\",\"url\":\"http://a.test/\"," more "}"
#define HEADER(n, v) WITH("\"headers\":[[\"" n "\",\"" v "\"]]")

static void urls_that_are_taken(void **state)
{
    (void)state;
    taken(URL("\"https://CRM.Example.org/a?b=c#d\""), false, "http:crm.example.org:443");
    taken(URL("\"HTTP://crm.example.org:8080\""), false, "http:crm.example.org:8080");
    taken(URL("\"http://crm.example.org.?q\""), false, "http:crm.example.org:80");
    taken(URL("\"http://[2001:DB8::1]:81/\""), false, "http:[2001:db8::1]:81");
    taken(URL("\"http://127.1/\""), false, "http:127.0.0.1:80");
    taken(URL("\"http://0x7f.0.0.1/\""), false, "http:127.0.0.1:80");
    taken(URL("\"http://%61.test/\""), false, "http:a.test:80");
    taken(URL("[\"http://a.test/\",{\"secret\":\"T\",\"as\":\"url\"},\"/x\"]"), false,
          "http:a.test:80");
    taken(URL("[\"http://a.test?\",{\"secret\":\"T\"}]"), false, "http:a.test:80");
    taken("{\"method\":\"GET\",\"url\":\"http://a.test/\",\"redirects\":5,\"cache_ms\":60000}",
          true, "http:a.test:80");
}

static void urls_that_are_refused(void **state)
{
    (void)state;
    refused(URL("\"ftp://a.test/\""), false, "http://host");
    refused(URL("\"a.test/x\""), false, "got \"a.test\"");
    refused(URL("\"http:/a.test/\""), false, "http://host");
    refused(URL("\"http:///x\""), false, "no usable host");
    refused(URL("\"http://./\""), false, "no usable host");
    refused(URL("\"http://u:p@a.test/\""), false, "Authorization");
    refused(URL("\"http://a.test@b.test/\""), false, "Authorization");
    refused(URL("\"http://a.test:0/\""), false, "1..65535");
    refused(URL("\"http://a.test:65536/\""), false, "1..65535");
    refused(URL("\"http://a.test:x/\""), false, "url: ");
    refused(URL("\"http://a test/\""), false, "position 9");
    refused(URL("\"http://a.test/\xc3\xa9\""), false, "percent-encoded");
    refused(URL("\"http://a.test/\\r\\nX: y\""), false, "0x0d");
    refused(URL("\"http://a\\\\b.test/\""), false, "malformed");
    refused(URL("\"http://[fe80::1%25eth0]/\""), false, "zone");
    refused(URL("\"\""), false, "url: ");
    refused(URL("[]"), false, "url: ");
    refused(URL("7"), false, "url: expected a text");
    refused("{\"method\":\"POST\"}", false, "url: expected a text");
    char *path = sh_alloc(9001, 1), *text;
    memset(path, 'x', 9000);
    text = sh_strf(URL("\"http://a.test/%s\""), path);
    refused(text, false, "longer than 8192 bytes");
    free(text);
    free(path);
}

static void a_secret_never_names_the_target(void **state)
{
    (void)state;
    static const char *const texts[] = {
        URL("[{\"secret\":\"T\"}]"),
        URL("[{\"secret\":\"T\"},\"http://a.test/\"]"),
        URL("[\"http\",{\"secret\":\"T\"},\"://a.test/\"]"),
        URL("[\"http://\",{\"secret\":\"T\"},\"/x\"]"),
        URL("[\"http://a.\",{\"secret\":\"T\"},\".test/x\"]"),
        URL("[\"http://a.test\",{\"secret\":\"T\"}]"),
        URL("[\"http://a.test:\",{\"secret\":\"T\"},\"/x\"]"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        refused(texts[i], false, "url: ");
}

static void headers_are_held_against_the_grammar(void **state)
{
    (void)state;
    taken(HEADER("X-Team", "\\tsales, \xc3\xa9 "), false, "http:a.test:80");
    refused(HEADER("X Team", "a"), false, "no header name");
    refused(HEADER("", "a"), false, "no header name");
    refused(HEADER("X-Team:", "a"), false, "no header name");
    refused(HEADER("X-Team", "a\\r\\nEvil: b"), false, "one line");
    refused(HEADER("X-Team", "a\\nb"), false, "one line");
    refused(HEADER("X-Team", "a\\u007f"), false, "0x7f");
    refused(HEADER("X-Team", " "), false, "empty");
    refused(WITH("\"headers\":{}"), false, "pairs");
    refused(WITH("\"headers\":[[\"A\"]]"), false, "pairs");
    refused(WITH("\"headers\":[[\"A\",{\"secret\":\"T\"}]]"), false, "expected a text");
    refused(WITH("\"headers\":[[\"A\",[\"x\",7]]]"), false, "piece 2");
    static const char *const ours[] = {"idempotency-key",  "HOST",
                                       "Content-Length",   "Connection",
                                       "Expect",           "TE",
                                       "Upgrade",          "Keep-Alive",
                                       "Trailer",          "Proxy-Authorization",
                                       "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        char *text = sh_strf(HEADER("%s", "x"), ours[i]);
        refused(text, false, "cannot be set: ");
        free(text);
    }
    refused(HEADER("Idempotency-Key", "x"), false, "key = ");
    struct sh_buf many;
    sh_buf_init(&many, 10000);
    for (int i = 0; i < 65; i++)
        sh_buf_addf(&many, "%s[\"X-%d\",\"y\"]", i ? "," : "", i);
    char *text = sh_strf(WITH("\"headers\":[%s]"), many.data);
    refused(text, false, "more than 64");
    free(text);
    sh_buf_free(&many);
}

static void other_fields_are_checked(void **state)
{
    (void)state;
    taken(WITH("\"body\":[\"{\\\"a\\\":\\\"\",{\"secret\":\"T\",\"as\":\"json\"},\"\\\"}\"],"
               "\"notify\":\"crm\",\"timeout_ms\":5000,\"redirects\":0"),
          false, "http:a.test:80");
    refused("[]", false, "an object");
    refused(WITH("\"bdy\":\"x\""), false, "\"bdy\" is no field");
    refused(WITH("\"cache_ms\":1"), false, "no field of a call");
    refused(WITH("\"timeout_ms\":0"), false, "timeout_ms: ");
    refused(WITH("\"timeout_ms\":1.5"), false, "timeout_ms: ");
    refused(WITH("\"redirects\":6"), false, "redirects: ");
    refused(WITH("\"notify\":\"\""), false, "notify: ");
    refused(WITH("\"notify\":7"), false, "notify: ");
    refused(WITH("\"body\":{}"), false, "body: ");
    refused(WITH("\"body\":[{\"secret\":\"T\",\"as\":\"xml\"}]"), false, "body: piece 1");
    refused(WITH("\"body\":[{\"secret\":\"a b\"}]"), false, "body: piece 1");
    refused(WITH("\"body\":[{\"secret\":\"T\",\"x\":1}]"), false, "body: piece 1");
    refused("{\"method\":\"GET\",\"url\":\"http://a.test/\"}", false, "method: expected POST");
    refused("{\"method\":\"post\",\"url\":\"http://a.test/\"}", false, "method: expected POST");
    refused(WITH("\"body\":\"x\""), true, "method: a look-up");
    refused("{\"method\":\"GET\",\"url\":\"http://a.test/\",\"body\":\"x\"}", true, "body: ");
    refused("{\"method\":\"GET\",\"url\":\"http://a.test/\",\"notify\":\"x\"}", true, "notify: ");
    refused("{\"method\":\"GET\",\"url\":\"http://a.test/\",\"redirects\":6}", true, "redirects: ");
}

static void a_url_is_shown_without_its_secrets(void **state)
{
    (void)state;
    struct sh_buf out;
    cJSON *doc = parse(URL("[\"http://a.test/\",{\"secret\":\"TOKEN\",\"as\":\"url\"},\"?q=1\"]"));
    sh_buf_init(&out, 1000);
    sh_http_call_show_url(doc, &out);
    assert_string_equal(out.data, "http://a.test/(secret TOKEN)?q=1");
    sh_buf_free(&out);
    cJSON_Delete(doc);
}

/* --- Secrets put in -------------------------------------------------------------------------- */

static const char *secret_of(void *arg, const char *name)
{
    static const char *const list[][2] = {
        {"TOKEN", "s3cr\"et /+\xc3\xa9"},
        {"BREAK", "a\r\nX: y"},
        {"PIN", "123"},
        {"LONG", "abcdefgh-and-more"},
        {"SHORT", "abcdefgh"},
        {"EMPTY", ""},
        {"BYTES", "ab\xff"},
    };
    assert_string_equal(arg, "arg");
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
        if (strcmp(name, list[i][0]) == 0)
            return list[i][1];
    return NULL;
}

static bool ready(const char *text, struct sh_http_ready *out, struct sh_error *err)
{
    cJSON *doc = parse(text);
    bool ok = sh_http_call_ready(doc, "0123", secret_of, (void *)(uintptr_t) "arg", out, err);
    cJSON_Delete(doc);
    return ok;
}

static void secrets_are_escaped_for_their_place(void **state)
{
    (void)state;
    struct sh_http_ready r;
    struct sh_error err = {0};
    bool ok =
        ready("{\"method\":\"PUT\",\"url\":[\"https://a.test/x/\",{\"secret\":\"TOKEN\",\"as\":"
              "\"url\"},\"?a=b#fragment\"],\"headers\":[[\"Authorization\",[\"Bearer \","
              "{\"secret\":\"SHORT\",\"as\":\"plain\"},\" \"]]],\"body\":[\"j=\",{\"secret\":"
              "\"TOKEN\",\"as\":\"json\"},\"&f=\",{\"secret\":\"TOKEN\",\"as\":\"form\"},\"&p=\","
              "{\"secret\":\"TOKEN\"}],\"timeout_ms\":700}",
              &r, &err);
    if (!ok)
        fail_msg("%s", err.msg);
    assert_string_equal(r.method, "PUT");
    assert_string_equal(r.url, "https://a.test/x/s3cr%22et%20%2F%2B%C3%A9?a=b");
    assert_string_equal(r.headers[0], "Authorization: Bearer abcdefgh");
    assert_string_equal(r.headers[1], "Idempotency-Key: 0123");
    assert_null(r.headers[2]);
    assert_string_equal(r.body,
                        "j=s3cr\\\"et /+\xc3\xa9&f=s3cr%22et+%2F%2B%C3%A9&p=s3cr\"et /+\xc3\xa9");
    assert_int_equal(r.body_len, strlen(r.body));
    assert_int_equal(r.timeout_ms, 700);
    sh_http_ready_clear(&r);
}

static void not_ready(const char *text, enum sh_code code, const char *because)
{
    struct sh_http_ready r;
    struct sh_error err = {0};
    assert_false(ready(text, &r, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, because))
        fail_msg("\"%s\", expected \"%s\"", err.msg, because);
    assert_null(strstr(err.msg, "X: y")); /* the text of a secret is in no message */
    sh_http_ready_clear(&r);
}

static void what_cannot_be_sent_is_said_without_the_secret(void **state)
{
    (void)state;
    not_ready(WITH("\"body\":[{\"secret\":\"NONE\"}]"), SH_ENOTFOUND, "\"NONE\" is not configured");
    not_ready(WITH("\"headers\":[[\"A\",[{\"secret\":\"BREAK\"}]]]"), SH_EINVAL, "line break");
    not_ready(WITH("\"headers\":[[\"A\",[{\"secret\":\"EMPTY\"}]]]"), SH_EINVAL, "empty");
    not_ready(WITH("\"body\":[{\"secret\":\"BYTES\"}]"), SH_EINVAL, "UTF-8");
    not_ready(URL("[\"http://a.test/\",{\"secret\":\"BREAK\"}]"), SH_EINVAL, "url: byte 0x0d");
    not_ready("{\"method\":\"GET\",\"url\":\"http://a.test/\"}", SH_EINVAL, "method: ");
}

/* --- Blanked --------------------------------------------------------------------------------- */

static void assert_blanked(const struct sh_hidden *h, const char *text, const char *expected)
{
    struct sh_buf out;
    sh_buf_init(&out, 10000);
    sh_hidden_blank(h, sh_slice_str(text), &out);
    assert_string_equal(out.data ? out.data : "", expected);
    sh_buf_free(&out);
}

static void secrets_are_blanked_in_each_form(void **state)
{
    (void)state;
    static const char *const names[] = {"SHORT", "PIN", "TOKEN", "LONG", "EMPTY", "NONE", NULL};
    struct sh_hidden *h = sh_hidden_new(names, secret_of, (void *)(uintptr_t) "arg");
    assert_blanked(h, "", "");
    assert_blanked(h, "nothing here", "nothing here");
    assert_blanked(h, "<s3cr\"et /+\xc3\xa9>", "<(secret TOKEN)>");
    assert_blanked(h, "s3cr\\\"et /+\xc3\xa9s3cr\\\"et /+\xc3\xa9", "(secret TOKEN)(secret TOKEN)");
    assert_blanked(h, "?t=s3cr%22et%20%2F%2B%C3%A9&", "?t=(secret TOKEN)&");
    assert_blanked(h, "?t=s3cr%22et+%2F%2B%C3%A9&", "?t=(secret TOKEN)&");
    assert_blanked(h, "{\"s3cr\\\"et \\/+\xc3\xa9\"}", "{\"(secret TOKEN)\"}"); /* as PHP has it */
    assert_blanked(h, "abcdefgh-and-more abcdefgh-x", "(secret LONG) (secret SHORT)-x");
    assert_blanked(h, "pin 123", "pin 123"); /* too short to be searched for */
    assert_blanked(h, "ends within abcdefgh-and", "ends within (secret LONG)");
    assert_blanked(h, "ends within abcd", "ends within abcd");
    sh_hidden_free(h);
    h = sh_hidden_new(NULL, secret_of, NULL);
    assert_blanked(h, "s3cr", "s3cr"); /* no secrets at all */
    sh_hidden_free(h);
    assert_blanked(NULL, "s3cr", "s3cr");
    sh_hidden_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_are_taken),
        cmocka_unit_test(urls_that_are_refused),
        cmocka_unit_test(a_secret_never_names_the_target),
        cmocka_unit_test(headers_are_held_against_the_grammar),
        cmocka_unit_test(other_fields_are_checked),
        cmocka_unit_test(a_url_is_shown_without_its_secrets),
        cmocka_unit_test(secrets_are_escaped_for_their_place),
        cmocka_unit_test(what_cannot_be_sent_is_said_without_the_secret),
        cmocka_unit_test(secrets_are_blanked_in_each_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
