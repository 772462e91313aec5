/* SPDX-License-Identifier: MIT
 * completion.c: completion for bash, zsh and fish. */
#include "app/completion.h"

#include "app/commands.h"

#include <ctype.h>
#include <string.h>

enum sh_completes sh_completes_value(const char *value)
{
    if (!value)
        return SH_COMPLETES_NOTHING;
    if (strchr(value, '|'))
        return SH_COMPLETES_WORDS;
    return strcmp(value, "FILE") == 0  ? SH_COMPLETES_FILE
           : strcmp(value, "DIR") == 0 ? SH_COMPLETES_DIR
                                       : SH_COMPLETES_NOTHING;
}

enum sh_completes sh_completes_args(const struct sh_command *table)
{
    const char *args = table->args;
    if (!args)
        return SH_COMPLETES_NOTHING;
    return strstr(args, "FILE") || strstr(args, ".json") ? SH_COMPLETES_FILE
           : strstr(args, "DIR")                         ? SH_COMPLETES_DIR
                                                         : SH_COMPLETES_NOTHING;
}

void sh_completes_words(const char *args, struct sh_buf *out)
{
    for (const char *p = args ? args : ""; *p; p += strcspn(p, "|")) {
        p += strspn(p, "[| ");
        const size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        const char after = p[n];
        if (n == 0 || !strchr(" |]", after)) /* '\0' is found, too */
            continue;
        if (out->len)
            sh_buf_addc(out, ' ');
        sh_buf_add(out, p, n);
    }
}

/* "a|b|c" with something else between them. */
static void words_of(struct sh_buf *out, const char *value)
{
    for (const char *p = value; *p; p++)
        sh_buf_addc(out, *p == '|' ? ' ' : *p);
}

/* In single quotes, of any shell: a ' ends them, stands by itself, and begins them again. colon: in
 * zsh's lists ':' and brackets mean something. */
static void quoted(struct sh_buf *out, const char *s, const char *escape)
{
    for (; *s; s++) {
        if (*s == '\'')
            sh_buf_adds(out, "'\\''");
        else if (strchr(escape, *s)) {
            sh_buf_addc(out, '\\');
            sh_buf_addc(out, *s);
        } else {
            sh_buf_addc(out, *s == '\n' ? ' ' : *s);
        }
    }
}

static const char *last_word(const char *path)
{
    const char *space = strchr(path, ' ');
    return space ? space + 1 : path;
}

/* --- parts that all of them need -------------------------------------------------------------- */

/* " serve check ..", the commands of one word. */
static void add_name(void *arg, const char *path, const char *brief, const struct sh_command *table)
{
    struct sh_buf *out = arg;
    (void)brief, (void)table;
    if (!strchr(path, ' ')) {
        sh_buf_adds(out, out->len && out->data[out->len - 1] != '\'' ? " " : "");
        sh_buf_adds(out, path);
    }
}

static void add_pair(void *arg, const char *path, const char *brief, const struct sh_command *table)
{
    struct sh_buf *out = arg;
    (void)brief, (void)table;
    if (strchr(path, ' '))
        sh_buf_addf(out, "%s'%s'", out->len ? "|" : "", path);
}

/* A pattern of the commands of two words: 'callbacks done'|'callbacks cancel'. */
static void pairs(struct sh_buf *out)
{
    sh_buf_init(out, 4096);
    sh_commands_each(add_pair, out);
}

static void names(struct sh_buf *out)
{
    sh_buf_init(out, 4096);
    sh_commands_each(add_name, out);
}

/* Words that may stand first; help takes the name of any command. */
static void first_words(const char *path, const struct sh_command *table, struct sh_buf *out)
{
    sh_buf_init(out, 4096);
    if (strcmp(path, "help") == 0)
        sh_commands_each(add_name, out);
    else
        sh_completes_words(table->args, out);
}

/* --- bash ------------------------------------------------------------------------------------ */

static const char bash_head[] =
    "# switchhook: completion for bash; made by `switchhook completion bash`\n"
    "_switchhook() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  local command=${COMP_WORDS[1]} options= words= kind= value\n"
    "  COMPREPLY=()\n"
    "  # --name=value comes as three words\n"
    "  if [[ $cur == = ]]; then cur=\n"
    "  elif [[ $prev == = && COMP_CWORD -ge 2 ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "  fi\n"
    "  if ((COMP_CWORD == 1)); then\n"
    "    COMPREPLY=($(compgen -W '";
static const char bash_middle[] = " --help --version' -- \"$cur\"))\n"
                                  "    return\n"
                                  "  fi\n"
                                  "  if ((COMP_CWORD > 2)); then\n"
                                  "    case \"$command ${COMP_WORDS[2]}\" in\n"
                                  "    ";
static const char bash_middle_2[] = ") command+=\" ${COMP_WORDS[2]}\" ;;\n"
                                    "    esac\n"
                                    "  fi\n"
                                    "  case \"$command:$prev\" in\n";
