/* SPDX-License-Identifier: MIT
 * event_body.h: the JSON of an event, whatever its raw bytes are. Everything that looks into a body
 * goes through here; what is stored and hashed by auth are the bytes as they came. */
#ifndef SH_CORE_EVENT_BODY_H
#define SH_CORE_EVENT_BODY_H

#include "core/event.h"
#include "svc/json.h"

/* "JSON", "a form", "a JSON Web Token": for messages. */
const char *sh_body_format_name(enum sh_body_format format);

/* The event's JSON in *json: body itself (JSON, taken as it is), or made in made.
 * FORM (application/x-www-form-urlencoded, URL Standard section 5): an object of texts in the order
 * of their first appearance; a name that comes again makes an array of its texts. + is a blank, %XX
 * a byte; empty pieces between two & are passed over. Refused: a bad escape, a NUL, a control byte
 * that is not escaped, text that is not UTF-8, more than SH_MAX_FORM_FIELDS fields. Line ends
 * behind the last field are passed over.
 * JWT (RFC 7519 in the compact form of RFC 7515): the payload, checked as sh_json_check() does;
 * nothing is verified here.
 * made: any, set here, to be freed with sh_buf_free() in each case; *json borrows from it or body.
 * False fills *fault (NULL: nobody asks), byte counts from the start of body, for a fault in the
 * JSON of a token from the start of that. */
bool sh_event_json(enum sh_body_format format, struct sh_slice body, struct sh_buf *made,
                   struct sh_slice *json, struct sh_json_fault *fault) SH_WARN_UNUSED;

/* The same for a body that comes from outside: JSON is checked too. */
bool sh_event_check(enum sh_body_format format, struct sh_slice body, struct sh_buf *made,
                    struct sh_slice *json, struct sh_json_fault *fault) SH_WARN_UNUSED;

#endif
