/* SPDX-License-Identifier: MIT
 * sent.h: a request that is not on the wire: an event's body with what its source may look at
 * beside it. For try, send and the specs. */
#ifndef SH_APP_SENT_H
#define SH_APP_SENT_H

#include "app/config.h"

#define SH_SENT_HEADERS 100

struct sh_sent_header {
    char *name, *value; /* owned */
};
struct sh_sent {
    struct sh_slice body; /* borrowed */
    char *path;           /* "/hooks/pbx/acme", or NULL; owned */
    struct sh_sent_header *headers;
    size_t n_headers;
};

/* Read a .http file: perhaps a line `POST /path`, lines `Name: value`, an empty line, the body (of
 * which a last line end is cut). text is borrowed by out. */
bool sh_sent_read(struct sh_slice text, struct sh_sent *out, struct sh_error *err) SH_WARN_UNUSED;
/* False: one too many, or no header's name or value. */
bool sh_sent_add(struct sh_sent *s, struct sh_slice name, struct sh_slice value) SH_WARN_UNUSED;
void sh_sent_clear(struct sh_sent *s);
/* A header's value, or NULL: for sh_envelope_in, sent is a struct sh_sent. */
const char *sh_sent_header(const void *sent, const char *name);
/* The source whose path takes it, or NULL. */
const struct sh_source_config *sh_sent_source(const struct sh_sent *s, const struct sh_config *c);

#endif
