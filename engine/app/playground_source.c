/* SPDX-License-Identifier: MIT
 * playground_source.c: a source, but for how its senders prove themselves, there and back. */
#include "app/playground_work.h"
#include "svc/json.h"

#include <stdlib.h>

static void add_text(cJSON *o, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(o, name, text);
}

static char *text_of(const cJSON *o, const char *name)
{
    return sh_strdup(sh_json_string(o, name));
}

static void add_field(cJSON *o, const char *name, const struct sh_field_spec *f)
{
    cJSON *field = cJSON_AddObjectToObject(o, name);
    add_text(field, "value", f->value);
    add_text(field, "field", f->field);
    add_text(field, "header", f->header);
    add_text(field, "segment", f->segment);
}

static struct sh_field_spec field_of(const cJSON *o, const char *name)
{
    const cJSON *field = sh_json_member(o, name);
    return (struct sh_field_spec){.value = text_of(field, "value"),
                                  .field = text_of(field, "field"),
                                  .header = text_of(field, "header"),
                                  .segment = text_of(field, "segment")};
}

static void clear_field(struct sh_field_spec *f)
{
    free(f->value);
    free(f->field);
    free(f->header);
    free(f->segment);
}

cJSON *sh_play_source(const struct sh_source_config *s)
{
    cJSON *o = cJSON_CreateObject();
    add_text(o, "name", s->source.name);
    add_text(o, "path", s->path);
    cJSON_AddItemToObject(o, "format", sh_json_int(s->source.format));
    add_field(o, "type", &s->source.type);
    add_field(o, "key", &s->source.key);
    add_field(o, "time", &s->source.time);
    cJSON *dedupe = cJSON_AddObjectToObject(o, "dedupe");
    add_text(dedupe, "header", s->source.dedupe.header);
    add_text(dedupe, "segment", s->source.dedupe.segment);
    if (!s->source.dedupe.fields)
        return o;
    cJSON *fields = cJSON_AddArrayToObject(dedupe, "fields");
    for (char **f = s->source.dedupe.fields; *f; f++)
        cJSON_AddItemToArray(fields, cJSON_CreateString(*f));
    return o;
}

void sh_play_read_source(const cJSON *tree, struct sh_source_config *out)
{
    const cJSON *dedupe = sh_json_member(tree, "dedupe");
    const cJSON *fields = sh_json_member(dedupe, "fields"), *field;
    int64_t format = 0;
    if (!sh_json_get_int(sh_json_member(tree, "format"), &format))
        format = SH_BODY_JSON;
    *out = (struct sh_source_config){
        .source = {.name = text_of(tree, "name"),
                   .type = field_of(tree, "type"),
                   .key = field_of(tree, "key"),
                   .time = field_of(tree, "time"),
                   .dedupe = {.header = text_of(dedupe, "header"),
                              .segment = text_of(dedupe, "segment")},
                   .format = (enum sh_body_format)format},
        .path = text_of(tree, "path"),
    };
    if (!fields)
        return;
    size_t n = 0;
    out->source.dedupe.fields = sh_alloc((size_t)cJSON_GetArraySize(fields) + 1, sizeof(char *));
    cJSON_ArrayForEach(field, fields)
    {
        if (cJSON_IsString(field))
            out->source.dedupe.fields[n++] = sh_strdup(field->valuestring);
    }
}

void sh_play_source_clear(struct sh_source_config *s)
{
    free(s->source.name);
    free(s->path);
    clear_field(&s->source.type);
    clear_field(&s->source.key);
    clear_field(&s->source.time);
    for (char **f = s->source.dedupe.fields; f && *f; f++)
        free(*f);
    free(s->source.dedupe.fields);
    free(s->source.dedupe.header);
    free(s->source.dedupe.segment);
    *s = (struct sh_source_config){0};
}
