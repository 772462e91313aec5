/* SPDX-License-Identifier: MIT
 * l_http.h: what http.post and http.get share: the document of a call (core/http_call.h). */
#ifndef SH_LUA_L_HTTP_H
#define SH_LUA_L_HTTP_H

#include "lua/internal.h"

struct sh_call { /* being written */
    lua_State *L;
    struct sh_host *h;
    struct sh_buf *doc;
    const char *what; /* "http.post", for messages */
    int table;        /* stack index of the resolved arguments */
    bool typed;       /* a Content-Type was given */
    char joint;       /* what goes before the next field of query or form */
};

/* The members that all methods have, from c->table. Raises at the author's line. */
void sh_call_start(struct sh_call *c, const char *method);
int sh_lua_http_get(lua_State *L); /* http.get */

#endif
