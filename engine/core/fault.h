/* SPDX-License-Identifier: MIT
 * fault.h: the form in which an error reaches the people who write rules, made in one place:
 *
 *   rules/a.lua:12: rule "Call back": callback: 'due' must be a time ..., got nil
 *     hint: what to do about it
 *     at rules/a.lua:12 in later
 *
 * The first line stands for itself: where, which rule, what was expected and what came. Tables show
 * it alone. The hint comes from one list, by the words of the message; docs/errors.md has every
 * message with an example, and a test makes each. */
#ifndef SH_CORE_FAULT_H
#define SH_CORE_FAULT_H

#include "base/buf.h"

#define SH_FAULT_AT   "\n  at " /* a line of the traceback */
#define SH_FAULT_HINT "\n  hint: "

/* Bytes of "rules/a.lua:12: " (with the blank) in front of text, 0 if there are none. */
size_t sh_fault_position(struct sh_slice text);
/* Add text in that form. rule: its name, or empty where no one rule is at fault (a file that does
 * not load, a worker's end). A text that names the rule or has its hint already keeps them. */
void sh_fault_write(struct sh_buf *out, struct sh_slice rule, struct sh_slice text);
/* The same for what is no rule: `scripts/a.lua:3: normaliser of "github": ..`. */
char *sh_fault_text_of(const char *what, struct sh_slice name, struct sh_slice text) SH_WARN_UNUSED;
/* The same as a text of its own; the caller frees it. */
char *sh_fault_text(struct sh_slice rule, struct sh_slice text) SH_WARN_UNUSED;
/* Add the hint for a message (its first line counts, without position and rule); false: there is
 * none, as for a text of the author's own. */
bool sh_fault_hint(struct sh_buf *out, struct sh_slice message);

/* The parts of a text in that form, for a log of one line an entry. Slices borrow from text. */
struct sh_fault_parts {
    struct sh_slice line;  /* the first one */
    struct sh_slice hint;  /* without its mark; empty: there is none */
    struct sh_slice trace; /* the first line of the traceback, without its mark; likewise */
};
struct sh_fault_parts sh_fault_split(struct sh_slice text);

#endif
