/* SPDX-License-Identifier: MIT
 * budget.c: CPU and memory of a stretch of Lua, and the calls that may not swallow their end.
 *
 * Normal code runs without any hook. A timer on this thread's CPU clock ticks every few
 * milliseconds while Lua runs; past the budget its handler arms a count-1 hook on the coroutine
 * that runs now (lua_sethook may be called from a signal handler). The hook ends the stretch, and
 * stays armed, so that each further instruction does so again: no pcall, coroutine, __close or
 * error handler of the author's gets anywhere. */
#include "lua/internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_US      5000
#define UNWIND_BYTES (2U * 1024 * 1024) /* room above the cap for ending a run in order */
#define MAX_CLOSE    100

static const char killed_mark; /* its address is the error object of a killed stretch */

static int64_t cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- ending a stretch ------------------------------------------------------------------------ */

static void on_hook(lua_State *L, lua_Debug *ar);

static void arm_all(struct sh_host *h)
{
    for (int i = 0; i < h->n_chain; i++)
        lua_sethook(h->chain[i], on_hook, LUA_MASKCOUNT, 1);
}

/* Note why and where; no memory is asked of Lua, so it is safe within its allocator. */
static void note_kill(struct sh_host *h, lua_State *L, const char *why)
{
    if (h->killed)
        return;
    char where[200] = "";
    int line;
    if (L)
        sh_lua_where(L, where, sizeof(where), &line);
    h->killed = true;
    snprintf(h->kill_text, sizeof(h->kill_text), "%s%s%s", where, *where ? ": " : "", why);
    arm_all(h);
}

/* Leave for the host. Where the coroutine may yield it simply never comes back: nothing of the
 * author's runs any more, and no time goes into unwinding (through 100,000 frames of pcall Lua
 * takes minutes). Elsewhere, under table.sort for one, an error carries it to where it may. */
static int stop(lua_State *L)
{
    if (lua_isyieldable(L))
        return lua_yield(L, 0);
    lua_pushlightuserdata(L, (void *)&killed_mark);
    return lua_error(L);
}

int sh_lua_kill(lua_State *L, const char *why)
{
    note_kill(sh_lua_host(L), L, why);
    stop(L);
    abort(); /* not reached: neither way of stopping returns to a C function */
}

static void cpu_text(const struct sh_host *h, char *out, size_t size)
{
    snprintf(out, size, "CPU budget of %lld ms exceeded", (long long)h->budget_us / 1000);
}

void sh_budget_check(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->over && !h->killed)
        return;
    if (!h->killed) {
        char why[80];
        cpu_text(h, why, sizeof(why));
        note_kill(h, L, why);
    }
    stop(L);
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    const struct sh_host *h = sh_lua_host(L);
    if (!h->over && !h->killed) /* left over from an earlier stretch */
        lua_sethook(L, NULL, 0, 0);
    else
        sh_budget_check(L);
}

/* --- the clock ------------------------------------------------------------------------------- */

/* Async-signal-safe: reads a clock, sets fields, arms a hook. */
static void on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    struct sh_host *h = info->si_value.sival_ptr;
    if (info->si_code != SI_TIMER || !h || !h->active || h->n_chain == 0)
        return;
    int64_t now = cpu_us();
    if (!h->first_us)
        h->first_us = now;
    if (h->used_us + (now - h->first_us) < h->budget_us)
        return;
    h->over = 1;
    lua_sethook(h->chain[h->n_chain - 1], on_hook, LUA_MASKCOUNT, 1);
}

void sh_budget_start(struct sh_host *h)
{
    struct sigaction act = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&act.sa_mask);
    sh_require(sigaction(SIGRTMIN, &act, NULL) == 0);
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    ev.sigev_value.sival_ptr = h;
    ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sh_require(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &h->timer) == 0);
    h->timer_set = true;
    const struct timespec tick = {.tv_nsec = TICK_US * 1000};
    const struct itimerspec every = {.it_interval = tick, .it_value = tick};
    sh_require(timer_settime(h->timer, 0, &every, NULL) == 0);
}

void sh_budget_stop(struct sh_host *h)
{
    if (h->timer_set)
        timer_delete(h->timer);
    h->timer_set = false;
}

