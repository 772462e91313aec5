/* SPDX-License-Identifier: MIT
 * config.h: the configuration, read, checked whole, with defaults. */
#ifndef SH_APP_CONFIG_H
#define SH_APP_CONFIG_H

#include "base/ip.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/envelope.h"
#include "core/frame.h"
#include "core/mask_json.h"
#include "core/store.h"
#include "core/sender_auth.h"

#include <cjson/cJSON.h>

#define SH_CFG_MAX_LIST 64 /* items of a list in the file */

struct sh_source_config {
    struct sh_source source;
    char *path;      /* "/hooks/webphone", "/hooks/pbx/{tenant}": path_pattern.h */
    char *normalise; /* "github": scripts/github.lua makes the event table; or NULL */
    char **show;     /* NULL-terminated paths by which people recognise an event, or NULL: a list
                        that is built in (api_show.h) */
    struct sh_auth_config auth;
    struct sh_ip_net *from; /* who may send, NULL = everybody; n_from of them */
    size_t n_from;
    char *echo;  /* a request with this header is a set-up, answered with it; or NULL */
    char **cors; /* NULL-terminated origins allowed to post from a browser page, or NULL;
                    "*" allows any */
};

struct sh_mail_config {
    char *smtp; /* "smtp://host:port" or "smtps://..."; NULL: .eml files under <data>/mail */
    char *from; /* "Name <a@b>" */
    char *username, *password; /* NULL: no login */
    bool require_tls;          /* STARTTLS or smtps, verified; default true off loopback */
    char *ca_file;             /* NULL = system store */
    long connections;          /* in flight at once, default 4 */
    long timeout_ms;           /* per message, default 60000 */
};

struct sh_http_config {
    char **allow;              /* reach.h entries, NULL-terminated; NULL = "*" */
    char *ca_file;             /* NULL = system store */
    int64_t timeout_ms;        /* of a delivery, default 30 s */
    int64_t lookup_timeout_ms; /* of a look-up, default 5 s */
    int64_t answer_bytes;      /* of an answer's body, at most: default 256 KiB */
    int64_t per_host; /* deliveries under way to one host and port, default 4 (1 = strict order) */
    int64_t connections;  /* over all hosts, default 64 */
    int64_t pause_max_ms; /* between probes of a target that is down, default 1 min */
    int64_t *retry_ms; /* delays after each failed attempt: default 10 s .. 12 h, 28 h together */
    size_t n_retry;
};

struct sh_tls_config { /* both, or neither: plain HTTP */
    char *cert, *key;  /* files, PEM */
    int line[2];       /* where each stands in the file, for faults */
};

