/* SPDX-License-Identifier: MIT
 * replay.c: main() for a fuzz target without libFuzzer: feeds it each file given, and each file in
 * each folder given, in the order of their names. */
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_INPUT_BYTES (64L * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    return false;
}

/* The input lies in a block of its exact size, so that a sanitizer sees a read behind it. */
static bool feed_file(const char *path, size_t *count)
{
    FILE *f = fopen(path, "rb");
    long size = -1;
    if (!f)
        return complain(path, strerror(errno));
    if (fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size < 0 || size > MAX_INPUT_BYTES || fseek(f, 0, SEEK_SET) != 0) {
        fclose(f);
        return complain(path, "no readable file of at most 64 MiB");
    }
    uint8_t *data = malloc(size ? (size_t)size : 1);
    sh_require(data);
    size_t got = fread(data, 1, (size_t)size, f);
    fclose(f);
    if (got == (size_t)size) {
        LLVMFuzzerTestOneInput(data, got);
        ++*count;
    }
    free(data);
    return got == (size_t)size || complain(path, "could not be read whole");
}

static bool feed_folder(const char *path, size_t *count)
{
    struct dirent **names;
    bool ok = true;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0)
        return complain(path, strerror(errno));
    for (int i = 0; i < n; i++) {
        struct stat st;
        char *file = sh_strf("%s/%s", path, names[i]->d_name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode))
            ok = feed_file(file, count) && ok;
        free(file);
        free(names[i]);
    }
    free(names);
    return ok;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    bool ok = true;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0)
            ok = complain(argv[i], strerror(errno));
        else if (S_ISDIR(st.st_mode))
            ok = feed_folder(argv[i], &count) && ok;
        else
            ok = feed_file(argv[i], &count) && ok;
    }
    printf("replayed %zu inputs\n", count);
    return ok && count > 0 ? 0 : 1;
}
