/* SPDX-License-Identifier: MIT
 * http_ask.c: one request through curl's easy interface. */
#include "svc/http_ask.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static size_t on_body(char *p, size_t size, size_t n, void *answer)
{
    sh_buf_add(answer, p, size * n);
    return sh_buf_ok(answer) ? size * n : 0;
}

static void set_up(CURL *curl, const struct sh_http_ask *ask, struct curl_slist *headers)
{
    if (ask->socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ask->socket);
    curl_easy_setopt(curl, CURLOPT_URL, ask->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    if (ask->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ask->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (ask->body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
    if (ask->bearer) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, ask->bearer);
    }
}

static bool perform(CURL *curl, int *status, struct sh_error *err)
{
    char why[CURL_ERROR_SIZE] = "";
    long code = 0;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    *status = (int)code;
    if (rc == CURLE_OK)
        return true;
    if (rc == CURLE_COULDNT_CONNECT)
        return sh_error_set(err, SH_ENOTFOUND, "nobody listens there");
    if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE)
        return sh_error_set(err, SH_ESYS, "%s (--ca-file FILE says which certificates to trust)",
                            *why ? why : curl_easy_strerror(rc));
    return sh_error_set(err, rc == CURLE_OPERATION_TIMEDOUT ? SH_ELIMIT : SH_ESYS, "%s",
                        *why ? why : curl_easy_strerror(rc));
}

bool sh_http_ask(const struct sh_http_ask *ask, int *status, struct sh_buf *answer,
                 struct sh_error *err)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    sh_require(curl && headers);
    set_up(curl, ask, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    bool ok = perform(curl, status, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return ok;
}
