/* SPDX-License-Identifier: MIT
 * lint.c: names in a file's code, checked before it runs, also in functions that may never run in
 * a test: unknown globals, unknown members of the rule API's tables, unknown fields of the tables
 * its functions take, globals that a function assigns.
 *
 * Only what is certain is an error: a variable that may have been given another value, on whatever
 * way, is left to the run. */
#include "lua/flow.h"
#include "lua/internal.h"
#include "lua/opcodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NOTES 200 /* of a file: the rest adds nothing */

struct note {
    int line, order;
    bool is_error;
    struct sh_slice global; /* an unknown global: only told if the file never assigns it */
    char *msg;              /* owned */
};

struct item {               /* a field of a table that the code makes */
    int table, index, line; /* index: of a list item, 0 = it has a name */
    struct sh_slice name;
    struct sh_val value;
};

struct lint {
    struct sh_host *h;
    lua_State *L;
    const struct sh_file *file;
    struct note *notes;
    size_t n_notes, cap_notes;
    struct sh_slice *assigned; /* globals the file assigns */
    size_t n_assigned, cap_assigned;
    char **names; /* of the API, met so far: "records", "records.get"; owned */
    size_t n_names, cap_names;
    bool dynamic;      /* the file hands on its globals, or names them by computed texts */
    struct frame *top; /* the innermost function that is looked at */
    const struct sh_chunk *chunk;
};

struct frame { /* of the function that is looked at; owned by lint, so that errors lose nothing */
    struct lint *x;
    struct frame *outer;
    const struct sh_proto *p;
    const struct sh_val *upvalues;
    bool is_file;
    struct sh_flow flow;
    struct item *items;
    size_t n_items, cap_items;
};

static void *grow(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap ? 2 * *cap : 16;
    return sh_realloc(list, *cap * size);
}

/* --- what is found --------------------------------------------------------------------------- */

static struct note *add_note(struct lint *x, int line, bool is_error, const char *msg)
{
    for (size_t i = 0; i < x->n_notes; i++)
        if (x->notes[i].line == line && strcmp(x->notes[i].msg, msg) == 0)
            return NULL;
    if (x->n_notes == MAX_NOTES)
        return NULL;
    x->notes = grow(x->notes, x->n_notes, &x->cap_notes, sizeof(*x->notes));
    struct note *n = &x->notes[x->n_notes];
    *n = (struct note){.line = line, .order = (int)x->n_notes++, .is_error = is_error};
    n->msg = sh_strdup(msg);
    return n;
}

static int compare_notes(const void *a, const void *b)
{
    const struct note *m = a, *n = b;
    return m->line != n->line ? (m->line > n->line) - (m->line < n->line)
                              : (m->order > n->order) - (m->order < n->order);
}

static bool is_assigned(const struct lint *x, struct sh_slice name)
{
    for (size_t i = 0; i < x->n_assigned; i++)
        if (sh_slice_eq(x->assigned[i], name))
            return true;
    return false;
}

static void report(struct lint *x)
{
    if (x->n_notes)
        qsort(x->notes, x->n_notes, sizeof(*x->notes), compare_notes);
    for (size_t i = 0; i < x->n_notes; i++) {
        const struct note *n = &x->notes[i];
        if (n->global.p && (x->dynamic || is_assigned(x, n->global)))
            continue;
        sh_load_note(n->is_error ? x->h->load->errors : x->h->load->warnings, x->file->name,
                     n->line, n->msg);
    }
}

static void leave_frame(struct lint *x)
{
    struct frame *f = x->top;
    x->top = f->outer;
    sh_flow_clear(&f->flow);
    free(f->items);
    free(f);
}

static void clear(struct lint *x)
{
    while (x->top)
        leave_frame(x);
    for (size_t i = 0; i < x->n_notes; i++)
        free(x->notes[i].msg);
    for (size_t i = 0; i < x->n_names; i++)
        free(x->names[i]);
    free(x->notes);
    free(x->names);
    free(x->assigned);
}

/* --- the rule API as it is ------------------------------------------------------------------- */

static struct sh_val api_value(struct lint *x, const char *name)
{
    size_t i = 0;
    while (i < x->n_names && strcmp(x->names[i], name) != 0)
        i++;
    if (i == x->n_names) {
        x->names = grow(x->names, x->n_names, &x->cap_names, sizeof(*x->names));
        x->names[x->n_names++] = sh_strdup(name);
    }
    return (struct sh_val){SH_VAL_API, (int)i};
}

