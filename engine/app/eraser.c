/* SPDX-License-Identifier: MIT
 * eraser.c: the steps of forgetting a caller. */
#include "app/eraser.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/json.h"
#include "svc/loop.h"
#include "svc/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS    1   /* between two slices: others have work too */
#define AGAIN_MS    100 /* between looks whether a delivery is over, or the log free */
#define DELIVERY_MS 90000
#define LOG_MS      30000
#define MAIL_FOLDER "mail"
#define MAX_MAIL    ((size_t)64 << 20)

/* --- emails as files -------------------------------------------------------------------- */

struct mails {
    char *folder;
    const struct sh_phone_number *number;
    const char *const *keys; /* of emails about the caller, part of their files' names */
    size_t n_keys;
    bool dry;
    int64_t removed;
    struct sh_error err;
    struct sh_eraser *eraser; /* whose these are, within an engine */
};

static bool is_listed(const struct mails *m, const char *name)
{
    for (size_t i = 0; i < m->n_keys; i++)
        if (strstr(name, m->keys[i]))
            return true;
    return false;
}

/* Does the message name the number? One that cannot be read does not. */
static bool file_mentions(const struct mails *m, int folder, const char *name)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool found = false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)MAX_MAIL) {
        char *text = sh_alloc((size_t)st.st_size + 1, 1);
        ssize_t n = pread(fd, text, (size_t)st.st_size, 0);
        found = n > 0 && sh_phone_number_within(m->number, sh_slice(text, (size_t)n));
        free(text);
    }
    close(fd);
    return found;
}

static void remove_mail(struct mails *m, int folder, const char *name)
{
    if (!is_listed(m, name) && !file_mentions(m, folder, name))
        return;
    m->removed++;
    if (!m->dry && unlinkat(folder, name, 0) != 0 && errno != ENOENT)
        sh_error_set(&m->err, SH_ESYS, "%s/%s cannot be removed: %s", m->folder, name,
                     strerror(errno));
}

static bool is_mail(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && (strcmp(name + n - 4, ".eml") == 0 || strcmp(name + n - 4, ".tmp") == 0);
}

static void remove_mails(void *arg)
{
    struct mails *m = arg;
    DIR *d = opendir(m->folder);
    const struct dirent *entry;
    if (!d) {
        if (errno != ENOENT)
            sh_error_set(&m->err, SH_ESYS, "%s: %s", m->folder, strerror(errno));
        return;
    }
    while (!sh_task_cancelled() && (entry = readdir(d)))
        if (is_mail(entry->d_name))
            remove_mail(m, dirfd(d), entry->d_name);
    if (!m->dry)
        (void)!fsync(dirfd(d));
    closedir(d);
}

static void mails_of(struct mails *m, const char *dir, const struct sh_forget *f,
                     const struct sh_phone_number *number, bool dry)
{
    free(m->folder);
    *m = (struct mails){.folder = sh_strf("%s/" MAIL_FOLDER, dir), .number = number, .dry = dry};
    m->n_keys = sh_forget_files(f, &m->keys);
}

static cJSON *report_of(const struct sh_forget *f, const struct mails *m)
{
    cJSON *o = sh_forget_tree(sh_forget_counts(f));
    cJSON_AddItemToObject(o, "mail_files", sh_json_int(m->removed));
    return o;
}

/* What the audit table says: in the first slice's own transaction that it was begun, whatever comes
 * of it; at the end how much it was. Never of whom. */
static struct sh_audit audit_of(const struct sh_eraser_order *order, const char *detail)
{
    return (struct sh_audit){.who = order->who,
                             .role = order->role,
                             .peer = order->peer,
                             .action = detail ? "forget" : "forget.begin",
                             .detail = detail};
}

