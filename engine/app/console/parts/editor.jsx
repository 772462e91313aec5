import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import "./editor.css";

const PLAIN = 5000; // lines; the numbers of more are one text

// A text with numbered lines. api.current.goTo(line, column) puts the cursor there; line `mark` is lit.
export function Editor({ value, onInput, label, mark, api }) {
  const field = useRef(null);
  const numbers = useRef(null);
  const n = value.split("\n").length;
  const follow = () => {
    numbers.current.scrollTop = field.current.scrollTop;
  };
  useLayoutEffect(follow, [n]);
  useEffect(() => {
    api.current = {
      goTo(line, column) {
        const at = value.split("\n").slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0) + column - 1;
        field.current.focus();
        field.current.setSelectionRange(at, Math.min(at + 1, value.length));
        field.current.scrollTop = Math.max(0, (line - 5) * Number.parseFloat(getComputedStyle(field.current).lineHeight));
      },
    };
  }, [value]);
  return (
    <div class="editor">
      <pre ref={numbers} aria-hidden="true">{n > PLAIN ? Array.from({ length: n }, (_, i) => i + 1).join("\n") : Array.from({ length: n }, (_, i) => <span key={i} class={i + 1 === mark ? "lit" : ""}>{i + 1}{"\n"}</span>)}</pre>
      <textarea ref={field} value={value} aria-label={label} aria-invalid={mark ? "true" : undefined} spellcheck={false} autocapitalize="off" autocomplete="off" wrap="off" dir="ltr"
        data-testid="playground-input" onInput={(e) => onInput(e.target.value)} onScroll={follow} />
    </div>
  );
}
