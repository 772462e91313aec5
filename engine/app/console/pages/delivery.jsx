// One delivery: what was sent, to whom, what they said, and what can still be done.
import { segment } from "../api.js";
import { useQuery } from "../hooks.js";
import { act, single } from "../parts/act.js";
import { Code } from "../parts/code.jsx";
import { Dialog, useQuestion } from "../parts/dialog.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Loading, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time } from "../parts/time.jsx";

const words = { queued: "under way", sent: "sent", dead: "given up", dropped: "dropped" };
const isJson = (text) => /^\s*[[{]/.test(text ?? "");

function Text({ title, text, testid }) {
  if (!text) return null;
  return (
    <section class="delivery-part">
      <h3>{title}</h3>
      <Code text={text} language={isJson(text) ? "json" : undefined} label={title} testid={testid} />
    </section>
  );
}

function Recipients({ of }) {
  const all = Object.entries(of ?? {});
  if (all.length === 0) return null;
  return (
    <section class="delivery-part">
      <h3>Recipients</h3>
      <ul class="recipients">
        {all.map(([to, is]) => (
          <li key={to}><span><Sent>{to}</Sent> <Badge state={is.state}>{words[is.state] ?? is.state}</Badge></span>{is.answer && <span class="mute"><Sent>{is.answer}</Sent></span>}</li>
        ))}
      </ul>
    </section>
  );
}

function Whole({ one }) {
  const sent = one.payload ?? {};
  const headers = Array.isArray(sent.headers) ? sent.headers : Object.entries(sent.headers ?? {});
  return (
    <>
      <dl class="facts">
        <dt>State</dt><dd><Badge state={one.state}>{words[one.state]}</Badge>{one.error && <p class={one.state === "dead" ? "bad-text" : ""}><Sent>{one.error}</Sent></p>}</dd>
        <dt>{one.kind === "email" ? "To" : "Call"}</dt><dd><Sent>{sent.url ? `${sent.method} ${sent.url}` : one.to}</Sent></dd>
        {sent.subject !== undefined && <><dt>Subject</dt><dd><Sent>{sent.subject}</Sent></dd></>}
        <dt>Attempts</dt><dd>{one.attempts}{one.next_at && <>, the next <Time at={one.next_at} ago /></>}</dd>
        <dt>Asked for</dt><dd><Time at={one.created_at} />{one.rule && <> by <Link to={`/rules/${segment(one.rule)}`}><Sent>{one.rule}</Sent></Link></>}</dd>
        {one.sent_at && <><dt>Sent</dt><dd><Time at={one.sent_at} /></dd></>}
        {one.event_id && <><dt>Because of</dt><dd><Link to={`/events/${one.event_id}`}>this event</Link></dd></>}
      </dl>
      <Recipients of={one.recipients} />
      <Text title={one.status ? `The answer: ${one.status}` : "The answer"} text={one.answer} testid="delivery-answer" />
      {!one.answer && one.status > 0 && <p>The answer was {one.status}, without a text.</p>}
      {headers.length > 0 && <Text title="Headers" text={headers.map(([name, value]) => `${name}: ${value}`).join("\n")} />}
      <Text title={one.kind === "email" ? "Text" : "Body"} text={sent.text ?? sent.body} testid="delivery-body" />
      {sent.html && <Text title="HTML, as text" text={sent.html} />}
    </>
  );
}

export function DeliveryDialog({ id, writes, onClose }) {
  const query = useQuery(`/outbox/${segment(id)}`, {}, ["outbox"]);
  const [question, ask] = useQuestion();
  const one = query.data;
  const redrive = async () => {
    if (await act("post", `/outbox/${segment(id)}/redrive`, undefined, "Brought back: it is sent again.")) query.reload();
  };
  const drop = async () => {
    const yes = await ask({ title: "Drop this delivery?", text: "It will never be sent. This cannot be taken back.", yes: "Drop it", danger: true });
    if (yes && await act("post", `/outbox/${segment(id)}/drop`, undefined, "Dropped: it is not sent any more.")) query.reload();
  };
  return (
    <Dialog title={one?.kind === "http" ? "HTTP call" : one ? "Email" : "Delivery"} onClose={onClose} wide tall testid="delivery">
      <Trouble query={query} />
      {!one && !query.error && <Loading rows={6} />}
      {one && <Whole one={one} />}
      {one?.state === "dead" && writes && (
        <div class="dialog-end">
          <button type="button" class="danger" onClick={drop} data-testid="drop">Drop</button>
          <button type="button" class="main" onClick={single(redrive)} data-testid="redrive"><Icon name="again" size={18} />Send it again</button>
        </div>
      )}
      {question}
    </Dialog>
  );
}
