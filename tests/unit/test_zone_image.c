/* SPDX-License-Identifier: MIT
 * test_zone_image.c: the zones handed to a process without files. Each case is a process of its
 * own, since a process takes its zones once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/zone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_IMAGE ((size_t)16 << 20)

static uint8_t *image; /* shared with the processes of the cases */
static size_t *image_n;

/* fn in a process of its own; its exit code, or 100 + the signal that ended it. */
static int apart(int (*fn)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int make(void)
{
    int fd = sh_zones_image();
    ssize_t n = fd < 0 ? -1 : pread(fd, image, MAX_IMAGE, 0);
    if (n <= 0)
        return 1;
    *image_n = (size_t)n;
    if (write(fd, "x", 1) != -1) /* sealed: no child can change what the next one reads */
        return 2;
    return sh_zones_image() == fd ? 0 : 3;
}

static int setup(void **state)
{
    (void)state;
    image = mmap(NULL, MAX_IMAGE + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED)
        return -1;
    image_n = (size_t *)(void *)(image + MAX_IMAGE);
    return apart(make);
}

/* A file in memory with the first n bytes of the image. */
static int file_of(size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    return write(fd, image, n) == (ssize_t)n ? fd : -1;
}

static int as_loaded(void)
{
    static const char *const names[] = {"UTC", "Europe/Amsterdam", "America/New_York",
                                        "Australia/Lord_Howe", "Asia/Kathmandu"};
    if (!sh_zones_open(file_of(*image_n)) || sh_zones_open(file_of(*image_n)))
        return 1; /* once */
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct sh_zone *z = sh_zone_find(names[i]);
        setenv("TZ", names[i], 1);
        tzset();
        for (time_t t = 0; t < 2000000000; t += 1234567) {
            struct sh_zone_info info;
            struct tm tm;
            sh_zone_at(z, t, &info);
            localtime_r(&t, &tm);
            if (info.offset_s != tm.tm_gmtoff)
                return 2;
        }
    }
    if (sh_zone_find("Europe/Nowhere") || sh_zone_find(""))
        return 3;
    return strcmp(sh_zone_nearest("Europe/Amsterdm"), "Europe/Amsterdam") == 0 ? 0 : 4;
}

static void test_as_loaded(void **state)
{
    (void)state;
    assert_int_equal(apart(as_loaded), 0);
}

static int refused(void)
{
    const size_t cuts[] = {0, 1, 7, 9, 15, 17, 40, 1000, *image_n / 2, *image_n - 9};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++)
        if (sh_zones_open(file_of(cuts[i])))
            return (int)i + 1;
    if (sh_zones_open(-1))
        return 50;
    image[3] ^= 1;
    if (sh_zones_open(file_of(*image_n)))
        return 51;
    image[3] ^= 1;
    return sh_zones_load(NULL) > 400 ? 0 : 52; /* nothing was left behind */
}

static void test_what_is_no_image(void **state)
{
    (void)state;
    assert_int_equal(apart(refused), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_loaded),
        cmocka_unit_test(test_what_is_no_image),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
