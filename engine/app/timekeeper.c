/* SPDX-License-Identifier: MIT
 * timekeeper.c: one question to the store at a time, slice by slice. */
#include "app/timekeeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdlib.h>
#include <string.h>

#define SLICE     200
#define LOOK_MS   1000 /* between questions, at most */
#define REST_MS   5    /* between slices, at least */
#define HELD_MS   20   /* between looks at a backlog */
#define POKE_MS   20   /* between questions because something was set */
#define AGAIN_MS  1000 /* after the store refused */
#define JUMP_MS   (60 * 60 * INT64_C(1000))
#define STEADY_MS (24 * 60 * 60 * INT64_C(1000))

struct sh_timekeeper {
    struct sh_timekeeper_config config;
    struct sh_timer *timer;
    struct sh_op_fire fire;
    struct sh_op_clocks clocks;
    struct clocks {
        struct sh_clock *list; /* owned, with their texts */
        size_t n;
    } rules, next; /* next: to take their place; the store may have the others in hand */
    bool renewed;  /* there is a next */
    bool out;      /* a question is with the store */
    bool started;  /* the clock rules are known there */
    bool stopped;
    bool poked;               /* something was set while a question was out */
    bool slicing;             /* the last slice was full: there may be more */
    bool refused;             /* the store did, and it was logged */
    int64_t asked_us;         /* when the last question was sent */
    int64_t wake_us;          /* when the timer rings, 0 = not set */
    int64_t commits;          /* of the store, when the last slice was done */
    int64_t ref_wall, ref_us; /* the clocks against each other: as they were */
    int64_t shaky_until_us;   /* nothing is removed by age before */
};

static int64_t wall_ms(const struct sh_timekeeper *t)
{
    return t->config.wall_ms ? t->config.wall_ms() : sh_now_ms();
}

static int64_t mono_us(const struct sh_timekeeper *t)
{
    return t->config.mono_us ? t->config.mono_us() : sh_mono_us();
}

/* Ring in ms, or before if it was to ring before. */
static void ring_within(struct sh_timekeeper *t, int64_t ms)
{
    int64_t at_us = mono_us(t) + ms * 1000;
    if (t->wake_us && t->wake_us <= at_us)
        return;
    t->wake_us = at_us;
    sh_timer_set(t->timer, ms);
}

/* --- the clocks against each other ---------------------------------------------------------- */

static void note_jump(struct sh_timekeeper *t, int64_t jump_ms, const char *since)
{
    t->shaky_until_us = mono_us(t) + STEADY_MS * 1000;
    sh_warn("the clock has moved by more than an hour: nothing is removed by age for 24 hours",
            "seconds", SH_NUM(jump_ms / 1000), "since", since);
}

static void watch_clock(struct sh_timekeeper *t)
{
    int64_t wall = wall_ms(t), us = mono_us(t);
    int64_t jump_ms = wall - t->ref_wall - (us - t->ref_us) / 1000;
    if (jump_ms > -JUMP_MS && jump_ms < JUMP_MS)
        return;
    t->ref_wall = wall;
    t->ref_us = us;
    note_jump(t, jump_ms, "start");
    if (jump_ms < 0) /* a clock rule must not wait until it is as late again: find its next time */
        t->started = false;
}

bool sh_timekeeper_is_steady(struct sh_timekeeper *t)
{
    watch_clock(t);
    return mono_us(t) >= t->shaky_until_us;
}

void sh_timekeeper_set_newest(struct sh_timekeeper *t, int64_t newest_ms)
{
    int64_t gap_ms = wall_ms(t) - newest_ms;
    if (newest_ms && (gap_ms >= STEADY_MS || gap_ms <= -JUMP_MS))
        note_jump(t, gap_ms, "the newest event");
}

/* --- what the store said -------------------------------------------------------------------- */

/* False: it did not go well; again later. */
static bool went_well(struct sh_timekeeper *t, const struct sh_op *op)
{
    t->out = false;
    if (op->ok && t->refused)
        sh_info("the store takes timers again");
    if (!op->ok && op->err.code == SH_EFATAL) {
        t->stopped = true;
        t->config.fatal(t->config.arg, &op->err);
        return false;
    }
    if (!op->ok && !t->refused)
        sh_warn("the store refused to fire timers, will be tried again", "error", op->err.msg);
    t->refused = !op->ok;
    if (!op->ok)
        ring_within(t, AGAIN_MS);
    return op->ok;
}

static void hand_on(struct sh_timekeeper *t)
{
    struct sh_op_fire *f = &t->fire;
    const size_t n = f->n_emitted;
    f->n_emitted = 0; /* no longer ours */
    if (n)
        t->config.emitted(t->config.arg, f->emitted, n);
    if (f->n_queued)
        t->config.queued(t->config.arg);
    sh_op_fire_clear(f);
}

/* How long to wait for the next thing: its time by the wall clock, never more than LOOK_MS. */
static int64_t until_next(const struct sh_timekeeper *t)
{
    int64_t ms = t->fire.next_due_ms - wall_ms(t);
    if (t->fire.next_due_ms == 0 || ms > LOOK_MS)
        return LOOK_MS;
    return ms > 0 ? ms : 0;
}

static void on_fired(struct sh_op *op)
{
    struct sh_timekeeper *t = op->arg;
    if (!went_well(t, op))
        return;
    int64_t took_ms = (mono_us(t) - t->asked_us) / 1000;
    t->slicing = t->fire.n_fired >= SLICE;
    t->commits = sh_store_commits(t->config.store);
    int64_t wait = t->slicing ? (took_ms > REST_MS ? took_ms : REST_MS) : until_next(t);
    if (t->poked && !t->slicing && wait > POKE_MS)
        wait = POKE_MS;
    t->poked = false;
    ring_within(t, wait);
    hand_on(t);
}

