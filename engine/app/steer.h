/* SPDX-License-Identifier: MIT
 * steer.h: how a command has its change made: by the engine that runs on the data folder, through
 * its control socket, so that it acts at once; without one in the store; or by an engine far away,
 * through its API (--url). The same changes, checks and audit on each way (change.h). */
#ifndef SH_APP_STEER_H
#define SH_APP_STEER_H

#include "app/config.h"
#include "app/options.h"

#define SH_STEER_OPTIONS                                                                           \
    {"data", "DIR", "data folder (default: as configured, var/)"},                                 \
        {"config", "FILE",                                                                         \
         "configuration (default: switchhook.lua here, else the installed one)"},                  \
        {"url", "URL", "an engine elsewhere: https://host:port (default: $SWITCHHOOK_URL)"},       \
        {"token-file", "FILE", "its token, with --url (default: $SWITCHHOOK_TOKEN)"},              \
    {                                                                                              \
        "ca-file", "FILE",                                                                         \
            "certificates to trust, with --url (default: $SWITCHHOOK_CA_FILE, "                    \
            "else the system's)"                                                                   \
    }

struct sh_steer {
    char *url, *token;       /* owned; url NULL: what is on dir */
    const char *token_from;  /* the file, or the variable; borrowed */
    const char *ca_file;     /* borrowed; NULL: the system's */
    const char *dir;         /* borrowed from config or options */
    struct sh_config config; /* as far as it could be read */
    bool config_ok;
    cJSON *faults; /* of it */
};

/* Read the options of SH_STEER_OPTIONS. False: a message was printed, *code is what to leave with.
 * sh_steer_close() in each case. */
bool sh_steer_open(struct sh_steer *s, const struct sh_options *o, int *code) SH_WARN_UNUSED;
void sh_steer_close(struct sh_steer *s);

/* Make a change. action and target as change.h has them; body may be NULL. *answer: an object of
 * the caller's. False and *err, whose message is for people. */
bool sh_steer_change(struct sh_steer *s, const char *action, const char *target, const cJSON *body,
                     cJSON **answer, struct sh_error *err) SH_WARN_UNUSED;
/* Ask the engine, "GET" or "POST". SH_ENOTFOUND: none runs, or there is no such thing. Waits for
 * timeout_ms. */
bool sh_steer_ask(struct sh_steer *s, const char *method, const char *target, const cJSON *body,
                  int64_t timeout_ms, cJSON **answer, struct sh_error *err) SH_WARN_UNUSED;

#endif
