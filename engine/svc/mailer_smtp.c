/* SPDX-License-Identifier: MIT
 * mailer_smtp.c: messages to an SMTP server with libcurl, in threads of their own.
 *
 * libcurl waits in place for the answer to a message's end and to QUIT, with its multi interface
 * too, up to minutes (smtp_done() and smtp_disconnect() of 7.88). On the loop that would stop
 * everything, so each connection is a thread with an easy handle, started when there is work for
 * it. The handle keeps its connection open for the next message. */
#include "svc/mailer_way.h"

#include "svc/loop.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEF_CONNECTIONS    4
#define MAX_CONNECTIONS    64
#define DEF_TIMEOUT_MS     60000
#define CONNECT_TIMEOUT_MS 15000
#define MAX_SOCKETS        8 /* of one handle at once: the connection, and attempts to connect */

struct smtp_way {
    char *url, *username, *password, *ca_file;
    bool require_tls;
    long timeout_ms;
    size_t connections;
    sh_mail_finished_fn *finished;
    void *arg;
    struct sh_waker *waker;
    pthread_mutex_t lock; /* guards what follows, and every worker's sockets */
    pthread_cond_t work;
    struct sh_mail_queue todo, ready;
    size_t n_todo, n_idle, n_workers;
    bool quit;
    struct worker {
        struct smtp_way *way;
        pthread_t thread;
        CURL *easy;
        int sockets[MAX_SOCKETS]; /* -1 = none */
    } workers[MAX_CONNECTIONS];
};

/* Which command the server answered last: what a 5xx is about. */
enum phase { PHASE_OPEN, PHASE_MAIL, PHASE_RCPT, PHASE_DATA };

/* One attempt to send a message. */
struct sending {
    struct worker *worker;
    struct sh_mail *mail;
    size_t sent; /* bytes of the message libcurl has taken */
    enum phase phase;
    size_t asked;      /* RCPT commands sent so far: libcurl sends one, and waits for the answer */
    bool accepted;     /* one of them was */
    bool over;         /* QUIT was said: what comes now is not about the message */
    bool fresh;        /* the second try, on a new connection */
    long code;         /* of the last answer, 0 before any */
    char command[200]; /* MAIL or RCPT line, for the error text */
    char answer[300];  /* last line of the server's answer; none from before MAIL */
    char curl_error[CURL_ERROR_SIZE];
};

/* --- Sockets ------------------------------------------------------------------------------- */

static void note_socket(struct worker *k, int from, int to)
{
    pthread_mutex_lock(&k->way->lock);
    for (size_t i = 0; i < MAX_SOCKETS; i++) {
        if (k->sockets[i] == from) {
            k->sockets[i] = to;
            break;
        }
    }
    pthread_mutex_unlock(&k->way->lock);
}

/* Every wait of this handle ends at once. With the lock held. */
static void cut_sockets(struct worker *k)
{
    for (size_t i = 0; i < MAX_SOCKETS; i++) {
        if (k->sockets[i] >= 0)
            shutdown(k->sockets[i], SHUT_RDWR);
    }
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd >= 0)
        note_socket(arg, -1, fd);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
    note_socket(arg, fd, -1);
    return close(fd);
}

/* --- What libcurl calls during a transfer ---------------------------------------------------- */

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    size_t left = s->mail->len - s->sent, take = size * n < left ? size * n : left;
    memcpy(to, s->mail->text + s->sent, take);
    s->sent += take;
    return take;
}

/* One printable line. */
static void keep_line(char *out, size_t size, const char *p, size_t n)
{
    size_t len = 0;
    while (n && (p[n - 1] == '\r' || p[n - 1] == '\n'))
        n--;
    for (; len < n && len + 1 < size; len++)
        out[len] = p[len] >= 0x20 && p[len] < 0x7f ? p[len] : '?';
    out[len] = '\0';
}

static bool is_about_us(long code)
{
    return code == 530 || code == 534 || code == 535 || code == 538; /* our login or rights */
}

/* The answer to the last RCPT. The last line of several stands. */
static void judge_recipient(struct sending *s, const char *p, size_t n)
{
    if (!s->asked || s->asked > s->mail->n_to)
        return;
    struct sh_mail_fate *f = &s->mail->fates[s->asked - 1];
    if (s->code >= 200 && s->code <= 299) {
        s->accepted = true;
        return;
    }
    bool too_many = s->code == 552 && s->accepted; /* RFC 5321 4.5.3.1.10 */
    bool final = s->code >= 500 && s->code <= 599 && !too_many && !is_about_us(s->code);
    f->state = final ? SH_MAIL_TO_REFUSED : SH_MAIL_TO_LATER;
    f->code = (int)s->code;
    keep_line(f->answer, sizeof(f->answer), p, n);
}

