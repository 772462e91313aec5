/* SPDX-License-Identifier: MIT
 * proto.h: a compiled file read back: every function of it, nested ones too, with its code.
 *
 * Lua has no call that shows a function which has not run. So the chunk is dumped (lua_dump) and
 * the dump, the binary format of Lua 5.4, is read here: for the check of a file before it runs, and
 * for which lines hold code. Only dumps made by this process a moment ago are read; the reader
 * trusts none of their numbers all the same.
 * Source: lundump.c and ldump.c of Lua 5.4, whose format is the same from 5.4.0 on. */
#ifndef SH_LUA_PROTO_H
#define SH_LUA_PROTO_H

#include "base/buf.h"

#include <lua.h>

enum sh_const_kind { SH_CONST_NIL, SH_CONST_BOOLEAN, SH_CONST_NUMBER, SH_CONST_TEXT };

struct sh_const {
    enum sh_const_kind kind;
    struct sh_slice text; /* of SH_CONST_TEXT; borrows from the chunk */
};

/* Where a closure finds an outer variable: in a register of the function that makes it, or among
 * that one's own upvalues. */
struct sh_upvalue {
    bool in_stack;
    uint8_t index;
    struct sh_slice name; /* borrows from the chunk */
};

struct sh_local {
    struct sh_slice name; /* borrows from the chunk */
    int start_pc, end_pc; /* in scope for start_pc <= pc < end_pc */
};

struct sh_proto {
    int line_defined, last_line; /* 0 and 0 for the file itself */
    uint8_t n_params, max_stack;
    bool is_vararg;
    uint32_t *code;
    int *lines; /* of each instruction */
    int n_code;
    struct sh_const *constants;
    int n_constants;
    struct sh_upvalue *upvalues;
    int n_upvalues;
    struct sh_local *locals; /* in the order of start_pc */
    int n_locals;
    struct sh_proto *inner; /* functions written inside this one, in the order of the text */
    int n_inner;
};

struct sh_chunk {
    struct sh_proto main;
    char *bytes; /* owned: what the slices point into */
};

/* The Lua function on top of L (its prototype and all inside it). Caller frees with
 * sh_chunk_free(). NULL and *err set: SH_EINVAL (no Lua function, or a format of Lua that is not
 * known: an error of the engine's build, not of the file). [-0, +0, -] */
struct sh_chunk *sh_chunk_of(lua_State *L, struct sh_error *err) SH_WARN_UNUSED;
/* The same from the bytes of a dump; they are copied. */
struct sh_chunk *sh_chunk_read(struct sh_slice dump, struct sh_error *err) SH_WARN_UNUSED;
void sh_chunk_free(struct sh_chunk *c); /* NULL is a no-op */

/* All lines that hold code, in the file and in every function inside, ascending, each once, for
 * line coverage. As Lua's own `activelines`, less what is nobody's statement: the start of a
 * function with `...`, and the return that Lua adds at a function's `end` (unless the line holds
 * other code as well). Caller frees; *n may be 0, the result is never NULL. */
int *sh_proto_lines(const struct sh_proto *p, size_t *n) SH_WARN_UNUSED;

#endif
