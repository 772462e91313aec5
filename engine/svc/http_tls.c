/* SPDX-License-Identifier: MIT
 * http_tls.c: what is different about a connection that speaks TLS: how it begins, what is sent
 * past evhttp, and how it ends. */
#include "svc/http_conn.h"
#include "svc/tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_BYTES 4096

/* The bufferevent owns the SSL object and, with it, the socket. */
struct bufferevent *sh_http_tls_new(struct sh_http_conn *c, struct event_base *base)
{
    c->ssl = sh_tls_accept(c->server->tls);
    sh_require(c->ssl);
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, -1, c->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    sh_require(bev);
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

/* Nothing else is on its way out when this is called. What the socket does not take at once would
 * be tried again by the next to write, as a part of something else: then nothing more goes out. */
void sh_http_tls_send(const struct sh_http_conn *c, const char *p, size_t n)
{
    if (!SSL_is_init_finished(c->ssl))
        return;
    ERR_clear_error();
    if (SSL_write(c->ssl, p, (int)n) != (int)n)
        shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
    ERR_clear_error();
}

void sh_http_tls_end(const struct sh_http_conn *c)
{
    if (SSL_is_init_finished(c->ssl) && !(SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN))
        (void)SSL_shutdown(c->ssl); /* close_notify, once: an answer is not waited for */
    ERR_clear_error();
}

/* A person with http:// in place of https:// is told so. What it sent is read first: closing with
 * bytes unread would reset the connection, and take the answer away. */
static void explain(const struct sh_http_conn *c)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Content-Length: 78\r\n\r\n"
        "{\"error\":{\"code\":\"tls_needed\",\"message\":\"HTTPS is spoken here: use https://\"}}";
    char away[DRAIN_BYTES];
    const int fd = bufferevent_getfd(c->bev);
    (void)!recv(fd, away, sizeof(away), MSG_DONTWAIT);
    (void)!send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void sh_http_tls_closing(struct sh_http_conn *c)
{
    const unsigned long error = bufferevent_get_openssl_error(c->bev);
    if (!SSL_is_init_finished(c->ssl)) {
        if (BIO_number_read(SSL_get_rbio(c->ssl)) > 0)
            sh_tls_note_failure(c->server->tls);
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST)
            explain(c);
    } else if (!error) {
        sh_http_tls_end(c);
    }
    c->ssl = NULL;
}
