// What a sender sent, to be read: any names, any language, nothing left out.
import { useState } from "preact/hooks";
import { Sentiment } from "./call.jsx";
import { isDigits, Sent } from "./text.jsx";
import "./body.css";

const LONG = 600; // characters of a text, shown at once
const MANY = 40; // values of a list
const DEEP = 12;
const MUCH = 300; // values of a list or an object, however deep; with more it stays folded: a sender may send 200,000

const isTree = (v) => v !== null && typeof v === "object" && !isDigits(v);
const isPlain = (v) => isTree(v) && !Array.isArray(v);
const words = (name) => name.replaceAll("_", " ");

// What is read first, then the rest as it was sent.
const first = ["analysis", "summary", "transcription", "transcript"];
const order = (names) => [...names].sort((a, b) => (first.indexOf(a) + 1 || 99) - (first.indexOf(b) + 1 || 99));

function Long({ text }) {
  const [all, setAll] = useState(false);
  const isLong = text.length > LONG || text.split("\n", 13).length > 12;
  return (
    <>
      <Sent class={`long ${isLong && !all ? "short" : ""}`}>{isLong && !all ? text.slice(0, LONG * 2) : text}</Sent>
      {isLong && <button type="button" class="more-of" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Show less" : `Show all (${text.length.toLocaleString()} characters)`}</button>}
    </>
  );
}

const line = /^\s*(?:[[(]([^\])]{1,24})[\])]\s*)?([\p{L}\p{N} ._'@+-]{1,40}?)\s*:\s+(?=\S)/u;

const NAMED = 100; // characters of a line in which who speaks is looked for: the pattern tries each blank again and again

// "[12:03:14 PM] Callee: Welcome." -> who said what; null: it is not that sort of text
export function conversation(value) {
  let said;
  if (Array.isArray(value)) {
    said = value.map((v) => isPlain(v) && { at: v.at ?? v.time ?? v.start, who: v.speaker ?? v.role ?? v.name ?? v.who, text: v.text ?? v.content ?? v.message });
    return said.length > 1 && said.every((s) => s && s.who !== undefined && typeof s.text === "string") ? said : null;
  }
  if (typeof value !== "string") return null;
  const lines = value.split(/\r?\n/).filter((l) => l.trim());
  said = [];
  let hits = 0;
  for (const text of lines) {
    const found = line.exec(text.slice(0, NAMED));
    if (found) hits++;
    if (found) said.push({ at: found[1], who: found[2], text: text.slice(found[0].length) });
    else if (said.length) said[said.length - 1].text += `\n${text}`;
    else return null;
  }
  return hits > 1 && hits >= lines.length / 2 ? said : null;
}

const SAID = 30; // of a conversation, shown at once

function Conversation({ said }) {
  const [all, setAll] = useState(false);
  const sides = [...new Set(said.map((s) => s.who))];
  const shown = all ? said : said.slice(0, SAID);
  return (
    <>
      <ol class="talk">
        {shown.map((s, i) => (
          <li key={i} class={sides.indexOf(s.who) % 2 ? "other" : ""}>
            {(i === 0 || shown[i - 1].who !== s.who) && <span class="talk-who"><Sent>{s.who}</Sent>{s.at !== undefined && <> <Sent class="talk-at">{s.at}</Sent></>}</span>}
            <Sent class="talk-text">{s.text}</Sent>
          </li>
        ))}
      </ol>
      {said.length > SAID && <button type="button" class="more-of" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Show less" : `Show all ${said.length} lines`}</button>}
    </>
  );
}

function Items({ list, depth }) {
  const [all, setAll] = useState(false);
  if (list.length === 0) return <span class="mute">an empty list</span>;
  const shown = all ? list : list.slice(0, MANY);
  return (
    <>
      <ul class={`points ${list.some((v) => typeof v === "object") ? "boxes" : list.length > 6 && list.every((v) => String(v).length < 16) ? "short" : ""}`}>{shown.map((v, i) => <li key={i}><Value value={v} depth={depth + 1} /></li>)}</ul>
      {list.length > MANY && <button type="button" class="more-of" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Show less" : `Show all ${list.length}`}</button>}
    </>
  );
}

// How many values there are in it; past `most` it does not matter.
function sizeOf(value, most) {
  if (!isTree(value)) return 1;
  let n = 1;
  for (const inner of Object.values(value)) {
    n += sizeOf(inner, most - n);
    if (n > most) break;
  }
  return n;
}

function Folded({ children }) {
  const [open, setOpen] = useState(false);
  return open ? children() : <button type="button" class="more-of" aria-expanded={false} onClick={() => setOpen(true)}>Show what is in it</button>;
}

function Value({ name, value, depth = 0 }) {
  if (value === null || value === undefined) return <span class="mute">nothing (null)</span>;
  if (typeof value === "boolean") return <span class="mono">{String(value)}</span>;
  if (typeof value === "number" || isDigits(value)) return <span class="mono">{value.rawJSON ?? String(value)}</span>;
  if (value === "") return <span class="mute">empty</span>;
  if (name === "sentiment" && typeof value === "string" && value.length < 30) return <Sentiment value={value} />;
  const said = conversation(value);
  if (said) return <Conversation said={said} />;
  if (typeof value === "string") return <Long text={value} />;
  if (depth > DEEP) return <Long text={JSON.stringify(value)} />;
  const inner = () => (Array.isArray(value) ? <Items list={value} depth={depth} /> : <Members of={value} depth={depth + 1} />);
  return sizeOf(value, MUCH) > MUCH && Object.values(value).some(isTree) ? <Folded>{inner}</Folded> : inner();
}

const isBig = (value) => isTree(value) || (typeof value === "string" && (value.length > 90 || value.includes("\n")));

export function Members({ of, depth = 0 }) {
  const [all, setAll] = useState(false);
  const names = depth === 0 ? order(Object.keys(of)) : Object.keys(of);
  if (names.length === 0) return <span class="mute">an empty object</span>;
  const shown = all ? names : names.slice(0, MANY * 2);
  return (
    <>
      <dl class={`members ${depth ? "inner" : ""}`}>
        {shown.map((name) => (
          <div key={name} class={isBig(of[name]) ? "big" : ""}>
            <dt><Sent>{words(name)}</Sent></dt>
            <dd><Value name={name} value={of[name]} depth={depth} /></dd>
          </div>
        ))}
      </dl>
      {names.length > MANY * 2 && <button type="button" class="more-of" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Show less" : `Show all ${names.length}`}</button>}
    </>
  );
}

export function Body({ value }) {
  return isPlain(value) ? <Members of={value} /> : <Value value={value} />;
}
