/* SPDX-License-Identifier: MIT
 * media_type.h: which Content-Type and Content-Encoding an event may come with. */
#ifndef SH_APP_MEDIA_TYPE_H
#define SH_APP_MEDIA_TYPE_H

#include "core/event.h"

/* Accepted: none at all (lax senders), and
 * JSON  application/json, any type that ends in +json (RFC 6839), text/plain (what a browser page
 *       can send without a preflight)
 * FORM  application/x-www-form-urlencoded
 * JWT   application/jwt (RFC 7519), application/jose, application/json, text/plain
 * charset UTF-8 or unsaid; encoding identity or unsaid. Values as sent, NULL for no header.
 * False: *wrong is a constant text for the sender. */
bool sh_media_accepted(enum sh_body_format format, const char *type, const char *encoding,
                       const char **wrong) SH_WARN_UNUSED;

#endif
