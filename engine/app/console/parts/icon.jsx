import { Activity, ArrowUp, Braces, ChartLine, CircleCheck, Clock, Copy, Database, Download, Ellipsis, FlaskConical, Globe,
  LogOut, Mail, MailWarning, Moon, Pause, Phone, PhoneForwarded, PhoneIncoming, PhoneOutgoing, Play, RotateCw, Scroll, Search,
  Send, Sun, Trash, TriangleAlert, X, Zap } from "lucide";
import { h } from "preact";

const icons = { activity: Activity, chart: ChartLine, check: CircleCheck, more: Ellipsis, flask: FlaskConical,
  logout: LogOut, dead: MailWarning, moon: Moon, phone: Phone, callback: PhoneForwarded, rules: Scroll, search: Search,
  send: Send, sun: Sun, alert: TriangleAlert, close: X, clock: Clock, globe: Globe, mail: Mail, pause: Pause, play: Play,
  again: RotateCw, up: ArrowUp, json: Braces, copy: Copy, record: Database, download: Download, incoming: PhoneIncoming,
  outgoing: PhoneOutgoing, drop: Trash, emit: Zap };

// A picture beside words: never the only thing that says something.
export function Icon({ name, size = 20 }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      {icons[name].map(([tag, attributes]) => h(tag, attributes))}
    </svg>
  );
}

// switchhook's own (icon.svg is the same, for the browser's tab): drawn with the page, not fetched for it.
export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" stroke-linecap="round" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1f5fbf" />
      <path d="M8 21h10M9 21 21 9m2 12h2" stroke="#fff" stroke-width="3" />
      <circle cx="22.5" cy="8.5" r="3" fill="#ffd166" />
      <circle cx="9" cy="21" r="3" fill="#fff" />
    </svg>
  );
}
