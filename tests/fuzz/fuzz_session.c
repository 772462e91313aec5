/* SPDX-License-Identifier: MIT
 * fuzz_session.c: any text as Cookie and as a proxy's word on HTTPS: a session is taken where there
 * is exactly one of the form, wherever it stands, and nobody but a proxy is believed.
 *
 * The input: a line of Cookie, then lines of Forwarded. */
#include "app/session.h"
#include "core/forwarded.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "switchhook_session"
#define GOOD "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_aaaaa"

static enum sh_session_cookie look(const char *header, const char *more, struct sh_slice *text)
{
    char *all = sh_strf("%s%s", header, more);
    size_t found = 0;
    const enum sh_session_cookie what = sh_session_read_cookie(all, NAME, &found, text);
    if (what == SH_COOKIE_ONE)
        sh_require(text->n == SH_SESSION_TEXT - 1 && (size_t)(text->p - all) >= sizeof(NAME) &&
                   memcmp(text->p - sizeof(NAME), NAME "=", sizeof(NAME)) == 0);
    free(all);
    return what;
}

static void check_cookie(const char *header)
{
    struct sh_slice text = {0};
    const enum sh_session_cookie what = look(header, "", &text);
    const enum sh_session_cookie twice = look(header, ";" NAME "=" GOOD, &text);
    sh_require(twice == (what == SH_COOKIE_NONE ? SH_COOKIE_ONE : SH_COOKIE_BAD));
    sh_require(look(header, ";" NAME "=" GOOD "a", &text) == SH_COOKIE_BAD);
    sh_require(look(header, "; other=1", &text) == what);
}

struct lines {
    const char *line[8];
    size_t n;
};

static const char *header_of(void *arg, const char *name, size_t n)
{
    const struct lines *lines = arg;
    (void)name;
    return n < lines->n ? lines->line[n] : NULL;
}

static void check_proxy(struct lines *lines)
{
    struct sh_ip_net net;
    struct sh_ip mine, other;
    struct sh_error err;
    sh_require(sh_ip_net_parse("10.0.0.0/8", &net, &err) && sh_ip_parse("10.0.0.1", &mine) &&
               sh_ip_parse("192.0.2.1", &other));
    for (int standard = 0; standard < 2; standard++) {
        const struct sh_forwarded f = {&net, 1, standard};
        (void)sh_forwarded_address(&f, mine, header_of, lines);
        const bool https = sh_forwarded_is_https(&f, mine, header_of, lines);
        sh_require(!https || lines->n > 0);
        sh_require(!sh_forwarded_is_https(&f, other, header_of, lines));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *all = sh_memdup(data, size), *rest = all, *line;
    struct lines lines = {.n = 0};
    line = strsep(&rest, "\n");
    check_cookie(line);
    while (lines.n < 8 && rest && (line = strsep(&rest, "\n")) != NULL)
        lines.line[lines.n++] = line;
    check_proxy(&lines);
    free(all);
    return 0;
}
