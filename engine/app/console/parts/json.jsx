import { useState } from "preact/hooks";
import { Code } from "./code.jsx";
import { Icon } from "./icon.jsx";
import { toast } from "./toast.jsx";

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not let the page copy. Select the text instead.", { bad: true });
  }
}

export function Copy({ text, words = "Copy", label }) {
  return <button type="button" class="small" aria-label={label} onClick={() => copyText(text())}><Icon name="copy" size={16} />{words}</button>;
}

const COLOURED = 100000; // characters; beyond it colours take too long

const visible = (text) => text.replace(/[\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/g,
  (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`); // which JSON means by itself

export const pretty = (value) => visible(JSON.stringify(value, null, 2));

// A value as JSON, folded away until it is asked for.
export function Json({ value, label, testid }) {
  const [text] = [pretty(value)];
  return <Code text={text} language={text.length < COLOURED ? "json" : undefined} label={label} tall testid={testid} />;
}

// Two ways to look at a thing, one at a time.
export function Ways({ label, ways }) {
  const [at, set] = useState(0);
  return (
    <>
      <div class="ways-head">
        <div class="choices" role="group" aria-label={label}>
          {ways.map(([words], i) => <button type="button" key={words} aria-pressed={i === at} onClick={() => set(i)}>{words}</button>)}
        </div>
        {ways[at][2]}
      </div>
      {ways[at][1]()}
    </>
  );
}