static const char bash_tail[] =
    "  esac\n"
    "  if [[ $cur == -* ]]; then\n"
    "    COMPREPLY=($(compgen -W \"$options --help\" -- \"$cur\"))\n"
    "  elif [[ $kind == file ]]; then\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "  elif [[ $kind == dir ]]; then\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
    "  elif [[ -n $words ]] && { [[ $kind == value ]] || ((COMP_CWORD == 2)); }; then\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "  fi\n"
    "}\n"
    "complete -F _switchhook switchhook\n";

static const char *bash_kind(enum sh_completes kind)
{
    return kind == SH_COMPLETES_FILE    ? "file"
           : kind == SH_COMPLETES_DIR   ? "dir"
           : kind == SH_COMPLETES_WORDS ? "value"
                                        : "none";
}

/* What follows an option that takes a value. */
static void bash_values(void *arg, const char *path, const char *brief,
                        const struct sh_command *table)
{
    struct sh_buf *out = arg;
    (void)brief;
    for (size_t i = 0; i < table->n_options; i++) {
        const char *value = table->options[i].value;
        if (!value)
            continue;
        const enum sh_completes kind = sh_completes_value(value);
        sh_buf_addf(out, "  '%s:--%s') kind=%s", path, table->options[i].name, bash_kind(kind));
        if (kind == SH_COMPLETES_WORDS) {
            sh_buf_adds(out, " words='");
            words_of(out, value);
            sh_buf_adds(out, "'");
        }
        sh_buf_adds(out, " ;;\n");
    }
}

/* What stands anywhere else: options, and arguments. */
static void bash_command(void *arg, const char *path, const char *brief,
                         const struct sh_command *table)
{
    struct sh_buf *out = arg, words;
    (void)brief;
    sh_buf_addf(out, "  '%s':*) options='", path);
    for (size_t i = 0; i < table->n_options; i++)
        sh_buf_addf(out, "%s--%s", i ? " " : "", table->options[i].name);
    const enum sh_completes kind = sh_completes_args(table);
    sh_buf_addf(out, "' kind=%s", kind == SH_COMPLETES_NOTHING ? "" : bash_kind(kind));
    first_words(path, table, &words);
    if (words.len)
        sh_buf_addf(out, " words='%s'", words.data);
    sh_buf_adds(out, " ;;\n");
    sh_buf_free(&words);
}

void sh_completion_bash(struct sh_buf *out)
{
    struct sh_buf list;
    sh_buf_adds(out, bash_head);
    names(&list);
    sh_buf_adds(out, list.data);
    sh_buf_free(&list);
    sh_buf_adds(out, bash_middle);
    pairs(&list);
    sh_buf_adds(out, list.data);
    sh_buf_free(&list);
    sh_buf_adds(out, bash_middle_2);
    sh_commands_each(bash_values, out);
    sh_commands_each(bash_command, out);
    sh_buf_adds(out, bash_tail);
}

/* --- zsh ------------------------------------------------------------------------------------- */

#define ZSH_SPECIAL ":[]\\"

static void zsh_name(void *arg, const char *path, const char *brief, const struct sh_command *table)
{
    struct sh_buf *out = arg;
    (void)table;
    if (strchr(path, ' '))
        return;
    sh_buf_addf(out, "    '%s:", path);
    quoted(out, brief, ZSH_SPECIAL);
    sh_buf_adds(out, "'\n");
}

static void zsh_option(struct sh_buf *out, const struct sh_option *o)
{
    sh_buf_addf(out, " \\\n      '--%s%s[", o->name, o->value ? "=" : "");
    quoted(out, o->help, ZSH_SPECIAL);
    sh_buf_adds(out, "]");
    if (o->value) {
        const enum sh_completes kind = sh_completes_value(o->value);
        sh_buf_addf(out, ":%s:", kind == SH_COMPLETES_WORDS ? o->name : "");
        if (kind == SH_COMPLETES_NOTHING) /* the name says what is wanted */
            out->len--, quoted(out, o->value, ZSH_SPECIAL), sh_buf_adds(out, ": ");
        else if (kind == SH_COMPLETES_WORDS) {
            sh_buf_adds(out, "(");
            words_of(out, o->value);
            sh_buf_adds(out, ")");
        } else {
            sh_buf_adds(out, kind == SH_COMPLETES_FILE ? "_files" : "_files -/");
        }
    }
    sh_buf_adds(out, "'");
}

static void zsh_command(void *arg, const char *path, const char *brief,
                        const struct sh_command *table)
{
    struct sh_buf *out = arg, words;
    const enum sh_completes kind = sh_completes_args(table);
    (void)brief;
    sh_buf_addf(out, "  '%s')\n    _arguments", path);
    for (size_t i = 0; i < table->n_options; i++)
        zsh_option(out, &table->options[i]);
    sh_buf_adds(out, " \\\n      '--help[say more]'");
    first_words(path, table, &words);
    if (words.len)
        sh_buf_addf(out, " \\\n      '1:word:(%s)'", words.data);
    else if (kind != SH_COMPLETES_NOTHING)
        sh_buf_addf(out, " \\\n      '*:file:_files%s'", kind == SH_COMPLETES_DIR ? " -/" : "");
    sh_buf_adds(out, " ;;\n");
    sh_buf_free(&words);
}

