/* SPDX-License-Identifier: MIT
 * http_send.c: from a request to an easy handle of libcurl, and nothing in it that was not checked.
 *
 * The URL is parsed once, by libcurl, and handed to it parsed (CURLOPT_CURLU): what reach was asked
 * about is what libcurl connects to. */
#include "svc/http_client_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEF_CONNECT_TIMEOUT_MS 10000
#define MAX_URL_BYTES          16384
#define MAX_HEADERS            128

/* --- Where to ------------------------------------------------------------------------------- */

static bool default_port(const char *scheme, int port)
{
    return port == (strcmp(scheme, "https") == 0 ? 443 : 80);
}

/* The host without brackets, and "https://host:port" for messages. */
static bool keep_origin(struct sh_http_call *call, const char *scheme, const char *host,
                        const char *port, struct sh_error *err)
{
    size_t n = strlen(host);
    bool v6 = n > 2 && host[0] == '[' && host[n - 1] == ']';
    if (n - (v6 ? 2 : 0) >= sizeof(call->host))
        return sh_error_set(err, SH_EINVAL, "the URL's host has %zu bytes: at most 253", n);
    snprintf(call->host, sizeof(call->host), "%.*s", (int)(v6 ? n - 2 : n), host + (v6 ? 1 : 0));
    call->port = (int)strtol(port, NULL, 10);
    if (call->port < 1 || call->port > 65535)
        return sh_error_set(err, SH_EINVAL, "the URL's port is %s: expected 1 to 65535", port);
    if (default_port(scheme, call->port))
        snprintf(call->origin, sizeof(call->origin), "%s://%s", scheme, host);
    else
        snprintf(call->origin, sizeof(call->origin), "%s://%s:%d", scheme, host, call->port);
    return true;
}

static bool check_parts(struct sh_http_call *call, const char *scheme, const char *host,
                        const char *port, const char *user, struct sh_error *err)
{
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return sh_error_set(err, SH_EINVAL, "the URL begins with %.20s: only http and https",
                            scheme ? scheme : "no scheme");
    if (!host || !port)
        return sh_error_set(err, SH_EINVAL, "the URL has no host: expected %s://host/path", scheme);
    if (user)
        return sh_error_set(err, SH_EINVAL,
                            "the URL holds a login: send it as a header, Authorization");
    return keep_origin(call, scheme, host, port, err) &&
           sh_reach_host(call->client->config.reach, call->host, call->port, err);
}

