/* SPDX-License-Identifier: MIT
 * api_request.c: queries and bodies, read strictly: a mistyped name must not look like an answer
 * to what was meant. */
#include "app/api_impl.h"

#include "app/suggest.h"
#include "app/units.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "svc/json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- texts ---------------------------------------------------------------------------------- */

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

static bool is_escape(struct sh_slice raw, size_t i)
{
    return i + 2 < raw.n && isxdigit((unsigned char)raw.p[i + 1]) &&
           isxdigit((unsigned char)raw.p[i + 2]);
}

char *sh_api_decode(struct sh_slice raw, bool plus)
{
    char *text = sh_alloc(raw.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '%' && !is_escape(raw, i))
            goto bad;
        if (raw.p[i] == '%') {
            text[n++] = (char)(hex(raw.p[i + 1]) << 4 | hex(raw.p[i + 2]));
            i += 2;
        } else {
            text[n++] = plus && raw.p[i] == '+' ? ' ' : raw.p[i];
        }
    }
    if (sh_utf8_ok(sh_slice(text, n)))
        return text;
bad:
    free(text);
    return NULL;
}

static size_t count(const char *const *words)
{
    size_t n = 0;
    while (words && words[n])
        n++;
    return n;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; words && *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static void fail_unknown(struct sh_api_call *c, const char *code, const char *member,
                         const char *name, const char *const *known)
{
    const char *near = sh_suggest(name, known, count(known));
    if (near)
        sh_api_fail_at(c, 400, code, member, name,
                       "there is no %s \"%.100s\" here; did you mean \"%s\"?", member, name, near);
    else
        sh_api_fail_at(c, 400, code, member, name, "there is no %s \"%.100s\" here", member, name);
}

/* --- queries -------------------------------------------------------------------------------- */

static struct sh_slice next_pair(const char **query)
{
    const struct sh_slice pair = sh_slice(*query, strcspn(*query, "&"));
    *query += pair.n + ((*query)[pair.n] == '&');
    return pair;
}

static struct sh_slice name_of(struct sh_slice pair)
{
    const char *eq = memchr(pair.p, '=', pair.n);
    return eq ? sh_slice(pair.p, (size_t)(eq - pair.p)) : pair;
}

bool sh_api_has_token(const char *query)
{
    static const char *const names[] = {"token",  "access_token",  "api_token", "auth_token",
                                        "apikey", "api_key",       "api-key",   "x-api-key",
                                        "bearer", "authorization", "auth",      "password",
                                        "secret"};
    while (*query) {
        const struct sh_slice pair = next_pair(&query);
        const struct sh_slice raw = name_of(pair);
        char *name = sh_api_decode(raw, true);
        bool found = false;
        for (size_t i = 0; name && !found && i < sizeof(names) / sizeof(*names); i++)
            found = strcasecmp(name, names[i]) == 0;
        free(name);
        if (found)
            return true;
        char *value = pair.n > raw.n
                          ? sh_api_decode(sh_slice(raw.p + raw.n + 1, pair.n - raw.n - 1), true)
                          : NULL;
        found = value && strncmp(value, "sh_", 3) == 0 && strlen(value) == 46;
        free(value);
        if (found)
            return true;
    }
    return false;
}

static bool add_param(struct sh_api_call *c, struct sh_slice pair)
{
    const struct sh_slice raw = name_of(pair);
    const size_t eq = raw.n < pair.n;
    if (c->n_params == SH_API_PARAMS) {
        sh_api_fail(c, 400, "bad_query", "more than %d parameters", SH_API_PARAMS);
        return false;
    }
    struct sh_api_param *p = &c->param[c->n_params++];
    p->name = sh_api_decode(raw, true);
    p->value = sh_api_decode(sh_slice(raw.p + raw.n + eq, pair.n - raw.n - eq), true);
    if (p->name && *p->name && p->value)
        return true;
    sh_api_fail(c, 400, "bad_query",
                p->name && !*p->name ? "a parameter without a name"
                                     : "a parameter with a broken %%XX, or that is not UTF-8");
    return false;
}

bool sh_api_read_query(struct sh_api_call *c)
{
    const char *query = sh_http_query(c->req);
    while (*query)
        if (!add_param(c, next_pair(&query)))
            return false;
    for (size_t i = 0; i < c->n_params; i++) {
        const char *name = c->param[i].name;
        if (sh_api_param(c, name) != c->param[i].value) {
            sh_api_fail_at(c, 400, "doubled_parameter", "parameter", name,
                           "the parameter \"%.100s\" is there twice", name);
            return false;
        }
    }
    return true;
}

bool sh_api_check_params(struct sh_api_call *c)
{
    for (size_t i = 0; i < c->n_params; i++) {
        if (!is_one_of(c->param[i].name, c->route->params)) {
            fail_unknown(c, "unknown_parameter", "parameter", c->param[i].name, c->route->params);
            return false;
        }
    }
    return true;
}

const char *sh_api_param(const struct sh_api_call *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (strcmp(c->param[i].name, name) == 0)
            return c->param[i].value;
    return NULL;
}

bool sh_api_param_int(struct sh_api_call *c, const char *name, int64_t min, int64_t max,
                      int64_t *out)
{
    const char *text = sh_api_param(c, name);
    if (!text)
        return true;
    errno = 0;
    const bool is_number = *text && strspn(text, "0123456789") == strlen(text);
    const long long n = is_number ? strtoll(text, NULL, 10) : 0;
    if (is_number && errno == 0 && n >= min && n <= max) {
        *out = n;
        return true;
    }
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", name,
                   "%s=%.100s: expected a whole number from %" PRId64 " to %" PRId64, name, text,
                   min, max);
    return false;
}

