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

static bool json_type(const char *p, size_t n)
{
    const char *slash = memchr(p, '/', n);
    return equals(p, n, "application/json") || equals(p, n, "text/plain") ||
           (slash && slash > p && n > 5 && p + n - 5 > slash + 1 && equals(p + n - 5, 5, "+json"));
}

static bool type_accepted(enum sh_body_format format, const char *p, size_t n)
{
    if (format == SH_BODY_FORM)
        return equals(p, n, "application/x-www-form-urlencoded");
    if (format == SH_BODY_JWT &&
        (equals(p, n, "application/jwt") || equals(p, n, "application/jose")))
        return true;
    return json_type(p, n);
}

static const char *type_wanted(enum sh_body_format format)
{
    return format == SH_BODY_FORM  ? "Content-Type must be application/x-www-form-urlencoded"
           : format == SH_BODY_JWT ? "Content-Type must be application/jwt"
                                   : "Content-Type must be application/json";
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

bool sh_media_accepted(enum sh_body_format format, const char *type, const char *encoding,
                       const char **wrong)
{
    const char *rest = type ? type : "", *part;
    size_t n = next_part(&rest, &part);
    *wrong = NULL;
    if (encoding && *encoding && !equals(encoding, strlen(encoding), "identity"))
        *wrong = "Content-Encoding must be absent or identity";
    else if (n && !type_accepted(format, part, n))
        *wrong = type_wanted(format);
    while (!*wrong && *rest) {
        n = next_part(&rest, &part);
        if (!parameter_accepted(part, n))
            *wrong = "the body's charset must be utf-8";
    }
    return !*wrong;
}
