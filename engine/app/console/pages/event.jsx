import { useMemo } from "preact/hooks";
import * as api from "../api.js";
import { useQuery } from "../hooks.js";
import { act, many, single } from "../parts/act.js";
import { Body } from "../parts/body.jsx";
import { Sentiment, durationText, facts, inWay, phaseOf } from "../parts/call.jsx";
import { useQuestion } from "../parts/dialog.jsx";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Copy, Json, Ways, pretty } from "../parts/json.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Failure, Loading } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import { Trace } from "../parts/trace.jsx";
import "./event.css";

const stateWords = { done: "Done", dead: "A rule failed for good" };

function stateText(event) {
  if (event.state !== "stored") return stateWords[event.state];
  const has = (outcome) => event.runs.some((run) => run.outcome === outcome);
  if (has("retry")) return "A rule failed, is tried again";
  return has("paused") ? "Waits: a rule is paused" : "Waits for its rules";
}

// "Call ended: J. Smit"
function titleOf(event, what) {
  const phase = phaseOf(event.type);
  const begin = phase === event.type ? event.type : `Call ${phase}`;
  return what.title !== undefined ? `${begin}: ${what.title}` : begin;
}

// "Incoming call from 0612345678 for laura@example.org. Missed."
function Sentence({ event, what }) {
  if (!what.isCall) {
    if (what.rest.length === 0 && what.title === undefined) return <>An event of type <Sent class="strong">{event.type}</Sent></>;
    return <Sent>{[what.title, ...what.rest].filter((v) => v !== undefined).join(" · ")}</Sent>;
  }
  const way = inWay(what.direction);
  const number = what.number !== undefined && <Sent class="strong">{what.number}</Sent>;
  return (
    <>
      {way === "in" ? "Incoming call" : way === "out" ? "Outgoing call" : "Call"}
      {number && <> {way === "out" ? "to" : "from"} {number}</>}
      {what.agent !== undefined && <>, {way === "out" ? "by" : "for"} <Sent>{what.agent}</Sent></>}
      {what.result !== undefined && <>: <Sent class="strong">{String(what.result).toLowerCase()}</Sent></>}
      {Number(what.seconds) > 0 && <>, {durationText(what.seconds)}</>}
    </>
  );
}

function Siblings({ event }) {
  if (!event.same_key?.length) return null;
  const all = [...event.same_key.filter((e) => e.id !== event.id), event].sort((a, b) => (a.id < b.id ? -1 : 1));
  return (
    <nav aria-label="What else came of it">
      <ol class="siblings">
        {all.map((e) => (
          <li key={e.id}>
            <Link to={`/events/${e.id}`} aria-current={e.id === event.id ? "step" : undefined} class={e.state}>
              <Sent>{phaseOf(e.type)}</Sent> <span class="mute"><Time at={e.received_at} /></span>
              {e.state === "dead" && <span class="sibling-bad"><Icon name="alert" size={15} /><span class="sr">a rule failed</span></span>}
            </Link>
          </li>
        ))}
      </ol>
    </nav>
  );
}

// Runs that are there, then rules that wait, in the order of the rules; and those that did nothing.
export function sorted(event, why) {
  const order = new Map((why?.items ?? []).map((item, i) => [item.rule, { ...item, i }]));
  const runs = (event.runs ?? []).map((run) => {
    const { file, when } = order.get(run.rule) ?? {};
    return { ...run, file, when };
  });
  const ran = new Set(runs.map((run) => run.rule));
  const waits = [];
  const not = [];
  for (const item of why?.items ?? []) {
    if (ran.has(item.rule)) continue;
    if (item.outcome === "skipped_on" || item.outcome === "skipped_when") not.push(item);
    else waits.push({ ...item, outcome: outcomeNow(item, event) });
  }
  const place = (step) => order.get(step.rule)?.i ?? 1e6;
  return { steps: [...runs, ...waits].sort((a, b) => place(a) - place(b)), not };
}

// Of a rule that has no run on the event.
function outcomeNow({ outcome }, event) {
  if (outcome === "failed") return "would_fail";
  return outcome === "would_run" && event.state === "stored" ? "waiting" : outcome;
}

function Actions({ event, ask }) {
  const redrive = (rule) => act("post", `/events/${event.id}/redrive`, rule ? { rule } : {}, (a) => `${many(a.runs, "run")} of ${rule ?? "rules"} started again`);
  const drop = async (rule) => {
    if (await ask({ title: rule ? `Drop the run of ${rule}?` : "Drop all failed runs?", text: "It counts as done with and cannot be brought back. It stays to be seen here.", yes: "Drop", danger: true }))
      await act("post", `/events/${event.id}/drop`, rule ? { rule } : {}, (a) => `${many(a.runs, "run")} dropped`);
  };
  return { redrive, drop };
}

// How it stands; of what failed, with the way to the rule.
function State({ event, failed }) {
  const state = event.state === "stored" && event.runs.some((run) => run.outcome !== "done") ? "retry" : event.state;
  const badge = <Badge state={state}>{stateText(event)}</Badge>;
  return failed ? <Link class="to-failed" to={`/events/${event.id}?rule=${encodeURIComponent(failed)}`} data-testid="to-failed">{badge}</Link> : badge;
}

