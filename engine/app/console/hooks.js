// What pages are made with: data that keeps itself up to date, the address, the clock.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { onTopics, watch } from "./live.js";

const SEEN_MS = 50; // from the frame that is made to the one that is on the screen, with a margin
const HIDDEN_MS = 1000; // a page in the background has no frames

// Do it when what is in the page now has been painted; returns the way not to.
export function whenSeen(fn) {
  const hidden = setTimeout(fn, HIDDEN_MS);
  let seen = 0;
  const frame = requestAnimationFrame(() => {
    clearTimeout(hidden);
    seen = setTimeout(fn, SEEN_MS);
  });
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(hidden);
    clearTimeout(seen);
  };
}

const REST_MS = 300; // between two questions for the same thing

// Ask now, and again when something of `topics` changes: at once, then `rest` ms apart, and never
// two at a time. Returns {data, error, loading, reload}; data stays while it is asked for again.
export function useQuery(path, params, topics = [], rest = REST_MS) {
  const key = path === null ? null : api.address(path, params);
  const begin = () => {
    const data = key === null ? undefined : api.known(path, params);
    return { data: data ?? null, error: null, loading: data === undefined };
  };
  const [state, set] = useState(begin);
  const again = useRef(() => {});
  const of = useRef(key); // the address that the state is of
  useLayoutEffect(() => { // not useEffect, which waits for a frame
    if (key === null) return undefined;
    let stopped = false;
    let busy = false;
    let stale = false;
    let timer = 0;
    const abort = new AbortController();
    const ask = async (how = api.get) => {
      if (busy || timer) {
        stale = true;
        return;
      }
      busy = true;
      stale = false;
      try {
        const data = await how(path, params, abort.signal);
        if (!stopped) set({ data, error: null, loading: false });
      } catch (error) {
        if (!stopped) set((old) => ({ data: old.data, error, loading: false }));
      }
      busy = false;
      if (!stopped) pause();
    };
    const pause = () => {
      timer = setTimeout(() => {
        timer = 0;
        if (stale) ask();
      }, rest);
    };
    if (of.current !== key) set(begin());
    of.current = key;
    again.current = () => ask();
    if (api.known(path, params) === undefined) ask(api.first);
    else pause();
    const off = topics.length ? onTopics(topics, () => ask()) : () => {};
    return () => {
      stopped = true;
      abort.abort();
      clearTimeout(timer);
      off();
    };
  }, [key, topics.join()]);
  return { ...state, reload: useCallback(() => again.current(), []) };
}

// A list of pages: the first is kept up to date, more() adds the next. `id` tells rows apart; a row that
// comes again takes the place of the one before (merge(old, new) makes one of both).
export function useList(path, params, topics, { id = (row) => row.id, merge = (_old, row) => row } = {}) {
  const first = useQuery(path, params, topics);
  const [rest, setRest] = useState({ rows: [], cursor: undefined, busy: false, error: null });
  const key = api.address(path, params);
  const alive = useRef(key);
  alive.current = key;
  useEffect(() => setRest({ rows: [], cursor: undefined, busy: false, error: null }), [key]);

  // rows that the first page has pushed out of itself since are kept: nothing vanishes under the reader
  const seen = useRef(new Map());
  const seenKey = useRef(key);
  if (seenKey.current !== key) {
    seen.current = new Map();
    seenKey.current = key;
  }
  const cursor = rest.cursor === undefined ? first.data?.next_cursor : rest.cursor;
  const more = async () => {
    if (!cursor || rest.busy) return;
    setRest((old) => ({ ...old, busy: true, error: null }));
    try {
      const page = await api.get(path, { ...params, cursor });
      if (alive.current !== key) return;
      setRest((old) => ({ rows: old.rows.concat(page.items), cursor: page.next_cursor ?? null, busy: false, error: null }));
    } catch (error) {
      if (alive.current === key) setRest((old) => ({ ...old, busy: false, error }));
    }
  };
  const rows = [];
  const places = new Map();
  for (const row of [...(first.data?.items ?? []), ...rest.rows]) {
    const name = id(row);
    if (places.has(name)) rows[places.get(name)] = merge(rows[places.get(name)], row);
    else {
      places.set(name, rows.length);
      rows.push(row);
    }
  }
  return { ...first, rows, more, hasMore: Boolean(cursor), loadingMore: rest.busy, moreError: rest.error };
}

