// What happens in the engine, as it happens: one stream of server-sent events a visible page. It
// says only what sort of thing has changed; who shows such things asks for them again.
import { forgetEarly } from "./api.js";

const listeners = new Map(); // function -> set of topics
const watchers = new Set(); // of the connection's state and the status figures
let source = null;
let current = { connected: null, status: null, hello: null };

function tell(change) {
  current = { ...current, ...change };
  for (const watcher of watchers) watcher(current);
}

function onChange(topics) {
  for (const [listener, wanted] of listeners) if (topics.some((topic) => wanted.has(topic))) listener();
}

const everything = ["events", "runs", "callbacks", "outbox", "records", "timers", "rules", "generations"];

function open() {
  if (source) return;
  source = new EventSource("/api/v1/live");
  source.addEventListener("hello", (e) => {
    forgetEarly();
    tell({ connected: true, hello: JSON.parse(e.data) });
    onChange(everything); // what was missed meanwhile; of a page that was opened in the background, for long
  });
  source.addEventListener("change", (e) => onChange(JSON.parse(e.data).topics));
  source.addEventListener("status", (e) => tell({ status: JSON.parse(e.data) }));
  source.onerror = () => {
    if (current.connected !== false) tell({ connected: false });
    // refused (401, 503) rather than cut: the browser does not try again by itself. Till then pages ask,
    // and learn whether the session has ended.
    if (source.readyState === EventSource.CLOSED) {
      close();
      onChange(everything);
      retry = setTimeout(start, 5000);
    }
  };
}

let retry = 0;
let wanted = false;

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

// A browser has six connections for an origin: a page that nobody looks at holds none.
function start() {
  if (wanted && document.visibilityState === "visible") open();
  else close();
}

document.addEventListener("visibilitychange", start);

export function connect() {
  wanted = true;
  start();
}

export function disconnect() {
  wanted = false;
  close();
  current = { connected: null, status: null, hello: null };
}

// Call fn when something of these topics changes; returns the way to stop it.
export function onTopics(topics, fn) {
  listeners.set(fn, new Set(topics));
  return () => listeners.delete(fn);
}

export function watch(fn) {
  watchers.add(fn);
  fn(current);
  return () => watchers.delete(fn);
}
