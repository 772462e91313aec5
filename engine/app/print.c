/* SPDX-License-Identifier: MIT
 * print.c: tables, escapes, colours, JSON lines. */
#include "app/print.h"

#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define MAX_LINE_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_CELL_BYTES ((size_t)4096) /* of a table; --json shows all */
#define MIN_WIDTH      8              /* columns that a cut cell keeps */
#define GAP            2

const char *sh_style(FILE *f, enum sh_style style)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m",
                                        "\033[31m", "\033[32m", "\033[33m"};
    const char *no_color = getenv("NO_COLOR");
    if ((no_color && *no_color) || !isatty(fileno(f)))
        return "";
    return codes[style];
}

/* --- escaping ------------------------------------------------------------------------------- */

/* One code point at p; its length, or 0 if the bytes are not UTF-8. */
static size_t decode(const char *p, const char *end, uint32_t *code)
{
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : 4;
    if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || (size_t)(end - p) < n)
        return 0;
    uint32_t v = n == 1 ? c : c & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | ((unsigned char)p[i] & 0x3f);
    }
    if ((n == 3 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) ||
        (n == 4 && (v < 0x10000 || v > 0x10ffff)))
        return 0;
    *code = v;
    return n;
}

static bool acts_on_terminal(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void escape_code(struct sh_buf *out, uint32_t c)
{
    if (c == '\n' || c == '\t' || c == '\r')
        sh_buf_adds(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
    else
        sh_buf_addf(out, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
}

void sh_print_escape(struct sh_buf *out, struct sh_slice s)
{
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end;) {
        uint32_t c;
        size_t n = decode(p, end, &c);
        if (n == 0)
            sh_buf_addf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        else if (acts_on_terminal(c))
            escape_code(out, c);
        else
            sh_buf_add(out, p, n);
        p += n ? n : 1;
    }
}

void sh_print_text(FILE *f, const char *s, const char *indent)
{
    struct sh_buf line;
    sh_buf_init(&line, MAX_LINE_BYTES);
    for (;;) {
        size_t n = indent ? strcspn(s, "\n") : strlen(s);
        sh_buf_reset(&line);
        sh_print_escape(&line, sh_slice(s, n));
        if (line.len > 0)
            fwrite(line.data, 1, line.len, f);
        s += n;
        if (*s != '\n')
            break;
        s++;
        fprintf(f, "\n%s", indent);
    }
    sh_buf_free(&line);
}

void sh_print_json(const cJSON *tree)
{
    struct sh_buf line;
    sh_buf_init(&line, MAX_LINE_BYTES);
    if (sh_json_print(tree, &line)) {
        sh_buf_addc(&line, '\n');
        fwrite(line.data, 1, line.len, stdout);
    }
    sh_buf_free(&line);
}

/* --- tables --------------------------------------------------------------------------------- */

struct sh_table {
    const struct sh_column *columns;
    size_t n_columns, n_rows, cap_rows;
    char **cells; /* n_rows * n_columns, escaped */
};

struct sh_table *sh_table_new(const struct sh_column *columns, size_t n)
{
    struct sh_table *t = sh_alloc(1, sizeof(*t));
    *t = (struct sh_table){.columns = columns, .n_columns = n};
    return t;
}

/* An error of several lines is known by its first; --json has them all. */
static char *cell_of(const cJSON *value, const char *key)
{
    struct sh_buf raw, out;
    sh_buf_init(&raw, MAX_LINE_BYTES);
    sh_buf_init(&out, 6 * MAX_CELL_BYTES);
    if (cJSON_IsString(value))
        sh_buf_add(&raw, value->valuestring,
                   strcmp(key, "error") == 0 ? strcspn(value->valuestring, "\n")
                                             : strlen(value->valuestring));
    else if (value && !cJSON_IsNull(value) && !sh_json_print(value, &raw))
        sh_buf_reset(&raw);
    sh_print_escape(&out, sh_slice(raw.data, raw.len < MAX_CELL_BYTES ? raw.len : MAX_CELL_BYTES));
    sh_buf_free(&raw);
    return sh_buf_take(&out, NULL);
}

void sh_table_add(struct sh_table *t, const cJSON *row)
{
    if (t->n_rows == t->cap_rows) {
        t->cap_rows = t->cap_rows ? 2 * t->cap_rows : 64;
        t->cells = sh_realloc(t->cells, t->cap_rows * t->n_columns * sizeof(*t->cells));
    }
    for (size_t i = 0; i < t->n_columns; i++)
        t->cells[t->n_rows * t->n_columns + i] =
            cell_of(sh_json_member(row, t->columns[i].key), t->columns[i].key);
    t->n_rows++;
}

size_t sh_table_rows(const struct sh_table *t)
{
    return t->n_rows;
}

static size_t columns_of(uint32_t c)
{
    int w = wcwidth((wchar_t)c);
    return w < 0 ? 1 : (size_t)w;
}

/* Columns that escaped text takes; *bytes is cut to what fits max columns. */
static size_t width_of(const char *s, size_t max, size_t *bytes)
{
    const char *p = s, *end = s + strlen(s);
    size_t width = 0;
    while (p < end) {
        uint32_t c = ' ';
        size_t n = decode(p, end, &c);
        if (width + columns_of(c) > max)
            break;
        width += columns_of(c);
        p += n ? n : 1;
    }
    if (bytes)
        *bytes = (size_t)(p - s);
    return width;
}

/* Columns of the terminal, or 0 where the output is none: then nothing is cut. */
static size_t terminal_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static size_t total_width(const struct sh_table *t, const size_t *widths)
{
    size_t total = GAP * (t->n_columns - 1);
    for (size_t i = 0; i < t->n_columns; i++)
        total += widths[i];
    return total;
}

/* Take from the widest column, of those that may be cut (all: of every one), until the row fits or
 * none has more than MIN_WIDTH. */
static void shrink(const struct sh_table *t, size_t *widths, size_t room, bool all)
{
    while (total_width(t, widths) > room) {
        size_t widest = t->n_columns;
        for (size_t i = 0; i < t->n_columns; i++)
            if ((all || t->columns[i].stretch) && widths[i] > MIN_WIDTH &&
                (widest == t->n_columns || widths[i] > widths[widest]))
                widest = i;
        if (widest == t->n_columns)
            return;
        widths[widest]--;
    }
}

static void print_cell(const struct sh_column *column, const char *text, size_t width, bool last)
{
    size_t bytes, w = width_of(text, (size_t)-1, NULL);
    bool cut = w > width;
    w = width_of(text, cut ? width - 1 : width, &bytes);
    int pad = (int)(width - w - cut);
    if (column->right)
        printf("%*s%.*s%s", pad, "", (int)bytes, text, cut ? "…" : "");
    else
        printf("%.*s%s%*s", (int)bytes, text, cut ? "…" : "", last ? 0 : pad, "");
    printf("%*s", last ? 0 : GAP, "");
}

void sh_table_print(const struct sh_table *t)
{
    if (t->n_rows == 0)
        return;
    size_t *widths = sh_alloc(t->n_columns, sizeof(*widths)), room = terminal_width();
    for (size_t i = 0; i < t->n_columns; i++)
        widths[i] = strlen(t->columns[i].title);
    for (size_t k = 0; k < t->n_rows * t->n_columns; k++) {
        size_t w = width_of(t->cells[k], (size_t)-1, NULL);
        if (w > widths[k % t->n_columns])
            widths[k % t->n_columns] = w;
    }
    if (room) {
        shrink(t, widths, room, false);
        shrink(t, widths, room, true);
    }
    printf("%s", sh_style(stdout, SH_BOLD));
    for (size_t i = 0; i < t->n_columns; i++)
        print_cell(&t->columns[i], t->columns[i].title, widths[i], i + 1 == t->n_columns);
    printf("%s\n", sh_style(stdout, SH_PLAIN));
    for (size_t k = 0; k < t->n_rows * t->n_columns; k++) {
        size_t i = k % t->n_columns;
        print_cell(&t->columns[i], t->cells[k], widths[i], i + 1 == t->n_columns);
        if (i + 1 == t->n_columns)
            putchar('\n');
    }
    free(widths);
}

void sh_table_free(struct sh_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}
