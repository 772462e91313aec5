// An error in words: the rule's file and line lead to its source, the hint stands below.
import { segment } from "../api.js";
import { Link } from "../parts/link.jsx";
import { Sent } from "../parts/text.jsx";
import "./error.css";

const AT = /^([\w./ -]+\.lua):(\d+): ?/;

// {file, line, words, hint} of "rules/a.lua:3: rule \"A\": no such thing\n  hint: try that"
export function errorParts(text) {
  const [first, ...rest] = (text ?? "").split("\n");
  const at = AT.exec(first);
  const words = (at ? first.slice(at[0].length) : first).replace(/^rule "(?:[^"\\]|\\.)*": /, "");
  return { file: at?.[1], line: at ? Number(at[2]) : undefined, words, rest: rest.map((line) => line.trim()).filter(Boolean) };
}

const answers = { 400: "it did not understand", 401: "it wants another log-in", 403: "it does not allow that", 404: "it has no such address", 410: "gone", 413: "too much",
  422: "refused as it stands", 429: "too many at once" };

// "HTTP 500 from URL" where the URL is said already ("POST URL"): what the answer was.
export function shortError(error, to) {
  const url = /^[A-Z]+ (.+)$/.exec(to ?? "")?.[1];
  const first = (error ?? "").split("\n")[0];
  if (!url || !first.endsWith(` from ${url}`)) return first;
  const code = first.slice(0, -url.length - 6).replace("HTTP ", "");
  const words = answers[code] ?? (/^5\d\d$/.test(code) ? "an error of its own" : "");
  return `The answer was ${code}${words ? ` (${words})` : ""}`;
}

export function ErrorText({ text, rule }) {
  if (!text) return null;
  const { file, line, words, rest } = errorParts(text);
  const place = file && <span class="mono">{file}:{line}</span>;
  return (
    <div class="error-text">
      <p><Sent>{words}</Sent></p>
      {rest.map((one) => <p class="mute" key={one}><Sent>{one.replace(/^hint: /, "Hint: ")}</Sent></p>)}
      {file && <p>{rule ? <Link to={`/rules/${segment(rule)}?line=${line}`}>{place}</Link> : place}</p>}
    </div>
  );
}
