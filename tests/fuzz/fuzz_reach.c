/* SPDX-License-Identifier: MIT
 * fuzz_reach.c: any text as an allow-list and as hosts: refused or taken without harm, and the
 * answers to host and address agree.
 *
 * The input: entries, one a line, an empty line, then hosts, one a line. */
#include "svc/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ENTRIES 64

static void check_message(const struct sh_error *err)
{
    size_t n = strnlen(err->msg, sizeof(err->msg));
    sh_require(n > 0 && n < sizeof(err->msg) && err->code != SH_OK);
}

/* The address that a resolver takes the host for without asking anybody. */
static bool address_of(const char *host, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
        memcpy(out, &in6, sizeof(in6));
    else if (!strpbrk(host, " \t\r\v\f") && inet_aton(host, &in.sin_addr))
        memcpy(out, &in, sizeof(in));
    else
        return false;
    return true;
}

/* Whoever passes as a URL's host may be connected to. */
static void check_host(const struct sh_reach *r, const char *host, int port)
{
    struct sockaddr_storage sa;
    struct sh_error err = {0};
    bool ok = sh_reach_host(r, host, port, &err);
    if (!ok)
        check_message(&err);
    if (!address_of(host, port, &sa))
        return;
    bool reached = sh_reach_address(r, host, (const struct sockaddr *)&sa, &err);
    sh_require(reached || !ok);
    if (!reached)
        check_message(&err);
}

/* With nothing listed, no address of this machine or its networks is reached. */
static void check_private(const struct sh_reach *open, const char *host)
{
    struct sockaddr_storage sa;
    struct sh_error err = {0};
    if (!address_of(host, 80, &sa) || sa.ss_family != AF_INET)
        return;
    uint32_t a = ntohl(((const struct sockaddr_in *)(const void *)&sa)->sin_addr.s_addr);
    bool own = a >> 24 == 127 || a >> 24 == 10 || a >> 24 == 0 || a >> 16 == 0xc0a8 ||
               a >> 20 == 0xac1 || a >> 16 == 0xa9fe;
    sh_require(!own || !sh_reach_host(open, host, 80, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = sh_memdup(data, size), *rest = text, *line;
    const char *entries[MAX_ENTRIES];
    size_t n = 0;
    struct sh_error err = {0};
    while ((line = strsep(&rest, "\n")) && *line) {
        if (n < MAX_ENTRIES)
            entries[n++] = line;
    }
    struct sh_reach *open = sh_reach_new(NULL, 0, &err), *r = sh_reach_new(entries, n, &err);
    sh_require(open);
    if (!r)
        check_message(&err);
    while (rest && (line = strsep(&rest, "\n"))) {
        check_private(open, line);
        if (r) {
            check_host(r, line, 443);
            check_host(r, line, 8080);
        }
    }
    sh_reach_free(r);
    sh_reach_free(open);
    free(text);
    return 0;
}
