/* SPDX-License-Identifier: MIT
 * api_read.c: a call's way to the reader's thread and back, and cursors. */
#include "app/api_impl.h"

#include "base/utf8.h"
#include "svc/base64.h"
#include "svc/json.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CURSOR_BYTES  SH_API_SEALED_BYTES
#define CURSOR_OPEN   1
#define CURSOR_SEALED 2
#define CURSOR_HEAD   5 /* version, hash */

/* --- there and back ------------------------------------------------------------------------- */

static struct sh_api_call *call_of(struct sh_api_job *job)
{
    return (struct sh_api_call *)((char *)job - offsetof(struct sh_api_call, job));
}

static void work(struct sh_api_job *job, struct sh_store_view *v, const struct sh_error *err)
{
    struct sh_api_call *c = call_of(job);
    if (v)
        c->read(c, v, &c->answer);
    else
        sh_error_set(&c->answer.err, SH_ESYS, "%s", err->msg);
    if (!sh_buf_ok(&c->answer.text) && c->answer.err.code == SH_OK)
        sh_error_set(&c->answer.err, SH_ELIMIT, "the answer would take more than %zu bytes",
                     c->answer.text.max);
}

static void done(struct sh_api_job *job, bool begun)
{
    struct sh_api_call *c = call_of(job);
    struct sh_api_answer *a = &c->answer;
    if (!begun) {
        sh_api_fail(c, 503, "stopping", "the engine is stopping");
    } else if (a->err.code == SH_ELIMIT) {
        sh_api_fail(c, 413, "answer_too_large", "%s", a->err.msg);
    } else if (a->err.code == SH_EINVAL) {
        sh_api_fail(c, 400, "bad_parameter", "%s", a->err.msg);
    } else if (a->err.code != SH_OK) {
        sh_api_fail_store(c, &a->err);
    } else {
        char *how = a->download ? sh_strf("attachment; filename=\"%s\"", a->download) : NULL;
        if (how)
            sh_api_header(c, "Content-Disposition", how);
        free(how);
        sh_api_reply_text(c, 200, a->type, sh_slice(a->text.data, a->text.len));
    }
}

const struct sh_masking *sh_api_mask(const struct sh_api_call *c)
{
    const struct sh_config *config = c->api->config.config;
    return c->caller.role == SH_ROLE_VIEWER && config->mask_viewers ? &config->mask : NULL;
}

uint64_t sh_api_whose(const struct sh_api_call *c)
{
    uint64_t whose;
    memcpy(&whose, c->caller.token, sizeof(whose));
    return whose;
}

void sh_api_read(struct sh_api_call *c, sh_api_read_fn *fn)
{
    c->read = fn;
    c->job = (struct sh_api_job){.work = work, .done = done, .whose = sh_api_whose(c)};
    sh_buf_init(&c->answer.text, SH_API_ANSWER_BYTES);
    c->answer.mask = sh_api_mask(c);
    if (!sh_api_reader_add(c->api->reader, &c->job))
        sh_api_fail(c, 503, "overloaded", "too many questions are being answered; ask again later");
}

void sh_api_answer_tree(struct sh_api_answer *a, cJSON *tree)
{
    if (a->mask)
        sh_mask_json(a->mask, tree);
    if (tree && !sh_json_print(tree, &a->text) && sh_buf_ok(&a->text))
        sh_error_set(&a->err, SH_ESYS, "the answer cannot be written as JSON");
    cJSON_Delete(tree);
}

/* --- cursors ---------------------------------------------------------------------------------- */

static uint32_t hash(uint32_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619U; /* FNV-1a */
    return (h ^ 0xff) * 16777619U;
}

/* Of the path and the filters, in whatever order they came. */
static uint32_t hash_of(const struct sh_api_call *c)
{
    uint32_t all = hash(2166136261U, c->route->pattern);
    for (size_t i = 0; i < SH_API_SEGMENTS && c->segment[i]; i++)
        all = hash(all, c->segment[i]);
    for (size_t i = 0; i < c->n_params; i++) {
        const struct sh_api_param *p = &c->param[i];
        if (strcmp(p->name, "cursor") != 0 && strcmp(p->name, "limit") != 0)
            all ^= hash(hash(2166136261U, p->name), p->value);
    }
    return all;
}