const kept = new Map(); // address -> {pages, y, focus}: a list that was left is found again as it was
const KEPT = 4;
api.onOther(() => kept.clear());
const PAGES_FULL = 30; // of a longer list only the pages near what is seen are kept in memory
const PAGES_NEAR = 6;
export const FIRST = 60; // rows of the newest page, which is asked for again and again

const newPage = (answer, cursor = null) => ({ cursor, next: answer.next_cursor ?? null, n: answer.items.length, rows: answer.items });

// A live list that one can read in: the newest page is kept up to date, more() adds older ones, those far
// from what is seen are let go and asked for again. While held.current() says that somebody reads, rows
// change where they are and new ones wait: `fresh` says how many, take() lets them in.
// merge(old, new): of rows with the same id in two pages, which then are one.
export function useFeed(path, params, topics, { id = (row) => row.id, merge = null, size = 200 } = {}) {
  const asked = { ...params, limit: FIRST };
  const head = useQuery(path, asked, topics);
  const key = api.address(path, asked);
  const [restored] = useState(() => (cameBack() ? kept.get(key) : undefined));
  const [state, set] = useState(() => ({ key, pages: restored?.pages ?? (head.data ? [newPage(head.data)] : []), fresh: 0 }));
  const [busy, setBusy] = useState(false);
  const [moreError, setMoreError] = useState(null);
  const held = useRef(() => false);
  const latest = useRef(state);
  latest.current = state;
  const now = useRef(key);
  now.current = key;

  const take = () => {
    if (head.data) set({ key, pages: [newPage(head.data)], fresh: 0 });
  };
  useLayoutEffect(() => {
    if (!head.data || state.pages[0]?.rows === head.data.items) return;
    const same = state.key === key && state.pages.length > 0;
    if (!same || !held.current()) take();
    else set((old) => ({ ...old, ...stay(old.pages, head.data.items, id) }));
  }, [head.data]);
  useEffect(() => {
    if (!state.fresh) return undefined;
    const timer = setInterval(() => !held.current() && take(), 400);
    return () => clearInterval(timer);
  }, [state.fresh, head.data]);

  const end = state.key === key ? state.pages[state.pages.length - 1]?.next : null;
  const more = async () => {
    if (!end || busy) return;
    setBusy(true);
    setMoreError(null);
    try {
      const answer = await api.get(path, { ...params, limit: size, cursor: end });
      if (now.current === key) set((old) => (old.pages[old.pages.length - 1]?.next === end ? { ...old, pages: joined(old.pages, newPage(answer, end), id, merge) } : old));
    } catch (error) {
      if (now.current === key) setMoreError(error);
    }
    setBusy(false);
  };
  const n = state.pages.reduce((sum, page) => sum + page.n, 0);
  useEffect(() => {
    if (end && !busy && !moreError && n < 30) more(); // a page may be short, and not be the last
  }, [end, busy, n]);

  const loading = useRef(new Set());
  const see = (from, to) => {
    if (merge || state.pages.length <= PAGES_FULL) return;
    let start = 0;
    const near = state.pages.map((page) => {
      const hit = start < to && start + page.n > from;
      start += page.n;
      return hit;
    });
    const first = near.indexOf(true);
    const last = near.lastIndexOf(true);
    if (first < 0) return;
    for (let i = first; i <= last; i++) if (!state.pages[i].rows) refill(state.pages[i]);
    const far = (page, i) => page.rows && i > 0 && (i < first - PAGES_NEAR || i > last + PAGES_NEAR);
    if (state.pages.filter(far).length > PAGES_FULL / 2)
      set((old) => ({ ...old, pages: old.pages.map((page, i) => (far(page, i) ? { ...page, rows: null } : page)) }));
  };
  const refill = async (page) => {
    if (loading.current.has(page.cursor)) return;
    loading.current.add(page.cursor);
    try {
      const answer = await api.get(path, { ...params, limit: size, cursor: page.cursor });
      if (now.current === key)
        set((old) => ({ ...old, pages: old.pages.map((p) => (p.cursor === page.cursor ? { ...p, rows: answer.items, n: answer.items.length } : p)) }));
    } catch (error) {
      if (now.current === key) setMoreError(error);
    }
    loading.current.delete(page.cursor);
  };

  useEffect(() => () => {
    const { pages, key: left } = latest.current;
    if (!pages.length) return;
    kept.delete(left);
    kept.set(left, { pages: pages.slice(0, PAGES_FULL), y: leftAt.y, focus: leftAt.focus });
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }, []);

  const rows = useMemo(() => state.pages.flatMap((page) => page.rows ?? Array.from({ length: page.n }, () => hole)), [state.pages]);
  return { rows, fresh: state.fresh, take, held, more, see, restored, error: head.error, reload: head.reload,
    data: state.pages.length > 0 || null, loading: !head.data && state.pages.length === 0 && !head.error, stale: state.key !== key, loadingMore: busy, moreError, hasMore: Boolean(end) };
}

