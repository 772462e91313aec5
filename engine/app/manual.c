/* SPDX-License-Identifier: MIT
 * manual.c: what --help says, as manual pages. */
#include "app/manual.h"

#include "app/commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void sh_manual_name(const char *path, char out[SH_MANUAL_NAME])
{
    snprintf(out, SH_MANUAL_NAME, "switchhook-%s", path);
    for (char *p = out; *p; p++)
        if (*p == ' ')
            *p = '-';
}

/* --- roff ------------------------------------------------------------------------------------ */

/* Text of which roff is to make nothing but text: its own signs, and a dot or an apostrophe at the
 * beginning of a line. Dashes stay what people type. */
static void text_n(struct sh_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        const bool first = out->len == 0 || out->data[out->len - 1] == '\n';
        if (c == '\\')
            sh_buf_adds(out, "\\e");
        else if (c == '-')
            sh_buf_adds(out, "\\-");
        else if (c == '\'')
            sh_buf_adds(out, "\\(aq");
        else if (c == '`')
            sh_buf_adds(out, "\\(ga");
        else if (c == '^')
            sh_buf_adds(out, "\\(ha");
        else if (c == '~')
            sh_buf_adds(out, "\\(ti");
        else if (c == '.' && first)
            sh_buf_adds(out, "\\&.");
        else
            sh_buf_addc(out, (char)c);
    }
}

static void text(struct sh_buf *out, const char *s)
{
    text_n(out, s, strlen(s));
}

static void section(struct sh_buf *out, const char *name)
{
    sh_buf_addf(out, ".SH %s\n", name);
}

static void title(struct sh_buf *out, const char *name, const char *date)
{
    sh_buf_adds(out, ".\\\" made of the program's own tables: switchhook manual\n.TH ");
    for (const char *p = name; *p; p++)
        if (*p == '-')
            sh_buf_adds(out, "\\-");
        else
            sh_buf_addc(out, (char)toupper((unsigned char)*p));
    sh_buf_addf(out, " 1 %s \"switchhook %s\" \"switchhook manual\"\n", date, SH_VERSION);
}

/* "Check the store. It goes on." in short, as NAME and lists want it: "check the store". */
static void in_short(struct sh_buf *out, const char *summary)
{
    const char *end = strstr(summary, ". ");
    size_t n = end ? (size_t)(end - summary) : strlen(summary);
    n -= n > 0 && summary[n - 1] == '.';
    if (n > 1 && islower((unsigned char)summary[1])) { /* not an abbreviation */
        sh_buf_addc(out, (char)tolower((unsigned char)*summary));
        summary++, n--;
    }
    text_n(out, summary, n);
    sh_buf_adds(out, "\n");
}

static void name_section(struct sh_buf *out, const char *name, const char *summary)
{
    section(out, "NAME");
    text(out, name);
    sh_buf_adds(out, " \\- ");
    in_short(out, summary);
}

/* Is it set by hand, in columns or with a margin? */
static bool is_laid_out(const char *block, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (block[i] == ' ' && block[i + 1] == ' ')
            return true;
    return false;
}

/* Between two paragraphs; not below a heading. */
static void paragraph(struct sh_buf *out)
{
    const char *line = out->data + out->len - 1;
    while (line > out->data && line[-1] != '\n')
        line--;
    if (strncmp(line, ".SH", 3) != 0)
        sh_buf_adds(out, ".PP\n");
}

/* Paragraphs between empty lines; what is laid out by hand stays so. */
static void paragraphs(struct sh_buf *out, const char *s)
{
    while (*s) {
        const char *end = strstr(s, "\n\n");
        const size_t n = end ? (size_t)(end - s) : strlen(s);
        const bool as_is = is_laid_out(s, n);
        paragraph(out);
        sh_buf_adds(out, as_is ? ".nf\n" : "");
        text_n(out, s, n);
        sh_buf_adds(out, as_is ? "\n.fi\n" : "\n");
        s += n + (end ? 2 : 0);
    }
}

/* Lines of a terminal, without the margin that they have in the help. */
static void example(struct sh_buf *out, const char *s)
{
    sh_buf_adds(out, ".RS 4\n.nf\n");
    while (*s) {
        const size_t n = strcspn(s, "\n"), margin = strspn(s, " ") < 2 ? 0 : 2;
        text_n(out, s + margin, n - margin);
        sh_buf_adds(out, "\n");
        s += n + (s[n] == '\n');
    }
    sh_buf_adds(out, ".fi\n.RE\n");
}

/* --- a command's page ------------------------------------------------------------------------ */

static void synopsis(struct sh_buf *out, const struct sh_command *c)
{
    section(out, "SYNOPSIS");
    sh_buf_adds(out, ".B switchhook ");
    text(out, c->name);
    sh_buf_adds(out, c->n_options ? "\n[options]\n" : "\n");
    if (c->args) {
        text(out, c->args);
        sh_buf_adds(out, "\n");
    }
}

static void option(struct sh_buf *out, const char *name, const char *value, const char *help)
{
    sh_buf_adds(out, ".TP\n\\fB\\-\\-");
    text(out, name);
    sh_buf_adds(out, "\\fR");
    if (value) {
        sh_buf_adds(out, " \\fI");
        text(out, value);
        sh_buf_adds(out, "\\fR");
    }
    sh_buf_adds(out, "\n");
    text(out, help);
    sh_buf_adds(out, "\n");
}

