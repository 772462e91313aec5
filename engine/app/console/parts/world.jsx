// What would be there afterwards: callbacks, emails as they would be read, calls to other systems, records, timers.
import { many } from "./act.js";
import { pretty } from "./json.jsx";
import { Badge } from "./state.jsx";
import { Sent } from "./text.jsx";
import { Time } from "./time.jsx";
import "./world.css";

const list = (value) => (Array.isArray(value) ? value.join(", ") : value ?? "");

function Email({ item }) {
  const { payload = {} } = item;
  return (
    <article class="would-be">
      <dl>
        <div><dt>To</dt><dd><Sent>{list(payload.to ?? item.to)}</Sent></dd></div>
        {payload.cc && <div><dt>Copy</dt><dd><Sent>{list(payload.cc)}</Sent></dd></div>}
        <div><dt>Subject</dt><dd><Sent class="strong">{payload.subject}</Sent></dd></div>
      </dl>
      <Sent class="would-be-text">{payload.text ?? payload.html ?? ""}</Sent>
      {payload.invitation && <p class="mute">With an invitation for the calendar: <Sent>{payload.invitation.summary}</Sent></p>}
    </article>
  );
}

function Call({ item }) {
  const { payload = {} } = item;
  return (
    <article class="would-be">
      <p><span class="strong">{payload.method ?? "POST"}</span> <Sent class="mono">{payload.url ?? item.to}</Sent></p>
      {payload.body && <pre><Sent>{typeof payload.body === "string" ? payload.body : pretty(payload.body)}</Sent></pre>}
    </article>
  );
}

function Records({ records }) {
  return Object.entries(records).map(([collection, rows]) => (
    <div key={collection}>
      <p class="strong"><Sent>{collection}</Sent></p>
      {rows.map((row) => (
        <details key={row.id} class="effect-data"><summary><Sent class="mono">{row.id}</Sent></summary><pre><Sent>{pretty(row.doc)}</Sent></pre></details>
      ))}
    </div>
  ));
}

const Part = ({ title, n, children }) => (n > 0 ? <section><h3>{title} <span class="count-mute">{n}</span></h3>{children}</section> : null);

export function World({ world }) {
  const outbox = world.outbox ?? [];
  const emails = outbox.filter((item) => item.kind === "email");
  const calls = outbox.filter((item) => item.kind === "http");
  const timers = (world.timers ?? []).filter((timer) => timer.kind !== "clock");
  const callbacks = world.callbacks ?? [];
  const records = Object.values(world.records ?? {}).reduce((n, rows) => n + rows.length, 0);
  return (
    <section class="panel world" aria-labelledby="world">
      <h2 id="world">What would be there afterwards</h2>
      {emails.length + calls.length + timers.length + callbacks.length + records === 0 && <p class="mute">Nothing new.</p>}
      <Part title="Callbacks" n={callbacks.length}>
        <ul class="plain-list">
          {callbacks.map((c) => (
            <li key={c.id}><Sent class="strong">{c.name ?? c.number}</Sent>{c.name && <> <Sent>{c.number}</Sent></>}, due <Time at={c.due_at} />{c.assignee && <>, for <Sent>{c.assignee}</Sent></>} <Badge state={c.status} />
              {c.reason && <div class="mute"><Sent>{c.reason}</Sent></div>}</li>
          ))}
        </ul>
      </Part>
      <Part title="Emails" n={emails.length}>{emails.map((item) => <Email key={item.id} item={item} />)}</Part>
      <Part title="Calls to other systems" n={calls.length}>{calls.map((item) => <Call key={item.id} item={item} />)}</Part>
      <Part title="Timers" n={timers.length}>
        <ul class="plain-list">{timers.map((t, i) => <li key={i}>{t.name && <><Sent class="strong">{t.name}</Sent>: </>}event <Sent>{t.type}</Sent>, <Time at={t.due_at} /></li>)}</ul>
      </Part>
      <Part title={records === 1 ? "Record" : "Records"} n={records}><Records records={world.records ?? {}} /></Part>
      <p class="mute world-note">The store began empty: what is live in the engine now was not looked at{records ? `; ${many(records, "record")} would be new` : ""}.</p>
    </section>
  );
}
