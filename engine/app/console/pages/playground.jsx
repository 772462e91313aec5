import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api.js";
import { setParams, useQuery } from "../hooks.js";
import { many } from "../parts/act.js";
import { Editor } from "../parts/editor.jsx";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { pretty } from "../parts/json.jsx";
import { Empty, Failure } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import { Trace } from "../parts/trace.jsx";
import { World } from "../parts/world.jsx";
import "./playground.css";
import { samples } from "./samples.js";

const advances = [["", "Nothing more"], ["15m", "15 minutes pass"], ["1h", "1 hour passes"], ["2h", "2 hours pass"], ["1d", "1 day passes"], ["3d", "3 days pass"]];

// The newest event of each type, to begin with.
function useRecent(may) {
  const events = useQuery(may ? "/events" : null, { limit: 200 });
  return useMemo(() => {
    const types = new Map();
    for (const event of events.data?.items ?? []) {
      const name = `${event.source} ${event.type}`;
      if (!types.has(name) && ["rules", "clock", "engine"].indexOf(event.source) < 0) types.set(name, event);
    }
    return [...types.values()];
  }, [events.data]);
}

// What a sender would be told, too; everything else is about the question.
const refusals = /^(invalid_(json|form|jwt|envelope)|too_large|not_found)$/;

