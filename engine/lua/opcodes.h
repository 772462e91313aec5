/* SPDX-License-Identifier: MIT
 * opcodes.h: the instructions of Lua 5.4, as lint.c reads them. Source: lopcodes.h of Lua 5.4; the
 * numbers are the same from 5.4.0 on. tests/unit/test_lint.c runs over code of every kind. */
#ifndef SH_LUA_OPCODES_H
#define SH_LUA_OPCODES_H

#include <stdint.h>

enum sh_opcode {
    OP_MOVE,
    OP_LOADI,
    OP_LOADF,
    OP_LOADK,
    OP_LOADKX,
    OP_LOADFALSE,
    OP_LFALSESKIP,
    OP_LOADTRUE,
    OP_LOADNIL,
    OP_GETUPVAL,
    OP_SETUPVAL,
    OP_GETTABUP,
    OP_GETTABLE,
    OP_GETI,
    OP_GETFIELD,
    OP_SETTABUP,
    OP_SETTABLE,
    OP_SETI,
    OP_SETFIELD,
    OP_NEWTABLE,
    OP_SELF,
    OP_ADDI, /* the first of the operators that write R[A] */
    OP_SHR = 45,
    OP_MMBIN,
    OP_MMBINI,
    OP_MMBINK,
    OP_UNM,
    OP_BNOT,
    OP_NOT,
    OP_LEN,
    OP_CONCAT,
    OP_CLOSE,
    OP_TBC,
    OP_JMP,
    OP_EQ, /* the first of the tests: they step over the jump behind them, or not */
    OP_LT,
    OP_LE,
    OP_EQK,
    OP_EQI,
    OP_LTI,
    OP_LEI,
    OP_GTI,
    OP_GEI,
    OP_TEST,
    OP_TESTSET, /* the last of the tests */
    OP_CALL,
    OP_TAILCALL,
    OP_RETURN,
    OP_RETURN0,
    OP_RETURN1,
    OP_FORLOOP,
    OP_FORPREP,
    OP_TFORPREP,
    OP_TFORCALL,
    OP_TFORLOOP,
    OP_SETLIST,
    OP_CLOSURE,
    OP_VARARG,
    OP_VARARGPREP,
    OP_EXTRAARG
};

static inline int sh_op(uint32_t i)
{
    return (int)(i & 0x7f);
}
static inline int sh_op_a(uint32_t i)
{
    return (int)(i >> 7 & 0xff);
}
static inline int sh_op_k(uint32_t i)
{
    return (int)(i >> 15 & 1);
}
static inline int sh_op_b(uint32_t i)
{
    return (int)(i >> 16 & 0xff);
}
static inline int sh_op_c(uint32_t i)
{
    return (int)(i >> 24);
}
static inline int sh_op_bx(uint32_t i)
{
    return (int)(i >> 15);
}
static inline int sh_op_ax(uint32_t i)
{
    return (int)(i >> 7);
}
static inline int sh_op_sj(uint32_t i) /* distance of a jump, either way */
{
    return (int)(i >> 7) - 0xffffff;
}

#endif
