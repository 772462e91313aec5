/* SPDX-License-Identifier: MIT
 * simulator_world.c: what is in the simulator's store, and deliveries that a spec makes up. */
#include "app/simulator_impl.h"
#include "app/simulator_json.h"
#include "svc/json.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* --- what is there --------------------------------------------------------------------------- */

static cJSON *list(struct sh_simulator *s, enum sh_list_what what, const char *collection)
{
    struct sh_list_query q = {.what = what, .collection = collection};
    struct sh_error err;
    cJSON *rows = cJSON_CreateArray();
    if (!sh_store_list(s->store, &q, sh_sim_keep_row, rows, &err))
        cJSON_AddItemToArray(rows, sh_sim_refused("not_listed", err.msg));
    return rows;
}

/* With what each item would send. */
static cJSON *outbox(struct sh_simulator *s)
{
    cJSON *rows = list(s, SH_LIST_OUTBOX, NULL), *row;
    cJSON_ArrayForEach(row, rows)
    {
        const struct sh_list_query q = {.what = SH_LIST_OUTBOX, .id = sh_json_string(row, "id")};
        struct sh_error err;
        cJSON *whole = cJSON_CreateArray();
        if (q.id && sh_store_list(s->store, &q, sh_sim_keep_row, whole, &err) && whole->child)
            cJSON_AddItemToObject(row, "payload",
                                  cJSON_DetachItemFromObject(whole->child, "payload"));
        cJSON_Delete(whole);
    }
    return rows;
}

cJSON *sh_simulator_world(struct sh_simulator *s)
{
    cJSON *world = cJSON_CreateObject(), *records = cJSON_AddObjectToObject(world, "records");
    const cJSON *c;
    cJSON_ArrayForEach(c, s->collections)
        cJSON_AddItemToObject(records, c->string, list(s, SH_LIST_RECORDS, c->string));
    cJSON_AddItemToObject(world, "callbacks", list(s, SH_LIST_CALLBACKS, NULL));
    cJSON_AddItemToObject(world, "outbox", outbox(s));
    cJSON_AddItemToObject(world, "timers", list(s, SH_LIST_TIMERS, NULL));
    return world;
}

cJSON *sh_simulator_list(struct sh_simulator *s, enum sh_list_what what, const char *collection)
{
    return what == SH_LIST_OUTBOX ? outbox(s) : list(s, what, collection);
}

/* --- deliveries ------------------------------------------------------------------------------ */

/* "POST https://..." without its method. */
static const char *address_of(const cJSON *row)
{
    const char *to = sh_json_string(row, "to"), *kind = sh_json_string(row, "kind");
    const char *blank = to && kind && strcmp(kind, "http") == 0 ? strchr(to, ' ') : NULL;
    return blank ? blank + 1 : to;
}

/* Does the pattern fit the address, or one recipient of an email to several? */
static bool is_to(const cJSON *row, const char *pattern)
{
    const char *to = address_of(row);
    if (!to || fnmatch(pattern, to, 0) == 0)
        return to != NULL;
    const char *kind = sh_json_string(row, "kind");
    if (!kind || strcmp(kind, "email") != 0)
        return false;
    char *copy = sh_strdup(to), *rest = copy, *one;
    bool found = false;
    while (!found && (one = strsep(&rest, ",")) != NULL)
        found = fnmatch(pattern, one + strspn(one, " "), 0) == 0;
    free(copy);
    return found;
}

static void deliver(struct sh_simulator *s, const char *id, const struct sh_sim_delivery *d,
                    cJSON *results)
{
    bool sent = !d->error && d->status < 300;
    struct sh_op_delivery op = {
        .op.kind = SH_OP_DELIVERY,
        .item_id = id,
        .state = sent ? SH_DELIVERY_SENT : SH_DELIVERY_DEAD,
        .status = d->status,
        .answer = d->answer,
        .error = sent       ? NULL
                 : d->error ? d->error
                            : "refused",
    };
    sh_sim_carry_out(s, &op.op);
    if (!op.op.ok)
        cJSON_AddItemToArray(results, sh_sim_refused("not_delivered", op.op.err.msg));
    else if (op.emitted)
        sh_sim_enqueue(s, op.emitted);
    sh_sim_run(s, results);
}

cJSON *sh_simulator_deliver(struct sh_simulator *s, const char *pattern,
                            const struct sh_sim_delivery *delivery, size_t *n)
{
    cJSON *results = cJSON_CreateArray(), *rows = list(s, SH_LIST_OUTBOX, NULL);
    const cJSON *row;
    *n = 0;
    cJSON_ArrayForEach(row, rows)
    {
        const char *id = sh_json_string(row, "id"), *state = sh_json_string(row, "state");
        if (!id || !state || strcmp(state, "queued") != 0 || !is_to(row, pattern))
            continue;
        deliver(s, id, delivery, results);
        *n += 1;
    }
    cJSON_Delete(rows);
    return results;
}
