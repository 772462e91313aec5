/* SPDX-License-Identifier: MIT
 * sample_day.c: the events of a webphone's day, as `send --day` posts them. */
#include "app/sample_day.h"

#include "base/buf.h"
#include "svc/crypto.h"

#include <stdlib.h>
#include <string.h>

/* Every call id in here has the length of a real one, so that a fresh one takes its place. */
#define ID_LEN 30

static const char call_start[] = "{\n"
                                 "  \"event\": \"call_start\",\n"
                                 "  \"call_id\": \"x71p99345762k44nm28d55q90lbc6v\",\n"
                                 "  \"direction\": \"outgoing\",\n"
                                 "  \"status\": \"start\",\n"
                                 "  \"date\": \"2026-06-12T10:03:11.215Z\",\n"
                                 "  \"callerid\": \"Laura (3001)\",\n"
                                 "  \"caller_number\": \"3001\",\n"
                                 "  \"caller_name\": \"Laura\",\n"
                                 "  \"callee_number\": \"0309876543\",\n"
                                 "  \"callee_name\": \"BusinessCompany\",\n"
                                 "  \"local_number\": \"3001\",\n"
                                 "  \"local_name\": \"Laura\",\n"
                                 "  \"remote_number\": \"0309876543\",\n"
                                 "  \"remote_name\": \"BusinessCompany\",\n"
                                 "  \"from\": {\n"
                                 "    \"name\": \"Laura\",\n"
                                 "    \"number\": \"3001\"\n"
                                 "  },\n"
                                 "  \"to\": {\n"
                                 "    \"name\": \"BusinessCompany\",\n"
                                 "    \"number\": \"0309876543\"\n"
                                 "  },\n"
                                 "  \"call_result\": null,\n"
                                 "  \"duration_sec\": 0,\n"
                                 "  \"started_at\": \"2026-06-12T10:03:11.214Z\",\n"
                                 "  \"ended_at\": null,\n"
                                 "  \"user_email\": \"laura.devries@bedrijf.nl\"\n"
                                 "}\n";

static const char call_stop[] = "{\n"
                                "  \"event\": \"call_stop\",\n"
                                "  \"call_id\": \"x71p99345762k44nm28d55q90lbc6v\",\n"
                                "  \"direction\": \"outgoing\",\n"
                                "  \"status\": \"stop\",\n"
                                "  \"date\": \"2026-06-12T10:04:02.487Z\",\n"
                                "  \"callerid\": \"Laura (3001)\",\n"
                                "  \"caller_number\": \"3001\",\n"
                                "  \"caller_name\": \"Laura\",\n"
                                "  \"callee_number\": \"0309876543\",\n"
                                "  \"callee_name\": \"BusinessCompany\",\n"
                                "  \"local_number\": \"3001\",\n"
                                "  \"local_name\": \"Laura\",\n"
                                "  \"remote_number\": \"0309876543\",\n"
                                "  \"remote_name\": \"BusinessCompany\",\n"
                                "  \"from\": {\n"
                                "    \"name\": \"Laura\",\n"
                                "    \"number\": \"3001\"\n"
                                "  },\n"
                                "  \"to\": {\n"
                                "    \"name\": \"BusinessCompany\",\n"
                                "    \"number\": \"0309876543\"\n"
                                "  },\n"
                                "  \"call_result\": \"Answered\",\n"
                                "  \"duration_sec\": 51,\n"
                                "  \"started_at\": \"2026-06-12T10:03:11.214Z\",\n"
                                "  \"ended_at\": \"2026-06-12T10:04:02.487Z\",\n"
                                "  \"user_email\": \"laura.devries@bedrijf.nl\"\n"
                                "}\n";

