/* SPDX-License-Identifier: MIT
 * api_impl.h: what the files of the API share; nobody else includes it.
 *
 * To add an endpoint: a handler, a row in a table of routes, the table in api_routes.c, and the
 * path in docs/openapi.json, which a test compares with the tables. */
#ifndef SH_APP_API_IMPL_H
#define SH_APP_API_IMPL_H

#include "app/api.h"
#include "app/api_reader.h"

#include <cjson/cJSON.h>
#include <sys/queue.h>

#define SH_API_SESSION_PATH "/api/v1/session"

#define SH_API_SEGMENTS   2                  /* {..} in a pattern */
#define SH_API_PARAMS     16                 /* in one query */
#define SH_API_BODY_BYTES ((size_t)64 << 10) /* of a request */

struct sh_api_call;
typedef void sh_api_fn(struct sh_api_call *c);

/* In the order in which one reads it. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct sh_api_route {
    enum sh_http_method method; /* GET serves HEAD too */
    const char *pattern;        /* "/api/v1/events/{id}": {..} is one segment, not empty */
    enum sh_role role;          /* the least one; NONE: also who is not known (log-in alone) */
    const char *const *params;  /* known in the query, NULL-terminated; NULL: none */
    const char *const *fields;  /* known in the body's object, NULL-terminated; NULL: no body */
    size_t body_bytes;          /* of the body at most; 0: SH_API_BODY_BYTES */
    sh_api_fn *fn;              /* answers, now or later, exactly once */
    const char *summary;
};
struct sh_api_routes {
    const struct sh_api_route *list;
    size_t n;
};
/* Every table of routes, NULL-terminated. */
extern const struct sh_api_routes *const sh_api_all[];
extern const struct sh_api_routes sh_api_engine_routes;    /* api_engine.c */
extern const struct sh_api_routes sh_api_list_routes;      /* api_lists.c */
extern const struct sh_api_routes sh_api_attention_routes; /* api_attention.c */
extern const struct sh_api_routes sh_api_call_routes;      /* api_calls.c */
extern const struct sh_api_routes sh_api_day_routes;       /* api_day.c */
extern const struct sh_api_routes sh_api_one_routes;       /* api_ones.c */
extern const struct sh_api_routes sh_api_rule_routes;      /* api_rules.c */
extern const struct sh_api_routes sh_api_write_routes;     /* api_write.c */
extern const struct sh_api_routes sh_api_privacy_routes;   /* api_privacy.c */
extern const struct sh_api_routes sh_api_session_routes;   /* api_session.c */
extern const struct sh_api_routes sh_api_series_routes;    /* api_series.c */
extern const struct sh_api_routes sh_api_live_routes;      /* api_live.c */
extern const struct sh_api_routes sh_api_try_routes;       /* api_try.c */

/* docs/openapi.json, in the binary. */
extern const unsigned char sh_embed_openapi[];
extern const size_t sh_embed_openapi_size;

struct sh_api {
    struct sh_api_config config;
    struct sh_api_reader *reader;
    struct sh_playground *playground;
    struct sh_api_tokens *tokens; /* api_token.h */
    struct sh_sessions *sessions; /* session.h */
    struct sh_api_live *live;     /* api_live.h */
    TAILQ_HEAD(, sh_api_call) calls;
    size_t n_calls;
    bool stopped;
    int64_t log_second; /* lines about refusals are rationed */
    int log_lines;
    uint8_t cursor_key[32]; /* of sh_api_seal(); random, of this process */
};

struct sh_api_param {
    char *name, *value; /* owned, decoded, UTF-8 */
};

/* What a question to the store was answered; made on the reader's thread. */
struct sh_api_answer {
    struct sh_buf text;  /* JSON, or what type says */
    const char *type;    /* NULL: JSON; constant */
    char *download;      /* owned: the name under which a browser should save it; NULL: none */
    struct sh_error err; /* code SH_OK: none, else the text is not sent */
    const struct sh_masking *mask; /* what this caller may not see; NULL: all may be seen */
};
#define SH_API_ANSWER_BYTES ((size_t)8 << 20) /* of one answer in JSON */
#define SH_API_PAGE_BYTES   ((size_t)1 << 20) /* of the rows of one page, about */

