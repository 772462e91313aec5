/* SPDX-License-Identifier: MIT
 * config_auth.c: how the senders of a source prove who they are, and where they may come from.
 *
 * No message here may hold a value of `auth`: it may be a secret in the wrong place. */
#include "app/config_reader.h"

#include "core/event.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)         (sizeof(a) / sizeof((a)[0]))
#define AT(member)       offsetof(struct sh_auth_config, member)
#define MINUTE           60000LL
#define HOUR             (60 * MINUTE)
#define SIGNED_TOLERANCE (5 * MINUTE)
#define JWT_TOLERANCE    MINUTE
#define MAX_HEADER_BYTES 128
#define SCHEMES          "bearer, basic, standard_webhooks, hmac, timestamped, jwt, token and path"
#define HOW              "\"none\" or a scheme such as { bearer = env \"NAME\" }"

/* --- schemes -------------------------------------------------------------------------------- */

#define FOR(kind) (1U << SH_AUTH_##kind)

/* What goes with which scheme. */
static const struct {
    const char *name;
    unsigned kinds;
} options[] = {
    {"header", FOR(HMAC) | FOR(TIMESTAMPED) | FOR(TOKEN)},
    {"prefix", FOR(HMAC)},
    {"encoding", FOR(HMAC)},
    {"hash", FOR(HMAC)},
    {"key", FOR(HMAC) | FOR(TIMESTAMPED) | FOR(JWT)},
    {"tolerance", FOR(STANDARD) | FOR(TIMESTAMPED) | FOR(JWT)},
    {"location", FOR(JWT)},
    {"field", FOR(TOKEN)},
    {"segment", FOR(PATH)},
};

/* UNSET: no scheme has that name. */
static enum sh_auth_kind scheme_of(const char *name)
{
    for (int kind = SH_AUTH_BEARER; kind < SH_N_AUTH_KINDS; kind++)
        if (strcmp(sh_auth_kind_name((enum sh_auth_kind)kind), name) == 0)
            return (enum sh_auth_kind)kind;
    return SH_AUTH_UNSET;
}

/* --- values --------------------------------------------------------------------------------- */

static bool add_secret(struct sh_cfg *cfg, const cJSON *node, const char *path,
                       struct sh_auth_config *c, size_t n)
{
    if (!cJSON_IsString(node)) {
        sh_cfg_fault(cfg, path, "expected env \"NAME\", file \"path\", or a list of them");
        return false;
    }
    c->secrets[n] = sh_strdup(node->valuestring);
    if (*node->valuestring)
        return true;
    sh_cfg_fault(cfg, path, "is empty");
    return false;
}

/* One secret, or a list of those that are right at the same time. Checked when all is read: what a
 * secret must look like depends on the other keys. */
static void read_secrets(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_auth_config *c = base;
    const int n = cJSON_IsArray(node) ? cJSON_GetArraySize(node) : 1;
    if (n < 1 || n > SH_MAX_AUTH_SECRETS) {
        sh_cfg_fault(cfg, path, "has %d secrets; expected 1 to %d", n, SH_MAX_AUTH_SECRETS);
        return;
    }
    c->secrets = sh_alloc(SH_MAX_AUTH_SECRETS + 1, sizeof(*c->secrets));
    if (!cJSON_IsArray(node)) {
        (void)!add_secret(cfg, node, path, c, 0);
        return;
    }
    const cJSON *item = node->child;
    for (size_t i = 0; item; i++, item = item->next) {
        char place[24], at[SH_CFG_PATH];
        snprintf(place, sizeof(place), "%zu", i + 1);
        if (!add_secret(cfg, item, sh_cfg_join(at, path, place), c, i))
            return;
    }
}

static const struct sh_cfg_setting basic_keys[] = {
    {"user", SH_CFG_STRING, AT(user), 0, 0, NULL},
    {"password", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
};

static void read_basic(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_auth_config *c = base;
    if (!cJSON_IsObject(node)) {
        sh_cfg_fault(cfg, path, "expected { user = \"name\", password = env \"NAME\" }");
        return;
    }
    const int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, basic_keys, COUNT(basic_keys), c);
    if (cJSON_GetArraySize(cfg->faults) > before)
        return;
    if (!c->user || !c->secrets)
        sh_cfg_fault(cfg, path, "needs %s beside it", c->user ? "password" : "user");
    else if (strchr(c->user, ':'))
        sh_cfg_fault(cfg, path, "the user has a colon in it, which Basic has no way to send");
}

