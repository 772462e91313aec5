/* SPDX-License-Identifier: MIT
 * sandbox.h: what the engine says of its workers' locks. */
#ifndef SH_APP_SANDBOX_H
#define SH_APP_SANDBOX_H

#include <cjson/cJSON.h>

/* A worker has reported its sandbox (svc/lockup.h; NULL: it did not). The first report without an
 * error is copied into *kept (owned by the caller) and logged: one line, or one more for each thing
 * that is missing. Later ones say nothing, except a sandbox that does not hold: each time. */
void sh_sandbox_note(cJSON **kept, const cJSON *sandbox);

#endif
