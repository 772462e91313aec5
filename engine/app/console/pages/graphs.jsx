import { useEffect, useState } from "preact/hooks";
import { setParams, useQuery } from "../hooks.js";
import { Head } from "../parts/frame.jsx";
import { Trouble } from "../parts/state.jsx";
import { atText, countText, msText, Plot } from "../parts/plot.jsx";
import "./graphs.css";

// [name, words, step in seconds, asked for again after so many]
const ranges = [["15m", "15 min", 10, 5], ["1h", "1 h", 30, 10], ["6h", "6 h", 180, 60], ["24h", "24 h", 600, 120], ["7d", "7 d", 3600, 600], ["30d", "30 d", 14400, 600]];

export const line = (name, label, colour, more = {}) => ({ name, label, colour, ...more });
const graphs = [
  { name: "events", title: "Events", series: [line("events", "stored", "--accent", { fill: true }), line("duplicates", "known already", "--mute")] },
  { name: "runs", title: "Runs and deliveries", series: [line("runs", "runs", "--accent", { fill: true }), line("sent", "sent", "--good")] },
  { name: "errors", title: "Errors", errors: true, series: [line("dead", "given up", "--bad", { thick: 2.5 }), line("failed", "failed", "--warn"), line("refused", "refused", "--mute"), line("send_failed", "not sent", "--accent")] },
  { name: "backlog", title: "Backlog", most: true, series: [line("backlog", "events that wait", "--accent", { fill: true })] },
  { name: "ack", title: "Time to the sender's answer", unit: "ms", series: [line("ack_p50_ms", "half within", "--accent"), line("ack_p99_ms", "99 % within", "--warn")] },
  { name: "settle", title: "Time until rules are through", unit: "ms", series: [line("settle_p50_ms", "half within", "--accent"), line("settle_p99_ms", "99 % within", "--warn")] },
];

const known = (column) => column.filter((v) => v !== null);
const most = (column) => known(column).reduce((a, b) => Math.max(a, b), 0);
const sum = (column) => known(column).reduce((a, b) => a + b, 0);

const text = (graph, value) => (graph.unit === "ms" ? msText(value) : countText(value));
const isCount = (graph) => graph.unit !== "ms" && !graph.most;

// What a graph says, in a sentence.
function summary(graph, data) {
  if (!data) return "\u00a0";
  if (graph.series.every(({ name }) => known(data[name]).length === 0)) return "Nothing is known of this time.";
  if (graph.errors && graph.series.every(({ name }) => sum(data[name]) === 0)) return "None: all is well.";
  if (isCount(graph)) return graph.series.map(({ name, label }) => `${countText(sum(data[name]))} ${label}`).join(", ");
  if (graph.most && most(data.backlog) === 0) return "Nothing had to wait";
  if (graph.most) return `At most ${countText(most(data.backlog))} waited at a time`;
  return `${graph.series.map(({ name, label }) => `${label} ${msText(most(data[name]))}`).join(", ")}, at worst`;
}

// The same as a table of a dozen rows: counts are added up, of what waits and of times the most is told.
function Table({ graph, data }) {
  const every = Math.ceil(data.at.length / 12);
  const rows = [];
  for (let i = 0; i < data.at.length; i += every) rows.push(i);
  const of = (column, i) => {
    const part = known(column.slice(i, i + every));
    return part.length === 0 ? "not known" : text(graph, isCount(graph) ? sum(part) : most(part));
  };
  return (
    <table class="table graph-table">
      <thead><tr><th scope="col">From</th>{graph.series.map(({ name, label }) => <th scope="col" class="n" key={name}>{label}</th>)}</tr></thead>
      <tbody>
        {rows.map((i) => <tr key={i}><th scope="row">{atText(data.at[i], 60)}</th>{graph.series.map(({ name }) => <td class="n" key={name}>{of(data[name], i)}</td>)}</tr>)}
      </tbody>
    </table>
  );
}

function AsText({ graph, data }) {
  const [open, set] = useState(false);
  return (
    <details onToggle={(e) => set(e.currentTarget.open)}>
      <summary aria-label={`${graph.title} as text`}>As text</summary>
      {open && data && <Table graph={graph} data={data} />}
    </details>
  );
}

export function Graph({ graph, data }) {
  const words = summary(graph, data);
  return (
    <figure class="panel graph" data-testid="graph" data-series={graph.name}>
      <figcaption>
        <h2>{graph.title}</h2>
        <p class="mute">{words}</p>
      </figcaption>
      <Plot series={graph.series} data={data} unit={graph.unit} label={`${graph.title}: ${words}`} />
      <AsText graph={graph} data={data} />
    </figure>
  );
}

// A step that is not over would look like a fall.
function whole(data) {
  if (!data) return null;
  const n = data.at.length;
  if (n < 2 || (data.at[n - 1] + data.step_s) * 1000 <= Date.now()) return data;
  return Object.fromEntries(Object.entries(data).map(([name, column]) => [name, Array.isArray(column) ? column.slice(0, n - 1) : column]));
}

const spans = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

function stepText(s) {
  const [size, word] = spans.find(([span]) => s % span === 0);
  return s === size ? `each ${word}` : `each ${s / size} ${word}s`;
}

export function useSeries(params, seconds) {
  const query = useQuery("/series", params);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && query.reload(), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds, query.reload]);
  const [data, set] = useState(null);
  useEffect(() => set(whole(query.data)), [query.data]);
  return { ...query, data };
}

// What the plots are of, or why there is nothing in them.
function note(data) {
  if (!data) return "\u00a0";
  if (known(data.backlog).length === 0) return "No figures yet: the engine did not run then, or began just now. They come by themselves.";
  return `Counts are of ${stepText(data.step_s)}. Where a line is broken, nothing is known.`;
}

export function Graphs({ params }) {
  const range = ranges.find(([name]) => name === params.get("range")) ?? ranges[1];
  const [name, , step, again] = range;
  const query = useSeries({ from: name, step }, again);
  return (
    <>
      <Head title="Graphs">
        <fieldset class="choices" data-testid="ranges">
          <legend class="sr">How far back</legend>
          {ranges.map(([value, words]) => (
            <button type="button" key={value} aria-pressed={value === name ? "true" : "false"} onClick={() => setParams({ range: value })} data-testid={`range-${value}`}>{words}</button>
          ))}
        </fieldset>
      </Head>
      <Trouble query={query} />
      <p class="mute graphs-note" aria-live="off">{note(query.data)}</p>
      <div class="graphs" aria-busy={query.data ? undefined : "true"}>
        {graphs.map((graph) => <Graph key={graph.name} graph={graph} data={query.data} />)}
      </div>
    </>
  );
}
