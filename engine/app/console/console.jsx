// The console: who is there, where they are, and the page of that place.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import "./console.css";
import { go, useAddress } from "./hooks.js";
import { connect, disconnect } from "./live.js";
import { Door } from "./pages/door.jsx";
import { Fence } from "./parts/fence.jsx";
import { Frame, Head } from "./parts/frame.jsx";
import { Empty, Failure } from "./parts/state.jsx";
import { Toasts } from "./parts/toast.jsx";
import { Callbacks } from "./pages/callbacks.jsx";
import { Calls } from "./pages/calls.jsx";
import { Dead } from "./pages/dead.jsx";
import { Deliveries } from "./pages/deliveries.jsx";
import { EventPage } from "./pages/event.jsx";
import { Events } from "./pages/events.jsx";
import { Graphs } from "./pages/graphs.jsx";
import { More } from "./pages/more.jsx";
import { Playground } from "./pages/playground.jsx";
import { RulePage } from "./pages/rule.jsx";
import { Rules } from "./pages/rules.jsx";
import { applyTheme } from "./theme.js";

const pages = [
  [/^\/$/, Calls],
  [/^\/events$/, Events],
  [/^\/events\/([^/]+)$/, EventPage],
  [/^\/callbacks$/, Callbacks],
  [/^\/deliveries$/, Deliveries],
  [/^\/dead$/, Dead],
  [/^\/rules$/, Rules],
  [/^\/rules\/([^/]+)$/, RulePage],
  [/^\/playground$/, Playground],
  [/^\/graphs$/, Graphs],
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

function App() {
  const [session, setSession] = useState(undefined); // undefined: not asked yet; null: nobody
  const [error, setError] = useState(null);
  const { path, params } = useAddress();
  const { Page, name } = find(path);
  const main = useRef(null);

  const ask = () => api.whoami().then((s) => {
    setSession(s);
    setError(null);
  }, setError);
  useEffect(() => void ask(), []);
  useEffect(() => {
    if (session) connect();
    else disconnect();
  }, [session]);

  if (error) return <div class="door"><Failure error={error} retry={ask} /></div>;
  if (session === undefined) return null;
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

applyTheme();
render(<App />, document.getElementById("app"));
