/* SPDX-License-Identifier: MIT
 * reload_work.c: reading folders at rest, running specs, looking for what nobody would handle. */
#include "app/reload_work.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/event.h"
#include "core/store.h"
#include "svc/capture.h"
#include "svc/json.h"
#include "svc/task.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REST_MS     10000 /* for the files to come to rest */
#define STEP_MS     20
#define SAID_BYTES  3000 /* of a failing spec's last words */
#define MAX_PARENTS 16   /* folders above, for a .git */

cJSON *sh_reload_fault(const char *file, int64_t line, const char *msg)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", file);
    cJSON_AddItemToObject(o, "line", sh_json_int(line));
    cJSON_AddStringToObject(o, "msg", msg);
    return o;
}

char *sh_reload_specs_dir(const struct sh_config *config)
{
    const char *slash = config->file ? strrchr(config->file, '/') : NULL;
    return slash ? sh_strf("%.*s/specs", (int)(slash - config->file), config->file)
                 : sh_strdup("specs");
}

uint64_t sh_reload_stamp(const struct sh_config *config)
{
    uint64_t stamp = sh_generation_stamp(config->rules, config->scripts);
    if (config->reload_specs) {
        char *specs = sh_reload_specs_dir(config);
        stamp = stamp * 31 + sh_generation_stamp(specs, NULL);
        free(specs);
    }
    return stamp;
}

/* --- the folders at rest --------------------------------------------------------------------- */

static void nap(void)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    nanosleep(&step, NULL);
}

/* Is git at work on the folder or one above? It holds .git/index.lock meanwhile: its path (owned),
 * or NULL. */
static char *git_lock(const char *dir)
{
    char *up = realpath(dir, NULL), *found = NULL;
    for (int i = 0; up && !found && i < MAX_PARENTS; i++) {
        char *path = sh_strf("%s/.git/index.lock", up), *slash = strrchr(up, '/');
        if (access(path, F_OK) == 0)
            found = path;
        else
            free(path);
        if (!slash || slash == up)
            break;
        *slash = '\0';
    }
    free(up);
    return found;
}

static struct sh_generation *read_once(const struct sh_config *c, uint64_t *stamp,
                                       struct sh_error *err)
{
    struct stat st;
    bool scripts = stat(c->scripts, &st) == 0;
    *stamp = sh_generation_stamp(c->rules, c->scripts);
    return sh_generation_read(c->rules, scripts ? c->scripts : NULL, err);
}

struct sh_generation *sh_reload_read(const struct sh_config *config, struct sh_watcher *watcher,
                                     struct sh_error *err)
{
    const int64_t until_us = sh_mono_us() + REST_MS * 1000;
    struct sh_error unseen;
    if (watcher && !sh_watcher_scan(watcher, &unseen))
        sh_warn("a change there will be seen a few seconds late", "error", unseen.msg);
    char *lock = NULL;
    do {
        uint64_t before;
        free(lock);
        lock = git_lock(config->rules);
        lock = lock ? lock : git_lock(config->scripts);
        struct sh_generation *g = read_once(config, &before, err);
        if (!lock && sh_generation_stamp(config->rules, config->scripts) == before)
            return g;
        sh_generation_free(g);
        nap();
    } while (sh_mono_us() < until_us && !sh_task_cancelled());
    if (lock)
        sh_error_set(err, SH_EBUSY, "git has been at work on the files for %d s: %s is there",
                     REST_MS / 1000, lock);
    else
        sh_error_set(err, SH_EBUSY, "%s: the files have kept changing for %d s", config->rules,
                     REST_MS / 1000);
    free(lock);
    return NULL;
}

/* --- specs ----------------------------------------------------------------------------------- */

#define FIRST "first failure: " /* begins the last line that switchhook test says */

/* The end of what it said, from the start of a line. */
static char *last_words(const struct sh_buf *said)
{
    const char *text = said->data && said->len ? said->data : "the specs failed";
    if (said->len == said->max && strchr(text, '\n'))
        text = strchr(text, '\n') + 1;
    char *words = sh_strdup(text);
    for (size_t n = strlen(words); n > 0 && strchr(" \r\n\t", words[n - 1]); n--)
        words[n - 1] = '\0';
    return words;
}

