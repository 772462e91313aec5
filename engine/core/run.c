/* SPDX-License-Identifier: MIT
 * run.c: names and codecs of jobs, runs and reads. */
#include "core/run.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "svc/json.h"

const char *sh_outcome_name(enum sh_outcome o)
{
    static const char *const names[] = {
        "?", "done", "failed", "gone", "skipped_on", "skipped_when", "retry", "dead", "paused"};
    return (size_t)o < sizeof(names) / sizeof(*names) ? names[o] : "?";
}

const char *sh_rule_state_name(enum sh_rule_state s)
{
    static const char *const names[] = {"on", "paused", "resuming"};
    return (size_t)s < sizeof(names) / sizeof(*names) ? names[s] : "?";
}

void sh_read_request_write(struct sh_buf *out, const struct sh_read_request *q)
{
    sh_buf_u8(out, (uint8_t)q->kind);
    sh_buf_bytes(out, q->collection);
    sh_buf_bytes(out, q->kind == SH_READ_GET ? q->id : q->query);
}

bool sh_read_request_read(struct sh_reader *r, struct sh_read_request *q)
{
    *q = (struct sh_read_request){.kind = (enum sh_read_kind)sh_read_u8(r)};
    q->collection = sh_read_bytes(r);
    struct sh_slice rest = sh_read_bytes(r);
    bool http = q->kind == SH_READ_HTTP;
    if (r->bad || (q->collection.n == 0) != http || q->collection.n > SH_MAX_COLLECTION_BYTES ||
        !sh_utf8_ok(q->collection))
        return false;
    if (q->kind == SH_READ_GET) {
        q->id = rest;
        return rest.n > 0 && rest.n <= SH_MAX_RECORD_ID_BYTES && sh_utf8_ok(rest);
    }
    struct sh_json_fault fault;
    q->query = rest;
    return (q->kind == SH_READ_FIND || http) && rest.n > 0 && rest.n <= SH_MAX_DOC_BYTES &&
           sh_json_check(rest.p, rest.n, &fault);
}

void sh_read_mark_write(struct sh_buf *out, const struct sh_read_mark *m)
{
    sh_read_request_write(out, &m->request);
    sh_buf_u64(out, m->mark);
    if (m->request.kind == SH_READ_HTTP)
        sh_buf_bytes(out, m->answer);
}

bool sh_read_mark_read(struct sh_reader *r, struct sh_read_mark *m)
{
    if (!sh_read_request_read(r, &m->request))
        return false;
    m->mark = sh_read_u64(r);
    m->answer = m->request.kind == SH_READ_HTTP ? sh_read_bytes(r) : (struct sh_slice){0};
    struct sh_json_fault fault;
    return !r->bad &&
           (m->request.kind != SH_READ_HTTP || sh_json_check(m->answer.p, m->answer.n, &fault));
}
