/* SPDX-License-Identifier: MIT
 * fuzz_http_call.c: any document: a call that passed the check has a lane, can be made ready or is
 * refused in clean words, and what is made ready has no line break that was not asked for, no
 * secret in its target, and no secret left after blanking.
 *
 * An input that begins with '?' is taken as a look-up. */
#include "base/utf8.h"
#include "core/http_call.h"
#include "svc/json.h"
#include "svc/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOKEN "T0ken/\"with\" +everything%"

static const char *secret(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'N' ? NULL : name[0] == 'B' ? "line\r\nbreak" : TOKEN;
}

static void check_line(const char *s)
{
    sh_require(!strpbrk(s, "\r\n"));
}

static void check_ready(const struct sh_http_ready *r, const char *lane)
{
    struct sh_url url;
    struct sh_error err;
    char *expected;
    sh_require(sh_url_parse(r->url, SH_HTTP_MAX_URL_BYTES, &url, &err));
    expected = sh_strf("http:%s:%d", url.host, url.port);
    sh_require(strcmp(expected, lane) == 0);
    free(expected);
    check_line(r->url);
    for (char **h = r->headers; *h; h++) {
        check_line(*h);
        sh_require(strchr(*h, ':') && strlen(*h) <= SH_HTTP_MAX_HEADER_BYTES + 2);
    }
    struct sh_buf out;
    sh_buf_init(&out, (size_t)64 << 20);
    static const char *const names[] = {"T", NULL};
    struct sh_hidden *h = sh_hidden_new(names, secret, NULL);
    sh_hidden_blank(h, sh_slice(r->body, r->body_len), &out);
    sh_require(!out.len || !memmem(out.data, out.len, TOKEN, strlen(TOKEN)));
    sh_hidden_free(h);
    sh_buf_free(&out);
}

static void make_ready(const cJSON *doc, bool lookup, const char *lane)
{
    struct sh_http_ready ready;
    struct sh_error err = {0};
    if (sh_http_call_ready(doc, lookup ? NULL : "00ff", secret, NULL, &ready, &err))
        check_ready(&ready, lane);
    else
        sh_require(err.msg[0] && !strstr(err.msg, "T0ken/") && !strstr(err.msg, "line\r"));
    sh_http_ready_clear(&ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool lookup = size && *data == '?';
    struct sh_error err = {0};
    char lane[SH_HTTP_LANE_BYTES];
    struct sh_buf shown;
    data += lookup;
    size -= lookup;
    if (!sh_json_check((const char *)data, size, NULL))
        return 0;
    cJSON *doc = sh_json_parse((const char *)data, size, &err);
    sh_buf_init(&shown, 1 << 20);
    sh_http_call_show_url(doc, &shown);
    sh_buf_free(&shown);
    if (sh_http_call_check(doc, lookup, &err)) {
        sh_require(sh_http_call_lane(doc, lane, &err) && strncmp(lane, "http:", 5) == 0);
        make_ready(doc, lookup, lane);
    } else {
        sh_require(err.code == SH_EINVAL && err.msg[0]);
    }
    cJSON_Delete(doc);
    return 0;
}