static int push_member(lua_State *L) /* table name -> value, or the error a run would meet */
{
    lua_gettable(L, 1);
    return 1;
}

/* [.. table] -> [.. value], or the error's text and false. */
static bool get_member(lua_State *L, struct sh_slice name)
{
    lua_pushcfunction(L, push_member);
    lua_insert(L, -2);
    lua_pushlstring(L, name.p ? name.p : "", name.n);
    int status = lua_pcall(L, 2, 1, 0);
    if (status != LUA_OK && status != LUA_ERRRUN)
        lua_error(L); /* out of memory: nothing about the name */
    return status == LUA_OK;
}

static bool is_api(struct lint *x, struct sh_slice name)
{
    lua_rawgeti(x->L, LUA_REGISTRYINDEX, x->h->globals);
    lua_pushlstring(x->L, name.p ? name.p : "", name.n);
    bool yes = lua_rawget(x->L, -2) != LUA_TNIL;
    lua_pop(x->L, 2);
    return yes;
}

static struct sh_val read_global(struct frame *f, int pc, struct sh_slice name)
{
    struct lint *x = f->x;
    struct sh_val v = {SH_VAL_ANY, 0};
    lua_rawgeti(x->L, LUA_REGISTRYINDEX, x->h->globals);
    if (!get_member(x->L, name)) {
        struct note *n = add_note(x, f->p->lines[pc], true, lua_tostring(x->L, -1));
        if (n)
            n->global = name;
    } else if (name.n < SH_LUA_NAME) {
        char text[SH_LUA_NAME];
        snprintf(text, sizeof(text), "%.*s", (int)name.n, name.p);
        v = api_value(x, text);
    }
    lua_pop(x->L, 1);
    return v;
}

static struct sh_val read_member(struct frame *f, int pc, struct sh_val of, struct sh_slice name)
{
    struct lint *x = f->x;
    struct sh_val v = {SH_VAL_ANY, 0};
    const char *lib = of.kind == SH_VAL_API ? x->names[of.n] : NULL;
    if (!lib || strchr(lib, '.') || name.n >= SH_LUA_NAME)
        return v;
    lua_rawgeti(x->L, LUA_REGISTRYINDEX, x->h->globals);
    lua_getfield(x->L, -1, lib);
    if (lua_istable(x->L, -1)) {
        char text[2 * SH_LUA_NAME];
        snprintf(text, sizeof(text), "%s.%.*s", lib, (int)name.n, name.p);
        if (get_member(x->L, name))
            v = api_value(x, text);
        else
            add_note(x, f->p->lines[pc], true, lua_tostring(x->L, -1));
    }
    lua_pop(x->L, 2);
    return v;
}

/* --- assignments ----------------------------------------------------------------------------- */

static void write_global(struct frame *f, int pc, struct sh_slice name)
{
    struct lint *x = f->x;
    char msg[600];
    x->assigned = grow(x->assigned, x->n_assigned, &x->cap_assigned, sizeof(*x->assigned));
    x->assigned[x->n_assigned++] = name;
    int n = name.n < SH_LUA_NAME ? (int)name.n : SH_LUA_NAME;
    if (is_api(x, name)) {
        snprintf(msg, sizeof(msg), "'%.*s' is part of the rule API: choose another name", n,
                 name.p);
        add_note(x, f->p->lines[pc], true, msg);
    } else if (!f->is_file) {
        snprintf(msg, sizeof(msg),
                 "the global '%.*s' is assigned in a function: a run cannot do that, it keeps "
                 "nothing to itself (make it local; to remember something, records are for that)",
                 n, name.p);
        add_note(x, f->p->lines[pc], false, msg);
    }
}

/* --- tables given to functions --------------------------------------------------------------- */

static void add_item(struct frame *f, int pc, struct sh_val table, struct item item)
{
    if (table.kind != SH_VAL_TABLE)
        return;
    f->items = grow(f->items, f->n_items, &f->cap_items, sizeof(*f->items));
    item.table = table.n;
    item.line = f->p->lines[pc];
    f->items[f->n_items++] = item;
}