bool sh_api_param_time(struct sh_api_call *c, const char *name, int64_t *out_ms)
{
    const char *text = sh_api_param(c, name);
    int64_t ago_ms;
    if (!text || sh_time_parse(text, strlen(text), out_ms))
        return true;
    if (sh_parse_duration(text, &ago_ms)) {
        *out_ms = sh_now_ms() - ago_ms;
        return true;
    }
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", name,
                   "%s=%.100s: expected a time such as 2026-06-12T10:00:00Z, or a duration such as "
                   "2h, which counts back from now",
                   name, text);
    return false;
}

bool sh_api_param_word(struct sh_api_call *c, const char *name, const char *const *words)
{
    const char *text = sh_api_param(c, name);
    struct sh_buf list;
    if (!text || is_one_of(text, words))
        return true;
    sh_buf_init(&list, 512);
    for (size_t i = 0; words[i]; i++)
        sh_buf_addf(&list, "%s%s", i ? (words[i + 1] ? ", " : " or ") : "", words[i]);
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", name, "%s=%.100s: expected %s", name, text,
                   list.data ? list.data : "");
    sh_buf_free(&list);
    return false;
}

/* --- bodies --------------------------------------------------------------------------------- */

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    if (!type || strncasecmp(type, json, sizeof(json) - 1) != 0)
        return false;
    const char *rest = type + sizeof(json) - 1;
    return *rest == '\0' || *rest == ';' || *rest == ' ';
}

static bool parse_body(struct sh_api_call *c, struct sh_slice text)
{
    struct sh_json_fault fault;
    struct sh_error err;
    if (!sh_json_check(text.p, text.n, &fault)) {
        sh_api_fail(c, 400, "invalid_json", "line %zu, column %zu: %s", fault.line, fault.col,
                    fault.msg);
        return false;
    }
    c->body = sh_json_parse(text.p, text.n, &err);
    if (cJSON_IsObject(c->body))
        return true;
    sh_api_fail(c, 400, "invalid_body", "the body is a JSON object: { ... }");
    return false;
}

bool sh_api_read_body(struct sh_api_call *c)
{
    const struct sh_slice text = sh_http_body(c->req);
    const cJSON *member;
    if (text.n == 0 && sh_http_method(c->req) != SH_HTTP_POST)
        return true;
    const size_t most = c->route->body_bytes ? c->route->body_bytes : SH_API_BODY_BYTES;
    if (text.n > most) {
        sh_api_fail(c, 413, "body_too_large", "a body of %zu bytes; at most %zu", text.n, most);
        return false;
    }
    if (!is_json(sh_http_header(c->req, "Content-Type"))) {
        /* what a web page can send without being asked about it first is none: with or without */
        sh_api_fail(c, 415, "unsupported_media_type", "Content-Type: application/json is expected");
        return false;
    }
    if (text.n == 0)
        return true;
    if (!parse_body(c, text))
        return false;
    cJSON_ArrayForEach(member, c->body)
    {
        if (!is_one_of(member->string, c->route->fields)) {
            fail_unknown(c, "unknown_field", "field", member->string, c->route->fields);
            return false;
        }
    }
    return true;
}
