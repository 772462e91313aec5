/* SPDX-License-Identifier: MIT
 * http_call.c: an HTTP call as data: is it sound, where does it go, how is it shown.
 *
 * The document comes from a worker, which is not trusted: every function here takes any JSON. */
#include "core/http_call.h"

#include "base/limits.h"
#include "core/http_part.h"
#include "svc/json.h"
#include "svc/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_TIMEOUT_MS ((int64_t)10 * 60 * 1000)
#define MAX_CACHE_MS   ((int64_t)24 * 3600 * 1000)
#define MAX_REDIRECTS  5
#define MAX_PARTS      1000 /* pieces of one text */
#define MAX_BODY_BYTES ((size_t)8 << 20)

/* --- Texts and their pieces ------------------------------------------------------------------ */

const cJSON *sh_http_part_first(const cJSON *t)
{
    return cJSON_IsString(t) ? t : cJSON_IsArray(t) ? t->child : NULL;
}

const cJSON *sh_http_part_next(const cJSON *t, const cJSON *piece)
{
    return piece == t ? NULL : piece->next;
}

static bool is_secret_name(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return n && n <= SH_MAX_NAME_BYTES && !s[n];
}

bool sh_http_part_read(const cJSON *piece, struct sh_http_part *out)
{
    static const char *const names[SH_HTTP_N_AS] = {"plain", "json", "form", "url"};
    *out = (struct sh_http_part){.text = cJSON_IsString(piece) ? piece->valuestring : NULL};
    if (out->text)
        return true;
    if (!cJSON_IsObject(piece))
        return false;
    const cJSON *as = sh_json_member(piece, "as");
    const char *text = as ? cJSON_GetStringValue(as) : names[0];
    out->secret = sh_json_string(piece, "secret");
    for (int i = 0; text && i < SH_HTTP_N_AS; i++) {
        if (strcmp(text, names[i]) == 0) {
            out->as = (enum sh_http_as)i;
            return out->secret && is_secret_name(out->secret) &&
                   cJSON_GetArraySize(piece) == (as ? 2 : 1);
        }
    }
    return false;
}

static bool check_text(const cJSON *t, const char *field, struct sh_error *err)
{
    size_t n = 0;
    if (!cJSON_IsString(t) && !cJSON_IsArray(t))
        return sh_error_set(err, SH_EINVAL, "%s: expected a text, or texts and secrets", field);
    for (const cJSON *p = sh_http_part_first(t); p; p = sh_http_part_next(t, p)) {
        struct sh_http_part part;
        if (!sh_http_part_read(p, &part))
            return sh_error_set(err, SH_EINVAL,
                                "%s: piece %zu is neither a text nor a secret with a name of "
                                "letters, digits, '_', '.' and '-'",
                                field, n + 1);
        if (++n > MAX_PARTS)
            return sh_error_set(err, SH_EINVAL, "%s: more than %d pieces", field, MAX_PARTS);
    }
    return true;
}

/* The text with each secret as `mark`, or as "(secret NAME)" where mark is NULL. Returns the offset
 * of the first secret, or SIZE_MAX. Pieces that are none are left out. */
static size_t render(const cJSON *t, const char *mark, struct sh_buf *out)
{
    size_t first = SIZE_MAX;
    for (const cJSON *p = sh_http_part_first(t); p; p = sh_http_part_next(t, p)) {
        struct sh_http_part part;
        if (!sh_http_part_read(p, &part))
            continue;
        if (part.secret && first == SIZE_MAX)
            first = out->len;
        if (part.text)
            sh_buf_adds(out, part.text);
        else if (mark)
            sh_buf_adds(out, mark);
        else
            sh_buf_addf(out, "(secret %s)", part.secret);
    }
    return first;
}

/* --- URL ------------------------------------------------------------------------------------- */

static bool read_url(const struct sh_buf *text, size_t first_secret, struct sh_url *url,
                     struct sh_error *err)
{
    struct sh_error why = {.code = SH_OK};
    if (!sh_buf_ok(text))
        return sh_error_set(err, SH_EINVAL, "url: longer than %d bytes", SH_HTTP_MAX_URL_BYTES);
    const char *s = text->data ? text->data : "";
    if (!sh_url_parse(s, SH_HTTP_MAX_URL_BYTES, url, &why))
        return sh_error_set(err, SH_EINVAL, "url: %s", why.msg);
    size_t end = (size_t)(url->authority.p - s) + url->authority.n;
    if (first_secret <= end)
        return sh_error_set(err, SH_EINVAL,
                            "url: a secret stands behind the host alone, in path or query");
    return true;
}

