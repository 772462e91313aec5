/* SPDX-License-Identifier: MIT
 * mime.h: mail addresses and messages, checked and built (RFC 5322, 2045, 2047, 6532 not needed).
 */
#ifndef SH_CORE_MIME_H
#define SH_CORE_MIME_H

#include "base/buf.h"

#include <cjson/cJSON.h>

struct sh_address {
    char name[256]; /* UTF-8 display name, "" if none */
    char addr[256]; /* local@domain */
};

/* "a@b.c", "Name <a@b.c>" or "\"Na, me\" <a@b.c>" to its parts. Refused with the reason: CR, LF,
 * NUL or another control byte anywhere; not exactly one @; empty local part or domain; a byte
 * below 0x21 or above 0x7e, or one of <>()[]\,;:" in the address; a leading '-'; over 254 bytes;
 * invalid UTF-8 in the name. Also what libcurl 7.88 does not check (SMTP injection). */
bool sh_address_parse(struct sh_slice text, struct sh_address *out,
                      struct sh_error *err) SH_WARN_UNUSED;

/* Check the doc of an email effect as the rule hands it in (effect.h):
 *   {"to":[..], "cc":[..], "bcc":[..],   each at most 100 addresses, one in all at least
 *    "reply_to":"..", "subject":"..",    subject: no CR, LF, NUL, at most 998 bytes
 *    "text":"..", "html":"..",           one of them at least
 *    "attachments":[{"name","type","text"} or {"name","type","base64"}],   at most 20, together at
 *                                        most 700 KiB; name: a file's, no folder, at most 255
 *                                        bytes; type: "application/pdf"; the bytes arrive as given
 *    "invitation":{..},                  ical.h; organizer, attendees, stamp and method default to
 *                                        the sender, to and cc, the email's date, and REQUEST
 *    "notify":"name"}                    tell rules when the delivery has ended
 * and no other member. The message names the field. Used by the rule host, so that the rule fails
 * at the author's line, and again by the carrier. */
bool sh_email_check(const cJSON *doc, struct sh_error *err) SH_WARN_UNUSED;

#define SH_EMAIL_MAX_RECIPIENTS 300 /* to, cc and bcc */

/* The whole message with CR LF line ends: Date, From, To, Cc, Reply-To, Subject (RFC 2047 where
 * not ASCII), Message-ID "<key@domain of from>", MIME-Version, and the content: a text/plain or
 * text/html, several and an invitation as multipart/alternative, that with attachments and
 * invite.ics in a multipart/mixed; quoted-printable or base64 so that no line of content is over 76
 * and no bare CR or LF is left. Those in bcc appear nowhere. date_ms: Unix milliseconds. */
bool sh_email_build(const cJSON *doc, const char *from, const char *key, int64_t date_ms,
                    struct sh_buf *out, struct sh_error *err) SH_WARN_UNUSED;

#endif
