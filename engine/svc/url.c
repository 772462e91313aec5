/* SPDX-License-Identifier: MIT
 * url.c: an http or https URL taken apart.
 *
 * What the text says is first held against a stricter grammar than libcurl's, which takes one
 * slash for two and a user name anywhere; what a host is in the end (percent signs decoded,
 * 0x7f.1 as 127.0.0.1) is libcurl's word, because it is libcurl that will connect. */
#include "svc/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool check_bytes(const char *text, size_t max_bytes, struct sh_error *err)
{
    size_t n = strnlen(text, max_bytes + 1);
    if (n > max_bytes)
        return sh_error_set(err, SH_EINVAL, "longer than %zu bytes", max_bytes);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c >= 0x7f)
            return sh_error_set(err, SH_EINVAL,
                                "byte 0x%02x at position %zu; a space, a control character or a "
                                "letter beyond ASCII is written percent-encoded, such as %%20",
                                c, i + 1);
    }
    return true;
}

/* "http://" or "https://", whatever the case. Returns what follows, or NULL. */
static const char *after_scheme(const char *text, bool *tls)
{
    *tls = strncasecmp(text, "https://", 8) == 0;
    if (*tls)
        return text + 8;
    return strncasecmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

static bool cut(const char *text, struct sh_url *out, struct sh_error *err)
{
    const char *at = after_scheme(text, &out->tls);
    if (!at) /* what is behind the host is not shown: it may be nobody's business */
        return sh_error_set(err, SH_EINVAL,
                            "expected http://host/.. or https://host/.., got \"%.*s\"",
                            (int)strcspn(text, "/?#"), text);
    out->authority = sh_slice(at, strcspn(at, "/?#"));
    if (memchr(out->authority.p, '@', out->authority.n))
        return sh_error_set(err, SH_EINVAL,
                            "a user name or password does not go into the URL; use the header "
                            "Authorization with a secret");
    const char *rest = at + out->authority.n;
    out->rest = sh_slice(rest, strcspn(rest, "#"));
    return true;
}

static bool read_port(CURLU *u, struct sh_url *out)
{
    char *text = NULL;
    bool ok = curl_url_get(u, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK;
    long port = ok ? strtol(text, NULL, 10) : 0;
    out->port = port >= 1 && port <= 65535 ? (int)port : 0;
    curl_free(text);
    return out->port > 0;
}

static bool has_zone(CURLU *u)
{
    char *text = NULL;
    bool has = curl_url_get(u, CURLUPART_ZONEID, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static bool read_host(CURLU *u, struct sh_url *out)
{
    char *text = NULL;
    if (curl_url_get(u, CURLUPART_HOST, &text, 0) != CURLUE_OK)
        return false;
    size_t n = strlen(text);
    if (n > 1 && text[n - 1] == '.')
        text[--n] = '\0';
    bool ok = n >= 1 && n < sizeof(out->host) && strcmp(text, ".") != 0;
    for (size_t i = 0; ok && i < n; i++) {
        char c = text[i];
        ok = c > 0x20 && c < 0x7f;
        out->host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        out->host[i + 1] = '\0';
    }
    curl_free(text);
    return ok;
}

static bool read_parts(CURLU *u, const char *text, struct sh_url *out, struct sh_error *err)
{
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (rc == CURLUE_BAD_PORT_NUMBER)
        return sh_error_set(err, SH_EINVAL, "its port is not a number within 1..65535");
    if (rc == CURLUE_NO_HOST || (rc == CURLUE_OK && !read_host(u, out)))
        return sh_error_set(err, SH_EINVAL, "it has no usable host");
    if (rc != CURLUE_OK)
        return sh_error_set(err, SH_EINVAL, "it is malformed: %s", curl_url_strerror(rc));
    if (!read_port(u, out))
        return sh_error_set(err, SH_EINVAL, "its port is not a number within 1..65535");
    if (has_zone(u))
        return sh_error_set(err, SH_EINVAL, "an address with a zone (%%) is not taken");
    return true;
}

bool sh_url_parse(const char *text, size_t max_bytes, struct sh_url *out, struct sh_error *err)
{
    memset(out, 0, sizeof(*out));
    if (!check_bytes(text, max_bytes, err) || !cut(text, out, err))
        return false;
    if (!out->authority.n)
        return sh_error_set(err, SH_EINVAL, "it has no usable host");
    CURLU *u = curl_url();
    sh_require(u);
    bool ok = read_parts(u, text, out, err);
    curl_url_cleanup(u);
    return ok;
}
