/* SPDX-License-Identifier: MIT
 * cmd_send.c: post events to a running engine, one after the other, and show its answers. */
#include "app/app.h"

#include "app/config.h"
#include "app/input.h"
#include "app/options.h"
#include "app/print.h"
#include "app/sample_day.h"
#include "app/units.h"
#include "base/clock.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_URL      "http://127.0.0.1:8080"
#define MAX_ANSWER_BYTES ((size_t)1024 * 1024)
#define CONNECT_MS       5000L
#define ANSWER_MS        30000L
#define QUIET_US         2000000 /* nothing is said about progress before */

static const struct sh_option options[] = {
    {"to", "URL", "the engine (default: " DEFAULT_URL ", or where --config listens)"},
    {"source", "NAME", "post to this source's path (default: the only one, or webphone)"},
    {"token", "T", "bearer token (default: the source's own proof, see docs/authentication.md)"},
    {"unsigned", NULL, "no proof of who sends, whatever the configuration says"},
    {"ca-file", "FILE",
     "certificates to trust, with --to (default: $SWITCHHOOK_CA_FILE, else the system's)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"day", NULL, "send a webphone's day: seven events"},
    {"fixed", NULL, "with --day: the same call ids each time"},
    {"pause", "TIME", "wait between events: 500ms, 2s"},
    {"json", NULL, "one JSON object an answer"},
};
static const struct sh_command command = {
    .name = "send",
    .args = "FILE... | --day",
    .summary = "Post events to a running engine and show its answers.",
    .details = "FILE may be - for standard input, a .jsonl file with one event a line, or a .http\n"
               "file: a request with its path and headers (`POST /hooks/github`, `X-GitHub-Event:\n"
               "push`, an empty line, the body). A URL with a path is taken as it is; without one\n"
               "the source's path is added.\n"
               "What the source's auth asks for (a token, a signature) is made with its first\n"
               "secret, for each event.\n"
               "Exit code 1 if an answer is not 200 (with --day: not the expected one).",
    .example = "  switchhook send examples/webphone/call_stop.json\n"
               "  switchhook send --day --to http://127.0.0.1:8080",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .max_args = -1,
};

struct sending {
    struct sh_options o;
    struct sh_config config;
    struct sh_inputs inputs;
    const struct sh_sample *samples; /* NULL, or one for each input */
    char *url;
    CURL *curl;
    const struct sh_source_config *source;
    struct sh_buf answer;
    size_t sent;
    int64_t start_us, last_note_us;
    bool noted, json, bad;
};

/* --- one request ----------------------------------------------------------------------------- */

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
    struct sh_buf *answer = arg;
    sh_buf_add(answer, p, size * n);
    return sh_buf_ok(answer) ? size * n : 0;
}

/* A line about once a second, after two seconds in which a person may begin to wonder. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct sending *s = arg;
    int64_t now = sh_mono_us();
    (void)a, (void)b, (void)c, (void)d;
    if (now - s->start_us < QUIET_US || now - s->last_note_us < 1000000)
        return 0;
    s->last_note_us = now;
    s->noted = true;
    fprintf(stderr, "%s%zu of %zu sent, %lld s%s", isatty(STDERR_FILENO) ? "\r" : "", s->sent,
            s->inputs.n, (long long)((now - s->start_us) / 1000000),
            isatty(STDERR_FILENO) ? " " : "\n");
    return 0;
}

/* Bytes of "http://host:port" in front of the path. */
static size_t host_length(const char *url)
{
    const char *host = strstr(url, "://");
    const char *slash = strchr(host ? host + 3 : url, '/');
    return slash ? (size_t)(slash - url) : strlen(url);
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name,
                                     const char *value)
{
    size_t n = strlen(name);
    for (const struct curl_slist *h = headers; h; h = h->next)
        if (strncasecmp(h->data, name, n) == 0 && h->data[n] == ':')
            return headers; /* the earlier one counts */
    char *line = sh_strf("%s: %s", name, value);
    headers = curl_slist_append(headers, line);
    free(line);
    return headers;
}

/* What shows the engine that this sender is the one it says: of this body, at this time. */
static struct curl_slist *add_proof(const struct sending *s, const struct sh_source_config *source,
                                    struct sh_slice body, struct sh_auth_proof *proof)
{
    struct curl_slist *headers = NULL;
    const char *token = sh_options_get(&s->o, "token");
    *proof = (struct sh_auth_proof){0};
    if (token) {
        char *value = sh_strf("Bearer %s", token);
        headers = add_header(headers, "Authorization", value);
        free(value);
    } else if (!sh_options_get(&s->o, "unsigned")) {
        sh_auth_prove(&source->auth, body, sh_now_ms(), proof);
    }
    for (size_t i = 0; i < proof->n; i++)
        headers = curl_slist_append(headers, proof->header[i]);
    return headers;
}

