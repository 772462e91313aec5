/* SPDX-License-Identifier: MIT
 * watcher.h: folders whose files may change, watched with inotify(7) on the loop.
 *
 * What is told is only that something may have changed, and not what: the listener reads the
 * folders anew. One telling for a burst: `quiet_ms` after the last sign, but no later than
 * `most_ms` after the first. Folders that vanish, are replaced or are reached by a symbolic link
 * are seen through their parents. A queue that overflowed counts as a change. */
#ifndef SH_SVC_WATCHER_H
#define SH_SVC_WATCHER_H

#include "svc/loop.h"

struct sh_watcher;

/* dirs: NULL-terminated, copied; they need not exist. suffix: files that do not end so are not
 * looked at (folders always are); copied. NULL and *err when the kernel has no inotify left. */
struct sh_watcher *sh_watcher_new(struct event_base *base, const char *const *dirs,
                                  const char *suffix, int64_t quiet_ms, int64_t most_ms,
                                  sh_loop_fn *fn, void *arg, struct sh_error *err) SH_WARN_UNUSED;
/* Walk the folders and watch what is new. Call before each reading of them, from any one thread at
 * a time: it only adds watches, the loop only takes events. False: some folder cannot be watched
 * (*err says which: the limit of watches, a folder that may not be read, more than 2,000 folders);
 * changes there go unseen. */
bool sh_watcher_scan(struct sh_watcher *w, struct sh_error *err) SH_WARN_UNUSED;
/* As if something had changed now. */
void sh_watcher_touch(struct sh_watcher *w);
void sh_watcher_free(struct sh_watcher *w); /* NULL is a no-op */

#endif
