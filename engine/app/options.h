/* SPDX-License-Identifier: MIT
 * options.h: command lines: long options, --help, usage errors that name the nearest option. */
#ifndef SH_APP_OPTIONS_H
#define SH_APP_OPTIONS_H

#include "base/error.h"

#include <stdint.h>

#define SH_MAX_OPTIONS 16
#define SH_EXIT_BAD    1
#define SH_EXIT_USAGE  2

/* One long option: "--name" (a flag) or "--name VALUE" / "--name=VALUE". */
struct sh_option {
    const char *name;  /* without the dashes */
    const char *value; /* what the value is called in the help: "FILE", "DIR"; "a|b|c": one of
                          these words; NULL = flag */
    const char *help;
};

/* A subcommand. --help is added by itself. Everything borrowed and static. */
struct sh_command {
    const char *name;
    const char *args;    /* "RULE_DIR EVENT.json..." or NULL */
    const char *summary; /* one line for the list of commands */
    const char *details; /* paragraphs of the help, or NULL */
    const char *example; /* one or more lines, each a command line */
    const struct sh_option *options;
    size_t n_options;
    int min_args, max_args; /* positional arguments; max -1 = any number */
};

struct sh_options {
    const struct sh_command *command;
    const char *values[SH_MAX_OPTIONS]; /* by place in command->options; "" for a flag given */
    const char **args;                  /* owned array of borrowed strings, NULL-terminated */
    int n_args;
};

/* Parse argv[1..]. -1: go on, out is filled. Otherwise the exit code to leave with: 0 after
 * --help, SH_EXIT_USAGE after a message on standard error. sh_options_clear() in each case. */
int sh_options_parse(const struct sh_command *command, int argc, char **argv,
                     struct sh_options *out) SH_WARN_UNUSED;
void sh_options_clear(struct sh_options *o);

/* From now on sh_options_parse() hands the command's table to fn, in place of parsing, and says to
 * leave with 0: how manual pages and completions are made of the tables. fn NULL ends it. */
typedef void sh_options_fn(void *arg, const struct sh_command *command);
void sh_options_watch(sh_options_fn *fn, void *arg);

/* The value given (the last, if given twice), "" for a flag, or NULL. The name must be known. */
const char *sh_options_get(const struct sh_options *o, const char *name);
/* A whole number within min..max; *out is left alone when the option is absent. False: a message
 * was printed, leave with SH_EXIT_USAGE. */
bool sh_options_int(const struct sh_options *o, const char *name, int64_t min, int64_t max,
                    int64_t *out) SH_WARN_UNUSED;

/* A usage error in the name of the command, with the pointer to --help; returns SH_EXIT_USAGE. */
int sh_usage_error(const struct sh_command *command, const char *fmt, ...) SH_PRINTF(2, 3);

#endif
