/* SPDX-License-Identifier: MIT
 * data_dir.h: which data folder a command means. */
#ifndef SH_APP_DATA_DIR_H
#define SH_APP_DATA_DIR_H

#include "app/options.h"

/* --data, else the one of --config (or of the configuration that is found, sh_config_find()). Owned
 * by the caller; NULL and a message on standard error when the configuration has faults, or this
 * user may not look into the folder. */
char *sh_data_dir(const struct sh_options *o) SH_WARN_UNUSED;
/* May this user look into the folder, if it is there? False: a message was printed that says whose
 * it is. A service's folder is its own user's alone: without this a command would say that nothing
 * is there. */
bool sh_data_dir_check(const char *dir, const struct sh_command *command) SH_WARN_UNUSED;

#endif