/* A record's place is its id, which may be a number. Whoever may not see it may not read it out of
 * a cursor either, nor find it by cursors of its own making. */
static bool is_sealed(const struct sh_api_call *c)
{
    static const char records[] = "/api/v1/records/";
    return sh_api_mask(c) && strncmp(c->route->pattern, records, sizeof(records) - 1) == 0;
}

char *sh_api_cursor(const struct sh_api_call *c, const char *next)
{
    struct sh_buf bytes, text;
    const bool sealed = is_sealed(c);
    const uint32_t h = hash_of(c);
    if (!next)
        return NULL;
    sh_buf_init(&bytes, CURSOR_BYTES);
    sh_buf_init(&text, CURSOR_BYTES * 2);
    sh_buf_u8(&bytes, sealed ? CURSOR_SEALED : CURSOR_OPEN);
    for (int i = 0; i < 4; i++)
        sh_buf_u8(&bytes, (uint8_t)(h >> (8 * i)));
    if (sealed)
        sh_api_seal(c->api, sh_slice(&h, sizeof(h)), sh_slice_str(next), &bytes);
    else
        sh_buf_adds(&bytes, next);
    sh_base64_write(&text, sh_slice(bytes.data, bytes.len), SH_BASE64_URL);
    sh_require(sh_buf_ok(&bytes) && sh_buf_ok(&text));
    sh_buf_free(&bytes);
    return sh_buf_take(&text, &(size_t){0});
}

static bool unseal(const struct sh_api_call *c, uint32_t h, struct sh_slice sealed, char **after)
{
    struct sh_buf place;
    sh_buf_init(&place, CURSOR_BYTES);
    const bool ok = sh_api_unseal(c->api, sh_slice(&h, sizeof(h)), sealed, &place);
    if (ok)
        *after = sh_slice_dup(sh_slice(place.data, place.len));
    sh_buf_free(&place);
    return ok;
}

/* What a cursor's bytes say, or why they say nothing. */
static const char *open_cursor(const struct sh_api_call *c, const struct sh_buf *bytes,
                               char **after)
{
    const uint8_t *p = (const uint8_t *)bytes->data;
    const bool sealed = is_sealed(c);
    if (bytes->len <= CURSOR_HEAD || p[0] != (sealed ? CURSOR_SEALED : CURSOR_OPEN))
        return "it is none that this API gave out";
    const uint32_t h =
        (uint32_t)p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 24;
    if (h != hash_of(c))
        return "it belongs to another list, or to other filters";
    const struct sh_slice rest = sh_slice(bytes->data + CURSOR_HEAD, bytes->len - CURSOR_HEAD);
    if (sealed && !unseal(c, h, rest, after))
        return "it is none that this API gave out since it was started";
    if (sealed)
        return NULL;
    if (!sh_utf8_ok(rest))
        return "it is none that this API gave out";
    *after = sh_slice_dup(rest);
    return NULL;
}

static const char *decode_cursor(const struct sh_api_call *c, const char *text, char **after)
{
    struct sh_buf bytes;
    const char *why = "it is none that this API gave out";
    sh_buf_init(&bytes, CURSOR_BYTES);
    if (sh_base64_read(&bytes, sh_slice_str(text), SH_BASE64_URL))
        why = open_cursor(c, &bytes, after);
    sh_buf_free(&bytes);
    return why;
}

bool sh_api_read_cursor(struct sh_api_call *c, char **after)
{
    const char *text = sh_api_param(c, "cursor");
    *after = NULL;
    const char *why = text ? decode_cursor(c, text, after) : NULL;
    if (why)
        sh_api_fail_at(c, 400, "bad_cursor", "parameter", "cursor", "cursor: %s", why);
    return !why;
}

cJSON *sh_api_list_tree(const struct sh_api_call *c, cJSON *rows, char *next)
{
    cJSON *tree = cJSON_CreateObject();
    char *cursor = sh_api_cursor(c, next);
    cJSON_AddItemToObject(tree, "items", rows);
    cJSON_AddItemToObject(tree, "next_cursor",
                          cursor ? cJSON_CreateString(cursor) : cJSON_CreateNull());
    free(cursor);
    free(next);
    return tree;
}
