/* SPDX-License-Identifier: MIT
 * http_answer.c: what comes back of a call: status, headers, body, Retry-After, or the reason in
 * words. */
#include "svc/http_client_impl.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_MS (24LL * 3600 * 1000)

/* --- Headers -------------------------------------------------------------------------------- */

/* A status line begins the headers of an answer; those of an interim one (1xx) are forgotten. */
static void begin_head(struct sh_http_call *call, const char *p, size_t n)
{
    const char *space = memchr(p, ' ', n);
    size_t at = space ? (size_t)(space - p) + 1 : n;
    int status = 0;
    for (size_t i = at; i < n && i < at + 3 && isdigit((unsigned char)p[i]); i++)
        status = status * 10 + (p[i] - '0');
    call->status = status;
    sh_buf_reset(&call->head);
}

static void add_value(struct sh_buf *out, const char *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        sh_buf_addc(out, (unsigned char)p[i] < 0x20 || p[i] == 0x7f ? ' ' : p[i]);
    sh_buf_addc(out, '\n');
}

static void add_line(struct sh_http_call *call, const char *p, size_t n)
{
    struct sh_buf *head = &call->head;
    if (n && (*p == ' ' || *p == '\t')) { /* an old line folding: goes on the one before */
        if (head->len)
            head->data[head->len - 1] = ' ';
        if (head->len)
            add_value(head, p, n);
        return;
    }
    const char *colon = memchr(p, ':', n);
    size_t name = colon ? (size_t)(colon - p) : 0;
    for (size_t i = 0; i < name; i++) {
        if (!isgraph((unsigned char)p[i]) || (unsigned char)p[i] >= 0x80)
            return;
    }
    if (!name)
        return;
    for (size_t i = 0; i < name; i++)
        sh_buf_addc(head, (char)tolower((unsigned char)p[i]));
    sh_buf_adds(head, ": ");
    add_value(head, colon + 1, n - name - 1);
}

size_t sh_http_answer_on_header(char *p, size_t size, size_t n, void *arg)
{
    struct sh_http_call *call = arg;
    const size_t all = size * n;
    size_t len = all;
    call->head_bytes += all;
    if (call->head_bytes > SH_HTTP_MAX_ANSWER_HEADERS) {
        call->head_too_long = true;
        return 0;
    }
    while (len && (p[len - 1] == '\r' || p[len - 1] == '\n'))
        len--;
    if (call->head_done) /* a trailer: whoever sends it late may not change what was said */
        return all;
    if (len > 5 && strncasecmp(p, "HTTP/", 5) == 0)
        begin_head(call, p, len);
    else if (len)
        add_line(call, p, len);
    else
        call->head_done = call->status >= 200;
    return all;
}

size_t sh_http_answer_on_body(char *p, size_t size, size_t n, void *arg)
{
    struct sh_http_call *call = arg;
    size_t all = size * n, room = call->max_body - call->answer.len;
    sh_buf_add(&call->answer, p, all < room ? all : room);
    if (all <= room)
        return all;
    call->cut = true;
    return 0; /* libcurl ends the transfer and the connection */
}

void sh_http_answer_reset(struct sh_http_call *call)
{
    sh_buf_reset(&call->head);
    sh_buf_reset(&call->answer);
    call->status = 0;
    call->head_done = call->head_too_long = call->cut = false;
    call->head_bytes = 0;
}

struct sh_slice sh_http_answer_header(const struct sh_http_call *call, const char *name)
{
    const char *p = call->head.len ? call->head.data : "", *end = p + call->head.len;
    size_t n = strlen(name);
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)(line_end - p);
        if (len >= n + 2 && memcmp(p, name, n) == 0 && p[n] == ':')
            return sh_slice(p + n + 2, len - n - 2);
        p = line_end + 1;
    }
    return sh_slice(NULL, 0);
}

/* --- Retry-After ---------------------------------------------------------------------------- */

/* The three forms of RFC 9110 5.6.7, seconds since 1970. */
static bool parse_date(struct sh_slice text, int64_t *seconds)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
    char line[64];
    if (!text.n || text.n >= sizeof(line))
        return false;
    memcpy(line, text.p, text.n);
    line[text.n] = '\0';
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *rest = strptime(line, forms[i], &tm);
        if (rest && !*rest) {
            *seconds = timegm(&tm);
            return true;
        }
    }
    return false;
}

static bool parse_seconds(struct sh_slice text, int64_t *seconds)
{
    if (!text.n)
        return false;
    *seconds = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        if (*seconds < DAY_MS)
            *seconds = *seconds * 10 + (text.p[i] - '0');
    }
    return true;
}

