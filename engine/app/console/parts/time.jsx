import { useNow } from "../hooks.js";

const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const sameDay = (a, b) => a.toDateString() === b.toDateString();

// "14:05" today, "Tue 3 Jun, 14:05" on another day.
export function timeText(at, now = Date.now()) {
  const t = new Date(at);
  return sameDay(t, new Date(now)) ? clock.format(t) : `${day.format(t)}, ${clock.format(t)}`;
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
  return <time dateTime={at} title={exact.format(new Date(at))}>{ago ? agoText(at, now) : timeText(at, now)}</time>;
}