static bool check_url(const cJSON *doc, struct sh_url *url, struct sh_error *err)
{
    const cJSON *t = sh_json_member(doc, "url");
    struct sh_buf text;
    if (!check_text(t, "url", err))
        return false;
    sh_buf_init(&text, SH_HTTP_MAX_URL_BYTES);
    size_t first = render(t, "x", &text);
    bool ok = read_url(&text, first, url, err);
    sh_buf_free(&text);
    return ok;
}

bool sh_http_call_lane(const cJSON *doc, char out[SH_HTTP_LANE_BYTES], struct sh_error *err)
{
    struct sh_url url = {0};
    *out = '\0';
    if (!check_url(doc, &url, err))
        return false;
    snprintf(out, SH_HTTP_LANE_BYTES, "http:%s:%d", url.host, url.port);
    return true;
}

void sh_http_call_show_url(const cJSON *doc, struct sh_buf *out)
{
    (void)render(sh_json_member(doc, "url"), NULL, out);
}

/* --- Headers --------------------------------------------------------------------------------- */

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *s)
{
    size_t n = strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return n && !s[n];
}

/* Why a rule may not set this header; NULL: it may. */
static const char *why_refused(const char *name)
{
    static const struct {
        const char *name, *why;
    } list[] = {
        {"Idempotency-Key", "the engine sets it, the same on every attempt; name your own with "
                            "key = \"..\""},
        {"Host", "it follows from the url"},
        {"Content-Length", "it follows from the body"},
        {"Transfer-Encoding", "the engine decides how the body is sent"},
        {"Connection", "the engine keeps and shares the connections"},
        {"Keep-Alive", "the engine keeps and shares the connections"},
        {"Upgrade", "the engine keeps and shares the connections"},
        {"HTTP2-Settings", "the engine keeps and shares the connections"},
        {"Expect", "the engine sends the body at once"},
        {"TE", "the engine reads no trailers"},
        {"Trailer", "the engine sends no trailers"},
        {"Proxy-Authorization", "the engine uses no proxy"},
        {"Proxy-Connection", "the engine uses no proxy"},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        if (strcasecmp(name, list[i].name) == 0)
            return list[i].why;
    }
    return NULL;
}

static bool check_name(const cJSON *node, struct sh_error *err)
{
    const char *name = cJSON_GetStringValue(node);
    if (!name || !is_token(name) || strlen(name) > SH_MAX_TYPE_BYTES)
        return sh_error_set(err, SH_EINVAL,
                            "headers: \"%.60s\" is no header name (letters, digits and '-', at "
                            "most %d bytes)",
                            name ? name : "", SH_MAX_TYPE_BYTES);
    const char *why = why_refused(name);
    if (why)
        return sh_error_set(err, SH_EINVAL, "headers: %s cannot be set: %s", name, why);
    return true;
}

static bool check_value(const char *name, const struct sh_buf *value, struct sh_error *err)
{
    if (!sh_buf_ok(value) || strlen(name) + 2 + value->len > SH_HTTP_MAX_HEADER_BYTES)
        return sh_error_set(err, SH_EINVAL, "headers: %s is longer than %d bytes", name,
                            SH_HTTP_MAX_HEADER_BYTES);
    size_t blank = 0;
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return sh_error_set(err, SH_EINVAL,
                                "headers: %s has a control character (byte 0x%02x, position %zu); "
                                "a header is one line",
                                name, c, i + 1);
        blank += c == ' ' || c == '\t';
    }
    if (blank == value->len)
        return sh_error_set(err, SH_EINVAL, "headers: %s is empty; leave it out", name);
    return true;
}

static bool check_header(const cJSON *pair, struct sh_error *err)
{
    if (!cJSON_IsArray(pair) || cJSON_GetArraySize(pair) != 2)
        return sh_error_set(err, SH_EINVAL, "headers: expected pairs of name and value");
    const cJSON *name = pair->child, *value = name->next;
    char field[96];
    struct sh_buf text;
    if (!check_name(name, err))
        return false;
    snprintf(field, sizeof(field), "headers: %.80s", name->valuestring);
    if (!check_text(value, field, err))
        return false;
    sh_buf_init(&text, SH_HTTP_MAX_HEADER_BYTES);
    (void)render(value, "x", &text);
    bool ok = check_value(name->valuestring, &text, err);
    sh_buf_free(&text);
    return ok;
}