static const struct sh_fields *inner_of(const struct sh_fields *fields, const char *name,
                                        bool *is_list)
{
    for (const struct sh_field_inner *in = fields->inner; in && in->name; in++) {
        if (strcmp(in->name, name) != 0)
            continue;
        *is_list = in->is_list;
        return in->fields;
    }
    return NULL;
}

static void check_fields(struct frame *f, int table, const char *what,
                         const struct sh_fields *fields);

/* A list of tables: each is checked, named "email: attachments[2]". */
static void check_list(struct frame *f, int table, const char *what, const struct sh_fields *fields)
{
    for (size_t i = 0; i < f->n_items; i++) {
        char inner[100];
        if (f->items[i].table != table || f->items[i].index == 0 ||
            f->items[i].value.kind != SH_VAL_TABLE)
            continue;
        snprintf(inner, sizeof(inner), "%.80s[%d]", what, f->items[i].index);
        check_fields(f, f->items[i].value.n, inner, fields);
    }
}

static void check_fields(struct frame *f, int table, const char *what,
                         const struct sh_fields *fields)
{
    for (size_t i = 0; i < f->n_items; i++) {
        const struct item it = f->items[i];
        char msg[400], name[SH_LUA_NAME];
        bool is_list;
        if (it.table != table || it.index != 0 || it.name.n >= sizeof(name))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)it.name.n, it.name.p ? it.name.p : "");
        if (!sh_fields_has(fields, name)) {
            sh_arg_unknown(msg, sizeof(msg), what, name, fields);
            add_note(f->x, it.line, true, msg);
            continue;
        }
        const struct sh_fields *inner = inner_of(fields, name, &is_list);
        if (!inner || it.value.kind != SH_VAL_TABLE)
            continue;
        snprintf(msg, sizeof(msg), "%.80s: %.80s", what, name);
        if (is_list)
            check_list(f, it.value.n, msg, inner);
        else
            check_fields(f, it.value.n, msg, inner);
    }
}

/* The table that is made in this very register: no other code can have changed it. */
static struct sh_val written_here(const struct frame *f, int reg)
{
    struct sh_val v = f->flow.now[reg];
    if (v.kind == SH_VAL_TABLE && sh_op_a(f->p->code[v.n]) == reg)
        return v;
    return (struct sh_val){SH_VAL_ANY, 0};
}

static void check_call(struct frame *f, int a, int n_args)
{
    const struct sh_val *r = f->flow.now;
    if (r[a].kind != SH_VAL_API)
        return;
    const char *function = f->x->names[r[a].n];
    for (int i = 1; i <= n_args && i <= 4 && a + i < f->p->max_stack; i++) {
        const struct sh_fields *fields = sh_fields_of(function, i);
        struct sh_val v = written_here(f, a + i);
        if (fields && v.kind == SH_VAL_TABLE)
            check_fields(f, v.n, function, fields);
    }
}

/* --- instructions ---------------------------------------------------------------------------- */

static void walk(struct lint *x, const struct sh_proto *p, const struct sh_val *upvalues,
                 bool is_file);

/* The text of a constant; false: it is none. */
static bool text_of(const struct frame *f, int k, struct sh_slice *out)
{
    if (k >= f->p->n_constants || f->p->constants[k].kind != SH_CONST_TEXT)
        return false;
    *out = f->p->constants[k].text;
    return true;
}

static bool text_in(const struct frame *f, int reg, struct sh_slice *out)
{
    const struct sh_val *v = &f->flow.now[reg];
    return v->kind == SH_VAL_TEXT && text_of(f, v->n, out);
}

static bool is_nil(const struct frame *f, uint32_t i)
{
    return sh_op_k(i) && sh_op_c(i) < f->p->n_constants &&
           f->p->constants[sh_op_c(i)].kind == SH_CONST_NIL;
}

static struct sh_val upvalue(const struct frame *f, int i)
{
    return i < f->p->n_upvalues ? f->upvalues[i] : (struct sh_val){SH_VAL_ANY, 0};
}

static struct sh_val read_field(struct frame *f, int pc, struct sh_val of, struct sh_slice name)
{
    return of.kind == SH_VAL_ENV ? read_global(f, pc, name) : read_member(f, pc, of, name);
}

