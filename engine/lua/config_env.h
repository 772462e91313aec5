/* SPDX-License-Identifier: MIT
 * config_env.h: what `env NAME` of the configuration means. */
#ifndef SH_LUA_CONFIG_ENV_H
#define SH_LUA_CONFIG_ENV_H

#include <stddef.h>

/* The environment variable; else what a file `environment` beside the configuration says, so that a
 * command typed by a person reads the configuration as the service does, whose manager has put that
 * file into its environment. folder: with its slash, of len bytes; "" is the current one. Owned by
 * the caller; NULL: neither, or this user may not read the file.
 * Lines NAME=value as in systemd's EnvironmentFile= (systemd.exec(5)), each on one line: # and ;
 * begin a comment, quotes around a value are not part of it, the last of a name counts. */
char *sh_config_env(const char *folder, size_t len, const char *name);

#endif