static int64_t retry_after_ms(const struct sh_http_call *call)
{
    struct sh_slice text = sh_http_answer_header(call, "retry-after");
    int64_t wait, now;
    if (!parse_seconds(text, &wait)) {
        if (!parse_date(text, &wait))
            return -1;
        /* Against the server's own clock, if it tells it: ours may be set otherwise. */
        if (!parse_date(sh_http_answer_header(call, "date"), &now))
            now = sh_now_ms() / 1000;
        wait = wait > now ? wait - now : 0;
    }
    return wait < DAY_MS / 1000 ? wait * 1000 : DAY_MS;
}

/* --- Reasons -------------------------------------------------------------------------------- */

static double seconds_of(CURL *easy, CURLINFO info)
{
    curl_off_t us = 0;
    curl_easy_getinfo(easy, info, &us);
    return (double)us / 1e6;
}

/* How far it had come when its time was over. */
static const char *late_reason(const struct sh_http_call *call)
{
    if (call->status)
        return "its answer did not end in time";
    if (call->sent)
        return "no answer in time";
    if (seconds_of(call->easy, CURLINFO_NAMELOOKUP_TIME_T) <= 0)
        return "its name was not resolved in time";
    return strncmp(call->origin, "https:", 6) == 0 ? "no TLS connection in time"
                                                   : "no connection in time";
}

static const char *os_reason(const struct sh_http_call *call)
{
    long number = call->open_errno;
    if (!number)
        curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    return number ? strerrordesc_np((int)number) : NULL;
}

static const char *plain_reason(const struct sh_http_call *call, CURLcode rc)
{
    const char *os;
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return late_reason(call);
    case CURLE_COULDNT_RESOLVE_HOST:
        return "its name cannot be resolved: check the URL's host, and this machine's name server";
    case CURLE_COULDNT_CONNECT:
        os = os_reason(call);
        return os ? os : "no connection";
    case CURLE_GOT_NOTHING:
        return "it closed the connection without an answer";
    case CURLE_PARTIAL_FILE:
        return "it closed the connection in the middle of its answer";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return "what it answered is not HTTP";
    case CURLE_WRITE_ERROR:
        return call->head_too_long ? "the headers of its answer are longer than 64 KiB" : NULL;
    default:
        return NULL;
    }
}

static bool about_trust(CURLcode rc)
{
    return rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_ISSUER_ERROR;
}

static void write_reason(const struct sh_http_call *call, CURLcode rc, char *out, size_t size)
{
    const char *reason = plain_reason(call, rc);
    const char *detail = call->curl_error[0] ? call->curl_error : curl_easy_strerror(rc);
    if (reason)
        snprintf(out, size, "%.120s: %s", call->origin, reason);
    else if (about_trust(rc))
        snprintf(out, size,
                 "%.120s: its certificate is not accepted (%.90s): a private authority's goes into "
                 "http.ca_file",
                 call->origin, detail);
    else
        snprintf(out, size, "%.120s: %.160s", call->origin, detail);
}

/* --- The answer ----------------------------------------------------------------------------- */

static void note_sent(struct sh_http_call *call)
{
    long bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes);
    call->sent = call->sent || bytes > 0;
}

void sh_http_answer_fill(struct sh_http_call *call, CURLcode rc, struct sh_http_answer *a)
{
    note_sent(call);
    a->retry_after_ms = -1;
    if (call->head_done && (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && call->cut))) {
        a->end = SH_HTTP_ANSWERED;
        a->status = call->status;
        a->headers = sh_slice(call->head.data, call->head.len);
        a->body = sh_slice(call->answer.data, call->answer.len);
        a->cut = call->cut;
        a->retry_after_ms = retry_after_ms(call);
        return;
    }
    /* Of a name's addresses those that may be used were tried: refused is what had none. */
    bool refused = call->refused && !call->opened && rc == CURLE_COULDNT_CONNECT;
    a->end = refused ? SH_HTTP_REFUSED : SH_HTTP_NO_ANSWER;
    a->sent = call->sent && !refused;
    if (rc == CURLE_OK) /* libcurl takes headers without their end for an answer */
        rc = call->status ? CURLE_PARTIAL_FILE : CURLE_WEIRD_SERVER_REPLY;
    if (refused)
        snprintf(a->error, sizeof(a->error), "%s", call->refusal);
    else
        write_reason(call, rc, a->error, sizeof(a->error));
}
