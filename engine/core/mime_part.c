/* SPDX-License-Identifier: MIT
 * mime_part.c: contents of a message, as quoted-printable or base64 (RFC 2045), whichever is
 * shorter, and the names of files (RFC 2231, with RFC 2047 for programs that know no better). */
#include "core/mime_impl.h"

#include <stdio.h>
#include <string.h>

#define LINE           76 /* columns of a line */
#define BASE64_IN_LINE 57 /* bytes in that */
#define PLAIN_NAME     60 /* a longer file name is written in pieces */
#define NAME_PIECE     54 /* columns of a piece */
#define WORD_BYTES     39 /* of a name in one encoded word: 52 columns */

/* --- base64 -------------------------------------------------------------------------------- */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sh_mime_base64_group(const uint8_t *p, size_t n, char out[4])
{
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    for (size_t i = 0; i < 4; i++)
        out[i] = i <= n ? digits64[v >> (18 - 6 * i) & 63] : '=';
}

static size_t base64_text(const char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3)
        sh_mime_base64_group((const uint8_t *)p + i, n - i < 3 ? n - i : 3, out + i / 3 * 4);
    return (n + 2) / 3 * 4;
}

void sh_mime_base64(struct sh_slice bytes, struct sh_buf *out)
{
    for (size_t i = 0; i < bytes.n; i += BASE64_IN_LINE) {
        char line[LINE];
        size_t n = bytes.n - i < BASE64_IN_LINE ? bytes.n - i : BASE64_IN_LINE;
        sh_buf_add(out, line, base64_text(bytes.p + i, n, line));
        sh_buf_adds(out, "\r\n");
    }
}

/* Value of a base64 letter, -1 if it is none. */
static int value64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The letters so far: bits not yet given out, and how many letters and = there were. */
struct decoder {
    uint32_t bits;
    size_t letters, pads, bytes;
};

static bool decode_letter(struct decoder *d, char c, struct sh_buf *out)
{
    int v = c == '=' ? 0 : value64(c);
    if (v < 0 || (d->pads && c != '=') || (c == '=' && (d->letters + d->pads) % 4 < 2))
        return false;
    d->pads += c == '=';
    d->letters += c != '=';
    d->bits = d->bits << 6 | (uint32_t)v;
    if ((d->letters + d->pads) % 4 != 0)
        return true;
    size_t n = 3 - d->pads;
    if (d->bits & ((1U << (8 * d->pads)) - 1)) /* bits that no byte would have: cut off or wrong */
        return false;
    for (size_t i = 0; out && i < n; i++)
        sh_buf_addc(out, (char)(d->bits >> (16 - 8 * i) & 0xff));
    d->bytes += n;
    d->bits = 0;
    return true;
}

bool sh_mime_unbase64(struct sh_slice text, struct sh_buf *out, size_t *n, size_t *at)
{
    struct decoder d = {0};
    size_t i = 0;
    for (; i < text.n; i++) {
        if (text.p[i] == '\r' || text.p[i] == '\n')
            continue;
        if (d.pads && (d.letters + d.pads) % 4 == 0)
            break; /* behind the padding */
        if (!decode_letter(&d, text.p[i], out))
            break;
    }
    *n = d.bytes;
    *at = i;
    return i == text.n && (d.letters + d.pads) % 4 == 0;
}

/* --- Texts --------------------------------------------------------------------------------- */

/* Every line end (CR LF, CR, LF) as CR LF, and one at the end. */
static void normalise(const char *text, struct sh_buf *out)
{
    while (*text) {
        size_t n = strcspn(text, "\r\n");
        sh_buf_add(out, text, n);
        sh_buf_adds(out, "\r\n");
        text += n;
        text += text[0] == '\r' && text[1] == '\n' ? 2 : *text != '\0';
    }
}

/* May byte i of the line stand for itself? Not a space before the line's end (servers strip it),
 * not a dot or "From " at the start of an output line (a transfer or a mailbox file could take it
 * for its own). */
static bool body_plain(const uint8_t *line, size_t n, size_t i, bool at_start)
{
    uint8_t c = line[i];
    if (c == '=' || c > 0x7e || (c < 0x20 && c != '\t'))
        return false;
    if (c == ' ' || c == '\t')
        return i + 1 < n;
    return !at_start || (c != '.' && !(n - i >= 5 && memcmp(line + i, "From ", 5) == 0));
}

static void quoted_line(const uint8_t *line, size_t n, struct sh_buf *out)
{
    size_t col = 0;
    for (size_t i = 0; i < n; i++) {
        bool plain = body_plain(line, n, i, col == 0);
        size_t room = LINE - (i + 1 < n ? 1U : 0U); /* the = of a soft break must fit behind */
        if (col + (plain ? 1 : 3) > room) {
            sh_buf_adds(out, "=\r\n");
            col = 0;
            plain = body_plain(line, n, i, true);
        }
        if (plain)
            sh_buf_addc(out, (char)line[i]);
        else
            sh_buf_addf(out, "=%02X", line[i]);
        col += plain ? 1 : 3;
    }
    sh_buf_adds(out, "\r\n");
}

