// Times of the engine's zone, which need not be the browser's.

const formats = new Map();
function format(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(key);
}

const two = (n) => String(n).padStart(2, "0");

// {year, month, day, hour, minute} of a moment there.
export function parts(zone, at = Date.now()) {
  const all = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" };
  const found = {};
  for (const { type, value } of format(zone, all).formatToParts(new Date(at))) found[type] = Number(value);
  return found;
}

// "2026-06-12" so many days after a moment's day there.
export function dayText(zone, at, days = 0) {
  const p = parts(zone, at);
  return new Date(Date.UTC(p.year, p.month - 1, p.day + days)).toISOString().slice(0, 10);
}

// "2026-06-12T14:05", as a field of a form has it.
export function localText(zone, at) {
  const p = parts(zone, at);
  return `${dayText(zone, at)}T${two(p.hour)}:${two(p.minute)}`;
}

// Is it another time there than by the browser's own clock?
export const isElsewhere = (zone, at = Date.now()) => localText(zone, at) !== localText(undefined, at);

// The moment at which a day begins there, in milliseconds (to the minute: zones are no finer).
export function dayStart(zone, at, days = 0) {
  const midnight = Date.parse(`${dayText(zone, at, days)}T00:00Z`);
  const offset = (t) => Date.parse(`${localText(zone, t)}Z`) - Math.floor(t / 60000) * 60000;
  const guess = midnight - offset(midnight);
  return midnight - offset(guess);
}

export const clockText = (zone, at) => format(zone, { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
export const dateText = (zone, at) => format(zone, { weekday: "short", day: "numeric", month: "short" }).format(new Date(at));

// "14:05" if that is today there, else "Tue 3 Jun, 14:05".
export function whenText(zone, at, now = Date.now()) {
  return dayText(zone, at) === dayText(zone, now) ? clockText(zone, at) : `${dateText(zone, at)}, ${clockText(zone, at)}`;
}
