/* SPDX-License-Identifier: MIT
 * flow.c: registers along the ways that code may take. */
#include "lua/flow.h"

#include "lua/opcodes.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LOOPS 2000 /* of one function; past it nothing is known of its registers */

static int min(int a, int b)
{
    return a < b ? a : b;
}

/* Registers from..to-1 that the instruction writes, rather too many than too few: what stands above
 * the first result of a call or of a loop is used up. */
static void writes(const struct sh_proto *p, uint32_t i, int *from, int *to)
{
    int op = sh_op(i), a = sh_op_a(i);
    *from = *to = a;
    if (op == OP_LOADNIL)
        *to = min(a + sh_op_b(i) + 1, p->max_stack);
    else if (op == OP_SELF || op == OP_CONCAT || op == OP_CALL || op == OP_TAILCALL ||
             (op >= OP_FORLOOP && op <= OP_TFORLOOP) || op == OP_VARARG)
        *to = p->max_stack;
    else if (op <= OP_GETUPVAL || (op >= OP_GETTABUP && op <= OP_GETFIELD) || op == OP_NEWTABLE ||
             (op >= OP_ADDI && op <= OP_SHR) || (op >= OP_UNM && op <= OP_LEN) ||
             op == OP_TESTSET || op == OP_CLOSURE)
        *to = min(a + 1, p->max_stack);
}

static bool is_test(int op)
{
    return op >= OP_EQ && op <= OP_TESTSET;
}

/* Where the instruction may go besides to the next one, -1 = nowhere. */
static int target(const struct sh_proto *p, int pc)
{
    uint32_t i = p->code[pc];
    int op = sh_op(i), to = -1;
    if (op == OP_JMP)
        to = pc + 1 + sh_op_sj(i);
    else if (is_test(op) || op == OP_LFALSESKIP)
        to = pc + 2;
    else if (op == OP_FORPREP)
        to = pc + 2 + sh_op_bx(i);
    else if (op == OP_TFORPREP)
        to = pc + 1 + sh_op_bx(i);
    else if (op == OP_FORLOOP || op == OP_TFORLOOP)
        to = pc + 1 - sh_op_bx(i);
    return to >= 0 && to < p->n_code ? to : -1;
}

/* Does it never go on to the next one? TFORPREP does not either, but the loop behind it begins
 * with what holds here. */
static bool leaves(int op)
{
    return op == OP_JMP || op == OP_LFALSESKIP || op == OP_TAILCALL ||
           (op >= OP_RETURN && op <= OP_RETURN1);
}

/* --- what is known beforehand ---------------------------------------------------------------- */

static void find_writes(struct sh_flow *f)
{
    for (int r = 0; r < 256; r++)
        f->last_write[r] = -1;
    for (int pc = 0; pc < f->p->n_code; pc++) {
        int from, to;
        writes(f->p, f->p->code[pc], &from, &to);
        for (; from < to; from++)
            f->last_write[from] = pc;
    }
}

static bool assigns_upvalue(const struct sh_proto *p, int index)
{
    for (int pc = 0; pc < p->n_code; pc++)
        if (sh_op(p->code[pc]) == OP_SETUPVAL && sh_op_b(p->code[pc]) == index)
            return true;
    for (int i = 0; i < p->n_inner; i++)
        for (int k = 0; k < p->inner[i].n_upvalues; k++) {
            const struct sh_upvalue *up = &p->inner[i].upvalues[k];
            if (!up->in_stack && up->index == index && assigns_upvalue(&p->inner[i], k))
                return true;
        }
    return false;
}

static void find_outside_writes(struct sh_flow *f)
{
    for (int i = 0; i < f->p->n_inner; i++) {
        const struct sh_proto *inner = &f->p->inner[i];
        for (int k = 0; k < inner->n_upvalues; k++) {
            const struct sh_upvalue *up = &inner->upvalues[k];
            if (up->in_stack && !f->outside[up->index] && assigns_upvalue(inner, k))
                f->outside[up->index] = true;
        }
    }
}

