// What pages are made with: data that keeps itself up to date, the address, the clock.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { onTopics, watch } from "./live.js";

const REST_MS = 300; // between two questions for the same thing

// Ask now, and again when something of `topics` changes: at once, then at most every REST_MS, and never
// two at a time. Returns {data, error, loading, reload}; data stays while it is asked for again.
export function useQuery(path, params, topics = []) {
  const [state, set] = useState({ data: null, error: null, loading: true });
  const key = path === null ? null : api.address(path, params);
  const again = useRef(() => {});
  useEffect(() => {
    if (key === null) return undefined;
    let stopped = false;
    let busy = false;
    let stale = false;
    let timer = 0;
    const abort = new AbortController();
    const ask = async () => {
      if (busy || timer) {
        stale = true;
        return;
      }
      busy = true;
      stale = false;
      try {
        const data = await api.get(path, params, abort.signal);
        if (!stopped) set({ data, error: null, loading: false });
      } catch (error) {
        if (!stopped) set((old) => ({ data: old.data, error, loading: false }));
      }
      busy = false;
      if (stopped) return;
      timer = setTimeout(() => {
        timer = 0;
        if (stale) ask();
      }, REST_MS);
    };
    set({ data: null, error: null, loading: true });
    again.current = ask;
    ask();
    const off = topics.length ? onTopics(topics, ask) : () => {};
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
window.addEventListener("popstate", tellMoved);

export function go(path, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  tellMoved();
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
