// The engine's API (docs/http-api.md): the one source of everything the page shows.

let csrf = "";

// What the engine said no to, or that it could not be reached (status 0).
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const lost = () => new ApiError(0, "unreachable", "The engine does not answer.");

async function read(response) {
  const text = await response.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "not_json", `The engine answered ${response.status} without JSON.`);
  }
  if (response.ok) return json;
  const error = json?.error ?? {};
  throw new ApiError(response.status, error.code ?? "error", error.message ?? `The engine answered ${response.status}.`);
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

// "/events", {limit: 50, state: undefined} -> "/api/v1/events?limit=50"
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  const text = query.toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

export const get = (path, params, signal) => send("GET", address(path, params), undefined, signal);
export const post = (path, body) => send("POST", address(path), body);
export const del = (path) => send("DELETE", address(path));
export const segment = encodeURIComponent;

// Who is logged in: {who, role, csrf, expires_at, open}; null: nobody.
export async function whoami() {
  try {
    const session = await get("/session");
    csrf = session.csrf ?? "";
    return session;
  } catch (e) {
    if (e.status === 401 || e.status === 403) return null;
    throw e;
  }
}

export async function logIn(token) {
  const session = await post("/session", { token });
  csrf = session.csrf ?? "";
  return session;
}

export async function logOut() {
  await del("/session");
  csrf = "";
}

const ranks = { viewer: 1, operator: 2, admin: 3 };
export const may = (session, role) => (ranks[session?.role] ?? 0) >= ranks[role];
