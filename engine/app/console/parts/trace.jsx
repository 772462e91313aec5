// What each rule did with an event, and why the others did nothing: on the page of an event and in the playground.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { many } from "./act.js";
import { Code } from "./code.jsx";
import { Effects } from "./effects.jsx";
import { Icon } from "./icon.jsx";
import { Link } from "./link.jsx";
import { Sent } from "./text.jsx";
import { Time, microseconds } from "./time.jsx";
import "./trace.css";

const outcomes = {
  done: ["good", "check", "Done"],
  failed: ["warn", "alert", "Failed, is tried again"],
  retry: ["warn", "alert", "Failed, is tried again"],
  dead: ["bad", "alert", "Failed for good"],
  dropped: ["mute", "close", "Failed, dropped"],
  paused: ["warn", "pause", "Waits: its rule is paused"],
  waiting: ["busy", "clock", "Waits for its turn"],
  would_run: ["mute", "clock", "Would run now"],
  would_fail: ["warn", "alert", "Its condition fails"],
};

const ruleAt = (rule, line) => `/rules/${encodeURIComponent(rule)}${line ? `?line=${line}` : ""}`;

// "rules/crm.lua:21: rule "A": attempt to ...\n  hint: ..." -> its parts
function readError(text) {
  const [first, ...rest] = text.split("\n");
  const found = /^((?:rules|scripts)\/[^:\s]+):(\d+): (?:rule "(?:[^"\\]|\\.)*": )?(.*)$/.exec(first);
  const hints = rest.map((line) => /^\s*hint: (.*)$/.exec(line)?.[1]);
  const hint = hints.filter(Boolean).join(" ");
  const more = rest.filter((_, i) => !hints[i]).join("\n");
  return { file: found?.[1], line: found ? Number(found[2]) : null, words: found ? found[3] : first, hint, more };
}

function Problem({ step }) {
  const { file, line, words, hint, more } = readError(step.error);
  return (
    <div class={`problem ${step.outcome === "dropped" ? "over" : ""}`}>
      <p><Sent class="strong">{words}</Sent></p>
      {hint && <p><span class="mute">Hint:</span> <Sent>{hint}</Sent></p>}
      {more.trim() && <pre><Sent>{more}</Sent></pre>}
      {file && <p>{!step.file || step.file === file ? <Link to={ruleAt(step.rule, line)} class="mono">{file}:{line}</Link> : <code>{file}:{line}</code>}</p>}
    </div>
  );
}

function Attempts({ step }) {
  const n = step.attempts ?? step.attempt;
  const next = step.next_at ?? step.retry_at;
  const waits = step.outcome === "retry" || step.outcome === "failed";
  const parts = [];
  if (n > 1 || (n && step.error)) parts.push(many(n, "attempt"));
  if (step.duration_ms) parts.push(microseconds(step.duration_ms * 1000));
  return <span class="step-facts">{parts.join(" · ")}{waits && next && <>{parts.length > 0 && " · "}again <Time at={next} ago={new Date(next) > Date.now()} /></>}</span>;
}

function Logs({ logs }) {
  if (!logs?.length) return null;
  return (
    <ul class="logs" aria-label="Log">
      {logs.map((line, i) => <li key={i} class={line.level}><span class="log-level">{line.level}</span><Sent>{line.text}</Sent></li>)}
    </ul>
  );
}

function Lookups({ lookups }) {
  if (!lookups?.length) return null;
  return <details class="effect-data"><summary>{many(lookups.length, "question")} to other systems</summary><pre><Sent>{JSON.stringify(lookups, null, 2)}</Sent></pre></details>;
}

function Step({ step, links, actions, chosen }) {
  const [tone, icon, words] = outcomes[step.outcome] ?? ["mute", "clock", step.outcome];
  const box = useChosen(chosen);
  const quiet = step.outcome === "done" && !step.effects?.length && !step.logs?.length;
  return (
    <li ref={box} class={`step ${tone} ${chosen ? "chosen" : ""}`} data-testid="event-run" data-rule={step.rule} data-outcome={step.outcome}>
      <span class="step-icon"><Icon name={icon} size={16} /></span>
      <div class="step-head">
        <h3><Link to={ruleAt(step.rule)}><Sent>{step.rule}</Sent></Link></h3>
        <span class="step-outcome">{words}</span>
        <Attempts step={step} />
      </div>
      {step.paused && <p class="mute">The rule is paused: in the engine this event waits for it.</p>}
      {quiet && <p class="mute">It ran, and asked for nothing.</p>}
      {step.outcome === "would_run" && <p class="mute">This rule did not run for this event. With the rules of now it would.</p>}
      {step.error && <Problem step={step} />}
      {step.effects?.length > 0 && <Effects effects={step.effects} rule={step.rule} links={links} />}
      <Logs logs={step.logs} />
      <Lookups lookups={step.lookups} />
      <WhyItRan step={step} />
      {actions?.(step)}
    </li>
  );
}

function useChosen(chosen) {
  const box = useRef(null);
  useEffect(() => {
    if (chosen) box.current?.scrollIntoView({ block: "center" });
  }, [chosen]);
  return box;
}