static void write_field(struct frame *f, int pc, struct sh_val of, struct sh_slice name)
{
    uint32_t i = f->p->code[pc];
    struct sh_val value = {SH_VAL_ANY, 0};
    if (!sh_op_k(i) && sh_op_c(i) > sh_op_a(i)) /* else it is a variable of its own */
        value = written_here(f, sh_op_c(i));
    if (of.kind == SH_VAL_ENV)
        write_global(f, pc, name);
    else if (!is_nil(f, i)) /* { x = nil } has no x */
        add_item(f, pc, of, (struct item){.name = name, .value = value});
}

/* A value goes where it is not followed. */
static void hand_on(struct lint *x, struct sh_val v)
{
    if (v.kind == SH_VAL_ENV)
        x->dynamic = true;
}

static void hand_on_all(struct frame *f, int from, int to)
{
    for (; from < to && from < f->p->max_stack; from++)
        hand_on(f->x, f->flow.now[from]);
}

static void make_function(struct frame *f, int pc)
{
    struct sh_val up[256] = {0};
    int which = sh_op_bx(f->p->code[pc]);
    if (which >= f->p->n_inner)
        return;
    const struct sh_proto *inner = &f->p->inner[which];
    for (int i = 0; i < inner->n_upvalues && i < 256; i++) {
        const struct sh_upvalue *u = &inner->upvalues[i];
        if (!u->in_stack)
            up[i] = upvalue(f, u->index);
        else if (sh_flow_stays(&f->flow, pc, u->index))
            up[i] = f->flow.now[u->index];
        if (up[i].kind == SH_VAL_TABLE || up[i].kind == SH_VAL_TEXT)
            up[i].kind = SH_VAL_ANY; /* numbers of this function */
    }
    walk(f->x, inner, up, false);
}

/* Instructions that give a register a value that is known. */
static struct sh_val result(struct frame *f, int pc)
{
    uint32_t i = f->p->code[pc];
    const struct sh_val none = {SH_VAL_ANY, 0}, *now = f->flow.now;
    struct sh_slice name;
    switch (sh_op(i)) {
    case OP_MOVE:
        hand_on(f->x, now[sh_op_b(i)]);
        return now[sh_op_b(i)];
    case OP_LOADK:
        return (struct sh_val){SH_VAL_TEXT, sh_op_bx(i)};
    case OP_LOADKX:
        if (pc + 1 < f->p->n_code)
            return (struct sh_val){SH_VAL_TEXT, sh_op_ax(f->p->code[pc + 1])};
        return none;
    case OP_GETUPVAL:
        return upvalue(f, sh_op_b(i));
    case OP_GETTABUP:
        if (text_of(f, sh_op_c(i), &name))
            return read_field(f, pc, upvalue(f, sh_op_b(i)), name);
        return none;
    case OP_GETFIELD:
        if (text_of(f, sh_op_c(i), &name))
            return read_field(f, pc, now[sh_op_b(i)], name);
        return none;
    case OP_GETTABLE:
        if (text_in(f, sh_op_c(i), &name))
            return read_field(f, pc, now[sh_op_b(i)], name);
        return none;
    case OP_NEWTABLE:
        return (struct sh_val){SH_VAL_TABLE, pc};
    default:
        return none;
    }
}

static void set_list(struct frame *f, int pc)
{
    uint32_t i = f->p->code[pc];
    int a = sh_op_a(i), n = sh_op_b(i), first = sh_op_c(i);
    if (sh_op_k(i) && pc + 1 < f->p->n_code)
        first += sh_op_ax(f->p->code[pc + 1]) * 256;
    for (int k = 1; k <= n && a + k < f->p->max_stack; k++)
        add_item(f, pc, f->flow.now[a],
                 (struct item){.index = first + k, .value = written_here(f, a + k)});
    hand_on_all(f, a + 1, n ? a + 1 + n : 256);
}

static void set_in_table(struct frame *f, int pc)
{
    uint32_t i = f->p->code[pc];
    struct sh_val table = f->flow.now[sh_op_a(i)];
    struct sh_slice name;
    bool known =
        sh_op(i) == OP_SETFIELD ? text_of(f, sh_op_b(i), &name) : text_in(f, sh_op_b(i), &name);
    if (!sh_op_k(i))
        hand_on(f->x, f->flow.now[sh_op_c(i)]);
    if (known)
        write_field(f, pc, table, name);
    else if (sh_op(i) == OP_SETTABLE)
        hand_on(f->x, table); /* a global whose name is computed */
}

