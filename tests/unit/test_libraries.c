/* SPDX-License-Identifier: MIT
 * test_libraries.c: libraries that lack fixes, by dpkg's status file and by their own word. */
#include "app/deb_version.h"
#include "app/libraries.h"
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIBEVENT "libevent-2.1-7"

static char path[] = "/tmp/switchhook-status-XXXXXX";

/* A status file that says this. */
static void write_status(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    memset(path + strlen(path) - 6, 'X', 6);
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

/* --- dpkg's file ------------------------------------------------------------------------------ */

static char *version_in(const char *package)
{
    char *version;
    (void)sh_deb_installed(path, &package, 1, &version);
    return version;
}

static void expect_version(const char *package, const char *wanted)
{
    char *is = version_in(package);
    if (!wanted)
        assert_null(is);
    else if (!is || strcmp(is, wanted) != 0)
        fail_msg("%s: %s, not %s", package, is ? is : "nothing", wanted);
    free(is);
}

static void the_status_file(void **state)
{
    (void)state;
    write_status("Package: a\nStatus: install ok installed\nVersion: 1-1\nDescription: x\n"
                 " Version: 9-9\n\n"
                 "Package: gone\nStatus: deinstall ok config-files\nVersion: 2-1\n\n"
                 "Package: half\nStatus: install ok half-installed\nVersion: 3-1\n\n"
                 "Package: b-dev\nStatus: install ok installed\nVersion: 4-1\n\n"
                 "Package: b\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:5-1\n\n"
                 "Package: no-status\nVersion: 6-1\n\n"
                 "Package: last\nStatus: hold ok installed\nVersion: 7-1");
    expect_version("a", "1-1");
    expect_version("gone", NULL);
    expect_version("half", NULL);
    expect_version("b", "1:5-1");
    expect_version("no-status", NULL); /* that of the one before does not count for it */
    expect_version("last", "7-1");     /* cut short, without a line end */
    expect_version("none", NULL);
    const char *both[] = {"last", NULL, "a"};
    char *versions[3];
    assert_true(sh_deb_installed(path, both, 3, versions));
    assert_string_equal(versions[0], "7-1");
    assert_null(versions[1]);
    assert_string_equal(versions[2], "1-1");
    free(versions[0]);
    free(versions[2]);
    assert_false(sh_deb_installed("/nonexistent/status", both, 3, versions));
    assert_null(versions[0]);
}

static void dpkgs_folder(void **state)
{
    (void)state;
    setenv("DPKG_ADMINDIR", "/srv/root/dpkg", 1);
    char *file = sh_deb_status_file();
    assert_string_equal(file, "/srv/root/dpkg/status");
    free(file);
    unsetenv("DPKG_ADMINDIR");
    file = sh_deb_status_file();
    assert_string_equal(file, "/var/lib/dpkg/status");
    free(file);
}

/* --- one library ------------------------------------------------------------------------------ */

static const struct sh_relied *relied(const char *library)
{
    for (size_t i = 0; i < sh_n_relied; i++)
        if (strcmp(sh_relied[i].library, library) == 0)
            return &sh_relied[i];
    fail_msg("no such library: %s", library);
    return NULL;
}

static void judged(void **state)
{
    (void)state;
    static const struct {
        const char *library, *package, *loaded;
        enum sh_fixes wanted;
    } cases[] = {
        /* Debian 12's own, by its revisions */
        {"libevent", "2.1.12-stable-8", "2.1.12-stable", SH_FIXES_MISSING},
        {"libevent", "2.1.12-stable-8+deb12u1", "2.1.12-stable", SH_FIXES_THERE},
        {"libevent", "2.1.12-stable-8+deb12u1+local", "2.1.12-stable", SH_FIXES_THERE},
        {"curl", "7.88.1-10+deb12u9", "7.88.1", SH_FIXES_MISSING},
        {"curl", "7.88.1-10+deb12u15", "7.88.1", SH_FIXES_THERE},
        {"openssl", "3.0.20-1~deb12u2", "3.0.20", SH_FIXES_MISSING},
        {"openssl", "3.0.22-1~deb12u1", "3.0.22", SH_FIXES_MISSING},
        {"openssl", "3.0.22-1~deb12u2", "3.0.22", SH_FIXES_THERE},
        {"lua", "5.4.4-3", "5.4.4", SH_FIXES_THERE},
        {"lua", "5.4.4-3+deb12u1", "5.4.4", SH_FIXES_THERE},
        {"lua", "5.4.4-2", "5.4.4", SH_FIXES_MISSING},
        /* another release: by the upstream version, where that says it */
        {"libevent", "2.1.12-stable-10", "2.1.12-stable", SH_FIXES_UNKNOWN},
        {"libevent", "2.1.13-stable-1", "2.1.13-stable", SH_FIXES_THERE},
        {"cjson", "1.7.18-3.1", "1.7.18", SH_FIXES_UNKNOWN},
        {"cjson", "1.7.19-1", "1.7.19", SH_FIXES_THERE},
        {"lua", "5.4.7-1", "5.4.7", SH_FIXES_THERE},
        {"openssl", "3.5.1-1+deb13u1", "3.5.1", SH_FIXES_UNKNOWN},
        {"curl", "7.74.0-1.3+deb11u7", "7.74.0", SH_FIXES_MISSING},
        /* another distribution counts its own way */
        {"openssl", "3.0.2-0ubuntu1.15", "3.0.2", SH_FIXES_UNKNOWN},
        {"libevent", "2.1.12-stable-8ubuntu3", "2.1.12-stable", SH_FIXES_UNKNOWN},
        {"libevent", "2.1.13-stable-1ubuntu1", "2.1.13-stable", SH_FIXES_THERE},
        /* no package: the library's own word */
        {"libevent", NULL, "2.1.12-stable", SH_FIXES_MISSING},
        {"libevent", NULL, "2.1.13-stable", SH_FIXES_THERE},
        {"cjson", NULL, "1.7.15", SH_FIXES_MISSING},
        {"lua", NULL, "5.4.6", SH_FIXES_THERE},
        {"lua", NULL, "", SH_FIXES_UNKNOWN},
        {"sqlite", NULL, "3.50.1", SH_FIXES_MISSING},
        {"sqlite", NULL, "3.50.2", SH_FIXES_THERE},
        {"openssl", NULL, "3.0.1", SH_FIXES_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const enum sh_fixes is =
            sh_library_fixes(relied(cases[i].library), cases[i].package, cases[i].loaded);
        if (is != cases[i].wanted)
            fail_msg("%s, package %s, loaded %s: %d, not %d", cases[i].library,
                     cases[i].package ? cases[i].package : "none", cases[i].loaded, is,
                     cases[i].wanted);
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Every package as it has to be, but for one. */
static void write_all(const char *package, const char *version)
{
    struct sh_buf out;
    sh_buf_init(&out, 65536);
    for (size_t i = 0; i < sh_n_relied; i++) {
        const struct sh_relied *r = &sh_relied[i];
        const bool other = package && strcmp(r->package, package) == 0;
        sh_buf_addf(&out, "Package: %s\nStatus: install ok installed\nVersion: %s\n\n", r->package,
                    other ? version : r->debian);
    }
    write_status(out.data);
    sh_buf_free(&out);
}

static void none(void **state)
{
    (void)state;
    write_all(NULL, NULL);
    cJSON *list = sh_libraries_outdated(path);
    assert_int_equal(cJSON_GetArraySize(list), 0);
    cJSON_Delete(list);
}

static void each_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sh_n_relied; i++) {
        const struct sh_relied *r = &sh_relied[i];
        write_all(r->package, "0.1-1");
        cJSON *list = sh_libraries_outdated(path);
        assert_int_equal(cJSON_GetArraySize(list), 1);
        const cJSON *o = cJSON_GetArrayItem(list, 0);
        assert_string_equal(sh_json_string(o, "library"), r->library);
        assert_string_equal(sh_json_string(o, "version"), "0.1-1");
        assert_string_equal(sh_json_string(o, "package"), r->package);
        assert_string_equal(sh_json_string(o, "fixed_in"), r->debian);
        assert_non_null(strstr(sh_json_string(o, "next"), r->package));
        cJSON_Delete(list);
    }
}

static void under_its_new_name(void **state)
{
    (void)state;
    write_all(NULL, NULL);
    FILE *f = fopen(path, "r+"); /* libevent's stanza comes first */
    assert_non_null(f);
    fputs("Package: " LIBEVENT "t64\nStatus: install ok installed\nVersion: 2.0-1     \n\n#", f);
    fclose(f);
    cJSON *list = sh_libraries_outdated(path);
    assert_int_equal(cJSON_GetArraySize(list), 1);
    assert_string_equal(sh_json_string(cJSON_GetArrayItem(list, 0), "package"), LIBEVENT "t64");
    cJSON_Delete(list);
}

/* Without dpkg, what the libraries say of themselves: the list agrees with it. */
static void without_dpkg(void **state)
{
    (void)state;
    cJSON *list = sh_libraries_outdated(NULL), *there = sh_libraries();
    int missing = 0;
    for (size_t i = 0; i < sh_n_relied; i++) {
        const cJSON *l = sh_json_member(there, sh_relied[i].library);
        assert_non_null(l);
        missing +=
            sh_library_fixes(&sh_relied[i], NULL, sh_json_string(l, "loaded")) == SH_FIXES_MISSING;
    }
    assert_int_equal(cJSON_GetArraySize(list), missing);
    const cJSON *o;
    cJSON_ArrayForEach(o, list) assert_true(cJSON_IsNull(sh_json_member(o, "package")));
    cJSON_Delete(list);
    cJSON_Delete(there);
}

/* They are of this machine's making: headers and libraries of one package. */
static void loaded_and_built_with(void **state)
{
    (void)state;
    cJSON *there = sh_libraries();
    const cJSON *l;
    assert_int_equal(cJSON_GetArraySize(there), 7);
    cJSON_ArrayForEach(l, there)
        assert_string_equal(sh_json_string(l, "loaded"), sh_json_string(l, "built_with"));
    cJSON_Delete(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_status_file, setup, teardown),
        cmocka_unit_test(dpkgs_folder),
        cmocka_unit_test(judged),
        cmocka_unit_test_setup_teardown(none, setup, teardown),
        cmocka_unit_test_setup_teardown(each_one, setup, teardown),
        cmocka_unit_test_setup_teardown(under_its_new_name, setup, teardown),
        cmocka_unit_test(without_dpkg),
        cmocka_unit_test(loaded_and_built_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