/* A line of the server. Nothing of the login is kept: a server might repeat what it was given. */
static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    if (s->over)
        return size * n;
    char number[4] = "";
    keep_line(number, sizeof(number), p, size * n);
    s->code = strtol(number, NULL, 10);
    if (s->phase != PHASE_OPEN)
        keep_line(s->answer, sizeof(s->answer), p, size * n);
    if (s->phase == PHASE_RCPT)
        judge_recipient(s, p, size * n);
    return size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    return size * n;
}

/* Called all the time, about once a second where libcurl waits. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct smtp_way *w = ((struct sending *)arg)->worker->way;
    pthread_mutex_lock(&w->lock);
    bool quit = w->quit;
    pthread_mutex_unlock(&w->lock);
    return quit;
}

static void on_quit_said(struct sending *s)
{
    struct worker *k = s->worker;
    s->over = true;
    pthread_mutex_lock(&k->way->lock);
    cut_sockets(k); /* libcurl would wait two minutes for the good-bye */
    pthread_mutex_unlock(&k->way->lock);
}

static bool starts(const char *p, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n >= len && strncasecmp(p, word, len) == 0;
}

/* libcurl tells which command it sends; only these four are looked at. */
static int on_debug(CURL *easy, curl_infotype type, char *p, size_t n, void *arg)
{
    (void)easy;
    struct sending *s = arg;
    if (type != CURLINFO_HEADER_OUT || s->over)
        return 0;
    if (starts(p, n, "MAIL FROM:"))
        s->phase = PHASE_MAIL;
    else if (s->phase >= PHASE_MAIL && starts(p, n, "RCPT TO:"))
        s->phase = PHASE_RCPT, s->asked++;
    else if (s->phase >= PHASE_MAIL && starts(p, n, "DATA"))
        s->phase = PHASE_DATA;
    else if (starts(p, n, "QUIT"))
        on_quit_said(s);
    if (s->over || s->phase == PHASE_OPEN)
        return 0;
    keep_line(s->command, sizeof(s->command), p, n);
    s->answer[0] = '\0';
    s->code = 0;
    return 0;
}

/* --- The end of a transfer ----------------------------------------------------------------- */

/* A 5xx to the message ends it for all that were not refused before. One that is about our login or
 * comes before MAIL is about the configuration: every message would die of a wrong password. */
static bool is_final(const struct sending *s)
{
    return (s->phase == PHASE_MAIL || s->phase == PHASE_DATA) && s->code >= 500 && s->code <= 599 &&
           !is_about_us(s->code);
}

/* Before MAIL is answered the server has seen nothing of the message but its size and our own
 * address. */
static bool is_down(const struct sending *s)
{
    return s->phase == PHASE_OPEN ||
           (s->phase == PHASE_MAIL && (s->code < 300 || s->code == 421 || is_about_us(s->code)));
}

static void explain(const struct sending *s, CURLcode rc, char *out, size_t n)
{
    const char *curl_text = s->curl_error[0] ? s->curl_error : curl_easy_strerror(rc);
    if (rc == CURLE_OK)
        snprintf(out, n, "%s", s->answer);
    else if (s->code >= 400 && s->phase >= PHASE_MAIL)
        snprintf(out, n, "%s: %s", s->phase == PHASE_DATA ? "message" : s->command, s->answer);
    else if (s->code >= 400)
        snprintf(out, n, "the server refused before the message, with %ld: %s", s->code, curl_text);
    else if (s->phase == PHASE_DATA && s->sent == s->mail->len)
        snprintf(out, n, "no answer after the message was sent, the server may have taken it: %s",
                 curl_text);
    else
        snprintf(out, n, "%s", curl_text);
}

static void judge(const struct sending *s, CURLcode rc, struct sh_mail *mail)
{
    struct sh_mail_result *r = &mail->result;
    explain(s, rc, r->detail, sizeof(r->detail));
    enum sh_mail_to state = rc == CURLE_OK ? SH_MAIL_TO_SENT
                            : is_final(s)  ? SH_MAIL_TO_REFUSED
                                           : SH_MAIL_TO_LATER;
    int code = rc == CURLE_OK || s->code >= 400 ? (int)s->code : 0;
    sh_mail_settle(mail, state, code, r->detail);
    if (rc != CURLE_OK && is_down(s)) {
        r->verdict = SH_MAIL_DOWN;
        r->code = code;
    }
}

/* Did an idle connection turn out to be closed by the server before the message? Then the
 * message goes again at once, on a new one. */
