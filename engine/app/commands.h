/* SPDX-License-Identifier: MIT
 * commands.h: every command with its table, for whoever describes them: manual pages, completion.
 */
#ifndef SH_APP_COMMANDS_H
#define SH_APP_COMMANDS_H

#include "app/options.h"

/* path: "serve", "callbacks done". brief: the line of `switchhook help`; of a command of two words
 * its table's summary. Borrowed, for the time of the call. */
typedef void sh_commands_fn(void *arg, const char *path, const char *brief,
                            const struct sh_command *table);
/* fn for each command that is listed, in that order, and after one for each word of its arguments
 * that has a table of its own. */
void sh_commands_each(sh_commands_fn *fn, void *arg);

#endif
