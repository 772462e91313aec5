/* SPDX-License-Identifier: MIT
 * last_end.h: ending this process where it stands, from a signal handler. Nothing is closed, freed
 * or waited for: for a process that loses nothing by that, as one whose store survives kill -9. */
#ifndef SH_SVC_LAST_END_H
#define SH_SVC_LAST_END_H

#include <stdint.h>

/* From now on SIGTERM and SIGINT end the process at once, without a word. Replaces an earlier
 * handler of these signals. */
void sh_last_end_on_signals(int exit_code);
/* End the process in ms from now, whatever hangs, with msg (plain text) in the log as a warning.
 * Replaces an earlier call. Uses SIGALRM. */
void sh_last_end_within(int64_t ms, const char *msg, int exit_code);
/* It got there by itself: no deadline any more. */
void sh_last_end_cancel(void);

#endif
