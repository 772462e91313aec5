import { may } from "../api.js";
import { go, setParams, useFeed } from "../hooks.js";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { More, Rows } from "../parts/rows.jsx";
import { Badge, Empty, Loading, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";
import "./deliveries.css";
import { DeliveryDialog } from "./delivery.jsx";
import { shortError } from "./error.jsx";

const kinds = [["", "All"], ["email", "Emails"], ["http", "HTTP calls"]];
const states = [["", "Any state"], ["queued", "Under way"], ["sent", "Sent"], ["dead", "Given up"], ["dropped", "Dropped"]];
const stateWords = { queued: "under way", sent: "sent", dead: "given up", dropped: "dropped" };

// In the words of the row: what went wrong, or what it is about.
function Second({ row }) {
  if (row.error && row.state !== "sent") return <span class={row.state === "dead" ? "bad-text" : "mute"}><Sent>{shortError(row.error, row.to)}</Sent></span>;
  return <Sent class="mute">{row.subject ?? row.rule}</Sent>;
}

function Row({ row, to }) {
  return (
    <Link to={to} class="delivery" {...rowProps(row)}>
      <span class="delivery-kind"><Icon name={row.kind === "email" ? "mail" : "globe"} size={18} /><span class="sr">{row.kind === "email" ? "Email" : "HTTP call"}</span></span>
      <span class="delivery-to cut"><Sent>{row.to}</Sent></span>
      <span class="delivery-second cut"><Second row={row} /></span>
      <span class="delivery-tries mute">
        {row.attempts > 1 && `${row.attempts} attempts`}
        {row.state === "queued" && row.next_at && <>{row.attempts > 1 && ", "}next <Time at={row.next_at} ago /></>}
      </span>
      <span class="delivery-state"><Badge state={row.state}>{stateWords[row.state]}</Badge></span>
      <span class="at"><Time at={row.sent_at ?? row.created_at} /></span>
    </Link>
  );
}

const rowProps = (row) => ({ "data-testid": "delivery-row", "data-id": row.id, "data-state": row.state, "data-kind": row.kind });

export function Deliveries({ params, session }) {
  const [kind, state, id] = ["kind", "state", "id"].map((name) => params.get(name) ?? "");
  const list = useFeed("/outbox", { kind, state }, ["outbox"], { size: 200 });
  const address = (change) => {
    const next = new URLSearchParams();
    for (const [name, value] of Object.entries({ kind, state, ...change })) if (value) next.set(name, value);
    return `/deliveries${next.size ? `?${next}` : ""}`;
  };
  return (
    <>
      <Head title="Deliveries" />
      <div class="filters" role="group" aria-label="Show only">
        <span class="choices">
          {kinds.map(([value, words]) => (
            <button type="button" key={value} aria-pressed={kind === value ? "true" : "false"} onClick={() => setParams({ kind: value })} data-testid={`kind-${value || "all"}`}>{words}</button>
          ))}
        </span>
        <label class="filter"><span class="sr">State</span>
          <select value={state} class={state ? "chosen" : ""} onChange={(e) => setParams({ state: e.target.value })} data-testid="filter-state">
            {states.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
          </select>
        </label>
      </div>
      <Trouble query={list} />
      {list.loading && <Loading rows={10} />}
      {!list.loading && !list.error && list.rows.length === 0 && !list.hasMore && <Nothing filtered={kind || state} />}
      {list.rows.length > 0 && (
        <Rows items={list.rows} feed={list} label="Deliveries, the newest first" className="deliveries" onEnd={list.more}
          total={list.hasMore ? -1 : list.rows.length} render={(row) => <Row row={row} to={address({ id: row.id })} />} />
      )}
      <More list={list} />
      {id && <DeliveryDialog id={id} writes={may(session, "operator")} onClose={() => go(`/console${address({ id: "" })}`, { replace: true })} />}
    </>
  );
}

function Nothing({ filtered }) {
  if (filtered)
    return (
      <Empty title="Nothing like that" icon="search">
        <p>No delivery is of this kind and state.</p>
        <p><button type="button" onClick={() => setParams({ kind: "", state: "" })}>Show all deliveries</button></p>
      </Empty>
    );
  return (
    <Empty title="Nothing has been sent yet" icon="send">
      <p>What rules send with <code>email{"{}"}</code> and <code>http.post{"{}"}</code> is here, and whether it arrived.</p>
    </Empty>
  );
}