void sh_completion_zsh(struct sh_buf *out)
{
    struct sh_buf list;
    sh_buf_adds(out, "#compdef switchhook\n"
                     "# switchhook: completion for zsh; made by `switchhook completion zsh`\n"
                     "_switchhook() {\n"
                     "  local command\n"
                     "  local -a commands\n"
                     "  commands=(\n");
    sh_commands_each(zsh_name, out);
    sh_buf_adds(out, "  )\n"
                     "  if (( CURRENT == 2 )); then\n"
                     "    _describe command commands\n"
                     "    return\n"
                     "  fi\n"
                     "  command=$words[2]\n"
                     "  shift words\n"
                     "  (( CURRENT-- ))\n"
                     "  if (( CURRENT > 2 )); then\n"
                     "    case \"$command $words[2]\" in\n"
                     "    ");
    pairs(&list);
    sh_buf_adds(out, list.data);
    sh_buf_free(&list);
    sh_buf_adds(out, ")\n"
                     "      command+=\" $words[2]\"\n"
                     "      shift words\n"
                     "      (( CURRENT-- )) ;;\n"
                     "    esac\n"
                     "  fi\n"
                     "  case $command in\n");
    sh_commands_each(zsh_command, out);
    sh_buf_adds(out, "  esac\n"
                     "}\n"
                     "if [[ $funcstack[1] == _switchhook ]]; then\n"
                     "  _switchhook \"$@\"\n"
                     "else\n"
                     "  compdef _switchhook switchhook\n"
                     "fi\n");
}

/* --- fish ------------------------------------------------------------------------------------ */

#define FISH_SPECIAL                                                                               \
    "\\" /* quoted() writes '\'' for a quote, which fish reads as other shells do */

static void fish_line(struct sh_buf *out, const char *path)
{
    sh_buf_addf(out, "complete -c switchhook -n '__switchhook_is \"%s\"'", path);
}

static void fish_option(struct sh_buf *out, const char *path, const struct sh_option *o)
{
    const enum sh_completes kind = sh_completes_value(o->value);
    fish_line(out, path);
    sh_buf_addf(out, " -l %s", o->name);
    if (o->value)
        sh_buf_adds(out, kind == SH_COMPLETES_FILE ? " -rF" : " -x");
    if (kind == SH_COMPLETES_DIR)
        sh_buf_adds(out, " -a '(__fish_complete_directories)'");
    if (kind == SH_COMPLETES_WORDS) {
        sh_buf_adds(out, " -a '");
        words_of(out, o->value);
        sh_buf_adds(out, "'");
    }
    sh_buf_adds(out, " -d '");
    quoted(out, o->help, FISH_SPECIAL);
    sh_buf_adds(out, "'\n");
}

static void fish_command(void *arg, const char *path, const char *brief,
                         const struct sh_command *table)
{
    struct sh_buf *out = arg, words;
    const enum sh_completes kind = sh_completes_args(table);
    const char *space = strchr(path, ' ');
    if (space) {
        sh_buf_addf(out, "complete -c switchhook -n '__switchhook_is \"%.*s\"'",
                    (int)(space - path), path);
        sh_buf_addf(out, " -a %s -d '", last_word(path));
    } else {
        fish_line(out, "");
        sh_buf_addf(out, " -a %s -d '", path);
    }
    quoted(out, brief, FISH_SPECIAL);
    sh_buf_adds(out, "'\n");
    for (size_t i = 0; i < table->n_options; i++)
        fish_option(out, path, &table->options[i]);
    fish_line(out, path);
    sh_buf_adds(out, " -l help -d 'say more'\n");
    first_words(path, table, &words);
    if (words.len) {
        fish_line(out, path);
        sh_buf_addf(out, " -a '%s'\n", words.data);
    } else if (kind != SH_COMPLETES_NOTHING) {
        fish_line(out, path);
        sh_buf_adds(out,
                    kind == SH_COMPLETES_FILE ? " -F\n" : " -a '(__fish_complete_directories)'\n");
    }
    sh_buf_free(&words);
}

void sh_completion_fish(struct sh_buf *out)
{
    struct sh_buf list;
    sh_buf_adds(out, "# switchhook: completion for fish; made by `switchhook completion fish`\n"
                     "# Is this the command that the line is of?\n"
                     "function __switchhook_is\n"
                     "    set -l words (commandline -opc)\n"
                     "    set -l command \"$words[2]\"\n"
                     "    if set -q words[3]\n"
                     "        switch \"$words[2] $words[3]\"\n"
                     "            case");
    pairs(&list);
    for (char *p = list.data; *p; p++)
        *p = *p == '|' ? ' ' : *p;
    sh_buf_addf(out, " %s\n", list.data);
    sh_buf_free(&list);
    sh_buf_adds(out, "                set command \"$words[2] $words[3]\"\n"
                     "        end\n"
                     "    end\n"
                     "    test \"$command\" = \"$argv[1]\"\n"
                     "end\n"
                     "complete -c switchhook -f\n");
    sh_commands_each(fish_command, out);
}
