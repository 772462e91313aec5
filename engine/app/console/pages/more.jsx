import { useLive } from "../hooks.js";
import { Head, LinkState, places, ThemeButton, useNarrow, whoText } from "../parts/frame.jsx";
import { Icon } from "../parts/icon.jsx";
import { Link } from "../parts/link.jsx";
import "./more.css";

const what = {
  "/events": "Every event, newest first",
  "/deliveries": "Emails and HTTP calls, and whether they arrived",
  "/playground": "Try an event; nothing is kept",
  "/graphs": "Events, errors and times over the last hours and days",
};

// A phone's bar has room for four: the other places, and what is about who looks.
export function More({ session, onOut }) {
  const { connected } = useLive();
  const phone = useNarrow(); // else the column has these
  return (
    <>
      <Head title="More" />
      <ul class="more-list panel">
        {places.filter(([, , , where]) => where === "desk").map(([to, words, icon]) => (
          <li key={to}>
            <Link to={to}><Icon name={icon} /><span><b>{words}</b><span class="mute">{what[to]}</span></span></Link>
          </li>
        ))}
      </ul>
      <section class="panel more-who" aria-labelledby="who-title">
        <h2 id="who-title">{session.open ? "No log-in" : "Logged in"}</h2>
        <p data-testid={phone ? "who" : undefined}>{session.open ? "This engine has no token yet: whoever is on its machine may do everything." : whoText(session)}</p>
        {session.role === "viewer" && <p class="mute">A viewer sees everything, with numbers masked, and changes nothing.</p>}
        {phone && <p><LinkState connected={connected} /></p>}
        {phone && <div class="line">
          <ThemeButton />
          {!session.open && <button type="button" onClick={onOut} data-testid="logout"><Icon name="logout" size={18} />Log out</button>}
        </div>}
      </section>
    </>
  );
}
