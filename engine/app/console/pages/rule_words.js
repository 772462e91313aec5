// Figures of rules in words.
const round = (n) => (n < 10 ? n.toFixed(1) : Math.round(n));

export function microseconds(us) {
  if (us === undefined || us === null) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${round(us / 1000)} ms`;
  return `${round(us / 1e6)} s`;
}

export const count = (n) => (n === undefined || n === null ? "–" : n.toLocaleString("en-US").replaceAll(",", "\u202f"));

export function share(part) {
  const percent = part * 100;
  if (percent === 0) return "0 %";
  return percent < 1 ? "< 1 %" : percent > 99 && percent < 100 ? "> 99 %" : `${Math.round(percent)} %`;
}

// Runs of late, and how many of them failed.
export function runsOf({ recent = {}, error_rate }) {
  const runs = Object.values(recent).reduce((sum, n) => sum + n, 0);
  const failed = (recent.retry ?? 0) + (recent.dead ?? 0) + (recent.dropped ?? 0);
  return { runs, failed: error_rate === undefined || error_rate === null ? failed : error_rate * runs };
}
