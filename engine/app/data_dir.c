/* SPDX-License-Identifier: MIT
 * data_dir.c: which data folder a command means. */
#include "app/data_dir.h"

#include "app/config.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool sh_data_dir_check(const char *dir, const struct sh_command *command)
{
    struct stat st;
    if (access(dir, R_OK | X_OK) == 0 || errno != EACCES)
        return true;
    const struct passwd *owner = stat(dir, &st) == 0 ? getpwuid(st.st_uid) : NULL;
    if (owner)
        fprintf(stderr,
                "switchhook %s: %s is for the user %s alone: run this as root, or as that user "
                "(sudo -u %s switchhook %s)\n",
                command->name, dir, owner->pw_name, owner->pw_name, command->name);
    else
        fprintf(stderr, "switchhook %s: %s is not for this user to look into: run this as root\n",
                command->name, dir);
    return false;
}

/* dir, or NULL if this user may not look into it. */
static char *checked(char *dir, const struct sh_command *command)
{
    if (dir && sh_data_dir_check(dir, command))
        return dir;
    free(dir);
    return NULL;
}

char *sh_data_dir(const struct sh_options *o)
{
    const char *data = sh_options_get(o, "data");
    if (data)
        return checked(sh_strdup(data), o->command);
    struct sh_config config;
    cJSON *faults;
    bool ok = sh_config_load(sh_options_get(o, "config"), &config, &faults);
    char *dir = ok ? sh_strdup(config.data) : NULL;
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    sh_config_clear(&config);
    return checked(dir, o->command);
}
