/* SPDX-License-Identifier: MIT
 * mail_carrier.h: the outbox's carrier for items of kind "email": builds the message and gives it
 * to the mailer, which writes <data>/mail/<time>-<key>.eml or speaks SMTP. */
#ifndef SH_APP_MAIL_CARRIER_H
#define SH_APP_MAIL_CARRIER_H

#include "app/config.h"
#include "core/outbox.h"

struct sh_mail_carrier;

/* config and data (the data folder) are copied. NULL and *err: what sh_mailer_new() says, or
 * config->from is not an address. On the loop thread, as everything here. */
struct sh_mail_carrier *sh_mail_carrier_new(struct event_base *base,
                                            const struct sh_mail_config *config, const char *data,
                                            struct sh_error *err) SH_WARN_UNUSED;
/* To list in sh_outbox_config.carriers; valid as long as the mail carrier. */
struct sh_carrier sh_mail_carrier_as_carrier(struct sh_mail_carrier *c);
/* Messages on their way are dropped without done(). NULL is a no-op. */
void sh_mail_carrier_free(struct sh_mail_carrier *c);

#endif