static bool connection_was_stale(const struct sending *s, CURLcode rc)
{
    long connects = 1;
    curl_easy_getinfo(s->worker->easy, CURLINFO_NUM_CONNECTS, &connects);
    return rc != CURLE_OK && rc != CURLE_OPERATION_TIMEDOUT && connects == 0 && !s->fresh &&
           s->sent == 0 && (s->code < 400 || s->code == 421);
}

/* --- A transfer ---------------------------------------------------------------------------- */

static void set(CURL *easy, CURLoption option, const char *text)
{
    sh_require(curl_easy_setopt(easy, option, text) == CURLE_OK);
}

static void set_number(CURL *easy, CURLoption option, long n)
{
    sh_require(curl_easy_setopt(easy, option, n) == CURLE_OK);
}

static void set_server(CURL *easy, const struct smtp_way *w)
{
    set(easy, CURLOPT_URL, w->url);
    set(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    set(easy, CURLOPT_PROXY, ""); /* not what the environment says */
    set_number(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED);
    set_number(easy, CURLOPT_NOSIGNAL, 1);
    set_number(easy, CURLOPT_QUICK_EXIT, 1); /* do not wait for a hanging look-up */
    set_number(easy, CURLOPT_USE_SSL, w->require_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE);
    set_number(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    set_number(easy, CURLOPT_SSL_VERIFYPEER, 1);
    set_number(easy, CURLOPT_SSL_VERIFYHOST, 2);
    if (w->ca_file) {
        set(easy, CURLOPT_CAINFO, w->ca_file);
        set(easy, CURLOPT_CAPATH, NULL); /* this one alone */
    }
    if (w->username) {
        set(easy, CURLOPT_USERNAME, w->username);
        set(easy, CURLOPT_PASSWORD, w->password ? w->password : "");
    }
    set_number(easy, CURLOPT_TIMEOUT_MS, w->timeout_ms);
    set_number(easy, CURLOPT_CONNECTTIMEOUT_MS,
               w->timeout_ms < CONNECT_TIMEOUT_MS ? w->timeout_ms : CONNECT_TIMEOUT_MS);
}

static struct curl_slist *recipients(const struct sh_mail *mail)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < mail->n_to; i++) {
        struct curl_slist *more = curl_slist_append(list, mail->to[i]);
        sh_require(more);
        list = more;
    }
    return list;
}

static void set_message(CURL *easy, struct sending *s, struct curl_slist *to)
{
    set(easy, CURLOPT_MAIL_FROM, s->mail->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    set_number(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1); /* go on with the others */
    set_number(easy, CURLOPT_UPLOAD, 1);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->mail->len);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, s);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, s);
    set_number(easy, CURLOPT_VERBOSE, 1); /* for on_debug; nothing is printed */
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, s);
    set_number(easy, CURLOPT_NOPROGRESS, 0);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, s->worker);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, s->worker);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->curl_error);
    set_number(easy, CURLOPT_FRESH_CONNECT, s->fresh);
}

/* False: the connection was stale, and this was not yet the fresh one. */
static bool try_to_send(struct worker *k, struct sh_mail *mail, bool fresh)
{
    struct sending s = {.worker = k, .mail = mail, .fresh = fresh};
    struct curl_slist *to = recipients(mail);
    memset(mail->fates, 0, mail->n_to * sizeof(*mail->fates));
    curl_easy_reset(k->easy); /* keeps its connection */
    set_server(k->easy, k->way);
    set_message(k->easy, &s, to);
    CURLcode rc = curl_easy_perform(k->easy);
    bool stale = connection_was_stale(&s, rc);
    if (!stale)
        judge(&s, rc, mail);
    curl_easy_reset(k->easy); /* it must not keep pointers to s */
    curl_slist_free_all(to);
    return !stale;
}

/* --- Threads ------------------------------------------------------------------------------- */

static void *run(void *arg)
{
    struct worker *k = arg;
    struct smtp_way *w = k->way;
    pthread_mutex_lock(&w->lock);
    while (!w->quit) {
        struct sh_mail *mail = sh_mail_pop(&w->todo);
        if (!mail) {
            w->n_idle++;
            pthread_cond_wait(&w->work, &w->lock);
            w->n_idle--;
            continue;
        }
        w->n_todo--;
        pthread_mutex_unlock(&w->lock);
        if (!try_to_send(k, mail, false))
            (void)try_to_send(k, mail, true);
        pthread_mutex_lock(&w->lock);
        sh_mail_push(&w->ready, mail);
        sh_waker_ring(w->waker);
    }
    cut_sockets(k); /* an idle connection is closed without a conversation */
    pthread_mutex_unlock(&w->lock);
    curl_easy_cleanup(k->easy);
    return NULL;
}

