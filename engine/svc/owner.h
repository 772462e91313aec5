/* SPDX-License-Identifier: MIT
 * owner.h: root works in another's folder as that one, so that what it makes there is the other's,
 * and a link laid there leads nowhere that the other could not have gone. */
#ifndef SH_SVC_OWNER_H
#define SH_SVC_OWNER_H

#include "base/error.h"

#include <sys/types.h>

struct sh_owner {
    bool changed;
    uid_t uid; /* before */
    gid_t gid;
    gid_t *groups; /* owned */
    int n_groups;
};

/* If the process is root and the folder is another's, its effective user, group and groups become
 * those of the folder's owner. A folder that is not there changes nothing. All threads change:
 * for commands with one. */
bool sh_owner_enter(const char *dir, struct sh_owner *was, struct sh_error *err) SH_WARN_UNUSED;
/* For good: if the process is root and the folder is another's, it goes on as that user, with all
 * of this user's groups, as a service manager would start it. *name: the user's, owned; NULL when
 * nothing changed. */
bool sh_owner_become(const char *dir, char **name, struct sh_error *err) SH_WARN_UNUSED;
/* What root has made in another's folder under these names (the last is NULL), if it is there,
 * becomes the other's, who would be locked out of it. A link is not followed. */
void sh_owner_give(const char *dir, const char *const *names);
/* Back. Once for each enter, also a failed one. */
void sh_owner_leave(struct sh_owner *was);

#endif
