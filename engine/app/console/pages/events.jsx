import { useEffect, useMemo } from "preact/hooks";
import { go, setParams, useFeed, useQuery, useTyped } from "../hooks.js";
import { facts } from "../parts/call.jsx";
import { Head } from "../parts/frame.jsx";
import { Link } from "../parts/link.jsx";
import { More, Rows } from "../parts/rows.jsx";
import { Search } from "../parts/search.jsx";
import { Badge, Empty, Loading, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import "./events.css";

const sinces = [["", "Any time"], ["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"]];
const states = [["", "Any state"], ["stored", "Waiting"], ["done", "Done"], ["dead", "A rule failed"]];
const stateWords = { stored: "waiting", done: "done", dead: "failed" };
const isId = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function EventRow({ event }) {
  const what = facts(event.show);
  const number = what.isCall && what.number !== what.title ? what.number : undefined;
  const more = [what.title, number, ...(what.isCall ? [] : what.rest.slice(0, 2))].filter((v) => v !== undefined);
  return (
    <Link to={`/events/${event.id}`} class="event" {...rowProps(event)}>
      <span class="event-type cut"><Sent>{event.type}</Sent></span>
      <span class="event-what cut">{more.map((value, i) => <span key={i}>{i > 0 && " · "}<Sent>{value}</Sent></span>)}</span>
      <span class="event-key cut mute mono"><Sent>{event.key}</Sent></span>
      <span class="event-source cut mute"><Sent>{event.source}</Sent></span>
      <span class="event-row-state"><Badge state={event.state}>{stateWords[event.state]}</Badge></span>
      <span class="at"><Time at={event.received_at} /></span>
    </Link>
  );
}

const rowProps = (event) => ({ "data-testid": "event-row", "data-id": event.id, "data-state": event.state });

function Filter({ name, label, value, options }) {
  const known = options.some(([v]) => v === value);
  return (
    <label class="filter"><span class="sr">{label}</span>
      <select value={value} onChange={(e) => setParams({ [name]: e.target.value })} data-testid={`filter-${name}`} class={value ? "chosen" : ""}>
        {!known && <option value={value}>{value}</option>}
        {options.map(([v, words]) => <option value={v} key={v}>{words}</option>)}
      </select>
    </label>
  );
}

// Types and sources to choose from: what rules listen for, and what is in the list.
function useChoices(rows) {
  const rules = useQuery("/rules", {}, ["generations"]);
  return useMemo(() => {
    const types = new Set();
    const sources = new Set();
    for (const rule of rules.data?.items ?? []) for (const type of rule.on ?? []) if (!/[*?]/.test(type)) types.add(type);
    for (const row of rows.slice(0, 1000)) {
      if (row.hole) continue;
      types.add(row.type);
      sources.add(row.source);
      if (types.size > 200) break;
    }
    const list = (set, any) => [["", any], ...[...set].sort().map((v) => [v, v])];
    return { types: list(types, "Any type"), sources: list(sources, "Any source") };
  }, [rules.data, rows]);
}

export function Events({ params }) {
  const given = Object.fromEntries(["type", "source", "state", "since", "key", "cause"].map((name) => [name, params.get(name) ?? ""]));
  const [typed, setTyped, key] = useTyped("key", params);
  const list = useFeed("/events", { ...given, key, show: true }, ["events", "runs"], { size: 200 });
  const choices = useChoices(list.rows);
  useEffect(() => {
    if (isId.test(key)) go(`/console/events/${key.toLowerCase()}`);
  }, [key]);
  const filtered = Object.values({ ...given, key }).some(Boolean);
  const clear = () => {
    setTyped("");
    setParams({ type: "", source: "", state: "", since: "", cause: "", key: "" });
  };
  return (
    <>
      <Head title="Events">
        <Search value={typed} onInput={setTyped} label="Key or id of an event" hint="Key or id, whole" />
      </Head>
      <div class="filters" role="group" aria-label="Show only">
        <Filter name="type" label="Type" value={given.type} options={choices.types} />
        <Filter name="source" label="Source" value={given.source} options={choices.sources} />
        <Filter name="state" label="State" value={given.state} options={states} />
        <Filter name="since" label="Since" value={given.since} options={sinces} />
        <button type="button" class={`plain ${filtered ? "" : "gone"}`} disabled={!filtered} onClick={clear}>Show all</button>
      </div>
      {given.cause && <p class="mute filters-note">Only events that rules emitted for <Link to={`/events/${given.cause}`} class="mono">{given.cause}</Link></p>}
      <Trouble query={list} />
      {list.loading && <Loading rows={10} />}
      {!list.loading && !list.error && list.rows.length === 0 && !list.hasMore && <NoEvents filtered={filtered} clear={clear} />}
      {list.rows.length > 0 && (
        <Rows items={list.rows} feed={list} label="Events, the newest first" className="events" onEnd={list.more}
          total={list.hasMore ? -1 : list.rows.length} render={(event) => <EventRow event={event} />} />
      )}
      <More list={list} />
    </>
  );
}

function NoEvents({ filtered, clear }) {
  if (filtered)
    return (
      <Empty title="No such event" icon="search">
        <p>No event is like that. A key is looked for as a whole, letter by letter.</p>
        <p><button type="button" onClick={clear}>Show all events</button></p>
      </Empty>
    );
  return (
    <Empty title="No events yet" icon="activity">
      <p>Senders post them to the engine. Send one by hand, in a project that <code>switchhook init</code> made:</p>
      <p><code>switchhook send events/call_start.json</code></p>
    </Empty>
  );
}
