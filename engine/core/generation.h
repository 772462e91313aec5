/* SPDX-License-Identifier: MIT
 * generation.h: one immutable rule set: every .lua file under the rules and scripts folders, named
 * by the hash of their names and texts. */
#ifndef SH_CORE_GENERATION_H
#define SH_CORE_GENERATION_H

#include "base/buf.h"

#include <cjson/cJSON.h>

#define SH_GENERATION_TEXT 17 /* 16 hex digits and a NUL */

struct sh_file {
    char *name; /* "rules/missed_call.lua" or "scripts/hours.lua", always with / */
    char *text; /* owned, NUL-terminated */
    size_t len;
    bool is_rule; /* under the rules folder: run at load; otherwise found by require */
};

struct sh_generation {
    char id[SH_GENERATION_TEXT];
    struct sh_file *files; /* sorted by name */
    size_t n_files;
};

/* Read every *.lua below rules_dir and scripts_dir (sub-folders too; names starting with '.' or
 * ending in _spec.lua are left out; scripts_dir may be NULL or absent). Never waits for a file.
 * NULL and *err, one line fit for a log and a terminal: rules_dir missing, unreadable or without
 * any .lua file; a file over 1 MiB, more than 1,000 files, more than 16 MiB in all, 20,000 entries
 * or 8 folders in folders; a name that is not UTF-8 or has control characters; a .lua entry that
 * is no plain file or a link to nothing; a link that leads out of the two folders or in a circle.
 */
struct sh_generation *sh_generation_read(const char *rules_dir, const char *scripts_dir,
                                         struct sh_error *err) SH_WARN_UNUSED;
/* Build one from files in memory (takes nothing: copies). For frames and tests. */
struct sh_generation *sh_generation_new(const struct sh_file *files, size_t n) SH_WARN_UNUSED;
void sh_generation_free(struct sh_generation *g);
/* The files that differ: [{"file","change":"added"|"changed"|"removed"}], by name; before may be
 * NULL. The caller's. */
cJSON *sh_generation_changes(const struct sh_generation *before,
                             const struct sh_generation *after) SH_WARN_UNUSED;
/* What the folders look like without reading the files: a hash over name, size, time and inode of
 * every .lua file below them, specs too, and the names of the folders. Two that differ: something
 * has changed. It looks at 20,000 entries at most. */
uint64_t sh_generation_stamp(const char *rules_dir, const char *scripts_dir);

#endif