static bool is_header_name(const char *s)
{
    const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && !s[n] && n <= MAX_HEADER_BYTES;
}

static void read_header(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    char **out = base;
    const char *text = sh_cfg_string(cfg, node, path, "a header's name");
    if (text && !is_header_name(text))
        sh_cfg_fault(cfg, path, "is not the name of a header; expected letters, digits, - and _");
    else if (text)
        *out = sh_strdup(text);
}

static void read_auth_header(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    read_header(cfg, node, path, &((struct sh_auth_config *)base)->header);
}

/* One of the words of a NULL-terminated list; *out is its place. */
static bool read_word(struct sh_cfg *cfg, const cJSON *node, const char *path,
                      const char *const *words, const char *what, size_t *out)
{
    const char *text = sh_cfg_string(cfg, node, path, what);
    for (size_t i = 0; text && words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    if (text)
        sh_cfg_fault(cfg, path, "expected %s", what);
    return false;
}

static void read_encoding(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const char *const words[] = {"hex", "base64", NULL};
    size_t i;
    if (read_word(cfg, node, path, words, "\"hex\" or \"base64\"", &i))
        ((struct sh_auth_config *)base)->signature = i == 1 ? SH_AUTH_BASE64 : SH_AUTH_HEX;
}

static void read_key(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const char *const words[] = {"text", "base64", "hex", NULL};
    size_t i;
    if (read_word(cfg, node, path, words, "\"text\", \"base64\" or \"hex\"", &i))
        ((struct sh_auth_config *)base)->key = (enum sh_auth_encoding)i;
}

static void read_hash(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const char *const words[] = {"sha256", "sha1", "sha512", NULL};
    size_t i;
    if (read_word(cfg, node, path, words, "\"sha256\", \"sha1\" or \"sha512\"", &i))
        ((struct sh_auth_config *)base)->hash = (enum sh_hash)i;
}

static void read_location(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const char *const words[] = {"body", "bearer", NULL};
    size_t i;
    if (read_word(cfg, node, path, words, "\"body\" or \"bearer\"", &i))
        ((struct sh_auth_config *)base)->jwt_bearer = i == 1;
}

static const struct sh_cfg_setting auth_keys[] = {
    {"bearer", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"basic", SH_CFG_CUSTOM, 0, 0, 0, read_basic},
    {"standard_webhooks", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"hmac", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"timestamped", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"jwt", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"token", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"path", SH_CFG_CUSTOM, 0, 0, 0, read_secrets},
    {"header", SH_CFG_CUSTOM, 0, 0, 0, read_auth_header},
    {"prefix", SH_CFG_STRING, AT(prefix), 0, 0, NULL},
    {"encoding", SH_CFG_CUSTOM, 0, 0, 0, read_encoding},
    {"hash", SH_CFG_CUSTOM, 0, 0, 0, read_hash},
    {"key", SH_CFG_CUSTOM, 0, 0, 0, read_key},
    {"tolerance", SH_CFG_DURATION, AT(tolerance_ms), 0, 24 * HOUR, NULL},
    {"location", SH_CFG_CUSTOM, 0, 0, 0, read_location},
    {"field", SH_CFG_STRING, AT(field), 0, 0, NULL},
    {"segment", SH_CFG_STRING, AT(segment), 0, 0, NULL},
};

/* --- one table ------------------------------------------------------------------------------ */

/* The one scheme of the table. False: a fault was noted. */
static bool find_scheme(struct sh_cfg *cfg, const cJSON *node, const char *path,
                        enum sh_auth_kind *kind)
{
    const cJSON *child;
    *kind = SH_AUTH_UNSET;
    cJSON_ArrayForEach(child, node)
    {
        const enum sh_auth_kind found = scheme_of(child->string), first = *kind;
        if (found && first) {
            sh_cfg_fault(cfg, path, "has two schemes, %s and %s; expected one",
                         sh_auth_kind_name(first < found ? first : found),
                         sh_auth_kind_name(first < found ? found : first));
            return false;
        }
        *kind = found ? found : first;
    }
    return true;
}

static void check_options(struct sh_cfg *cfg, const cJSON *node, const char *path,
                          const struct sh_auth_config *c)
{
    for (size_t i = 0; i < COUNT(options); i++) {
        char at[SH_CFG_PATH];
        if (sh_json_member(node, options[i].name) && !(options[i].kinds & 1U << c->kind))
            sh_cfg_fault(cfg, sh_cfg_join(at, path, options[i].name),
                         "does not go with %s: see docs/authentication.md",
                         sh_auth_kind_name(c->kind));
    }
}

/* What a scheme cannot do without. */
static void check_needs(struct sh_cfg *cfg, const char *path, const struct sh_auth_config *c)
{
    if (c->kind == SH_AUTH_HMAC && !c->header)
        sh_cfg_fault(cfg, path, "needs header = \"...\", where the sender puts the signature");
    else if (c->kind == SH_AUTH_TIMESTAMPED && !c->header)
        sh_cfg_fault(cfg, path, "needs header = \"...\", where the sender puts t=...,v1=...");
    else if (c->kind == SH_AUTH_TOKEN && !c->header == !c->field)
        sh_cfg_fault(cfg, path, "needs %s of field = \"...\" and header = \"...\"",
                     c->header ? "only one" : "one");
    else if (c->kind == SH_AUTH_PATH && !c->segment)
        sh_cfg_fault(cfg, path, "needs segment = \"...\", the name of a {segment} of the path");
}

static void check_secrets(struct sh_cfg *cfg, const char *path, const struct sh_auth_config *c)
{
    for (size_t i = 0; c->secrets && c->secrets[i]; i++) {
        struct sh_error err;
        char at[SH_CFG_PATH];
        if (!sh_auth_secret_ok(c, c->secrets[i], &err))
            sh_cfg_fault(cfg, sh_cfg_join(at, path, sh_auth_kind_name(c->kind)), "%s", err.msg);
    }
}

static void read_scheme(struct sh_cfg *cfg, const cJSON *node, const char *path,
                        struct sh_auth_config *c)
{
    const int before = cJSON_GetArraySize(cfg->faults);
    enum sh_auth_kind kind;
    if (!find_scheme(cfg, node, path, &kind))
        return;
    *c = (struct sh_auth_config){
        .kind = kind,
        .signature = SH_AUTH_HEX,
        .tolerance_ms = kind == SH_AUTH_JWT ? JWT_TOLERANCE : SIGNED_TOLERANCE,
    };
    sh_cfg_table(cfg, node, path, auth_keys, COUNT(auth_keys), c);
    if (cJSON_GetArraySize(cfg->faults) > before)
        return;
    if (kind == SH_AUTH_UNSET) {
        sh_cfg_fault(cfg, path, "needs a scheme, one of " SCHEMES);
        return;
    }
    check_options(cfg, node, path, c);
    check_needs(cfg, path, c);
    if (cJSON_GetArraySize(cfg->faults) == before)
        check_secrets(cfg, path, c);
}

void sh_cfg_auth(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source)
{
    struct sh_source_config *s = source;
    if (cJSON_IsString(node) && strcmp(node->valuestring, "none") == 0)
        s->auth.kind = SH_AUTH_NONE;
    else if (!cJSON_IsObject(node))
        sh_cfg_fault(cfg, path, "expected " HOW); /* the value may be the token itself */
    else
        read_scheme(cfg, node, path, &s->auth);
}

/* Keys, types and the like are shown everywhere. */
static void check_segment_use(struct sh_cfg *cfg, const char *source, const char *key,
                              const char *segment, const char *secret)
{
    char at[SH_CFG_PATH];
    if (segment && strcmp(segment, secret) == 0)
        sh_cfg_fault(cfg, sh_cfg_join(at, source, key),
                     "the segment {%.100s} is the secret of auth: it would be shown as the "
                     "event's %s",
                     secret, key);
}

void sh_cfg_check_auth(struct sh_cfg *cfg, const struct sh_source_config *s)
{
    char source[SH_CFG_PATH], at[SH_CFG_PATH];
    if (s->auth.kind != SH_AUTH_PATH || !s->auth.segment || !s->path)
        return;
    sh_cfg_join(source, "sources", s->source.name);
    sh_cfg_join(at, source, "auth");
    if (!sh_path_pattern_has(s->path, s->auth.segment))
        sh_cfg_fault(cfg, at, "the path %s has no segment {%.100s}", s->path, s->auth.segment);
    check_segment_use(cfg, source, "type", s->source.type.segment, s->auth.segment);
    check_segment_use(cfg, source, "key", s->source.key.segment, s->auth.segment);
    check_segment_use(cfg, source, "time", s->source.time.segment, s->auth.segment);
    check_segment_use(cfg, source, "dedupe", s->source.dedupe.segment, s->auth.segment);
}

void sh_cfg_plain_auth(const struct sh_cfg *cfg, struct sh_config *c)
{
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct sh_source_config *s = &c->sources[i];
        bool plain = false;
        for (size_t k = 0; s->auth.secrets && s->auth.secrets[k]; k++)
            plain |= sh_cfg_is_written_out(cfg, s->auth.secrets[k]);
        if (!plain)
            continue;
        char *name = sh_strf("sources.%s.auth", s->source.name);
        sh_cfg_append(&c->plain_secrets, name);
        free(name);
    }
}

