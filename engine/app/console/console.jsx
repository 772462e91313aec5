// The console: who is there, where they are, and the page of that place.
import { options, render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import "./console.css";
import { go, useAddress, whenSeen } from "./hooks.js";
import { connect, disconnect } from "./live.js";
import { Door } from "./pages/door.jsx";
import { Fence } from "./parts/fence.jsx";
import { Frame, Head } from "./parts/frame.jsx";
import { Empty, Failure } from "./parts/state.jsx";
import { Toasts } from "./parts/toast.jsx";
import { Calls } from "./pages/calls.jsx";
import { More } from "./pages/more.jsx";
import { lazy } from "./parts/lazy.jsx";
import { applyTheme } from "./theme.js";

const rest = lazy(() => import("./pages/rest.js"));

const pages = [
  [/^\/$/, Calls],
  [/^\/events$/, rest("Events")],
  [/^\/events\/([^/]+)$/, rest("EventPage")],
  [/^\/callbacks$/, rest("Callbacks")],
  [/^\/deliveries$/, rest("Deliveries")],
  [/^\/dead$/, rest("Dead")],
  [/^\/rules$/, rest("Rules")],
  [/^\/rules\/([^/]+)$/, rest("RulePage")],
  [/^\/playground$/, rest("Playground")],
  [/^\/graphs$/, rest("Graphs")],
  [/^\/more$/, More],
];

function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone %
  }
}

function find(path) {
  for (const [pattern, Page] of pages) {
    const found = pattern.exec(path);
    if (found) return { Page, name: found[1] === undefined ? undefined : plain(found[1]) };
  }
  return { Page: Nowhere };
}

function Nowhere() {
  return (
    <>
      <Head title="Not found" />
      <Empty title="There is no such page" icon="search"><p>Choose a place from the list.</p></Empty>
    </>
  );
}

function App({ began }) {
  const [session, setSession] = useState(began.session); // null: nobody
  const [error, setError] = useState(began.error);
  const { path, params } = useAddress();
  const { Page, name } = find(path);
  const main = useRef(null);

  const ask = () => api.whoami().then((s) => {
    setSession(s);
    setError(null);
  }, setError);
  useEffect(() => {
    if (session) connect();
    else disconnect();
  }, [session]);

  if (error) return <div class="door"><Failure error={error} retry={ask} /></div>;
  if (session === null) return <Door onIn={setSession} />;
  const out = async () => {
    try {
      await api.logOut();
    } catch (problem) {
      setError(problem); // still logged in: nobody is told otherwise
      return;
    }
    setSession(null);
    go("/console", { replace: true });
  };
  return (
    <Frame session={session} path={path} onOut={out} mainRef={main} onLost={ask}>
      <Fence key={path}><Page name={name} params={params} session={session} onOut={out} /></Fence>
      <Toasts />
    </Frame>
  );
}

// What takes a while is asked for before anything is drawn; what is there at once is drawn at once.
const AT_ONCE_MS = 80;

async function begin() {
  const page = Promise.allSettled([find(location.pathname.replace(/^\/console\/?/, "/")).Page.early?.(), api.early("/attention", {})]);
  const began = await api.whoami().then((session) => ({ session }), (error) => ({ error }));
  if (began.session) await Promise.race([page, new Promise((over) => setTimeout(over, AT_ONCE_MS))]);
  render(<App began={began} />, document.getElementById("app"));
}

applyTheme();
options.debounceRendering = queueMicrotask; // an answer is seen in the next frame, not behind a timer
// What the first picture brings with it (the stream, a look at how high the rows are) waits until it is seen.
options.requestAnimationFrame = (effects) => whenSeen(() => {
  options.requestAnimationFrame = undefined;
  effects();
});
begin();
// The other pages come when this one is there: going to them is at once, also while the engine is away.
setTimeout(rest.early, 2000);
