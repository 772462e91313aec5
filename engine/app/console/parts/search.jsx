import { useRef } from "preact/hooks";
import { useSlash } from "../hooks.js";
import { Icon } from "./icon.jsx";
import "./search.css";

// A field to look for something; "/" leads to it from anywhere on the page, Escape empties it.
export function Search({ value, onInput, label, hint }) {
  const field = useRef(null);
  useSlash(field);
  return (
    <label class="search">
      <span class="sr">{label}</span>
      <Icon name="search" size={18} />
      <input ref={field} type="search" value={value} placeholder={hint} aria-keyshortcuts="/" autocomplete="off" spellcheck={false} data-testid="search"
        onInput={(e) => onInput(e.target.value)} onKeyDown={(e) => e.key === "Escape" && onInput("")} />
      <span class="key" aria-hidden="true">/</span>
    </label>
  );
}
