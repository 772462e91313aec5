/* SPDX-License-Identifier: MIT
 * owner.c: effective users (seteuid(2)). */
#include "svc/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_groups(struct sh_owner *was)
{
    was->n_groups = getgroups(0, NULL);
    sh_require(was->n_groups >= 0);
    was->groups = sh_alloc((size_t)was->n_groups + 1, sizeof(gid_t));
    was->n_groups = getgroups(was->n_groups, was->groups);
    sh_require(was->n_groups >= 0);
}

bool sh_owner_enter(const char *dir, struct sh_owner *was, struct sh_error *err)
{
    struct stat st;
    *was = (struct sh_owner){.uid = geteuid(), .gid = getegid()};
    if (was->uid != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
        return true;
    note_groups(was);
    was->changed = true;
    if (setgroups(1, &st.st_gid) == 0 && setegid(st.st_gid) == 0 && seteuid(st.st_uid) == 0)
        return true;
    return sh_error_set(err, SH_ESYS, "%s: cannot work as its owner (user %u): %s", dir,
                        (unsigned)st.st_uid, strerror(errno));
}

void sh_owner_leave(struct sh_owner *was)
{
    if (was->changed) /* not to go on as somebody else, whatever happens */
        sh_require(seteuid(was->uid) == 0 && setegid(was->gid) == 0 &&
                   setgroups((size_t)was->n_groups, was->groups) == 0);
    free(was->groups);
    *was = (struct sh_owner){0};
}

bool sh_owner_become(const char *dir, char **name, struct sh_error *err)
{
    struct stat st;
    *name = NULL;
    if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
        return true;
    const struct passwd *user = getpwuid(st.st_uid);
    const gid_t gid = user ? user->pw_gid : st.st_gid;
    if ((user ? initgroups(user->pw_name, gid) : setgroups(1, &gid)) != 0 || setgid(gid) != 0 ||
        setuid(st.st_uid) != 0)
        return sh_error_set(err, SH_ESYS, "%s: cannot go on as its owner (user %u): %s", dir,
                            (unsigned)st.st_uid, strerror(errno));
    *name = user ? sh_strdup(user->pw_name) : sh_strf("%u", (unsigned)st.st_uid);
    return true;
}

void sh_owner_give(const char *dir, const char *const *names)
{
    struct stat whose, st;
    const int at = geteuid() == 0 ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (at < 0)
        return;
    if (fstat(at, &whose) == 0 && whose.st_uid != 0)
        for (; *names; names++)
            if (fstatat(at, *names, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 0 &&
                (S_ISDIR(st.st_mode) || st.st_nlink == 1))
                (void)!fchownat(at, *names, whose.st_uid, whose.st_gid, AT_SYMLINK_NOFOLLOW);
    close(at);
}