function Facts({ event, failed }) {
  return (
    <dl class="event-facts">
      <div><dt>Rules</dt><dd data-testid="event-state" data-state={event.state}><State event={event} failed={failed} /></dd></div>
      <div><dt>Received</dt><dd><Time at={event.received_at} /> <span class="mute">(<Time at={event.received_at} ago />)</span></dd></div>
      {event.occurred_at && <div><dt>Happened</dt><dd><Time at={event.occurred_at} /></dd></div>}
      {event.due_at && <div><dt>Was due</dt><dd><Time at={event.due_at} /></dd></div>}
      <div><dt>Source</dt><dd><Sent>{event.source}</Sent></dd></div>
      <div><dt>Type</dt><dd><Sent>{event.type}</Sent></dd></div>
      {event.key && <div class="event-key-fact"><dt>Key</dt><dd><Link to={`/events?key=${encodeURIComponent(event.key)}`} class="mono"><Sent>{event.key}</Sent></Link></dd></div>}
      {event.cause && <div><dt>Emitted by</dt><dd><Link to={`/events/${event.cause}`}>a rule, for another event</Link></dd></div>}
    </dl>
  );
}

function Emitted({ events }) {
  if (!events?.length) return null;
  return (
    <section class="panel" aria-labelledby="emitted">
      <h2 id="emitted">Events it led to</h2>
      <ul class="plain-list">
        {events.map((e) => <li key={e.id}><Link to={`/events/${e.id}`}><Sent>{e.type}</Sent></Link> <span class="mute"><Time at={e.received_at} /></span> <Badge state={e.state} /></li>)}
      </ul>
    </section>
  );
}

const hasBody = (event) => event.body !== null && event.body !== undefined;

function What({ event, session }) {
  const may = api.may(session, "operator");
  const raw = may
    ? <a class="button small" href={`/api/v1/events/${event.id}/raw`} download={`${event.id}.${event.format === "json" ? "json" : "bin"}`}><Icon name="download" size={16} />As it came</a>
    : null;
  if (!hasBody(event))
    return (
      <div class="stack">
        <p class="mute">{event.cut ? "It is too long to be shown here." : `It is not JSON (${event.format}, ${event.bytes.toLocaleString()} bytes).`}</p>
        {raw ? <p>{raw}</p> : <p class="mute">An operator may download it.</p>}
      </div>
    );
  const tools = <span class="ways-end"><Copy text={() => pretty(event.body)} label="Copy the JSON" />{raw}</span>;
  return (
    <Ways label="How it is shown" ways={[
      ["Read", () => <div data-testid="event-body"><Body value={event.body} /></div>, tools],
      ["JSON", () => <Json value={event.body} label="The event as JSON" testid="event-json" />, tools],
    ]} />
  );
}

export function EventPage({ name, params, session }) {
  const path = `/events/${api.segment(name)}`;
  const one = useQuery(path, {}, ["events", "runs", "callbacks", "outbox"]);
  const why = useQuery(one.data ? `${path}/why` : null, {}, ["generations"]);
  const [question, ask] = useQuestion();
  const event = one.data;
  const { steps, not } = useMemo(() => (event ? sorted(event, why.data) : { steps: [], not: [] }), [event, why.data]);
  if (one.error && !event)
    return (
      <>
        <Head title="Event" />
        {one.error.status === 404
          ? <div class="notice"><Icon name="search" /><span>There is no such event, or it was so old that it was removed. <Link to="/events">All events</Link></span></div>
          : <Failure error={one.error} retry={one.reload} />}
      </>
    );
  if (!event) return <><Head title="Event" /><Loading rows={8} /></>;
  const what = facts(event.show);
  const operator = api.may(session, "operator");
  const { redrive, drop } = Actions({ event, ask });
  const dead = steps.filter((step) => step.outcome === "dead");
  const actions = (step) => step.outcome === "dead" && operator && (
    <p class="step-do">
      <button type="button" data-testid="redrive" onClick={single(() => redrive(step.rule))}><Icon name="again" size={17} />Run it again</button>
      <button type="button" class="plain" data-testid="drop" onClick={() => drop(step.rule)}>Drop it</button>
    </p>
  );
  return (
    <>
      {question}
      <p class="crumbs"><Link to="/">Calls</Link> <span aria-hidden="true">›</span> <Link to="/events">Events</Link></p>
      <Head title={titleOf(event, what)} isolate>
        {operator && hasBody(event) && <Link to={`/playground?event=${event.id}`} class="button"><Icon name="flask" size={18} />Try it in the playground</Link>}
      </Head>
      <p class="sentence"><Sentence event={event} what={what} /> <Sentiment value={what.sentiment} /></p>
      <Siblings event={event} />
      <Facts event={event} failed={dead[0]?.rule} />
      {one.error && <Failure error={one.error} retry={one.reload} />}
      <div class="event-columns">
        <div class="stack">
          <section class="panel" aria-labelledby="rules">
            <div class="panel-head">
              <h2 id="rules">What the rules did</h2>
              {operator && dead.length > 1 && <button type="button" class="small" onClick={() => redrive()} data-testid="redrive-all"><Icon name="again" size={16} />Run all {dead.length} again</button>}
            </div>
            {steps.length === 0 && <p class="mute nothing">{event.state === "stored" ? "No rule has run yet." : why.data ? "No rule has done anything with it." : ""}</p>}
            <Trace steps={steps} not={not} links={{ ...event, noun: what.isCall ? "call" : "key" }} actions={actions} chosen={why.data || why.error ? params.get("rule") : null} />
            {why.data?.note && not.length > 0 && <p class="mute nothing"><Sent>{why.data.note}</Sent></p>}
            {why.error && <p class="mute nothing">Why the others did not run cannot be said: {why.error.message}</p>}
            {event.incomplete?.includes("runs") && <p class="mute nothing">There are more runs than the 100 shown.</p>}
          </section>
          <Emitted events={event.emitted} />
        </div>
        <section class="panel event-what-came" aria-labelledby="body">
          <h2 id="body">What came</h2>
          <What event={event} session={session} />
        </section>
      </div>
    </>
  );
}