/* May the call go where call->url points? */
static bool check_url(struct sh_http_call *call, struct sh_error *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
    curl_url_get(call->url, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(call->url, CURLUPART_HOST, &host, 0);
    curl_url_get(call->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    curl_url_get(call->url, CURLUPART_USER, &user, 0);
    curl_url_get(call->url, CURLUPART_PASSWORD, &password, 0);
    bool ok = check_parts(call, scheme, host, port, user ? user : password, err);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return ok;
}

/* Parsed, relative to what call->url holds already. */
static bool take_url(struct sh_http_call *call, const char *text, struct sh_error *err)
{
    size_t n = strlen(text);
    if (n > MAX_URL_BYTES)
        return sh_error_set(err, SH_EINVAL, "the URL has %zu bytes: at most %d", n, MAX_URL_BYTES);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return sh_error_set(err, SH_EINVAL, "the URL has a control byte at byte %zu", i);
    }
    CURLUcode rc =
        curl_url_set(call->url, CURLUPART_URL, text, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
    if (rc != CURLUE_OK)
        return sh_error_set(err, SH_EINVAL, "the URL is not one (%s): expected https://host/path",
                            curl_url_strerror(rc));
    return check_url(call, err);
}

/* --- Headers -------------------------------------------------------------------------------- */

static bool name_is(const char *line, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

static bool name_among(const char *line, const char *const *names)
{
    while (*names && !name_is(line, *names))
        names++;
    return *names != NULL;
}

/* What frames the message or routes it is not the caller's to say: two who read it differently are
 * a way in (request smuggling). */
static const char *const framing[] = {
    "Host", "Content-Length",   "Transfer-Encoding",   "Connection", "Keep-Alive", "Expect",
    "TE",   "Proxy-Connection", "Proxy-Authorization", "Trailer",    "Upgrade",    NULL};

/* What may follow a redirect to another host: nothing that could be a key to the first one. */
static const char *const harmless[] = {"Accept", "Accept-Language", "User-Agent", NULL};

static bool check_header(const char *line, struct sh_error *err)
{
    static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */
    size_t n = 0;
    while (line[n] && (isalnum((unsigned char)line[n]) || strchr(marks, line[n])))
        n++;
    if (!n || line[n] != ':')
        return sh_error_set(err, SH_EINVAL, "header \"%.40s\": expected Name: value", line);
    for (size_t i = n; line[i]; i++) {
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return sh_error_set(err, SH_EINVAL, "header %.*s: a control byte in its value", (int)n,
                                line);
    }
    if (name_among(line, framing))
        return sh_error_set(err, SH_EINVAL, "header %.*s is not set by hand", (int)n, line);
    return true;
}

static void add_header(struct sh_http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);
    sh_require(list);
    call->headers = list;
}

/* libcurl takes "Name:" as "send none" and "Name;" as "send it empty". */
static void add_given_header(struct sh_http_call *call, const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon[1 + strspn(colon + 1, " \t")]) {
        add_header(call, line);
        return;
    }
    char *empty = sh_strf("%.*s;", (int)(colon - line), line);
    add_header(call, empty);
    free(empty);
}

static bool take_headers(struct sh_http_call *call, const char *const *headers,
                         struct sh_error *err)
{
    bool typed = false;
    size_t n = 0;
    for (; headers && headers[n]; n++) {
        if (n == MAX_HEADERS)
            return sh_error_set(err, SH_EINVAL, "more than %d headers", MAX_HEADERS);
        if (!check_header(headers[n], err))
            return false;
        typed = typed || name_is(headers[n], "Content-Type");
        add_given_header(call, headers[n]);
    }
    add_header(call, "Expect:");
    if (!typed)
        add_header(call, "Content-Type:");
    return true;
}

static void drop_headers(struct sh_http_call *call)
{
    struct curl_slist *old = call->headers;
    call->headers = NULL;
    for (const struct curl_slist *h = old; h; h = h->next) {
        if (name_among(h->data, harmless))
            add_header(call, h->data);
    }
    curl_slist_free_all(old);
    add_header(call, "Expect:");
}

/* --- The request ---------------------------------------------------------------------------- */

static bool take_method(struct sh_http_call *call, const char *method, struct sh_error *err)
{
    size_t n = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (!n || method[n] || n >= sizeof(call->method) || strcmp(method, "CONNECT") == 0)
        return sh_error_set(err, SH_EINVAL, "method \"%.20s\": expected GET, POST, ...", method);
    memcpy(call->method, method, n + 1);
    return true;
}

/* A method that says what to store has a body, if an empty one: servers want its length. */
static bool wants_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

bool sh_http_send_prepare(struct sh_http_call *call, const struct sh_http_request_out *r,
                          struct sh_error *err)
{
    call->url = curl_url();
    sh_require(call->url);
    if (!take_method(call, r->method, err) || !take_headers(call, r->headers, err) ||
        !take_url(call, r->url, err))
        return false;
    if (r->body || wants_body(call->method)) {
        call->body_len = r->body ? r->body_len : 0;
        call->body = sh_memdup(r->body ? r->body : "", call->body_len);
    }
    call->redirects = r->redirects;
    return true;
}

bool sh_http_send_redirect(struct sh_http_call *call, struct sh_slice location,
                           struct sh_error *err)
{
    char *text = sh_slice_dup(location), *host = sh_strdup(call->host), from[SH_HTTP_ORIGIN_TEXT];
    struct sh_error why;
    snprintf(from, sizeof(from), "%s", call->origin);
    bool ok = take_url(call, text, &why);
    bool get = strcmp(call->method, "GET") == 0, same_host = ok && strcmp(host, call->host) == 0;
    bool plainer = strncmp(from, "https", 5) == 0 && strncmp(call->origin, "https", 5) != 0;
    free(text);
    free(host);
    if (!ok)
        return sh_error_set(err, why.code, "%.100s redirects: %s", from, why.msg);
    if (get) {
        free(call->body);
        call->body = NULL;
        call->body_len = 0;
    } else if (!same_host || plainer) {
        return sh_error_set(
            err, SH_EINVAL,
            "%.100s redirects to %.100s: what is sent with %s goes to no other host,"
            " and not from https to http",
            from, call->origin, call->method);
    }
    if (get && strcmp(from, call->origin) != 0)
        drop_headers(call);
    return true;
}

/* --- The handle ----------------------------------------------------------------------------- */

#define SET(easy, option, value) sh_require(curl_easy_setopt(easy, option, value) == CURLE_OK)

/* The address is known now, whatever the name said before: the last word on where a call goes. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct sh_http_call *call = arg;
    struct sh_error err;
    (void)purpose;
    if (!sh_reach_address(call->client->config.reach, call->host, &a->addr, &err)) {
        call->refused = true;
        snprintf(call->refusal, sizeof(call->refusal), "%.*s", (int)sizeof(call->refusal) - 1,
                 err.msg);
        return CURL_SOCKET_BAD;
    }
    call->opened++;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    call->open_errno = fd < 0 ? errno : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void set_trust(CURL *easy, const char *ca_file)
{
    const char *system_file = curl_version_info(CURLVERSION_NOW)->cainfo;
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (ca_file)
        SET(easy, CURLOPT_CAINFO, ca_file);
    /* One file, no folder: only then are its certificates parsed once and not at each connect,
     * which takes 20 ms on the loop. */
    if (ca_file || (system_file && access(system_file, R_OK) == 0))
        SET(easy, CURLOPT_CAPATH, NULL);
}

