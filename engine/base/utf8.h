/* SPDX-License-Identifier: MIT
 * utf8.h: is it UTF-8? (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) */
#ifndef SH_BASE_UTF8_H
#define SH_BASE_UTF8_H

#include "base/buf.h"

/* True if s is valid UTF-8 without NUL. Linear; plain ASCII is checked eight bytes at a time. */
bool sh_utf8_ok(struct sh_slice s);

#endif
