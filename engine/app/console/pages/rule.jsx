import { may, segment } from "../api.js";
import { useRef } from "preact/hooks";
import { useNow, useQuery } from "../hooks.js";
import { many } from "../parts/act.js";
import { Code } from "../parts/code.jsx";
import { Head } from "../parts/frame.jsx";
import { Link } from "../parts/link.jsx";
import { Badge, Empty, Failure, Loading, Trouble } from "../parts/state.jsx";
import { Sent } from "../parts/text.jsx";
import { Time, microseconds } from "../parts/time.jsx";
import { ErrorText, errorParts } from "./error.jsx";
import { Graph, line, useSeries } from "./graphs.jsx";
import { count, runsOf, share } from "./rule_words.js";
import { PauseButton, PausedWords, Reacts, stateWords } from "./rules.jsx";
import "./rules.css";

const noRuns = [];

function Figures({ rule }) {
  const { runs, failed } = runsOf(rule);
  const figures = [
    ["Runs of late", count(runs)],
    ["Errors", runs > 0 ? share(failed / runs) : "–"],
    ["Dead", count(rule.recent.dead)],
    ["Mean", microseconds(rule.time?.mean_us)],
    ["p95", microseconds(rule.time?.p95_us)],
    ["Slowest", microseconds(rule.time?.max_us)],
  ];
  return <dl class="rule-figures">{figures.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

const REST_MS = 2500; // a pointer that has not moved for so long does not aim at a row
const runId = (run) => `${run.event_id} ${run.rule}`;

// Rows as they were while one of them has the focus or is aimed at; what became of them is seen.
function useHeld(rows) {
  useNow(); // lets new ones in once it is over
  const box = useRef(null);
  const pointer = useRef(0);
  const shown = useRef([]);
  const held = box.current?.contains(document.activeElement) || Date.now() - pointer.current < REST_MS;
  const now = new Map(rows.map((row) => [runId(row), row]));
  shown.current = held && shown.current.length > 0 ? shown.current.map((row) => now.get(runId(row)) ?? row) : rows;
  return [shown.current, { ref: box, onPointerMove: (e) => (pointer.current = e.pointerType === "mouse" ? Date.now() : 0) }];
}

function Runs({ name }) {
  const query = useQuery("/runs", { rule: name, limit: 20 }, ["runs"]);
  const [runs, box] = useHeld(query.data?.items ?? noRuns);
  return (
    <section aria-labelledby="runs-title">
      <h2 id="runs-title">Its latest runs</h2>
      <Trouble query={query} />
      {!query.data && !query.error && <Loading rows={3} />}
      {query.data && runs.length === 0 && <Empty title="It has not run yet" icon="clock"><p>It runs when an event comes that it reacts to. Try one in the <Link to="/playground">playground</Link>.</p></Empty>}
      {runs.length > 0 && (
        <div class="panel runs-box">
          <ul class="runs" {...box}>
            {runs.map((run) => (
              <li key={runId(run)} data-testid="rule-run" data-outcome={run.outcome}>
                <Link class="run-link" to={`/events/${run.event_id}`}>
                  <span><Badge state={run.outcome} /></span>
                  <span class="cut"><Sent>{run.type}</Sent> {run.key && <Sent class="mute">{run.key}</Sent>}</span>
                  <span class="n">{run.attempts > 1 ? many(run.attempts, "attempt") : microseconds(run.duration_ms * 1000)}</span>
                  <span class="at"><Time at={run.started_at} /></span>
                  {run.error && <span class="run-error cut"><Sent>{errorParts(run.error).words}</Sent></span>}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

const graph = { name: "rule", title: "Its last hour", series: [line("runs", "runs", "--accent", { fill: true }), line("failed", "failed", "--warn"), line("dead", "given up", "--bad", { thick: 2.5 })] };

// Of the first 200 rules the engine knows the last hour.
function LastHour({ name }) {
  const query = useSeries({ rule: name, step: 30 }, 10);
  if (query.error && !query.data) return null;
  return <Graph graph={graph} data={query.data} />;
}

function Source({ source, at }) {
  if (!source) return null;
  const mark = at ?? source.line;
  return (
    <section aria-labelledby="source-title">
      <h2 id="source-title">Source <span class="mute mono">{source.file}:{mark}</span></h2>
      <Code key={`${source.file}:${mark}`} text={source.text} language="lua" numbers tall mark={mark} until={at ?? source.last_line ?? mark} label={`Source of ${source.file}, read-only`} testid="rule-source" />
    </section>
  );
}

export function RulePage({ name, params, session }) {
  const query = useQuery(`/rules/${segment(name)}`, {}, ["rules", "generations", "runs"]);
  const rule = query.data;
  const at = Number.parseInt(params.get("line") ?? "", 10) || undefined;
  return (
    <>
      <Head title={name} isolate>
        {rule && may(session, "operator") && <PauseButton rule={rule} done={query.reload} />}
      </Head>
      {query.error && !rule && (query.error.status === 404
        ? <Empty title="There is no such rule" icon="rules"><p>{query.error.message}</p><p><Link to="/rules">All rules</Link></p></Empty>
        : <Failure error={query.error} retry={query.reload} />)}
      {!rule && !query.error && <Loading rows={8} />}
      {rule && (
        <div class="rule-page">
          <div class="rule-sub">
            <Badge state={rule.state}>{stateWords[rule.state]}</Badge>
            <span class="mute"><Reacts rule={rule} words="reacts to" /></span>
            {rule.file && <span class="mute mono">{rule.file}:{rule.line}</span>}
            {!rule.live && <span class="mute">No file has it any more; only its pause is left.</span>}
            <PausedWords rule={rule} />
          </div>
          {rule.error && rule.failures > 0 && (
            <section class="panel" aria-labelledby="error-title">
              <h2 id="error-title">It fails: {many(rule.failures, "time")} in a row</h2>
              <ErrorText text={rule.error} rule={name} />
              <p>{rule.event_id && <Link to={`/events/${rule.event_id}`}>The event it failed on last</Link>}{rule.recent.dead > 0 && <>, <Link to="/dead">{many(rule.recent.dead, "dead letter")}</Link></>}</p>
            </section>
          )}
          <Figures rule={rule} />
          <Source source={rule.source} at={at} />
          {rule.live && <LastHour name={name} />}
          <Runs name={name} />
        </div>
      )}
    </>
  );
}