/* Those of a .http file behind the proof's, and of the usual ones what is not among them. How long
 * the body is and whom it goes to is curl's to say. */
static struct curl_slist *add_headers(struct curl_slist *headers, const struct sh_sent *sent)
{
    for (size_t i = 0; i < sent->n_headers; i++) {
        const struct sh_sent_header *h = &sent->headers[i];
        if (strcasecmp(h->name, "Content-Length") != 0 && strcasecmp(h->name, "Host") != 0)
            headers = add_header(headers, h->name, h->value);
    }
    headers = add_header(headers, "Content-Type", "application/json");
    return curl_slist_append(headers, "Expect:");
}

/* The socket of the service manager lets senders in also while no engine runs. */
#define NO_ANSWER " (does it start? systemctl status switchhook)"

static bool perform(struct sending *s, const char *url, long *status, struct sh_error *err)
{
    char why[CURL_ERROR_SIZE] = "";
    sh_buf_reset(&s->answer);
    curl_easy_setopt(s->curl, CURLOPT_URL, url);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(s->curl);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, status);
    if (code == CURLE_OK)
        return true;
    const size_t n = s->source->auth.kind == SH_AUTH_PATH ? host_length(url) : strlen(url);
    return sh_error_set(err, SH_ESYS, "%.*s: %s%s", (int)n, url,
                        *why ? why : curl_easy_strerror(code),
                        code == CURLE_COULDNT_CONNECT      ? " (is `switchhook serve` running?)"
                        : code == CURLE_OPERATION_TIMEDOUT ? NO_ANSWER
                                                           : "");
}

static bool post(struct sending *s, const struct sh_sent *sent, long *status, struct sh_error *err)
{
    struct sh_auth_proof proof;
    const struct sh_source_config *by_path = sh_sent_source(sent, &s->config);
    struct curl_slist *headers =
        add_headers(add_proof(s, by_path ? by_path : s->source, sent->body, &proof), sent);
    struct sh_slice body = proof.body ? sh_slice(proof.body, proof.body_len) : sent->body;
    char *url = sent->path ? sh_strf("%.*s%s", (int)host_length(s->url), s->url, sent->path)
                           : sh_strdup(s->url);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, body.p);
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    bool ok = perform(s, url, status, err);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    sh_auth_proof_clear(&proof);
    free(url);
    return ok;
}

/* The engine of the configuration, wherever it listens: it has the very certificate that is named
 * there, whatever names are in it. Another has one of a CA that is trusted. */
