/* SPDX-License-Identifier: MIT
 * sim_replies.c: answers to look-ups out of a list. */
#include "app/sim_replies.h"

#include "app/suggest.h"
#include "core/http_call.h"
#include "svc/json.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *const known[] = {"url", "status", "headers", "json", "body", "error"};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static bool check_members(const cJSON *reply, int place, struct sh_error *err)
{
    for (const cJSON *m = reply->child; m; m = m->next) {
        size_t i = 0;
        while (i < N_KNOWN && strcmp(known[i], m->string) != 0)
            i++;
        if (i < N_KNOWN)
            continue;
        const char *near = sh_suggest(m->string, known, N_KNOWN);
        return sh_error_set(err, SH_EINVAL, "reply %d: unknown member \"%.60s\"%s%s%s", place,
                            m->string, near ? " (did you mean \"" : "", near ? near : "",
                            near ? "\"?)" : "");
    }
    return true;
}

static bool check_reply(const cJSON *reply, int place, struct sh_error *err)
{
    int64_t status = 200;
    if (!cJSON_IsObject(reply))
        return sh_error_set(err, SH_EINVAL, "reply %d: expected an object", place);
    if (!check_members(reply, place, err))
        return false;
    if (!sh_json_string(reply, "url"))
        return sh_error_set(err, SH_EINVAL, "reply %d: \"url\" is missing, such as \"https://*\"",
                            place);
    const cJSON *given = sh_json_member(reply, "status");
    if (given && (!sh_json_get_int(given, &status) || status < 100 || status > 599))
        return sh_error_set(err, SH_EINVAL, "reply %d: \"status\" must be 100 to 599", place);
    int n = (sh_json_member(reply, "json") != NULL) + (sh_json_member(reply, "body") != NULL) +
            (sh_json_member(reply, "error") != NULL);
    if (n > 1)
        return sh_error_set(err, SH_EINVAL, "reply %d: only one of json, body and error", place);
    if (sh_json_member(reply, "body") && !sh_json_string(reply, "body"))
        return sh_error_set(err, SH_EINVAL, "reply %d: \"body\" must be a text", place);
    return true;
}

bool sh_sim_replies_check(const cJSON *replies, struct sh_error *err)
{
    int place = 0;
    const cJSON *reply;
    if (!cJSON_IsArray(replies))
        return sh_error_set(err, SH_EINVAL, "expected a list of replies: [{\"url\":..}, ..]");
    cJSON_ArrayForEach(reply, replies)
    {
        if (!check_reply(reply, ++place, err))
            return false;
    }
    return true;
}

static const cJSON *find(const cJSON *replies, const char *url)
{
    const cJSON *reply;
    cJSON_ArrayForEach(reply, replies)
    {
        if (fnmatch(sh_json_string(reply, "url"), url, 0) == 0)
            return reply;
    }
    return NULL;
}

static void no_reply(const char *url, cJSON *doc)
{
    char *why = sh_strf("no call leaves the machine in a dry run, and no reply is given for %s "
                        "(--replies FILE)",
                        url);
    cJSON_AddNumberToObject(doc, "status", 0);
    cJSON_AddStringToObject(doc, "error", why);
    free(why);
}

static void with_json(const cJSON *reply, cJSON *doc)
{
    struct sh_buf text;
    const cJSON *headers = sh_json_member(reply, "headers"), *json = sh_json_member(reply, "json");
    cJSON *all = headers ? cJSON_Duplicate(headers, true) : cJSON_CreateObject();
    sh_buf_init(&text, (size_t)4 << 20);
    if (json && !sh_json_member(all, "content-type"))
        cJSON_AddStringToObject(all, "content-type", "application/json");
    cJSON_AddItemToObject(doc, "headers", all);
    if (json && sh_json_print(json, &text)) {
        sh_buf_addc(&text, '\0');
        cJSON_AddStringToObject(doc, "body", text.data);
    } else {
        const char *body = sh_json_string(reply, "body");
        cJSON_AddStringToObject(doc, "body", body ? body : "");
    }
    sh_buf_free(&text);
}

static void fill(const cJSON *reply, cJSON *doc)
{
    int64_t status = 200;
    const char *error = sh_json_string(reply, "error");
    if (error) {
        cJSON_AddNumberToObject(doc, "status", 0);
        cJSON_AddStringToObject(doc, "error", error);
        return;
    }
    (void)!sh_json_get_int(sh_json_member(reply, "status"), &status);
    cJSON_AddNumberToObject(doc, "status", (double)status);
    with_json(reply, doc);
}

void sh_sim_reply(const cJSON *replies, struct sh_slice call, struct sh_buf *out)
{
    struct sh_buf url;
    sh_buf_init(&url, (size_t)2 * SH_HTTP_MAX_URL_BYTES);
    cJSON *asked = sh_json_parse(call.p, call.n, NULL), *doc = cJSON_CreateObject();
    if (asked)
        sh_http_call_show_url(asked, &url);
    sh_buf_addc(&url, '\0');
    const cJSON *reply = sh_buf_ok(&url) ? find(replies, url.data) : NULL;
    if (reply)
        fill(reply, doc);
    else
        no_reply(url.data, doc);
    if (!sh_json_print(doc, out))
        sh_buf_adds(out, "{\"status\":0,\"error\":\"the reply is too large\"}");
    cJSON_Delete(doc);
    cJSON_Delete(asked);
    sh_buf_free(&url);
}
