/* SPDX-License-Identifier: MIT
 * proto.c: reading the dump of a Lua 5.4 function. */
#include "lua/proto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 0x54
#define MAX_DUMP_BYTES (256U * 1024 * 1024)
#define MAX_NESTING    250    /* Lua itself stops at 200 nested functions */
#define ABSOLUTE_LINE  (-128) /* in the line differences: the line stands in the list of its own */
#define OP_MASK        0x7f
#define OP_VARARGPREP  81

struct input {
    const char *p, *end;
    struct sh_error *err;
    bool bad;
};

static bool broken(struct input *in, const char *what)
{
    if (!in->bad)
        sh_error_set(in->err, SH_EINVAL,
                     "internal error: a compiled Lua file cannot be read (%s): this build knows "
                     "the format of Lua 5.4, and runs on %s",
                     what, LUA_RELEASE);
    in->bad = true;
    return false;
}

/* n bytes of the input, or NULL. */
static const char *take(struct input *in, size_t n)
{
    if (in->bad || (size_t)(in->end - in->p) < n) {
        broken(in, "it ends too early");
        return NULL;
    }
    const char *p = in->p;
    in->p += n;
    return p;
}

static uint8_t get_byte(struct input *in)
{
    const char *p = take(in, 1);
    return p ? (uint8_t)*p : 0;
}

/* Seven bits a byte, the highest first; the last one has the top bit. */
static size_t get_size(struct input *in)
{
    size_t n = 0;
    for (int i = 0; i < 10 && !in->bad; i++) {
        uint8_t b = get_byte(in);
        if (n > SIZE_MAX >> 7)
            break;
        n = (n << 7) | (b & 0x7f);
        if (b & 0x80)
            return n;
    }
    broken(in, "a number has too many digits");
    return 0;
}

static int get_int(struct input *in)
{
    size_t n = get_size(in);
    if (n > INT_MAX)
        broken(in, "a number is too large");
    return in->bad ? 0 : (int)n;
}

/* How many items follow, each of at least item_bytes in the dump, so that no more is allocated
 * than the dump can fill. */
static int get_count(struct input *in, size_t item_bytes)
{
    int n = get_int(in);
    if (!in->bad && (size_t)n > (size_t)(in->end - in->p) / item_bytes)
        broken(in, "a list is longer than the whole");
    return in->bad ? 0 : n;
}

static struct sh_slice get_text(struct input *in)
{
    size_t n = get_size(in);
    const char *p = n ? take(in, n - 1) : NULL;
    return p ? sh_slice(p, n - 1) : (struct sh_slice){0};
}

static void get_code(struct input *in, struct sh_proto *p)
{
    p->n_code = get_count(in, sizeof(*p->code));
    p->code = sh_alloc((size_t)p->n_code + 1, sizeof(*p->code));
    const char *bytes = take(in, (size_t)p->n_code * sizeof(*p->code));
    if (bytes)
        memcpy(p->code, bytes, (size_t)p->n_code * sizeof(*p->code));
    if (p->n_code == 0)
        broken(in, "a function without code");
}

static void get_constants(struct input *in, struct sh_proto *p)
{
    p->n_constants = get_count(in, 1);
    p->constants = sh_alloc((size_t)p->n_constants + 1, sizeof(*p->constants));
    for (int i = 0; i < p->n_constants && !in->bad; i++) {
        struct sh_const *k = &p->constants[i];
        switch (get_byte(in) & 0x0f) { /* the upper bits say which variant of the type */
        case LUA_TNIL:
            k->kind = SH_CONST_NIL;
            break;
        case LUA_TBOOLEAN:
            k->kind = SH_CONST_BOOLEAN;
            break;
        case LUA_TNUMBER:
            k->kind = SH_CONST_NUMBER;
            (void)take(in, sizeof(lua_Number));
            break;
        case LUA_TSTRING:
            k->kind = SH_CONST_TEXT;
            k->text = get_text(in);
            break;
        default:
            broken(in, "a constant of unknown type");
        }
    }
}