/* "first failure: specs/x_spec.lua:12: name", if it says so, is where the fault is. */
static cJSON *spec_fault(char *words)
{
    char *line = words, *at;
    for (char *p = words; (p = strstr(p, FIRST)) != NULL; p++)
        if (p == words || p[-1] == '\n')
            line = p;
    long number = 0;
    char *file = strncmp(line, FIRST, strlen(FIRST)) == 0 ? line + strlen(FIRST) : NULL,
         *name = NULL;
    if (file && (at = strstr(file, ".lua:")) != NULL) {
        number = strtol(at + 5, &name, 10);
        at[4] = '\0';
    }
    if (!name)
        return sh_reload_fault("specs", 0, words);
    char *rest = line > words ? (line[-1] = '\0', words) : (char *)"";
    char *msg = sh_strf("the spec \"%s\" fails\n%s", name + strspn(name, ": "), rest);
    cJSON *fault = sh_reload_fault(file, number, msg);
    free(msg);
    return fault;
}

static cJSON *run_specs(const struct sh_config *c)
{
    char *argv[] = {"switchhook", "test",     "--rules", c->rules, "--scripts",
                    c->scripts,   "--config", c->file,   NULL};
    struct sh_error err;
    struct sh_buf said;
    int code = 0;
    cJSON *fault = NULL;
    if (!c->file)
        argv[6] = NULL;
    sh_buf_init(&said, SAID_BYTES);
    bool ran = sh_capture("/proc/self/exe", argv, c->reload_spec_ms, sh_task_cancelled, &said,
                          &code, &err);
    char *words =
        ran ? last_words(&said) : sh_strf("the specs did not come to an end: %s", err.msg);
    if (!ran)
        fault = sh_reload_fault("specs", 0, words);
    else if (code != 0)
        fault = spec_fault(words);
    free(words);
    sh_buf_free(&said);
    return fault;
}

cJSON *sh_reload_specs(const struct sh_config *config, const char *id)
{
    struct sh_error err;
    cJSON *fault = run_specs(config);
    if (fault)
        return fault;
    struct sh_generation *now = sh_reload_read(config, NULL, &err);
    if (!now || strcmp(now->id, id) != 0)
        fault = sh_reload_fault(config->rules, 0,
                                "the files changed while the specs ran; they are read again");
    sh_generation_free(now);
    return fault;
}

/* --- what nobody would handle ------------------------------------------------------------------
 */

static bool is_handled(const cJSON *rules, const char *type)
{
    const cJSON *rule, *on;
    cJSON_ArrayForEach(rule, rules)
    {
        cJSON_ArrayForEach(on, sh_json_member(rule, "on"))
        {
            if (cJSON_IsString(on) &&
                sh_event_glob(sh_slice_str(on->valuestring), sh_slice_str(type)))
                return true;
        }
    }
    return false;
}

static void warn(cJSON *warnings, const char *type, int64_t timers, int64_t callbacks)
{
    const bool many = timers + callbacks != 1;
    char *msg =
        sh_strf("%" PRId64 " waiting %s will emit \"%s\", which no rule is for",
                timers ? timers : callbacks,
                timers ? (many ? "timers" : "timer") : (many ? "callbacks" : "callback"), type);
    cJSON_AddItemToArray(warnings, sh_reload_fault("", 0, msg));
    free(msg);
}

void sh_reload_orphans(const struct sh_config *config, const cJSON *report, cJSON *warnings)
{
    const cJSON *rules = sh_json_member(report, "rules");
    struct sh_error err;
    struct sh_store_view *view = sh_store_view_open(config->data, &err);
    cJSON *waiting = view ? sh_store_view_waiting(view, &err) : NULL;
    const cJSON *row;
    if (!waiting)
        sh_warn("cannot see what waits for the rules", "error", err.msg);
    cJSON_ArrayForEach(row, waiting)
    {
        int64_t timers = 0, callbacks = 0;
        const char *type = sh_json_string(row, "type");
        (void)!sh_json_get_int(sh_json_member(row, "timers"), &timers);
        (void)!sh_json_get_int(sh_json_member(row, "callbacks"), &callbacks);
        if (type && !is_handled(rules, type))
            warn(warnings, type, timers, callbacks);
    }
    cJSON_Delete(waiting);
    sh_store_view_close(view);
}
