/* SPDX-License-Identifier: MIT
 * effect.h: what a run asked for, as data: made by the rule host, sent in frames, applied by the
 * store in the transaction that marks the run done. */
#ifndef SH_CORE_EFFECT_H
#define SH_CORE_EFFECT_H

#include "base/buf.h"
#include "base/id.h"

/* Numbers are part of the frame format. */
enum sh_effect_kind {
    SH_FX_PUT = 1,         /* records.put: collection, id, doc */
    SH_FX_PATCH = 2,       /* records.patch: RFC 7396 merge of doc */
    SH_FX_DELETE = 3,      /* records.delete */
    SH_FX_INCR = 4,        /* records.incr: field, n */
    SH_FX_CALLBACK = 5,    /* doc: {"number","name","due_at"(ms),"assignee","reason"} */
    SH_FX_EMAIL = 6,       /* doc: as mime.h says */
    SH_FX_EMIT = 7,        /* type, doc = the new event's body */
    SH_FX_HTTP = 8,        /* doc: a call as http_call.h says */
    SH_FX_TIMER = 9,       /* collection = event type, id = the timer's name or empty, doc = the
                              event's body, n_int = due, Unix milliseconds; field = "" or, for a time
                              of day that was asked for, "2026-10-25T09:00:00 Europe/Amsterdam" */
    SH_FX_CANCEL = 10,     /* id = the timer's name */
    SH_FX_CALLBACK_DO = 11 /* what happens to callbacks that exist, doc as callback.h says */
};
#define SH_FX_LAST SH_FX_CALLBACK_DO

/* All slices borrowed. Fields that a kind does not use are empty. */
struct sh_effect {
    enum sh_effect_kind kind;
    struct sh_slice collection; /* records: collection; emit, timer: event type */
    struct sh_slice id;         /* records: id; timer, cancel: name; others: the author's own key
                                   or empty */
    struct sh_slice doc;        /* JSON text that passed sh_json_check() */
    struct sh_slice field;      /* incr: a member name; timer: local time and zone, or empty */
    bool is_int;                /* incr: which of the two holds; timer: true */
    int64_t n_int;
    double n_double;
    struct sh_slice at; /* "rules/a.lua:12", where it was asked for, of the kinds that the store may
                           refuse (patch, incr, emit, timer); else empty */
};
/* May the store refuse an effect of this kind for a reason that the run could not know? */
bool sh_effect_may_be_refused(enum sh_effect_kind kind);

void sh_effect_write(struct sh_buf *out, const struct sh_effect *fx);
/* False: malformed; kind, UTF-8 and lengths are checked, JSON in doc with sh_json_check(). */
bool sh_effect_read(struct sh_reader *r, struct sh_effect *fx) SH_WARN_UNUSED;
/* The same for bytes that have been through sh_effect_read() once: bounds are checked, content is
 * not looked at again (a settle is on the path of every event). */
bool sh_effect_read_again(struct sh_reader *r, struct sh_effect *fx) SH_WARN_UNUSED;

const char *sh_effect_kind_name(enum sh_effect_kind kind); /* "records.put", "callback", ... */

/* The effect as one JSON object for people and programs:
 * {"kind":"records.patch","collection","id","doc"}, {"kind":"records.incr",..,"field","n"},
 * {"kind":"callback",...doc}, {"kind":"email",...doc}, {"kind":"emit","type","data"}; due_at as
 * RFC 3339 text. brief leaves out doc, text, html and data. */
void sh_effect_json(struct sh_buf *out, const struct sh_effect *fx, bool brief);

#define SH_EFFECT_KEY_TEXT 33
/* The stable key of an effect that leaves the run (callback, email, emit, HTTP, unnamed timer): the
 * same for every attempt of the same run. 32 hex digits of SHA-256 over event id, rule, and the
 * author's key, or the ordinal (place among the run's effects, from 0) where there is none. */
void sh_effect_key(struct sh_id event_id, struct sh_slice rule, const struct sh_effect *fx,
                   uint32_t ordinal, char out[SH_EFFECT_KEY_TEXT]);

#endif
