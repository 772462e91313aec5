/* SPDX-License-Identifier: MIT
 * test_mime_build.c: messages, as Python's email package reads them. */
#include "core/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY     "0123456789abcdef0123456789abcdef"
#define DATE_MS 1781258661903LL

/* --- Messages ------------------------------------------------------------------------------ */

struct folder {
    char path[64];
    int n;
};

static cJSON *doc_of(const char *to, const char *subject, const char *text, const char *html)
{
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, "to"), cJSON_CreateString(to));
    cJSON_AddStringToObject(doc, "subject", subject);
    if (text)
        cJSON_AddStringToObject(doc, "text", text);
    if (html)
        cJSON_AddStringToObject(doc, "html", html);
    return doc;
}

static void write_file(const struct folder *f, const char *ext, const char *p, size_t n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%04d.%s", f->path, f->n, ext);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* Build, and leave the message with what it was made from in the folder. Takes doc. */
static void add(struct folder *f, cJSON *doc, const char *from)
{
    struct sh_buf out;
    struct sh_error err = {0};
    sh_buf_init(&out, 64 << 20);
    if (!sh_email_build(doc, from, KEY, DATE_MS, &out, &err))
        fail_msg("case %d: %s", f->n, err.msg);
    assert_int_equal(strlen(out.data), out.len);
    cJSON *want = cJSON_CreateObject();
    cJSON_AddItemToObject(want, "doc", doc);
    cJSON_AddStringToObject(want, "from", from);
    cJSON_AddStringToObject(want, "key", KEY);
    cJSON_AddNumberToObject(want, "date_ms", (double)DATE_MS);
    char *json = cJSON_PrintUnformatted(want);
    write_file(f, "eml", out.data, out.len);
    write_file(f, "json", json, strlen(json));
    f->n++;
    free(json);
    cJSON_Delete(want);
    sh_buf_free(&out);
}

static void open_folder(struct folder *f)
{
    *f = (struct folder){.path = "/tmp/switchhook-mime-XXXXXX"};
    assert_non_null(mkdtemp(f->path));
}

static void remove_folder(struct folder *f)
{
    char cmd[128];
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", f->path);
    assert_int_equal(system(cmd), 0);
}

/* Exit status of mime_check.py, which lies beside this file; last: its last line. */
static int read_back(const struct folder *f, char last[256])
{
    char cmd[512], line[256];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(cmd, sizeof(cmd), "/usr/bin/python3 -B '%.*s/mime_check.py' '%s' 2>&1",
             (int)(slash - __FILE__), __FILE__, f->path);
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    while (fgets(line, sizeof(line), p)) {
        if (strncmp(line, "checked ", 8) != 0)
            print_message("%s", line);
        strcpy(last, line);
    }
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_all(struct folder *f)
{
    char last[256] = "", want[32];
    assert_int_equal(read_back(f, last), 0);
    snprintf(want, sizeof(want), "checked %d\n", f->n);
    assert_string_equal(last, want);
    remove_folder(f);
}

static char *repeat(const char *s, size_t n)
{
    struct sh_buf b;
    sh_buf_init(&b, 1 << 24);
    for (size_t i = 0; i < n; i++)
        sh_buf_adds(&b, s);
    return sh_buf_take(&b, NULL);
}

static void bodies_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const texts[] = {
        "",
        "x",
        "x\n",
        "x\r\n",
        "x\r",
        "\n",
        "\r",
        "\r\n",
        "\n\n\n",
        "\r\r\n\n\r",
        "a\rb\nc\r\nd",
        ".",
        ".\n",
        "\n.\n",
        "\r\n.\r\nMAIL FROM:<x@y.z>\r\n",
        "..\n...\n. x",
        "end \nend\t\nend  ",
        " \n\t\n ",
        "=",
        "=\n=3D=",
        "From here\n>From there\nFrom",
        "--=_" KEY "\n--=_" KEY "--\n",
        "a\x01\x1b[31m\x7f"
        "b",
        "Beste collega,\n\nDe klant was ontevreden over \xc3\xa9\xc3\xa9n ding: co\xc3\xb6rdinatie "
        "van de na\xc3\xafve cr\xc3\xa8me-br\xc3\xbbl\xc3\xa9"
        "e \xe2\x82\xac 12,50.\n",
        "\xf0\x9f\x98\x80\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xe4\xbd\xa0\xe5\xa5\xbd",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        add(&f, doc_of("a@b.c", "s", texts[i], NULL), "h@e.org");
        add(&f, doc_of("a@b.c", "s", NULL, texts[i]), "h@e.org");
        add(&f, doc_of("a@b.c", "s", texts[i], texts[i]), "h@e.org");
    }
    static const char *const units[] = {
        "x", ".", " ", "\t", "=", "\xc3\xa9", "\xf0\x9f\x98\x80", "From ", "ab\xc3\xa9 c d."};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        for (size_t n = 70; n < 80; n++) {
            char *text = repeat(units[i], n);
            add(&f, doc_of("a@b.c", "s", text, NULL), "h@e.org");
            free(text);
        }
        char *text = repeat(units[i], 10000);
        add(&f, doc_of("a@b.c", "s", text, text), "h@e.org");
        free(text);
    }
    check_all(&f);
}