/* On the reader's thread: c may be read, not changed. */
typedef void sh_api_read_fn(const struct sh_api_call *c, struct sh_store_view *v,
                            struct sh_api_answer *a);

/* A request under way. Gone after the one answer. */
struct sh_api_call {
    struct sh_api *api;
    struct sh_http_request *req;
    struct sh_api_caller caller; /* texts owned */
    const struct sh_api_route *route;
    char *segment[SH_API_SEGMENTS]; /* owned, decoded, UTF-8 */
    struct sh_api_param param[SH_API_PARAMS];
    size_t n_params;
    cJSON *body;              /* the body's object; NULL: the route takes none, or none was sent */
    void *data;               /* the handler's own */
    void (*drop)(void *data); /* frees it when the call is gone; may be NULL */
    struct sh_api_job job;    /* sh_api_read() */
    sh_api_read_fn *read;
    struct sh_api_answer answer;
    TAILQ_ENTRY(sh_api_call) link;
};

/* --- api_request.c: strict reading. False: the call is answered and gone -------------------- */
bool sh_api_read_query(struct sh_api_call *c) SH_WARN_UNUSED;
/* Also that each parameter is one of the route's. */
bool sh_api_check_params(struct sh_api_call *c) SH_WARN_UNUSED;
bool sh_api_read_body(struct sh_api_call *c) SH_WARN_UNUSED;
/* %XX decoded, and + as a blank where plus; NULL: a bad escape, NUL, or not UTF-8. Caller frees. */
char *sh_api_decode(struct sh_slice raw, bool plus) SH_WARN_UNUSED;

/* A parameter's text, or NULL if it was not given. Borrowed. */
const char *sh_api_param(const struct sh_api_call *c, const char *name);
/* The same read as a whole number of min..max or a time (RFC 3339, or a duration such as "2h" back
 * from now); *out stays as it was if it was not given. False: the call is answered and gone. */
bool sh_api_param_int(struct sh_api_call *c, const char *name, int64_t min, int64_t max,
                      int64_t *out) SH_WARN_UNUSED;
bool sh_api_param_time(struct sh_api_call *c, const char *name, int64_t *out_ms) SH_WARN_UNUSED;
/* One of words (NULL-terminated), if it was given. False: answered and gone. */
bool sh_api_param_word(struct sh_api_call *c, const char *name,
                       const char *const *words) SH_WARN_UNUSED;

/* --- api_calls.c ------------------------------------------------------------------------------ */
/* The parameter "q": a text to look for; *q NULL if it was not given. False: answered and gone. */
bool sh_api_read_q(struct sh_api_call *c, const char **q) SH_WARN_UNUSED;

/* --- api.c: answers. Each ends the call ----------------------------------------------------- */
void sh_api_header(struct sh_api_call *c, const char *name, const char *value);
void sh_api_reply(struct sh_api_call *c, int status, const cJSON *tree); /* tree borrowed */
void sh_api_reply_text(struct sh_api_call *c, int status, const char *type, struct sh_slice text);
/* {"error":{"code","message"}}; 503 gets Retry-After. */
void sh_api_fail(struct sh_api_call *c, int status, const char *code, const char *fmt, ...)
    SH_PRINTF(4, 5);
/* The same with a member more: "parameter" or "field", and its name. */
void sh_api_fail_at(struct sh_api_call *c, int status, const char *code, const char *member,
                    const char *name, const char *fmt, ...) SH_PRINTF(6, 7);
/* Leave the answer open (http_server.h). The call is gone afterwards. NULL: it is answered. */
struct sh_http_stream *sh_api_stream(struct sh_api_call *c, const char *type, sh_http_gone_fn *gone,
                                     void *arg) SH_WARN_UNUSED;
