/* SPDX-License-Identifier: MIT
 * manual.h: manual pages (man(7)) out of the commands' tables. */
#ifndef SH_APP_MANUAL_H
#define SH_APP_MANUAL_H

#include "app/options.h"
#include "base/buf.h"

/* The page switchhook-COMMAND(1). date: "2026-06-12". */
void sh_manual_command(struct sh_buf *out, const struct sh_command *table, const char *date);
/* The page switchhook(1): what it is, the commands, files, environment. */
void sh_manual_overview(struct sh_buf *out, const char *date);
/* "callbacks done" -> "switchhook-callbacks-done", into out. */
#define SH_MANUAL_NAME 80
void sh_manual_name(const char *path, char out[SH_MANUAL_NAME]);

#endif
