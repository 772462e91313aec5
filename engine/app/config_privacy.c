/* SPDX-License-Identifier: MIT
 * config_privacy.c: what of callers is kept, for how long, and what is shown of it. */
#include "app/config_reader.h"

#include "core/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sh_cfg_country(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    const char *text = sh_cfg_string(cfg, node, path, "a calling code such as \"31\"");
    if (!text)
        return;
    size_t n = strlen(text);
    if (n > 3 || strspn(text, "0123456789") != n || text[0] == '0') {
        sh_cfg_fault(cfg, path,
                     "\"%.40s\": expected a calling code of 1 to 3 digits such as \"31\"", text);
        return;
    }
    free(c->country);
    c->country = sh_strdup(text);
}

/* --- retain ----------------------------------------------------------------------------- */

#define MOST_MS    (10000LL * 24 * 3600 * 1000)
#define AT(member) offsetof(struct sh_config, retain.member)
#define KIND(name, member)                                                                         \
    {                                                                                              \
        name, SH_CFG_DURATION, AT(member), 0, MOST_MS, NULL                                        \
    }

void sh_retain_clear(struct sh_retain *r)
{
    for (size_t i = 0; i < r->n_collections; i++)
        free(r->collections[i].name);
    free(r->collections);
    r->collections = NULL;
    r->n_collections = 0;
}

void sh_retain_all(struct sh_retain *r, int64_t ms)
{
    r->events_ms = r->runs_ms = r->outbox_ms = r->callbacks_ms = r->generations_ms = ms;
}

static bool is_collection(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && !name[n] && name[0] >= 'a' && n <= SH_MAX_COLLECTION_BYTES;
}

/* An age for all, or a table by collection; "*": those that it does not name. */
static void read_records(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    static const struct sh_cfg_setting all = KIND("records", records_ms);
    struct sh_config *c = config;
    struct sh_retain *r = &c->retain;
    const cJSON *child;
    if (!cJSON_IsObject(node)) {
        sh_cfg_value(cfg, &all, node, path, c);
        return;
    }
    r->collections = sh_alloc((size_t)cJSON_GetArraySize(node) + 1, sizeof(*r->collections));
    cJSON_ArrayForEach(child, node)
    {
        char at[SH_CFG_PATH];
        int64_t kept_ms = c->retain.records_ms;
        sh_cfg_join(at, path, child->string);
        if (strcmp(child->string, "*") == 0) {
            sh_cfg_value(cfg, &all, child, at, c);
            continue;
        }
        if (!is_collection(child->string)) {
            sh_cfg_fault(cfg, at,
                         "\"%.100s\" is no collection: expected a-z, 0-9 and _, starting "
                         "with a letter, or \"*\" for all others",
                         child->string);
            continue;
        }
        sh_cfg_value(cfg, &all, child, at, c); /* reads into records_ms */
        r->collections[r->n_collections].name = sh_strdup(child->string);
        r->collections[r->n_collections++].ms = c->retain.records_ms;
        c->retain.records_ms = kept_ms;
    }
}

static const struct sh_cfg_setting retain_keys[] = {
    KIND("events", events_ms),
    KIND("runs", runs_ms),
    KIND("outbox", outbox_ms),
    KIND("callbacks", callbacks_ms),
    KIND("generations", generations_ms),
    KIND("audit", audit_ms),
    {"records", SH_CFG_CUSTOM, 0, 0, 0, read_records},
};

void sh_cfg_retain(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    static const struct sh_cfg_setting all = KIND("retain", events_ms);
    struct sh_config *c = config;
    struct sh_retain *r = &c->retain;
    if (!cJSON_IsObject(node)) {
        sh_cfg_value(cfg, &all, node, path, c);
        sh_retain_all(r, r->events_ms);
        return;
    }
    r->runs_ms = -1; /* not said */
    sh_cfg_table(cfg, node, path, retain_keys, sizeof(retain_keys) / sizeof(*retain_keys), c);
    const bool longer = r->events_ms > 0 && (r->runs_ms == 0 || r->runs_ms > r->events_ms);
    if (longer) {
        char at[SH_CFG_PATH];
        sh_cfg_fault(cfg, sh_cfg_join(at, path, "runs"),
                     "runs are removed with their events: expected at most retain.events");
    }
    if (r->runs_ms < 0)
        r->runs_ms = r->events_ms;
}

/* --- mask --------------------------------------------------------------------------------- */

static void read_fields(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    if (!sh_cfg_strings(cfg, node, path, "a list of fields such as { \"analysis.transcript\" }",
                        &c->mask.fields))
        return;
    for (size_t i = 0; c->mask.fields[i]; i++)
        if (!sh_mask_field_ok(c->mask.fields[i]))
            sh_cfg_fault(cfg, path,
                         "\"%.100s\": expected a field's name, or the end of its path, such as "
                         "\"remote_name\", \"analysis.transcript\" or \"analysis.*\"",
                         c->mask.fields[i]);
}

static const struct sh_cfg_setting mask_keys[] = {
    {"numbers", SH_CFG_BOOL, offsetof(struct sh_config, mask.numbers), 0, 0, NULL},
    {"fields", SH_CFG_CUSTOM, 0, 0, 0, read_fields},
    {"exports", SH_CFG_BOOL, offsetof(struct sh_config, mask_exports), 0, 0, NULL},
    {"viewers", SH_CFG_BOOL, offsetof(struct sh_config, mask_viewers), 0, 0, NULL},
};

void sh_cfg_mask(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    sh_cfg_table(cfg, node, path, mask_keys, sizeof(mask_keys) / sizeof(*mask_keys), config);
}
