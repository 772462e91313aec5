/* SPDX-License-Identifier: MIT
 * feed.c: from a calendar program's request to the store and back. */
#include "app/feed.h"

#include "app/ingress.h"
#include "base/log.h"
#include "svc/crypto.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FOLDER       "/calendar/"
#define SUFFIX       ".ics"
#define MAX_TOKEN    64
#define MEDIA_TYPE   "text/calendar; charset=utf-8"
#define NOT_FOUND    404, "not_found", "there is no such calendar"
#define KEEP         "private, max-age=300"
#define ETAG_DIGITS  32
#define TOKEN_LETTER "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

struct question {
    struct sh_op_feed op;
    struct sh_feed *feed;
    struct sh_http_request *req;
    char token[MAX_TOKEN + 1];
    TAILQ_ENTRY(question) link;
};

struct sh_feed {
    struct sh_store *store;
    sh_http_handler_fn *other;
    void *arg;
    TAILQ_HEAD(, question) open;
    size_t n_open;
};

static void question_free(struct sh_feed *f, struct question *q)
{
    TAILQ_REMOVE(&f->open, q, link);
    f->n_open--;
    free(q->op.assignee);
    sh_buf_free(&q->op.calendar);
    free(q);
}

/* --- answers -------------------------------------------------------------------------------- */

/* A strong entity tag (RFC 9110 8.8.3): the text's own hash. */
static void tag_of(const struct sh_buf *text, char out[ETAG_DIGITS + 3])
{
    const struct sh_slice part = sh_slice(text->data, text->len);
    uint8_t hash[SH_SHA256_BYTES];
    sh_sha256(&part, 1, hash);
    out[0] = '"';
    sh_hex(hash, ETAG_DIGITS / 2, out + 1);
    memcpy(out + 1 + ETAG_DIGITS, "\"", 2);
}

/* Does If-None-Match name it? Compared weakly, as RFC 9110 13.1.2 asks. */
static bool is_known(const char *header, const char *tag)
{
    if (!header)
        return false;
    header += strspn(header, " \t");
    if (strcmp(header, "*") == 0)
        return true;
    const size_t n = strlen(tag);
    while (*header) {
        header += strspn(header, " \t,");
        header += strncmp(header, "W/", 2) == 0 ? 2 : 0;
        if (strncmp(header, tag, n) == 0 && strchr(" \t,", header[n]))
            return true; /* strchr finds the end of the text too */
        header += strcspn(header, ",");
    }
    return false;
}

static void show(struct question *q)
{
    char tag[ETAG_DIGITS + 3];
    const struct sh_buf *text = &q->op.calendar;
    tag_of(text, tag);
    sh_http_add_header(q->req, "ETag", tag);
    sh_http_add_header(q->req, "Cache-Control", KEEP);
    sh_http_add_header(q->req, "X-Content-Type-Options", "nosniff");
    if (is_known(sh_http_header(q->req, "If-None-Match"), tag))
        sh_http_reply(q->req, 304, MEDIA_TYPE, sh_slice("", 0));
    else
        sh_http_reply(q->req, 200, MEDIA_TYPE, sh_slice(text->data, text->len));
}

static void on_found(struct sh_op *op)
{
    struct question *q = op->arg;
    if (!op->ok && op->err.code != SH_ENOTFOUND) {
        sh_warn("a calendar feed could not be read", "error", op->err.msg);
        sh_ingress_reply_error(q->req, 503, "store_failed",
                               "the calendar cannot be read now; ask again later");
    } else if (!op->ok || !q->op.assignee) {
        sh_ingress_reply_error(q->req, NOT_FOUND);
    } else {
        show(q);
    }
    question_free(q->feed, q);
}

/* --- requests ------------------------------------------------------------------------------- */

/* The token in a path; false if nothing there can be one. */
static bool token_of(const char *path, char out[MAX_TOKEN + 1])
{
    const char *from = path + strlen(FOLDER);
    size_t n = strspn(from, TOKEN_LETTER);
    if (n == 0 || n > MAX_TOKEN || strcmp(from + n, SUFFIX) != 0)
        return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

static void ask(struct sh_feed *f, struct sh_http_request *req, const char *token)
{
    struct question *q = sh_alloc(1, sizeof(*q));
    q->feed = f;
    q->req = req;
    memcpy(q->token, token, sizeof(q->token));
    q->op = (struct sh_op_feed){.op = {.kind = SH_OP_FEED, .done = on_found, .arg = q},
                                .token = q->token};
    TAILQ_INSERT_TAIL(&f->open, q, link);
    f->n_open++;
    sh_store_submit(f->store, &q->op.op);
}

static bool is_get(const struct sh_http_request *req)
{
    return sh_http_method(req) == SH_HTTP_GET || sh_http_method(req) == SH_HTTP_HEAD;
}

void sh_feed_request(void *feed, struct sh_http_request *req)
{
    struct sh_feed *f = feed;
    char token[MAX_TOKEN + 1] = "";
    const char *path = sh_http_path(req);
    if (strncmp(path, FOLDER, strlen(FOLDER)) != 0) {
        f->other(f->arg, req);
        return;
    }
    sh_http_add_header(req, "Referrer-Policy", "no-referrer");
    if (!is_get(req)) {
        sh_http_add_header(req, "Allow", "GET, HEAD");
        sh_ingress_reply_error(req, 405, "method_not_allowed", "use GET here");
    } else if (!token_of(path, token)) {
        sh_ingress_reply_error(req, NOT_FOUND);
    } else if (f->n_open >= SH_FEED_AT_ONCE) {
        sh_ingress_reply_error(req, 503, "overloaded",
                               "too many calendars are being read; ask again later");
    } else {
        ask(f, req, token);
    }
}

/* --- life ----------------------------------------------------------------------------------- */

struct sh_feed *sh_feed_new(struct sh_store *store, sh_http_handler_fn *other, void *arg)
{
    struct sh_feed *f = sh_alloc(1, sizeof(*f));
    f->store = store;
    f->other = other;
    f->arg = arg;
    TAILQ_INIT(&f->open);
    return f;
}

void sh_feed_free(struct sh_feed *f)
{
    if (!f)
        return;
    struct question *q = TAILQ_FIRST(&f->open), *next;
    for (; q; q = next) {
        next = TAILQ_NEXT(q, link);
        question_free(f, q);
    }
    free(f);
}
