/* SPDX-License-Identifier: MIT
 * console.c: the console's files over HTTP. */
#include "app/console.h"

#include "app/console_files.h"

#include <stdlib.h>
#include <string.h>

/* CSP Level 3: nothing but this origin's own files, connections to it alone, in nobody's frame.
 * Without 'unsafe-inline' a name that a sender chose cannot become a script or a style, and with
 * trusted-types no script of ours can make one of it. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

static const struct {
    const char *end, *type;
} types[] = {{".html", "text/html; charset=utf-8"},
             {".js", "text/javascript; charset=utf-8"},
             {".css", "text/css; charset=utf-8"},
             {".svg", "image/svg+xml"}};

static const char *type_of(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        const size_t m = strlen(types[i].end);
        if (n > m && strcmp(name + n - m, types[i].end) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static const struct sh_console_file *find(const char *name)
{
    for (size_t i = 0; i < sh_console_n_files; i++)
        if (strcmp(sh_console_files[i].name, name) == 0)
            return &sh_console_files[i];
    return NULL;
}

/* RFC 9110 section 12.5.3, as browsers write it: a list with "gzip" in it. */
static bool takes_gzip(const struct sh_http_request *req)
{
    const char *accepts = sh_http_header(req, "Accept-Encoding");
    const char *at = accepts ? strstr(accepts, "gzip") : NULL;
    return at && strncmp(at + 4, ";q=0", 4) != 0;
}

static void add_headers(struct sh_http_request *req, const struct sh_console_file *f)
{
    const bool page = strstr(f->name, ".html") != NULL;
    const bool hashed = strstr(f->name, ".js") || strstr(f->name, ".css");
    if (page)
        sh_http_add_header(req, "Content-Security-Policy", policy);
    sh_http_add_header(req, "Cache-Control",
                       hashed ? "public, max-age=31536000, immutable" : "no-cache");
    sh_http_add_header(req, "ETag", f->etag);
    sh_http_add_header(req, "Vary", "Accept-Encoding");
    sh_http_add_header(req, "X-Content-Type-Options", "nosniff");
    sh_http_add_header(req, "X-Frame-Options", "DENY");
    sh_http_add_header(req, "Referrer-Policy", "no-referrer");
    sh_http_add_header(req, "Cross-Origin-Opener-Policy", "same-origin");
    sh_http_add_header(req, "Cross-Origin-Resource-Policy", "same-origin");
    sh_http_add_header(req, "Permissions-Policy", "camera=(), microphone=(), geolocation=()");
}

static void send_file(struct sh_http_request *req, const struct sh_console_file *f)
{
    const char *known = sh_http_header(req, "If-None-Match");
    add_headers(req, f);
    if (known && strstr(known, f->etag)) {
        sh_http_reply(req, 304, type_of(f->name), sh_slice("", 0));
    } else if (takes_gzip(req)) {
        sh_http_add_header(req, "Content-Encoding", "gzip");
        sh_http_reply(req, 200, type_of(f->name), sh_slice(f->gzip, f->gzip_size));
    } else {
        sh_http_reply(req, 200, type_of(f->name), sh_slice(f->data, f->size));
    }
}

static void refuse(struct sh_http_request *req, int status, const char *text)
{
    if (status == 405)
        sh_http_add_header(req, "Allow", "GET, HEAD");
    sh_http_reply(req, status, "text/plain; charset=utf-8", sh_slice_str(text));
}

/* One page for all places; the first one's asks for the list of calls at once. */
static const struct sh_console_file *page_at(const struct sh_http_request *req, const char *name)
{
    return find(!*name && !*sh_http_query(req) ? "calls.html" : "index.html");
}

bool sh_console_request(struct sh_http_request *req)
{
    const char *path = sh_http_path(req);
    const size_t n = strlen(SH_CONSOLE_PATH);
    if (strncmp(path, SH_CONSOLE_PATH, n) != 0 || (path[n] && path[n] != '/'))
        return false;
    const enum sh_http_method method = sh_http_method(req);
    const char *name = path[n] ? path + n + 1 : "";
    const struct sh_console_file *f = find(name);
    if (method != SH_HTTP_GET && method != SH_HTTP_HEAD)
        refuse(req, 405, "the console's files are read with GET\n");
    else if (f)
        send_file(req, f);
    else if (strncmp(name, "console-", 8) ==
             0) /* of an engine of before: the page is to be loaded anew */
        refuse(req, 404, "there is no such file of the console; load the page again\n");
    else
        send_file(req, page_at(req, name));
    return true;
}