CURL *sh_http_send_handle(const struct sh_http_client_config *config)
{
    CURL *easy = curl_easy_init();
    sh_require(easy);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_PROXY, "");
    SET(easy, CURLOPT_NOPROXY, "*");
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(config->connect_timeout_ms > 0 ? config->connect_timeout_ms
                                              : DEF_CONNECT_TIMEOUT_MS));
    SET(easy, CURLOPT_USERAGENT, config->user_agent);
    SET(easy, CURLOPT_WRITEFUNCTION, sh_http_answer_on_body);
    SET(easy, CURLOPT_HEADERFUNCTION, sh_http_answer_on_header);
    SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    set_trust(easy, config->ca_file);
    return easy;
}

static void load_method(struct sh_http_call *call)
{
    CURL *easy = call->easy;
    if (call->body) {
        SET(easy, CURLOPT_POST, 1L);
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        SET(easy, CURLOPT_POSTFIELDS, call->body);
    } else {
        SET(easy, CURLOPT_POSTFIELDS, NULL); /* the last call's, freed since */
        SET(easy, CURLOPT_HTTPGET, 1L);
    }
    SET(easy, CURLOPT_NOBODY, strcmp(call->method, "HEAD") == 0 ? 1L : 0L);
    SET(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

void sh_http_send_load(struct sh_http_call *call, int64_t left_ms)
{
    CURL *easy = call->easy;
    load_method(call);
    SET(easy, CURLOPT_CURLU, call->url);
    SET(easy, CURLOPT_HTTPHEADER, call->headers);
    SET(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    SET(easy, CURLOPT_WRITEDATA, call);
    SET(easy, CURLOPT_HEADERDATA, call);
    SET(easy, CURLOPT_OPENSOCKETDATA, call);
    SET(easy, CURLOPT_ERRORBUFFER, call->curl_error);
    SET(easy, CURLOPT_PRIVATE, call);
    call->opened = 0;
    call->open_errno = 0;
    call->refused = false;
    call->curl_error[0] = '\0';
}