static const char *const odd_names[] = {
    "Jan",
    "Jan de Vries",
    "Vries, Jan de",
    "O'Brien (sales)",
    "a.b.c",
    "Zo\xc3\xab",
    "=?UTF-8?Q?x?=",
    "\xf0\x9f\x98\x80 Klantenservice \xf0\x9f\x98\x80",
    "Two  spaces",
    "semi;colon: and [x]",
    "\xe6\xa0\xaa\xe5\xbc\x8f\xe4\xbc\x9a\xe7\xa4\xbe \xe6\x97\xa5\xe6\x9c\xac",
    "Caf\xc3\xa9, \"x\"",
    "A name that is a good deal longer than sixty characters, with a comma in it, to be folded",
    ("Afdeling co\xc3\xb6rdinatie na\xc3\xafve be\xc3\xafnvloeding en re\xc3\xbcnie van de hele "
     "gro\xc3\xa9p te 's-Hertogenbosch, met nog veel meer woorden daarachter"),
};

static char *named(const char *name, const char *addr)
{
    struct sh_buf b;
    sh_buf_init(&b, 1024);
    sh_buf_addc(&b, '"');
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            sh_buf_addc(&b, '\\');
        sh_buf_addc(&b, *name);
    }
    sh_buf_addf(&b, "\" <%s>", addr);
    return sh_buf_take(&b, NULL);
}

static void names_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    size_t n = sizeof(odd_names) / sizeof(*odd_names);
    for (size_t i = 0; i < n; i++) {
        char *who = named(odd_names[i], "a.b+c@example.org");
        cJSON *doc = doc_of(who, "s", "t", NULL);
        cJSON *cc = cJSON_AddArrayToObject(doc, "cc");
        cJSON_AddStringToObject(doc, "reply_to", who);
        for (size_t k = 0; k < n; k++) {
            char *other = named(odd_names[k], "x@y.example");
            cJSON_AddItemToArray(cc, cJSON_CreateString(other));
            cJSON_AddItemToArray(cc, cJSON_CreateString("bare@y.example"));
            free(other);
        }
        add(&f, doc, who);
        free(who);
    }
    char *local = repeat("l", 242);
    char *addr = sh_strf("%s@example.org", local);
    add(&f, doc_of(addr, "s", "t", NULL), addr);
    free(addr);
    free(local);
    check_all(&f);
}

static void subjects_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const subjects[] = {
        "",
        "x",
        " x",
        "x ",
        "a  b",
        "tab\there",
        "=?UTF-8?Q?x?=",
        "=",
        "?=",
        "a_b c",
        "Gesprek met Zo\xc3\xab: ontevreden",
        "\xf0\x9f\x98\x80",
        "esc\x1b[31m",
        "   ",
        ("Please call +31 6 12345678 back about the invoice, the delivery and the three earlier "
         "calls that nobody has answered since last Thursday afternoon"),
        "\xe4\xbd\xa0\xe5\xa5\xbd \xe4\xbd\xa0\xe5\xa5\xbd a \xe4\xbd\xa0\xe5\xa5\xbd",
    };
    for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
        add(&f, doc_of("a@b.c", subjects[i], "t", NULL), "h@e.org");
    static const char *const units[] = {"x",
                                        "word ",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "e\xc3\xa9",
                                        "woord \xc3\xa9\xc3\xa9n "};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        for (size_t n = 1; n * strlen(units[i]) <= 998; n += n < 80 ? 1 : 7) {
            char *text = repeat(units[i], n);
            add(&f, doc_of("a@b.c", text, "t", NULL), "h@e.org");
            free(text);
        }
    }
    check_all(&f);
}

static void attach(cJSON *doc, const char *name, const char *type, const char *field,
                   const char *content)
{
    cJSON *list = cJSON_GetObjectItem(doc, "attachments"), *file = cJSON_CreateObject();
    if (!list)
        list = cJSON_AddArrayToObject(doc, "attachments");
    cJSON_AddStringToObject(file, "name", name);
    cJSON_AddStringToObject(file, "type", type);
    cJSON_AddStringToObject(file, field, content);
    cJSON_AddItemToArray(list, file);
}

