import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api.js";
import { useList } from "../hooks.js";
import { act, many, single } from "../parts/act.js";
import { facts } from "../parts/call.jsx";
import { useQuestion } from "../parts/dialog.jsx";
import { useFocusNext } from "../parts/focus.js";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { More } from "../parts/rows.jsx";
import { Empty, Loading, LooksOn, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import { toast } from "../parts/toast.jsx";
import { ErrorText, shortError } from "./error.jsx";
import "./dead.css";

const AT_FIRST = 5; // letters of a rule that are shown before one asks for more
const STEP = 50;

// The API's two kinds of dead letters in one shape.
function letter({ what, run, item }) {
  if (what === "run")
    return { id: `run ${run.event_id} ${run.rule}`, kind: "run", rule: run.rule, event: run.event_id, error: run.error, at: run.started_at,
      attempts: run.attempts, text: run.type, more: run.key, path: `/events/${run.event_id}`, body: { rule: run.rule } };
  return { id: item.id, kind: item.kind, rule: item.rule ?? "", event: item.event_id, error: shortError(item.error, item.to), at: item.created_at, attempts: item.attempts,
    text: item.to, more: null, path: `/outbox/${api.segment(item.id)}` };
}

const idOf = (row) => letter(row).id;
const kindWords = { run: "Run", email: "Email", http: "HTTP call" };
const kindIcons = { run: "rules", email: "mail", http: "globe" };

// What became of a few that were brought back: asked a little later, told in a corner.
async function follow(letters) {
  for (const wait of [700, 1500, 3000, 6000]) {
    await new Promise((done) => setTimeout(done, wait));
    const now = await Promise.all(letters.map(fate)).catch(() => null);
    if (!now || now.includes("busy")) continue;
    if (now.includes("paused")) return toast("The rule is paused: what was brought back is kept until it is resumed.");
    const bad = now.filter((one) => one === "dead").length;
    if (bad === 0) toast(letters.length === 1 ? `It went well this time: ${letters[0].rule}.` : `All ${letters.length} went well this time.`);
    else toast(letters.length === 1 ? `It failed again: ${letters[0].rule}. It is back in the list.` : `${bad} of ${letters.length} failed again and are back in the list.`, { bad: true });
    return undefined;
  }
  return toast("They are being tried; what fails again comes back to this list.");
}

async function fate(one) {
  if (one.kind !== "run") {
    const { state } = await api.get(one.path);
    return state === "queued" ? "busy" : state;
  }
  const { items } = await api.get("/runs", { event: one.event, rule: one.rule, limit: 1 });
  const outcome = items[0]?.outcome;
  return ["done", "dead", "paused"].includes(outcome) ? outcome : "busy";
}

// What a call is recognised by, of events that are shown: asked for one after the other, once each.
const shows = new Map();
let asking = Promise.resolve();
api.onOther(() => shows.clear());

function useShow(event) {
  const [show, set] = useState(shows.get(event));
  useEffect(() => {
    if (!event || shows.has(event)) return undefined;
    let gone = false;
    asking = asking.then(async () => {
      if (gone && !shows.has(event)) return;
      const found = shows.has(event) ? null : await api.get(`/events/${event}`).catch(() => null);
      if (found) shows.set(event, found.show ?? null);
      if (shows.size > 500) shows.delete(shows.keys().next().value);
      if (!gone) set(shows.get(event));
    });
    return () => {
      gone = true;
    };
  }, [event]);
  const { name, number } = facts(show ?? {});
  return [name, number].filter(Boolean).join(" · ");
}

function Letter({ one, writes, chosen, choose, on }) {
  const call = useShow(one.event);
  const name = `${kindWords[one.kind]}: ${[one.text, call || one.more].filter(Boolean).join(", ")}`;
  return (
    <li class="dead-letter" data-testid="dead-row" data-id={one.id} data-kind={one.kind}>
      {writes && <input type="checkbox" checked={chosen} onChange={(e) => choose(one, e.currentTarget.checked)} aria-label={`Choose ${name}`} />}
      <span class="dead-letter-kind"><Icon name={kindIcons[one.kind]} size={18} /><span class="sr">{kindWords[one.kind]}</span></span>
      <Link class="dead-letter-what" to={one.kind === "run" ? one.path : `/deliveries?id=${api.segment(one.id)}`}>
        <span class="cut mute"><Sent>{one.text}</Sent></span>
        <span class="cut dead-letter-call">{call ? <Sent>{call}</Sent> : <Sent class="mute">{one.more}</Sent>}</span>
      </Link>
      <span class="dead-letter-at mute"><Time at={one.at} ago /><span class="dead-letter-tries">, {many(one.attempts, "attempt")}</span></span>
      {writes && (
        <span class="dead-letter-do">
          <button type="button" onClick={single(() => on.redrive([one]))} data-testid="redrive" aria-label={`Redrive ${name}`}>Redrive</button>
          <button type="button" class="plain danger" onClick={() => on.drop([one])} data-testid="drop" aria-label={`Drop ${name}`}>Drop</button>
        </span>
      )}
    </li>
  );
}

// All of a rule: what went wrong is said once, with the line of it.
function Group({ group, writes, chosen, choose, on }) {
  const [n, setN] = useState(AT_FIRST);
  const title = useId();
  const { rule, letters } = group;
  const errors = [...new Set(letters.map((one) => one.error))];
  const shown = letters.slice(0, n);
  const all = letters.every((one) => chosen.has(one.id));
  return (
    <section class="panel dead-group" aria-labelledby={title}>
      <div class="dead-head">
        <div class="grow">
          <h2 id={title}>{rule ? <Link to={`/rules/${api.segment(rule)}`}><Sent>{rule}</Sent></Link> : "No rule"} <span class="mute">{letters.length}{group.open ? "+" : ""}</span></h2>
          {errors.slice(0, 2).map((error) => <ErrorText key={error} text={error} rule={rule} />)}
          {errors.length > 2 && <p class="mute">and {many(errors.length - 2, "other error")}</p>}
        </div>
        {writes && rule && (
          <div class="dead-all">
            <button type="button" class="main" onClick={() => on.rule("redrive", group)} data-testid="redrive-rule" aria-label={`Redrive all of ${rule}`}><Icon name="again" size={18} />Redrive all</button>
            <button type="button" class="plain danger" onClick={() => on.rule("drop", group)} data-testid="drop-rule" aria-label={`Drop all of ${rule}`}>Drop all</button>
          </div>
        )}
      </div>
      {writes && letters.length > 1 && (
        <label class="dead-letter choose-all"><input type="checkbox" checked={all} onChange={() => choose(letters, !all)} />Choose {group.open ? `these ${letters.length}` : `all ${letters.length}`}</label>
      )}
      <ul class="letters" aria-label={`Dead letters of ${rule || "no rule"}`}>
        {shown.map((one) => <Letter key={one.id} one={one} writes={writes} chosen={chosen.has(one.id)} choose={choose} on={on} />)}
      </ul>
      {letters.length > n && <button type="button" class="plain more-letters" onClick={() => setN(n + STEP)}>Show {Math.min(STEP, letters.length - n)} more</button>}
    </section>
  );
}

function groupsOf(letters, open) {
  const groups = new Map();
  for (const one of letters) {
    if (!groups.has(one.rule)) groups.set(one.rule, { rule: one.rule, letters: [], open });
    groups.get(one.rule).letters.push(one);
  }
  return [...groups.values()];
}

// The list while somebody reads in it (scrolled, or with the focus in it): what is there stays in its place,
// what is gone goes, and new ones wait until they are asked for. Returns [rows, how many wait, let them in].
function useSteady(list, top) {
  const kept = useRef([]);
  const [turn, setTurn] = useState(0);
  return useMemo(() => {
    const reads = window.scrollY > 0 || top.current?.contains(document.activeElement);
    const now = new Map(list.rows.map((row) => [idOf(row), row]));
    const stay = kept.current.map(idOf).filter((id) => now.has(id));
    if (!reads || stay.length === 0) {
      kept.current = list.rows;
      return [list.rows, 0, () => {}];
    }
    const last = list.rows.findIndex((row) => idOf(row) === stay[stay.length - 1]);
    kept.current = [...stay.map((id) => now.get(id)), ...list.rows.slice(last + 1)];
    const take = () => {
      kept.current = [];
      window.scrollTo(0, 0);
      setTurn(turn + 1);
    };
    return [kept.current, list.rows.length - kept.current.length, take];
  }, [list.data, list.rows.length, turn]);
}

const verbs = { redrive: ["Redrive", "tried again", "Brought back"], drop: ["Drop", "dropped: done with, for good", "Dropped"] };
const counts = ({ runs, items }) => [runs > 0 && many(runs, "run"), items > 0 && many(items, "delivery", "deliveries")].filter(Boolean).join(" and ");

export function Dead({ session }) {
  const writes = api.may(session, "operator");
  const list = useList("/dead", { limit: 200 }, ["runs", "outbox"], { id: idOf });
  const top = useRef(null);
  const [rows, waiting, take] = useSteady(list, top);
  const letters = useMemo(() => rows.map(letter), [rows]);
  const [chosen, setChosen] = useState(() => new Set());
  const [question, ask] = useQuestion();
  const [busy, setBusy] = useState(false);
  useEffect(() => { // those that are gone are chosen no more
    const there = new Set(letters.map((one) => one.id));
    setChosen((old) => ([...old].every((id) => there.has(id)) ? old : new Set([...old].filter((id) => there.has(id)))));
  }, [letters]);

  const choose = (which, yes) => setChosen((old) => {
    const next = new Set(old);
    for (const one of [which].flat()) yes ? next.add(one.id) : next.delete(one.id);
    return next;
  });

  // a few, one by one: each has its own answer
  const each = async (verb, which) => {
    if (verb === "drop" || which.length > 1) {
      const yes = await ask({ title: `${verbs[verb][0]} ${which.length === 1 ? "this one" : `these ${which.length}`}?`, yes: verbs[verb][0], danger: verb === "drop",
        text: verb === "drop" ? "What is dropped is never tried again. This cannot be taken back." : `${many(which.length, "dead letter")} will be tried again, with all attempts anew.` });
      if (!yes) return;
    }
    setBusy(true);
    const done = [];
    let error = null;
    for (const one of which)
      await api.post(`${one.path}/${verb}`, one.body).then(() => done.push(one), (e) => {
        error = e;
      });
    setBusy(false);
    if (done.length > 0) toast(`${verbs[verb][2]}: ${done.length === 1 ? done[0].text : many(done.length, "dead letter")}.`);
    if (error) toast(error.message, { bad: true });
    list.reload();
    if (verb === "redrive" && done.length > 0 && done.length <= 20) follow(done);
  };
  // all of a rule, also those that are not in the list yet
  const whole = async (verb, { rule, letters: known, open }) => {
    const yes = await ask({ title: `${verbs[verb][0]} all of “${rule}”?`, yes: `${verbs[verb][0]} all`, danger: verb === "drop",
      text: `${open ? `${known.length} or more` : known.length} dead ${known.length === 1 && !open ? "letter" : "letters"} of this rule will be ${verbs[verb][1]}.` });
    if (!yes) return;
    setBusy(true);
    const answer = await act("post", `/dead/${verb}`, { rule }, (got) => `${verbs[verb][2]}: ${counts(got) || "nothing"} of “${rule}”.`);
    setBusy(false);
    list.reload();
    if (answer && verb === "redrive" && known.length <= 20 && !open) follow(known);
  };
  const on = { redrive: (which) => each("redrive", which), drop: (which) => each("drop", which), rule: whole };
  const groups = groupsOf(letters, list.hasMore || waiting > 0);
  useFocusNext(top, groups.flatMap((group) => group.letters.map((one) => one.id)), ".dead-letter", ".dead-letter-what");
  const some = letters.filter((one) => chosen.has(one.id));
  return (
    <div ref={top} aria-busy={busy || undefined}>
      <Head title="Dead letters" />
      <LooksOn session={session} to="redrive or drop" />
      <Trouble query={list} />
      {list.loading && !list.data && <Loading rows={6} />}
      {list.data && letters.length === 0 && !list.hasMore && (
        <Empty title="Good news: nothing is dead" icon="check">
          <p>A run or a delivery that has used up its attempts would be here, to be tried again or dropped.</p>
        </Empty>
      )}
      <div class="fresh dead-fresh">
        {waiting > 0 && <button type="button" onClick={take} data-testid="fresh">{waiting} new <span class="sr">dead letters, show them</span><span aria-hidden="true">↑</span></button>}
      </div>
      {groups.map((group) => <Group key={group.rule} group={group} writes={writes} chosen={chosen} choose={choose} on={on} />)}
      {list.hasMore && <p class="more"><button type="button" onClick={list.more} disabled={list.loadingMore}>Show older ones</button></p>}
      {list.moreError && <More list={list} />}
      {some.length > 0 && (
        <div class="chosen-bar" role="region" aria-label="What is chosen">
          <b>{some.length} chosen</b>
          <button type="button" class="main" onClick={() => on.redrive(some)} data-testid="redrive-chosen">Redrive</button>
          <button type="button" class="danger" onClick={() => on.drop(some)} data-testid="drop-chosen">Drop</button>
          <button type="button" class="plain square" aria-label="Choose none" onClick={() => setChosen(new Set())}><Icon name="close" /></button>
        </div>
      )}
      {question}
    </div>
  );
}
