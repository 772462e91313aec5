import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const SPARE = 8; // rows beyond what is seen, each way

// A list of any length of which only what is seen is in the page. All rows are equally high (the style
// sheet's --row of the list). `render(item, index)` makes what is in a row; `id` tells them apart; onEnd is
// called when the end comes into sight. When rows come in above what is read, it stays where it is.
export function Rows({ items, render, id = (item) => item.id, label, onEnd, total, className = "" }) {
  const box = useRef(null);
  const [range, setRange] = useState({ from: 0, to: 40, row: 56 });
  const anchor = useRef({ id: null, index: 0 });

  const look = () => {
    const list = box.current;
    if (!list) return;
    const row = Number.parseFloat(getComputedStyle(list).getPropertyValue("--row")) || 56;
    const above = -list.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(above / row) - SPARE);
    const to = Math.min(items.length, Math.ceil((above + window.innerHeight) / row) + SPARE);
    const first = Math.max(0, Math.min(items.length - 1, Math.floor(above / row)));
    anchor.current = above > row / 2 && items[first] ? { id: id(items[first]), index: first } : { id: null, index: 0 };
    setRange((old) => (old.from === from && old.to === to && old.row === row ? old : { from, to, row }));
    if (onEnd && to >= items.length) onEnd();
  };
  const latest = useRef(look);
  latest.current = look;

  useEffect(() => {
    let frame = 0;
    const soon = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        latest.current();
      });
    };
    window.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      window.removeEventListener("scroll", soon);
      window.removeEventListener("resize", soon);
    };
  }, []);

  // new rows on top: keep the row that was read where it was
  useLayoutEffect(() => {
    const { id: kept, index } = anchor.current;
    if (kept !== null) {
      const now = items.findIndex((item) => id(item) === kept);
      if (now > 0 && now !== index) window.scrollBy(0, (now - index) * range.row);
    }
    latest.current();
  }, [items]);

  const { from, row } = range;
  const to = Math.min(range.to, items.length);
  return (
    <ul class={`rows ${className}`} ref={box} aria-label={label} data-testid="rows"
      style={{ paddingTop: from * row, paddingBottom: Math.max(0, items.length - to) * row }}>
      {items.slice(from, to).map((item, i) => (
        <li class="row" key={id(item)} aria-setsize={total ?? items.length} aria-posinset={from + i + 1}>
          {render(item, from + i)}
        </li>
      ))}
    </ul>
  );
}
