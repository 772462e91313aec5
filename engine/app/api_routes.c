/* SPDX-License-Identifier: MIT
 * api_routes.c: every table of routes. */
#include "app/api_impl.h"

const struct sh_api_routes *const sh_api_all[] = {
    /* clang-format off */
    &sh_api_engine_routes,
    &sh_api_attention_routes,
    &sh_api_list_routes,
    &sh_api_call_routes,
    &sh_api_day_routes, /* before callbacks/{id} */
    &sh_api_one_routes,
    &sh_api_rule_routes,
    &sh_api_write_routes,
    &sh_api_privacy_routes,
    &sh_api_session_routes,
    &sh_api_series_routes,
    &sh_api_live_routes,
    &sh_api_try_routes,
    NULL,
    /* clang-format on */
};