static void options(struct sh_buf *out, const struct sh_command *c)
{
    section(out, "OPTIONS");
    for (size_t i = 0; i < c->n_options; i++)
        option(out, c->options[i].name, c->options[i].value, c->options[i].help);
    option(out, "help", NULL, "what is said here, in short");
}

static void exit_status(struct sh_buf *out)
{
    section(out, "EXIT STATUS");
    sh_buf_adds(out, ".TP\n0\nfine\n.TP\n1\nthe thing asked about is bad\n.TP\n2\nusage: an "
                     "unknown option, a missing value\n");
}

struct related {
    struct sh_buf *out;
    const char *name; /* the command that the page is of */
};

/* `callbacks` and `callbacks done` name each other. */
static void see_related(void *arg, const char *path, const char *brief,
                        const struct sh_command *table)
{
    const struct related *r = arg;
    const size_t n = strcspn(r->name, " ");
    char name[SH_MANUAL_NAME];
    (void)brief, (void)table;
    if (strcmp(path, r->name) == 0 || strncmp(path, r->name, n) != 0 ||
        (path[n] != ' ' && path[n] != '\0'))
        return;
    sh_manual_name(path, name);
    sh_buf_adds(r->out, ",\n.BR ");
    text(r->out, name);
    sh_buf_adds(r->out, " (1)");
}

void sh_manual_command(struct sh_buf *out, const struct sh_command *c, const char *date)
{
    char name[SH_MANUAL_NAME];
    struct related related = {out, c->name};
    sh_manual_name(c->name, name);
    title(out, name, date);
    name_section(out, name, c->summary);
    synopsis(out, c);
    section(out, "DESCRIPTION");
    paragraphs(out, c->summary);
    if (c->details)
        paragraphs(out, c->details);
    options(out, c);
    exit_status(out);
    if (c->example) {
        section(out, "EXAMPLES");
        example(out, c->example);
    }
    section(out, "SEE ALSO");
    sh_buf_adds(out, ".BR switchhook (1)");
    sh_commands_each(see_related, &related);
    sh_buf_adds(out, "\n");
}

/* --- the overview ---------------------------------------------------------------------------- */

static void list_command(void *arg, const char *path, const char *brief,
                         const struct sh_command *table)
{
    struct sh_buf *out = arg;
    char name[SH_MANUAL_NAME];
    (void)table;
    sh_manual_name(path, name);
    sh_buf_adds(out, ".TP\n.BR ");
    text(out, name);
    sh_buf_adds(out, " (1)\n");
    in_short(out, brief);
}

struct item {
    const char *what, *text;
};

static void items(struct sh_buf *out, const char *name, const struct item *list, size_t n)
{
    section(out, name);
    for (size_t i = 0; i < n; i++) {
        sh_buf_adds(out, ".TP\n.B ");
        text(out, list[i].what);
        sh_buf_adds(out, "\n");
        text(out, list[i].text);
        sh_buf_adds(out, "\n");
    }
}

static const struct item files[] = {
    {"./switchhook.lua", "the configuration of the project in the current folder"},
    {"/etc/switchhook/switchhook.lua", "the configuration of the service"},
    {"/etc/switchhook/rules, /etc/switchhook/scripts", "its rules, taken up when they are saved"},
    {"/var/lib/switchhook", "what it has stored"},
    {"/usr/share/doc/switchhook", "the documentation, and examples"},
};
static const struct item variables[] = {
    {"SWITCHHOOK_CONFIG", "the configuration, unless --config names one"},
    {"SWITCHHOOK_URL, SWITCHHOOK_TOKEN, SWITCHHOOK_CA_FILE",
     "an engine elsewhere, its token, and the certificates to trust: --url, --token-file and "
     "--ca-file go over them"},
    {"NO_COLOR", "no colours"},
};

void sh_manual_overview(struct sh_buf *out, const char *date)
{
    title(out, "switchhook", date);
    name_section(out, "switchhook", "webhooks in, durable events, Lua rules, effects out");
    section(out, "SYNOPSIS");
    sh_buf_adds(out, ".B switchhook\nCOMMAND [options]\n");
    section(out, "DESCRIPTION");
    paragraphs(out, "An event processing engine that an operations team scripts in Lua. Webhooks "
                    "come in; each becomes a durable event and a Lua table. Rules run on it and "
                    "schedule callbacks and timers, send email, call other systems, keep records.\n"
                    "\n"
                    "Commands that need the configuration read the file of --config, else that "
                    "of SWITCHHOOK_CONFIG, else switchhook.lua of the current folder; where there "
                    "is neither that nor a folder rules, the installed one.");
    section(out, "COMMANDS");
    sh_commands_each(list_command, out);
    items(out, "FILES", files, sizeof(files) / sizeof(*files));
    items(out, "ENVIRONMENT", variables, sizeof(variables) / sizeof(*variables));
    exit_status(out);
    section(out, "SEE ALSO");
    sh_buf_adds(out, "The pages in /usr/share/doc/switchhook, beginning with README.md.\n");
}