/* Each jump back makes a loop. One that reaches into another (goto can) makes it longer. */
static void find_loops(struct sh_flow *f)
{
    int heads[MAX_LOOPS], n = 0;
    for (int pc = 0; pc < f->p->n_code; pc++) {
        int to = target(f->p, pc);
        if (to < 0 || to > pc)
            continue;
        if (f->loop_end[to] < 0 && n == MAX_LOOPS) {
            memset(f->outside, true, sizeof(f->outside));
            return;
        }
        if (f->loop_end[to] < 0)
            heads[n++] = to;
        f->loop_end[to] = pc;
    }
    for (bool grew = true; grew;) {
        grew = false;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++) {
                int *end = &f->loop_end[heads[i]], other = f->loop_end[heads[k]];
                if (heads[k] >= heads[i] && heads[k] <= *end && other > *end) {
                    *end = other;
                    grew = true;
                }
            }
    }
}

void sh_flow_init(struct sh_flow *f, const struct sh_proto *p)
{
    memset(f, 0, sizeof(*f));
    f->p = p;
    f->reached = true;
    f->saved = sh_alloc((size_t)p->n_code + 1, sizeof(*f->saved));
    f->loop_end = sh_alloc((size_t)p->n_code + 1, sizeof(*f->loop_end));
    for (int pc = 0; pc < p->n_code; pc++)
        f->loop_end[pc] = -1;
    find_writes(f);
    find_outside_writes(f);
    find_loops(f);
}

void sh_flow_clear(struct sh_flow *f)
{
    for (int pc = 0; pc < f->p->n_code; pc++)
        free(f->saved[pc]);
    free(f->saved);
    free(f->loop_end);
}

/* --- along the way --------------------------------------------------------------------------- */

static void forget(struct sh_flow *f, int from, int to)
{
    for (; from < to; from++)
        f->now[from] = (struct sh_val){SH_VAL_ANY, 0};
}

static void merge(struct sh_val *into, const struct sh_val *other, int n)
{
    for (int r = 0; r < n; r++)
        if (into[r].kind != other[r].kind || into[r].n != other[r].n)
            into[r] = (struct sh_val){SH_VAL_ANY, 0};
}

void sh_flow_enter(struct sh_flow *f, int pc)
{
    int n = f->p->max_stack;
    struct sh_val *brought = f->saved[pc];
    if (brought && f->reached)
        merge(f->now, brought, n);
    else if (brought)
        memcpy(f->now, brought, (size_t)n * sizeof(*brought));
    else if (!f->reached)
        forget(f, 0, n);
    for (int i = pc; i <= f->loop_end[pc]; i++) { /* a loop begins: what it writes may be here */
        int from, to;
        writes(f->p, f->p->code[i], &from, &to);
        forget(f, from, to);
    }
}

void sh_flow_leave(struct sh_flow *f, int pc)
{
    uint32_t i = f->p->code[pc];
    int from, to, n = f->p->max_stack;
    writes(f->p, i, &from, &to);
    forget(f, from, to);
    int next = target(f->p, pc);
    if (next > pc && f->saved[next]) {
        merge(f->saved[next], f->now, n);
    } else if (next > pc) {
        f->saved[next] = sh_alloc((size_t)n + 1, sizeof(*f->saved[next]));
        memcpy(f->saved[next], f->now, (size_t)n * sizeof(*f->now));
    }
    f->reached = !leaves(sh_op(i));
}

void sh_flow_set(struct sh_flow *f, int reg, struct sh_val v)
{
    if (reg < f->p->max_stack && !f->outside[reg])
        f->now[reg] = v;
}

bool sh_flow_stays(const struct sh_flow *f, int pc, int reg)
{
    return !f->outside[reg] && f->last_write[reg] <= pc;
}
