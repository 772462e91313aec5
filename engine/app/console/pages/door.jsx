import { useEffect, useState } from "preact/hooks";
import * as api from "../api.js";
import { setPage } from "../parts/title.js";

// Log-in: a token, once; from then on a cookie that no script can read.
export function Door({ onIn }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => setPage("Log in"), []);
  const submit = async (e) => {
    e.preventDefault();
    setBusy(true);
    try {
      onIn(await api.logIn(token.trim()));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <main class="door">
      <form class="panel" onSubmit={submit} data-testid="login-form">
        <h1 class="brand"><img src="/console/icon.svg" alt="" />switchhook</h1>
        <label for="token">Token</label>
        <input id="token" name="password" type="password" autocomplete="current-password" required autofocus value={token}
          aria-describedby="hint" aria-invalid={error ? "true" : undefined} onInput={(e) => setToken(e.target.value)} data-testid="login-token" />
        <p id="hint" class="mute">Somebody with access to the engine makes one: <code>switchhook token new NAME --role operator</code></p>
        {error && <p class="failure" role="alert" data-testid="login-error">{error.status === 401 ? "No such token, or it has expired or was revoked." : error.message}</p>}
        <button type="submit" class="main" disabled={busy || !token.trim()} data-testid="login-submit">Log in</button>
      </form>
    </main>
  );
}
