/* SPDX-License-Identifier: MIT
 * fuzz_json.c: what passes the check parses, prints, and comes back equal; look-ups in the text
 * agree with the tree; a fault names a place in the text in clean words. */
#include "base/limits.h"
#include "base/utf8.h"
#include "svc/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LOOKUPS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct lookup {
    struct sh_slice text;
    const cJSON *top;
    size_t left; /* look-ups are linear: so many an input */
};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_double(double a, double b)
{
    return a == b && signbit(a) == signbit(b);
}

static bool same_node(const cJSON *a, const cJSON *b)
{
    return a->type == b->type && same_text(a->string, b->string) &&
           same_text(a->valuestring, b->valuestring) && same_double(a->valuedouble, b->valuedouble);
}

/* Same nodes in the same order. Depth is bounded by the check. names: compare the root's too. */
static bool same_tree(const cJSON *a, const cJSON *b)
{
    if (!same_node(a, b))
        return false;
    const cJSON *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!same_tree(x, y))
            return false;
    return x == y;
}

static void check_fault(const struct sh_json_fault *fault, const char *text, size_t size)
{
    size_t line = 1, col = 1;
    sh_require(fault->byte <= size);
    for (size_t i = 0; i < fault->byte; i++, col++)
        if (text[i] == '\n') {
            line++;
            col = 0;
        }
    sh_require(fault->line == line && fault->col == col);
    size_t n = strnlen(fault->msg, sizeof(fault->msg));
    sh_require(n > 0 && n < sizeof(fault->msg) - 1); /* not cut */
    sh_require(sh_utf8_ok(sh_slice(fault->msg, n)));
    for (size_t i = 0; i < n; i++)
        sh_require((unsigned char)fault->msg[i] >= 0x20);
}

static cJSON *parse(const char *text, size_t size)
{
    struct sh_error err;
    cJSON *tree = sh_json_parse(text, size, &err);
    if (!tree)
        sh_die("passed the check and does not parse: %s", err.msg);
    return tree;
}

/* The tree's text passes the check, gives the same tree, and that prints the same. */
static void round_trip(const cJSON *tree, size_t size)
{
    struct sh_buf once, again;
    struct sh_json_fault fault;
    sh_buf_init(&once, size); /* compact text is never longer than what it came from */
    sh_buf_init(&again, size);
    sh_require(sh_json_print(tree, &once));
    if (!sh_json_check(once.data, once.len, &fault))
        sh_die("printed text is refused: %s", fault.msg);
    cJSON *back = parse(once.data, once.len);
    sh_require(same_tree(tree, back));
    sh_require(sh_json_print(back, &again));
    sh_require(once.len == again.len && memcmp(once.data, again.data, once.len) == 0);
    cJSON_Delete(back);
    sh_buf_free(&once);
    sh_buf_free(&again);
}

static void check_number(const cJSON *node)
{
    int64_t n, back;
    double d;
    sh_require(sh_json_get_double(node, &d));
    sh_require(d - d == 0); /* finite */
    if (!sh_json_get_int(node, &n))
        return;
    cJSON *copy = sh_json_int(n);
    sh_require(sh_json_get_int(copy, &back) && back == n);
    sh_require((double)n == d);
    cJSON_Delete(copy);
}

static enum sh_json_kind kind_of(const cJSON *node)
{
    if (sh_json_is_number(node))
        return SH_JSON_NUMBER;
    switch (node->type & 0xff) {
    case cJSON_NULL:
        return SH_JSON_NULL;
    case cJSON_False:
        return SH_JSON_FALSE;
    case cJSON_True:
        return SH_JSON_TRUE;
    case cJSON_String:
        return SH_JSON_STRING;
    case cJSON_Array:
        return SH_JSON_ARRAY;
    default:
        return SH_JSON_OBJECT;
    }
}

static void check_found(struct sh_slice raw, const cJSON *node)
{
    if (cJSON_IsString(node)) {
        struct sh_buf plain;
        sh_buf_init(&plain, raw.n);
        sh_json_unescape(raw, &plain);
        sh_require(sh_buf_ok(&plain));
        sh_require(sh_slice_eq(sh_slice(plain.data, plain.len), sh_slice_str(node->valuestring)));
        sh_buf_free(&plain);
        return;
    }
    cJSON *value = parse(raw.p, raw.n);
    sh_require(same_text(value->valuestring, node->valuestring));
    sh_require(same_double(value->valuedouble, node->valuedouble));
    const cJSON *x = value->child, *y = node->child;
    for (; x && y; x = x->next, y = y->next)
        sh_require(same_tree(x, y));
    sh_require(x == y);
    cJSON_Delete(value);
}

/* Every node below `parent`, by its path. A name with a dot is only reachable at the top. */
static void look_up(struct lookup *l, const cJSON *parent, const char *prefix)
{
    size_t index = 0;
    for (const cJSON *node = parent->child; node && l->left > 0; node = node->next, index++) {
        struct sh_slice raw;
        bool plain = !node->string || !strchr(node->string, '.');
        char *path =
            node->string ? sh_strf("%s%s", prefix, node->string) : sh_strf("%s%zu", prefix, index);
        const cJSON *literal = sh_json_member(l->top, path);
        if (plain || literal == node) {
            l->left--;
            const cJSON *want = literal ? literal : node;
            sh_require(sh_json_find(l->text, path, &raw) == kind_of(want));
            check_found(raw, want);
        }
        char *below = sh_strf("%s.", path);
        if (plain && node->child)
            look_up(l, node, below);
        free(below);
        free(path);
    }
}

static void check_numbers(const cJSON *node)
{
    for (; node; node = node->next) {
        if (sh_json_is_number(node))
            check_number(node);
        check_numbers(node->child);
    }
}

static void find_anything(struct sh_slice text)
{
    static const char *const paths[] = {"", "a", "event", "a.b", "0", "0.0.1", "analysis.x"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct sh_slice raw;
        struct sh_buf out;
        if (sh_json_find(text, paths[i], &raw) == SH_JSON_NONE)
            continue;
        sh_require(raw.p >= text.p && raw.p + raw.n <= text.p + text.n);
        sh_buf_init(&out, 4 * raw.n + 4);
        sh_json_unescape(raw, &out);
        sh_buf_free(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct sh_json_fault fault = {.line = 0};
    find_anything(sh_slice(text, size)); /* safe on any bytes */
    if (!sh_json_check(text, size, &fault)) {
        check_fault(&fault, text, size);
        sh_require(!sh_json_parse(text, size, NULL));
        return 0;
    }
    cJSON *tree = parse(text, size);
    round_trip(tree, size);
    check_numbers(tree);
    struct lookup l = {.text = sh_slice(text, size), .top = tree, .left = MAX_LOOKUPS};
    look_up(&l, tree, "");
    cJSON_Delete(tree);
    return 0;
}