static void get_upvalues(struct input *in, struct sh_proto *p)
{
    p->n_upvalues = get_count(in, 3);
    p->upvalues = sh_alloc((size_t)p->n_upvalues + 1, sizeof(*p->upvalues));
    for (int i = 0; i < p->n_upvalues && !in->bad; i++) {
        p->upvalues[i].in_stack = get_byte(in) != 0;
        p->upvalues[i].index = get_byte(in);
        (void)get_byte(in); /* kind: constant, to be closed, ... */
    }
}

/* Differences from line to line; what does not fit a byte is in a list of its own. */
static void get_lines(struct input *in, struct sh_proto *p)
{
    int n = get_count(in, 1), line = p->line_defined;
    const char *deltas = take(in, (size_t)n);
    int n_absolute = get_count(in, 2), next = 0;
    int *pcs = sh_alloc((size_t)n_absolute + 1, sizeof(*pcs));
    int *at = sh_alloc((size_t)n_absolute + 1, sizeof(*at));
    for (int i = 0; i < n_absolute; i++) {
        pcs[i] = get_int(in);
        at[i] = get_int(in);
    }
    if (n != p->n_code)
        broken(in, "not a line for each instruction");
    p->lines = sh_alloc((size_t)p->n_code + 1, sizeof(*p->lines));
    for (int pc = 0; pc < n && !in->bad; pc++) {
        int byte = (unsigned char)deltas[pc], delta = byte < 128 ? byte : byte - 256;
        if (delta != ABSOLUTE_LINE)
            line += delta;
        else if (next < n_absolute && pcs[next] == pc)
            line = at[next++];
        else
            broken(in, "a line is missing");
        if (line < 0 || line > INT_MAX - 256)
            broken(in, "a line out of range");
        p->lines[pc] = line;
    }
    free(pcs);
    free(at);
}

static void get_debug(struct input *in, struct sh_proto *p)
{
    get_lines(in, p);
    p->n_locals = get_count(in, 3);
    p->locals = sh_alloc((size_t)p->n_locals + 1, sizeof(*p->locals));
    for (int i = 0; i < p->n_locals && !in->bad; i++) {
        p->locals[i].name = get_text(in);
        p->locals[i].start_pc = get_int(in);
        p->locals[i].end_pc = get_int(in);
    }
    int n = get_count(in, 1);
    if (n != p->n_upvalues)
        broken(in, "not a name for each outer variable");
    for (int i = 0; i < n && !in->bad; i++)
        p->upvalues[i].name = get_text(in);
}

/* Upvalues must be where the outer function has them. outer: NULL for the file itself. */
static void check_upvalues(struct input *in, const struct sh_proto *p, const struct sh_proto *outer)
{
    for (int i = 0; i < p->n_upvalues && outer && !in->bad; i++) {
        const struct sh_upvalue *up = &p->upvalues[i];
        if (up->index >= (up->in_stack ? outer->max_stack : outer->n_upvalues))
            broken(in, "an outer variable that is not there");
    }
}

static void get_proto(struct input *in, struct sh_proto *p, const struct sh_proto *outer, int depth)
{
    if (depth > MAX_NESTING)
        broken(in, "functions are nested too deeply");
    (void)get_text(in); /* the source's name */
    p->line_defined = get_int(in);
    p->last_line = get_int(in);
    p->n_params = get_byte(in);
    p->is_vararg = get_byte(in) != 0;
    p->max_stack = get_byte(in);
    get_code(in, p);
    get_constants(in, p);
    get_upvalues(in, p);
    check_upvalues(in, p, outer);
    p->n_inner = get_count(in, 12);
    p->inner = sh_alloc((size_t)p->n_inner + 1, sizeof(*p->inner));
    for (int i = 0; i < p->n_inner && !in->bad; i++)
        get_proto(in, &p->inner[i], p, depth + 1);
    get_debug(in, p);
}

