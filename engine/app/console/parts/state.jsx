import { Icon } from "./icon.jsx";

// Nothing there: says why, and what to do next.
export function Empty({ title, children, icon = "check" }) {
  return (
    <div class={`empty ${icon}`} data-testid="empty">
      <Icon name={icon} size={32} />
      <h2>{title}</h2>
      <div>{children}</div>
    </div>
  );
}

// It cannot be shown: what the engine said, and a way to try again.
export function Failure({ error, retry }) {
  return (
    <div class="failure" role="alert" data-testid="error">
      <Icon name="alert" />
      <p>{error.message}</p>
      {retry && <button type="button" onClick={retry} data-testid="retry">Try again</button>}
    </div>
  );
}

// Why there are no buttons, to a viewer.
export function LooksOn({ session, to }) {
  if (session.role !== "viewer") return null;
  return <p class="mute looks-on" data-testid="looks-on">A viewer looks on, with numbers masked; to {to} takes the role operator.</p>;
}

// What went wrong with a query. While the engine does not answer, what was there before stays, and the
// frame says that it is old.
export function Trouble({ query }) {
  if (!query.error || (query.data && query.error.status === 0)) return null;
  return <Failure error={query.error} retry={query.reload} />;
}

// As tall as what comes, so that nothing jumps when it is there.
export function Loading({ rows = 6 }) {
  return (
    <div class="loading" aria-busy="true">
      <span class="sr">Loading</span>
      {Array.from({ length: rows }, (_, i) => <div class="bone" key={i} />)}
    </div>
  );
}

const tones = {
  done: "good", sent: "good", on: "good", stored: "busy", queued: "busy", retry: "warn", scheduled: "busy", snoozed: "busy",
  due: "warn", missed: "bad", dead: "bad", failed: "bad", paused: "warn", resuming: "warn", dropped: "mute", cancelled: "mute",
};

// A state in a word, with a colour that says the same.
export function Badge({ state, children }) {
  return <span class={`badge ${tones[state] ?? "mute"}`}>{children ?? state}</span>;
}