static void attachments_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const names[] = {
        "x",
        "report 2026.pdf",
        "a;b=c, \"d\".txt",
        "it's 100%.txt",
        "=?UTF-8?Q?x?=.txt",
        "Gesprek met Zo\xc3\xab.csv",
        "\xf0\x9f\x98\x80.png",
        "\xe8\xad\xb0\xe4\xba\x8b\xe9\x8c\xb2.docx",
        "a name that is longer than sixty bytes, and has nothing else about it, at all.pdf",
    };
    static const char *const contents[] = {"", "x", "a\nb\r\nc\rd\n",
                                           "\n.\nFrom x\n--=_" KEY "--\n",
                                           "\xef\xbb\xbfna\xc3\xafve;\xe2\x82\xac\n"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        cJSON *doc = doc_of("a@b.c", "s", "t", i % 2 ? "<p>h" : NULL);
        for (size_t k = 0; k < sizeof(contents) / sizeof(*contents); k++) {
            attach(doc, names[i], "text/csv", "text", contents[k]);
            attach(doc, names[i], "application/json", "text", contents[k]);
        }
        attach(doc, names[i], "application/octet-stream", "base64", "AAEC/v8=");
        attach(doc, names[i], "IMAGE/png", "base64", "AAEC\r\n/v8A\r\n");
        add(&f, doc, "h@e.org");
    }
    static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        for (size_t n = 1; n * strlen(units[i]) <= 255; n++) { /* every place of a fold */
            char *name = repeat(units[i], n), *text = repeat(units[i], n * 3);
            cJSON *doc = doc_of("a@b.c", "s", "t", NULL);
            attach(doc, name, "text/plain", "text", text);
            add(&f, doc, "h@e.org");
            free(name), free(text);
        }
    }
    char *big = repeat("0123456789abcde\n", 700 * 1024 / 16);
    cJSON *doc = doc_of("a@b.c", "s", "t", NULL);
    attach(doc, "big", "a/b", "text", big);
    add(&f, doc, "h@e.org");
    free(big);
    check_all(&f);
}

static void invitations_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const invitations[] = {
        "{\"uid\":\"u\",\"start_at\":1781258661903,\"summary\":\"s\"}",
        "{\"uid\":\"u@x\",\"start_at\":1781258661903,\"end_at\":1781259661903,\"summary\":\"Bel "
        "Zo\u00eb, terug\",\"description\":\"a\\r\\nb\\n.\\nFrom x\",\"location\":\"tel\",\"url\":"
        "\"tel:+31612345678\",\"alarm_minutes\":5,\"sequence\":2}",
        "{\"uid\":\"u\",\"start_at\":1781258661903,\"summary\":\"\",\"method\":\"CANCEL\","
        "\"organizer\":\"O <o@e.org>\",\"attendees\":[\"z@e.org\"],\"stamp\":1781258000000}",
        "{\"uid\":\"u\",\"start_at\":1781258661903,\"summary\":\"\xe6\x97\xa5\xe6\x9c\xac\","
        "\"method\":\"PUBLISH\",\"organizer\":null,\"stamp\":null,\"attendees\":null}",
    };
    for (size_t i = 0; i < sizeof(invitations) / sizeof(*invitations); i++) {
        for (int k = 0; k < 8; k++) {
            cJSON *doc = doc_of("\"Zo\xc3\xab, me\" <a@b.c>", "s", k & 1 ? "text" : NULL,
                                k & 1 ? k & 2 ? "<p>html" : NULL : "<p>html");
            if (k & 4)
                attach(doc, "x.txt", "text/plain", "text", "x");
            cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, "cc"),
                                 cJSON_CreateString("C <c@d.e>"));
            cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, "bcc"),
                                 cJSON_CreateString("Hidden <hidden@d.e>"));
            cJSON_AddItemToObject(doc, "invitation", cJSON_Parse(invitations[i]));
            add(&f, doc, "Hook <h@e.org>");
        }
        cJSON *doc = doc_of("a@b.c", "s", "t", NULL); /* to nobody but those in bcc */
        cJSON_AddItemToObject(doc, "bcc", cJSON_DetachItemFromObject(doc, "to"));
        cJSON_AddItemToObject(doc, "invitation", cJSON_Parse(invitations[i]));
        add(&f, doc, "h@e.org");
    }
    check_all(&f);
}

