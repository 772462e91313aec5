import { useRef } from "preact/hooks";
import { may, segment } from "../api.js";
import { useQuery } from "../hooks.js";
import { act, many, single } from "../parts/act.js";
import { Head } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Empty, Loading, LooksOn, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time, microseconds } from "../parts/time.jsx";
import { ErrorText, errorParts } from "./error.jsx";
import { count, runsOf, share } from "./rule_words.js";
import "./rules.css";

// What makes a rule run.
export function Reacts({ rule, words = "on" }) {
  if (rule.every) return <span>by the clock: <Sent>{rule.every}</Sent></span>;
  return <span>{words} <Sent>{(rule.on ?? []).join(", ") || "nothing"}</Sent></span>;
}

// Pause it, or let it go on; what waited meanwhile runs then.
export function PauseButton({ rule, small = false, done }) {
  const on = rule.state === "on";
  const turn = () => act("post", `/rules/${segment(rule.rule)}/${on ? "pause" : "resume"}`, {}, (answer) =>
    on ? `Paused: ${rule.rule}. Its events are kept until it goes on.`
      : `Goes on: ${rule.rule}.${answer.kept > 0 ? ` ${many(answer.kept, "kept event")} run first.` : ""}`).then(done);
  return (
    <button type="button" class={`${small ? "small" : ""} ${on ? "" : "main"}`} onClick={single(turn)} data-testid={on ? "pause" : "resume"} aria-label={`${on ? "Pause" : "Resume"} ${rule.rule}`}>
      <Icon name={on ? "pause" : "play"} size={16} />{on ? "Pause" : "Resume"}
    </button>
  );
}

// Who stopped it, and what waits since.
export function PausedWords({ rule }) {
  if (rule.state === "on") return null;
  if (rule.state === "resuming") return <p class="mute">Goes on: {many(rule.kept, "kept event")} to run first.</p>;
  return (
    <p class="paused-words">
      Paused <Time at={rule.since} ago /> by {rule.by && rule.by !== "engine" ? <Sent>{rule.by}</Sent> : "the engine, because it kept failing"}; {many(rule.kept, "event")} kept.
    </p>
  );
}

export const stateWords = { on: "on", paused: "paused", resuming: "resuming" };

function Row({ rule, writes, reload }) {
  const { runs, failed } = runsOf(rule);
  const troubled = rule.failures > 0 && rule.error;
  return (
    <tr data-testid="rule-row" data-name={rule.rule} data-state={rule.state}>
      <th scope="row">
        <Link class="rule-name" to={`/rules/${segment(rule.rule)}`}><Sent>{rule.rule}</Sent></Link>
        <span class="rule-on mute"><Reacts rule={rule} />{!rule.live && ", in no file any more"}</span>
        <PausedWords rule={rule} />
        {troubled && <p class="rule-error"><Sent>{errorParts(rule.error).words}</Sent></p>}
      </th>
      <td class="rule-state"><Badge state={rule.state}>{stateWords[rule.state]}</Badge></td>
      <td class="n">{count(runs)}</td>
      <td class={failed > 0 ? "n bad-text" : "n"}>{runs > 0 ? share(failed / runs) : "–"}</td>
      <td class="n wide">{microseconds(rule.time?.mean_us)}</td>
      <td class="n wide">{microseconds(rule.time?.p95_us)}</td>
      {writes && <td class="rule-do"><PauseButton rule={rule} small done={reload} /></td>}
    </tr>
  );
}

// Which rule set is live, and why the last one did not make it.
function Live() {
  const status = useQuery("/status", {}, ["generations"]);
  const now = status.data;
  if (!now) return <p class="mute rules-live">{status.error ? "" : "\u00a0"}</p>;
  const last = now.reload?.last;
  const failed = last && !last.ok;
  return (
    <>
      <p class="mute rules-live">
        {many(now.generation.rules, "rule")} of {many(now.generation.files, "file")}, live since <Time at={now.generation.since} />{" "}
        <span class="wide">(generation <span class="mono">{now.generation.id}</span>)</span>
        {now.generation.finishing > 0 && `; ${many(now.generation.finishing, "run")} of the rules before still going on`}
      </p>
      {failed && (
        <section class="panel reload-failed" aria-labelledby="reload-failed" data-testid="reload-failed">
          <h2 id="reload-failed"><Icon name="alert" />The files have changed, but cannot be taken up</h2>
          <p class="mute">Tried <Time at={last.at} ago />. The rules of before go on until this is mended.</p>
          <ul>
            {last.errors.map((error, i) => (
              <li key={i}>
                {error.file && <span class="mono"><Sent>{`${error.file}${error.line ? `:${error.line}` : ""}`}</Sent></span>}
                <ErrorText text={error.msg} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const order = (rule) => (rule.state !== "on" ? 0 : rule.failures > 0 || runsOf(rule).failed > 0 ? 1 : 2);

export function Rules({ session }) {
  const writes = may(session, "operator");
  const query = useQuery("/rules", {}, ["rules", "generations", "runs"]);
  const ranks = useRef(new Map()); // as they stood when the page was opened: no rule moves under who reads
  const items = query.data?.items ?? [];
  for (const rule of items) if (!ranks.current.has(rule.rule)) ranks.current.set(rule.rule, order(rule));
  const rank = (rule) => ranks.current.get(rule.rule);
  const rules = items.map((rule, i) => [rule, i]).sort(([a, i], [b, j]) => rank(a) - rank(b) || i - j).map(([rule]) => rule);
  return (
    <>
      <Head title="Rules" />
      <LooksOn session={session} to="pause a rule" />
      <Live />
      <Trouble query={query} />
      {query.loading && !query.data && <Loading rows={8} />}
      {query.data && rules.length === 0 && (
        <Empty title="No rules yet" icon="rules">
          <p>A rule says what is to happen when an event comes. Write one to start from:</p>
          <p><code>switchhook new "Call back after a missed call"</code></p>
        </Empty>
      )}
      {rules.length > 0 && (
        <div class="panel rules-box">
          <table class="table rules">
            <caption class="sr">The rules, those that need a look first. Runs and errors of late, times of a run.</caption>
            <thead>
              <tr>
                <th scope="col">Rule</th><th scope="col" class="rule-state">State</th><th scope="col" class="n">Runs</th><th scope="col" class="n">Errors</th>
                <th scope="col" class="n wide">Mean</th><th scope="col" class="n wide"><abbr title="19 of 20 runs are at least as quick">p95</abbr></th>
                {writes && <th scope="col" class="rule-do"><span class="sr">Pause or resume</span></th>}
              </tr>
            </thead>
            <tbody>{rules.map((rule) => <Row key={rule.rule} rule={rule} writes={writes} reload={query.reload} />)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}
