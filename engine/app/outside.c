/* SPDX-License-Identifier: MIT
 * outside.c: made in the order in which they need each other, freed in the other one. */
#include "app/outside.h"

#include "app/http_carrier.h"
#include "app/lookup.h"
#include "app/mail_carrier.h"

#include <stdint.h>
#include <stdlib.h>

#define USER_AGENT        "switchhook/" SH_VERSION
#define LOOKUPS_PER_HOST  16
#define CACHE_ENTRIES     1000
#define CACHE_BYTES       (8 * 1024 * 1024)
#define MAIL_PAUSE_MAX_MS (5 * 60 * 1000)

enum { MAIL, HTTP, N_CARRIERS };

struct sh_outside {
    struct sh_reach *reach;
    struct sh_hidden *hidden;
    struct sh_http_client *client;
    struct sh_lookups *lookups;
    struct sh_http_carrier *http;
    struct sh_mail_carrier *mail;
    struct sh_carrier carriers[N_CARRIERS];
};

static const char *secret(void *arg, const char *name)
{
    return sh_config_secret(arg, name);
}

static struct sh_reach *make_reach(const struct sh_http_config *c, struct sh_error *err)
{
    size_t n = 0;
    while (c->allow && c->allow[n])
        n++;
    return sh_reach_new((const char *const *)c->allow, n, err);
}

static void make_lookups(struct sh_outside *o, struct event_base *base,
                         const struct sh_config *config)
{
    const size_t at_once = (size_t)config->http.connections;
    const struct sh_lookups_config lookups = {
        .base = base,
        .client = o->client,
        .reach = o->reach,
        .secret = secret,
        .secret_arg = (void *)(uintptr_t)config,
        .hidden = o->hidden,
        .timeout_ms = config->http.lookup_timeout_ms,
        .answer_bytes = (size_t)config->http.answer_bytes,
        .in_flight = at_once,
        .per_host = at_once < LOOKUPS_PER_HOST ? at_once : LOOKUPS_PER_HOST,
        .cache_entries = CACHE_ENTRIES,
        .cache_bytes = CACHE_BYTES,
    };
    o->lookups = sh_lookups_new(&lookups);
}

static void make_http_carrier(struct sh_outside *o, struct event_base *base,
                              const struct sh_config *config)
{
    const struct sh_http_carrier_config http = {
        .base = base,
        .client = o->client,
        .secret = secret,
        .secret_arg = (void *)(uintptr_t)config,
        .hidden = o->hidden,
        .timeout_ms = config->http.timeout_ms,
    };
    o->http = sh_http_carrier_new(&http);
    struct sh_carrier *c = &o->carriers[HTTP];
    *c = sh_http_carrier_as_carrier(o->http);
    c->per_lane = (size_t)config->http.per_host;
    c->in_flight = (size_t)config->http.connections;
    c->retry_ms = config->http.retry_ms;
    c->n_retry = config->http.n_retry;
    c->pause_max_ms = config->http.pause_max_ms;
}

static bool make_mail_carrier(struct sh_outside *o, struct event_base *base,
                              const struct sh_config *config, struct sh_error *err)
{
    o->mail = sh_mail_carrier_new(base, &config->mail, config->data, err);
    if (!o->mail)
        return false;
    struct sh_carrier *c = &o->carriers[MAIL];
    *c = sh_mail_carrier_as_carrier(o->mail);
    c->per_lane = c->in_flight = (size_t)config->mail.connections;
    c->retry_ms = config->mail_retry_ms;
    c->n_retry = config->n_mail_retry;
    c->pause_max_ms = MAIL_PAUSE_MAX_MS;
    return true;
}

struct sh_outside *sh_outside_new(struct event_base *base, const struct sh_config *config,
                                  struct sh_error *err)
{
    struct sh_outside *o = sh_alloc(1, sizeof(*o));
    o->reach = make_reach(&config->http, err);
    if (!o->reach)
        goto fail;
    /* Deliveries and look-ups do not wait for each other's connections. */
    const struct sh_http_client_config client = {
        .reach = o->reach,
        .ca_file = config->http.ca_file,
        .user_agent = USER_AGENT,
        .connections = 2 * config->http.connections,
    };
    o->client = sh_http_client_new(base, &client, err);
    if (!o->client || !make_mail_carrier(o, base, config, err))
        goto fail;
    o->hidden = sh_hidden_new((const char *const *)config->settings.secrets, secret,
                              (void *)(uintptr_t)config);
    make_lookups(o, base, config);
    make_http_carrier(o, base, config);
    return o;
fail:
    sh_outside_free(o);
    return NULL;
}

const struct sh_carrier *sh_outside_carriers(const struct sh_outside *o, size_t *n)
{
    *n = N_CARRIERS;
    return o->carriers;
}

void sh_outside_lookup(struct sh_outside *o, struct sh_slice call, const char *trace,
                       void (*answer)(void *arg, struct sh_slice doc), void *arg)
{
    sh_lookups_ask(o->lookups, call, trace, answer, arg);
}

void sh_outside_free(struct sh_outside *o)
{
    if (!o)
        return;
    sh_lookups_free(o->lookups);
    sh_http_carrier_free(o->http);
    sh_mail_carrier_free(o->mail);
    sh_http_client_free(o->client);
    sh_reach_free(o->reach);
    sh_hidden_free(o->hidden);
    free(o);
}
