// Figures of rules in words.
export const count = (n) => (n === undefined || n === null ? "–" : n.toLocaleString("en-US").replaceAll(",", "\u202f"));

export function share(part) {
  const percent = part * 100;
  if (percent === 0) return "0 %";
  return percent < 1 ? "< 1 %" : percent > 99 && percent < 100 ? "> 99 %" : `${Math.round(percent)} %`;
}

// Runs of late, and how many of them failed. What waits for a paused rule, untried, is none.
export function runsOf({ time, error_rate }) {
  const runs = time?.runs ?? 0;
  return { runs, failed: (error_rate ?? 0) * runs };
}
