/* SPDX-License-Identifier: MIT
 * bar.h: how far a command is, on a terminal, once it takes over two seconds; and Ctrl-C, which
 * breaks it off in order. */
#ifndef SH_APP_BAR_H
#define SH_APP_BAR_H

#include "core/store_backup.h"

/* From here on SIGINT and SIGTERM make the watch say that it is to be broken off. */
void sh_bar_begin(struct sh_store_watch *watch);
/* Away with the line. */
void sh_bar_end(void);

#endif
