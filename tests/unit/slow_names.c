/* SPDX-License-Identifier: MIT
 * slow_names.c: preloaded by test_http_names.c: names below .test are looked up as a test needs it,
 * all others as ever.
 *   slow.test      nothing, after 3 s (SLOW_NAMES_MS)
 *   none.test      there is no such name
 *   mixed.test     10.0.0.1, 169.254.169.254, 127.0.0.1
 *   private.test   10.0.0.1, fd00::1
 *   rebound.test   127.0.0.1 the first time, 127.0.0.2 then */
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int pass(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    lookup_fn *real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, out);
}

/* Each address is asked for by itself and hung onto the list: freeaddrinfo() frees node by node. */
static int all(const char *const *texts, const char *service, const struct addrinfo *hints,
               struct addrinfo **out)
{
    *out = NULL;
    for (struct addrinfo **end = out; *texts; texts++) {
        struct addrinfo one = *hints;
        one.ai_family = AF_UNSPEC;
        one.ai_flags = AI_NUMERICHOST;
        int rc = pass(*texts, service, &one, end);
        if (rc)
            return rc;
        while (*end)
            end = &(*end)->ai_next;
    }
    return 0;
}

static int slow(void)
{
    const char *ms = getenv("SLOW_NAMES_MS");
    usleep((useconds_t)(ms ? atoi(ms) : 3000) * 1000);
    return EAI_AGAIN;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    static atomic_uint asked;
    static const char *const mixed[] = {"10.0.0.1", "169.254.169.254", "127.0.0.1", NULL},
                             *const lonely[] = {"10.0.0.1", "fd00::1", NULL},
                             *const first[] = {"127.0.0.1", NULL},
                             *const then[] = {"127.0.0.2", NULL};
    if (!node || !strstr(node, ".test"))
        return pass(node, service, hints, out);
    if (strstr(node, "slow.test"))
        return slow();
    if (strcmp(node, "mixed.test") == 0)
        return all(mixed, service, hints, out);
    if (strcmp(node, "private.test") == 0)
        return all(lonely, service, hints, out);
    if (strcmp(node, "rebound.test") == 0)
        return all(asked++ ? then : first, service, hints, out);
    return EAI_NONAME;
}
