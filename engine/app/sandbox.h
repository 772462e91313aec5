/* SPDX-License-Identifier: MIT
 * sandbox.h: what the engine says of its workers' locks. */
#ifndef SH_APP_SANDBOX_H
#define SH_APP_SANDBOX_H

#include <cjson/cJSON.h>

/* A worker has reported its sandbox (svc/lockup.h; NULL: it did not). The first one without an
 * error is copied into *kept (NULL before; owned by the caller). The first of the engine's life is
 * logged: one line, and a warning for each thing that is missing. Later ones say nothing, except a
 * sandbox that does not hold: each time. On the loop thread. */
void sh_sandbox_note(cJSON **kept, const cJSON *sandbox);

#endif
