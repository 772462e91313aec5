import { useEffect, useRef, useState } from "preact/hooks";
import { useLive, useQuery } from "../hooks.js";
import { applyTheme, isDark } from "../theme.js";
import { Icon, Logo } from "./icon.jsx";
import { Link } from "./link.jsx";
import { Sent } from "./text.jsx";
import { setPage, setWaiting } from "./title.js";

// [path, words, icon, where: on a phone it is behind "More" if "desk"]
export const places = [
  ["/", "Calls", "phone", ""],
  ["/callbacks", "Callbacks", "callback", ""],
  ["/dead", "Dead letters", "dead", ""],
  ["/rules", "Rules", "rules", ""],
  ["/events", "Events", "activity", "desk"],
  ["/deliveries", "Deliveries", "send", "desk"],
  ["/playground", "Playground", "flask", "desk"],
  ["/graphs", "Graphs", "chart", "desk"],
];

const isHere = (path, to) => path === to || (to !== "/" && path.startsWith(`${to}/`));

function Place({ to, words, icon, where, path, count, what }) {
  const [word, ...rest] = words.split(" ");
  return (
    <li class={where}>
      <Link to={to} aria-current={isHere(path, to) ? "page" : undefined} data-testid={`nav-${to.slice(1) || "calls"}`}>
        <Icon name={icon} />
        <span>{word}{rest.length > 0 && <span class="rest"> {rest.join(" ")}</span>}</span>
        {count > 0 && <span class="count">{count > 99 ? "99+" : count}<span class="sr"> {what}</span></span>}
      </Link>
    </li>
  );
}

export function ThemeButton() {
  const [dark, set] = useState(isDark());
  useEffect(() => { // the system's own may turn, at sunset
    const system = matchMedia("(prefers-color-scheme: dark)");
    const look = () => set(isDark());
    system.addEventListener("change", look);
    return () => system.removeEventListener("change", look);
  }, []);
  const turn = () => {
    applyTheme(dark ? "light" : "dark");
    set(!dark);
  };
  return (
    <button type="button" class="plain" onClick={turn} aria-label={dark ? "Light colours" : "Dark colours"}>
      <Icon name={dark ? "sun" : "moon"} size={18} />{dark ? "Light" : "Dark"}
    </button>
  );
}

const links = { true: ["live", "Live", "good"], false: ["lost", "Connection lost", "bad"], null: ["connecting", "Connecting", ""] };

export function LinkState({ connected, ...rest }) {
  const [state, words, tone] = links[connected];
  return (
    <span class="link-state" data-state={state} {...rest}>
      <span class={`dot ${tone}`} />{words}
    </span>
  );
}

const narrow = matchMedia("(max-width: 760px)"); // as console.css has it
export const isNarrow = () => narrow.matches;

export function useNarrow() {
  const [is, set] = useState(narrow.matches);
  useEffect(() => {
    const turn = () => set(narrow.matches);
    narrow.addEventListener("change", turn);
    return () => narrow.removeEventListener("change", turn);
  }, []);
  return is;
}

export const whoText = (session) => (session.open ? "No log-in needed yet" : `${session.who} (${session.role})`);

// A column of places (a bar below, on a phone) around the page.
export function Frame({ session, path, onOut, onLost, mainRef, children }) {
  const { connected } = useLive();
  const phone = useNarrow();
  const attention = useQuery("/attention", {}, ["runs", "outbox", "callbacks", "rules", "generations"], 2000);
  const now = attention.data ?? {};
  const dead = (now.dead?.runs ?? 0) + (now.dead?.outbox ?? 0);
  const paused = (now.paused_rules?.length ?? 0) + (now.reload_failed ? 1 : 0);
  const counts = {
    "/dead": [dead, "dead"],
    "/callbacks": [now.overdue_callbacks ?? 0, "overdue"],
    "/rules": [paused, now.reload_failed ? "that need a look" : "paused"],
  };
  useEffect(() => setWaiting(dead + paused + (now.overdue_callbacks ?? 0)), [attention.data]);
  useEffect(() => {
    if (attention.error?.status === 401) onLost(); // the session has ended
  }, [attention.error]);
  useEffect(() => () => setWaiting(0), []);
  // on another page the reader, and who hears it read, begin at its title; but where they were if they come back
  const first = useRef(true);
  useEffect(() => {
    const there = mainRef.current?.contains(document.activeElement) && document.activeElement !== mainRef.current;
    if (!first.current && !there) mainRef.current?.querySelector("h1")?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  const isMore = places.some(([to, , , where]) => where && isHere(path, to)) || path === "/more";
  return (
    <div class="frame">
      <a class="skip" href="#main" data-testid="skip-link">Skip to the page</a>
      <nav class="side" aria-label="Places">
        <Link to="/" class="brand"><Logo />switchhook</Link>
        <ul class="places">
          {places.map(([to, words, icon, where]) => (
            <Place key={to} to={to} words={words} icon={icon} where={where} path={path} count={counts[to]?.[0]} what={counts[to]?.[1]} />
          ))}
          <li class="more-places">
            <Link to="/more" aria-current={isMore ? "page" : undefined} data-testid="menu"><Icon name="more" /><span>More</span></Link>
          </li>
        </ul>
        <div class="side-end" role="status"><LinkState connected={connected} data-testid="connection" /></div>
        {!phone && <div class="side-who">
          <span class="cut mute" data-testid="who" title={whoText(session)}>{whoText(session)}</span>
          <span class="line">
            <ThemeButton />
            {!session.open && <button type="button" class="plain" onClick={onOut} data-testid="logout"><Icon name="logout" size={18} />Log out</button>}
          </span>
        </div>}
      </nav>
      <main id="main" ref={mainRef} tabIndex={-1}>
        {connected === false && (
          <div class="notice bad over" role="status" data-testid="lost"><Icon name="alert" />Connection lost, trying again. What you see may be old.</div>
        )}
        {now.refusing && (
          <div class="notice bad" role="status"><Icon name="alert" /><span>The engine refuses events: {typeof now.refusing === "string" ? now.refusing : now.refusing.reason ?? now.refusing.message ?? "see its log"}</span></div>
        )}
        {children}
      </main>
    </div>
  );
}

// A page's title, and what can be done on it. isolate: the title is, in part, a text of somebody else's.
export function Head({ title, children, isolate = false }) {
  useEffect(() => setPage(title), [title]);
  return (
    <div class="head">
      <h1 tabIndex={-1} data-testid="page-title" class={isolate ? "clamp" : undefined}>{isolate ? <Sent>{title}</Sent> : title}</h1>
      {children && <div class="tools">{children}</div>}
    </div>
  );
}
