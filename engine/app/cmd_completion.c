/* SPDX-License-Identifier: MIT
 * cmd_completion.c: `switchhook completion SHELL`. */
#include "app/app.h"

#include "app/completion.h"
#include "app/options.h"

#include <stdio.h>
#include <string.h>

#define MAX_SCRIPT ((size_t)1024 * 1024)

static const struct sh_command command = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .summary = "Print what a shell completes command lines by.",
    .details =
        "Commands, their options, files and folders where an option or a command takes them,\n"
        "and values where only some words will do. The Debian package brings it along.",
    .example = "  source <(switchhook completion bash)\n"
               "  switchhook completion fish > ~/.config/fish/completions/switchhook.fish",
    .min_args = 1,
    .max_args = 1,
};

static int print_script(const char *shell)
{
    static const struct {
        const char *shell;
        void (*make)(struct sh_buf *out);
    } known[] = {
        {"bash", sh_completion_bash}, {"zsh", sh_completion_zsh}, {"fish", sh_completion_fish}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(known[i].shell, shell) != 0)
            continue;
        struct sh_buf out;
        sh_buf_init(&out, MAX_SCRIPT);
        known[i].make(&out);
        sh_require(sh_buf_ok(&out));
        fwrite(out.data, 1, out.len, stdout);
        sh_buf_free(&out);
        return 0;
    }
    return sh_usage_error(&command, "\"%s\": expected bash, zsh or fish", shell);
}

int sh_cmd_completion(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = print_script(o.args[0]);
    sh_options_clear(&o);
    return code;
}
