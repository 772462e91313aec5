/* SPDX-License-Identifier: MIT
 * cover.c: a line hook that counts. */
#include "lua/cover.h"

#include "lua/internal.h"
#include "lua/proto.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

struct file {
    char *name, *text; /* owned */
    int *lines;        /* that hold code; owned */
    size_t n_lines;
    int64_t *hits; /* by line, from 0 to the last one; owned */
    int last;
};

struct sh_cover {
    struct file *files;
    size_t n;
};

/* What a host knows of it: which of its files are counted where. */
struct sh_cover_map {
    char **names;        /* of the host's files, owned */
    struct file **files; /* borrowed; NULL: not counted */
    size_t n;
    const char *source; /* of the chunk that was looked up last, and its file */
    struct file *found;
};

/* --- the lines that hold code ---------------------------------------------------------------- */

static void find_lines(lua_State *L, struct file *f, size_t len)
{
    struct sh_error err;
    if (luaL_loadbufferx(L, f->text, len, "=", "t") == LUA_OK) {
        struct sh_chunk *c = sh_chunk_of(L, &err);
        if (c)
            f->lines = sh_proto_lines(&c->main, &f->n_lines);
        sh_chunk_free(c);
    }
    lua_settop(L, 0);
    f->last = f->n_lines ? f->lines[f->n_lines - 1] : 0;
    f->hits = sh_alloc((size_t)f->last + 1, sizeof(*f->hits));
}

struct sh_cover *sh_cover_new(const struct sh_generation *g)
{
    struct sh_cover *c = sh_alloc(1, sizeof(*c));
    lua_State *L = luaL_newstate();
    sh_require(L != NULL);
    c->files = sh_alloc(g->n_files + 1, sizeof(*c->files));
    for (; c->n < g->n_files; c->n++) {
        struct file *f = &c->files[c->n];
        f->name = sh_strdup(g->files[c->n].name);
        f->text = sh_memdup(g->files[c->n].text, g->files[c->n].len);
        find_lines(L, f, g->files[c->n].len);
    }
    lua_close(L);
    return c;
}

void sh_cover_free(struct sh_cover *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        free(c->files[i].name);
        free(c->files[i].text);
        free(c->files[i].lines);
        free(c->files[i].hits);
    }
    free(c->files);
    free(c);
}

cJSON *sh_cover_report(const struct sh_cover *c)
{
    cJSON *report = cJSON_CreateArray();
    for (size_t i = 0; i < c->n; i++) {
        const struct file *f = &c->files[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", f->name);
        cJSON *lines = cJSON_AddArrayToObject(o, "lines");
        cJSON *hits = cJSON_AddArrayToObject(o, "hits");
        for (size_t k = 0; k < f->n_lines; k++) {
            cJSON_AddItemToArray(lines, sh_json_int(f->lines[k]));
            cJSON_AddItemToArray(hits, sh_json_int(f->hits[f->lines[k]]));
        }
        cJSON_AddItemToArray(report, o);
    }
    return report;
}

/* --- in a host ------------------------------------------------------------------------------- */

static struct file *file_of(struct sh_cover *c, const struct sh_file *file)
{
    for (size_t i = 0; i < c->n; i++) {
        struct file *f = &c->files[i];
        if (strcmp(f->name, file->name) == 0)
            return strcmp(f->text, file->text) == 0 ? f : NULL;
    }
    return NULL;
}

struct sh_cover_map *sh_cover_map_new(struct sh_cover *c, const struct sh_generation *g)
{
    struct sh_cover_map *m = sh_alloc(1, sizeof(*m));
    m->names = sh_alloc(g->n_files + 1, sizeof(*m->names));
    m->files = sh_alloc(g->n_files + 1, sizeof(struct file *));
    for (; m->n < g->n_files; m->n++) {
        m->names[m->n] = sh_strdup(g->files[m->n].name);
        m->files[m->n] = file_of(c, &g->files[m->n]);
    }
    return m;
}

void sh_cover_map_free(struct sh_cover_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        free(m->names[i]);
    free(m->names);
    free(m->files);
    free(m);
}

/* A chunk's source is one string for all its functions: most often the one of the line before. (It
 * may have been freed and be another's now, so what it says is looked at.) */
static struct file *look_up(struct sh_cover_map *m, const char *source)
{
    if (source == m->source && m->found && strcmp(m->found->name, source + 1) == 0)
        return m->found;
    m->source = source;
    m->found = NULL;
    for (size_t i = 0; *source == '@' && i < m->n; i++)
        if (strcmp(m->names[i], source + 1) == 0)
            m->found = m->files[i];
    return m->found;
}

static void on_line(lua_State *L, lua_Debug *ar)
{
    struct sh_cover_map *m = sh_lua_host(L)->cover;
    if (!lua_getinfo(L, "Sl", ar))
        return;
    struct file *f = look_up(m, ar->source);
    if (f && ar->currentline > 0 && ar->currentline <= f->last)
        f->hits[ar->currentline]++;
}

void sh_cover_arm(struct sh_host *h, lua_State *co)
{
    if (h->cover)
        lua_sethook(co, on_line, LUA_MASKLINE, 0);
    else
        lua_sethook(co, NULL, 0, 0);
}