static void trust_configured(struct sending *s)
{
    const char *ca = sh_options_get(&s->o, "ca-file");
    ca = ca ? ca : getenv("SWITCHHOOK_CA_FILE");
    if (ca) {
        curl_easy_setopt(s->curl, CURLOPT_CAINFO, ca);
        curl_easy_setopt(s->curl, CURLOPT_CAPATH, NULL);
    }
    if (!s->config.tls.cert || sh_options_get(&s->o, "to"))
        return;
    curl_easy_setopt(s->curl, CURLOPT_CAINFO, s->config.tls.cert);
    curl_easy_setopt(s->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(s->curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

static bool open_curl(struct sending *s, const char *token, struct sh_error *err)
{
    s->curl = curl_easy_init();
    sh_require(s->curl);
    if (token && strpbrk(token, "\r\n"))
        return sh_error_set(err, SH_EINVAL, "--token has a line break in it");
    curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
    trust_configured(s);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(s->curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
    curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, &s->answer);
    curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
    return true;
}

/* --- answers --------------------------------------------------------------------------------- */

static bool is_expected(const struct sending *s, size_t i, long status, bool duplicate)
{
    if (!s->samples)
        return status == 200;
    bool fresh = !sh_options_get(&s->o, "fixed"); /* a second fixed day is all repeats */
    switch (s->samples[i].answer) {
    case SH_SAMPLE_STORED:
        return status == 200 && !(fresh && duplicate);
    case SH_SAMPLE_DUPLICATE:
        return status == 200 && duplicate;
    case SH_SAMPLE_REFUSED:
        return status == 400;
    }
    return false;
}

static void print_answer_json(const char *name, long status, const cJSON *answer, bool expected)
{
    cJSON *o = cJSON_CreateObject();
    const cJSON *m;
    cJSON_AddStringToObject(o, "file", name);
    cJSON_AddItemToObject(o, "status", sh_json_int(status));
    if (cJSON_IsObject(answer))
        cJSON_ArrayForEach(m, answer) cJSON_AddItemToObject(o, m->string, cJSON_Duplicate(m, true));
    cJSON_AddBoolToObject(o, "expected", expected);
    sh_print_json(o);
    cJSON_Delete(o);
}

static void print_refusal(const cJSON *error, const struct sh_buf *raw)
{
    int64_t line = 0, column = 0;
    const char *code = sh_json_string(error, "code"), *message = sh_json_string(error, "message");
    printf("refused");
    if (code)
        printf(", %s", code);
    if (sh_json_get_int(sh_json_member(error, "line"), &line) &&
        sh_json_get_int(sh_json_member(error, "column"), &column))
        printf(" at line %lld, column %lld", (long long)line, (long long)column);
    printf(": ");
    sh_print_text(stdout, message ? message : raw->data ? raw->data : "", "  ");
    printf("\n");
}

static void print_answer(const struct sending *s, const char *name, long status,
                         const cJSON *answer, bool expected)
{
    const char *id = sh_json_string(answer, "id");
    bool duplicate = cJSON_IsTrue(sh_json_member(answer, "duplicate"));
    printf("%s%ld%s  %s: ", sh_style(stdout, expected ? SH_GREEN : SH_RED), status,
           sh_style(stdout, SH_PLAIN), name);
    if (status == 200 && id)
        printf("%s %s\n", duplicate ? "seen before, as" : "stored as", id);
    else
        print_refusal(sh_json_member(answer, "error"), &s->answer);
    if (!expected && s->samples)
        printf("     this is not the expected answer\n");
}

static bool send_one(struct sending *s, size_t i, struct sh_error *err)
{
    long status = 0;
    const struct sh_input *in = &s->inputs.items[i];
    if (!post(s, &in->sent, &status, err))
        return false;
    s->sent++;
    struct sh_slice text = sh_slice(s->answer.data, s->answer.len);
    cJSON *answer =
        text.n && sh_json_check(text.p, text.n, NULL) ? sh_json_parse(text.p, text.n, NULL) : NULL;
    bool duplicate = cJSON_IsTrue(sh_json_member(answer, "duplicate"));
    bool expected = is_expected(s, i, status, duplicate);
    s->bad |= !expected;
    if (s->json)
        print_answer_json(in->name, status, answer, expected);
    else
        print_answer(s, in->name, status, answer, expected);
    fflush(stdout);
    cJSON_Delete(answer);
    return true;
}

/* --- what is asked for ----------------------------------------------------------------------- */

static void add_day(struct sending *s)
{
    size_t n;
    uint8_t seed[16];
    bool fixed = sh_options_get(&s->o, "fixed") != NULL;
    sh_random(seed, sizeof(seed));
    s->samples = sh_sample_day(&n);
    for (size_t i = 0; i < n; i++) {
        char *body = sh_sample_body(&s->samples[i], fixed ? NULL : seed);
        sh_inputs_add_text(&s->inputs, s->samples[i].title, body);
        free(body);
    }
}

/* The path of a source, its secret in place; NULL: it has other named segments, too. */
static char *path_of(const struct sh_source_config *source)
{
    const struct sh_auth_config *auth = &source->auth;
    char *name = sh_strf("{%s}", auth->kind == SH_AUTH_PATH ? auth->segment : "");
    const char *at = strstr(source->path, name);
    char *path = at ? sh_strf("%.*s%s%s", (int)(at - source->path), source->path, auth->secrets[0],
                              at + strlen(name))
                    : sh_strdup(source->path);
    free(name);
    if (!strchr(path, '{'))
        return path;
    free(path);
    return NULL;
}

/* "http://host:port" gets the source's path; anything with a path stays. */
static char *url_of(const char *to, const struct sh_source_config *source, struct sh_error *err)
{
    const char *host = strstr(to, "://");
    const char *slash = strchr(host ? host + 3 : to, '/');
    if (slash && slash[1])
        return sh_strdup(to);
    char *path = path_of(source), *url = NULL;
    if (path)
        url = sh_strf("%.*s%s", slash ? (int)(slash - to) : (int)strlen(to), to, path);
    else
        sh_error_set(err, SH_EINVAL,
                     "the path of source \"%s\", %s, has named segments: give the whole URL with "
                     "--to",
                     source->source.name, source->path);
    free(path);
    return url;
}

static const struct sh_source_config *source_of(struct sending *s, struct sh_error *err)
{
    const char *name = sh_options_get(&s->o, "source");
    const struct sh_source_config *by_path =
        s->inputs.n ? sh_sent_source(&s->inputs.items[0].sent, &s->config) : NULL;
    const struct sh_source_config *source =
        !name && by_path ? by_path
        : !name && s->config.n_sources == 1
            ? &s->config.sources[0]
            : sh_config_source(&s->config, name ? name : "webphone");
    if (!source && name)
        sh_error_set(err, SH_ENOTFOUND, "the configuration has no source \"%s\"", name);
    else if (!source)
        sh_error_set(err, SH_EINVAL, "say which source with --source");
    return source;
}

static char *default_url(const struct sh_config *c)
{
    bool v6 = strchr(c->listen_host, ':') != NULL;
    bool any = strcmp(c->listen_host, "0.0.0.0") == 0 || strcmp(c->listen_host, "::") == 0;
    if (any || c->listen_port == 0)
        return sh_strf("%s://127.0.0.1:%d", sh_config_scheme(c),
                       c->listen_port ? c->listen_port : 8080);
    return sh_strf("%s://%s%s%s:%d", sh_config_scheme(c), v6 ? "[" : "", c->listen_host,
                   v6 ? "]" : "", c->listen_port);
}

static bool all_have_paths(const struct sending *s)
{
    for (size_t i = 0; i < s->inputs.n; i++)
        if (!s->inputs.items[i].sent.path)
            return false;
    return s->inputs.n > 0;
}

static bool prepare(struct sending *s, struct sh_error *err)
{
    cJSON *faults;
    bool ok = sh_config_load(sh_options_get(&s->o, "config"), &s->config, &faults);
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    if (!ok)
        return sh_error_set(err, SH_EINVAL, "the configuration has faults");
    for (int i = 0; i < s->o.n_args; i++)
        if (!sh_inputs_add(&s->inputs, s->o.args[i], err))
            return false;
    const struct sh_source_config *source = source_of(s, err);
    if (!source)
        return false;
    const char *to = sh_options_get(&s->o, "to"), *token = sh_options_get(&s->o, "token");
    char *here = to ? sh_strdup(to) : default_url(&s->config);
    s->url = all_have_paths(s) ? sh_strdup(here) : url_of(here, source, err);
    s->source = source;
    free(here);
    if (!s->url)
        return false;
    return open_curl(s, token, err);
}

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int go(struct sending *s)
{
    struct sh_error err;
    int64_t pause_ms = 0;
    const char *pause = sh_options_get(&s->o, "pause");
    if (pause && (!sh_parse_duration(pause, &pause_ms) || pause_ms < 0))
        return sh_usage_error(&command, "--pause: expected a duration such as 500ms, got %s",
                              pause);
    bool day = sh_options_get(&s->o, "day") != NULL;
    if (day == (s->o.n_args > 0))
        return sh_usage_error(&command, day ? "either files or --day, not both"
                                            : "say what to send: files, or --day");
    if (day)
        add_day(s);
    s->json = sh_options_get(&s->o, "json") != NULL;
    s->start_us = sh_mono_us();
    bool ok = prepare(s, &err);
    for (size_t i = 0; ok && i < s->inputs.n; i++) {
        if (i > 0 && pause_ms > 0)
            wait_ms(pause_ms);
        ok = send_one(s, i, &err);
    }
    if (s->noted && isatty(STDERR_FILENO))
        fprintf(stderr, "\n");
    if (!ok)
        fprintf(stderr, "switchhook send: %s\n", err.msg);
    return ok && !s->bad ? 0 : SH_EXIT_BAD;
}

int sh_cmd_send(int argc, char **argv)
{
    struct sending s = {0};
    sh_buf_init(&s.answer, MAX_ANSWER_BYTES);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = sh_options_parse(&command, argc, argv, &s.o);
    if (code < 0)
        code = go(&s);
    curl_easy_cleanup(s.curl);
    curl_global_cleanup();
    sh_buf_free(&s.answer);
    sh_inputs_clear(&s.inputs);
    sh_config_clear(&s.config);
    sh_options_clear(&s.o);
    free(s.url);
    return code;
}
