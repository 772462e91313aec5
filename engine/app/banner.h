/* SPDX-License-Identifier: MIT
 * banner.h: what an engine says when it starts. */
#ifndef SH_APP_BANNER_H
#define SH_APP_BANNER_H

#include "app/config.h"

/* How it meets the world, in the log: where calls may go, the zone, secrets in plain sight. */
void sh_banner_log(const struct sh_config *c, size_t clock_rules);

struct sh_banner {
    const struct sh_config *config;
    int port;
    size_t rules;
    const char *generation;
    int64_t unfinished, took_ms;
};
/* The line on standard output that says it is ready; programs read the port from it. */
void sh_banner_ready(const struct sh_banner *b);

#endif
