/* SPDX-License-Identifier: MIT
 * locked_child.c: processes that run rules for the engine. */
#include "app/locked_child.h"

#include "base/log.h"
#include "base/zone.h"
#include "svc/lockup.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4, ZONES = 5 };

/* The engine made the socket: its pid is the peer's. Dead already means nobody would ever stop a
 * runaway rule here, so leave at once. */
static void tie_to_parent(void)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        getsockopt(SH_CHILD_SOCKET, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) {
        sh_log(SH_LOG_ERROR, "worker ends", "reason", "cannot tie itself to the engine", NULL);
        _exit(1);
    }
    if (peer.pid != getppid())
        _exit(0);
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN); /* the engine decides when a worker ends */
}

struct sh_pulse *sh_locked_child_start(const char *name)
{
    struct sh_pulse *pulse =
        mmap(NULL, sizeof(*pulse), PROT_READ | PROT_WRITE, MAP_SHARED, PAGE, 0);
    if (pulse == MAP_FAILED) {
        fprintf(stderr, "switchhook %s: started by the engine, not by hand\n", name);
        return NULL;
    }
    ignore_signals();
    tie_to_parent();
    close(PAGE);
    if (!sh_zones_open(ZONES))
        sh_zones_load(NULL); /* while there still are files */
    close(ZONES);
    return pulse;
}

/* What would ask the system for something at its first use, when that is refused: the C library's
 * own time zone opens a file, and its qsort() wants to know how much memory the machine has. */
static int by_byte(const void *a, const void *b)
{
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

static void warm_up(void)
{
    unsigned char bytes[2048] = {1}; /* qsort() asks from 1024 bytes on */
    qsort(bytes, sizeof(bytes), 1, by_byte);
    tzset();
}

cJSON *sh_locked_child_lock(int niceness, struct sh_error *err)
{
    /* Rules yield the processor to ingress and the store: acknowledgements first. */
    if (setpriority(PRIO_PROCESS, 0, niceness) != 0)
        sh_debug("worker: priority unchanged");
    warm_up();
    const struct sh_lockup_config everything = sh_lockup_everything(SH_CHILD_SOCKET);
    return sh_lockup(&everything, err);
}
