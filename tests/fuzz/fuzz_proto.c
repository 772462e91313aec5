/* SPDX-License-Identifier: MIT
 * fuzz_proto.c: any bytes as a compiled Lua file: refused or read, and what is read is whole. */
#include "lua/proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sh_proto *p)
{
    sh_require(p->n_code > 0);
    for (int i = 0; i < p->n_code; i++)
        sh_require(p->lines[i] >= 0);
    for (int i = 0; i < p->n_constants; i++)
        for (size_t k = 0; k < p->constants[i].text.n; k++)
            (void)*(volatile const char *)&p->constants[i].text.p[k];
    for (int i = 0; i < p->n_inner; i++) {
        for (int k = 0; k < p->inner[i].n_upvalues; k++) {
            const struct sh_upvalue *up = &p->inner[i].upvalues[k];
            sh_require(up->index < (up->in_stack ? p->max_stack : p->n_upvalues));
        }
        check(&p->inner[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_error err = {0};
    struct sh_chunk *c = sh_chunk_read(sh_slice(data, size), &err);
    if (c) {
        size_t n;
        int *lines = sh_proto_lines(&c->main, &n);
        for (size_t i = 1; i < n; i++)
            sh_require(lines[i - 1] < lines[i]);
        free(lines);
        check(&c->main);
    } else {
        sh_require(err.msg[0]);
    }
    sh_chunk_free(c);
    return 0;
}
