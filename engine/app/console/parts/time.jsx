import { useNow } from "../hooks.js";

// Made when they are first needed: each takes some milliseconds.
const formats = new Map();
function format(name, t) {
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat(undefined, kinds[name]));
  return formats.get(name).format(t);
}
const kinds = {
  day: { weekday: "short", day: "numeric", month: "short" },
  exact: { dateStyle: "full", timeStyle: "medium" },
};
const clock = (t) => `${String(t.getHours()).padStart(2, "0")}:${String(t.getMinutes()).padStart(2, "0")}`;

const sameDay = (a, b) => a.toDateString() === b.toDateString();

// "14:05" today, "Tue 3 Jun, 14:05" on another day.
export function timeText(at, now = Date.now()) {
  const t = new Date(at);
  return sameDay(t, new Date(now)) ? clock(t) : `${format("day", t)}, ${clock(t)}`;
}

export function agoText(at, now = Date.now()) {
  const s = Math.round((now - new Date(at).getTime()) / 1000);
  const far = Math.abs(s);
  const [n, unit] = far < 60 ? [far, "s"] : far < 3600 ? [Math.round(far / 60), "min"]
    : far < 86400 ? [Math.round(far / 3600), "h"] : [Math.round(far / 86400), "d"];
  if (far < 5) return "now";
  return s < 0 ? `in ${n} ${unit}` : `${n} ${unit} ago`;
}

// When something was; `ago` for how long that is.
export function Time({ at, ago = false }) {
  const now = useNow();
  if (!at) return <span class="mute">–</span>;
  const whole = (e) => (e.currentTarget.title = format("exact", new Date(at)));
  return <time dateTime={at} onPointerEnter={whole}>{ago ? agoText(at, now) : timeText(at, now)}</time>;
}

// How long something took.
const round = (n) => (n < 10 ? n.toFixed(1) : Math.round(n));

export function microseconds(us) {
  if (us === undefined || us === null) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${round(us / 1000)} ms`;
  return `${round(us / 1e6)} s`;
}