/* What a failed operation of the store means to a caller: 404, 409, 400, 503. */
void sh_api_fail_store(struct sh_api_call *c, const struct sh_error *err);

/* --- api_read.c: questions to the store ----------------------------------------------------- */
/* Have fn answer on the reader's thread; the call is answered with what it makes. Too many
 * questions: 503. */
void sh_api_read(struct sh_api_call *c, sh_api_read_fn *fn);
/* Whose question that is, to the reader: a token's. */
uint64_t sh_api_whose(const struct sh_api_call *c);
/* What is blanked in answers to this caller; NULL: it may see everything. */
const struct sh_masking *sh_api_mask(const struct sh_api_call *c);
/* On the thread: a tree as the answer; deletes it. NULL: err, if it is set. */
void sh_api_answer_tree(struct sh_api_answer *a, cJSON *tree);

/* Where a page goes on, as clients see it: opaque, and good only for the same path and filters.
 * Cursor: NULL stays NULL; caller frees. */
char *sh_api_cursor(const struct sh_api_call *c, const char *next) SH_WARN_UNUSED;
/* The parameter "cursor" back; *after owned, NULL if it was not given. False: answered and gone. */
bool sh_api_read_cursor(struct sh_api_call *c, char **after) SH_WARN_UNUSED;
/* {"items": rows, "next_cursor": ...}; takes rows and next. */
cJSON *sh_api_list_tree(const struct sh_api_call *c, cJSON *rows, char *next) SH_WARN_UNUSED;

/* --- api_seal.c: places that name what is masked --------------------------------------------- */
#define SH_API_SEALED_BYTES ((size_t)4096)
/* On any thread. head: what the place belongs to. */
void sh_api_seal(const struct sh_api *api, struct sh_slice head, struct sh_slice place,
                 struct sh_buf *out);
/* False: not sealed by this process, or for another head. */
bool sh_api_unseal(const struct sh_api *api, struct sh_slice head, struct sh_slice sealed,
                   struct sh_buf *place) SH_WARN_UNUSED;

/* --- api_gate.c: who is that? --------------------------------------------------------------- */
struct sh_api_refusal {
    int status; /* 401, 403, 503 */
    const char *code, *message;
    const char *reason; /* for the log and the count alone; static */
};
/* Who sent a request on the engine's own address; caller->peer is set. False: nobody who may come
 * in, *why says what to answer. caller's texts are borrowed from req and api. */
bool sh_api_identify(struct sh_api *api, const struct sh_http_request *req,
                     struct sh_api_caller *caller, struct sh_api_refusal *why) SH_WARN_UNUSED;
/* Whose token is that? Wrong ones count against caller->peer. Fills the caller but for its peer. */
bool sh_api_prove(struct sh_api *api, struct sh_slice text, struct sh_api_caller *caller,
                  struct sh_api_refusal *why) SH_WARN_UNUSED;
/* The one answer to whoever has no token that is good; false. */
bool sh_api_refuse_token(struct sh_api_refusal *why, const char *reason);
/* May somebody log in with this request? Not by way of another's web page. */
bool sh_api_may_log_in(struct sh_api *api, const struct sh_http_request *req,
                       struct sh_api_refusal *why) SH_WARN_UNUSED;
/* Refuse a call: noted, counted, answered, gone. */
void sh_api_refuse(struct sh_api_call *c, const struct sh_api_refusal *why);
/* The rule as long as there is no token: a request that came straight from this machine, and not
 * by way of somebody's web page. The caller is then an admin. */
bool sh_api_is_direct(const struct sh_http_request *req, struct sh_api_refusal *why) SH_WARN_UNUSED;
/* Does a query hold what looks like a secret? Such an address stands in logs and histories. */
bool sh_api_has_token(const char *query) SH_WARN_UNUSED;
/* The caller's role as the audit table has it: "local" by the control socket. Static. */
const char *sh_api_audit_role(const struct sh_api_caller *caller);

#endif
