/* SPDX-License-Identifier: MIT
 * config_check.c: mail: what goes together. */
#include "app/config_reader.h"

#include "core/mime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The host of an smtp:// or smtps:// URL into out; false: it is no such URL. */
static bool smtp_host(const char *url, char *out, size_t room)
{
    const char *host = strncmp(url, "smtp://", 7) == 0    ? url + 7
                       : strncmp(url, "smtps://", 8) == 0 ? url + 8
                                                          : NULL;
    if (!host || !*host || strpbrk(host, "@?# \t\r\n\"<>"))
        return false;
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    snprintf(out, room, "%.*s", (int)n, host);
    const char *port = host + n;
    if (*port == ':') {
        long number = strtol(port + 1, NULL, 10);
        port += 1 + strspn(port + 1, "0123456789");
        if (number < 1 || number > 65535)
            return false;
    }
    return n > 0 && (*port == '\0' || strcmp(port, "/") == 0);
}

static bool is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

static void check_smtp(struct sh_cfg *cfg, struct sh_config *c, bool tls_said)
{
    char host[256] = "";
    if (!smtp_host(c->mail.smtp, host, sizeof(host)))
        sh_cfg_fault(cfg, "mail.smtp",
                     "\"%s\" is not a mail server's URL; expected smtp://HOST[:PORT] or "
                     "smtps://HOST[:PORT], with the login in username and password",
                     c->mail.smtp);
    else if (!tls_said)
        c->mail.require_tls = !is_local(host);
    if (!c->mail.from)
        sh_cfg_fault(cfg, "mail.smtp",
                     "needs mail.from beside it, such as from = "
                     "\"Switchhook <hook@example.org>\"");
}

void sh_cfg_check_mail(struct sh_cfg *cfg, struct sh_config *c, bool tls_said)
{
    struct sh_address address;
    struct sh_error err;
    if (c->mail.smtp)
        check_smtp(cfg, c, tls_said);
    if (c->mail.from && !sh_address_parse(sh_slice_str(c->mail.from), &address, &err))
        sh_cfg_fault(cfg, "mail.from", "%s", err.msg);
    if (!c->mail.username != !c->mail.password)
        sh_cfg_fault(cfg, c->mail.username ? "mail.username" : "mail.password",
                     "needs mail.%s beside it", c->mail.username ? "password" : "username");
    if (c->mail.ca_file && access(c->mail.ca_file, R_OK) != 0)
        sh_cfg_fault(cfg, "mail.ca_file", "\"%s\" cannot be read", c->mail.ca_file);
}
