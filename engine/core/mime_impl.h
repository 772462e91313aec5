/* SPDX-License-Identifier: MIT
 * mime_impl.h: between the files of mime.h. Not for others. */
#ifndef SH_CORE_MIME_IMPL_H
#define SH_CORE_MIME_IMPL_H

#include "core/mime.h"

/* The start of a text for a message: one line, printable, cut between characters. */
struct sh_mime_quoted {
    char text[88];
};
const char *sh_mime_quote(struct sh_mime_quoted *q, struct sh_slice s);

/* A member that is there: JSON null counts as absent. */
const cJSON *sh_mime_member(const cJSON *doc, const char *name);

/* Bytes that base64 text (RFC 4648 with its padding; line breaks between the letters are skipped)
 * stands for, appended to out unless NULL. False: it is not base64; *at is the offset of the fault.
 * *n is their number. */
bool sh_mime_unbase64(struct sh_slice text, struct sh_buf *out, size_t *n, size_t *at);

/* Base64 in lines of 76 columns, each ended by CR LF. */
void sh_mime_base64(struct sh_slice bytes, struct sh_buf *out);
/* At most three bytes to four columns. */
void sh_mime_base64_group(const uint8_t *p, size_t n, char out[4]);
/* Headers Content-Type and Content-Transfer-Encoding, empty line, content. type may have
 * parameters behind it ("text/calendar; method=REQUEST"); the charset is added. */
void sh_mime_text_part(struct sh_buf *out, const char *type, const char *content);
/* The same of a file. charset: the type is a text. */
void sh_mime_file_part(struct sh_buf *out, const char *type, const char *name, bool charset,
                       struct sh_slice bytes);

#endif