void sh_stretch_begin(struct sh_host *h, lua_State *co, int64_t budget_us, int64_t used_us,
                      bool exact)
{
    h->active = 0;
    h->killed = false;
    h->kill_text[0] = h->refused_at[0] = '\0';
    h->refused_bytes = h->wanted_bytes = 0;
    h->ran_out = false;
    h->over = used_us >= budget_us;
    h->first_us = exact ? cpu_us() : 0;
    h->used_us = used_us;
    h->budget_us = budget_us;
    h->chain[0] = co;
    h->n_chain = 1;
    if (h->over)
        arm_all(h);
    else if (h->cover)
        sh_cover_arm(h, co);
    h->active = 1;
}

void sh_stretch_end(struct sh_host *h)
{
    h->active = 0;
    if (h->first_us)
        h->used_us += cpu_us() - h->first_us;
    h->first_us = 0;
    h->n_chain = 0;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Lua asks twice: a refused request makes it collect everything and ask again. The second refusal
 * of the same size, with nothing granted in between, is the end of the stretch. Its buffers ask
 * only once; sh_lua_ran_out() sees to those. */
static void *refuse(struct sh_host *h, size_t nsize)
{
    lua_State *L = h->n_chain ? h->chain[h->n_chain - 1] : NULL;
    if (!L || h->killed)
        return NULL;
    h->wanted_bytes = nsize;
    if (h->refused_bytes != nsize) {
        int line;
        h->refused_bytes = nsize;
        sh_lua_where(L, h->refused_at, sizeof(h->refused_at), &line);
        return NULL;
    }
    char why[80];
    snprintf(why, sizeof(why), "memory budget of %lld KiB exceeded",
             (long long)h->budgets.memory_bytes / 1024);
    note_kill(h, L, why);
    h->ran_out = true;
    return NULL;
}

void *sh_lua_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
    struct sh_host *h = ud;
    size_t old = p ? osize : 0; /* without p, osize is a type tag */
    if (nsize == 0) {
        h->used_bytes -= old;
        free(p);
        return NULL;
    }
    if (nsize > old) {
        size_t cap = h->cap_bytes + (h->killed ? UNWIND_BYTES : 0);
        if (nsize - old > cap || h->used_bytes > cap - (nsize - old))
            return refuse(h, nsize);
    }
    void *q = realloc(p, nsize);
    if (!q)
        return nsize > old ? refuse(h, nsize) : p;
    h->used_bytes = h->used_bytes - old + nsize;
    if (nsize > old && h->refused_bytes)
        h->refused_bytes = 0;
    return q;
}

bool sh_lua_ran_out(struct sh_host *h, lua_State *L, int status)
{
    if (h->killed)
        return true;
    if (status != LUA_ERRMEM) {
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (!h->refused_at[0] || !text || !strstr(text, "not enough memory"))
            return false;
    }
    char why[300];
    snprintf(why, sizeof(why), "%s%smemory budget of %lld KiB exceeded", h->refused_at,
             h->refused_at[0] ? ": " : "", (long long)h->budgets.memory_bytes / 1024);
    note_kill(h, h->refused_at[0] ? NULL : L, why);
    h->ran_out = true;
    return true;
}

/* --- protected calls ------------------------------------------------------------------------- */

void sh_lua_recheck(lua_State *L, int status)
{
    struct sh_host *h = sh_lua_host(L);
    if (h->killed || (status != LUA_OK && status != LUA_YIELD && sh_lua_ran_out(h, L, status)))
        stop(L);
}

/* The file that loads now, for after_failure(). */
static lua_KContext file_now(lua_State *L)
{
    const struct sh_load *load = sh_lua_host(L)->load;
    return load ? (lua_KContext)load->file : 0;
}

/* An error may have left a script half loaded: it is the caller's file that goes on. */
static void after_failure(lua_State *L, lua_KContext file)
{
    struct sh_host *h = sh_lua_host(L);
    if (h->load && file && h->load->file != (const struct sh_file *)file)
        sh_load_now(h, (const struct sh_file *)file);
}

