/* SPDX-License-Identifier: MIT
 * completion.h: what shells complete command lines by, made of the commands' tables. */
#ifndef SH_APP_COMPLETION_H
#define SH_APP_COMPLETION_H

#include "app/options.h"
#include "base/buf.h"

/* What stands in a place of the command line. */
enum sh_completes {
    SH_COMPLETES_NOTHING, /* an id, a time: nothing that a shell could know */
    SH_COMPLETES_FILE,
    SH_COMPLETES_DIR,
    SH_COMPLETES_WORDS, /* those of the option's value, parted by '|' */
};
/* Of an option's value: "FILE", "DIR", "a|b|c". */
enum sh_completes sh_completes_value(const char *value);
/* Of a command's arguments: files where they name one. */
enum sh_completes sh_completes_args(const struct sh_command *table);
/* The words of args that are in small letters: "[list | pause NAME]" -> "list pause", "bash|zsh" ->
 * "bash zsh"; empty if there are none. */
void sh_completes_words(const char *args, struct sh_buf *out);

/* The scripts, whole. */
void sh_completion_bash(struct sh_buf *out);
void sh_completion_zsh(struct sh_buf *out);
void sh_completion_fish(struct sh_buf *out);

#endif
