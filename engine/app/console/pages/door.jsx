import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "../api.js";
import { Logo } from "../parts/icon.jsx";
import { setPage } from "../parts/title.js";

// Log-in: a token, once; from then on a cookie that no script can read.
export function Door({ onIn }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => setPage("Log in"), []);
  const submit = async (e) => {
    e.preventDefault();
    setBusy(true);
    try {
      onIn(await api.logIn(token.trim()));
    } catch (problem) {
      setError(problem);
      setBusy(false);
      field.current.select();
    }
  };
  return (
    <main class="door">
      <form class="panel" onSubmit={submit} data-testid="login-form">
        <h1 class="brand"><Logo />switchhook</h1>
        <label for="token">Token</label>
        <input ref={field} id="token" name="password" type="password" autocomplete="current-password" required autofocus value={token}
          aria-describedby={error ? "token-error hint" : "hint"} aria-invalid={error ? "true" : undefined} onInput={(e) => setToken(e.target.value)} data-testid="login-token" />
        {error && <p id="token-error" class="failure" role="alert" data-testid="login-error">{[400, 401].includes(error.status) ? "No such token, or it has expired or was revoked." : error.message}</p>}
        <button type="submit" class="main" disabled={busy} data-testid="login-submit">{busy ? "Logging in…" : "Log in"}</button>
        <p id="hint" class="mute">No token yet? Whoever runs the engine makes one: <code>switchhook token new NAME <span class="one">--role operator</span></code></p>
      </form>
    </main>
  );
}
