import { useEffect, useRef, useState } from "preact/hooks";
import { may, segment } from "../api.js";
import { go, useNow, useQuery } from "../hooks.js";
import { act, single } from "../parts/act.js";
import { useFocusNext } from "../parts/focus.js";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Empty, Loading, LooksOn, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { agoText } from "../parts/time.jsx";
import { toast } from "../parts/toast.jsx";
import { dayStart, isElsewhere, whenText } from "../parts/zone.js";
import { CallbackDialog } from "./callback_dialogs.jsx";
import { firstLine, PhoneNumber, who } from "./callback_words.jsx";
import "./callbacks.css";

const closed = (row) => row.status === "done" || row.status === "cancelled";

function Due({ row, zone, late }) {
  const now = useNow();
  const text = whenText(zone, row.due_at, now);
  return (
    <time class={late ? "due late" : "due"} dateTime={row.due_at}>
      <b>{text}</b>
      <span>{agoText(row.due_at, now)}</span>
    </time>
  );
}

// One to call: whom, why, until when, and what can be done about it.
function Row({ row, zone, late, writes, open, act: on }) {
  const name = who(row);
  on.rows.set(row.id, row);
  return (
    <li class="callback" data-testid="callback-row" data-id={row.id} data-number={row.number}>
      <Due row={row} zone={zone} late={late} />
      <div class="callback-what">
        <a class="callback-name" href={open.href(row)} onClick={open.click(row)}>
          {row.name ? <Sent>{row.name}</Sent> : <span class="mute">No name<span class="sr">, {row.number}</span></span>}
        </a>
        <PhoneNumber number={row.number} name={name} />
        {row.reason && <p class="callback-why"><Sent>{row.reason}</Sent></p>}
        {row.note && <p class="callback-why mute">Note: <Sent>{row.note}</Sent></p>}
        <p class="callback-meta mute">
          {row.status === "missed" && <Badge state="missed">nobody called</Badge>}
          {row.status === "snoozed" && <Badge state="snoozed" />}
          <span>{row.assignee ? <>For <Sent>{row.assignee}</Sent></> : "For nobody in particular"}</span>
          {row.rule && <Link to={`/rules/${segment(row.rule)}`}><Sent>{row.rule}</Sent></Link>}
          {row.event_id && <Link to={`/events/${row.event_id}`} aria-label={`The event behind it: ${name}`}>Event</Link>}
        </p>
      </div>
      {writes && !closed(row) && (
        <div class="callback-do">
          <button type="button" class="main" onClick={single(() => on.done(row))} data-testid="callback-done" aria-label={`Done: ${name}`}><Icon name="check" size={18} />Done</button>
          <button type="button" onClick={() => on.ask("snooze", row)} data-testid="callback-snooze" aria-label={`Snooze: ${name}`}><Icon name="clock" size={18} />Snooze</button>
          <button type="button" class="square" onClick={() => on.ask("more", row)} data-testid="callback-more" aria-label={`More: ${name}`}><Icon name="more" size={18} /></button>
        </div>
      )}
    </li>
  );
}

const STEP = 50; // rows of a section that are shown at first, and with each press

function Section({ title, rows, count, tone, ...rest }) {
  const [n, setN] = useState(STEP);
  if (rows.length === 0) return null;
  return (
    <section class="callback-part" aria-label={`${title}: ${count}`}>
      <h2 class={tone}>{title} <span class="mute">{count}</span></h2>
      <ul class="callback-list panel">
        {rows.slice(0, n).map((row) => <Row key={row.id} row={row} late={tone === "late"} {...rest} />)}
      </ul>
      {rows.length > n && <p class="callback-rest"><button type="button" onClick={() => setN(n + STEP)}>Show {Math.min(STEP, rows.length - n)} more</button></p>}
      {rows.length <= n && count > rows.length && <p class="mute callback-rest">{count - rows.length} more come when some of these are done.</p>}
    </section>
  );
}

// What is due behind tomorrow: asked for when it is opened.
function Later({ count, zone, whose, ...rest }) {
  const [open, set] = useState(false);
  const from = new Date(dayStart(zone, Date.now(), 2)).toISOString();
  const list = useQuery(open ? "/callbacks" : null, { status: "open", due_after: from, limit: 500, assignee: whose || undefined }, ["callbacks"]);
  const rows = (list.data?.items ?? []).filter((row) => whose !== null || !row.assignee).sort((a, b) => (a.due_at < b.due_at ? -1 : 1));
  if (count === 0) return null;
  return (
    <details class="callback-part" onToggle={(e) => set(e.currentTarget.open)}>
      <summary>Later <span class="mute">{count}</span></summary>
      <Trouble query={list} />
      {open && !list.data && !list.error && <Loading rows={Math.min(count, 4)} />}
      {rows.length > 0 && <ul class="callback-list panel">{rows.map((row) => <Row key={row.id} row={row} zone={zone} {...rest} />)}</ul>}
      {list.data?.next_cursor && <p class="mute callback-rest">There are more than these {rows.length}.</p>}
    </details>
  );
}

