import { useLayoutEffect, useState } from "preact/hooks";
import { Empty, Loading } from "./state.jsx";

// Pages whose script is loaded when one of them is first looked at, or early(): the way to make one of
// them by its name.
export function lazy(load) {
  let pages = null;
  let loading = null;
  const fetch = () => {
    loading ??= load().then((found) => {
      pages = found;
    }, (error) => {
      loading = null; // may be tried again
      throw error;
    });
    return loading;
  };
  const early = () => fetch().catch(() => {});
  const make = (name) => {
    const Lazy = (props) => {
      const [error, setError] = useState(null);
      const [, turn] = useState(0);
      useLayoutEffect(() => {
        if (!pages) fetch().then(() => turn(1), setError);
      }, []);
      const Page = pages?.[name];
      if (Page) return <Page {...props} />;
      return error ? <Gone /> : <Loading />;
    };
    Lazy.early = early;
    return Lazy;
  };
  make.early = early;
  return make;
}

// Not there: the engine is away, or another version of it answers by now.
function Gone() {
  return (
    <Empty title="This page cannot be loaded" icon="alert">
      <p>The engine does not answer, or another version of it runs by now.</p>
      <p><button type="button" onClick={() => location.reload()}>Load it again</button></p>
    </Empty>
  );
}