static void bcc_is_nowhere(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    for (int i = 0; i < 3; i++) {
        cJSON *doc = doc_of("a@b.c", "s", "t", "h");
        cJSON *bcc = cJSON_AddArrayToObject(doc, "bcc");
        cJSON_AddItemToArray(bcc, cJSON_CreateString("Hidden <hidden@example.org>"));
        cJSON_AddItemToArray(bcc, cJSON_CreateString("other@example.org"));
        if (i)
            cJSON_DeleteItemFromObject(doc, "to");
        if (i == 2)
            cJSON_AddItemToArray(cJSON_AddArrayToObject(doc, "cc"), cJSON_CreateString("c@d.e"));
        add(&f, doc, "h@e.org");
    }
    check_all(&f);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static char *random_text(uint32_t *seed, size_t max, bool one_line)
{
    static const char *const units[] = {
        "a",       "b ",  " ",  "=",  ".",        "\"",           "\\",
        "?",       "_",   "(",  ",",  "\xc3\xab", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "word",    "=?",  "?=", "\t", "\n",       "\r",           "\r\n.",
        "\nFrom ", "\x02"};
    size_t kinds = sizeof(units) / sizeof(*units) - (one_line ? 6 : 0);
    struct sh_buf b;
    sh_buf_init(&b, 1 << 20);
    sh_buf_adds(&b, one_line ? "r" : "");
    for (size_t n = next_random(seed) % max; n > 0; n--)
        sh_buf_adds(&b, units[next_random(seed) % kinds]);
    sh_buf_adds(&b, one_line ? "r" : "");
    return sh_buf_take(&b, NULL);
}

static void random_messages_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    uint32_t seed = 20261123;
    for (int i = 0; i < 400; i++) {
        char *name = random_text(&seed, 50, true), *subject = random_text(&seed, 200, true);
        char *text = random_text(&seed, 400, false), *html = random_text(&seed, 400, false);
        char *who = named(name, "a@b.c");
        add(&f, doc_of(who, subject, text, html), who);
        free(name), free(subject), free(text), free(html), free(who);
    }
    check_all(&f);
}

/* The reader above can say no. */
static void a_difference_is_seen(void **state)
{
    (void)state;
    struct folder f;
    char last[256];
    open_folder(&f);
    add(&f, doc_of("a@b.c", "one", "text", NULL), "h@e.org");
    f.n--;
    static const char other[] =
        "{\"doc\":{\"to\":[\"a@b.c\"],\"subject\":\"two\",\"text\":\"text\"},"
        "\"from\":\"h@e.org\",\"key\":\"" KEY "\",\"date_ms\":1781258661903}";
    write_file(&f, "json", other, sizeof(other) - 1);
    assert_int_equal(read_back(&f, last), 1);
    remove_folder(&f);
}

static void the_message_is_exactly_this(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_error err = {0};
    sh_buf_init(&out, 10000);
    cJSON *doc = doc_of("Zo\xc3\xab <z@e.org>", "Hi", ".x\ny ", NULL);
    assert_true(sh_email_build(doc, "Hook <h@e.org>", KEY, DATE_MS, &out, &err));
    assert_string_equal(out.data, "Date: Fri, 12 Jun 2026 10:04:21 +0000\r\n"
                                  "From: Hook <h@e.org>\r\n"
                                  "To: =?UTF-8?Q?Zo=C3=AB?= <z@e.org>\r\n"
                                  "Subject: Hi\r\n"
                                  "Message-ID: <" KEY "@e.org>\r\n"
                                  "Auto-Submitted: auto-generated\r\n"
                                  "MIME-Version: 1.0\r\n"
                                  "Content-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: quoted-printable\r\n"
                                  "\r\n"
                                  "=2Ex\r\ny=20\r\n");
    sh_buf_free(&out);
    cJSON_Delete(doc);
}

static void a_message_that_cannot_be_built_says_why(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_error err = {0};
    cJSON *doc = doc_of("z@e.org", "Hi", "some text", NULL);
    sh_buf_init(&out, 10000);
    assert_false(sh_email_build(doc, "h@e.org\r\nBcc: x@y.z", KEY, DATE_MS, &out, &err));
    assert_false(sh_email_build(doc, "h@e.org", "a key", DATE_MS, &out, &err));
    assert_non_null(strstr(err.msg, "key"));
    assert_false(sh_email_build(doc, "h@e.org", "", DATE_MS, &out, &err));
    assert_false(sh_email_build(doc, "h@e.org", KEY, -1, &out, &err));
    assert_non_null(strstr(err.msg, "1970"));
    sh_buf_free(&out);
    sh_buf_init(&out, 100);
    assert_false(sh_email_build(doc, "h@e.org", KEY, DATE_MS, &out, &err));
    assert_int_equal(err.code, SH_ELIMIT);
    sh_buf_free(&out);
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_arrive_whole),
        cmocka_unit_test(names_arrive_whole),
        cmocka_unit_test(subjects_arrive_whole),
        cmocka_unit_test(attachments_arrive_whole),
        cmocka_unit_test(invitations_arrive_whole),
        cmocka_unit_test(bcc_is_nowhere),
        cmocka_unit_test(random_messages_arrive_whole),
        cmocka_unit_test(a_difference_is_seen),
        cmocka_unit_test(the_message_is_exactly_this),
        cmocka_unit_test(a_message_that_cannot_be_built_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
