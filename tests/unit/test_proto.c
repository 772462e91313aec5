/* SPDX-License-Identifier: MIT
 * test_proto.c: a compiled file read back: its functions, their code, names and lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/proto.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lua_State *L;

static int open_lua(void **state)
{
    (void)state;
    L = luaL_newstate();
    return L ? 0 : -1;
}

static int close_lua(void **state)
{
    (void)state;
    lua_close(L);
    return 0;
}

static struct sh_chunk *compile(const char *text)
{
    struct sh_error err = {0};
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, text, strlen(text), "@rules/x.lua", "t") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    struct sh_chunk *c = sh_chunk_of(L, &err);
    if (!c)
        fail_msg("%s", err.msg);
    return c;
}

static void expect_text(struct sh_slice got, const char *want)
{
    if (!sh_slice_eq(got, sh_slice_str(want)))
        fail_msg("got %.*s, want %s", (int)got.n, got.p, want);
}

/* The lines with code, separated by spaces. */
static void expect_lines(const char *text, const char *want)
{
    struct sh_chunk *c = compile(text);
    char got[4000] = "";
    size_t n;
    int *lines = sh_proto_lines(&c->main, &n);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d", i ? " " : "", lines[i]);
    free(lines);
    sh_chunk_free(c);
    assert_string_equal(got, want);
}

static void functions_and_names(void **state)
{
    (void)state;
    struct sh_chunk *c = compile("local a, b = 'one', 2.5\n"
                                 "function f(x, y)\n"
                                 "  local z = a\n"
                                 "  return function(...) return z, b, 'deep' end\n"
                                 "end\n"
                                 "return nil, true, 1, f\n");
    const struct sh_proto *p = &c->main, *f, *g;
    assert_int_equal(p->line_defined, 0);
    assert_true(p->is_vararg);
    assert_int_equal(p->n_upvalues, 1);
    expect_text(p->upvalues[0].name, "_ENV");
    assert_int_equal(p->n_inner, 1);
    assert_int_equal(p->n_locals, 2);
    expect_text(p->locals[0].name, "a");
    expect_text(p->locals[1].name, "b");
    expect_text(p->constants[0].text, "one");
    assert_int_equal(p->constants[0].kind, SH_CONST_TEXT);
    assert_int_equal(p->constants[1].kind, SH_CONST_NUMBER);
    f = &p->inner[0];
    assert_int_equal(f->line_defined, 2);
    assert_int_equal(f->last_line, 5);
    assert_int_equal(f->n_params, 2);
    assert_false(f->is_vararg);
    assert_int_equal(f->n_upvalues, 2);
    expect_text(f->upvalues[0].name, "a");
    assert_true(f->upvalues[0].in_stack);
    assert_int_equal(f->upvalues[0].index, 0);
    expect_text(f->upvalues[1].name, "b");
    g = &f->inner[0];
    assert_int_equal(g->line_defined, 4);
    assert_true(g->is_vararg);
    assert_int_equal(g->n_params, 0);
    expect_text(g->upvalues[0].name, "z");
    assert_true(g->upvalues[0].in_stack);
    expect_text(g->upvalues[1].name, "b");
    assert_false(g->upvalues[1].in_stack);
    assert_int_equal(g->upvalues[1].index, 1);
    assert_int_equal(g->n_inner, 0);
    sh_chunk_free(c);
}

/* As Lua tells them itself, for the file and for each function it returns. */
static void lines_as_lua_tells_them(void **state)
{
    (void)state;
    char text[16000] = "";
    for (int i = 0; i < 40; i++) { /* gaps of many lines are written in another way */
        sprintf(text + strlen(text), "x%d = { a = %d,\n\n b = function() return 1 end }\n", i, i);
        memset(text + strlen(text), '\n', (size_t)i * 10);
    }
    struct sh_chunk *c = compile(text);
    lua_Debug ar;
    lua_pushvalue(L, 1);
    lua_getinfo(L, ">L", &ar);                    /* 2: a set of lines */
    for (int pc = 1; pc < c->main.n_code; pc++) { /* each of ours is one of Lua's */
        if (lua_rawgeti(L, 2, c->main.lines[pc]) == LUA_TNIL)
            fail_msg("line %d", c->main.lines[pc]);
        lua_pop(L, 1);
    }
    for (int pc = 1; pc < c->main.n_code; pc++) { /* and none of Lua's is left over */
        lua_pushnil(L);
        lua_rawseti(L, 2, c->main.lines[pc]);
    }
    lua_pushnil(L);
    assert_false(lua_next(L, 2));
    assert_true(c->main.lines[c->main.n_code - 1] > 7500);
    sh_chunk_free(c);
}

