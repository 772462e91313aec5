/* SPDX-License-Identifier: MIT
 * config_log.c: `log`: how the engine's lines look, and which there are. */
#include "app/config_reader.h"

static void read_level(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    if (!cJSON_IsString(node) || !sh_log_level_of(node->valuestring, &c->log_level))
        sh_cfg_expected(cfg, path, "\"debug\", \"info\", \"warn\" or \"error\"", node);
}

static void read_format(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    if (!cJSON_IsString(node) || !sh_log_format_of(node->valuestring, &c->log_format))
        sh_cfg_expected(cfg, path, "\"logfmt\" or \"json\"", node);
}

static const struct sh_cfg_setting log_keys[] = {
    {"format", SH_CFG_CUSTOM, 0, 0, 0, read_format},
    {"level", SH_CFG_CUSTOM, 0, 0, 0, read_level},
};

void sh_cfg_log(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    sh_cfg_table(cfg, node, path, log_keys, sizeof(log_keys) / sizeof(*log_keys), config);
}
