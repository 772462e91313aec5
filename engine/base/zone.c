/* SPDX-License-Identifier: MIT
 * zone.c: the time zones of the system by name, and local time to and fro. */
#include "base/tzif.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ZONES      4096
#define MAX_DEPTH      4
#define MAX_ZONE_NAME  96
#define WIDEST_S       (26 * 3600) /* no clock is further from UTC */
#define MAX_LOCAL_S    ((int64_t)1 << 54)
#define MAX_CIVIL_YEAR 500000000LL
#define DEFAULT_DIR    "/usr/share/zoneinfo"

struct entry {
    const char *name;
    const uint8_t *bytes; /* of an image; NULL: read already */
    size_t n;
    const struct sh_zone *zone; /* NULL: not read yet, or no zone */
};

/* Filled once by sh_zones_load() and read only afterwards, or by sh_zones_open(). */
static struct entry *zones; /* by name */
static size_t n_zones;

/* --- the database ----------------------------------------------------------------------------- */

static ssize_t read_zone(int dir, const char *file, uint8_t bytes[SH_TZIF_MAX_BYTES])
{
    struct stat st;
    ssize_t n = -1;
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SH_TZIF_MAX_BYTES)
        n = read(fd, bytes, SH_TZIF_MAX_BYTES);
    close(fd);
    return n;
}

static void take_zone(int dir, const char *file, const char *name)
{
    uint8_t bytes[SH_TZIF_MAX_BYTES];
    ssize_t n = read_zone(dir, file, bytes);
    struct sh_zone *z = n > 0 ? sh_tzif_parse(name, bytes, (size_t)n, NULL) : NULL;
    if (z)
        zones[n_zones++] = (struct entry){.name = sh_zone_name(z), .zone = z};
}

