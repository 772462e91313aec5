/* SPDX-License-Identifier: MIT
 * input.h: event bodies from files and standard input. */
#ifndef SH_APP_INPUT_H
#define SH_APP_INPUT_H

#include "app/sent.h"

#define SH_MAX_INPUT_BYTES ((size_t)64 * 1024 * 1024)

struct sh_input {
    char *name;          /* file name, "-" or "day.jsonl:3"; owned */
    bool is_line;        /* one of several in its file */
    struct sh_sent sent; /* its body is borrowed from the list's text */
};
struct sh_inputs {
    struct sh_input *items;
    size_t n;
    char **texts; /* owned */
    size_t n_texts;
};

/* Add the bodies of a file; "-" is standard input. A file is one body, one named *.http a body with
 * its path and headers (sent.h). Standard input, and a file named *.jsonl or *.ndjson, may be JSON
 * lines: then each line that is not blank is one. */
bool sh_inputs_add(struct sh_inputs *in, const char *path, struct sh_error *err) SH_WARN_UNUSED;
/* Add one body under a name; both are copied. */
void sh_inputs_add_text(struct sh_inputs *in, const char *name, const char *body);
void sh_inputs_clear(struct sh_inputs *in);

#endif
