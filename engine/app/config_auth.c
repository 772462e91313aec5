/* SPDX-License-Identifier: MIT
 * config_auth.c: how the senders of a source prove who they are. */
#include "app/config_reader.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define AT(member) offsetof(struct sh_source_config, member)

static const struct sh_cfg_setting auth_keys[] = {
    {"bearer", SH_CFG_STRING, AT(bearer), 0, 0, NULL}};

/* What may stand in an Authorization header (RFC 6750 is narrower; senders are not). */
static bool is_token(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

void sh_cfg_auth(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source)
{
    struct sh_source_config *s = source;
    if (cJSON_IsString(node) && strcmp(node->valuestring, "none") == 0) {
        s->auth = SH_AUTH_NONE;
        return;
    }
    if (!cJSON_IsObject(node)) {
        /* The value may be the token itself: it is not repeated. */
        sh_cfg_fault(cfg, path, "expected \"none\" or { bearer = env \"NAME\" }");
        return;
    }
    int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, auth_keys, COUNT(auth_keys), source);
    if (s->bearer && !is_token(s->bearer))
        sh_cfg_fault(cfg, path,
                     "the bearer token has a blank, a control byte or a byte that is "
                     "not ASCII in it");
    else if (s->bearer)
        s->auth = SH_AUTH_BEARER;
    else if (cJSON_GetArraySize(cfg->faults) == before)
        sh_cfg_fault(cfg, path, "needs bearer = env \"NAME\"");
}

void sh_cfg_auth_clear(struct sh_source_config *s)
{
    if (s->bearer)
        explicit_bzero(s->bearer, strlen(s->bearer));
    free(s->bearer);
    s->bearer = NULL;
}
