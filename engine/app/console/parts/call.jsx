// What a call, or whatever else a sender tells of, is recognised by: the fields that the API shows of it.
import { useNow } from "../hooks.js";
import { Icon } from "./icon.jsx";
import { Badge } from "./state.jsx";
import { Sent } from "./text.jsx";
import "./call.css";

// The same thing by the names that senders give it (docs/senders.md).
const names = {
  name: ["remote_name", "contact.name", "name"],
  number: ["remote_number", "external_number", "data.raw_digits", "number"],
  agent: ["user_email", "local_name", "target.name", "data.user.name", "assignee"],
  direction: ["direction", "data.direction", "Direction"],
  result: ["call_result", "CallStatus"],
  seconds: ["duration_sec", "data.duration", "CallDuration"],
  sentiment: ["analysis.sentiment"],
  from: ["From", "from", "data.from"],
  to: ["To", "to", "data.to"],
};

export function inWay(direction) {
  const text = String(direction ?? "").toLowerCase();
  if (/^in/.test(text)) return "in";
  return /^out/.test(text) ? "out" : null;
}

// {name, number, agent, direction, ...}, and rest: the values of the fields that are none of these.
export function facts(show = {}) {
  const found = {};
  const used = new Set();
  for (const [what, paths] of Object.entries(names)) {
    const path = paths.find((p) => show[p] !== undefined && show[p] !== null && show[p] !== "");
    if (path === undefined) continue;
    found[what] = show[path];
    for (const p of paths) used.add(p);
  }
  const first = show["data.contact.first_name"];
  const last = show["data.contact.last_name"];
  if (found.name === undefined && (first || last)) found.name = [first, last].filter(Boolean).join(" ");
  const way = inWay(found.direction);
  if (found.number === undefined && way) found.number = way === "in" ? found.from : found.to;
  found.isCall = Boolean(way) || found.number !== undefined;
  if (!found.isCall) used.clear();
  const [title] = Object.entries(show);
  found.title = found.isCall ? found.name ?? found.number : title?.[1];
  found.rest = Object.entries(show)
    .filter(([path]) => !used.has(path) && !path.startsWith("data.contact.") && (found.isCall || path !== title?.[0]))
    .map(([, value]) => value);
  return found;
}

const phaseWords = new Map([["call_start", "started"], ["call_stop", "ended"], ["call_postprocess", "analysed"]]);
export const phaseOf = (type) => phaseWords.get(type) ?? type;

const STALE_MS = 4 * 3600 * 1000; // a call whose end never came

// Does it go on? Of a call whose newest event is its beginning.
export function goesOn(row, now) {
  const types = row.events.map((e) => e.type);
  const last = types[types.length - 1] ?? "";
  return /(^|[._])(start(ed)?|ringing|answered|hold|calling|connected)$/.test(last) && now - new Date(row.last_at).getTime() < STALE_MS
    && !types.some((t) => /stop|end|hangup|postprocess|completed/.test(t));
}

// What came of one key, in order: dots with a word.
export function Steps({ events, on }) {
  const types = [...new Set(events.map((e) => e.type))];
  const phone = types.some((t) => phaseWords.has(t));
  const all = phone ? [...phaseWords.keys(), ...types.filter((t) => !phaseWords.has(t))] : types;
  const furthest = [...phaseWords.keys()].findLast((t) => types.includes(t)) ?? types[types.length - 1] ?? "";
  const last = on ? "on the line" : phaseOf(furthest);
  const said = types.map(phaseOf).join(", ");
  return (
    <span class="steps">
      <span class="sr">Came so far: {said}</span>
      <span class="step-dots" aria-hidden="true">
        {all.slice(0, 6).map((t) => <i key={t} class={types.includes(t) ? (on ? "on" : "is") : ""} />)}
      </span>
      <Sent class="cut step-word" aria-hidden="true">{last}</Sent>
    </span>
  );
}

const feelings = [[/^neg|slecht|boos/i, "bad"], [/^pos|goed|blij/i, "good"]];

export function Sentiment({ value }) {
  if (value === undefined || value === null || value === "") return null;
  const tone = feelings.find(([pattern]) => pattern.test(value))?.[1] ?? "mute";
  return <span class={`badge mood ${tone}`}><span class="sr">Sentiment: </span><Sent>{value}</Sent></span>;
}

export function durationText(seconds) {
  const s = Math.round(Number(seconds));
  if (!Number.isFinite(s) || s < 0) return "";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export function Since({ at }) {
  const now = useNow();
  return <>{durationText(Math.max(0, (now - new Date(at).getTime()) / 1000))}</>;
}

export const isMissed = (result) => /miss|no.?answer|busy|fail|voicemail|reject|abandon|cancel/i.test(String(result ?? ""));

// What the rules have done with it, in a word.
export function RulesState({ state }) {
  if (state === "dead") return <Badge state="dead">Rule failed</Badge>;
  if (state === "stored") return <Badge state="stored">Waiting</Badge>;
  return <span class="rules-done"><Icon name="check" size={16} />Done</span>;
}