static char *detail_of(const struct sh_forget *f, const struct mails *m)
{
    cJSON *o = report_of(f, m);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* --- within an engine ----------------------------------------------------------------------- */

struct sh_eraser {
    struct sh_eraser_config config;
    struct sh_timer *timer;
    struct sh_forget *forget;
    struct sh_phone_number number;
    char *who, *role, *peer, *detail;
    bool dry, running, ok, stopped;
    bool begun; /* and the audit table says so; of a dry run it says nothing */
    struct sh_error err;
    struct mails mails;
    struct sh_task *task;
    int64_t until_ms;
    void (*step)(struct sh_eraser *e);
    struct sh_audit audit;
    union {
        struct sh_op op;
        struct sh_op_forget forget;
        struct sh_op_count count;
        struct sh_op_scrub scrub;
    } op;
    cJSON *report;
};

static void end(struct sh_eraser *e, const struct sh_error *err)
{
    e->running = false;
    e->ok = !err;
    if (err)
        e->err = *err;
    cJSON_Delete(e->report);
    e->report = report_of(e->forget, &e->mails);
    sh_forget_free(e->forget);
    e->forget = NULL;
    explicit_bzero(&e->number, sizeof(e->number));
    if (err)
        sh_err("a caller could not be forgotten whole; it is safe to do it again", "error",
               err->msg);
    else if (!e->dry)
        sh_info("a caller was forgotten", "by", e->who);
}

static void step_after(struct sh_eraser *e, void (*step)(struct sh_eraser *e), int64_t ms)
{
    e->step = step;
    if (!e->stopped)
        sh_timer_set(e->timer, ms);
}

static void on_timer(void *arg)
{
    struct sh_eraser *e = arg;
    e->step(e);
}

static void submit(struct sh_eraser *e, void (*done)(struct sh_op *op))
{
    e->op.op.done = done;
    e->op.op.arg = e;
    sh_store_submit(e->config.store, &e->op.op);
}

static void scrub(struct sh_eraser *e);

static void on_scrubbed(struct sh_op *op)
{
    struct sh_eraser *e = op->arg;
    if (op->ok)
        end(e, NULL);
    else if (op->err.code == SH_EBUSY && sh_mono_us() / 1000 < e->until_ms)
        step_after(e, scrub, AGAIN_MS);
    else
        end(e, &op->err);
}

static void scrub(struct sh_eraser *e)
{
    bool again = e->op.op.kind == SH_OP_SCRUB;
    e->op.scrub = (struct sh_op_scrub){.op = {.kind = SH_OP_SCRUB}, .log_only = again};
    submit(e, on_scrubbed);
}

static void on_audited(struct sh_op *op)
{
    struct sh_eraser *e = op->arg;
    if (!op->ok) {
        end(e, &op->err);
        return;
    }
    e->until_ms = sh_mono_us() / 1000 + LOG_MS;
    scrub(e);
}

static void on_cleaned(struct sh_op *op)
{
    struct sh_eraser *e = op->arg;
    if (!op->ok) {
        end(e, &op->err);
        return;
    }
    cJSON_free(e->detail);
    e->detail = detail_of(e->forget, &e->mails);
    e->audit = audit_of(&(struct sh_eraser_order){.who = e->who, .role = e->role, .peer = e->peer},
                        e->detail);
    e->op.op = (struct sh_op){.kind = SH_OP_AUDIT, .audit = &e->audit};
    submit(e, on_audited);
}

static void on_mails(void *arg)
{
    struct sh_eraser *e = ((struct mails *)arg)->eraser;
    sh_task_free(e->task);
    e->task = NULL;
    if (e->dry || e->mails.err.code) {
        end(e, e->mails.err.code ? &e->mails.err : NULL);
        return;
    }
    sh_forget_files_gone(e->forget);
    e->op.forget = (struct sh_op_forget){.op = {.kind = SH_OP_FORGET}, .forget = e->forget};
    submit(e, on_cleaned);
}

static void look_at_mails(struct sh_eraser *e)
{
    struct sh_error err;
    mails_of(&e->mails, e->config.dir, e->forget, &e->number, e->dry);
    e->mails.eraser = e;
    e->task = sh_task_start(e->config.base, remove_mails, on_mails, &e->mails, &err);
    if (!e->task)
        end(e, &err);
}
static bool is_dropped(void *arg, const char *item_id)
{
    return sh_forget_dropped(((struct sh_eraser *)arg)->forget, item_id);
}

/* What its carrier has already cannot be called back; what it writes must not be left. */
static void wait_for_deliveries(struct sh_eraser *e)
{
    if (sh_outbox_drop(e->config.outbox, is_dropped, e) && sh_mono_us() / 1000 < e->until_ms)
        step_after(e, wait_for_deliveries, AGAIN_MS);
    else
        look_at_mails(e);
}

/* Whatever the reader was asked before has been answered. */
static void on_read(struct sh_op *op)
{
    struct sh_eraser *e = op->arg;
    e->until_ms = sh_mono_us() / 1000 + DELIVERY_MS;
    wait_for_deliveries(e);
}

static void next_slice(struct sh_eraser *e);

static void on_slice(struct sh_op *op)
{
    struct sh_eraser *e = op->arg;
    if (!op->ok) {
        end(e, &op->err);
        return;
    }
    e->begun = true;
    sh_forget_kept(e->forget);
    if (!e->op.forget.over) {
        step_after(e, next_slice, PAUSE_MS);
    } else if (e->dry) {
        look_at_mails(e);
    } else {
        sh_outbox_drop(e->config.outbox, is_dropped, e);
        e->op.count = (struct sh_op_count){.op = {.kind = SH_OP_COUNT}};
        submit(e, on_read);
    }
}

static void next_slice(struct sh_eraser *e)
{
    e->op.forget = (struct sh_op_forget){
        .op = {.kind = SH_OP_FORGET, .audit = e->begun ? NULL : &e->audit}, .forget = e->forget};
    submit(e, on_slice);
}

struct sh_eraser *sh_eraser_new(const struct sh_eraser_config *config)
{
    struct sh_eraser *e = sh_alloc(1, sizeof(*e));
    e->config = *config;
    e->timer = sh_timer_new(config->base, on_timer, e);
    return e;
}

static void set(char **text, const char *value)
{
    free(*text);
    *text = sh_strdup(value);
}

bool sh_eraser_start(struct sh_eraser *e, const struct sh_eraser_order *order, struct sh_error *err)
{
    if (e->running || e->stopped)
        return sh_error_set(err, SH_EBUSY, "somebody is being forgotten already");
    if (!sh_phone_number_parse(&e->number, order->number, e->config.country, err))
        return false;
    set(&e->who, order->who);
    set(&e->role, order->role);
    set(&e->peer, order->peer);
    cJSON_Delete(e->report);
    e->report = NULL;
    e->audit =
        audit_of(&(struct sh_eraser_order){.who = e->who, .role = e->role, .peer = e->peer}, NULL);
    e->dry = e->begun = order->dry;
    e->running = true;
    e->ok = false;
    e->err = (struct sh_error){0};
    e->mails.removed = 0;
    e->forget = sh_forget_new(&e->number, e->dry);
    next_slice(e);
    return true;
}

cJSON *sh_eraser_state(const struct sh_eraser *e)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "running", e->running);
    cJSON_AddBoolToObject(o, "dry_run", e->dry);
    cJSON_AddNumberToObject(o, "progress", e->forget ? sh_forget_progress(e->forget) : 1);
    cJSON_AddBoolToObject(o, "ok", e->ok);
    if (e->err.code)
        cJSON_AddStringToObject(o, "error", e->err.msg);
    else
        cJSON_AddNullToObject(o, "error");
    cJSON_AddItemToObject(o, "report",
                          e->report ? cJSON_Duplicate(e->report, true) : cJSON_CreateNull());
    return o;
}