/* Names at the top that are no zones of their own. */
static bool left_out(const char *name)
{
    static const char *const names[] = {"posix", "right", "posixrules", "localtime"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_folder(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* fd is closed. prefix: "" or "America/". */
static void take_folder(int fd, const char *prefix, int depth)
{
    char name[MAX_ZONE_NAME];
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL && n_zones < MAX_ZONES;) {
        int n = snprintf(name, sizeof(name), "%s%s", prefix, e->d_name);
        if (e->d_name[0] == '.' || n < 0 || (size_t)n + 1 >= sizeof(name) ||
            (depth == 0 && left_out(e->d_name)))
            continue;
        if (!is_folder(fd, e)) {
            take_zone(fd, e->d_name, name);
        } else if (depth < MAX_DEPTH) {
            name[n] = '/';
            name[n + 1] = '\0';
            int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            take_folder(sub, name, depth + 1);
        }
    }
    closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int name_is(const void *name, const void *entry)
{
    return strcmp(name, ((const struct entry *)entry)->name);
}

const struct sh_zone *sh_zone_find(const char *name)
{
    struct entry *e = zones ? bsearch(name, zones, n_zones, sizeof(*zones), name_is) : NULL;
    if (e && !e->zone && e->bytes)
        e->zone = sh_tzif_parse(e->name, e->bytes, e->n, NULL);
    return e ? e->zone : NULL;
}

static void add_utc(void)
{
    if (sh_zone_find("UTC"))
        return;
    struct sh_zone *utc = sh_tzif_rule("UTC", "UTC0", NULL);
    sh_require(utc);
    zones[n_zones++] = (struct entry){.name = sh_zone_name(utc), .zone = utc};
    qsort(zones, n_zones, sizeof(*zones), by_name);
}

static const char *folder(const char *dir)
{
    if (!dir)
        dir = getenv("TZDIR");
    return dir && *dir ? dir : DEFAULT_DIR;
}

size_t sh_zones_load(const char *dir)
{
    if (zones)
        return n_zones;
    zones = sh_alloc(MAX_ZONES + 1, sizeof(*zones));
    take_folder(open(folder(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", 0);
    qsort(zones, n_zones, sizeof(*zones), by_name);
    add_utc();
    zones = sh_realloc(zones, n_zones * sizeof(*zones));
    return n_zones;
}

/* --- an image for children ---------------------------------------------------------------------
 */

struct image_head { /* of each zone: its name and a NUL, then the file's bytes, then up to 8 */
    uint32_t name_n, bytes_n;
};
#define IMAGE_MARK "sh-zones"

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static bool put(int fd, const void *p, size_t n)
{
    return write(fd, p, n) == (ssize_t)n;
}

static bool put_zone(int fd, int dir, const char *name)
{
    static const char zeros[8];
    uint8_t bytes[SH_TZIF_MAX_BYTES];
    ssize_t n = read_zone(dir, name, bytes);
    if (n <= 0)
        return true; /* gone since, or UTC without a file */
    const struct image_head h = {(uint32_t)strlen(name) + 1, (uint32_t)n};
    size_t all = sizeof(h) + h.name_n + h.bytes_n;
    return put(fd, &h, sizeof(h)) && put(fd, name, h.name_n) && put(fd, bytes, h.bytes_n) &&
           put(fd, zeros, padded(all) - all);
}

static int make_image(void)
{
    int fd = memfd_create("switchhook-zones", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int dir = open(folder(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && dir >= 0 && put(fd, IMAGE_MARK, 8);
    for (size_t i = 0; ok && i < n_zones; i++)
        ok = put_zone(fd, dir, zones[i].name);
    ok =
        ok && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
    if (dir >= 0)
        close(dir);
    if (ok)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int sh_zones_image(void)
{
    static int image = -2;
    sh_zones_load(NULL);
    if (image == -2)
        image = make_image();
    return image;
}

/* The zones of an image of n bytes; false: it is cut short. */
static bool take_image(const uint8_t *p, size_t n)
{
    for (size_t at = 8; at < n && n_zones < MAX_ZONES;) {
        struct image_head h;
        if (n - at < sizeof(h))
            return false;
        memcpy(&h, p + at, sizeof(h));
        const uint8_t *name = p + at + sizeof(h);
        size_t all = sizeof(h) + (size_t)h.name_n + h.bytes_n;
        if (all > n - at || h.name_n == 0 || name[h.name_n - 1] != '\0')
            return false;
        zones[n_zones++] =
            (struct entry){.name = (const char *)name, .bytes = name + h.name_n, .n = h.bytes_n};
        at += padded(all);
    }
    return true;
}

bool sh_zones_open(int fd)
{
    struct stat st;
    if (zones || fstat(fd, &st) != 0 || st.st_size < 8)
        return false;
    const size_t n = (size_t)st.st_size;
    uint8_t *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return false;
    zones = sh_alloc(MAX_ZONES + 1, sizeof(*zones));
    if (memcmp(p, IMAGE_MARK, 8) != 0 || !take_image(p, n)) {
        munmap(p, n);
        free(zones);
        zones = NULL;
        n_zones = 0;
        return false;
    }
    qsort(zones, n_zones, sizeof(*zones), by_name);
    add_utc();
    return true;
}

/* --- the machine's own zone ------------------------------------------------------------------- */

/* The zone that a name, or the path of its file, stands for. */
static const char *known(const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", text);
    path[strcspn(path, " \t\r\n")] = '\0';
    const struct sh_zone *z = sh_zone_find(path[0] == ':' ? path + 1 : path);
    const char *below = strstr(path, "zoneinfo/");
    if (!z && below)
        z = sh_zone_find(below + strlen("zoneinfo/"));
    return z ? sh_zone_name(z) : NULL;
}

const char *sh_zone_system(void)
{
    char text[PATH_MAX];
    const char *tz = getenv("TZ"), *name = NULL;
    sh_zones_load(NULL);
    if (tz && *tz)
        name = known(tz);
    ssize_t n = name ? -1 : readlink("/etc/localtime", text, sizeof(text) - 1);
    if (n > 0) {
        text[n] = '\0';
        name = known(text);
    }
    FILE *f = name ? NULL : fopen("/etc/timezone", "re");
    if (f) {
        if (fgets(text, sizeof(text), f))
            name = known(text);
        fclose(f);
    }
    return name ? name : "UTC";
}

/* --- a mistyped name -------------------------------------------------------------------------- */

/* Small letters, a blank as the underscore that the database writes. */
static char plain(char c)
{
    return c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Optimal string alignment distance, cut off above limit. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
    unsigned rows[3][MAX_ZONE_NAME + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    size_t n = strlen(a), m = strlen(b);
    if (n > m + limit || m > n + limit)
        return limit + 1;
    for (size_t j = 0; j <= m; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = plain(a[i - 1]) == plain(b[j - 1]);
            unsigned d = above[j - 1] + !same;
            d = above[j] + 1 < d ? above[j] + 1 : d;
            d = row[j - 1] + 1 < d ? row[j - 1] + 1 : d;
            if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
                plain(a[i - 2]) == plain(b[j - 1]) && before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            row[j] = d;
            least = d < least ? d : least;
        }
        if (least > limit)
            return limit + 1;
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[m];
}

const char *sh_zone_nearest(const char *name)
{
    size_t len = strlen(name);
    unsigned limit = 1 + (unsigned)len / 4, best = 2 * limit + 2; /* twice the distance */
    const char *found = NULL;
    if (len == 0 || len > MAX_ZONE_NAME)
        return NULL;
    for (size_t i = 0; i < n_zones; i++) {
        const char *whole = zones[i].name, *city = strrchr(whole, '/');
        unsigned d = 2 * distance(name, whole, limit);
        if (city && !strchr(name, '/')) { /* "Amsterdam": a whole name goes first */
            unsigned short_d = 2 * distance(name, city + 1, limit) + 1;
            d = short_d < d ? short_d : d;
        }
        if (d < best) {
            best = d;
            found = whole;
        }
    }
    return found;
}

/* --- local time ------------------------------------------------------------------------------- */

void sh_zone_at(const struct sh_zone *z, int64_t unix_s, struct sh_zone_info *out)
{
    struct sh_zone_span span;
    sh_zone_span_at(z, unix_s, &span);
    *out = span.info;
}

int64_t sh_zone_moment(const struct sh_zone *z, int64_t local_s, enum sh_local_kind *kind)
{
    struct sh_zone_span span;
    enum sh_local_kind unused;
    int64_t first = 0, gap = 0;
    unsigned found = 0;
    if (!kind)
        kind = &unused;
    local_s = local_s > MAX_LOCAL_S ? MAX_LOCAL_S : local_s < -MAX_LOCAL_S ? -MAX_LOCAL_S : local_s;
    /* each stretch that may show this time on its clock, in order */
    sh_zone_span_at(z, local_s - WIDEST_S, &span);
    for (bool begun = false;; begun = true) {
        int64_t t = local_s - span.info.offset_s;
        if (t >= span.from && t < span.to && found++ == 0)
            first = t;
        if (begun && !found && t < span.from) { /* the clock was set past it here */
            gap = span.from;
            break;
        }
        if (span.to > local_s + WIDEST_S)
            break;
        sh_zone_span_at(z, span.to, &span);
    }
    *kind = found > 1 ? SH_LOCAL_REPEATED : found ? SH_LOCAL_PLAIN : SH_LOCAL_MISSING;
    return found ? first : gap;
}

int64_t sh_zone_day(const struct sh_zone *z, int64_t unix_s, int days)
{
    struct sh_zone_info info;
    struct sh_civil day;
    sh_zone_at(z, unix_s, &info);
    sh_civil_of(unix_s + info.offset_s, &day);
    day.day += days;
    day.hour = day.minute = day.second = 0;
    return sh_zone_moment(z, sh_civil_seconds(&day), NULL);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t sh_civil_seconds(const struct sh_civil *c)
{
    int64_t months = (int64_t)c->month - 1, year = c->year;
    year = year > MAX_CIVIL_YEAR ? MAX_CIVIL_YEAR : year < -MAX_CIVIL_YEAR ? -MAX_CIVIL_YEAR : year;
    year += floor_div(months, 12);
    int month = (int)(months - 12 * floor_div(months, 12)) + 1;
    return sh_civil_days(year, month, c->day) * 86400 + (int64_t)c->hour * 3600 +
           (int64_t)c->minute * 60 + c->second;
}

void sh_civil_of(int64_t local_s, struct sh_civil *out)
{
    int64_t days = floor_div(local_s, 86400), in_day = local_s - days * 86400;
    /* years that begin in March; day 0 is 0000-03-01 */
    int64_t shifted = days + 719468, era = floor_div(shifted, 146097);
    int64_t doe = shifted - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;
    out->month = (int)(m < 10 ? m + 3 : m - 9);
    out->day = (int)(doy - (153 * m + 2) / 5 + 1);
    out->year = era * 400 + yoe + (out->month <= 2);
    out->hour = (int)(in_day / 3600);
    out->minute = (int)(in_day / 60 % 60);
    out->second = (int)(in_day % 60);
    out->weekday = (int)(days + 3 - 7 * floor_div(days + 3, 7)) + 1;
    out->yearday = (int)(days - sh_civil_days(out->year, 1, 1)) + 1;
}

/* n digits at *p, moved over; -1: there are none. */
static int digits(const char **p, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool over(const char **p, const char *one_of)
{
    if (!**p || !strchr(one_of, **p))
        return false;
    ++*p;
    return true;
}

bool sh_civil_parse(const char *p, struct sh_civil *c)
{
    struct sh_civil same;
    *c = (struct sh_civil){0};
    if ((c->year = digits(&p, 4)) < 0 || !over(&p, "-") || (c->month = digits(&p, 2)) < 0 ||
        !over(&p, "-") || (c->day = digits(&p, 2)) < 0 || !over(&p, "Tt ") ||
        (c->hour = digits(&p, 2)) < 0 || !over(&p, ":") || (c->minute = digits(&p, 2)) < 0)
        return false;
    if (over(&p, ":") && (c->second = digits(&p, 2)) < 0)
        return false;
    sh_civil_of(sh_civil_seconds(c), &same); /* the 30th of February would carry over */
    return !*p && same.year == c->year && same.month == c->month && same.day == c->day &&
           same.hour == c->hour && same.minute == c->minute && same.second == c->second;
}
