/* SPDX-License-Identifier: MIT
 * config_reader.h: typed values out of the configuration's tree, faults collected. Private to
 * config*.c. */
#ifndef SH_APP_CONFIG_READER_H
#define SH_APP_CONFIG_READER_H

#include "app/config.h"

#define SH_CFG_PATH 512

struct sh_cfg {
    const char *file; /* as given, for messages */
    const char *text; /* its text, for lines; NULL: no file */
    char *folder;     /* what relative paths start from, "" = the current folder; owned */
    cJSON *faults;
};

enum sh_cfg_kind {
    SH_CFG_STRING,   /* char * */
    SH_CFG_PATHNAME, /* char *, relative to cfg->folder */
    SH_CFG_INT,      /* int64_t */
    SH_CFG_SIZE,     /* int64_t, bytes */
    SH_CFG_DURATION, /* int64_t, ms */
    SH_CFG_BOOL,     /* bool */
    SH_CFG_CUSTOM    /* read() */
};

/* One known key of a table. */
struct sh_cfg_setting {
    const char *name;
    enum sh_cfg_kind kind;
    size_t offset;    /* of the value in the struct that the table fills */
    int64_t min, max; /* INT, SIZE, DURATION */
    void (*read)(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base);
};

/* Note a fault of the key at path (dotted), at the line where it is written. */
void sh_cfg_fault(struct sh_cfg *cfg, const char *path, const char *fmt, ...) SH_PRINTF(3, 4);
/* Where the key at path is written; 0: no file. */
int sh_cfg_line(const struct sh_cfg *cfg, const char *path);
/* Put them in the order of their lines. */
void sh_cfg_sort_faults(struct sh_cfg *cfg);
/* "expected <what>, got <a description of node>". */
void sh_cfg_expected(struct sh_cfg *cfg, const char *path, const char *what, const cJSON *node);
/* path + "." + name into out; returns out. */
const char *sh_cfg_join(char out[SH_CFG_PATH], const char *path, const char *name);

/* Read every member of the table node into base; unknown keys are faults. */
void sh_cfg_table(struct sh_cfg *cfg, const cJSON *node, const char *path,
                  const struct sh_cfg_setting *settings, size_t n, void *base);
/* Read one value as its setting says into base. */
void sh_cfg_value(struct sh_cfg *cfg, const struct sh_cfg_setting *s, const cJSON *node,
                  const char *path, void *base);
/* A list of strings or durations; false: a fault was noted. Nothing is replaced then. */
bool sh_cfg_strings(struct sh_cfg *cfg, const cJSON *node, const char *path, const char *what,
                    char ***out) SH_WARN_UNUSED;
bool sh_cfg_durations(struct sh_cfg *cfg, const cJSON *node, const char *path, int64_t **out,
                      size_t *n) SH_WARN_UNUSED;
/* A non-empty string; NULL: a fault was noted. Borrowed from node. */
const char *sh_cfg_string(struct sh_cfg *cfg, const cJSON *node, const char *path,
                          const char *what) SH_WARN_UNUSED;

/* config_source.c */
void sh_cfg_sources(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_cfg_check_sources(struct sh_cfg *cfg, struct sh_config *c);
/* The sources' normalisers into the settings that rules run with. */
void sh_cfg_set_normalisers(struct sh_config *c);
void sh_source_config_clear(struct sh_source_config *s);

/* config_check.c */
/* tls_said: the file has mail.tls; otherwise it is chosen here by where the server is. */
void sh_cfg_check_mail(struct sh_cfg *cfg, struct sh_config *c, bool tls_said);

/* config_auth.c; source is a struct sh_source_config */
void sh_cfg_auth(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source);
void sh_cfg_from(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source);
void sh_cfg_echo(struct sh_cfg *cfg, const cJSON *node, const char *path, void *source);
/* What of auth can only be told when the whole source is read. */
void sh_cfg_check_auth(struct sh_cfg *cfg, const struct sh_source_config *s);
void sh_cfg_auth_clear(struct sh_source_config *s); /* wipes; from and echo too */
/* config is a struct sh_config */
void sh_cfg_trusted_proxies(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_cfg_forwarded_header(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
/* Note the sources whose secrets stand in the file itself. */
void sh_cfg_plain_auth(const struct sh_cfg *cfg, struct sh_config *c);

/* config_log.c; config is a struct sh_config */
void sh_cfg_log(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);

/* config_tls.c */
void sh_cfg_tls(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);

/* config_privacy.c; config is a struct sh_config */
void sh_cfg_retain(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_retain_all(struct sh_retain *r, int64_t ms); /* but for records and audit */
void sh_retain_clear(struct sh_retain *r);
void sh_cfg_mask(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_cfg_country(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);

/* config_http.c; config is a struct sh_config */
extern const struct sh_cfg_setting sh_cfg_http_keys[];
extern const size_t sh_cfg_n_http_keys;
void sh_cfg_zone(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_cfg_url(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
void sh_cfg_callbacks(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
/* Does the text stand in the file, in quotes? */
bool sh_cfg_is_written_out(const struct sh_cfg *cfg, const char *text);
/* A copy of the text behind the last of a NULL-terminated list, or of none (NULL). */
void sh_cfg_append(char ***list, const char *text);
void sh_cfg_secrets(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config);
/* Adds SWITCHHOOK_SECRET_<NAME> of the environment for names that the table does not have, and puts
 * the names in order. */
void sh_cfg_secrets_of_environment(struct sh_cfg *cfg, struct sh_config *c);

#endif
