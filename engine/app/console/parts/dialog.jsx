import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon.jsx";

// A dialog of the browser's own: it keeps the focus in, and gives it back to where it was.
// `tall`: as high from the start as what is still to come may need.
// onClose is called for Escape, the cross and a press beside it; the caller then takes it away.
export function Dialog({ title, onClose, children, testid = "dialog", role, wide = false, tall = false }) {
  const box = useRef(null);
  const heading = useId();
  useLayoutEffect(() => {
    const element = box.current;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      // the page may have made what opened it anew meanwhile
      if (document.activeElement === document.body && before?.isConnected) before.focus();
    };
  }, []);
  const beside = (e) => {
    if (e.target === box.current) onClose();
  };
  const cancel = (e) => {
    e.preventDefault(); // closing is the caller's
    onClose();
  };
  return (
    <dialog ref={box} class={`${wide ? "wide" : ""} ${tall ? "tall" : ""}`} role={role} aria-labelledby={heading} data-testid={testid} onCancel={cancel} onMouseDown={beside}>
      <div class="dialog">
        <div class="dialog-head">
          <h2 id={heading}><bdi>{title}</bdi></h2>
          <button type="button" class="plain square" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

// A question before something that cannot be taken back: const [question, ask] = useQuestion();
// {question} somewhere in the page; if (await ask({title, text, yes, danger})) ...
export function useQuestion() {
  const [open, set] = useState(null);
  const waiting = useRef(null);
  useEffect(() => () => waiting.current?.(false), []);
  const answer = (said) => {
    waiting.current?.(said);
    waiting.current = null;
    set(null);
  };
  const ask = (what) => new Promise((resolve) => {
    waiting.current = resolve;
    set(what);
  });
  const question = open && (
    <Dialog title={open.title} role="alertdialog" onClose={() => answer(false)}>
      <p>{open.text}</p>
      <div class="dialog-end">
        <button type="button" autofocus={Boolean(open.danger)} onClick={() => answer(false)} data-testid="dialog-no">{open.no ?? "No, go back"}</button>
        <button type="button" class={open.danger ? "main bad" : "main"} autofocus={!open.danger} onClick={() => answer(true)} data-testid="dialog-yes">{open.yes}</button>
      </div>
    </Dialog>
  );
  return [question, ask];
}
