// What is asked about one callback: until when, who else, whether it is to be called off, what was done.
import { useState } from "preact/hooks";
import { segment } from "../api.js";
import { useQuery } from "../hooks.js";
import { Dialog } from "../parts/dialog.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Failure, Loading } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { clockText, dateText, dayText, localText, parts, whenText } from "../parts/zone.js";
import { PhoneNumber, who } from "./callback_words.jsx";

const HOUR = 3600000;

function choices(zone) {
  const now = Date.now();
  const { hour } = parts(zone, now);
  const list = [{ test: "snooze-1h", due: "1h", words: "In an hour", at: clockText(zone, now + HOUR) }];
  const later = hour < 13 ? 14 : hour < 16 ? 17 : 0;
  if (later) list.push({ test: "snooze-afternoon", due: `${dayText(zone, now)}T${later}:00`, words: "This afternoon", at: `${later}:00` });
  const tomorrow = dayText(zone, now, 1);
  list.push({ test: "snooze-tomorrow", due: `${tomorrow}T09:00`, words: "Tomorrow", at: `${dateText("UTC", `${tomorrow}T12:00Z`)}, 09:00` });
  return list;
}

function Snooze({ row, zone, on, onClose }) {
  const [own, setOwn] = useState(() => localText(zone, Date.now() + 2 * HOUR));
  const until = (due, text) => {
    onClose();
    on.run("snooze", row, { due, zone: due.includes("T") ? zone : undefined, text });
  };
  return (
    <Dialog title={`Snooze: ${who(row)}`} onClose={onClose}>
      <ul class="big-choices">
        {choices(zone).map((one, i) => (
          <li key={one.test}><button type="button" autofocus={i === 0} onClick={() => until(one.due, one.at === one.words ? one.words : `until ${one.at}`)} data-testid={one.test}>{one.words}<span class="mute">{one.at}</span></button></li>
        ))}
      </ul>
      <form class="own-time" onSubmit={(e) => { e.preventDefault(); until(own, `until ${own.replace("T", " ")}`); }}>
        <label for="own-time">Another time <span class="mute">({zone})</span></label>
        <div class="line">
          <input id="own-time" type="datetime-local" required value={own} min={localText(zone, Date.now())} onInput={(e) => setOwn(e.target.value)} />
          <button type="submit" data-testid="snooze-own">Snooze</button>
        </div>
      </form>
    </Dialog>
  );
}

function More({ row, on, onClose }) {
  const item = (what, icon, words, test, first = false) => (
    <li><button type="button" autofocus={first} onClick={() => on.ask(what, row)} data-testid={test}><span class="line"><Icon name={icon} size={18} />{words}</span></button></li>
  );
  return (
    <Dialog title={who(row)} onClose={onClose}>
      <ul class="big-choices">
        {item("note", "check", "Done, with a note", "callback-note", true)}
        {item("reassign", "callback", "Give it to somebody else", "callback-reassign")}
        {item("cancel", "close", "Cancel: no call is needed", "callback-cancel")}
        {item("history", "clock", "What happened so far", "callback-history")}
      </ul>
    </Dialog>
  );
}

// Done or cancelled, with a word about it.
function Note({ verb, row, text = "", on, onClose }) {
  const [note, setNote] = useState(text);
  const words = verb === "done" ? ["Done", "What came of it", "Done"] : ["Cancel", "Why no call is needed", "Cancel the callback"];
  const send = (e) => {
    e.preventDefault();
    onClose();
    on.run(verb, row, note.trim() ? { note: note.trim() } : {});
  };
  return (
    <Dialog title={`${words[0]}: ${who(row)}`} onClose={onClose}>
      <form class="stack" onSubmit={send}>
        <label for="note">{words[1]} <span class="mute">(may be empty)</span></label>
        <textarea id="note" rows={3} maxLength={1000} value={note} autofocus onInput={(e) => setNote(e.target.value)} />
        <div class="dialog-end">
          <button type="button" onClick={onClose} data-testid="dialog-no">Go back</button>
          <button type="submit" class={verb === "cancel" ? "main bad" : "main"} data-testid="dialog-yes">{words[2]}</button>
        </div>
      </form>
    </Dialog>
  );
}

