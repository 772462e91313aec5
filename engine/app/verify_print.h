/* SPDX-License-Identifier: MIT
 * verify_print.h: reports of core/store_backup.h for people. */
#ifndef SH_APP_VERIFY_PRINT_H
#define SH_APP_VERIFY_PRINT_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* "12.3 MiB, schema 4, 1000 events, the newest 0190.. of 2026-..", with a newline. */
void sh_verify_print_facts(const cJSON *report);
/* The checks that are bad, each with examples and what to do. */
void sh_verify_print_bad(const cJSON *verify);
/* All of them, one a line. */
void sh_verify_print_all(const cJSON *verify);
/* How many checks there were; *bad: of them. */
int sh_verify_count(const cJSON *verify, int *bad);
int64_t sh_verify_int(const cJSON *object, const char *name); /* 0 if it is not there */

#endif
