import "./attention.css";
import { many } from "./act.js";
import { Icon } from "./icon.jsx";
import { Link } from "./link.jsx";
import { Sent } from "./text.jsx";
import { Time } from "./time.jsx";

// What needs a person now (GET /attention), each with the way there; or that nothing does. One line, there
// from the beginning: what comes or goes in it moves nothing below.
export function Attention({ data }) {
  const links = data ? linksOf(data) : [];
  return (
    <div class="attention" data-testid="attention">
      {data && links.length === 0 && <p class="calm"><Icon name="check" size={18} />Nothing needs you now.</p>}
      {links.length > 0 && (
        <ul aria-label="Needs somebody">
          {links.map(([to, icon, tone, words]) => <li key={icon}><Link to={to} class={tone}><Icon name={icon} size={18} /><span>{words}</span></Link></li>)}
        </ul>
      )}
      {data?.certificate && <Certificate of={data.certificate} />}
      {data?.reload_failed && <ReloadError failed={data.reload_failed} />}
    </div>
  );
}

function linksOf({ dead, paused_rules: paused = [], overdue_callbacks: overdue = 0, reload_failed: failed }) {
  const runs = dead?.runs ?? 0;
  const outbox = dead?.outbox ?? 0;
  const links = [];
  if (runs + outbox > 0) links.push(["/dead", "dead", "bad", many(runs + outbox, "dead letter")]);
  if (failed) links.push(["/rules", "rules", "bad", "Changed rules do not load"]);
  if (overdue > 0) links.push(["/callbacks", "callback", "warn", `${many(overdue, "callback")} overdue`]);
  if (paused.length > 0) {
    const name = paused[0].rule ?? paused[0];
    links.push([paused.length === 1 ? `/rules/${encodeURIComponent(name)}` : "/rules", "pause", "warn", `${many(paused.length, "rule")} paused`]);
  }
  return links;
}

function Certificate({ of }) {
  return <p class="attention-why">The certificate ends: <Time at={of.not_after} />. {of.error && <Sent class="mono">{of.error}</Sent>}</p>;
}

function ReloadError({ failed }) {
  const first = failed.errors?.[0];
  const text = first ? [first.file && `${first.file}${first.line ? `:${first.line}` : ""}`, first.msg.split("\n")[0]].filter(Boolean).join(": ") : failed.message;
  return text ? <p class="attention-why">The rules of before go on. <Sent class="mono">{text}</Sent></p> : null;
}