const lacks = /^header ([\w-]+) \(the event's (type|key)\)/;

// "X-GitHub-Event: push" a line -> {"X-GitHub-Event": "push"}
function readHeaders(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

// "2026-06-12 18:00" here, "2026-06-12", or a whole RFC 3339 time -> the latter; "": now; null: none of these.
function readTime(text) {
  const at = text.trim().replace(/^(\d{4}-\d{2}-\d{2})$/, "$1T00:00").replace(/^(\d{4}-\d{2}-\d{2}) /, "$1T");
  if (!at) return "";
  return /^\d{4}-/.test(at) && !Number.isNaN(Date.parse(at)) ? new Date(at).toISOString() : null;
}

const steps = (entry) => (entry.runs ?? []).filter((run) => run.outcome !== "skipped_on" && run.outcome !== "skipped_when");
// A run that is tried again and fails as before is one line, with the number of its attempts.
function joined(entries) {
  const all = entries.map((entry) => ({ ...entry, runs: entry.runs?.map((run) => ({ ...run })) }));
  const before = new Map(); // event and rule -> its run that failed
  return all.filter((entry) => {
    const left = (entry.runs ?? []).filter((run) => {
      const name = `${entry.event?.id} ${run.rule}`;
      const old = before.get(name);
      if (old && run.error === old.error) {
        Object.assign(old, { attempt: run.attempt, outcome: run.outcome, retry_at: run.retry_at });
        return false;
      }
      if (run.error) before.set(name, run);
      return true;
    });
    const gone = entry.runs?.length > 0 && left.length === 0;
    entry.runs = left;
    return !gone;
  });
}

const rest = (entry) => (entry.runs ?? []).filter((run) => run.outcome === "skipped_on" || run.outcome === "skipped_when");

function Refused({ refused, onPlace }) {
  return (
    <div class="problem" role="alert">
      <p class="strong">The engine would refuse this</p>
      <p><Sent>{refused.message}</Sent></p>
      {refused.line && <p><button type="button" class="small" onClick={onPlace}>Go to line {refused.line}{refused.column ? `, column ${refused.column}` : ""}</button></p>}
    </div>
  );
}

function Entry({ entry, n, onPlace }) {
  if (entry.refused) return <Refused refused={entry.refused} onPlace={onPlace} />;
  const { event } = entry;
  const ran = steps(entry);
  const first = n === 0;
  return (
    <section class="panel entry">
      <h2>{first ? "" : event?.source === "clock" ? "By the clock: " : "Then: "}<Sent>{event?.type}</Sent> <span class="entry-at">{event?.at && <Time at={event.at} />}</span></h2>
      {entry.duplicate && <p class="mute">It was seen before: nothing is done a second time.</p>}
      {!entry.duplicate && ran.length === 0 && <p class="mute nothing">No rule does anything with it.</p>}
      <Trace steps={ran} not={first ? rest(entry) : rest(entry).filter((r) => r.outcome === "skipped_when")} links={{ key: event?.key }} />
    </section>
  );
}

function Result({ answer, onPlace, box }) {
  const entries = useMemo(() => joined(answer.entries ?? []), [answer]);
  return (
    <div class="stack" ref={box} tabIndex={-1} role="region" aria-label="What it would do" data-testid="playground-result">
      <p class="mute said" role="status">{summary(entries)} Nothing was stored, nothing sent.</p>
      {entries.map((entry, i) => <Entry key={i} entry={entry} n={i} onPlace={() => onPlace(entry.refused)} />)}
      {answer.world && !entries[0]?.refused && <World world={answer.world} />}
    </div>
  );
}

function summary(entries) {
  const runs = entries.flatMap(steps);
  const failed = runs.filter((run) => run.error).length;
  const effects = runs.reduce((n, run) => n + (run.effects?.length ?? 0), 0);
  if (entries[0]?.refused) return "Refused.";
  return `${many(runs.length, "rule")} would run${failed ? `, ${failed} would fail` : ""}, asking for ${many(effects, "thing")}.`;
}

export function Playground({ params, session }) {
  const may = api.may(session, "operator");
  const recent = useRecent(may);
  const given = params.get("event");
  const [text, setText] = useState("");
  const [source, setSource] = useState("");
  const [from, setFrom] = useState(given ?? "");
  const [advance, setAdvance] = useState("");
  const [at, setAt] = useState("");
  const [headers, setHeaders] = useState("");
  const [path, setPath] = useState("");
  const [state, set] = useState({ busy: false, answer: null, error: null });
  const [mark, setMark] = useState(null);
  const event = useRef(null); // that it began from
  const begun = useRef(0); // how often: an answer to what was asked before is none
  const editor = useRef(null);
  const result = useRef(null);

  const begin = async (id) => {
    const turn = ++begun.current;
    setFrom(id);
    setMark(null);
    setHeaders("");
    event.current = null;
    const sample = Object.hasOwn(samples, id) ? samples[id] : null;
    setParams({ event: sample ? "" : id });
    if (sample) {
      setText(pretty(sample));
      return;
    }
    try {
      const one = await api.get(`/events/${api.segment(id)}`);
      if (turn !== begun.current) return;
      event.current = one;
      setText(pretty(one.body));
      setSource(["rules", "clock", "engine"].includes(one.source) ? "" : one.source);
      set((old) => ({ ...old, error: null }));
    } catch (error) {
      if (turn === begun.current) set({ busy: false, answer: null, error });
    }
  };
  const write = (typed) => {
    begun.current++; // what is typed is not written over
    setText(typed);
  };
  useEffect(() => {
    if (may) begin(given ?? Object.keys(samples)[0]);
  }, []);

  const when = readTime(at);
  const ready = !state.busy && text.trim() !== "" && when !== null;
  const place = ({ line, column }) => {
    setMark(line);
    editor.current?.goTo(line, column ?? 1);
  };
  const run = async (sent = headers) => {
    if (!ready) return;
    set((old) => ({ ...old, busy: true, error: null }));
    setMark(null);
    const asked = { body: text };
    if (source) asked.source = source;
    if (advance) asked.advance = advance;
    if (when) asked.now = when;
    if (sent.trim()) asked.headers = readHeaders(sent);
    if (path.trim()) asked.path = path.trim();
    try {
      const answer = await api.post("/try", asked);
      set({ busy: false, answer, error: null });
      requestAnimationFrame(() => {
        if (matchMedia("(max-width: 1100px)").matches) result.current?.scrollIntoView({ block: "start" });
      });
    } catch (error) {
      const refused = error.status === 400 && refusals.test(error.code) ? { message: error.message, ...error.detail } : null;
      const missing = refused && event.current && lacks.exec(refused.message);
      if (missing && !readHeaders(sent)[missing[1]]) {
        const more = `${sent.trim() ? `${sent.trim()}\n` : ""}${missing[1]}: ${event.current[missing[2]]}`; // as it was when it came
        setHeaders(more);
        return run(more);
      }
      if (refused?.line) setMark(refused.line);
      set(refused ? { busy: false, answer: { entries: [{ refused }] }, error: null } : { busy: false, answer: null, error });
    }
  };
  const onKeyDown = (e) => {
    if (e.key !== "Enter" || !(e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    run();
  };
  if (!may)
    return (
      <>
        <Head title="Playground" />
        <Empty title="For operators" icon="flask">
          <p>Here one tries what the rules would do with an event. That runs rules and shows telephone numbers, so it takes the role operator; {session.who} is a {session.role}.</p>
          <p>Who has access to the engine makes a token: <code>switchhook token new NAME --role operator</code></p>
        </Empty>
      </>
    );
  const sources = [...new Set(recent.map((event) => event.source))];
  return (
    <>
      <Head title="Playground" />
      <p class="sentence">Try what the live rules would do with an event. Nothing is stored and nothing is sent.</p>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a key for all that is in it */}
      <div class="try" onKeyDown={onKeyDown}>
        <section class="panel stack try-in" aria-label="The event">
          <label class="try-from">Start from
            <select value={from} onChange={(e) => begin(e.target.value)} data-testid="playground-from">
              <optgroup label="Examples">{Object.keys(samples).map((name) => <option key={name}>{name}</option>)}</optgroup>
              {given && !Object.hasOwn(samples, from) && !recent.some((event) => event.id === from) && <option value={from}>The event {from.slice(0, 13)}…</option>}
              {recent.length > 0 && <optgroup label="The newest of each type">{recent.map((event) => <option key={event.id} value={event.id}>{event.type} ({event.source})</option>)}</optgroup>}
            </select>
          </label>
          <Editor value={text} onInput={write} mark={mark} api={editor} label="The event, as JSON" />
          <div class="try-options">
            {sources.length > 1 && (
              <label>Sent to
                <select value={source} onChange={(e) => setSource(e.target.value)}>
                  <option value="">The usual one</option>
                  {sources.map((name) => <option key={name}>{name}</option>)}
                </select>
              </label>
            )}
            <label>At <input value={at} onInput={(e) => setAt(e.target.value)} placeholder="now" aria-invalid={when === null ? "true" : undefined} aria-describedby="at-hint" inputMode="text" autocomplete="off" />
              <span id="at-hint" class={when === null ? "hint wrong" : "hint"}>{when === null ? "as 2026-06-12 18:00" : when ? new Date(when).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "or 2026-06-12 18:00"}</span></label>
            <label>Then
              <select value={advance} onChange={(e) => setAdvance(e.target.value)} data-testid="playground-advance">{advances.map(([v, words]) => <option key={v} value={v}>{words}</option>)}</select>
            </label>
          </div>
          <details class="try-request">
            <summary>Path and headers of the request</summary>
            <p class="mute">Where the source looks there for the type or key of an event.</p>
            <label>Path <input value={path} onInput={(e) => setPath(e.target.value)} placeholder="/hooks/github" spellcheck={false} autocapitalize="off" /></label>
            <label>Headers, one a line <textarea rows={2} value={headers} onInput={(e) => setHeaders(e.target.value)} placeholder="X-GitHub-Event: push" spellcheck={false} autocapitalize="off" /></label>
          </details>
          <button type="button" class="main try-run" disabled={!ready} onClick={() => run()} data-testid="playground-run">
            <Icon name="play" size={18} />{state.busy ? "Running…" : "Run"}<span class="key" aria-hidden="true">Ctrl Enter</span>
          </button>
        </section>
        <div class="try-out" aria-busy={state.busy}>
          {state.error && <Failure error={state.error} />}
          {state.answer && <Result answer={state.answer} onPlace={place} box={result} />}
          {!state.answer && !state.error && (
            <Empty title="Not run yet" icon="flask"><p>What each rule would do is shown here, and the records, callbacks and emails that would be there afterwards.</p></Empty>
          )}
        </div>
      </div>
    </>
  );
}
