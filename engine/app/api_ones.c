/* SPDX-License-Identifier: MIT
 * api_ones.c: one thing, whole. */
#include "app/api_impl.h"

#include "app/api_show.h"
#include "core/recent.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MOST 100 /* runs, callbacks, deliveries and emitted events shown with an event */
#define BODY_MAX  ((size_t)1 << 30)

/* --- an event -----------------------------------------------------------------------------------
 */

/* Rows that belong to an event, into the member `name`; where there are more of them than are
 * shown, the name is noted. */
static bool add_rows(cJSON *event, cJSON *cut, const char *name, struct sh_store_view *v,
                     const struct sh_list_query *q, struct sh_page page, struct sh_error *err)
{
    page.limit = LIST_MOST;
    page.max_bytes = SH_API_PAGE_BYTES;
    page.ascending = true;
    if (!sh_store_view_page(v, q, &page, err))
        return false;
    cJSON_AddItemToObject(event, name, page.rows);
    if (page.next)
        cJSON_AddItemToArray(cut, cJSON_CreateString(name));
    free(page.next);
    return true;
}

/* What tells one of several events apart; takes row. */
static cJSON *brief(cJSON *row)
{
    static const char *const names[] = {"id", "type", "state", "received_at"};
    cJSON *out = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        cJSON_AddItemToObject(out, names[i],
                              cJSON_DetachItemFromObjectCaseSensitive(row, names[i]));
    cJSON_Delete(row);
    return out;
}

#define SAME_KEY_MOST  25   /* events on each side */
#define SAME_KEY_LOOKS 3000 /* that are looked at on each side */

/* The events of the same source and key near this one, oldest first. */
static bool add_same_key(cJSON *event, cJSON *cut, struct sh_store_view *v, int64_t order,
                         struct sh_error *err)
{
    const struct sh_list_query q = {.what = SH_LIST_EVENTS,
                                    .source = sh_json_string(event, "source"),
                                    .key = sh_json_string(event, "key")};
    char *place = sh_strf("%lld:", (long long)order);
    cJSON *all = cJSON_CreateArray();
    bool ok = true, more = false;
    const bool own = !q.key || !q.key[0]; /* without a key there are none */
    for (int ascending = 0; !own && ok && ascending < 2; ascending++) {
        struct sh_page page = {.ascending = ascending,
                               .limit = SAME_KEY_MOST,
                               .max_bytes = SH_API_PAGE_BYTES,
                               .max_looks = SAME_KEY_LOOKS,
                               .after = place};
        ok = sh_store_view_page(v, &q, &page, err);
        for (cJSON *row; ok && (row = cJSON_DetachItemFromArray(page.rows, 0)) != NULL;)
            cJSON_InsertItemInArray(all, ascending ? cJSON_GetArraySize(all) : 0, brief(row));
        more = more || (ok && page.next);
        if (ok)
            free(page.next);
        cJSON_Delete(ok ? page.rows : NULL);
    }
    cJSON_AddItemToObject(event, "same_key", all);
    if (more)
        cJSON_AddItemToArray(cut, cJSON_CreateString("same_key"));
    free(place);
    return ok;
}

static bool add_show(const struct sh_api_call *c, cJSON *event, struct sh_store_view *v,
                     int64_t order, const struct sh_masking *mask, struct sh_error *err)
{
    const char *source = sh_json_string(event, "source");
    struct sh_recent *r = sh_recent_open(v, 0, err);
    if (!r)
        return false;
    cJSON *body = sh_recent_json(r, order, SH_SHOW_BODY_BYTES);
    cJSON_AddItemToObject(event, "show", sh_show(c->api->config.config, mask, source, body));
    cJSON_Delete(body);
    sh_recent_close(r);
    return true;
}

static bool add_related(const struct sh_api_call *c, cJSON *event, struct sh_store_view *v,
                        const struct sh_masking *mask, struct sh_error *err)
{
    const char *id = c->segment[0];
    struct sh_id order;
    cJSON *cut = cJSON_CreateArray();
    const struct sh_list_query runs = {.what = SH_LIST_RUNS, .event_id = id};
    const struct sh_list_query callbacks = {.what = SH_LIST_CALLBACKS, .event_id = id};
    const struct sh_list_query outbox = {.what = SH_LIST_OUTBOX, .event_id = id};
    const struct sh_list_query emitted = {.what = SH_LIST_EVENTS, .cause = id};
    const int64_t seq = sh_id_parse(id, strlen(id), &order) ? sh_id_order(order) : 0;
    /* what it emitted has come after it: only so many events behind it are looked at */
    char *behind = seq ? sh_strf("%lld:", (long long)seq) : NULL;
    bool ok =
        add_rows(event, cut, "runs", v, &runs, (struct sh_page){.whole = true}, err) &&
        add_rows(event, cut, "callbacks", v, &callbacks, (struct sh_page){0}, err) &&
        add_rows(event, cut, "outbox", v, &outbox, (struct sh_page){0}, err) &&
        add_rows(event, cut, "emitted", v, &emitted, (struct sh_page){.after = behind}, err) &&
        add_same_key(event, cut, v, seq, err) && add_show(c, event, v, seq, mask, err);
    free(behind);
    cJSON_AddItemToObject(event, "incomplete", cut);
    return ok;
}

