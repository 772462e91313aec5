/* SPDX-License-Identifier: MIT
 * config_tls.c: the certificate and the key of the listen address. */
#include "app/config_reader.h"

#include "svc/json.h"
#include "svc/tls.h"

#define AT(member) offsetof(struct sh_config, tls.member)

/* In the order of enum sh_tls_file. */
static const struct sh_cfg_setting tls_keys[] = {
    {"cert", SH_CFG_PATHNAME, AT(cert), 0, 0, NULL},
    {"key", SH_CFG_PATHNAME, AT(key), 0, 0, NULL},
};

void sh_cfg_tls(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    char where[SH_CFG_PATH];
    sh_cfg_table(cfg, node, path, tls_keys, sizeof(tls_keys) / sizeof(tls_keys[0]), c);
    if (!cJSON_IsObject(node))
        return;
    for (size_t i = 0; i < sizeof(tls_keys) / sizeof(tls_keys[0]); i++) {
        const char *name = tls_keys[i].name;
        if (!sh_json_member(node, name))
            sh_cfg_fault(cfg, path, "%s is missing: HTTPS needs a certificate and its key", name);
        else
            c->tls.line[i] = sh_cfg_line(cfg, sh_cfg_join(where, path, name));
    }
}

void sh_config_check_tls(const struct sh_config *c, cJSON *faults)
{
    struct sh_error err;
    enum sh_tls_file at;
    if (!c->tls.cert || !c->tls.key || sh_tls_check(c->tls.cert, c->tls.key, &at, &err))
        return;
    cJSON *fault = cJSON_CreateObject();
    cJSON_AddStringToObject(fault, "file", c->file ? c->file : "");
    cJSON_AddItemToObject(fault, "line", sh_json_int(c->tls.line[at]));
    cJSON_AddStringToObject(fault, "key", at == SH_TLS_CERT ? "tls.cert" : "tls.key");
    cJSON_AddStringToObject(fault, "msg", err.msg);
    cJSON_AddItemToArray(faults, fault);
}
