/* SPDX-License-Identifier: MIT
 * flow.h: what is certainly in a register when an instruction runs: for the check of code that has
 * not run. Where two ways meet and differ, and in a loop that writes the register, nothing is. */
#ifndef SH_LUA_FLOW_H
#define SH_LUA_FLOW_H

#include "lua/proto.h"

enum sh_val_kind {
    SH_VAL_ANY,   /* not known */
    SH_VAL_ENV,   /* the globals of the file */
    SH_VAL_TEXT,  /* the constant n */
    SH_VAL_API,   /* a name of the rule API: its number with the caller */
    SH_VAL_TABLE, /* made by the instruction n */
};

struct sh_val {
    enum sh_val_kind kind;
    int n;
};

struct sh_flow {
    const struct sh_proto *p;
    struct sh_val now[256]; /* at the instruction that is looked at */
    bool reached;           /* from the instruction before */
    /* by register */
    int last_write[256]; /* the last instruction that writes it, -1 = none */
    bool outside[256];   /* a function inside assigns it: never known */
    /* by instruction */
    struct sh_val **saved; /* what forward jumps to it bring, merged; NULL = none */
    int *loop_end;         /* the last instruction of the loop that begins here, -1 = none */
};

/* Begin at the first instruction of p, which is borrowed. Clear in each case. */
void sh_flow_init(struct sh_flow *f, const struct sh_proto *p);
void sh_flow_clear(struct sh_flow *f);
/* Arrive at pc (from 0 on, one after the other): now[] is what holds before it runs. */
void sh_flow_enter(struct sh_flow *f, int pc);
/* Leave it: forget what the instruction writes, hand the rest to where it may go. */
void sh_flow_leave(struct sh_flow *f, int pc);
/* After leaving pc: it wrote this. */
void sh_flow_set(struct sh_flow *f, int reg, struct sh_val v);
/* Will the register keep its value from pc on? For functions made at pc that use it. */
bool sh_flow_stays(const struct sh_flow *f, int pc, int reg);

#endif