static bool check_headers(const cJSON *headers, struct sh_error *err)
{
    const cJSON *pair;
    int n = 0;
    if (!headers)
        return true;
    if (!cJSON_IsArray(headers))
        return sh_error_set(err, SH_EINVAL, "headers: expected pairs of name and value");
    cJSON_ArrayForEach(pair, headers)
    {
        if (++n > SH_HTTP_MAX_HEADERS)
            return sh_error_set(err, SH_EINVAL, "headers: more than %d", SH_HTTP_MAX_HEADERS);
        if (!check_header(pair, err))
            return false;
    }
    return true;
}

/* --- The rest -------------------------------------------------------------------------------- */

static bool check_method(const cJSON *doc, bool lookup, struct sh_error *err)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    const char *method = sh_json_string(doc, "method");
    if (lookup)
        return (method && strcmp(method, "GET") == 0) ||
               sh_error_set(err, SH_EINVAL, "method: a look-up is a GET");
    for (size_t i = 0; method && i < sizeof(methods) / sizeof(*methods); i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return sh_error_set(err, SH_EINVAL, "method: expected POST, PUT, PATCH or DELETE");
}

static bool check_number(const cJSON *doc, const char *name, int64_t min, int64_t max,
                         struct sh_error *err)
{
    const cJSON *node = sh_json_member(doc, name);
    int64_t n;
    if (!node || (sh_json_get_int(node, &n) && n >= min && n <= max))
        return true;
    return sh_error_set(err, SH_EINVAL, "%s: expected a whole number within %lld..%lld", name,
                        (long long)min, (long long)max);
}

static bool check_body(const cJSON *doc, bool lookup, struct sh_error *err)
{
    const cJSON *body = sh_json_member(doc, "body");
    if (!body)
        return true;
    if (lookup)
        return sh_error_set(err, SH_EINVAL, "body: a look-up has none");
    if (!check_text(body, "body", err))
        return false;
    size_t n = 0;
    for (const cJSON *p = sh_http_part_first(body); p; p = sh_http_part_next(body, p))
        n += cJSON_IsString(p) ? strlen(p->valuestring) : 0;
    return n <= MAX_BODY_BYTES ||
           sh_error_set(err, SH_EINVAL, "body: %zu bytes, at most %zu", n, MAX_BODY_BYTES);
}

static bool check_notify(const cJSON *doc, bool lookup, struct sh_error *err)
{
    const cJSON *node = sh_json_member(doc, "notify");
    const char *name = cJSON_GetStringValue(node);
    if (!node)
        return true;
    if (lookup)
        return sh_error_set(err, SH_EINVAL, "notify: a look-up answers at once");
    if (name && *name && strlen(name) <= SH_MAX_NAME_BYTES)
        return true;
    return sh_error_set(err, SH_EINVAL, "notify: expected a name of 1 to %d bytes",
                        SH_MAX_NAME_BYTES);
}

static bool check_fields(const cJSON *doc, bool lookup, struct sh_error *err)
{
    static const char *const known[] = {"method", "url",        "headers",   "body",
                                        "notify", "timeout_ms", "redirects", "cache_ms"};
    const cJSON *node;
    cJSON_ArrayForEach(node, doc)
    {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(*known) && strcmp(node->string, known[i]) != 0)
            i++;
        if (i == sizeof(known) / sizeof(*known) || (!lookup && strcmp(known[i], "cache_ms") == 0))
            return sh_error_set(err, SH_EINVAL, "\"%.60s\" is no field of %s", node->string,
                                lookup ? "a look-up" : "a call");
    }
    return true;
}

bool sh_http_call_check(const cJSON *doc, bool lookup, struct sh_error *err)
{
    struct sh_url url;
    if (!cJSON_IsObject(doc))
        return sh_error_set(err, SH_EINVAL, "a call is an object");
    return check_fields(doc, lookup, err) && check_method(doc, lookup, err) &&
           check_url(doc, &url, err) && check_headers(sh_json_member(doc, "headers"), err) &&
           check_body(doc, lookup, err) && check_notify(doc, lookup, err) &&
           check_number(doc, "timeout_ms", 1, MAX_TIMEOUT_MS, err) &&
           check_number(doc, "cache_ms", 0, MAX_CACHE_MS, err) &&
           check_number(doc, "redirects", 0, MAX_REDIRECTS, err);
}
