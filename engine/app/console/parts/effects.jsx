// What a run asked for, said as a person would say it.
import { Icon } from "./icon.jsx";
import { Link } from "./link.jsx";
import { Badge } from "./state.jsx";
import { Sent } from "./text.jsx";
import { Time } from "./time.jsx";

const icons = { callback: "callback", "callback change": "callback", email: "mail", http: "globe", emit: "emit", timer: "clock", cancel: "clock" };

const list = (value) => (Array.isArray(value) ? value.join(", ") : value);
const Strong = ({ children }) => <Sent class="strong">{children}</Sent>;

const said = {
  callback: (e) => (
    <>Callback to <Strong>{e.name ?? e.number}</Strong>{e.name && e.number && <> (<Sent>{e.number}</Sent>)</>}, due <Time at={e.due_at} />
      {e.assignee && <>, for <Sent>{e.assignee}</Sent></>}{e.reason && <span class="effect-more"><Sent>{e.reason}</Sent></span>}</>
  ),
  "callback change": (e) => {
    const who = e.number ?? e.id ?? e.key;
    const what = { answered: "closed, as they have been spoken to", done: "done", cancel: "cancelled", snooze: "put off", reassign: "given to somebody else" }[e.do] ?? e.do;
    return <>Open callbacks of <Strong>{who}</Strong>: {what}{e.due_at && <> until <Time at={e.due_at} /></>}{e.assignee && <>: <Sent>{e.assignee}</Sent></>}</>;
  },
  email: (e) => <>Email to <Strong>{list(e.to)}</Strong>{e.subject && <>: “<Sent>{e.subject}</Sent>”</>}</>,
  http: (e) => <>Call <span class="strong">{e.method ?? "POST"}</span> <Sent class="mono">{e.url}</Sent></>,
  emit: (e) => <>Event <Strong>{e.type}</Strong> emitted</>,
  timer: (e) => <>Timer{e.name && <> <Sent>{e.name}</Sent></>}: event <Strong>{e.type ?? e.collection}</Strong> at <Time at={e.due_at} /></>,
  cancel: (e) => <>Timer <Sent>{e.name}</Sent> cancelled, if there is one</>,
  "records.put": (e) => <>Record <Name of={e} /> written</>,
  "records.patch": (e) => <>Record <Name of={e} /> changed</>,
  "records.delete": (e) => <>Record <Name of={e} /> removed</>,
  "records.incr": (e) => <>Record <Name of={e} />: <Sent>{e.field}</Sent> {e.n < 0 ? "less" : "more"} by {Math.abs(e.n)}</>,
};

const Name = ({ of }) => <><Strong>{of.collection}</Strong> {of.own ? `of this ${of.own}` : <>/ <Sent class="mono">{of.id}</Sent></>}</>;

// The row that became of it: each effect takes the first of its kind that no other has taken.
function rowsOf(effects, rule, links) {
  const left = { callbacks: [...(links.callbacks ?? [])], outbox: (links.outbox ?? []).filter((o) => o.rule === rule), emitted: [...(links.emitted ?? [])] };
  const take = (rows, fits) => {
    const at = rows.findIndex(fits);
    return at < 0 ? undefined : rows.splice(at, 1)[0];
  };
  return effects.map((e) => {
    if (e.kind === "callback") return take(left.callbacks, (c) => c.number === e.number && (c.reason ?? null) === (e.reason ?? null));
    if (e.kind === "email" || e.kind === "http") return take(left.outbox, (o) => o.kind === e.kind);
    return e.kind === "emit" ? take(left.emitted, (o) => o.type === e.type) : undefined;
  });
}

const stateWords = { dead: "given up", queued: "on its way" };

function Outcome({ effect, row }) {
  if (effect.kind === "callback") return <Link to={`/callbacks?id=${row.id}`}><Badge state={row.status} /><span class="sr"> See the callback</span></Link>;
  if (effect.kind === "emit") return <Link to={`/events/${row.id}`}>See it</Link>;
  return <Link to={`/deliveries?id=${row.id}`}><Badge state={row.state}>{stateWords[row.state] ?? row.state}</Badge><span class="sr"> See the delivery</span></Link>;
}

// links: {callbacks, outbox, emitted} of the event. What each wrote is there to unfold where it is known.
export function Effects({ effects, rule, links = {} }) {
  const rows = rowsOf(effects, rule, links);
  return (
    <ul class="effects">
      {effects.map((effect, i) => {
        const data = effect.doc ?? effect.data ?? effect.text ?? effect.body;
        return (
          <li key={i}>
            <Icon name={icons[effect.kind] ?? "record"} size={17} />
            <div class="grow">
              {said[effect.kind]?.({ ...effect, own: links.key && effect.id === links.key && (links.noun ?? "key") }) ?? <Sent>{effect.kind}</Sent>}
              {data !== undefined && data !== null && (
                <details class="effect-data"><summary>{typeof data === "string" ? "Text" : "Data"}</summary>
                  <pre><Sent>{typeof data === "string" ? data : JSON.stringify(data, null, 2)}</Sent></pre></details>
              )}
            </div>
            {rows[i] && <span class="effect-end"><Outcome effect={effect} row={rows[i]} /></span>}
          </li>
        );
      })}
    </ul>
  );
}
