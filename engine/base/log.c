/* SPDX-License-Identifier: MIT
 * log.c: logfmt lines. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384 /* a longer line is cut */

static atomic_int min_level = SH_LOG_INFO;

void sh_log_set_level(enum sh_log_level level)
{
    atomic_store(&min_level, (int)level);
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
            return false;
    return true;
}

static void add_value(struct sh_buf *b, const char *s)
{
    if (is_plain(s)) {
        sh_buf_adds(b, s);
        return;
    }
    sh_buf_addc(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            sh_buf_addf(b, "\\%c", c);
        else if (c == '\n')
            sh_buf_adds(b, "\\n");
        else if (c < ' ' || c == 0x7f)
            sh_buf_addf(b, "\\x%02x", c);
        else
            sh_buf_addc(b, (char)c);
    }
    sh_buf_addc(b, '"');
}

void sh_log(enum sh_log_level level, const char *msg, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if ((int)level < atomic_load(&min_level))
        return;
    struct sh_buf b;
    char when[SH_TIME_TEXT];
    sh_buf_init(&b, LINE_MAX_BYTES);
    sh_buf_addf(&b, "time=%s level=%s msg=", sh_time_text(sh_now_ms(), when), names[level]);
    add_value(&b, msg);
    va_list ap;
    va_start(ap, msg);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        const char *value = va_arg(ap, const char *);
        sh_buf_addf(&b, " %s=", key);
        add_value(&b, value ? value : "");
    }
    va_end(ap);
    if (b.data) {
        size_t n = b.len < LINE_MAX_BYTES ? b.len : LINE_MAX_BYTES - 1;
        b.data[n] = '\n';
        ssize_t ignored = write(STDERR_FILENO, b.data, n + 1);
        (void)ignored; /* nowhere left to say it */
    }
    sh_buf_free(&b);
}

char *sh_num_text(char out[24], long long n)
{
    snprintf(out, 24, "%lld", n);
    return out;
}
