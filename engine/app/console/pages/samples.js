// What the webphone sends, to begin with in the playground.
const call = {
  call_id: "example-1", direction: "incoming", date: "2026-06-12T11:47:33.530Z", local_number: "3001", local_name: "Laura",
  remote_number: "0612345678", remote_name: "Praktijk Jansen", user_email: "laura@example.org",
};
const started = { started_at: "2026-06-12T11:44:08.301Z" };
const ended = { status: "stop", call_result: "Answered", duration_sec: 184, ...started, ended_at: "2026-06-12T11:47:12.528Z" };

export const samples = {
  "A missed call": { event: "call_stop", ...call, ...ended, call_result: "Missed", duration_sec: 0 },
  "A call begins": { event: "call_start", ...call, status: "start", call_result: null, duration_sec: 0, ...started, ended_at: null },
  "A call ends": { event: "call_stop", ...call, ...ended },
  "An unhappy caller": {
    event: "call_postprocess", ...call, ...ended,
    transcription: "[11:44:10 AM] Callee: Good morning.\n[11:44:13 AM] Caller: I have called three times about this invoice.\n[11:44:21 AM] Callee: I am sorry. We will call you back today.",
    analysis: { samenvatting: "The caller has called three times about a wrong invoice and wants to be called back.", actiepunten: ["Correct the invoice.", "Call back today."], sentiment: "negative" },
  },
};
