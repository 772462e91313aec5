// The engine's API (docs/http-api.md): the one source of everything the page shows.

let csrf = "";
let who = ""; // whose page this is
let role = "";
const forgetters = []; // called when somebody else sits down at this page

// What the engine said no to, or that it could not be reached (status 0).
export class ApiError extends Error {
  constructor(status, code, message, detail = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.detail = detail; // what else the engine said: line, column, field, rule
  }
}

const lost = () => new ApiError(0, "unreachable", "The engine does not answer.");

// JSON with every digit that was sent: a number that the language cannot hold stays its text (a "raw JSON" of
// the language's, where the browser has those), and is written again as it came.
function parse(text) {
  if (!JSON.rawJSON || !/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_name, value, context) => (
    typeof value === "number" && context?.source && String(value) !== context.source && /\d{16}/.test(context.source) ? JSON.rawJSON(context.source) : value));
}

async function read(response) {
  const text = await response.text().catch((e) => { // cut off in the middle
    throw e.name === "AbortError" ? e : lost();
  });
  let json = null;
  try {
    json = text ? parse(text) : null;
  } catch {
    throw new ApiError(response.status, "not_json", `The engine answered ${response.status} without JSON.`);
  }
  if (response.ok) return json;
  const error = json?.error ?? {};
  throw new ApiError(response.status, error.code ?? "error", error.message ?? `The engine answered ${response.status}.`, error);
}

async function send(method, path, body, signal) {
  const options = { method, signal, credentials: "same-origin", cache: "no-store", headers: {} };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    if (csrf) options.headers["X-CSRF-Token"] = csrf;
    if (body !== undefined) options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (e) {
    throw e.name === "AbortError" ? e : lost();
  }
  return read(response);
}

// Another tab of this browser may have logged in anew: then there is another session, with another CSRF
// token. What was asked for is done if it is the same person's, and not in somebody else's name.
async function change(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (e) {
    if (e.code !== "csrf" || !who) throw e;
    const session = await get("/session");
    if (session.who === who) {
      remember(session);
      return send(method, path, body);
    }
    throw new ApiError(401, "another_session", "This browser has been logged in as somebody else: load the page again.");
  }
}

// "/events", {limit: 50, state: undefined} -> "/api/v1/events?limit=50"
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  const text = query.toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

// What the first page will ask for, asked before it is drawn: address -> {answer, value}, for those who ask for
// it first. Good until the stream is there, which says when something has changed.
const asked = new Map();
const OLD_MS = 2000;
export function early(path, params) {
  const to = address(path, params);
  const one = { answer: send("GET", to), value: undefined };
  one.answer.then((value) => (one.value = value), () => {}); // an error is said to whoever takes it
  asked.set(to, one);
  setTimeout(forgetEarly, OLD_MS);
  return one.answer;
}
export const forgetEarly = () => asked.clear();

// The answer to early() if it is there by now: what it is of can be drawn at once.
export const known = (path, params) => asked.get(address(path, params))?.value;
export const first = (path, params, signal) => asked.get(address(path, params))?.answer ?? get(path, params, signal);

export const get = (path, params, signal) => send("GET", address(path, params), undefined, signal);
export const post = (path, body) => change("POST", address(path), body);
export const del = (path) => change("DELETE", address(path));
export const segment = encodeURIComponent;

function remember(session) {
  const before = `${who} ${role}`;
  csrf = session?.csrf ?? "";
  who = session?.who ?? "";
  role = session?.role ?? "";
  if (before !== `${who} ${role}`) for (const forget of forgetters) forget();
  return session;
}

// What a page keeps of answers is not for the next one to log in, who may be let to see less: fn lets go of it.
export const onOther = (fn) => forgetters.push(fn);

// Who is logged in: {who, role, csrf, expires_at, open}; null: nobody.
export async function whoami() {
  try {
    return remember(await get("/session"));
  } catch (e) {
    if (e.status === 401 || e.status === 403) return remember(null);
    throw e;
  }
}

export async function logIn(token) {
  const session = await send("POST", address("/session"), { token });
  forgetEarly(); // answered while nobody was logged in
  return remember(session);
}

// Whoever this browser is logged in as by now: it is out afterwards, or this fails.
export async function logOut() {
  if (await whoami()) await send("DELETE", address("/session"));
  remember(null);
}

const ranks = { viewer: 1, operator: 2, admin: 3 };
export const may = (session, role) => (ranks[session?.role] ?? 0) >= ranks[role];