void sh_eraser_stop(struct sh_eraser *e)
{
    if (!e)
        return;
    e->stopped = true;
    sh_timer_free(e->timer);
    e->timer = NULL;
    sh_task_free(e->task);
    e->task = NULL;
}

void sh_eraser_free(struct sh_eraser *e)
{
    if (!e)
        return;
    sh_eraser_stop(e);
    sh_forget_free(e->forget);
    cJSON_Delete(e->report);
    cJSON_free(e->detail);
    free(e->mails.folder);
    free(e->who);
    free(e->role);
    free(e->peer);
    free(e);
}

/* --- without one ------------------------------------------------------------------------------ */

static bool do_op(struct sh_store *store, struct sh_op *op, struct sh_error *err)
{
    sh_store_submit(store, op);
    sh_store_reap(store);
    if (!op->ok)
        *err = op->err;
    return op->ok;
}

/* audit: of the first slice; NULL: none is due. */
static bool do_slices(struct sh_store *store, struct sh_forget *f, const struct sh_audit *audit,
                      void (*progress)(double part), struct sh_error *err)
{
    struct sh_op_forget op = {.forget = f};
    for (; !op.over; audit = NULL) {
        op = (struct sh_op_forget){.op = {.kind = SH_OP_FORGET, .audit = audit}, .forget = f};
        if (!do_op(store, &op.op, err))
            return false;
        sh_forget_kept(f);
        if (progress)
            progress(sh_forget_progress(f));
    }
    return true;
}

static bool do_scrub(struct sh_store *store, struct sh_error *err)
{
    const struct timespec nap = {.tv_nsec = AGAIN_MS * 1000000L};
    int64_t until_us = sh_mono_us() + LOG_MS * 1000LL;
    struct sh_op_scrub op = {.op = {.kind = SH_OP_SCRUB}};
    while (!do_op(store, &op.op, err)) {
        if (err->code != SH_EBUSY || sh_mono_us() > until_us)
            return false;
        nanosleep(&nap, NULL);
        op = (struct sh_op_scrub){.op = {.kind = SH_OP_SCRUB}, .log_only = true};
    }
    return true;
}

static bool do_rest(struct sh_store *store, const struct sh_forget *f, const struct mails *m,
                    const struct sh_eraser_order *order, struct sh_error *err)
{
    char *detail = detail_of(f, m);
    const struct sh_audit audit = audit_of(order, detail);
    struct sh_op op = {.kind = SH_OP_AUDIT, .audit = &audit};
    bool ok = do_op(store, &op, err) && do_scrub(store, err);
    cJSON_free(detail);
    return ok;
}

bool sh_erase_now(struct sh_store *store, const char *dir, const char *country,
                  const struct sh_eraser_order *order, void (*progress)(double part),
                  cJSON **report, struct sh_error *err)
{
    struct sh_phone_number number;
    struct mails mails = {0};
    *report = NULL;
    if (!sh_phone_number_parse(&number, order->number, country, err))
        return false;
    struct sh_forget *f = sh_forget_new(&number, order->dry);
    const struct sh_audit begin = audit_of(order, NULL);
    bool ok = do_slices(store, f, order->dry ? NULL : &begin, progress, err);
    if (ok) {
        mails_of(&mails, dir, f, &number, order->dry);
        remove_mails(&mails);
        ok = mails.err.code == SH_OK;
        if (!ok)
            *err = mails.err;
    }
    if (ok && !order->dry) {
        sh_forget_files_gone(f);
        ok = do_slices(store, f, NULL, NULL, err) && do_rest(store, f, &mails, order, err);
    }
    *report = report_of(f, &mails);
    sh_forget_free(f);
    free(mails.folder);
    explicit_bzero(&number, sizeof(number));
    return ok;
}
