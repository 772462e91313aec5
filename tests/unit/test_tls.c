/* SPDX-License-Identifier: MIT
 * test_tls.c: certificates and keys that load, and what is said of those that do not. */
#include "config_kit.h"
#include "tls_kit.h"

#include "svc/tls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static void expect_bad(enum sh_tls_file which, const char *says)
{
    struct sh_error err = {0};
    enum sh_tls_file at = which == SH_TLS_CERT ? SH_TLS_KEY : SH_TLS_CERT;
    assert_false(sh_tls_check("c.pem", "k.pem", &at, &err));
    assert_int_equal(at, which);
    if (!strstr(err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

static void expect_good(void)
{
    struct sh_error err = {0};
    enum sh_tls_file at;
    if (!sh_tls_check("c.pem", "k.pem", &at, &err))
        fail_msg("%s", err.msg);
}

static int clean(void **state)
{
    (void)state;
    unlink("c.pem");
    unlink("k.pem");
    rmdir("k.pem");
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void what_loads(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key();
    write_key("k.pem", key, NULL);
    write_cert("c.pem", key, "a.example.org", 3600, 1);
    expect_good();
    write_cert("c.pem", key, "a.example.org", 3600, 16); /* with those in between */
    expect_good();
    write_cert("c.pem", key, "a.example.org", -60, 1); /* over: that is for the log to say */
    expect_good();
    EVP_PKEY_free(key);
}

static void what_does_not(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key(), *other = new_key();
    expect_bad(SH_TLS_CERT, "\"c.pem\" cannot be read: No such file");
    write_text("c.pem", "");
    expect_bad(SH_TLS_CERT, "\"c.pem\" holds no certificate (PEM)");
    write_text("c.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect_bad(SH_TLS_CERT, "certificate 1 in \"c.pem\" cannot be read");
    write_cert("c.pem", key, "a.example.org", 3600, 17);
    expect_bad(SH_TLS_CERT, "holds more than 16 certificates");
    write_cert("c.pem", key, "a.example.org", 3600, 1);
    expect_bad(SH_TLS_KEY, "\"k.pem\" cannot be read: No such file");
    assert_int_equal(mkdir("k.pem", 0700), 0);
    expect_bad(SH_TLS_KEY, "\"k.pem\" is not a file");
    assert_int_equal(rmdir("k.pem"), 0);
    assert_int_equal(mkfifo("k.pem", 0600), 0); /* and nobody writes: it must not wait */
    expect_bad(SH_TLS_KEY, "\"k.pem\" is not a file");
    unlink("k.pem");
    write_text("k.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect_bad(SH_TLS_KEY, "\"k.pem\" holds no private key that can be read (PEM)");
    write_key("k.pem", key, "hidden"); /* and nobody is asked for it */
    expect_bad(SH_TLS_KEY, "has a passphrase; expected one without");
    write_key("k.pem", other, NULL);
    expect_bad(SH_TLS_KEY, "the key in \"k.pem\" does not belong to the certificate in \"c.pem\"");
    assert_int_equal(truncate("k.pem", SH_TLS_MAX_FILE_BYTES + 1), 0);
    expect_bad(SH_TLS_KEY, "\"k.pem\" is larger than 1 MiB");
    write_key("k.pem", key, NULL);
    expect_good();
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void others_take_their_place(void **state)
{
    (void)state;
    struct sh_error err = {0};
    EVP_PKEY *key = new_key(), *other = new_key();
    write_key("k.pem", key, NULL);
    write_cert("c.pem", key, "a.example.org", 90L * 86400, 1);
    struct sh_tls *t = sh_tls_new("c.pem", "k.pem", &err);
    assert_non_null(t);
    assert_string_equal(sh_tls_info(t)->subject, "a.example.org");
    assert_true(sh_tls_reload(t, &err)); /* the same: nothing is done */
    write_key("k.pem", other, NULL);     /* half of it */
    assert_false(sh_tls_reload(t, &err));
    assert_non_null(strstr(err.msg, "does not belong"));
    assert_true(sh_tls_info(t)->failed);
    assert_string_equal(sh_tls_info(t)->subject, "a.example.org");
    assert_false(sh_tls_reload(t, &err)); /* not mended by asking again */
    write_cert("c.pem", other, "b.example.org", 7L * 86400, 1);
    assert_true(sh_tls_reload(t, &err));
    assert_string_equal(sh_tls_info(t)->subject, "b.example.org");
    assert_false(sh_tls_info(t)->failed);
    const int64_t left = sh_tls_info(t)->not_after_ms / 1000 - time(NULL);
    assert_true(left > 7 * 86400 - 60 && left <= 7 * 86400);
    unlink("c.pem");
    assert_false(sh_tls_reload(t, &err));
    assert_non_null(strstr(err.msg, "\"c.pem\" cannot be read"));
    assert_string_equal(sh_tls_info(t)->subject, "b.example.org");
    sh_tls_free(t);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* How often the log, written to the file since, has the text. */
static size_t count_in(const char *file, const char *what)
{
    char text[8192];
    size_t n = 0;
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* Warned of today already: when it ends, that is said all the same. */
static void the_end_is_said(void **state)
{
    (void)state;
    struct sh_error err = {0};
    EVP_PKEY *key = new_key();
    write_key("k.pem", key, NULL);
    write_cert("c.pem", key, "a.example.org", 3600, 1);
    const int log = open("log", O_CREAT | O_TRUNC | O_WRONLY, 0600), was = dup(STDERR_FILENO);
    assert_true(log >= 0 && was >= 0 && dup2(log, STDERR_FILENO) >= 0);
    struct sh_tls *t = sh_tls_new("c.pem", "k.pem", &err);
    const int64_t now_ms = (int64_t)time(NULL) * 1000;
    if (t)
        sh_tls_tick(t, now_ms + 3601000);
    assert_true(dup2(was, STDERR_FILENO) >= 0);
    close(was);
    close(log);
    assert_non_null(t);
    assert_int_equal(count_in("log", "the certificate expires soon"), 1);
    assert_int_equal(count_in("log", "the certificate has expired"), 1);
    unlink("log");
    sh_tls_free(t);
    EVP_PKEY_free(key);
}

static void faults_of_the_configuration(void **state)
{
    (void)state;
    struct sh_config c;
    cJSON *faults;
    expect_fault("return {\n tls = { key = \"k.pem\" } }", 2, "tls",
                 "cert is missing: HTTPS needs a certificate and its key");
    expect_fault("return {\n tls = { cert = \"c.pem\" } }", 2, "tls", "key is missing");
    expect_fault("return { tls = \"c.pem\" }", 1, "tls", "expected a table");
    expect_fault("return { tls = {\n cert = \"c\", key = \"k\",\n keys = 1 } }", 3, "tls.keys",
                 "did you mean \"key\"");
    /* Broken files are for those who are to use them: not for `switchhook status`. */
    expect_ok("return { tls = { cert = \"c.pem\",\n key = \"k.pem\" } }", &c);
    assert_string_equal(sh_config_scheme(&c), "https");
    faults = cJSON_CreateArray();
    sh_config_check_tls(&c, faults);
    const cJSON *fault = cJSON_GetArrayItem(faults, 0);
    assert_int_equal(cJSON_GetArraySize(faults), 1);
    assert_string_equal(sh_json_string(fault, "key"), "tls.cert");
    assert_int_equal(sh_json_member(fault, "line")->valueint, 1);
    assert_non_null(strstr(sh_json_string(fault, "msg"), "/c.pem\" cannot be read"));
    cJSON_Delete(faults);
    EVP_PKEY *key = new_key();
    write_cert("c.pem", key, "a.example.org", 3600, 1);
    faults = cJSON_CreateArray();
    sh_config_check_tls(&c, faults);
    assert_int_equal(sh_json_member(cJSON_GetArrayItem(faults, 0), "line")->valueint, 2);
    cJSON_Delete(faults);
    write_key("k.pem", key, NULL);
    faults = cJSON_CreateArray();
    sh_config_check_tls(&c, faults);
    assert_int_equal(cJSON_GetArraySize(faults), 0);
    cJSON_Delete(faults);
    EVP_PKEY_free(key);
    sh_config_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_loads, clean),
        cmocka_unit_test_teardown(what_does_not, clean),
        cmocka_unit_test_teardown(others_take_their_place, clean),
        cmocka_unit_test_teardown(the_end_is_said, clean),
        cmocka_unit_test_teardown(faults_of_the_configuration, clean),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
