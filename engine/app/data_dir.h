/* SPDX-License-Identifier: MIT
 * data_dir.h: which data folder a command means. */
#ifndef SH_APP_DATA_DIR_H
#define SH_APP_DATA_DIR_H

#include "app/options.h"

/* --data, else the one of --config (or of switchhook.lua, else var/). Owned by the caller; NULL
 * and a message on standard error when the configuration has faults. */
char *sh_data_dir(const struct sh_options *o) SH_WARN_UNUSED;

#endif
