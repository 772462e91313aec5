import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { whenSeen } from "../hooks.js";
import "./rows.css";
import { Failure } from "./state.jsx";

const SPARE = 8; // rows beyond what is seen, each way
const SOON = 60; // rows before the end at which more are asked for
const ABOVE = 100; // pixels of every page above its list, at least
const REST_MS = 2500; // a pointer that has not moved for so long does not aim at a row

// A list of any length of which only what is seen is in the page. All rows are equally high (the style
// sheet's --row of the list). `render(item, index)` makes what is in a row; `id` tells them apart; onEnd is
// called when the end comes into sight. When rows come in above what is read, it stays where it is. Arrow
// keys go from row to row. rowProps(item): more attributes of a row. feed: what useFeed() made of the items;
// then new ones wait behind a button while somebody reads. row: how high they are, as long as nobody has measured it.
export function Rows({ items, render, id = (item) => item.id, label, onEnd, total, feed, rowProps, row: high = 56, className = "" }) {
  const box = useRef(null);
  const [range, setRange] = useState(() => ({ from: 0, to: Math.ceil((window.innerHeight - ABOVE) / high), row: high })); // what may be seen; look() knows
  const anchor = useRef({ id: null, index: 0 });
  const known = useRef(false);
  const pointer = useRef(0);
  const current = useRef(0); // the row that has, or had, the focus
  const aim = useRef(null); // the row that the keyboard is on the way to, while it is not in the page yet

  const look = () => {
    const list = box.current;
    if (!list) return;
    const row = Number.parseFloat(getComputedStyle(list).getPropertyValue("--row")) || 56;
    const above = -list.getBoundingClientRect().top;
    const from = Math.max(0, Math.min(Math.floor(above / row), items.length) - SPARE);
    const to = Math.min(items.length, Math.max(Math.ceil((above + window.innerHeight) / row), 0) + SPARE);
    const first = Math.max(0, Math.min(items.length - 1, Math.floor(above / row)));
    anchor.current = above > row / 2 && items[first] ? { id: id(items[first]), index: first } : { id: null, index: 0 };
    const focused = list.contains(document.activeElement) ? Number(document.activeElement.closest("li")?.dataset.index ?? -1) : -1;
    if (focused >= 0 && (focused < from || focused >= to)) list.focus({ preventScroll: true }); // its row leaves the page
    setRange((old) => (old.from === from && old.to === to && old.row === row ? old : { from, to, row }));
    feed?.see(from, to);
    if (onEnd && to + SOON >= items.length) onEnd();
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

  // the list as it was when it was left
  useLayoutEffect(() => {
    if (!feed) return;
    feed.held.current = () => {
      const list = box.current;
      if (!list) return false;
      return list.getBoundingClientRect().top < 0 || list.contains(document.activeElement) || Date.now() - pointer.current < REST_MS;
    };
    if (!feed.restored) return;
    window.scrollTo(0, feed.restored.y);
    latest.current();
    const focus = feed.restored.focus;
    if (focus) requestAnimationFrame(() => box.current?.querySelector(`[data-row="${CSS.escape(focus)}"] a`)?.focus({ preventScroll: true }));
  }, []);

  // new rows on top: keep the row that was read where it was
  useLayoutEffect(() => {
    const { id: kept, index } = anchor.current;
    if (kept !== null && kept !== undefined && box.current.getBoundingClientRect().top < 0) {
      const now = items.findIndex((item) => id(item) === kept);
      if (now > 0 && now !== index) window.scrollBy(0, (now - index) * range.row);
    }
    if (known.current) {
      latest.current();
      return undefined;
    }
    return whenSeen(() => { // a first time: to measure them takes as long as to draw them
      known.current = true;
      latest.current();
    });
  }, [items]);

  const { from, row } = range;
  const to = Math.min(range.to, items.length);
  const step = (wanted) => {
    const list = box.current;
    const index = Math.max(0, Math.min(items.length - 1, wanted));
    current.current = index;
    aim.current = index;
    const arrive = (frames) => {
      if (aim.current !== index) return; // another key was faster
      const row = list.querySelector(`li[data-index="${index}"]`)?.querySelector("a, button");
      if (row) {
        aim.current = null;
        row.focus();
      } else if (frames > 0) requestAnimationFrame(() => arrive(frames - 1));
      else aim.current = null;
    };
    if (index < from || index >= to) window.scrollTo(0, list.getBoundingClientRect().top + window.scrollY + index * range.row - window.innerHeight / 2);
    arrive(60);
  };
  const onKeyDown = (e) => {
    const moves = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(e.key in moves) || e.altKey || e.ctrlKey || e.metaKey || /^(input|textarea|select)$/i.test(e.target.tagName)) return;
    e.preventDefault();
    const at = e.target.closest("li")?.dataset.index;
    step(moves[e.key] + Number(aim.current ?? at ?? current.current));
  };
  const onFresh = () => {
    anchor.current = { id: null, index: 0 };
    pointer.current = 0;
    window.scrollTo(0, 0);
    feed.take();
  };

  return (
    <div class="rows-box">
      <div class="fresh">
        {Boolean(feed?.fresh) && <button type="button" onClick={onFresh} data-testid="fresh">{feed.fresh} new <span class="sr">rows, show them</span><span aria-hidden="true">↑</span></button>}
      </div>
      <ul class={`rows ${className}`} ref={box} aria-label={label} aria-busy={feed?.stale || undefined} data-testid="rows" tabIndex={-1}
        onKeyDown={onKeyDown} onPointerMove={(e) => (pointer.current = e.pointerType === "mouse" ? Date.now() : 0)}
        style={{ paddingTop: `${from * row}px`, paddingBottom: `${Math.max(0, items.length - to) * row}px` }}>
        {items.slice(from, to).map((item, i) => (
          <li class="row" key={item.hole ? `hole ${from + i}` : id(item)} data-index={from + i} data-row={item.hole ? undefined : id(item)}
            aria-setsize={total ?? items.length} aria-posinset={from + i + 1} {...(item.hole ? {} : rowProps?.(item))}>
            {item.hole ? <div class="bone" /> : render(item, from + i)}
          </li>
        ))}
      </ul>
    </div>
  );
}

// Below a list: older rows come, or did not.
export function More({ list }) {
  if (list.moreError) return <Failure error={list.moreError} retry={list.more} />;
  return <p class="more">{list.loadingMore ? "Older ones are coming…" : ""}</p>;
}
