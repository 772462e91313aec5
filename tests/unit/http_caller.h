/* SPDX-License-Identifier: MIT
 * http_caller.h: calls of the HTTP client, their answers kept. */
#ifndef HTTP_CALLER_H
#define HTTP_CALLER_H

#include "http_peer.h"

struct kept { /* an answer, copied */
    struct sh_http_answer a;
    char *headers, *body;
    size_t index;
};

struct caller {
    struct ticking t;
    struct sh_reach *reach;
    struct sh_http_client *client;
    struct kept kept[400];
    size_t n_kept, wanted;
};

/* entries: separated by a space. */
static inline void caller_open(struct caller *w, const char *entries,
                               const struct sh_http_client_config *config)
{
    char text[300];
    const char *list[16];
    size_t n = 0;
    struct sh_error err;
    *w = (struct caller){0};
    ticking_open(&w->t);
    snprintf(text, sizeof(text), "%s", entries);
    for (char *rest = text, *word; (word = strsep(&rest, " "));)
        list[n++] = word;
    w->reach = sh_reach_new(list, n, &err);
    assert_non_null(w->reach);
    struct sh_http_client_config c = config ? *config : (struct sh_http_client_config){0};
    c.reach = w->reach;
    c.user_agent = "switchhook-test";
    w->client = sh_http_client_new(w->t.base, &c, &err);
    assert_non_null(w->client);
}

static inline void caller_forget(struct caller *w)
{
    for (size_t i = 0; i < w->n_kept; i++) {
        free(w->kept[i].headers);
        free(w->kept[i].body);
    }
    w->n_kept = 0;
}

static inline void caller_close(struct caller *w)
{
    sh_http_client_free(w->client);
    sh_reach_free(w->reach);
    ticking_close(&w->t);
    caller_forget(w);
}

static inline void caller_keep(struct caller *w, const struct sh_http_answer *a, size_t index)
{
    struct kept *k = &w->kept[w->n_kept++];
    *k = (struct kept){.a = *a, .index = index};
    k->headers = sh_slice_dup(a->headers);
    k->body = sh_slice_dup(a->body);
    if (w->n_kept == w->wanted)
        sh_loop_stop(w->t.base);
}

static inline void caller_on_done(void *arg, const struct sh_http_answer *a)
{
    struct caller *w = arg;
    assert_true(w->wanted > w->n_kept); /* never from within the start */
    caller_keep(w, a, 0);
}

/* Wait for n answers in all. */
static inline void caller_wait(struct caller *w, size_t n)
{
    w->wanted = n;
    if (w->n_kept < n)
        ticking_run(&w->t);
    w->wanted = 0;
}

static inline struct sh_http_call *caller_begin(struct caller *w,
                                                const struct sh_http_request_out *r)
{
    return sh_http_client_start(w->client, r, caller_on_done, w);
}

static inline const struct kept *caller_call(struct caller *w, const struct sh_http_request_out *r)
{
    caller_forget(w);
    (void)caller_begin(w, r);
    caller_wait(w, 1);
    assert_int_equal(sh_http_client_open(w->client), 0);
    return &w->kept[0];
}

/* GET http://127.0.0.1:port/path, 64 KiB of body, 5 s */
static inline const struct kept *caller_get(struct caller *w, int port, const char *path)
{
    char url[300];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    return caller_call(w, &(struct sh_http_request_out){
                              .method = "GET",
                              .url = url,
                              .timeout_ms = 5000,
                              .max_answer_bytes = 65536,
                          });
}

static inline void expect_answer(const struct kept *k, int status, const char *body)
{
    if (k->a.end != SH_HTTP_ANSWERED || k->a.status != status || strcmp(k->body, body) != 0)
        fail_msg("end %d, status %d, \"%.200s\", \"%s\"; expected %d, \"%.200s\"", (int)k->a.end,
                 k->a.status, k->body, k->a.error, status, body);
}

static inline void expect_end(const struct kept *k, int end, const char *says)
{
    if ((int)k->a.end != end || !strstr(k->a.error, says) || k->a.retry_after_ms != -1)
        fail_msg("end %d, status %d, \"%s\"; expected %d, \"%s\"", (int)k->a.end, k->a.status,
                 k->a.error, end, says);
}

#endif