static void on_clocks(struct sh_op *op)
{
    struct sh_timekeeper *t = op->arg;
    if (!op->ok && op->err.code == SH_EINVAL) { /* nothing that a second try would mend */
        sh_err("the clock rules cannot be set", "error", op->err.msg);
        op->ok = true;
    }
    if (!went_well(t, op))
        return;
    t->started = !t->renewed;
    ring_within(t, 0);
}

static void free_clocks(struct clocks *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)(uintptr_t)c->list[i].rule);
        free((char *)(uintptr_t)c->list[i].every);
        free((char *)(uintptr_t)c->list[i].zone);
    }
    free(c->list);
    *c = (struct clocks){0};
}

/* Nothing is with the store: those that wait to be the rules may be. */
static void take_next(struct sh_timekeeper *t)
{
    if (!t->renewed)
        return;
    free_clocks(&t->rules);
    t->rules = t->next;
    t->next = (struct clocks){0};
    t->renewed = false;
    t->started = false;
}

/* --- asking ---------------------------------------------------------------------------------- */

static void ask(struct sh_timekeeper *t)
{
    take_next(t);
    struct sh_op *op = t->started ? &t->fire.op : &t->clocks.op;
    if (t->started)
        t->fire = (struct sh_op_fire){.op = {.kind = SH_OP_FIRE, .done = on_fired, .arg = t},
                                      .now_ms = wall_ms(t),
                                      .limit = SLICE};
    else
        t->clocks = (struct sh_op_clocks){.op = {.kind = SH_OP_CLOCKS, .done = on_clocks, .arg = t},
                                          .clocks = t->rules.list,
                                          .n_clocks = t->rules.n,
                                          .now_ms = wall_ms(t)};
    t->out = true;
    t->asked_us = mono_us(t);
    sh_store_submit(t->config.store, op);
}

/* Must what is due wait for those who are there already? */
static bool is_held(const struct sh_timekeeper *t)
{
    int64_t backlog = t->config.backlog(t->config.arg);
    if (backlog > t->config.stop_above)
        return true;
    return backlog > t->config.hold_above && mono_us(t) - t->asked_us < LOOK_MS * 1000;
}

static void on_ring(void *arg)
{
    struct sh_timekeeper *t = arg;
    t->wake_us = 0;
    if (t->out || t->stopped)
        return;
    watch_clock(t);
    if (t->started && is_held(t))
        ring_within(t, HELD_MS);
    else if (t->slicing && sh_store_waiting(t->config.store) > 0 &&
             sh_store_commits(t->config.store) == t->commits)
        ring_within(t, REST_MS); /* nobody else has had a turn since */
    else
        ask(t);
}

void sh_timekeeper_poke(struct sh_timekeeper *t)
{
    if (t->out) {
        t->poked = true;
        return;
    }
    if (t->stopped || !t->started || t->refused || t->slicing)
        return;
    int64_t since_ms = (mono_us(t) - t->asked_us) / 1000;
    ring_within(t, since_ms >= POKE_MS ? 0 : POKE_MS - since_ms);
}

/* --- life ----------------------------------------------------------------------------------- */

static struct clocks read_clocks(const cJSON *rules, const char *zone)
{
    struct clocks c = {.list = sh_alloc((size_t)cJSON_GetArraySize(rules) + 1, sizeof(*c.list))};
    const cJSON *rule;
    cJSON_ArrayForEach(rule, rules)
    {
        const char *name = sh_json_string(rule, "name"), *every = sh_json_string(rule, "every");
        const char *own = sh_json_string(rule, "zone");
        if (name && every)
            c.list[c.n++] = (struct sh_clock){.rule = sh_strdup(name),
                                              .every = sh_strdup(every),
                                              .zone = sh_strdup(own ? own : zone)};
    }
    return c;
}

struct sh_timekeeper *sh_timekeeper_new(const struct sh_timekeeper_config *config)
{
    struct sh_timekeeper *t = sh_alloc(1, sizeof(*t));
    t->config = *config;
    t->timer = sh_timer_new(config->base, on_ring, t);
    t->ref_wall = wall_ms(t);
    t->ref_us = mono_us(t);
    return t;
}

void sh_timekeeper_start(struct sh_timekeeper *t, const cJSON *rules, const char *zone)
{
    t->rules = read_clocks(rules, zone);
    ask(t);
}

void sh_timekeeper_set_rules(struct sh_timekeeper *t, const cJSON *rules, const char *zone)
{
    free_clocks(&t->next);
    t->next = read_clocks(rules, zone);
    t->renewed = true;
    t->started = false;
    if (!t->out && !t->stopped)
        ring_within(t, 0);
}

void sh_timekeeper_stop(struct sh_timekeeper *t)
{
    t->stopped = true;
    sh_timer_cancel(t->timer);
}

bool sh_timekeeper_busy(const struct sh_timekeeper *t)
{
    return t->out;
}

size_t sh_timekeeper_clocks(const struct sh_timekeeper *t)
{
    return t->renewed ? t->next.n : t->rules.n;
}

void sh_timekeeper_free(struct sh_timekeeper *t)
{
    if (!t)
        return;
    sh_timer_free(t->timer);
    sh_op_fire_clear(&t->fire);
    free_clocks(&t->rules);
    free_clocks(&t->next);
    free(t);
}
