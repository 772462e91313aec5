import { useEffect, useState } from "preact/hooks";

const STAY_MS = 6000;
let list = [];
let number = 0;
const watchers = new Set();

function change(next) {
  list = next;
  for (const set of watchers) set(list);
}

// Say in a corner what was done, or why it was not; screen readers say it too.
export function toast(text, { bad = false } = {}) {
  const one = { n: ++number, text, bad };
  change([...list.slice(-2), one]);
  setTimeout(() => change(list.filter((t) => t !== one)), STAY_MS);
}

export function Toasts() {
  const [toasts, set] = useState(list);
  useEffect(() => {
    watchers.add(set);
    return () => watchers.delete(set);
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.map((t) => <div class={`toast ${t.bad ? "bad" : ""}`} key={t.n} data-testid="toast">{t.text}</div>)}
    </div>
  );
}
