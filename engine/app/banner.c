/* SPDX-License-Identifier: MIT
 * banner.c: the first words of an engine. */
#include "app/banner.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_LIST_BYTES 4096 /* of names in a log line */

static void join(struct sh_buf *out, char **list)
{
    for (size_t i = 0; list && list[i]; i++) {
        sh_buf_adds(out, i ? ", " : "");
        sh_buf_adds(out, list[i]);
    }
}

static void warn_of_guessable(const struct sh_config *c)
{
    struct sh_buf names;
    sh_buf_init(&names, MAX_LIST_BYTES);
    for (size_t i = 0; i < c->n_sources; i++) {
        if (!sh_auth_is_guessable(&c->sources[i].auth))
            continue;
        sh_buf_adds(&names, names.len ? ", " : "");
        sh_buf_adds(&names, c->sources[i].source.name);
    }
    if (names.len)
        sh_warn("secrets of senders are short enough to be found by trying: make them of 24 "
                "characters or more, such as those of openssl rand -base64 32",
                "sources", names.data);
    sh_buf_free(&names);
}

void sh_banner_log(const struct sh_config *c, size_t clock_rules)
{
    struct sh_buf allow, plain;
    sh_buf_init(&allow, MAX_LIST_BYTES);
    sh_buf_init(&plain, MAX_LIST_BYTES);
    join(&allow, c->http.allow);
    join(&plain, c->plain_secrets);
    size_t n = 0;
    while (c->settings.secrets && c->settings.secrets[n])
        n++;
    sh_info("calls and times", "zone", c->settings.zone, "http_allow",
            !c->http.allow ? "*"
            : allow.len    ? allow.data
                           : "nothing",
            "secrets", SH_NUM(n), "clock_rules", SH_NUM(clock_rules));
    if (plain.len)
        sh_warn("secrets are written out in the configuration file: put each into an environment "
                "variable or a file of its own",
                "names", plain.data);
    warn_of_guessable(c);
    sh_buf_free(&allow);
    sh_buf_free(&plain);
}

void sh_banner_ready(const struct sh_banner *b)
{
    const char *host = b->config->listen_host;
    bool v6 = strchr(host, ':') != NULL;
    printf("switchhook %s ready on %s://%s%s%s:%d (rules: %zu, generation %s, workers: %ld, "
           "data: %s, unfinished: %" PRId64 ", started in %" PRId64 " ms)\n",
           SH_VERSION, sh_config_scheme(b->config), v6 ? "[" : "", host, v6 ? "]" : "", b->port,
           b->rules, b->generation, b->config->workers, b->config->data, b->unfinished, b->took_ms);
    fflush(stdout);
}
