/* SPDX-License-Identifier: MIT
 * api_routes.c: every table of routes. */
#include "app/api_impl.h"

const struct sh_api_routes *const sh_api_all[] = {
    &sh_api_engine_routes,
    NULL,
};
