import { useMemo, useRef } from "preact/hooks";
import { early } from "../api.js";
import { FIRST, useFeed, useNow, useQuery, useTyped } from "../hooks.js";
import { Attention } from "../parts/attention.jsx";
import { RulesState, Sentiment, Since, Steps, durationText, facts, goesOn, inWay, isMissed, phaseOf } from "../parts/call.jsx";
import { Head, isNarrow } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { More, Rows } from "../parts/rows.jsx";
import { Search } from "../parts/search.jsx";
import { Empty, Loading, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import "./calls.css";

const idOf = (row) => row.id;

// What the engine and its rules tell themselves is no call; that it failed is somebody's business.
const own = new Set(["rules", "clock", "engine"]);
const isForPeople = (row) => !own.has(row.source) || row.state === "dead";

// Two pages may each have some of one call's events: newer first.
function merge(a, b) {
  const known = new Set(a.events.map((e) => e.id));
  const worst = ["dead", "stored", "done"].find((s) => a.state === s || b.state === s);
  return { ...a, state: worst, first_at: [a.first_at, b.first_at].sort()[0], show: { ...b.show, ...a.show },
    events: [...b.events.filter((e) => !known.has(e.id)), ...a.events] };
}

function CallRow({ row, now }) {
  const what = facts(row.show);
  const newest = row.events[row.events.length - 1];
  const on = goesOn(row, now);
  const way = inWay(what.direction);
  return (
    <Link to={`/events/${newest?.id}`} {...rowProps(row)} class={`call ${row.state === "dead" ? "failed" : ""}`}>
      <span class={`call-icon ${on ? "on" : isMissed(what.result) ? "missed" : ""}`}>
        {way ? <Icon name={way === "in" ? "incoming" : "outgoing"} /> : <Icon name={what.isCall ? "phone" : "activity"} />}
      </span>
      <span class="call-who">
        <span class="cut call-name"><Sent>{what.title ?? (what.isCall ? "No number" : phaseOf(newest?.type ?? ""))}</Sent></span>
        <span class="cut mute">
          {what.isCall ? <>{way && <span class="call-way">{way === "in" ? "Incoming" : "Outgoing"}</span>}{what.number !== undefined && what.title !== what.number && <Sent>{what.number}</Sent>}</>
            : <Others what={what} row={row} />}
        </span>
      </span>
      <span class="call-how">
        {on ? <span class="call-on"><span class="pulse" />On the line, <Since at={row.first_at} /></span>
          : <span class={`cut ${isMissed(what.result) ? "call-missed" : ""}`}>
            {what.result !== undefined && <Sent>{what.result}</Sent>}{Number(what.seconds) > 0 && <> <span class="mute">{durationText(what.seconds)}</span></>}
          </span>}
        <span class="cut mute"><Sent>{what.isCall ? what.agent ?? "" : row.source}</Sent></span>
      </span>
      <span class="call-mood"><Sentiment value={what.sentiment} /></span>
      <span class="call-steps"><Steps events={row.events} on={on} /></span>
      <span class="call-rules"><RulesState state={row.state} /></span>
      <span class="call-at"><Time at={row.last_at} /></span>
    </Link>
  );
}

const Others = ({ what, row }) => (
  <Sent>{[what.title !== undefined && row.events[row.events.length - 1]?.type, ...what.rest].filter((v) => v !== false && v !== undefined).join(" · ")}</Sent>
);

Calls.early = () => {
  const q = new URLSearchParams(location.search).get("q") ?? "";
  return early("/calls", { q: q.trim(), senders: true, limit: FIRST });
};

export function Calls({ params }) {
  const [typed, setTyped, q] = useTyped("q", params);
  const now = useNow();
  const attention = useQuery("/attention", {}, ["runs", "outbox", "callbacks", "rules", "generations"], 2000);
  const list = useFeed("/calls", { q, senders: true }, ["events", "runs"], { id: idOf, merge, size: 100 });
  const rows = useMemo(() => list.rows.filter(isForPeople), [list.rows]);
  const needs = useRef(null); // does not change the place of what is read
  if (attention.data && (!needs.current || !list.held.current())) needs.current = attention.data;
  return (
    <>
      <Head title="Calls">
        <Search value={typed} onInput={setTyped} label="Search calls" hint="Name or number" />
        <Link to="/events" class="button all-events">All events</Link>
      </Head>
      <Attention data={needs.current} />
      <Trouble query={list} />
      {list.loading && <Loading rows={8} />}
      {!list.loading && !list.error && rows.length === 0 && !list.hasMore && <NoCalls q={q} clear={() => setTyped("")} />}
      {rows.length > 0 && (
        <Rows items={rows} feed={list} id={idOf} label="Calls, the newest first" className="calls" row={isNarrow() ? 104 : 64} onEnd={list.more}
          total={list.hasMore ? -1 : rows.length} render={(row) => <CallRow row={row} now={now} />} />
      )}
      <More list={list} />
    </>
  );
}

const rowProps = (row) => ({ "data-testid": "call-row", "data-source": row.source, "data-key": row.key, "data-state": row.state });

function NoCalls({ q, clear }) {
  if (q)
    return (
      <Empty title="No call like this" icon="search">
        <p>Nothing among the calls has <Sent class="strong">{q}</Sent> in its name, number or colleague.</p>
        <p><button type="button" onClick={clear}>Show all calls</button></p>
      </Empty>
    );
  return (
    <Empty title="No calls yet" icon="phone">
      <p>They are here as soon as a phone system sends them. To see how it looks, send a day's worth:</p>
      <p><code>switchhook send --day</code></p>
    </Empty>
  );
}
