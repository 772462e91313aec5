/* SPDX-License-Identifier: MIT
 * print.h: output for people: aligned tables, cut to the terminal, colours on a terminal alone;
 * and for programs: JSON lines. What a sender wrote reaches a terminal with control bytes escaped,
 * so that it cannot move the cursor or forge a line. */
#ifndef SH_APP_PRINT_H
#define SH_APP_PRINT_H

#include "base/buf.h"

#include <cjson/cJSON.h>
#include <stdio.h>

enum sh_style { SH_PLAIN, SH_BOLD, SH_DIM, SH_RED, SH_GREEN, SH_YELLOW };

/* The bytes that start (SH_PLAIN: end) a style on f, "" where f is no terminal or NO_COLOR is set
 * (https://no-color.org). */
const char *sh_style(FILE *f, enum sh_style style);

/* s with everything that a terminal would act on (C0, DEL, C1, marks that turn the direction of
 * text, bytes that are not UTF-8) escaped as \n, \x1b, \u202e. */
void sh_print_escape(struct sh_buf *out, struct sh_slice s);
/* The same, straight to f. Newlines are kept and followed by indent when indent is not NULL. */
void sh_print_text(FILE *f, const char *s, const char *indent);

/* One line of JSON on standard output. */
void sh_print_json(const cJSON *tree);

struct sh_column {
    const char *title; /* "RECEIVED" */
    const char *key;   /* member of a row object */
    bool right;        /* numbers */
    bool stretch;      /* cut first when the terminal is narrow */
};
struct sh_table;

/* Columns borrowed, must outlive the table. */
struct sh_table *sh_table_new(const struct sh_column *columns, size_t n) SH_WARN_UNUSED;
/* A row from an object: strings as they are, null and absent as "", the rest as JSON. */
void sh_table_add(struct sh_table *t, const cJSON *row);
size_t sh_table_rows(const struct sh_table *t);
/* Print on standard output: titles, then rows. Nothing at all without rows. */
void sh_table_print(const struct sh_table *t);
void sh_table_free(struct sh_table *t);

#endif
