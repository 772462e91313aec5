import "./text.css";

// Characters that say nothing, or turn what stands around them: U+202E makes "exe.gpj" of "jpg.exe".
const hidden = /((?![\t\n\r])\p{Cc}|[\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb])/u;

const MANY = 4000; // such characters are told without their boxes

const point = (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// The text is what it was, each such character in a box of its own that says which it is.
export function shown(text) {
  if (!hidden.test(text)) return text;
  const parts = text.split(hidden);
  if (parts.length > MANY) return parts.map((part, i) => (i % 2 ? `[${point(part)}]` : part)).join("");
  return parts.map((part, i) => (i % 2 ? <span class="hidden-char" data-point={point(part)} key={i}>{part}</span> : part));
}

// A number that the language cannot hold (api.js); a member that a sender calls rawJSON is none.
export const isDigits = (value) => Boolean(JSON.isRawJSON?.(value));

// An object's own toString may be whatever a sender sent.
const textOf = (value) => (isDigits(value) ? value.rawJSON : typeof value === "object" ? JSON.stringify(value) : String(value));

// A text that somebody else wrote: it stands for itself, in its own direction, and hides nothing.
export function Sent({ children, ...rest }) {
  const text = children === null || children === undefined ? "" : textOf(children);
  return <bdi dir="auto" {...rest}>{shown(text)}</bdi>;
}
