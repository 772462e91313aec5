import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

// When the row that has the focus goes from a list, the one that comes in its place has it: its `target`.
// `ids` are those of the list as it is now, in order; rows have them as data-id and are of `selector`.
// What else loses the focus with what it was in leaves it to the page's title.
export function useFocusNext(box, ids, selector, target) {
  const last = useRef(null); // id of the row with the focus; "": something else in the box
  useEffect(() => {
    const note = (e) => {
      if (e.target.closest?.("dialog")) return;
      last.current = box.current?.contains(e.target) ? (e.target.closest(selector)?.dataset.id ?? "") : null;
    };
    document.addEventListener("focusin", note);
    return () => document.removeEventListener("focusin", note);
  }, []);
  const before = useRef([]);
  useLayoutEffect(() => {
    const was = before.current;
    before.current = ids;
    if (last.current === null || document.activeElement !== document.body) return;
    const index = was.indexOf(last.current);
    if (index >= 0 && ids.includes(last.current)) return;
    const rows = box.current?.querySelectorAll(`${selector} ${target}`) ?? [];
    const next = index >= 0 ? rows[Math.min(index, rows.length - 1)] : null;
    (next ?? document.querySelector("main h1"))?.focus({ preventScroll: true });
    next?.closest(selector).scrollIntoView({ block: "nearest" });
  });
}