struct sh_config {
    char *file;        /* where it was read from, NULL = defaults */
    char *listen_host; /* "127.0.0.1" or "::1" */
    int listen_port;   /* 0 = any free one (tests) */
    char *data, *rules, *scripts;
    struct sh_source_config *sources;
    size_t n_sources;
    struct sh_tls_config tls;
    struct sh_mail_config mail;
    struct sh_http_config http;
    struct sh_settings settings; /* zone, and the secrets' names */
    char **secret_texts;         /* one for each name; in the engine process alone */
    char **plain_secrets;        /* names of those whose text stands in the file itself, and
                                    "sources.NAME.auth" of sources; NULL-terminated, or NULL */
    char *public_url;            /* "https://hook.example.org": how others reach this engine, for
                                    calendar feeds; NULL = the listen address */
    bool callback_email;         /* callbacks.email, default true */
    int64_t callback_missed_ms;  /* callbacks.missed_after, default 24 h; 0 = never */
    struct sh_budgets budgets;
    long workers;      /* default: online CPUs, at most 8 */
    int64_t *retry_ms; /* delays after each failed attempt; then a dead letter */
    size_t n_retry;
    int64_t quarantine;     /* failures in a row that pause a rule, default 20; 0 = never */
    int64_t *mail_retry_ms; /* the same for mail: default 10 s, 1 min, 5 min, 30 min, 2 h, 6 h,
                               12 h, 12 h: 32 h together */
    size_t n_mail_retry;
    int64_t body_bytes, header_bytes, connections, header_timeout_ms, body_timeout_ms,
        idle_timeout_ms;
    int64_t auth_failures; /* wrong secrets of one address in a minute, default 20; 0 = no limit */
    struct sh_ip_net *trusted_proxies; /* whose word on a sender's address is taken */
    size_t n_trusted_proxies;
    bool forwarded_standard; /* they say it in Forwarded (RFC 7239), not in X-Forwarded-For */
    int64_t backlog, memory_events, memory_body_bytes;
    int64_t min_free_bytes;
    bool reload_watch; /* reload.watch: changed rule files go live by themselves, default true */
    bool reload_specs; /* reload.specs: only after the project's specs have passed */
    int64_t reload_spec_ms;        /* reload.specs_timeout, default 2 min */
    enum sh_log_level log_level;   /* log.level, default info */
    enum sh_log_format log_format; /* log.format, default logfmt */
    char *country;           /* calling code, "31", of numbers that have none; NULL = not known */
    struct sh_masking mask;  /* mask.numbers (default true), mask.fields: in logs, and: */
    bool mask_exports;       /* mask.exports: lists of the command line, default false */
    bool mask_viewers;       /* mask.viewers: what a viewer gets from the API, default true */
    struct sh_retain retain; /* default: what is over, 90 days; records and audit, for good */
};

/* The configuration that is meant where none is named: what SWITCHHOOK_CONFIG says; switchhook.lua
 * of the current folder; if there is none, and no folder rules (a project with defaults), the
 * installed one: /etc/switchhook/switchhook.lua of a program in /usr/bin,
 * etc/switchhook/switchhook.lua of the prefix of one in any other bin. Owned; NULL: none, defaults.
 */
char *sh_config_find(void) SH_WARN_UNUSED;
/* Read path (NULL: sh_config_find(), "": defaults alone). Every fault is collected:
 * false, and *faults (owned cJSON array of {"file","line","key","msg"}). An unknown key names the
 * nearest known one. Root is refused a file that was found in the current folder and belongs to
 * another user than root or $SUDO_UID. With no file: one source `webphone` as shipped, auth unset.
 * The texts of secrets are in no fault. Loads the zone database (zone.h) to check `zone`: before
 * threads. */
bool sh_config_load(const char *path, struct sh_config *c, cJSON **faults) SH_WARN_UNUSED;
void sh_config_clear(struct sh_config *c);
/* Is the listen address loopback (127.0.0.0/8, ::1)? */
bool sh_config_is_loopback(const struct sh_config *c);
/* Do the files of `tls` load? Each fault is added to faults. For those who are to use them: other
 * commands work while a certificate is broken. */
void sh_config_check_tls(const struct sh_config *c, cJSON *faults);
/* "https" or "http": what is spoken at the listen address. */
const char *sh_config_scheme(const struct sh_config *c);
/* May every source be reached as it is configured? False, and err says what to write: a source of
 * which nobody said how its senders prove themselves, on an address that others can reach. To be
 * asked after --listen has had its say. */
bool sh_config_check_exposure(const struct sh_config *c, struct sh_error *err) SH_WARN_UNUSED;

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080" into listen_host and listen_port. False: c is
 * unchanged. */
bool sh_config_set_listen(struct sh_config *c, const char *text,
                          struct sh_error *err) SH_WARN_UNUSED;
/* Put a value from the command line in place of a setting; NULL leaves it. */
void sh_config_override(char **setting, const char *value);
/* The text of a secret, or NULL; config is a struct sh_config. For http_call.h. Borrowed. */
const char *sh_config_secret(void *config, const char *name);
/* The source of that name, or NULL. Borrowed. */
const struct sh_source_config *sh_config_source(const struct sh_config *c, const char *name);
/* Every fault as "file:line: key: message", one a line, on standard error. */
void sh_config_print_faults(const cJSON *faults);

#endif