void sh_cfg_auth_clear(struct sh_source_config *s)
{
    sh_auth_config_clear(&s->auth);
    free(s->from);
    free(s->echo);
    s->from = NULL;
    s->echo = NULL;
}

/* --- addresses, set-up ---------------------------------------------------------------------- */

/* Each entry by itself, so that the fault stands at its line. */
static void read_nets(struct sh_cfg *cfg, const cJSON *node, const char *path,
                      struct sh_ip_net **out, size_t *n)
{
    char **list = NULL;
    if (!sh_cfg_strings(cfg, node, path,
                        "a list of addresses and networks such as { \"192.0.2.0/24\", "
                        "\"2001:db8::/32\" }",
                        &list))
        return;
    size_t count = 0;
    while (list[count])
        count++;
    *out = sh_alloc(count + 1, sizeof(**out));
    *n = count;
    for (size_t i = 0; i < count; i++) {
        char place[24], at[SH_CFG_PATH];
        struct sh_error err;
        snprintf(place, sizeof(place), "%zu", i + 1);
        if (!sh_ip_net_parse(list[i], &(*out)[i], &err))
            sh_cfg_fault(cfg, sh_cfg_join(at, path, place), "%s", err.msg);
        free(list[i]);
    }
    free(list);
}

void sh_cfg_from(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source)
{
    struct sh_source_config *s = source;
    read_nets(cfg, node, path, &s->from, &s->n_from);
    if (s->from && !s->n_from)
        sh_cfg_fault(cfg, path, "the list is empty; leave from out to let every address in");
}

void sh_cfg_trusted_proxies(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    read_nets(cfg, node, path, &c->trusted_proxies, &c->n_trusted_proxies);
}

void sh_cfg_forwarded_header(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    static const char *const words[] = {"X-Forwarded-For", "Forwarded", NULL};
    size_t i;
    if (read_word(cfg, node, path, words, "\"X-Forwarded-For\" or \"Forwarded\"", &i))
        ((struct sh_config *)config)->forwarded_standard = i == 1;
}

static const struct sh_cfg_setting echo_keys[] = {{"header", SH_CFG_CUSTOM, 0, 0, 0, read_header}};

void sh_cfg_echo(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source)
{
    struct sh_source_config *s = source;
    const int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, echo_keys, COUNT(echo_keys), &s->echo);
    if (cJSON_GetArraySize(cfg->faults) == before && !s->echo)
        sh_cfg_fault(cfg, path, "needs header = \"Validation-Token\"");
}
