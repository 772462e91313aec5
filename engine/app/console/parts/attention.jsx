import "./attention.css";
import { many } from "./act.js";
import { Icon } from "./icon.jsx";
import { Link } from "./link.jsx";
import { Sent } from "./text.jsx";

// What needs a person now (GET /attention): a line each, with the way there. Nothing: nothing.
export function Attention({ data }) {
  if (!data) return null;
  const dead = (data.dead?.runs ?? 0) + (data.dead?.outbox ?? 0);
  const paused = data.paused_rules ?? [];
  const named = paused.slice(0, 2).map((rule) => rule.rule ?? rule);
  const lines = [];
  if (data.reload_failed)
    lines.push(["/rules", "rules", "bad", <>The changed rules do not load; those of before go on. <ReloadError failed={data.reload_failed} /></>, "See rules"]);
  if (dead > 0) lines.push(["/dead", "dead", "bad", <>{many(dead, "dead letter")}: {deadText(data.dead)}</>, "Mend"]);
  if (paused.length > 0)
    lines.push([paused.length === 1 ? `/rules/${encodeURIComponent(named[0])}` : "/rules", "pause", "warn",
      <>{paused.length === 1 ? "Rule" : "Rules"} <Sent>{named.join(", ")}</Sent>{paused.length > 2 ? ` and ${paused.length - 2} more` : ""} {paused.length === 1 ? "is" : "are"} paused</>, "See why"]);
  if (data.overdue_callbacks > 0) lines.push(["/callbacks", "callback", "warn", <>{many(data.overdue_callbacks, "callback is", "callbacks are")} overdue</>, "Work through"]);
  if (lines.length === 0) return null;
  return (
    <ul class="attention" aria-label="Needs somebody" data-testid="attention">
      {lines.map(([to, icon, tone, words, action]) => (
        <li key={icon}>
          <Link to={to} class={tone}><Icon name={icon} size={18} /><span class="grow">{words}</span><span class="attention-do">{action}</span></Link>
        </li>
      ))}
    </ul>
  );
}

function deadText({ runs = 0, outbox = 0 }) {
  const parts = [];
  if (runs) parts.push(many(runs, "run of a rule", "runs of rules"));
  if (outbox) parts.push(many(outbox, "delivery", "deliveries"));
  return parts.join(", ");
}

function ReloadError({ failed }) {
  const first = failed.errors?.[0];
  const text = first ? [first.file && `${first.file}${first.line ? `:${first.line}` : ""}`, first.msg].filter(Boolean).join(": ") : failed.message;
  return text ? <Sent class="mono">{text}</Sent> : null;
}
