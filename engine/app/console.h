/* SPDX-License-Identifier: MIT
 * console.h: the page at /console: files out of the binary. They hold nothing of anybody: what the
 * page shows it asks of the API (api.h), which says who may see what. On the loop. */
#ifndef SH_APP_CONSOLE_H
#define SH_APP_CONSOLE_H

#include "svc/http_server.h"

#define SH_CONSOLE_PATH "/console"

/* True if a request's path is /console or below it, and it is answered: a file by its name, else
 * the page, which finds its way by the path. */
bool sh_console_request(struct sh_http_request *req) SH_WARN_UNUSED;

#endif
