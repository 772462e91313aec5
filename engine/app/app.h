/* SPDX-License-Identifier: MIT
 * app.h: the command line's entry points. Exit codes: 0 fine, 1 the thing asked about is bad,
 * 2 usage. Every command understands --help and, where it prints rows, --json. */
#ifndef SH_APP_APP_H
#define SH_APP_APP_H

/* Choose the subcommand and run it; the process's exit code. */
int sh_main(int argc, char **argv);

/* Subcommands; argv[0] is the subcommand's name. */
int sh_cmd_serve(int argc, char **argv);
int sh_cmd_worker(int argc, char **argv);
int sh_cmd_playground(int argc, char **argv);
int sh_cmd_check(int argc, char **argv);
int sh_cmd_reload(int argc, char **argv);
int sh_cmd_status(int argc, char **argv);
int sh_cmd_generations(int argc, char **argv);
int sh_cmd_diff(int argc, char **argv);
int sh_cmd_try(int argc, char **argv);
int sh_cmd_test(int argc, char **argv);
int sh_cmd_new(int argc, char **argv);
int sh_cmd_init(int argc, char **argv);
int sh_cmd_send(int argc, char **argv);
int sh_cmd_list(int argc, char **argv);      /* events, runs, records, outbox, audit */
int sh_cmd_callbacks(int argc, char **argv); /* the list, or what is done to one */
int sh_cmd_timers(int argc, char **argv);    /* the list; cancel */
int sh_cmd_redrive(int argc, char **argv);
int sh_cmd_drop(int argc, char **argv);
int sh_cmd_token(int argc, char **argv); /* the list; new, revoke */
int sh_cmd_backup(int argc, char **argv);
int sh_cmd_restore(int argc, char **argv);
int sh_cmd_verify(int argc, char **argv);
int sh_cmd_schema(int argc, char **argv);
int sh_cmd_forget(int argc, char **argv);
int sh_cmd_rules(int argc, char **argv); /* the list; pause, resume */
int sh_cmd_api(int argc, char **argv);
int sh_cmd_completion(int argc, char **argv);
int sh_cmd_manual(int argc, char **argv);
int sh_cmd_version(int argc, char **argv);

#endif
