/* SPDX-License-Identifier: MIT
 * fuzz_event_body.c: any bytes are a form or a token that gives one JSON value of the strict kind,
 * the same one each time, or a fault in clean words at a byte of theirs. */
#include "base/utf8.h"
#include "core/event_body.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fault(const struct sh_json_fault *f)
{
    sh_require(f->msg[0] && memchr(f->msg, '\0', sizeof(f->msg)));
    sh_require(sh_utf8_ok(sh_slice_str(f->msg)) && f->line >= 1 && f->col >= 1);
}

static void read_one(enum sh_body_format format, struct sh_slice body)
{
    struct sh_json_fault fault;
    struct sh_buf made, again;
    struct sh_slice json, other;
    memset(&fault, 'x', sizeof(fault));
    bool ok = sh_event_check(format, body, &made, &json, &fault);
    sh_require(sh_event_check(format, body, &again, &other, NULL) == ok);
    if (ok) {
        sh_require(sh_slice_eq(json, other));
        sh_require(sh_json_check(json.p, json.n, &fault));
        sh_require(format != SH_BODY_FORM || *json.p == '{');
    } else {
        check_fault(&fault);
        sh_require(fault.byte <= body.n);
    }
    sh_buf_free(&made);
    sh_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_slice body = sh_slice(size ? (const void *)data : "", size);
    read_one(SH_BODY_FORM, body);
    read_one(SH_BODY_JWT, body);
    return 0;
}
