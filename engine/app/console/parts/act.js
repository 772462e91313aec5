import * as api from "../api.js";
import { toast } from "./toast.jsx";

// Ask the engine to change something and say in a corner what came of it. `said(answer)` makes the
// words; returns the answer, or null when it was refused (which has been said, too, unless
// `refused(error)` has its own words for it and returns true).
export async function act(method, path, body, said, refused) {
  try {
    const answer = await api[method](path, body);
    if (said) toast(typeof said === "function" ? said(answer) : said);
    return answer ?? {};
  } catch (error) {
    if (!refused?.(error)) toast(error.message, { bad: true });
    return null;
  }
}

// The second press of a double click was meant for what stood there at the first.
export const single = (fn) => (e) => {
  if (e.detail < 2) fn(e);
};

export const many = (n, one, more = `${one}s`) => `${n} ${n === 1 ? one : more}`;
