import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import "./code.css";
import { lines } from "./prism.js";
import { shown } from "./text.jsx";

const PLAIN = 10000; // lines; a text of more is one piece

// A text in colours: `language` is "lua", "json" or none. `numbers` counts the lines, from `first` on;
// line `mark` is lit, and scrolled to when the code scrolls by itself (`tall`).
export function Code({ text, language, label, numbers = false, first = 1, mark, until = mark, tall = false, testid }) {
  const box = useRef(null);
  const all = useMemo(() => lines(text, language), [text, language]);
  useLayoutEffect(() => {
    const line = box.current?.querySelector(".lit");
    if (line && tall) box.current.scrollTop = line.offsetTop - box.current.clientHeight / 3;
  }, [mark, all, tall]);
  const plain = all.length > PLAIN && !numbers;
  const lit = (n) => mark && n >= mark && n <= until;
  return (
    <pre ref={box} class={`code ${numbers ? "numbered" : ""} ${tall ? "tall" : ""}`} tabIndex={0} role="region" aria-label={label ?? "Code"} data-testid={testid}>
      <code>
        {plain ? shown(text) : all.map((parts, i) => (
          <span key={i} class={lit(first + i) ? "ln lit" : "ln"} data-n={numbers ? first + i : undefined}>
            {parts.map(([kind, words], k) => (kind ? <span key={k} class={`t-${kind}`}>{shown(words)}</span> : shown(words)))}{"\n"}
          </span>
        ))}
      </code>
    </pre>
  );
}