/* [results..] -> results with their status in front */
static int pcall_done(lua_State *L, int status, lua_KContext context)
{
    sh_lua_recheck(L, status);
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L);
    after_failure(L, context);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int l_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    lua_KContext file = file_now(L);
    return pcall_done(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, file, pcall_done), file);
}

static int handled(lua_State *L, int status, lua_KContext skip)
{
    (void)status;
    (void)skip;
    return lua_gettop(L) - 3; /* handler, true, err below; false and what the handler gave */
}

/* xpcall's handler runs after unwinding, with the budget still watched: in stock Lua it runs
 * inside the hook's error, where no hook reaches it. Its own errors are passed on. */
static int xpcall_done(lua_State *L, int status, lua_KContext context)
{
    sh_lua_recheck(L, status);
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1; /* handler, true, results */
    after_failure(L, context);
    lua_pushboolean(L, 0); /* handler, ..., err, false */
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -3);
    lua_callk(L, 1, LUA_MULTRET, 0, handled);
    return handled(L, LUA_OK, 0);
}

static int l_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int n = lua_gettop(L) - 2;
    lua_pushvalue(L, 2); /* f, h, args.., h */
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1); /* .., h, true, f */
    lua_rotate(L, 3, 3); /* f, h, h, true, f, args.. */
    lua_remove(L, 1);
    lua_remove(L, 1); /* h, true, f, args.. */
    lua_KContext file = file_now(L);
    return xpcall_done(L, lua_pcallk(L, n, LUA_MULTRET, 0, file, xpcall_done), file);
}

/* --- coroutines ------------------------------------------------------------------------------ */

static lua_State *check_co(lua_State *L, int idx, const char *what)
{
    lua_State *co = lua_tothread(L, idx);
    if (!co)
        sh_lua_raise(L, "%s: a coroutine expected, got %s", what, sh_lua_kind(L, idx));
    return co;
}

static void enter(lua_State *L, lua_State *co)
{
    struct sh_host *h = sh_lua_host(L);
    if (h->n_chain >= SH_LUA_CHAIN)
        sh_lua_raise(L, "too many coroutines inside one another");
    h->chain[h->n_chain] = co;
    h->n_chain++;
    if (h->over || h->killed)
        lua_sethook(co, on_hook, LUA_MASKCOUNT, 1);
}

static void leave(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    h->n_chain--;
    if ((h->over || h->killed) && h->n_chain > 0)
        lua_sethook(h->chain[h->n_chain - 1], on_hook, LUA_MASKCOUNT, 1);
}

static int co_error(lua_State *L, const char *msg)
{
    lua_pushstring(L, msg);
    return -1;
}

static int resume_on(lua_State *L, lua_State *co, int n_args);

/* The run was answered: what the inner coroutine waited for is there. */
static int resume_answered(lua_State *L, int status, lua_KContext wrap);

/* Resume co with n_args values from L's top. Number of results on L, or -1 and an error object;
 * -2: co waits for a read, the caller yields in turn. */
static int resume_on(lua_State *L, lua_State *co, int n_args)
{
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
        return co_error(L, "cannot resume dead coroutine");
    if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD)
        return co_error(L, "cannot resume dead coroutine");
    if (lua_status(co) == LUA_OK) {
        lua_Debug ar;
        if (lua_getstack(co, 0, &ar))
            return co_error(L, "cannot resume non-suspended coroutine");
    }
    if (!lua_checkstack(co, n_args))
        return co_error(L, "too many arguments to resume");
    enter(L, co);
    lua_xmove(L, co, n_args);
    int n_results;
    int status = lua_resume(co, L, n_args, &n_results);
    struct sh_host *h = sh_lua_host(L);
    if (status != LUA_OK && status != LUA_YIELD)
        sh_lua_ran_out(h, co, status);
    leave(L);
    if (h->killed)
        stop(L);
    if (status == LUA_YIELD && h->run && h->run->read_id && !h->run->answered)
        return -2;
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, n_results + 1)) {
            lua_pop(co, n_results);
            return co_error(L, "too many results to resume");
        }
        lua_xmove(co, L, n_results);
        return n_results;
    }
    lua_xmove(co, L, 1);
    return -1;
}