static void quoted_printable(struct sh_slice text, struct sh_buf *out)
{
    const char *p = text.p, *stop = text.p + text.n;
    while (p < stop) {
        const char *eol = memchr(p, '\r', (size_t)(stop - p));
        quoted_line((const uint8_t *)p, (size_t)(eol - p), out);
        p = eol + 2;
    }
}

static bool mostly_ascii(struct sh_slice text)
{
    size_t other = 0;
    for (size_t i = 0; i < text.n; i++)
        other += (uint8_t)text.p[i] > 0x7e || text.p[i] == '=';
    return other * 6 <= text.n; /* 3 columns for each against 4/3 for every byte */
}

void sh_mime_text_part(struct sh_buf *out, const char *type, const char *content)
{
    struct sh_buf lines;
    sh_buf_init(&lines, 3 * strlen(content) + 2);
    normalise(content, &lines);
    struct sh_slice text = sh_slice(lines.data ? lines.data : "", lines.len);
    bool quoted = mostly_ascii(text);
    sh_buf_addf(out, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
                type, quoted ? "quoted-printable" : "base64");
    if (quoted)
        quoted_printable(text, out);
    else
        sh_mime_base64(text, out);
    sh_buf_free(&lines);
}

/* --- Files --------------------------------------------------------------------------------- */

/* Can it stand between quotes as it is? A quoted " or an = and ? is read wrongly by some. */
static bool name_plain(const char *s)
{
    if (strlen(s) > PLAIN_NAME || strstr(s, "=?") || strchr(s, '"') || strchr(s, '\\'))
        return false;
    for (; *s; s++) {
        if (*s < 0x20 || *s > 0x7e)
            return false;
    }
    return true;
}

/* Length of the character at p: the text has been checked to be UTF-8. */
static size_t char_bytes(char first)
{
    uint8_t c = (uint8_t)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* ;name="=?UTF-8?B?..?=" against the letter of RFC 2047, but what many programs write and read. */
static void old_name(struct sh_buf *out, const char *name)
{
    sh_buf_adds(out, ";\r\n name=\"");
    while (*name) {
        char word[WORD_BYTES / 3 * 4];
        size_t n = 0;
        while (name[n] && n + char_bytes(name[n]) <= WORD_BYTES)
            n += char_bytes(name[n]);
        size_t len = base64_text(name, n, word);
        sh_buf_addf(out, "=?UTF-8?B?%.*s?=", (int)len, word);
        name += n;
        sh_buf_adds(out, *name ? "\r\n " : "\"");
    }
}

/* A character of the name as RFC 2231 has it; its columns. */
static size_t percent(const char *p, char out[16])
{
    size_t n = char_bytes(*p), len = 0;
    bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
                 strchr("-._", *p);
    if (plain)
        out[len++] = *p;
    for (size_t i = 0; !plain && i < n; i++)
        len += (size_t)snprintf(out + len, 16 - len, "%%%02X", (uint8_t)p[i]);
    return len;
}

/* ;filename*0*=UTF-8''..;filename*1*=.. in pieces that a line can hold. */
static void new_name(struct sh_buf *out, const char *name)
{
    for (int piece = 0; *name; piece++) {
        char text[NAME_PIECE + 16], one[16];
        size_t len = 0;
        for (size_t n; *name && len + (n = percent(name, one)) <= NAME_PIECE; len += n) {
            memcpy(text + len, one, n);
            name += char_bytes(*name);
        }
        if (piece == 0 && !*name)
            sh_buf_adds(out, ";\r\n filename*=UTF-8''");
        else
            sh_buf_addf(out, ";\r\n filename*%d*=%s", piece, piece ? "" : "UTF-8''");
        sh_buf_add(out, text, len);
    }
}

void sh_mime_file_part(struct sh_buf *out, const char *type, const char *name, bool charset,
                       struct sh_slice bytes)
{
    bool plain = name_plain(name);
    sh_buf_addf(out, "Content-Type: %s%s", type, charset ? "; charset=utf-8" : "");
    if (plain)
        sh_buf_addf(out, ";\r\n name=\"%s\"", name);
    else
        old_name(out, name);
    sh_buf_adds(out, "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment");
    if (plain)
        sh_buf_addf(out, ";\r\n filename=\"%s\"", name);
    else
        new_name(out, name);
    sh_buf_adds(out, "\r\n\r\n");
    sh_mime_base64(bytes, out);
}