static void lines_that_hold_code(void **state)
{
    (void)state;
    expect_lines("", "");
    expect_lines("\n\nlocal x = 1\n", "3");
    expect_lines("local x = 1\n" /* 1 */
                 "-- a remark\n"
                 "local function f()\n" /* the closure is made at its end: 7 */
                 "  if x then\n"        /* 4 */
                 "    return 1\n"       /* 5 */
                 "  end\n"
                 "end\n"
                 "\n"
                 "f()\n", /* 9 */
                 "1 4 5 7 9");
    expect_lines("rule = {\n"                    /* 1 */
                 "  on = 'x',\n"                 /* 2 */
                 "  run = function(call, ...)\n" /* its start is no statement */
                 "    local t = {\n"             /* 4 */
                 "      a = call,\n"             /* 5 */
                 "    }\n"                       /* nothing of its own */
                 "    return t\n"                /* 7 */
                 "  end,\n"                      /* 8: the closure is made here */
                 "}\n",
                 "1 2 4 5 7 8 9"); /* 9: the assignment itself */
    expect_lines("for i = 1, 3 do\n"
                 "  local a = i\n"
                 "end\n"
                 "return\n",
                 "1 2 4");
}

static void many_constants(void **state)
{
    (void)state;
    char *text = sh_alloc(1, 20000);
    for (int i = 0; i < 600; i++)
        sprintf(text + strlen(text), "x%d = 'text %d'\n", i, i);
    strcat(text, "y = '");
    memset(text + strlen(text), 'l', 300); /* a long string is another variant */
    strcat(text, "'\n");
    struct sh_chunk *c = compile(text);
    assert_int_equal(c->main.n_constants, 1202);
    expect_text(c->main.constants[1198].text, "x599");
    assert_int_equal(c->main.constants[1201].text.n, 300);
    sh_chunk_free(c);
    free(text);
}

static int keep(lua_State *from, const void *p, size_t n, void *arg)
{
    (void)from;
    sh_buf_add(arg, p, n);
    return 0;
}

static struct sh_buf a_dump(bool strip)
{
    static const char text[] = "local a = 1\nfunction f(x)\n local b = a + x\n"
                               " return function() return 'text', b, 2.5, nil end\nend\n";
    struct sh_buf b;
    sh_buf_init(&b, 100000);
    lua_settop(L, 0);
    assert_int_equal(luaL_loadbufferx(L, text, strlen(text), "@x", "t"), LUA_OK);
    assert_int_equal(lua_dump(L, keep, &b, strip), 0);
    return b;
}

static void a_damaged_dump(void **state)
{
    (void)state;
    struct sh_error err = {0};
    struct sh_buf b = a_dump(false);
    struct sh_chunk *c = sh_chunk_read(sh_slice(b.data, b.len), &err);
    assert_non_null(c);
    sh_chunk_free(c);
    for (size_t n = 0; n < b.len; n++) { /* each beginning of it */
        err = (struct sh_error){0};
        char *copy = sh_memdup(b.data, n);
        assert_null(sh_chunk_read(sh_slice(copy, n), &err));
        assert_int_equal(err.code, SH_EINVAL);
        assert_non_null(strstr(err.msg, "internal error: "));
        free(copy);
    }
    for (size_t i = 0; i < b.len; i++) { /* any byte may be another: refused or read, no harm */
        static const char others[] = {0, 1, 0x7f, (char)0x80, (char)0xff};
        char was = b.data[i];
        for (size_t k = 0; k < sizeof(others); k++) {
            b.data[i] = others[k];
            sh_chunk_free(sh_chunk_read(sh_slice(b.data, b.len), &err));
        }
        b.data[i] = was;
    }
    sh_buf_addc(&b, 'x');
    assert_null(sh_chunk_read(sh_slice(b.data, b.len), &err));
    assert_non_null(strstr(err.msg, "bytes behind its end"));
    sh_buf_free(&b);
}

static void another_format(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *says;
    } bytes[] = {{0, "not a compiled file"},
                 {4, "another version"},
                 {5, "another format"},
                 {7, "its mark"},
                 {12, "numbers of another size"},
                 {13, "another size"},
                 {14, "another size"},
                 {15, "integers of another kind"},
                 {23, "numbers of another kind"}};
    for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
        struct sh_error err = {0};
        struct sh_buf b = a_dump(false);
        b.data[bytes[i].at] ^= 1;
        assert_null(sh_chunk_read(sh_slice(b.data, b.len), &err));
        if (!strstr(err.msg, bytes[i].says))
            fail_msg("byte %zu: %s", bytes[i].at, err.msg);
        sh_buf_free(&b);
    }
    struct sh_error err = {0};
    struct sh_buf b = a_dump(true); /* without lines it is of no use */
    assert_null(sh_chunk_read(sh_slice(b.data, b.len), &err));
    sh_buf_free(&b);
}

static int in_c(lua_State *from)
{
    (void)from;
    return 0;
}

static void not_a_lua_function(void **state)
{
    (void)state;
    struct sh_error err = {0};
    lua_settop(L, 0);
    lua_pushinteger(L, 1);
    assert_null(sh_chunk_of(L, &err));
    lua_pushcfunction(L, in_c);
    assert_null(sh_chunk_of(L, &err));
    assert_int_equal(err.code, SH_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_and_names),  cmocka_unit_test(lines_as_lua_tells_them),
        cmocka_unit_test(lines_that_hold_code), cmocka_unit_test(many_constants),
        cmocka_unit_test(a_damaged_dump),       cmocka_unit_test(another_format),
        cmocka_unit_test(not_a_lua_function),
    };
    return cmocka_run_group_tests(tests, open_lua, close_lua);
}