const valueText = (seen) => {
  if (seen.absent) return "is not there";
  if (typeof seen.value === "string" && !seen.json) return `“${seen.value}${seen.cut ? "…" : ""}”`;
  return `${typeof seen.value === "string" ? seen.value : JSON.stringify(seen.value)}${seen.cut ? "…" : ""}`;
};

function Seen({ when }) {
  if (!when?.looked_at?.length) return <span class="mute seen">nothing of the event</span>;
  return (
    <ul class="seen" aria-label="What it looked at">
      {when.looked_at.map((seen, i) => (
        <li key={i}><Sent class="mono seen-path">{seen.path}</Sent> <Sent class={seen.absent ? "mute" : "strong"}>{valueText(seen)}</Sent></li>
      ))}
      {when.more > 0 && <li class="mute">and {when.more} more</li>}
    </ul>
  );
}

function Condition({ when, rule }) {
  if (!when?.source) return null;
  return <Code text={when.source.replace(/\n$/, "")} language="lua" numbers first={when.line} mark={when.line} until={when.last_line ?? when.line} label={`Condition of ${rule}`} />;
}

// Of a rule that ran: what its condition looked at.
function WhyItRan({ step }) {
  if (!step.when?.looked_at?.length || step.when.returned === "false" || step.when.returned === "nil") return null;
  return (
    <details class="effect-data why-ran">
      <summary>Why it ran</summary>
      <div class="no-more"><p class="mute">Its condition looked at</p><Seen when={step.when} /><Condition when={step.when} rule={step.rule} /></div>
    </details>
  );
}

// A rule whose condition said no: the values that it looked at, and, unfolded, its lines.
function No({ item, chosen }) {
  const box = useChosen(chosen);
  const { when } = item;
  return (
    <li ref={box} class={`no ${chosen ? "chosen" : ""}`} data-testid="why-item" data-rule={item.rule} data-outcome={item.outcome}>
      <details open={chosen}>
        <summary>
          <span class="no-rule"><Sent>{item.rule}</Sent></span>
          {when?.looked_at ? <Seen when={when} /> : <Sent class="mute no-why">{item.why}</Sent>}
        </summary>
        <div class="no-more">
          <p class="mute">Its condition returned <code>{when?.returned ?? "false"}</code>: <Link to={ruleAt(item.rule, when?.line ?? item.line)} class="mono">{when?.file ?? item.file}:{when?.line ?? item.line}</Link></p>
          {item.note && <p class="mute"><Sent>{item.note}</Sent></p>}
          <Condition when={when} rule={item.rule} />
        </div>
      </details>
    </li>
  );
}

const listensFor = (item) => /^on wants (.*), the event's type/.exec(item.why ?? "")?.[1]?.replaceAll('"', "");

function Others({ items, chosen }) {
  const has = items.some((item) => item.rule === chosen);
  return (
    <details class="others" open={has}>
      <summary>{many(items.length, "rule listens", "rules listen")} for other events</summary>
      <ul>
        {items.map((item) => <Other key={item.rule} item={item} chosen={item.rule === chosen} />)}
      </ul>
    </details>
  );
}

function Other({ item, chosen }) {
  const box = useChosen(chosen);
  const wants = listensFor(item);
  return (
    <li ref={box} class={chosen ? "chosen" : ""} data-testid="why-item" data-rule={item.rule} data-outcome={item.outcome}>
      <Link to={ruleAt(item.rule)}><Sent>{item.rule}</Sent></Link>{" "}
      <span class="mute">{wants ? <>listens for <Sent>{wants}</Sent></> : <Sent>{item.why}</Sent>}</span>
    </li>
  );
}

// steps: what ran, or waits, in order; not: [{rule, outcome, why, when}] what did not. chosen: a rule's name.
export function Trace({ steps, not, links, actions, chosen }) {
  const [find, setFind] = useState("");
  const fits = (item) => item.rule.toLowerCase().includes(find.trim().toLowerCase());
  const no = useMemo(() => not.filter((item) => item.outcome === "skipped_when" && fits(item)), [not, find]);
  const others = useMemo(() => not.filter((item) => item.outcome !== "skipped_when" && fits(item)), [not, find]);
  return (
    <>
      {steps.length > 0 && (
        <ol class="trace">
          {steps.map((step) => <Step key={step.rule} step={step} links={links} actions={actions} chosen={step.rule === chosen} />)}
        </ol>
      )}
      {not.length > 0 && (
        <details class="not" open>
          <summary><h3>Did not apply</h3> <span class="count-mute">{not.length}</span></summary>
          {not.length > 20 && <input type="search" class="find-rule" value={find} placeholder="Find a rule" aria-label="Find a rule that did not apply" onInput={(e) => setFind(e.target.value)} />}
          {no.length > 0 && <><p class="mute">The condition (<code>when</code>) said no. It looked at:</p><ul class="nos">{no.map((item) => <No key={item.rule} item={item} chosen={item.rule === chosen} />)}</ul></>}
          {others.length > 0 && <Others items={others} chosen={chosen} />}
          {no.length + others.length === 0 && <p class="mute">No such rule.</p>}
        </details>
      )}
    </>
  );
}
