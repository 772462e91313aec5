/* SPDX-License-Identifier: MIT
 * log.h: one logfmt line a record on standard error: time, level, message, then key=value.
 * Thread-safe; a line is one write(2). Values with spaces, quotes or control bytes are quoted and
 * escaped, so that a sender cannot forge a line. */
#ifndef SH_BASE_LOG_H
#define SH_BASE_LOG_H

#include "base/error.h"

enum sh_log_level { SH_LOG_DEBUG, SH_LOG_INFO, SH_LOG_WARN, SH_LOG_ERROR };

/* Lines below this level are dropped. Default SH_LOG_INFO. */
void sh_log_set_level(enum sh_log_level level);

/* sh_log(SH_LOG_WARN, "worker died", "worker", "2", "signal", "SEGV", NULL): pairs of strings
 * (key, value), ended by one NULL. A NULL value prints as empty. */
void sh_log(enum sh_log_level level, const char *msg, ...) __attribute__((sentinel));
#define sh_debug(...) sh_log(SH_LOG_DEBUG, __VA_ARGS__, NULL)
#define sh_info(...)  sh_log(SH_LOG_INFO, __VA_ARGS__, NULL)
#define sh_warn(...)  sh_log(SH_LOG_WARN, __VA_ARGS__, NULL)
#define sh_err(...)   sh_log(SH_LOG_ERROR, __VA_ARGS__, NULL)

/* Number as text for a pair, valid until the end of the calling statement's block. */
#define SH_NUM(n) (sh_num_text((char[24]){0}, (long long)(n)))
char *sh_num_text(char out[24], long long n);

#endif