static void get_header(struct input *in)
{
    const char *p = take(in, 4);
    if (p && memcmp(p, LUA_SIGNATURE, 4) != 0)
        broken(in, "not a compiled file");
    if (get_byte(in) != FORMAT_VERSION)
        broken(in, "another version");
    if (get_byte(in) != 0)
        broken(in, "another format");
    p = take(in, 6);
    if (p && memcmp(p, "\x19\x93\r\n\x1a\n", 6) != 0)
        broken(in, "its mark is damaged");
    static const char sizes[] = {sizeof(uint32_t), sizeof(lua_Integer), sizeof(lua_Number)};
    p = take(in, sizeof(sizes));
    if (p && memcmp(p, sizes, sizeof(sizes)) != 0)
        broken(in, "numbers of another size");
    p = take(in, sizeof(lua_Integer));
    if (p && memcmp(p, &(lua_Integer){0x5678}, sizeof(lua_Integer)) != 0)
        broken(in, "integers of another kind");
    lua_Number number = 0;
    p = take(in, sizeof(number));
    if (p)
        memcpy(&number, p, sizeof(number));
    if (p && number != (lua_Number)370.5)
        broken(in, "numbers of another kind");
}

/* Takes the bytes. */
static struct sh_chunk *read_chunk(char *bytes, size_t n, struct sh_error *err)
{
    struct sh_chunk *c = sh_alloc(1, sizeof(*c));
    c->bytes = bytes;
    struct input in = {.p = bytes, .end = bytes + n, .err = err};
    get_header(&in);
    uint8_t n_upvalues = get_byte(&in);
    if (!in.bad)
        get_proto(&in, &c->main, NULL, 0);
    if (!in.bad && c->main.n_upvalues != n_upvalues)
        broken(&in, "not as many outer variables as it says");
    if (!in.bad && in.p != in.end)
        broken(&in, "bytes behind its end");
    if (!in.bad)
        return c;
    sh_chunk_free(c);
    return NULL;
}

struct sh_chunk *sh_chunk_read(struct sh_slice dump, struct sh_error *err)
{
    return read_chunk(sh_memdup(dump.p, dump.n), dump.n, err);
}

static int add_bytes(lua_State *L, const void *p, size_t n, void *arg)
{
    struct sh_buf *b = arg;
    (void)L;
    sh_buf_add(b, p, n);
    return !sh_buf_ok(b);
}

struct sh_chunk *sh_chunk_of(lua_State *L, struct sh_error *err)
{
    struct sh_buf b;
    size_t n;
    sh_buf_init(&b, MAX_DUMP_BYTES);
    if (lua_type(L, -1) != LUA_TFUNCTION || lua_dump(L, add_bytes, &b, 0) != 0) {
        sh_buf_free(&b);
        sh_error_set(err, SH_EINVAL, "internal error: not a Lua function, or a very large one");
        return NULL;
    }
    char *bytes = sh_buf_take(&b, &n);
    return read_chunk(bytes, n, err);
}

static void clear_proto(struct sh_proto *p)
{
    for (int i = 0; i < p->n_inner; i++)
        clear_proto(&p->inner[i]);
    free(p->inner);
    free(p->code);
    free(p->lines);
    free(p->constants);
    free(p->upvalues);
    free(p->locals);
}

void sh_chunk_free(struct sh_chunk *c)
{
    if (!c)
        return;
    clear_proto(&c->main);
    free(c->bytes);
    free(c);
}

/* --- lines ----------------------------------------------------------------------------------- */

static size_t count_code(const struct sh_proto *p)
{
    size_t n = (size_t)p->n_code;
    for (int i = 0; i < p->n_inner; i++)
        n += count_code(&p->inner[i]);
    return n;
}

static void add_lines(const struct sh_proto *p, int *out, size_t *n)
{
    bool prepares = p->n_code && (p->code[0] & OP_MASK) == OP_VARARGPREP;
    for (int pc = prepares ? 1 : 0; pc < p->n_code - 1; pc++) /* the last is the added return */
        out[(*n)++] = p->lines[pc];
    for (int i = 0; i < p->n_inner; i++)
        add_lines(&p->inner[i], out, n);
}

static int compare_lines(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int *sh_proto_lines(const struct sh_proto *p, size_t *n)
{
    size_t kept = 0;
    int *lines = sh_alloc(count_code(p) + 1, sizeof(*lines));
    *n = 0;
    add_lines(p, lines, n);
    qsort(lines, *n, sizeof(*lines), compare_lines);
    for (size_t i = 0; i < *n; i++)
        if (i == 0 || lines[i] != lines[i - 1])
            lines[kept++] = lines[i];
    *n = kept;
    return lines;
}