static int close_co(lua_State *L, lua_State *co);

static int resumed(lua_State *L, lua_State *co, int n, bool wrap)
{
    if (n == -2)
        return lua_yieldk(L, 0, wrap, resume_answered);
    if (!wrap) {
        lua_pushboolean(L, n >= 0);
        lua_insert(L, n >= 0 ? -(n + 1) : -2);
        return n >= 0 ? n + 1 : 2;
    }
    if (n >= 0)
        return n;
    if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD) /* failed: run its __close */
        if (close_co(L, co) != LUA_OK)
            lua_remove(L, -2); /* the error of closing instead */
    return lua_error(L);
}

static int resume_answered(lua_State *L, int status, lua_KContext wrap)
{
    (void)status;
    lua_State *co = wrap ? lua_tothread(L, lua_upvalueindex(1)) : lua_tothread(L, 1);
    return resumed(L, co, resume_on(L, co, 0), wrap != 0);
}

static int co_resume(lua_State *L)
{
    lua_State *co = check_co(L, 1, "coroutine.resume");
    return resumed(L, co, resume_on(L, co, lua_gettop(L) - 1), false);
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return resumed(L, co, resume_on(L, co, lua_gettop(L)), true);
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    sh_cover_arm(sh_lua_host(L), co); /* a new thread copies its maker's hook */
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

static int co_yield (lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (h->n_chain <= 1)
        sh_lua_raise(L, "coroutine.yield: not inside a coroutine of the rule's own");
    return lua_yield(L, lua_gettop(L));
}

static const char *co_state(lua_State *L, lua_State *co)
{
    if (L == co)
        return "running";
    lua_Debug ar;
    switch (lua_status(co)) {
    case LUA_YIELD:
        return "suspended";
    case LUA_OK:
        if (lua_getstack(co, 0, &ar))
            return "normal";
        return lua_gettop(co) == 0 ? "dead" : "suspended";
    default:
        return "dead";
    }
}

static int co_status(lua_State *L)
{
    lua_pushstring(L, co_state(L, check_co(L, 1, "coroutine.status")));
    return 1;
}

/* Runs the pending __close of co. Nested closes overflow the C stack in Lua 5.4.4, so they are
 * counted. On failure the error object is on top of L. */
static int close_co(lua_State *L, lua_State *co)
{
    struct sh_host *h = sh_lua_host(L);
    if (h->close_depth >= MAX_CLOSE)
        sh_lua_kill(L, "too many coroutines closing one another");
    enter(L, co);
    h->close_depth++;
    int status = lua_resetthread(co);
    h->close_depth--;
    leave(L);
    if (h->killed)
        stop(L);
    if (status != LUA_OK)
        lua_xmove(co, L, 1);
    return status;
}

static int co_close(lua_State *L)
{
    lua_State *co = check_co(L, 1, "coroutine.close");
    const char *state = co_state(L, co);
    if (strcmp(state, "suspended") != 0 && strcmp(state, "dead") != 0)
        sh_lua_raise(L, "cannot close a %s coroutine", state);
    int status = close_co(L, co);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_insert(L, -2);
    return 2;
}

static int co_running(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    lua_pushthread(L);
    lua_pushboolean(L, h->n_chain <= 1);
    return 2;
}

static int co_isyieldable(lua_State *L)
{
    lua_pushboolean(L, sh_lua_host(L)->n_chain > 1 && lua_isyieldable(L));
    return 1;
}

void sh_lua_open_protected(lua_State *L)
{
    static const luaL_Reg base[] = {{"pcall", l_pcall}, {"xpcall", l_xpcall}, {NULL, NULL}};
    static const luaL_Reg co[] = {{"create", co_create},
                                  {"wrap", co_wrap},
                                  {"resume", co_resume},
                                  {"yield", co_yield },
                                  {"status", co_status},
                                  {"close", co_close},
                                  {"running", co_running},
                                  {"isyieldable", co_isyieldable},
                                  {NULL, NULL}};
    luaL_setfuncs(L, base, 0);
    luaL_newlib(L, co);
    sh_lua_seal(L, "coroutine");
    lua_setfield(L, -2, "coroutine");
}
