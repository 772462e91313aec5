/* SPDX-License-Identifier: MIT
 * base64.h: base64 and base64url, RFC 4648. */
#ifndef SH_SVC_BASE64_H
#define SH_SVC_BASE64_H

#include "base/buf.h"

enum sh_base64 {
    SH_BASE64,    /* section 4: + and /, padded */
    SH_BASE64_URL /* section 5: - and _, padding optional when read, not written */
};

/* Append the bytes that text stands for. False: text is not of that alphabet, has white space in
 * it, wrong padding or bits left over (one text, one value); out is then as it was. */
bool sh_base64_read(struct sh_buf *out, struct sh_slice text, enum sh_base64 kind) SH_WARN_UNUSED;
void sh_base64_write(struct sh_buf *out, struct sh_slice bytes, enum sh_base64 kind);

#endif
