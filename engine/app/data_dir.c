/* SPDX-License-Identifier: MIT
 * data_dir.c: which data folder a command means. */
#include "app/data_dir.h"

#include "app/config.h"

char *sh_data_dir(const struct sh_options *o)
{
    const char *data = sh_options_get(o, "data");
    if (data)
        return sh_strdup(data);
    struct sh_config config;
    cJSON *faults;
    bool ok = sh_config_load(sh_options_get(o, "config"), &config, &faults);
    char *dir = ok ? sh_strdup(config.data) : NULL;
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    sh_config_clear(&config);
    return dir;
}