static void start_worker(struct smtp_way *w)
{
    struct worker *k = &w->workers[w->n_workers++];
    k->way = w;
    k->easy = curl_easy_init();
    sh_require(k->easy);
    for (size_t i = 0; i < MAX_SOCKETS; i++)
        k->sockets[i] = -1;
    sh_require(pthread_create(&k->thread, NULL, run, k) == 0);
}

static void take(void *self, struct sh_mail *mail)
{
    struct smtp_way *w = self;
    pthread_mutex_lock(&w->lock);
    sh_mail_push(&w->todo, mail);
    w->n_todo++;
    if (w->n_todo > w->n_idle && w->n_workers < w->connections)
        start_worker(w);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

static void report(void *arg)
{
    struct smtp_way *w = arg;
    struct sh_mail *mail;
    do {
        pthread_mutex_lock(&w->lock);
        mail = sh_mail_pop(&w->ready);
        pthread_mutex_unlock(&w->lock);
        if (mail)
            w->finished(w->arg, mail);
    } while (mail);
}

/* A message whose end was not yet sent is not delivered: its connection is cut before libcurl
 * could end it in the middle. */
static void way_free(void *self)
{
    struct smtp_way *w = self;
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_broadcast(&w->work);
    for (size_t i = 0; i < w->n_workers; i++)
        cut_sockets(&w->workers[i]);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->n_workers; i++)
        pthread_join(w->workers[i].thread, NULL);
    sh_waker_free(w->waker);
    sh_mail_drop(&w->todo);
    sh_mail_drop(&w->ready);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w->url);
    free(w->username);
    if (w->password)
        explicit_bzero(w->password, strlen(w->password));
    free(w->password);
    free(w->ca_file);
    free(w);
    curl_global_cleanup();
}

/* --- Configuration --------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0;
}

static bool check_parts(CURLU *u, const struct sh_mailer_config *c, struct sh_error *err)
{
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool ok = false;
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0))
        sh_error_set(err, SH_EINVAL, "the mail server's URL has no scheme or host");
    else if (strcmp(scheme, "smtp") != 0 && strcmp(scheme, "smtps") != 0)
        sh_error_set(err, SH_EINVAL, "mail server %s://%s: expected smtp:// or smtps://", scheme,
                     host);
    else if (!curl_url_get(u, CURLUPART_USER, &user, 0))
        sh_error_set(err, SH_EINVAL,
                     "the mail server's URL must not hold a login: set username "
                     "and password");
    else if (c->username && strcmp(scheme, "smtp") == 0 && !c->require_tls && !is_loopback(host))
        sh_error_set(err, SH_EINVAL,
                     "the login for %s would cross the network in clear text: "
                     "set require_tls, or use smtps://",
                     host);
    else
        ok = true;
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    return ok;
}

static bool check_config(const struct sh_mailer_config *c, struct sh_error *err)
{
    CURLU *u = curl_url();
    sh_require(u);
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, c->smtp, 0);
    bool ok = rc == CURLUE_OK ? check_parts(u, c, err)
                              : sh_error_set(err, SH_EINVAL,
                                             "the mail server's URL is not one (%s): expected "
                                             "smtp://host:port",
                                             curl_url_strerror(rc));
    curl_url_cleanup(u);
    if (ok && c->ca_file && access(c->ca_file, R_OK) != 0)
        return sh_error_set(err, SH_EINVAL, "ca_file %s cannot be read", c->ca_file);
    return ok;
}

bool sh_mail_way_smtp(struct sh_mail_way *way, struct event_base *base,
                      const struct sh_mailer_config *config, sh_mail_finished_fn *finished,
                      void *arg, struct sh_error *err)
{
    sh_require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    if (!check_config(config, err)) {
        curl_global_cleanup();
        return false;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    struct smtp_way *w = sh_alloc(1, sizeof(*w));
    w->waker = sh_waker_new(base, report, w);
    w->url = sh_strdup(config->smtp);
    w->username = sh_strdup(config->username);
    w->password = sh_strdup(config->password);
    w->ca_file = sh_strdup(config->ca_file);
    w->require_tls = config->require_tls;
    w->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : DEF_TIMEOUT_MS;
    w->connections = config->connections > 0 ? (size_t)config->connections : DEF_CONNECTIONS;
    if (w->connections > MAX_CONNECTIONS)
        w->connections = MAX_CONNECTIONS;
    w->finished = finished;
    w->arg = arg;
    sh_require(pthread_mutex_init(&w->lock, NULL) == 0);
    sh_require(pthread_cond_init(&w->work, NULL) == 0);
    *way = (struct sh_mail_way){.self = w, .take = take, .free = way_free};
    return true;
}
