/* SPDX-License-Identifier: MIT
 * log.h: one line a record on standard error: time, level, message, then the pairs; logfmt, or one
 * JSON object. Thread-safe; a line is one write(2). Values with spaces, quotes or control bytes are
 * quoted and escaped, so that a sender cannot forge a line.
 *
 * Values are masked (mask.h): phone numbers always, the values of named fields as configured, and a
 * value longer than SH_LOG_VALUE_BYTES is cut: no text of a sender is logged whole. Left as they
 * are: numbers (SH_NUM) and the values of keys that hold ids, times, addresses and files of the
 * engine's own (log.c has the list). */
#ifndef SH_BASE_LOG_H
#define SH_BASE_LOG_H

#include "base/error.h"

#define SH_LOG_VALUE_BYTES 500

enum sh_log_format { SH_LOG_LOGFMT, SH_LOG_JSON };
enum sh_log_level { SH_LOG_DEBUG, SH_LOG_INFO, SH_LOG_WARN, SH_LOG_ERROR };

/* Lines below this level are dropped. Default SH_LOG_INFO. */
void sh_log_set_level(enum sh_log_level level);
/* Before other threads log. Default SH_LOG_LOGFMT. */
void sh_log_set_format(enum sh_log_format format);
/* "debug", "info", "warn", "error"; "logfmt", "json". False: no such name. */
bool sh_log_level_of(const char *name, enum sh_log_level *out) SH_WARN_UNUSED;
bool sh_log_format_of(const char *name, enum sh_log_format *out) SH_WARN_UNUSED;
const char *sh_log_level_name(enum sh_log_level level);
const char *sh_log_format_name(enum sh_log_format format);
/* As set now. */
enum sh_log_level sh_log_level(void);
enum sh_log_format sh_log_format(void);

/* What is masked beside phone numbers. names: fields whose values are never shown, NULL-terminated,
 * borrowed for good; NULL = none (the default). numbers: false shows phone numbers as they are.
 * Before other threads log. */
struct sh_log_mask {
    bool numbers;
    const char *const *names;
};
void sh_log_set_mask(const struct sh_log_mask *mask);

/* sh_log(SH_LOG_WARN, "worker died", "worker", "2", "signal", "SEGV", NULL): pairs of strings
 * (key, value), ended by one NULL. A NULL value prints as empty. */
void sh_log(enum sh_log_level level, const char *msg, ...) __attribute__((sentinel));
#define sh_debug(...) sh_log(SH_LOG_DEBUG, __VA_ARGS__, NULL)
#define sh_info(...)  sh_log(SH_LOG_INFO, __VA_ARGS__, NULL)
#define sh_warn(...)  sh_log(SH_LOG_WARN, __VA_ARGS__, NULL)
#define sh_err(...)   sh_log(SH_LOG_ERROR, __VA_ARGS__, NULL)

/* A number for a pair, valid until the end of the calling statement's block: marked as one, so that
 * it is not masked, and stands in JSON without quotes. For sh_log() alone. */
#define SH_NUM(n) (sh_log_number((char[24]){0}, (long long)(n)))
char *sh_log_number(char out[24], long long n);

#endif
