/* SPDX-License-Identifier: MIT
 * app.c: the list of commands, and which one is meant. */
#include "app/app.h"

#include "app/commands.h"
#include "app/suggest.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct entry {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* NULL: not listed */
};

static int cmd_help(int argc, char **argv);

static const struct entry commands[] = {
    {"serve", sh_cmd_serve, "run the engine"},
    {"check", sh_cmd_check, "read configuration and rules, and say everything that is wrong"},
    {"reload", sh_cmd_reload, "have the running engine take up its rules anew"},
    {"status", sh_cmd_status, "say how the running engine is"},
    {"generations", sh_cmd_generations, "list the rule sets that went live, and what they changed"},
    {"diff", sh_cmd_diff, "show how two rule sets differ"},
    {"try", sh_cmd_try, "dry run: what the rules would do with an event"},
    {"test", sh_cmd_test, "run the specs of rules"},
    {"new", sh_cmd_new, "write a rule and its spec to start from"},
    {"init", sh_cmd_init, "make a folder with rules, specs and configuration"},
    {"send", sh_cmd_send, "post events, or a sample day, to a running engine"},
    {"events", sh_cmd_list, "list stored events"},
    {"runs", sh_cmd_list, "list what rules did with them"},
    {"records", sh_cmd_list, "list collections, or the records of one"},
    {"callbacks", sh_cmd_callbacks, "list phone calls to be made; done, snooze, cancel, reassign"},
    {"outbox", sh_cmd_list, "list what leaves the machine"},
    {"timers", sh_cmd_timers, "list what will be emitted, and when clock rules run next; cancel"},
    {"rules", sh_cmd_rules, "list rules and how they stand; pause one, resume it"},
    {"redrive", sh_cmd_redrive, "bring dead letters back"},
    {"drop", sh_cmd_drop, "be done with dead letters"},
    {"audit", sh_cmd_list, "list who changed what, and when"},
    {"token", sh_cmd_token, "list who may come in through the API; new, revoke"},
    {"backup", sh_cmd_backup, "copy the store, also of a running engine, to one file"},
    {"restore", sh_cmd_restore, "put a backup in the place of the store"},
    {"verify", sh_cmd_verify, "check the store, or a backup"},
    {"forget", sh_cmd_forget, "remove or make blank everything about a caller"},
    {"schema", sh_cmd_schema, "say which schema a store has; take it back for an older one"},
    {"api", sh_cmd_api, "print the rule API, for editors and for people"},
    {"completion", sh_cmd_completion, "print what a shell completes command lines by"},
    {"manual", sh_cmd_manual, NULL},         /* run when it is built */
    {"worker", sh_cmd_worker, NULL},         /* started by serve */
    {"playground", sh_cmd_playground, NULL}, /* likewise */
    {"version", sh_cmd_version, "say what this binary is: version, build, libraries"},
    {"help", cmd_help, "this list"},
};

static void list_commands(FILE *f)
{
    fprintf(f, "switchhook: webhooks in, durable events, Lua rules, effects out.\n\n"
               "Usage: switchhook COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].summary)
            fprintf(f, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(f, "\nswitchhook COMMAND --help says more about one.\n");
}

static int unknown_command(const char *name)
{
    const char *known[COUNT(commands)];
    for (size_t i = 0; i < COUNT(commands); i++)
        known[i] = commands[i].name;
    const char *near = sh_suggest(name, known, COUNT(commands));
    fprintf(stderr, "switchhook: unknown command \"%s\"", name);
    if (near)
        fprintf(stderr, "; did you mean %s?", near);
    fprintf(stderr, "\nTry: switchhook help\n");
    return SH_EXIT_USAGE;
}

static const struct entry *find(const char *name)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static const struct sh_command help_command = {
    .name = "help",
    .args = "[COMMAND]",
    .summary = "List the commands, or say more about one.",
    .example = "  switchhook help send",
    .max_args = 1,
};

static int cmd_help(int argc, char **argv)
{
    const struct entry *e = argc > 1 ? find(argv[1]) : NULL;
    if (argc > 1 && !e && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
        return unknown_command(argv[1]);
    if (e && e->run != cmd_help) {
        char help[] = "--help";
        char *args[] = {argv[1], help, NULL};
        return e->run(2, args);
    }
    list_commands(stdout);
    return 0;
}

/* --- every command's table ------------------------------------------------------------------- */

static void keep_table(void *arg, const struct sh_command *command)
{
    *(const struct sh_command **)arg = command;
}

/* The table that `COMMAND [WORD] --help` shows. */
static const struct sh_command *table_of(const struct entry *e, char *word)
{
    char name[32], help[] = "--help";
    char *argv[] = {name, word ? word : help, word ? help : NULL, NULL};
    const struct sh_command *table = e->run == cmd_help ? &help_command : NULL;
    snprintf(name, sizeof(name), "%s", e->name);
    if (!table) {
        sh_options_watch(keep_table, &table);
        (void)e->run(word ? 3 : 2, argv);
        sh_options_watch(NULL, NULL);
    }
    sh_require(table != NULL);
    return table;
}

/* "[list | new NAME --role ROLE | revoke NAME]": list has no table of its own, new and revoke do.
 */
static void each_word(const struct entry *e, const char *args, sh_commands_fn *fn, void *arg)
{
    for (const char *p = args && *args == '[' ? args : ""; *p; p += strcspn(p, "|")) {
        char word[32], path[64];
        p += strspn(p, "[| ");
        snprintf(word, sizeof(word), "%.*s", (int)strspn(p, "abcdefghijklmnopqrstuvwxyz"), p);
        snprintf(path, sizeof(path), "%s %s", e->name, word);
        const struct sh_command *table = *word ? table_of(e, word) : NULL;
        if (table && strcmp(table->name, path) == 0)
            fn(arg, path, table->summary, table);
    }
}

void sh_commands_each(sh_commands_fn *fn, void *arg)
{
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (!commands[i].summary)
            continue;
        const struct sh_command *table = table_of(&commands[i], NULL);
        fn(arg, commands[i].name, commands[i].summary, table);
        each_word(&commands[i], table->args, fn, arg);
    }
}

/* Output that could not be written (a full disk behind a redirect) is a failure too. */
static int finish(int code)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
        fprintf(stderr, "switchhook: cannot write the output: %s\n", strerror(errno));
        return SH_EXIT_BAD;
    }
    return code;
}

int sh_main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of letters in tables; numbers stay in C */
    if (argc < 2) {
        list_commands(stderr);
        return SH_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const struct entry *e = find(name);
    return e ? finish(e->run(argc - 1, argv + 1)) : unknown_command(name);
}