static const char call_postprocess[] =
    "{\n"
    "  \"event\": \"call_postprocess\",\n"
    "  \"call_id\": \"x71p99345762k44nm28d55q90lbc6v\",\n"
    "  \"direction\": \"outgoing\",\n"
    "  \"status\": \"stop\",\n"
    "  \"date\": \"2026-06-12T10:04:21.903Z\",\n"
    "  \"callerid\": \"Laura (3001)\",\n"
    "  \"caller_number\": \"3001\",\n"
    "  \"caller_name\": \"Laura\",\n"
    "  \"callee_number\": \"0309876543\",\n"
    "  \"callee_name\": \"BusinessCompany\",\n"
    "  \"local_number\": \"3001\",\n"
    "  \"local_name\": \"Laura\",\n"
    "  \"remote_number\": \"0309876543\",\n"
    "  \"remote_name\": \"BusinessCompany\",\n"
    "  \"from\": {\n"
    "    \"name\": \"Laura\",\n"
    "    \"number\": \"3001\"\n"
    "  },\n"
    "  \"to\": {\n"
    "    \"name\": \"BusinessCompany\",\n"
    "    \"number\": \"0309876543\"\n"
    "  },\n"
    "  \"call_result\": \"Answered\",\n"
    "  \"duration_sec\": 51,\n"
    "  \"started_at\": \"2026-06-12T10:03:11.214Z\",\n"
    "  \"ended_at\": \"2026-06-12T10:04:02.487Z\",\n"
    "  \"transcription\": \"[12:03:14 PM] Callee: Welcome to "
    "BusinessCompany.\\n[12:03:16 PM] Callee: This call may be recorded for quality "
    "purposes.\\n[12:03:18 PM] Callee: Our current waiting time is longer than "
    "usual.\\n[12:03:22 PM] Caller: Hello?\\n[12:03:24 PM] Callee: Please visit our "
    "website for frequently asked questions.\\n[12:03:27 PM] Caller: I can’t hear "
    "anything.\\n[12:03:29 PM] Callee: Press 1 for sales.\\n[12:03:31 PM] Callee: Press "
    "2 for support.\\n[12:03:33 PM] Caller: Hello?\",\n"
    "  \"analysis\": {\n"
    "    \"samenvatting\": \"The caller reached an automated system at BusinessCompany. "
    "The system informed about call recording and increased waiting times, and provided "
    "IVR options. The caller attempted to make contact but did not reach a live agent. "
    "The call ended without resolution.\",\n"
    "    \"actiepunten\": [\n"
    "      \"Verify audio connectivity on the caller side.\",\n"
    "      \"Improve IVR routing efficiency.\",\n"
    "      \"Offer a callback option during high wait times.\",\n"
    "      \"Ensure quicker connection to live agents.\"\n"
    "    ],\n"
    "    \"sentiment\": \"neutral\"\n"
    "  },\n"
    "  \"user_email\": \"laura.devries@bedrijf.nl\"\n"
    "}\n";

static const char negative[] =
    "{\n"
    "  \"event\": \"call_postprocess\",\n"
    "  \"call_id\": \"k20c41877303h91ps64w18v55tre2j\",\n"
    "  \"direction\": \"outgoing\",\n"
    "  \"status\": \"stop\",\n"
    "  \"date\": \"2026-06-12T13:22:40.118Z\",\n"
    "  \"callerid\": \"Laura (3001)\",\n"
    "  \"caller_number\": \"3001\",\n"
    "  \"caller_name\": \"Laura\",\n"
    "  \"callee_number\": \"0201234567\",\n"
    "  \"callee_name\": \"Bakkerij Jansen\",\n"
    "  \"local_number\": \"3001\",\n"
    "  \"local_name\": \"Laura\",\n"
    "  \"remote_number\": \"0201234567\",\n"
    "  \"remote_name\": \"Bakkerij Jansen\",\n"
    "  \"from\": {\n"
    "    \"name\": \"Laura\",\n"
    "    \"number\": \"3001\"\n"
    "  },\n"
    "  \"to\": {\n"
    "    \"name\": \"Bakkerij Jansen\",\n"
    "    \"number\": \"0201234567\"\n"
    "  },\n"
    "  \"call_result\": \"Answered\",\n"
    "  \"duration_sec\": 184,\n"
    "  \"started_at\": \"2026-06-12T13:19:02.500Z\",\n"
    "  \"ended_at\": \"2026-06-12T13:22:06.731Z\",\n"
    "  \"transcription\": \"[03:19:06 PM] Callee: Bakkerij Jansen, "
    "goedemiddag.\\n[03:19:09 PM] Caller: U spreekt met Laura.\\n[03:19:14 PM] Callee: "
    "Ik heb nu drie keer gebeld over die factuur en niemand belt terug.\\n[03:21:58 PM] "
    "Callee: Als dit morgen niet is opgelost, zeg ik het contract op.\",\n"
    "  \"analysis\": {\n"
    "    \"samenvatting\": \"De klant heeft drie keer gebeld over een onjuiste factuur "
    "en is niet teruggebeld. De klant dreigt het contract op te zeggen als het morgen "
    "niet is opgelost.\",\n"
    "    \"actiepunten\": [\n"
    "      \"Corrigeer de factuur van mei.\",\n"
    "      \"Bel de klant morgen voor 10 uur terug.\"\n"
    "    ],\n"
    "    \"sentiment\": \"negative\"\n"
    "  },\n"
    "  \"user_email\": \"laura.devries@bedrijf.nl\"\n"
    "}\n";