function Done({ rows, count, zone, open }) {
  const [shown, set] = useState(false);
  if (rows.length === 0) return null;
  return (
    <details class="callback-part" onToggle={(e) => set(e.currentTarget.open)}>
      <summary>Done today <span class="mute">{count}</span></summary>
      <ul class="callback-list panel">
        {shown && rows.slice(0, STEP).map((row) => (
          <li class="callback closed" key={row.id} data-testid="callback-closed" data-id={row.id}>
            <time class="due" dateTime={row.closed_at}><b>{row.closed_at ? whenText(zone, row.closed_at) : ""}</b></time>
            <div class="callback-what">
              <a class="callback-name" href={open.href(row)} onClick={open.click(row)}><Sent>{who(row)}</Sent></a>
              {(row.note || row.reason) && <p class="callback-why mute"><Sent>{row.note ?? firstLine(row.reason)}</Sent></p>}
            </div>
            <Badge state={row.status} />
          </li>
        ))}
      </ul>
    </details>
  );
}

// The keys that work in the list, while one of its rows (or nothing) has the focus.
function useKeys(box, rowOf, on, writes) {
  const latest = useRef(null);
  latest.current = { rowOf, on, writes };
  useEffect(() => {
    const press = (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
      if (/^(input|select|textarea)$/i.test(e.target.tagName)) return;
      const names = [...(box.current?.querySelectorAll(".callback-name") ?? [])];
      const row = document.activeElement?.closest?.(".callback");
      const at = names.findIndex((name) => row?.contains(name));
      const to = { j: at + 1, k: Math.max(0, at - 1) }[e.key];
      if (to !== undefined) {
        names[to]?.focus();
        names[to]?.closest(".callback").scrollIntoView({ block: "nearest" });
      }
      const here = row && latest.current.rowOf(row.dataset.id);
      if (!here || e.repeat || !latest.current.writes || closed(here)) return;
      if (e.key === "d") latest.current.on.done(here);
      if (e.key === "s") {
        e.preventDefault();
        latest.current.on.ask("snooze", here);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

const said = {
  done: (row) => `Done: ${who(row)}.`,
  cancel: (row) => `Cancelled: ${who(row)}.`,
  snooze: (row, body, zone, answer) => `Snoozed: ${who(row)}${answer.due_at ? `, until ${whenText(zone, answer.due_at)}` : body.text ? `, ${body.text}` : ""}.`,
  reassign: (row, body) => `${who(row)} is for ${body.to} now.`,
};

// Change one; somebody else may have been quicker, which is news and no mistake.
async function change(verb, row, body, zone, reload) {
  const { text, ...send } = body;
  let failed = null;
  const answer = await act("post", `/callbacks/${row.id}/${verb}`, send, (got) => said[verb](row, { ...body, text }, zone, got), (error) => {
    failed = error;
    if (error.status !== 409 && error.status !== 404) return false;
    toast(`${who(row)}: somebody else was quicker. It is closed, and off the list.`);
    return true;
  });
  if (failed) reload();
  return answer !== null || failed?.status === 409 || failed?.status === 404;
}

const noRows = [];

export function Callbacks({ params, session }) {
  const writes = may(session, "operator");
  const assignee = params.get("assignee") ?? "";
  const nobody = params.has("nobody"); // those that are assigned to nobody
  const day = useQuery(nobody ? "/callbacks/day?assignee=" : "/callbacks/day", nobody ? {} : { assignee }, ["callbacks"]);
  const [asked, setAsked] = useState(null); // {what, row}: a dialog that is open
  const gone = useRef(new Map()); // id -> the state of it that was changed here
  const busy = useRef(new Set()); // ids of those that are being changed
  const known = useRef(new Map()); // the rows that are shown, by id: each puts itself in
  known.current.clear();
  const [, turn] = useState(0);
  const box = useRef(null);
  const data = day.data;
  const zone = data?.zone ?? "UTC";
  const here = (rows) => (rows ?? noRows).filter((row) => gone.current.get(row.id) !== row.updated_at);
  const parts = [here(data?.overdue), here(data?.today), here(data?.tomorrow)];
  const rows = parts.flat();
  const counted = (name, i) => (data.counts?.[name] ?? data[name].length) - (data[name].length - parts[i].length);

  const address = (change) => {
    const next = new URLSearchParams(params);
    for (const [name, value] of Object.entries(change)) value ? next.set(name, value) : next.delete(name);
    return `/console/callbacks${next.size ? `?${next}` : ""}`;
  };
  const run = async (verb, row, body = {}) => {
    if (busy.current.has(row.id)) return false; // asked for already
    busy.current.add(row.id);
    const ok = await change(verb, row, body, zone, day.reload);
    busy.current.delete(row.id);
    if (!ok && body.note) setAsked({ what: verb === "done" ? "note" : verb, row, text: body.note }); // to be sent again
    if (ok && verb !== "reassign") gone.current.set(row.id, row.updated_at);
    turn((n) => n + 1);
    day.reload();
    return ok;
  };
  const on = {
    done: (row, body) => run("done", row, body),
    run,
    ask: (what, row) => setAsked({ what, row }),
    rows: known.current,
  };
  const open = {
    href: (row) => address({ id: row.id }),
    click: (row) => (e) => {
      if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey) return;
      e.preventDefault();
      go(address({ id: row.id }));
    },
  };
  useKeys(box, (id) => known.current.get(id), on, writes);
  useFocusNext(box, rows.map((row) => row.id), ".callback", ".callback-name");
  const id = params.get("id");
  const shared = { zone, writes, open, act: on };
  const people = data?.assignees ?? [];
  const names = people.map((one) => one.assignee).filter(Boolean);
  if (assignee && !names.includes(assignee)) names.push(assignee);
  const openOf = (name) => people.find((one) => one.assignee === name)?.open ?? 0;
  const choose = (value) => go(address(value === " " ? { assignee: "", nobody: "1" } : { assignee: value, nobody: "" }), { replace: true });
  const nothing = data && rows.length === 0 && data.later === 0;
  return (
    <div ref={box}>
      <Head title="Callbacks">
        <label class="of" for="assignee">Assigned to</label>
        <select id="assignee" value={nobody ? " " : assignee} onChange={(e) => choose(e.target.value)} data-testid="callback-assignee">
          <option value="">Everybody</option>
          {names.map((name) => <option key={name} value={name}>{name} ({openOf(name)})</option>)}
          {(nobody || openOf(null) > 0) && <option value=" ">Nobody ({openOf(null)})</option>}
        </select>
      </Head>
      <LooksOn session={session} to="work the list" />
      {data && isElsewhere(zone) && <p class="mute looks-on" data-testid="zone">Times on this page are of {zone}, the engine's zone; on the others of your own clock.</p>}
      <Trouble query={day} />
      {!data && !day.error && <Loading rows={5} />}
      {nothing && (
        <Empty title={assignee || nobody ? "Nobody to call" : "Nobody to call back"}>
          {assignee || nobody ? <><p>Nothing is open for {nobody ? "nobody in particular" : <Sent>{assignee}</Sent>}.</p><p><button type="button" onClick={() => choose("")}>Show everybody's</button></p></>
            : <p>A rule asks for a call with <code>callback{"{}"}</code>, for example after a missed one. It is then here until somebody has called.</p>}
        </Empty>
      )}
      {data && !nothing && rows.length === 0 && <Empty title="Done for today and tomorrow"><p>What is due later is below.</p></Empty>}
      {data && (
        <>
          <Section title="Overdue" tone="late" rows={parts[0]} count={counted("overdue", 0)} {...shared} />
          <Section title="Today" rows={parts[1]} count={counted("today", 1)} {...shared} />
          <Section title="Tomorrow" rows={parts[2]} count={counted("tomorrow", 2)} {...shared} />
          <Later count={data.later} whose={nobody ? null : assignee} {...shared} />
          <Done rows={data.done_today ?? noRows} count={data.counts?.done_today ?? data.done_today.length} zone={zone} open={open} />
        </>
      )}
      {rows.length > 0 && (
        <p class="keys mute">
          <span><kbd>j</kbd> <kbd>k</kbd> next, previous</span>
          <span><kbd>Enter</kbd> what happened</span>
          {writes && <><span><kbd>d</kbd> done</span><span><kbd>s</kbd> snooze</span></>}
        </p>
      )}
      {asked && <CallbackDialog what={asked.what} row={asked.row} text={asked.text} zone={zone} names={names} writes={writes} on={on} onClose={() => setAsked(null)} />}
      {id && !asked && <CallbackDialog what="history" id={id} zone={zone} names={names} writes={writes} on={on} onClose={() => go(address({ id: "" }), { replace: true })} />}
    </div>
  );
}
