import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "./plot.css";

// --- colours: as the style sheet has them at the time ---

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

function colour(name, alpha = 1) {
  probe.style.color = `var(${name})`;
  const now = getComputedStyle(probe).color;
  return alpha === 1 ? now : now.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

const plots = new Set();
const repaint = () => {
  for (const plot of plots) plot.redraw();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });

// --- figures and times in words ---

export const countText = (n) => (n === null || n === undefined ? "–" : n >= 1e6 ? `${+(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${+(n / 1e3).toFixed(1)}k` : String(Math.round(n * 10) / 10));
export function msText(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 60000) return `${+(ms / 60000).toFixed(1)} min`;
  if (ms >= 1000) return `${+(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? +ms.toFixed(1) : Math.round(ms)} ms`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const both = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const atText = (s, step) => (step < 60 ? second : both).format(new Date(s * 1000));

const dashes = [undefined, [6, 4], [2, 3], [10, 3, 2, 3]]; // lines differ by more than their colour
// a value alone between gaps is no line: it is a dot
const alone = (u, i) => u.data[0].map((_, k) => k).filter((k) => u.data[i][k] !== null && (u.data[i][k - 1] ?? null) === null && (u.data[i][k + 1] ?? null) === null);
const FONT = "12px system-ui, sans-serif";

function options(series, unit, width, height, onCursor) {
  const text = unit === "ms" ? msText : countText;
  const grid = { stroke: () => colour("--line"), width: 1 };
  const axis = { stroke: () => colour("--mute"), font: FONT, grid, ticks: { ...grid, size: 4 } };
  return {
    width, height, padding: [10, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: "graphs" }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { y: { range: (_u, _min, max) => [0, Math.max(unit === "ms" ? 0.5 : 1, (max ?? 0) * 1.08)] } },
    axes: [
      { ...axis, size: 26, gap: 4, space: 64, values: (_u, at, _i, _space, incr) => at.map((t) => (incr >= 86400 ? day : clock).format(new Date(t * 1000))) },
      { ...axis, size: unit === "ms" ? 58 : 46, gap: 4, space: 32, incrs: unit === "ms" ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8], values: (_u, at) => at.map(text) },
    ],
    series: [{}, ...series.map((one, i) => ({
      stroke: () => colour(one.colour), width: one.thick ?? 1.5, dash: dashes[i], points: { show: true, size: 5, fill: () => colour(one.colour), filter: alone },
      fill: one.fill ? () => colour(one.colour, 0.14) : undefined,
      paths: unit === "ms" ? undefined : uPlot.paths.stepped({ align: 1 }),
    }))],
    hooks: { setCursor: [(u) => onCursor(u.cursor.idx ?? null)] },
  };
}

// Lines over time: data.at and a column for each of `series` ({name, label, colour, fill, thick}); null is
// a gap. The legend has the values under the pointer, else the last ones. As high as it will be from the start.
export function Plot({ series, data, unit = "", height = 170, label }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [index, setIndex] = useState(null);
  const step = data?.step_s;
  useLayoutEffect(() => {
    if (!data) return undefined;
    const columns = [data.at, ...series.map((one) => data[one.name])];
    if (plot.current) {
      plot.current.setData(columns);
      return undefined;
    }
    plot.current = new uPlot(options(series, unit, box.current.clientWidth, height, setIndex), columns, box.current);
    plots.add(plot.current);
    return undefined;
  }, [data]);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.floor(entry.contentRect.width), height }));
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      plots.delete(plot.current);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  const text = unit === "ms" ? msText : countText;
  const at = data && (index !== null && index < data.at.length ? index : data.at.length - 1);
  return (
    <div class="plot">
      <ul class="legend" aria-hidden="true">
        {series.map((one, i) => (
          <li key={one.name}>
            <svg width="22" height="8" aria-hidden="true"><line x1="0" y1="4" x2="22" y2="4" class={`line${one.colour}`} stroke-width={one.thick ?? 1.5} stroke-dasharray={dashes[i]?.join(" ")} /></svg>
            {one.label} <b>{data ? text(data[one.name][at]) : "–"}</b>
          </li>
        ))}
      </ul>
      <span class="plot-at mute" aria-hidden="true">{data && index !== null && index < data.at.length ? atText(data.at[index], step) : ""}</span>
      <div class="plot-box" ref={box} role="img" aria-label={label} style={{ height: `${height}px` }} />
    </div>
  );
}