static const char missed[] = "{\n"
                             "  \"event\": \"call_stop\",\n"
                             "  \"call_id\": \"m58d07216649f33qa90z27y81bnc4x\",\n"
                             "  \"direction\": \"incoming\",\n"
                             "  \"status\": \"stop\",\n"
                             "  \"date\": \"2026-06-12T14:05:31.020Z\",\n"
                             "  \"callerid\": \"J. Smit (0612345678)\",\n"
                             "  \"caller_number\": \"0612345678\",\n"
                             "  \"caller_name\": \"J. Smit\",\n"
                             "  \"callee_number\": \"3001\",\n"
                             "  \"callee_name\": \"Laura\",\n"
                             "  \"local_number\": \"3001\",\n"
                             "  \"local_name\": \"Laura\",\n"
                             "  \"remote_number\": \"0612345678\",\n"
                             "  \"remote_name\": \"J. Smit\",\n"
                             "  \"from\": {\n"
                             "    \"name\": \"J. Smit\",\n"
                             "    \"number\": \"0612345678\"\n"
                             "  },\n"
                             "  \"to\": {\n"
                             "    \"name\": \"Laura\",\n"
                             "    \"number\": \"3001\"\n"
                             "  },\n"
                             "  \"call_result\": \"Missed\",\n"
                             "  \"duration_sec\": 0,\n"
                             "  \"started_at\": \"2026-06-12T14:05:04.655Z\",\n"
                             "  \"ended_at\": \"2026-06-12T14:05:31.018Z\",\n"
                             "  \"user_email\": \"laura.devries@bedrijf.nl\"\n"
                             "}\n";

/* As a copied document has it: typographic quotes. */
static const char broken[] = "{\n"
                             "  “event”: “call_stop”,\n"
                             "  “call_id”: “b13f62904417r75ke22u46o39wdm8s”\n"
                             "}\n";

static const struct sh_sample samples[] = {
    {"a call begins", call_start, SH_SAMPLE_STORED},
    {"the call ends", call_stop, SH_SAMPLE_STORED},
    {"its transcription and analysis", call_postprocess, SH_SAMPLE_STORED},
    {"a call that left the customer unhappy", negative, SH_SAMPLE_STORED},
    {"a missed call", missed, SH_SAMPLE_STORED},
    {"the same event again", missed, SH_SAMPLE_DUPLICATE},
    {"broken JSON: typographic quotes", broken, SH_SAMPLE_REFUSED},
};

const struct sh_sample *sh_sample_day(size_t *n)
{
    *n = sizeof(samples) / sizeof(samples[0]);
    return samples;
}

/* Fresh ids are made of the invocation's seed and the old id: events of one call keep belonging
 * together. */
static void fresh_id(const uint8_t seed[16], const char *old, char out[ID_LEN])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t hash[SH_SHA256_BYTES];
    const struct sh_slice parts[] = {sh_slice(seed, 16), sh_slice(old, ID_LEN)};
    sh_sha256(parts, 2, hash);
    for (size_t i = 0; i < ID_LEN; i++)
        out[i] = letters[hash[i] % (sizeof(letters) - 1)];
}

char *sh_sample_body(const struct sh_sample *s, const uint8_t seed[16])
{
    static const char *const ids[] = {
        "x71p99345762k44nm28d55q90lbc6v", /* the real call */
        "k20c41877303h91ps64w18v55tre2j", /* the unhappy one */
        "m58d07216649f33qa90z27y81bnc4x", /* the missed one */
    };
    char *body = sh_strdup(s->body);
    for (size_t i = 0; seed && i < sizeof(ids) / sizeof(ids[0]); i++)
        for (char *p = body; (p = strstr(p, ids[i])) != NULL; p += ID_LEN)
            fresh_id(seed, ids[i], p);
    return body;
}