export const hole = { hole: true }; // a row that was let go

// New rows wait; those that are there show what became of them.
function stay(pages, items, id) {
  const byId = new Map(items.map((row) => [id(row), row]));
  const next = pages.map((page) => {
    if (!page.rows?.some((row) => byId.has(id(row)))) return page;
    return { ...page, rows: page.rows.map((row) => {
      const now = byId.get(id(row));
      byId.delete(id(row));
      return now ?? row;
    }) };
  });
  return { pages: next, fresh: byId.size === items.length && byId.size > 0 ? `${byId.size}+` : byId.size };
}

function joined(pages, page, id, merge) {
  if (!merge) return [...pages, page];
  const older = new Map(page.rows.map((row) => [id(row), row]));
  const next = pages.map((p) => {
    if (!p.rows.some((row) => older.has(id(row)))) return p;
    return { ...p, rows: p.rows.map((row) => {
      const other = older.get(id(row));
      if (!other) return row;
      older.delete(id(row));
      return merge(row, other);
    }) };
  });
  const rows = [...older.values()];
  return [...next, { ...page, rows, n: rows.length }];
}

export function useLive() {
  const [state, set] = useState({ connected: null, status: null });
  useEffect(() => watch(set), []);
  return state;
}

// The time, turning every ten seconds for all who look at it: for "3 min ago".
const clocks = new Set();
setInterval(() => {
  for (const set of clocks) set(Date.now());
}, 10000);

export function useNow() {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    clocks.add(set);
    return () => clocks.delete(set);
  }, []);
  return now;
}

const moved = new Set();
const tellMoved = () => {
  for (const fn of moved) fn();
};

// Where the page that is left was read, and whether this one was come to by the browser's Back.
const leftAt = { y: 0, focus: null };
let back = false;
const cameBack = () => back;
history.scrollRestoration = "manual"; // what is to be seen there is not there yet

function leave(isBack) {
  leftAt.y = window.scrollY;
  leftAt.focus = document.querySelector("[data-row] :focus-visible")?.closest("[data-row]").dataset.row ?? null;
  back = isBack;
}
window.addEventListener("popstate", () => {
  leave(true);
  tellMoved();
  window.scrollTo(0, 0);
});

export function go(path, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", path);
  else {
    leave(false);
    history.pushState(null, "", path);
  }
  tellMoved();
}

// Change the address's query to these, in place: {q: "x", state: ""} -> ?q=x
export function setParams(values) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  const to = `${location.pathname}${text ? `?${text}` : ""}`;
  if (to !== location.pathname + location.search) go(to, { replace: true });
}

// A value that has stood still for so long: what is typed is not asked for letter by letter.
export function useSettled(value, ms = 250) {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

// What is typed into a field, and stands in the address as `name`: [as it is typed, set it, once it stands still].
// An address that is gone to meanwhile (a link to this very page) is followed.
export function useTyped(name, params) {
  const there = params.get(name) ?? "";
  const [typed, set] = useState(there);
  const settled = useSettled(typed.trim());
  const put = useRef(there);
  useEffect(() => {
    put.current = settled;
    setParams({ [name]: settled });
  }, [settled]);
  useEffect(() => {
    if (there === put.current) return;
    put.current = there;
    set(there);
  }, [there]);
  return [typed, set, settled];
}

// "/" puts the cursor into a field, wherever one is not writing.
export function useSlash(field) {
  useEffect(() => {
    const onKey = (e) => {
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || /^(input|textarea|select)$/i.test(e.target.tagName)) return;
      e.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

// Where we are: {path: "/events/x", params: URLSearchParams} below /console.
export function useAddress() {
  const [, turn] = useState(0);
  useEffect(() => {
    const fn = () => turn((n) => n + 1);
    moved.add(fn);
    return () => moved.delete(fn);
  }, []);
  return {
    path: location.pathname.replace(/^\/console\/?/, "/"),
    params: new URLSearchParams(location.search),
  };
}