function Reassign({ row, names, on, onClose }) {
  const others = names.filter((name) => name !== row.assignee);
  const [to, setTo] = useState("");
  const give = (name) => {
    onClose();
    on.run("reassign", row, { to: name });
  };
  return (
    <Dialog title={`Who calls ${who(row)}?`} onClose={onClose}>
      {others.length > 0 && <ul class="big-choices">{others.map((name) => <li key={name}><button type="button" onClick={() => give(name)}><Sent>{name}</Sent></button></li>)}</ul>}
      <form class="own-time" onSubmit={(e) => { e.preventDefault(); give(to.trim()); }}>
        <label for="to">{others.length ? "Somebody else" : "Their mail address"}</label>
        <div class="line">
          <input id="to" type="text" class="grow" required pattern=".*\S.*" maxLength={200} placeholder="name@example.org" autocomplete="off" value={to} onInput={(e) => setTo(e.target.value)} />
          <button type="submit">Give it to them</button>
        </div>
      </form>
    </Dialog>
  );
}

const words = { scheduled: "Asked for", due: "Fell due", snoozed: "Snoozed", reassigned: "Given to somebody else", missed: "Nobody called in time",
  done: "Done", cancelled: "Cancelled", updated: "Asked for once more" };

function History({ id, row, zone, writes, on, onClose }) {
  const query = useQuery(`/callbacks/${segment(id ?? row.id)}`, {}, ["callbacks"]);
  const one = query.data;
  const open = one && one.status !== "done" && one.status !== "cancelled";
  const then = (what) => () => on.ask(what, one);
  return (
    <Dialog title={one ? who(one) : row ? who(row) : "Callback"} onClose={onClose} tall testid="callback-dialog">
      {query.error && !one && <Failure error={query.error.status === 404 ? new Error("There is no such callback any more.") : query.error} retry={query.reload} />}
      {!one && !query.error && <Loading rows={4} />}
      {one && (
        <>
          <dl class="facts">
            <dt>State</dt><dd><Badge state={one.status} /></dd>
            <dt>Number</dt><dd><PhoneNumber number={one.number} name={who(one)} /></dd>
            <dt>Due</dt><dd>{whenText(zone, one.due_at)}</dd>
            <dt>For</dt><dd>{one.assignee ? <Sent>{one.assignee}</Sent> : "nobody in particular"}</dd>
            {one.reason && <><dt>Why</dt><dd class="words"><Sent>{one.reason}</Sent></dd></>}
            {one.note && <><dt>Note</dt><dd class="words"><Sent>{one.note}</Sent></dd></>}
            <dt>Asked by</dt><dd><Link to={`/rules/${segment(one.rule)}`}><Sent>{one.rule}</Sent></Link></dd>
            {one.event_id && <><dt>Because of</dt><dd><Link to={`/events/${one.event_id}`}>this event</Link></dd></>}
          </dl>
          <section aria-labelledby="history-title">
            <h3 id="history-title">What happened</h3>
            <ol class="history">
              {one.history.map((step, i) => (
                <li key={i}>
                  <time class="at mute" dateTime={step.at}>{whenText(zone, step.at)}</time>
                  <span><b>{words[step.what] ?? step.what}</b> {step.by !== "engine" && <span class="mute">by <Sent>{step.by}</Sent></span>}{step.detail && <span class="words"><br /><Sent>{step.detail}</Sent></span>}</span>
                </li>
              ))}
            </ol>
          </section>
          {writes && open && (
            <div class="dialog-end">
              <button type="button" onClick={then("cancel")}>Cancel it</button>
              <button type="button" onClick={then("snooze")}>Snooze</button>
              <button type="button" class="main" onClick={then("note")}>Done</button>
            </div>
          )}
        </>
      )}
    </Dialog>
  );
}

export function CallbackDialog({ what, ...rest }) {
  if (what === "snooze") return <Snooze {...rest} />;
  if (what === "reassign") return <Reassign {...rest} />;
  if (what === "note") return <Note verb="done" {...rest} />;
  if (what === "cancel") return <Note verb="cancel" {...rest} />;
  if (what === "history") return <History {...rest} />;
  return <More {...rest} />;
}
