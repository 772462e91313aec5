import { useEffect, useState } from "preact/hooks";
import { useLive, useQuery } from "../hooks.js";
import { applyTheme, isDark } from "../theme.js";
import { Icon } from "./icon.jsx";
import { Link } from "./link.jsx";

// [path, words, icon, where: on a phone it is behind "More" if "desk"]
export const places = [
  ["/", "Calls", "phone", ""],
  ["/callbacks", "Callbacks", "callback", ""],
  ["/dead", "Dead letters", "dead", ""],
  ["/rules", "Rules", "rules", ""],
  ["/deliveries", "Deliveries", "send", "desk"],
  ["/playground", "Playground", "flask", "desk"],
  ["/graphs", "Graphs", "chart", "desk"],
];

const isHere = (path, to) => (to === "/" ? path === "/" || path.startsWith("/events") : path === to || path.startsWith(`${to}/`));

function Place({ to, words, icon, where, path, count, what }) {
  return (
    <li class={where}>
      <Link to={to} aria-current={isHere(path, to) ? "page" : undefined} data-testid={`place-${icon}`}>
        <Icon name={icon} />
        <span>{words}</span>
        {count > 0 && <span class="count">{count > 99 ? "99+" : count}<span class="sr"> {what}</span></span>}
      </Link>
    </li>
  );
}

export function ThemeButton() {
  const [dark, set] = useState(isDark());
  const turn = () => {
    applyTheme(dark ? "light" : "dark");
    set(!dark);
  };
  return (
    <button type="button" class="plain" onClick={turn}>
      <Icon name={dark ? "sun" : "moon"} size={18} />{dark ? "Light" : "Dark"}
    </button>
  );
}

function LinkState({ connected }) {
  return (
    <span class="link-state" data-testid="live" data-connected={String(connected)}>
      <span class={`dot ${connected ? "good" : connected === false ? "bad" : ""}`} />
      {connected ? "Live" : connected === false ? "Connection lost" : "Connecting"}
    </span>
  );
}

// A column of places (a bar below, on a phone) around the page.
export function Frame({ session, path, onOut, onLost, mainRef, children }) {
  const { connected } = useLive();
  const attention = useQuery("/attention", {}, ["runs", "outbox", "callbacks", "rules", "generations"]);
  const dead = (attention.data?.dead?.runs ?? 0) + (attention.data?.dead?.outbox ?? 0);
  const counts = { "/dead": [dead, "dead"], "/callbacks": [attention.data?.overdue_callbacks ?? 0, "overdue"] };
  useEffect(() => {
    if (attention.error?.status === 401) onLost(); // the session has ended
  }, [attention.error]);
  return (
    <div class="frame">
      <a class="skip" href="#main">Skip to the page</a>
      <nav class="side" aria-label="Places">
        <Link to="/" class="brand"><img src="/console/icon.svg" alt="" />switchhook</Link>
        <ul class="places">
          {places.map(([to, words, icon, where]) => (
            <Place key={to} to={to} words={words} icon={icon} where={where} path={path} count={counts[to]?.[0]} what={counts[to]?.[1]} />
          ))}
          <li class="more-places">
            <Link to="/more" aria-current={path === "/more" ? "page" : undefined}><Icon name="more" /><span>More</span></Link>
          </li>
        </ul>
        <div class="side-end">
          <LinkState connected={connected} />
          <span class="cut mute" data-testid="who">{session.open ? "This machine, no token yet" : `${session.who} (${session.role})`}</span>
          <span class="line">
            <ThemeButton />
            {!session.open && <button type="button" class="plain" onClick={onOut} data-testid="log-out"><Icon name="logout" size={18} />Log out</button>}
          </span>
        </div>
      </nav>
      <main id="main" ref={mainRef} tabIndex={-1}>
        {connected === false && (
          <div class="notice bad" role="status" data-testid="lost"><Icon name="alert" />The connection to the engine is lost. What you see may be old; it is tried again.</div>
        )}
        {children}
      </main>
    </div>
  );
}

// A page's title, and what can be done on it.
export function Head({ title, children }) {
  return (
    <div class="head">
      <h1>{title}</h1>
      {children && <div class="tools">{children}</div>}
    </div>
  );
}
