/* SPDX-License-Identifier: MIT
 * test_store_part.c: a file that is being made, in a folder whose owner puts other things there. */
#include "store_kit.h"

#include "core/store_backup_impl.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kit k;

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    return mkdir(k.dir, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

static void in_folder(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", k.dir, name);
}

/* What the name leads to, in place of the file that was made: to nothing yet, or to a file. */
static void put_link(bool is_there)
{
    struct sh_store_part p;
    struct sh_error err = {0};
    struct stat st;
    char part[256], victim[256];
    in_folder(part, "a.db.part");
    in_folder(victim, "victim");
    assert_true(sh_store_part_open(&p, part, &err));
    if (is_there)
        fclose(fopen(victim, "w"));
    assert_int_equal(unlink(part), 0);
    assert_int_equal(symlink(victim, part), 0);
    assert_null(sh_store_part_db(&p, &err));
    assert_int_equal(err.code, SH_EBUSY);
    assert_int_equal(stat(victim, &st), is_there ? 0 : -1);
    assert_true(!is_there || st.st_size == 0);
    sh_store_part_close(&p);
    assert_int_equal(lstat(part, &st), -1);
    unlink(victim);
}

static void test_link_in_its_place(void **state)
{
    (void)state;
    put_link(false);
    put_link(true);
}

/* The moment between the look and SQLite's open: the connection itself follows no link. */
static void test_connection_follows_none(void **state)
{
    struct stat st;
    struct sh_error err = {0};
    char link[256], victim[256];
    (void)state;
    in_folder(link, "link");
    in_folder(victim, "victim");
    assert_int_equal(symlink(victim, link), 0);
    const struct sh_sqlite_config c = {
        .path = link, .scratch = true, .no_links = true, .cache_kib = 512};
    assert_null(sh_sqlite_open(&c, &err));
    assert_int_equal(stat(victim, &st), -1);
}

/* The folder itself may be reached over one. */
static void test_folder_by_link(void **state)
{
    struct sh_store_part p;
    struct sh_error err = {0};
    char link[256], part[300];
    (void)state;
    in_folder(link, "folder");
    assert_int_equal(symlink(".", link), 0);
    snprintf(part, sizeof(part), "%s/b.db.part", link);
    assert_true(sh_store_part_open(&p, part, &err));
    sqlite3 *db = sh_store_part_db(&p, &err);
    assert_non_null(db);
    assert_true(sh_sqlite_exec(db, "CREATE TABLE t(a)", &err));
    sh_sqlite_close(db);
    sh_store_part_close(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_link_in_its_place), T(test_connection_follows_none),
                                       T(test_folder_by_link)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
