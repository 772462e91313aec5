/* SPDX-License-Identifier: MIT
 * suggest.c: optimal string alignment distance over short words. */
#include "app/suggest.h"

#include <string.h>

#define MAX_WORD 48

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][MAX_WORD + 1]; /* two rows back, one row back, this row */
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min3(row[j], before[j - 2] + 1, row[j]);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[m];
}

const char *sh_suggest(const char *word, const char *const *known, size_t n)
{
    size_t len = strlen(word), best = (size_t)-1;
    const char *found = NULL;
    if (len > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t known_len = strlen(known[i]);
        if (known_len > MAX_WORD)
            continue;
        size_t d = distance(word, len, known[i], known_len);
        size_t room = 1 + (known_len > len ? known_len : len) / 3;
        if (d <= room && d < known_len && d < best) {
            best = d;
            found = known[i];
        }
    }
    return found;
}