static void answer_event(const struct sh_api_call *c, struct sh_store_view *v,
                         struct sh_api_answer *a)
{
    const char *id = c->segment[0];
    cJSON *event = sh_store_view_get(v, SH_LIST_EVENTS, NULL, id, &a->err);
    if (event && !add_related(c, event, v, a->mask, &a->err)) {
        cJSON_Delete(event);
        event = NULL;
    }
    sh_api_answer_tree(a, event);
}

static void get_event(struct sh_api_call *c)
{
    sh_api_read(c, answer_event);
}

static void answer_raw(const struct sh_api_call *c, struct sh_store_view *v,
                       struct sh_api_answer *a)
{
    a->text.max = BODY_MAX;
    a->type = "application/octet-stream";
    if (sh_store_view_body(v, c->segment[0], &a->text, &a->err))
        a->download = sh_strf("%s.bin", c->segment[0]); /* it is an id, then */
}

/* Bytes of whatever form cannot be masked. */
static void get_raw(struct sh_api_call *c)
{
    if (sh_api_mask(c)) {
        sh_api_fail(c, 403, "masked",
                    "raw bytes cannot be masked, and a viewer sees only what is (mask.viewers)");
        return;
    }
    sh_api_read(c, answer_raw);
}

/* --- a row ---------------------------------------------------------------------------------------
 */

static void answer_record(const struct sh_api_call *c, struct sh_store_view *v,
                          struct sh_api_answer *a)
{
    sh_api_answer_tree(
        a, sh_store_view_get(v, SH_LIST_RECORDS, c->segment[0], c->segment[1], &a->err));
}

static void get_record(struct sh_api_call *c)
{
    sh_api_read(c, answer_record);
}

static void answer_callback(const struct sh_api_call *c, struct sh_store_view *v,
                            struct sh_api_answer *a)
{
    sh_api_answer_tree(a, sh_store_view_get(v, SH_LIST_CALLBACKS, NULL, c->segment[0], &a->err));
}

static void get_callback(struct sh_api_call *c)
{
    sh_api_read(c, answer_callback);
}

static void answer_item(const struct sh_api_call *c, struct sh_store_view *v,
                        struct sh_api_answer *a)
{
    sh_api_answer_tree(a, sh_store_view_get(v, SH_LIST_OUTBOX, NULL, c->segment[0], &a->err));
}

static void get_item(struct sh_api_call *c)
{
    sh_api_read(c, answer_item);
}

/* --- a rule set
 * ------------------------------------------------------------------------------------ */

static const char *const generation_params[] = {"file", NULL};

static void answer_file(const struct sh_generation *g, const char *name, struct sh_api_answer *a)
{
    for (size_t i = 0; i < g->n_files; i++) {
        if (strcmp(g->files[i].name, name) != 0)
            continue;
        a->type = "text/plain; charset=utf-8";
        sh_buf_add(&a->text, g->files[i].text, g->files[i].len);
        return;
    }
    sh_error_set(&a->err, SH_ENOTFOUND, "generation %s has no file \"%.100s\"", g->id, name);
}

static cJSON *files_tree(const struct sh_generation *g)
{
    cJSON *tree = cJSON_CreateObject();
    cJSON_AddStringToObject(tree, "generation", g->id);
    cJSON *files = cJSON_AddArrayToObject(tree, "files");
    for (size_t i = 0; i < g->n_files; i++) {
        cJSON *file = cJSON_CreateObject();
        cJSON_AddStringToObject(file, "file", g->files[i].name);
        cJSON_AddNumberToObject(file, "bytes", (double)g->files[i].len);
        cJSON_AddBoolToObject(file, "is_rule", g->files[i].is_rule);
        cJSON_AddItemToArray(files, file);
    }
    return tree;
}

static void answer_generation(const struct sh_api_call *c, struct sh_store_view *v,
                              struct sh_api_answer *a)
{
    const char *file = sh_api_param(c, "file");
    struct sh_generation *g = sh_store_view_generation(v, c->segment[0], &a->err);
    if (g && file)
        answer_file(g, file, a);
    else if (g)
        sh_api_answer_tree(a, files_tree(g));
    sh_generation_free(g);
}

static void get_generation(struct sh_api_call *c)
{
    sh_api_read(c, answer_generation);
}

/* --- routes
 * ---------------------------------------------------------------------------------------- */

#define ONE(path, known, handler, text)                                                            \
    {                                                                                              \
        .method = SH_HTTP_GET, .pattern = "/api/v1/" path, .role = SH_ROLE_VIEWER,                 \
        .params = (known), .fn = (handler), .summary = (text)                                      \
    }

static const struct sh_api_route list[] = {
    ONE("events/{id}", NULL, get_event, "An event and what came of it"),
    ONE("events/{id}/raw", NULL, get_raw, "The bytes of an event as they came"),
    ONE("records/{collection}/{id}", NULL, get_record, "A record"),
    ONE("callbacks/{id}", NULL, get_callback, "A callback and its history"),
    ONE("outbox/{id}", NULL, get_item, "A delivery"),
    ONE("generations/{id}", generation_params, get_generation,
        "The files of a rule set, or the text of one"),
};

const struct sh_api_routes sh_api_one_routes = {list, sizeof(list) / sizeof(*list)};