/* Everything else that an instruction does. */
static void look(struct frame *f, int pc)
{
    uint32_t i = f->p->code[pc];
    int a = sh_op_a(i), b = sh_op_b(i);
    struct sh_slice name;
    switch (sh_op(i)) {
    case OP_SETUPVAL:
        hand_on(f->x, f->flow.now[a]);
        hand_on(f->x, upvalue(f, b)); /* _ENV = ... */
        break;
    case OP_SETTABUP:
        if (!sh_op_k(i))
            hand_on(f->x, f->flow.now[sh_op_c(i)]);
        if (text_of(f, b, &name))
            write_field(f, pc, upvalue(f, a), name);
        break;
    case OP_SETI:
        if (!sh_op_k(i))
            hand_on(f->x, f->flow.now[sh_op_c(i)]);
        break;
    case OP_TFORPREP:
        hand_on_all(f, a, a + 4);
        break;
    case OP_SETTABLE:
    case OP_SETFIELD:
        set_in_table(f, pc);
        break;
    case OP_SETLIST:
        set_list(f, pc);
        break;
    case OP_SELF:
        if (sh_op_k(i) ? text_of(f, sh_op_c(i), &name) : text_in(f, sh_op_c(i), &name))
            (void)read_member(f, pc, f->flow.now[b], name);
        hand_on(f->x, f->flow.now[b]);
        break;
    case OP_CALL:
    case OP_TAILCALL:
        check_call(f, a, b ? b - 1 : 255);
        hand_on_all(f, a, b ? a + b : 256);
        break;
    case OP_RETURN:
        hand_on_all(f, a, b ? a + b - 1 : 256);
        break;
    case OP_RETURN1:
        hand_on(f->x, f->flow.now[a]);
        break;
    case OP_CLOSURE:
        make_function(f, pc);
        break;
    default:
        break;
    }
}

static void walk(struct lint *x, const struct sh_proto *p, const struct sh_val *upvalues,
                 bool is_file)
{
    struct frame *f = sh_alloc(1, sizeof(*f));
    *f = (struct frame){.x = x, .outer = x->top, .p = p, .upvalues = upvalues, .is_file = is_file};
    sh_flow_init(&f->flow, p);
    x->top = f;
    for (int pc = 0; pc < p->n_code; pc++) {
        sh_flow_enter(&f->flow, pc);
        struct sh_val v = result(f, pc);
        look(f, pc);
        sh_flow_leave(&f->flow, pc);
        if (v.kind != SH_VAL_ANY)
            sh_flow_set(&f->flow, sh_op_a(p->code[pc]), v);
    }
    leave_frame(x);
}

static int walk_file(lua_State *L)
{
    struct lint *x = lua_touserdata(L, 1);
    const struct sh_val env = {SH_VAL_ENV, 0};
    luaL_checkstack(L, 20, NULL);
    x->L = L;
    if (x->chunk->main.n_upvalues == 1)
        walk(x, &x->chunk->main, &env, true);
    return 0;
}

/* On a stack of its own, so that errors do not name the line that requires this file. */
static int walk_apart(lua_State *L)
{
    lua_State *apart = lua_newthread(L);
    lua_pushcfunction(apart, walk_file);
    lua_pushvalue(L, 1);
    lua_xmove(L, apart, 1);
    if (lua_pcall(apart, 1, 0, 0) == LUA_OK)
        return 0;
    lua_xmove(apart, L, 1);
    return lua_error(L);
}

void sh_lua_lint(struct sh_host *h, lua_State *L, const struct sh_file *file)
{
    struct sh_error err;
    struct sh_chunk *c = sh_chunk_of(L, &err);
    if (!c) {
        sh_load_note(h->load->errors, file->name, 0, err.msg);
        return;
    }
    struct lint x = {.h = h, .file = file, .chunk = c};
    lua_pushcfunction(L, walk_apart);
    lua_pushlightuserdata(L, &x);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK)
        report(&x);
    clear(&x);
    sh_chunk_free(c);
    if (status != LUA_OK)
        lua_error(L);
}
