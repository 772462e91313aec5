/* SPDX-License-Identifier: MIT
 * media_type.c: RFC 9110 section 8.3, as far as an event needs it. */
#include "app/media_type.h"

#include <string.h>
#include <strings.h>

#define BLANK " \t"

static bool equals(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(p, word, n) == 0;
}

static bool type_accepted(const char *p, size_t n)
{
    const char *slash = memchr(p, '/', n);
    if (!slash || slash == p)
        return false;
    return equals(p, n, "application/json") || equals(p, n, "text/plain") ||
           (n > 5 && p + n - 5 > slash + 1 && equals(p + n - 5, 5, "+json"));
}

/* `name=value` or `name="value"`; other parameters than charset say nothing to us. */
static bool parameter_accepted(const char *p, size_t n)
{
    const char *eq = memchr(p, '=', n);
    if (!eq || !equals(p, (size_t)(eq - p), "charset"))
        return true;
    const char *v = eq + 1;
    size_t len = n - (size_t)(v - p);
    if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
        v++;
        len -= 2;
    }
    return equals(v, len, "utf-8") || equals(v, len, "utf8");
}

/* The next part up to ';', blanks around it cut; *rest moves behind it. */
static size_t next_part(const char **rest, const char **part)
{
    const char *p = *rest + strspn(*rest, BLANK), *end = p + strcspn(p, ";");
    *rest = *end ? end + 1 : end;
    *part = p;
    while (end > p && strchr(BLANK, end[-1]))
        end--;
    return (size_t)(end - p);
}

bool sh_media_accepted(const char *type, const char *encoding, const char **wrong)
{
    const char *rest = type ? type : "", *part;
    size_t n = next_part(&rest, &part);
    *wrong = NULL;
    if (encoding && *encoding && !equals(encoding, strlen(encoding), "identity"))
        *wrong = "Content-Encoding must be absent or identity";
    else if (n && !type_accepted(part, n))
        *wrong = "Content-Type must be application/json";
    while (!*wrong && *rest) {
        n = next_part(&rest, &part);
        if (!parameter_accepted(part, n))
            *wrong = "the body's charset must be utf-8";
    }
    return !*wrong;
}
