/* SPDX-License-Identifier: MIT
 * config_privacy.c: what of callers is kept, for how long, and what is shown of it. */
#include "app/config_reader.h"

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
